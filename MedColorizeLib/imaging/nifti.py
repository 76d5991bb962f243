"""NIfTI: gray and label volumes, 4-D sequences, and its three ways to keep colour (RGB24, RGBA32, 5-D vectors)."""

from __future__ import annotations

import zlib
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from .gzip_stream import ParallelGzip
from .labels import refuse_color, refuse_labels
from .metadata import from_text, to_text
from .scan import ColorHeader
from .volume import ColorVolume, LabelVolume, Origin, Volume

_RGB = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1")])
_RGBA = np.dtype([("R", "u1"), ("G", "u1"), ("B", "u1"), ("A", "u1")])
_LABEL_INTENT = 1002
_COMMENT = 6


def _misnamed(path: Path) -> str:
    """What to do where the name's ending and the bytes disagree about compression; empty if they agree."""
    try:
        with path.open("rb") as file:
            compressed = file.read(2) == b"\x1f\x8b"
    except OSError:
        return ""
    if compressed and path.suffix.lower() == ".nii":
        return f"it is compressed with gzip, but its name doesn't say so. Rename it to {path.name}.gz."
    if not compressed and path.suffix.lower() == ".gz":
        return f"its name says gzip, but it is not compressed. Rename it to {path.stem}, if it is NIfTI."
    return ""


class NiftiFile:
    """An opened NIfTI file; voxels are read frame by frame."""

    format = "nifti"

    def __init__(self, path: Path) -> None:
        import nibabel

        self.path = path
        try:
            image = nibabel.load(path)
        except Exception as error:
            hint = _misnamed(path) or f"{_first_line(error)}. The file may be damaged."
            raise InputError(f"{path} can't be read as NIfTI: {hint}") from error
        if not isinstance(image, nibabel.Nifti1Pair):
            raise InputError(f"{path} is not a NIfTI-1 or -2 file, although its name says so.")
        self._image = image
        self.header = image.header
        self.affine = np.asarray(image.affine, dtype=np.float64)
        self._shape = tuple(int(n) for n in image.shape)
        stored = image.get_data_dtype()
        if stored.names:
            self.channels = len(stored.names)
        elif len(self._shape) == 5 and self._shape[4] > 1:
            self.channels = self._shape[4]
        else:
            self.channels = 1
        self._structured = bool(stored.names)
        self._shape += (1,) * (4 - len(self._shape))
        self.frames = self._shape[3]
        if not np.isfinite(self.affine).all() or abs(np.linalg.det(self.affine[:3, :3])) < 1e-12:
            raise InputError(
                f"{path}: its affine is singular or not finite, so its place in space is unknown. "
                "Correct the sform in the header, or export the scan again."
            )
        if min(self._shape[:4]) < 1:
            raise InputError(f"{path} holds no voxels: its size is {'x'.join(map(str, self._shape))}.")

    @property
    def is_labels(self) -> bool:
        """True if the header itself says that these are labels."""
        return int(self.header["intent_code"]) == _LABEL_INTENT

    def notes(self) -> tuple[str, ...]:
        """What a person should know of the geometry."""
        qform, qcode = self.header.get_qform(coded=True)
        sform, scode = self.header.get_sform(coded=True)
        if not qcode and not scode:
            return ("The file states no place in space (no sform or qform): left and right are a guess.",)
        if qform is not None and sform is not None and np.abs(qform - sform).max() > 1e-2:
            return ("The file states two different geometries (sform and qform); the sform is used.",)
        return ()

    def voxels(self, frame: int) -> NDArray[Any]:
        """One frame as stored (scaled if the header says so): `(K, J, I)` or `(K, J, I, C)`."""
        if not 0 <= frame < self.frames:
            raise InputError(f"{self.path} has frames 0 to {self.frames - 1}; there is no frame {frame}.")
        proxy = self._image.dataobj
        try:
            if self._structured:
                raw = np.asarray(proxy) if len(self._image.shape) == 3 else np.asarray(proxy[..., frame])
                raw = raw.reshape(self._shape[:3], order="F")
                return raw.transpose(2, 1, 0).view(np.uint8).reshape(*self._shape[2::-1], self.channels)
            if self.channels > 1:
                return np.asarray(proxy[:, :, :, frame, :]).transpose(2, 1, 0, 3)
            if len(self._image.shape) > 3:
                raw = self._scaled(proxy[..., frame] if len(self._image.shape) == 4 else proxy[:, :, :, frame, 0])
            else:
                raw = self._scaled(None)
        except (EOFError, OSError, ValueError, zlib.error) as error:
            raise InputError(
                f"{self.path} breaks off or is damaged: {_first_line(error)}. Fetch the file again."
            ) from error
        return raw.reshape(self._shape[:3], order="F").transpose(2, 1, 0)

    def _scaled(self, part: NDArray[Any] | None) -> NDArray[Any]:
        """Voxels in the header's units, kept integer where slope and intercept are whole numbers."""
        proxy: Any = self._image.dataobj
        slope, intercept = float(proxy.slope), float(proxy.inter)
        if (slope, intercept) == (1.0, 0.0):
            return np.asarray(proxy.get_unscaled() if part is None else part)
        values = np.asarray(proxy) if part is None else np.asarray(part)
        if slope == round(slope) and intercept == round(intercept) and np.dtype(proxy.dtype).kind in "iu":
            least, most = values.min(), values.max()
            if least >= -32768 and most <= 32767:
                return values.astype(np.int16)
        return values.astype(np.float32)

    def read(self, frame: int = 0) -> Volume:
        """One frame as a gray volume; colour and labels are refused."""
        refuse_color(self.path, self.channels)
        array = self.voxels(frame)
        refuse_labels(self.path, array, self.is_labels)
        facts = {"format": self.format, "stored_type": str(self.header.get_data_dtype())}
        return Volume(array, self.affine, facts=facts, notes=self.notes(), origin=Origin(self.path))

    def read_color(self, frame: int = 0) -> ColorVolume:
        """One frame as a colour volume."""
        if self.channels not in (3, 4):
            raise InputError(f"{self.path} has {self.channels} component(s) a voxel; a colour volume has 3 or 4.")
        array = self.voxels(frame)
        if array.dtype != np.uint8:
            raise InputError(f"{self.path} holds {array.dtype} colours; only 8-bit colours are read.")
        provenance: dict[str, Any] = {}
        for extension in self.header.extensions:
            if extension.get_code() == _COMMENT:
                provenance = provenance or from_text(extension.get_content())
        return ColorVolume(np.ascontiguousarray(array), self.affine, provenance, self.notes())

    def read_labels(self) -> LabelVolume:
        """A label map; gray values with fractions are refused."""
        array = self.voxels(0)
        return LabelVolume(whole_numbers(array, self.path), self.affine)

    def info(self) -> dict[str, Any]:
        kind = "color" if self.channels > 1 else "labels" if self.is_labels else "gray"
        return {
            "stored_type": str(self.header.get_data_dtype()) if self.channels == 1 else f"{self.channels} x 8 bit",
            "size": list(self._shape[:3]),
            "kind": kind,
        }


def whole_numbers(array: NDArray[Any], path: Path) -> NDArray[Any]:
    """Label values as integers, or a refusal."""
    if array.dtype.kind in "iub":
        return array
    if array.dtype.kind != "f":
        raise InputError(f"{path} is not a label map: it holds no plain numbers.")
    rounded = np.rint(array)
    if not np.isfinite(array).all() or np.abs(array - rounded).max() > 1e-3:
        raise InputError(f"{path} is not a label map: it holds fractions or non-finite values.")
    return rounded.astype(np.int32)


def color_header(header: ColorHeader) -> bytes:
    """The bytes before the voxels of an RGB24 or RGBA32 NIfTI-1 file (NIfTI-2 where a side exceeds 32767)."""
    import io

    import nibabel
    from nibabel.nifti1 import Nifti1Extension

    k, j, i = header.shape
    wide = max(header.shape) > 32767
    image_header = nibabel.Nifti2Header() if wide else nibabel.Nifti1Header()
    image_header.set_data_dtype(_RGB if header.channels == 3 else _RGBA)
    image_header.set_data_shape((i, j, k) if header.frames == 1 else (i, j, k, header.frames))
    image_header.set_sform(header.affine, code=1)
    # A qform can't hold shear; the sform above then speaks alone.
    image_header.set_qform(header.affine, code=1, strip_shears=True)
    image_header.set_xyzt_units("mm")
    image_header["descrip"] = b"synthetic color by MedColorize"
    image_header["cal_max"] = 0
    if not wide:
        image_header["magic"] = b"n+1"
    if header.provenance:
        image_header.extensions.append(Nifti1Extension(_COMMENT, to_text(header.provenance).encode()))
    lead = int(image_header["sizeof_hdr"]) + 4 + sum(e.get_sizeondisk() for e in image_header.extensions)
    image_header["vox_offset"] = -(-lead // 16) * 16
    stream = io.BytesIO()
    image_header.write_to(stream)
    return stream.getvalue().ljust(int(image_header["vox_offset"]), b"\0")


class NiftiStream:
    """The body of a NIfTI file being written, compressed if asked."""

    def __init__(self, stream: BinaryIO, header: ColorHeader, compressed: bool) -> None:
        self._gzip = ParallelGzip(stream) if compressed else None
        self.sink = self._gzip or stream
        self.sink.write(color_header(header))

    def close(self) -> None:
        if self._gzip:
            self._gzip.close()

    def abandon(self) -> None:
        if self._gzip:
            self._gzip.abandon()


def write_gray(path: Path, volume: Volume) -> None:
    """A gray or label volume as NIfTI, in its own number type where NIfTI has it."""
    import nibabel

    array = volume.array
    if array.dtype in (np.int64, np.uint64, np.bool_, np.float16):
        array = array.astype({"i": np.int32, "u": np.uint32, "b": np.uint8, "f": np.float32}[array.dtype.kind])
    kind = nibabel.Nifti2Image if max(array.shape) > 32767 else nibabel.Nifti1Image
    image = kind(array.transpose(2, 1, 0), volume.affine, dtype=array.dtype)
    image.header.set_xyzt_units("mm")
    try:
        nibabel.save(image, path)
    except OSError as error:
        raise OutputError(f"{path} can't be written: {error.strerror or error}.") from error


def _first_line(error: Exception) -> str:
    return (str(error).strip().splitlines() or [type(error).__name__])[0]
