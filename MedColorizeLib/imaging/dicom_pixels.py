"""From stored values to the scanner's units: rescaling, padding, MONOCHROME1. Not for decoding or geometry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from pydicom.dataset import Dataset

from ..errors import InputError, ResourceError
from .dicom_decode import Array, decoded
from .dicom_files import number, whole
from .dicom_planes import Plane

AIR = -1024.0
"""Hounsfield units below which nothing is measured."""
PARAMETRIC_MAP = "1.2.840.10008.5.1.4.1.1.30"  # floating-point pixels


@dataclass(frozen=True)
class Padding:
    """What became of pixels that the scanner marked as outside its picture."""

    voxels: int
    replaced_by: float


def read_values(planes: Sequence[Plane]) -> tuple[Array, Padding | None, float | None]:
    """The planes of one frame in the scanner's units, `(K, rows, columns)`.

    Also what was done to padding, and, for MONOCHROME1, the number from which values were subtracted so that
    bright means bright. The type is the smallest that holds every value exactly; float32 if the scale is no integer.
    """
    top = _inversion_top(planes[0])
    rows, columns = planes[0].size
    kind = _value_type(planes)
    try:
        out = np.empty((len(planes), rows, columns), dtype=kind)
    except MemoryError as error:
        size = len(planes) * rows * columns * kind.itemsize / 2**30
        raise ResourceError(
            f"{planes[0].path}: its volume of {size:.0f} GiB does not fit into this machine's memory."
        ) from error
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
