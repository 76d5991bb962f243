"""One frame for training and inference: anatomical planes, mm per pixel, and pictures of one size.

Pictures are in radiological order: the patient's right at the left, anterior (axial) or superior at the top; slices
run from superior, anterior or right. Not for: reading or colours.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import permutations
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

Plane = Literal["axial", "coronal", "sagittal"]

# Which way slices, rows and columns run, as (RAS axis, sign of increasing index).
_RUN: dict[str, tuple[tuple[int, int], tuple[int, int], tuple[int, int]]] = {
    "axial": ((2, -1), (1, -1), (0, -1)),
    "coronal": ((1, -1), (2, -1), (0, -1)),
    "sagittal": ((0, -1), (2, -1), (1, -1)),
}


@dataclass(frozen=True)
class Orientation:
    """How the axes of an array (K, J, I) become (slice, row, column) of a plane: reordered and turned only."""

    axes: tuple[int, int, int]
    flips: tuple[bool, bool, bool]
    mm: tuple[float, float, float]
    """Millimetres between slices, rows and columns."""

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view in the plane's order; further axes (colour) stay last."""
        turned = array.transpose(*self.axes, *range(3, array.ndim))
        return turned[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]

    def undo(self, array: NDArray[Any]) -> NDArray[Any]:
        """The inverse of `apply`."""
        turned = array[tuple(slice(None, None, -1) if flip else slice(None) for flip in self.flips)]
        return turned.transpose(*np.argsort(self.axes), *range(3, array.ndim))


def orientation(affine: NDArray[np.float64], plane: Plane) -> Orientation:
    """Of an affine (i, j, k, 1) -> RAS mm, the array axes that lie nearest to the plane's."""
    columns = affine[:3, :3]
    lengths = np.linalg.norm(columns, axis=0)
    directions = columns / lengths
    run = _RUN[plane]

    def nearness(order: tuple[int, ...]) -> float:
        return float(sum(abs(directions[ras, column]) for (ras, _), column in zip(run, order, strict=True)))

    best = max(permutations(range(3)), key=nearness)
    flips = tuple(bool(directions[ras, column] * sign < 0) for (ras, sign), column in zip(run, best, strict=True))
    return Orientation(
        axes=tuple(2 - column for column in best),  # type: ignore[arg-type]
        flips=flips,  # type: ignore[arg-type]
        mm=tuple(float(lengths[column]) for column in best),  # type: ignore[arg-type]
    )


def scaled_shape(shape: tuple[int, int], mm: tuple[float, float], target: float) -> tuple[int, int]:
    """Rows and columns at `target` mm per pixel."""
    return max(1, round(shape[0] * mm[0] / target)), max(1, round(shape[1] * mm[1] / target))


def resize(
    picture: NDArray[Any],
    shape: tuple[int, int],
    how: Literal["linear", "cubic", "nearest"] = "linear",
    part: tuple[slice, slice] | None = None,
) -> NDArray[Any]:
    """A picture (H, W[, C]) at another size: antialiased, or nearest for masks and labels; or only `part` of it."""
    if picture.shape[:2] == shape:
        return picture if part is None else picture[part]
    if how == "nearest":
        down, across = (
            np.minimum(((np.arange(new, dtype=np.float32) + 0.5) * np.float32(old / new)).astype(int), old - 1)
            for old, new in zip(picture.shape, shape, strict=False)
        )
        return picture[down[:, None], across][part or ...]
    from PIL import Image

    rows, columns = part or (slice(0, shape[0]), slice(0, shape[1]))
    high, wide = picture.shape[0] / shape[0], picture.shape[1] / shape[1]
    box = (columns.start * wide, rows.start * high, columns.stop * wide, rows.stop * high)
    size = (columns.stop - columns.start, rows.stop - rows.start)
    kernel = Image.Resampling.BICUBIC if how == "cubic" else Image.Resampling.BILINEAR
    out = np.empty((*size[::-1], *picture.shape[2:]), picture.dtype)
    whole = np.issubdtype(picture.dtype, np.integer)
    for channel in np.ndindex(picture.shape[2:]):
        image = Image.fromarray(np.ascontiguousarray(picture[:, :, *channel], np.float32))
        made = np.asarray(image.resize(size, kernel, box))
        if whole:  # a cubic overshoots at edges
            made = np.rint(made).clip(np.iinfo(picture.dtype).min, np.iinfo(picture.dtype).max)
        out[:, :, *channel] = made
    return out


def window_start(length: int, center: float) -> int:
    """The first of `length` pixels around `center`."""
    return int(np.floor(center - length / 2 + 0.5))


def crop_or_pad(picture: NDArray[Any], size: tuple[int, int], center: tuple[float, float]) -> NDArray[Any]:
    """A window of `size` around `center` (rows, columns); what lies outside the picture is 0."""
    out = np.zeros((*size, *picture.shape[2:]), picture.dtype)
    source, target = [], []
    for axis in range(2):
        start = window_start(size[axis], center[axis])
        low, high = max(start, 0), min(start + size[axis], picture.shape[axis])
        if low >= high:
            return out
        source.append(slice(low, high))
        target.append(slice(low - start, high - start))
    out[tuple(target)] = picture[tuple(source)]
    return out


def center_of(mask: NDArray[np.bool_]) -> tuple[float, float]:
    """The middle of the bounding box of a mask (slices, rows, columns) or (rows, columns); its own middle if empty."""
    flat: NDArray[np.bool_] = np.any(mask, axis=0) if mask.ndim == 3 else mask
    rows, columns = np.flatnonzero(flat.any(axis=1)), np.flatnonzero(flat.any(axis=0))
    if not len(rows):
        return flat.shape[0] / 2, flat.shape[1] / 2
    return (rows[0] + rows[-1] + 1) / 2, (columns[0] + columns[-1] + 1) / 2
