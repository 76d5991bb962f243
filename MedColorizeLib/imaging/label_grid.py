"""Label maps that lie on another grid than the scan: brought onto its voxels by nearest neighbour, or refused.

Labels of the same patient are often drawn on another series, on a cropped or on a coarser copy, so another grid alone
is no mistake; labels that are nowhere inside the scan are. Not for: images, whose values may be mixed.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .volume import ColorVolume, LabelVolume, Volume, same_grid

_ROUNDING = 1e-6
"""Of a voxel: centres that fall between two labels all go the same way, whatever the last bits say."""


def labels_on(labels: LabelVolume, grid: Volume | ColorVolume, name: str = "The label map") -> LabelVolume:
    """The labels on the voxels of `grid`, 0 outside of them, with a note if they had to be moved.

    Refused are labels none of which lies inside `grid`, and a map of the scan's size that has lost its place.
    """
    if same_grid(labels, grid):
        return labels
    if labels.shape == grid.shape and _placeless(labels.affine):
        raise InputError(
            f"{name} has as many voxels as the scan but does not say where they are ({describe_grid(labels)}); the "
            f"scan is {describe_grid(grid)}. Save it again with its geometry (Slicer: load it with the scan's)."
        )
    array = _nearest(labels, grid)
    inside, all_labelled = np.count_nonzero(array), np.count_nonzero(labels.array)
    if not inside:
        raise InputError(
            f"{name} labels nothing inside the scan: it is {describe_grid(labels)}, the scan {describe_grid(grid)}. It "
            "belongs to another scan, or one of the two has lost its place. Give the labels of this scan."
        )
    share = min(1.0, inside * _voxel_mm3(grid) / (all_labelled * _voxel_mm3(labels)))
    told = "less than 1" if share < 0.01 else str(round(100 * share))
    # Without the name: a note is written into outputs, and a path may be a patient's.
    note = (
        f"The label map lies on another grid than the scan ({describe_grid(labels)}) and was brought onto its voxels "
        f"by nearest neighbour; {told} % of what it labels lies inside the scan."
    )
    return replace(labels, array=array, affine=grid.affine, notes=(*labels.notes, note))


def describe_grid(grid: Volume | ColorVolume | LabelVolume) -> str:
    """Size, spacing and first voxel, for messages."""
    size = "x".join(str(n) for n in grid.shape[::-1])
    corner = ", ".join(f"{v:.1f}" for v in grid.affine[:3, 3])
    return f"{size} voxels of {'x'.join(f'{s:.2f}' for s in grid.spacing[::-1])} mm from ({corner})"


def _voxel_mm3(grid: Volume | ColorVolume | LabelVolume) -> float:
    return abs(float(np.linalg.det(grid.affine[:3, :3])))


def _placeless(affine: NDArray[np.float64]) -> bool:
    """Voxels of 1 mm from the origin along the axes: what programs write that know nothing of the place."""
    return bool(np.array_equal(np.abs(affine), np.eye(4)))


def _nearest(labels: LabelVolume, grid: Volume | ColorVolume) -> NDArray[Any]:
    """The label nearest to the centre of each voxel of `grid`."""
    to_labels = np.linalg.inv(labels.affine) @ grid.affine  # voxel (i, j, k) of the grid to (i, j, k) of the labels
    turned = to_labels[::-1][1:][:, [2, 1, 0, 3]]  # rows and columns in the order of the arrays, (k, j, i)
    sizes = labels.array.shape
    significant = np.abs(turned[:, :3]) * grid.shape > 1e-3
    if (significant.sum(axis=1) == 1).all() and (significant.sum(axis=0) == 1).all():
        return _along_axes(labels.array, turned, significant.argmax(axis=1), grid.shape)
    out = np.zeros(grid.shape, labels.array.dtype)
    j, i = np.meshgrid(np.arange(grid.shape[1]), np.arange(grid.shape[2]), indexing="ij")
    for k in range(grid.shape[0]):
        at = [row[0] * k + row[1] * j + row[2] * i + row[3] for row in turned]
        index = [_rounded(each) for each in at]
        held = np.logical_and.reduce([(n >= 0) & (n < size) for n, size in zip(index, sizes, strict=True)])
        if held.any():
            out[k][held] = labels.array[tuple(n[held] for n in index)]
    return out


def _along_axes(
    array: NDArray[Any], turned: NDArray[np.float64], axes: NDArray[np.intp], shape: tuple[int, int, int]
) -> NDArray[Any]:
    """The same where the axes of the two grids are parallel: one list of indices an axis. `axes[n]`: the axis of the
    grid along which axis n of the labels runs."""
    out = np.zeros(shape, array.dtype)
    taken, places = [], []
    for n in range(3):
        index = _rounded(turned[n, axes[n]] * np.arange(shape[axes[n]]) + turned[n, 3])
        held = np.flatnonzero((index >= 0) & (index < array.shape[n]))
        taken.append(index[held])
        places.append(held)
    found = array[np.ix_(*taken)].transpose(np.argsort(axes))
    out[np.ix_(*(places[int(np.flatnonzero(axes == axis)[0])] for axis in range(3)))] = found
    return out


def _rounded(at: NDArray[np.float64]) -> NDArray[np.int64]:
    return np.floor(at + (0.5 + _ROUNDING)).astype(np.int64)
