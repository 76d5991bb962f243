"""From planes to arrays: decoding, the scanner's units, padding, MONOCHROME1. Not for geometry.

pydicom decodes, with whatever decoders are installed; SimpleITK's own (GDCM) stands in where pydicom has none, as
for 12-bit JPEG, or inside Slicer's Python.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import SecondaryCaptureImageStorage, generate_uid

from ..errors import InputError
from .dicom_files import DEFLATED, found_syntax, number, save_file, whole
from .dicom_planes import Plane

Array = NDArray[Any]
AIR = -1024.0
"""Hounsfield units below which nothing is measured."""
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
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"  # floating-point pixels


@dataclass(frozen=True)
class Padding:
    """What became of pixels that the scanner marked as outside its picture."""

    voxels: int
    replaced_by: float


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
                with _no_chatter():
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
def _no_chatter() -> Iterator[None]:
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
    alone.PixelData = encapsulate([fragment])
    alone["PixelData"].is_undefined_length = True
    save_file(alone, path)


def read_values(planes: Sequence[Plane]) -> tuple[Array, Padding | None, float | None]:
    """The planes of one frame in the scanner's units, `(K, rows, columns)`.

    Also what was done to padding, and, for MONOCHROME1, the number from which values were subtracted so that
    bright means bright. The type is the smallest that holds every value exactly; float32 if the scale is no integer.
    """
    top = _inversion_top(planes[0])
    rows, columns = planes[0].size
    out = np.empty((len(planes), rows, columns), dtype=_value_type(planes))
    masks: dict[int, Array] = {}
    lowest, highest = np.inf, -np.inf
    for k, (plane, stored) in enumerate(zip(planes, decoded(planes), strict=True)):
        if stored.shape != (rows, columns):
            raise InputError(f"{plane.path}: its pixels have another size than its header says; the file is damaged.")
        padded = _padded(plane, stored)
        values = _scaled(plane, stored, out.dtype)
        if top is not None:
            values = top - values
        measured = values if padded is None else values[~padded]
        if measured.size:
            low, high = float(measured.min()), float(measured.max())
            lowest, highest = min(lowest, low), max(highest, high)
            if out.dtype.kind in "iu" and not (np.iinfo(out.dtype).min <= low and high <= np.iinfo(out.dtype).max):
                out = out.astype(np.int32)  # 16 bits that are all used, and moved by the intercept
        if padded is not None:
            masks[k] = np.packbits(padded)
            if out.dtype.kind in "iu":
                values = np.clip(values, np.iinfo(out.dtype).min, np.iinfo(out.dtype).max)
        out[k] = values
    return out, _fill_padding(planes, out, masks, lowest, highest), top


def background_of(planes: Sequence[Plane], lowest: float) -> float:
    """The value of "nothing here": the least that was measured, but for CT no less than air."""
    return max(lowest, AIR) if planes[0].header.data.get("Modality") == "CT" else lowest


def _fill_padding(
    planes: Sequence[Plane], out: Array, masks: dict[int, Array], lowest: float, highest: float
) -> Padding | None:
    """Padding far from what was measured becomes background, lest it widen every window; other padding stays."""
    if not masks or not np.isfinite(lowest):
        return None
    fill = background_of(planes, lowest)
    near = lowest - 0.02 * (highest - lowest)

    def mask(k: int) -> NDArray[np.bool_]:
        return np.unpackbits(masks[k], count=out[k].size).reshape(out[k].shape).astype(bool)

    if all(near <= out[k][mask(k)].min() and out[k][mask(k)].max() <= highest for k in masks):
        return None
    voxels = 0
    for k in masks:
        here = mask(k)
        out[k][here] = fill
        voxels += int(here.sum())
    return Padding(voxels, float(fill))


def _padded(plane: Plane, stored: Array) -> NDArray[np.bool_] | None:
    """Where the picture holds padding (PS3.3 C.7.5.1.1.2), or None if nowhere."""
    value = number(plane.header.data, "PixelPaddingValue")
    if value is None:
        return None
    if stored.dtype.kind == "i" and value > np.iinfo(stored.dtype).max:
        value -= 2.0 ** whole(plane.header.data, "BitsAllocated", 16)  # written as unsigned by mistake
    elif stored.dtype.kind == "u" and value < 0:
        value += 2.0 ** whole(plane.header.data, "BitsAllocated", 16)
    limit = number(plane.header.data, "PixelPaddingRangeLimit")
    low, high = (value, value) if limit is None else (min(value, limit), max(value, limit))
    if plane.header.data.get("Modality") == "CT" and plane.slope * high + plane.intercept < AIR:
        # Lossy compression smears the padding; in CT nothing that was measured lies below air.
        low, high = -np.inf, (AIR - plane.intercept) / plane.slope - 0.5
    mask = (stored >= low) & (stored <= high)
    return mask if mask.any() else None


def _stored_range(plane: Plane) -> tuple[float, float]:
    data = plane.header.data
    bits = whole(data, "BitsStored", whole(data, "BitsAllocated", 16))
    if whole(data, "PixelRepresentation", 0):
        return -(2.0 ** (bits - 1)), 2.0 ** (bits - 1) - 1
    return 0.0, 2.0**bits - 1


def _inversion_top(plane: Plane) -> float | None:
    """For MONOCHROME1: the sum of the least and the greatest value there can be; None for MONOCHROME2."""
    if plane.header.data.get("PhotometricInterpretation") != "MONOCHROME1":
        return None
    if table := _modality_table(plane):
        return float(2 ** int(table.LUTDescriptor[2]) - 1)
    return sum(plane.slope * v + plane.intercept for v in _stored_range(plane))


def _modality_table(plane: Plane) -> Dataset | None:
    tables = plane.header.data.get("ModalityLUTSequence")
    return tables[0] if tables else None


def _value_type(planes: Sequence[Plane]) -> np.dtype[Any]:
    """The smallest type for every value these planes can hold; 16 bits where 17 would be a matter of the intercept."""
    if planes[0].header.data.get("SOPClassUID") == PARAMETRIC_MAP or any(
        plane.slope != round(plane.slope) or plane.intercept != round(plane.intercept) for plane in planes
    ):
        return np.dtype(np.float32)
    if table := _modality_table(planes[0]):
        low, high = 0.0, 2.0 ** int(table.LUTDescriptor[2]) - 1
    else:
        ends = [
            p.slope * v + p.intercept
            for p in {(q.slope, q.intercept, id(q.header)): q for q in planes}.values()
            for v in _stored_range(p)
        ]
        low, high = min(ends), max(ends)
    for kind in np.uint8, np.int16, np.uint16:
        if np.iinfo(kind).min <= low and high <= np.iinfo(kind).max:
            return np.dtype(kind)
    if whole(planes[0].header.data, "BitsAllocated", 16) <= 16 and high - low < 2**17:
        return np.dtype(np.int16)
    return np.dtype(np.int32 if low >= -(2**31) and high < 2**31 else np.float32)


def _scaled(plane: Plane, stored: Array, kind: np.dtype[Any]) -> Array:
    """Stored values in the scanner's units."""
    if table := _modality_table(plane):
        first, width = int(table.LUTDescriptor[1]), int(table.LUTDescriptor[0]) or 65536
        entries = np.asarray(table.LUTData)
        if entries.dtype.kind == "S" or isinstance(table.LUTData, bytes):
            entries = np.frombuffer(table.LUTData, dtype="<u2")
        if len(entries) < width:
            raise InputError(f"{plane.path}: its modality look-up table is shorter than it says; the file is damaged.")
        return entries[np.clip(stored.astype(np.int64) - first, 0, width - 1)].astype(np.int64)
    if plane.slope == 1 and plane.intercept == 0:
        return stored if kind.kind != "f" or stored.dtype.kind == "f" else stored.astype(np.float32)
    if kind.kind == "f":
        return (stored * np.float64(plane.slope) + plane.intercept).astype(np.float32)
    return stored.astype(np.int32) * int(plane.slope) + int(plane.intercept)
