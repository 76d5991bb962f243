"""Putting leaning or uneven slices onto an even, perpendicular grid, as a `Straightening` plan says.

Each slice is first shifted in its own plane by SimpleITK (nothing is mixed across slices), then the slices of the
grid are those measured there or the linear mixture of their two neighbours.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from .dicom_geometry import NEARLY_EVEN, WIDEST_BRIDGE, Straightening


def straighten(slices: NDArray[Any], plan: Straightening, background: float) -> NDArray[Any]:
    """The slices of the grid; `background` where nothing was measured."""
    before, size = plan.before, plan.size(slices.shape[2], slices.shape[1])
    out = np.full((plan.count, size[1], size[0]), background, dtype=slices.dtype)
    cache: dict[int, NDArray[Any]] = {}

    def shifted(n: int) -> NDArray[Any]:
        if n not in cache:
            for old in [m for m in cache if m < n - 1]:
                del cache[old]
            cache[n] = _shifted(slices[n], plan.shifts[n] / plan.pixel, before, size, background)
        return cache[n]

    for k in range(plan.count):
        depth = k * plan.step
        nearest = int(np.abs(plan.depths - depth).argmin())
        if abs(plan.depths[nearest] - depth) <= max(NEARLY_EVEN * plan.step, 1e-3):
            out[k] = shifted(nearest)
            continue
        above = int(np.searchsorted(plan.depths, depth))
        if above == len(plan.depths):
            out[k] = shifted(above - 1)  # less than half a step beyond the last slice, which is that thick
            continue
        gap = plan.depths[above] - plan.depths[above - 1]
        if gap > WIDEST_BRIDGE * plan.step:
            continue
        share = (depth - plan.depths[above - 1]) / gap
        mixed = (1 - share) * shifted(above - 1).astype(np.float32) + share * shifted(above).astype(np.float32)
        out[k] = _as_type(mixed, out.dtype)
    return out


def _shifted(
    picture: NDArray[Any], pixels: NDArray[np.float64], before: NDArray[Any], size: tuple[int, int], background: float
) -> NDArray[Any]:
    """One slice, moved by `pixels` (columns, rows) onto the wider picture."""
    whole = np.round(pixels)
    if np.abs(pixels - whole).max() < 1e-3:
        moved = np.full((size[1], size[0]), background, dtype=picture.dtype)
        x, y = (before + whole).astype(int)
        moved[y : y + picture.shape[0], x : x + picture.shape[1]] = picture
        return moved
    import SimpleITK as sitk  # noqa: N813

    image = sitk.GetImageFromArray(picture.astype(np.float32))
    image.SetOrigin(pixels.tolist())
    grid = sitk.ResampleImageFilter()
    grid.SetSize([int(n) for n in size])
    grid.SetOutputOrigin((-before).astype(float).tolist())
    grid.SetInterpolator(sitk.sitkLinear)
    grid.SetDefaultPixelValue(float(background))
    return _as_type(sitk.GetArrayFromImage(grid.Execute(image)), picture.dtype)


def _as_type(values: NDArray[Any], kind: np.dtype[Any]) -> NDArray[Any]:
    if kind.kind == "f":
        return values.astype(kind)
    limits = np.iinfo(kind)
    return np.clip(np.rint(values), limits.min, limits.max).astype(kind)
