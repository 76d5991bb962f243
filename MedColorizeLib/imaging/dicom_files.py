"""DICOM files one by one: finding them, reading their headers, and saying why one can't be used.

Not for geometry (`dicom_geometry`) or voxels (`dicom_pixels`). No text made here quotes a header's free text.
"""

from __future__ import annotations

import logging
import os
import struct
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pydicom
from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset
from pydicom.uid import UID

from ..errors import InputError

ENDINGS = (".dcm", ".dicom", ".ima")
MEDIA_DIRECTORY = "1.2.840.10008.1.3.10"
DEFLATED = "1.2.840.10008.1.2.1.99"
NATIVE = ("1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2")

# All a series' description, geometry and voxel values need: reading only these keeps big folders fast.
_NEEDED = """
    SOPClassUID SOPInstanceUID StudyInstanceUID SeriesInstanceUID SeriesDescription Modality ImageType InstanceNumber
    FrameOfReferenceUID BodyPartExamined ImagePositionPatient ImageOrientationPatient PixelSpacing ImagerPixelSpacing
    NominalScannedPixelSpacing SliceThickness SpacingBetweenSlices GantryDetectorTilt NumberOfFrames Rows Columns
    SamplesPerPixel PhotometricInterpretation PlanarConfiguration BitsAllocated BitsStored HighBit PixelRepresentation
    RescaleSlope RescaleIntercept ModalityLUTSequence VOILUTSequence WindowCenter WindowWidth VOILUTFunction
    PixelPaddingValue PixelPaddingRangeLimit LossyImageCompression SharedFunctionalGroupsSequence
    PerFrameFunctionalGroupsSequence DimensionIndexSequence DetectorInformationSequence TemporalPositionIdentifier
    EchoTime EchoNumbers DiffusionBValue TriggerTime InversionTime FlipAngle AcquisitionNumber AcquisitionTime
    ContentTime FrameReferenceTime DerivationDescription TotalPixelMatrixRows DirectoryRecordSequence
"""

_DESCRIBES = ("SeriesDescription", "BodyPartExamined", "DerivationDescription", "WindowCenter", "WindowWidth")

# Starts of programs. A DICOM file may begin with any 128 bytes, which has been used to smuggle them.
_PROGRAMS = (b"MZ", b"\x7fELF", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe", b"\xca\xfe\xba\xbe", b"#!")

_NOT_A_PICTURE = {
    "RTSTRUCT": "holds contours (an RT structure set)",
    "RTPLAN": "holds a radiotherapy plan",
    "RTDOSE": "is a radiotherapy dose grid, not a picture of the body",
    "SEG": "holds labels (a segmentation)",
    "SR": "is a structured report",
    "PR": "is a presentation state",
    "KO": "is a list of key images",
    "REG": "is a registration",
    "DOC": "is an enclosed document",
}


@contextmanager
def quiet() -> Iterator[None]:
    """Holds back pydicom's and highdicom's warnings, which quote header values and so may name the patient."""
    loggers = [logging.getLogger(name) for name in ("pydicom", "highdicom")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL + 1)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)


@dataclass(frozen=True, eq=False)
class Header:
    """One file's header, and whether the file is shorter than its header promises."""

    path: Path
    data: Dataset
    truncated: bool

    @property
    def transfer_syntax(self) -> UID:
        """The file's own, or what pydicom found while reading a file without meta information."""
        meta = getattr(self.data, "file_meta", None)
        return UID(meta.get("TransferSyntaxUID") or found_syntax(self.data)) if meta else found_syntax(self.data)

    @property
    def frames(self) -> int:
        return max(1, whole(self.data, "NumberOfFrames", 1))

    @property
    def is_color(self) -> bool:
        data = self.data
        return whole(data, "SamplesPerPixel", 1) > 1 or not str(
            data.get("PhotometricInterpretation", "MONOCHROME2")
        ).startswith("MONOCHROME")


def found_syntax(data: Dataset) -> UID:
    """The native transfer syntax in which pydicom could read a file that doesn't name one."""
    implicit, little = getattr(data, "original_encoding", (None, None))
    if implicit is None:  # pydicom 2
        implicit, little = data.is_implicit_VR, data.is_little_endian
    return UID("1.2.840.10008.1.2" if implicit else "1.2.840.10008.1.2.1" if little else "1.2.840.10008.1.2.2")


def whole(data: Dataset, keyword: str, default: int) -> int:
    """An integer attribute; absent or empty: `default`. A value that is no number is `ValueError`."""
    value = data.get(keyword)
    if value is None or value == "":
        return default
    try:
        return int(value)
    except TypeError as error:  # several values where there must be one
        raise ValueError(keyword) from error


def numbers(data: Dataset, keyword: str, count: int) -> tuple[float, ...] | None:
    """An attribute of `count` numbers, or None where it is absent, empty or damaged."""
    value: Any = data.get(keyword)
    if value is None or value == "":
        return None
    try:
        found = tuple(float(v) for v in (value if hasattr(value, "__iter__") else [value]))
    except (TypeError, ValueError):
        return None
    return found if len(found) == count and all(abs(v) < 1e9 for v in found) else None


def number(data: Dataset, keyword: str) -> float | None:
    found = numbers(data, keyword, 1)
    return found[0] if found else None


def has_dicom_start(path: Path) -> bool:
    """True if the file's first bytes are those of a DICOM file, with or without the usual preamble."""
    try:
        with path.open("rb") as stream:
            start = stream.read(132)
    except OSError:
        return False
    return start[128:132] == b"DICM" or _headerless(start)


def _headerless(start: bytes) -> bool:
    """A file that begins at once with group 0002 or 0008, as old writers and some networks leave them."""
    if len(start) < 12:
        return False
    for order in "<", ">":
        group, element, length = struct.unpack(f"{order}HHI", start[:8])
        explicit = start[4:6] in (b"UI", b"UL", b"OB", b"CS", b"DA", b"TM", b"SH", b"LO")
        if group in (0x0002, 0x0008) and element <= 0x0100 and (explicit or length < 256):
            return True
    return False


def find_files(folder: Path) -> Iterator[Path]:
    """Every file below `folder` that is DICOM by its first bytes or claims to be by its ending, but no DICOMDIR."""
    for where, folders, names in os.walk(folder):
        folders.sort()
        for name in sorted(names):
            path = Path(where, name)
            if name.upper() == "DICOMDIR" or name.startswith("."):
                continue
            # By name first: a damaged or empty .dcm must be reported, not overlooked.
            if path.suffix.lower() in ENDINGS or has_dicom_start(path):
                yield path


def read_header(path: Path) -> Header:
    """The header of one file; `InputError` says why there is none."""
    try:
        size = path.stat().st_size
        with path.open("rb") as stream:
            start = stream.read(132)
            if size == 0:
                raise InputError(f"{path} is empty (0 bytes). Copy it again from its source.")
            if start.startswith(_PROGRAMS):
                raise InputError(
                    f"{path} begins like a program, a known way to hide one in a DICOM file. It is not opened; "
                    "have it checked, or ask for a clean copy."
                )
            if start[128:132] != b"DICM" and not _headerless(start):
                raise InputError(f"{path} is not a DICOM file, or its beginning is damaged.")
            stream.seek(0)
            data = pydicom.dcmread(stream, stop_before_pixels=True, force=True, specific_tags=_NEEDED.split())
            _convert(data)
            whole_header = Header(path, data, False)
            # The stream stands before the pixel data's own tag and length.
            left = size - stream.tell() - (8 if whole_header.transfer_syntax == NATIVE[0] else 12)
            expected = _expected_bytes(whole_header)
            return Header(path, data, expected > 0 and left < expected)
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}.") from error
    except InputError:
        raise
    except Exception as error:  # pydicom raises nearly anything on damaged files
        raise InputError(
            f"{path} is damaged: its DICOM header can't be read. Copy it again from its source."
        ) from error


def _convert(data: Dataset) -> None:
    """Turn bytes into values now, so that damage shows here and not later; what only describes may be damaged."""
    for tag in list(data.keys()):
        try:
            data[tag]
        except Exception:  # as above
            if keyword_for_tag(tag) not in _DESCRIBES:
                raise
            del data[tag]


def _expected_bytes(header: Header) -> int:
    """Bytes of pixel data the header promises, where the file's length can tell: native, not deflated; else 0."""
    data, syntax = header.data, header.transfer_syntax
    if syntax not in NATIVE:
        return 0
    if "Rows" not in data or "BitsAllocated" not in data:
        return 0
    samples: float = whole(data, "SamplesPerPixel", 1)
    if data.get("PhotometricInterpretation") == "YBR_FULL_422":
        samples = 2  # two chroma samples are shared by two pixels
    pixels = whole(data, "Rows", 0) * whole(data, "Columns", 0) * header.frames
    return int(pixels * samples * whole(data, "BitsAllocated", 8)) // 8


def refusal(header: Header, *, color: bool = False) -> str:
    """Why this file is no gray (or, with `color`, no colour) picture; empty if it is one."""
    data = header.data
    modality = str(data.get("Modality", ""))
    kind = UID(str(data.get("SOPClassUID", ""))).name
    if data.get("SOPClassUID") == MEDIA_DIRECTORY or "DirectoryRecordSequence" in data:
        return "is a DICOMDIR, a table of contents. Give the folder that holds the pictures instead"
    if modality in _NOT_A_PICTURE or "Segmentation" in kind:
        return _NOT_A_PICTURE.get(modality, _NOT_A_PICTURE["SEG"])
    if "Rows" not in data or "Columns" not in data:
        what = f" ({kind})" if kind and not kind[0].isdigit() else ""
        return f"holds no picture{what}"
    try:
        wanted = whole(data, "Rows", 0) * whole(data, "Columns", 0) * whole(data, "BitsAllocated", 0) * header.frames
        is_color = header.is_color
        bits = whole(data, "BitsStored", whole(data, "BitsAllocated", 16))
        sensible = bits <= whole(data, "BitsAllocated", 16) and whole(data, "PixelRepresentation", 0) in (0, 1)
        whole(data, "InstanceNumber", 0)
    except ValueError:
        return "is damaged: its size, number or number of frames is not a number"
    if wanted <= 0 or not sensible:
        return "is damaged: its header gives no size, or pixels of an impossible kind"
    if is_color and not color:
        shown = data.get("PhotometricInterpretation", "")
        return f"is a colour picture already ({shown}); only gray pictures are coloured"
    if color and not is_color:
        return "is a gray picture, not a coloured one"
    if "TotalPixelMatrixRows" in data and "Microscopy" in kind:
        return "is a microscope slide in tiles"
    if "MOSAIC" in str(data.get("ImageType", "")):
        return "is a mosaic: many slices tiled into one picture. Convert it first (dcm2niix makes a NIfTI volume)"
    if whole(data, "BitsAllocated", 8) == 1:
        return "is a black-and-white mask (1 bit), not a gray picture"
    if header.truncated:
        return "is truncated: it ends before its last pixel. Copy it again from its source"
    return ""


def save_file(data: Dataset, path: Path) -> None:
    """Write a whole DICOM file, with pydicom 3 or 2."""
    options: dict[str, Any] = {"enforce_file_format": True}
    if pydicom.__version_info__[0] == "2":
        data.is_little_endian, data.is_implicit_VR = True, False
        options = {"write_like_original": False}
    pydicom.dcmwrite(path, data, **options)
