"""From planes to stored values: decoding only, one plane at a time.

pydicom decodes, with whatever decoders are installed; SimpleITK's own (GDCM) stands in where pydicom has none, as
for 12-bit JPEG, or inside Slicer's Python.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import groupby
from pathlib import Path
from typing import Any

import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from ..errors import InputError
from .dicom_files import DEFLATED, found_syntax, save_file, whole
from .dicom_planes import Plane

Array = NDArray[Any]
_PIXEL_FORMAT = {
    "SamplesPerPixel",
    "PhotometricInterpretation",
    "PlanarConfiguration",
    "Rows",
    "Columns",
    "BitsAllocated",
    "BitsStored",
    "HighBit",
    "PixelRepresentation",
}


def decoded(planes: Sequence[Plane]) -> Iterator[Array]:
    """The stored values of each plane in turn, in native byte order; a multi-frame file is opened once per run."""
    for path, run in groupby(planes, key=lambda plane: plane.path):
        indices = [plane.index for plane in run]
        try:
            for array in _frames(path, indices):
                yield array.astype(array.dtype.newbyteorder("="), copy=False)
        except (MemoryError, InputError):
            raise
        except OSError as error:
            raise InputError(f"{path} can't be read: {error.strerror or error}.") from error
        except Exception as error:  # decoders raise nearly anything on damaged data
            raise InputError(
                f"{path}: its pixels can't be decoded; the file is damaged or truncated. Copy it again from its source."
            ) from error


def _frames(path: Path, indices: list[int]) -> Iterator[Array]:
    data = pydicom.dcmread(path, force=True, stop_before_pixels=len(indices) > 1)
    if not getattr(data, "file_meta", None):
        data.file_meta = FileMetaDataset()
    named = "TransferSyntaxUID" in data.file_meta
    if not named:
        data.file_meta.TransferSyntaxUID = found_syntax(data)
    syntax = data.file_meta.TransferSyntaxUID
    # From the file, frame by frame, where pydicom can; whole where it can't (no meta information, or deflated).
    streamed = len(indices) > 1 and named and syntax != DEFLATED
    source = path if streamed else data
    if not streamed and len(indices) > 1:
        data = source = pydicom.dcmread(path, force=True)
        data.file_meta.TransferSyntaxUID = syntax
    try:
        from pydicom.pixels import iter_pixels
    except ImportError:  # pydicom 2
        yield from _frames_pydicom2(path, indices)
        return
    done = 0
    try:
        for array in iter_pixels(source, indices=indices):
            yield array
            done += 1
    except (RuntimeError, NotImplementedError):
        if not syntax.is_encapsulated:
            raise
        yield from _frames_by_gdcm(path, indices[done:])


def _frames_pydicom2(path: Path, indices: list[int]) -> Iterator[Array]:
    data = pydicom.dcmread(path, force=True)
    if "TransferSyntaxUID" not in data.file_meta:
        data.file_meta.TransferSyntaxUID = found_syntax(data)
    try:
        array = data.pixel_array
    except (RuntimeError, NotImplementedError):
        yield from _frames_by_gdcm(path, indices)
        return
    shown = str(data.PhotometricInterpretation)
    if shown.startswith("YBR_FULL") and array.shape[-1] == 3:
        from pydicom.pixel_data_handlers.util import convert_color_space

        array = convert_color_space(array, shown, "RGB")  # pydicom 3 does it by itself
    frames = whole(data, "NumberOfFrames", 1)
    yield from (array[index] if frames > 1 else array for index in indices)


def _frames_by_gdcm(path: Path, indices: list[int]) -> Iterator[Array]:
    """Each compressed frame alone in a file that carries no rescaling (and no patient), read by SimpleITK."""
    import SimpleITK as sitk  # noqa: N813

    data = pydicom.dcmread(path, force=True)
    frames = whole(data, "NumberOfFrames", 1)
    with tempfile.TemporaryDirectory() as folder:
        for index in indices:
            alone = Path(folder, "frame.dcm")
            _write_alone(data, _fragment(data, index, frames), alone)
            reader = sitk.ImageFileReader()
            reader.SetImageIO("GDCMImageIO")
            reader.SetFileName(str(alone))
            try:
                with no_chatter():
                    image = reader.Execute()
            except RuntimeError as error:
                name = data.file_meta.TransferSyntaxUID.name
                raise InputError(
                    f"{path}: no decoder for its compression ({name}) works on this machine, or the file is damaged. "
                    "Install pylibjpeg, pylibjpeg-openjpeg, pyjpegls and python-gdcm."
                ) from error
            array = sitk.GetArrayFromImage(image)
            yield array[0] if array.ndim > 2 and array.shape[0] == 1 else array


@contextmanager
def no_chatter() -> Iterator[None]:
    """GDCM's C code tries 8, 12 and 16 bits in turn and complains about each straight to file descriptor 2."""
    try:
        kept = os.dup(2)
    except OSError:  # a program without a standard error
        yield
        return
    try:
        with open(os.devnull, "wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)


def _fragment(data: Dataset, index: int, frames: int) -> bytes:
    try:
        from pydicom.encaps import get_frame

        return get_frame(data.PixelData, index, number_of_frames=frames)
    except ImportError:  # pydicom 2
        from pydicom.encaps import generate_pixel_data_frame

        return next(f for n, f in enumerate(generate_pixel_data_frame(data.PixelData, frames)) if n == index)


def _write_alone(data: Dataset, fragment: bytes, path: Path) -> None:
    from pydicom.encaps import encapsulate

    alone = Dataset()
    alone.file_meta = FileMetaDataset()
    alone.file_meta.TransferSyntaxUID = data.file_meta.TransferSyntaxUID
    alone.file_meta.MediaStorageSOPClassUID = alone.SOPClassUID = SecondaryCaptureImageStorage
    alone.file_meta.MediaStorageSOPInstanceUID = alone.SOPInstanceUID = generate_uid()
    for element in data.group_dataset(0x0028):
        if element.keyword in _PIXEL_FORMAT:
            alone.add(element)
    if alone.PhotometricInterpretation == "MONOCHROME1":
        alone.PhotometricInterpretation = "MONOCHROME2"  # ITK would invert the values; here they are wanted as stored
    alone.PixelData = encapsulate([fragment])
    alone["PixelData"].is_undefined_length = True
    save_file(alone, path)
