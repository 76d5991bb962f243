"""Where the body is: a mask of the foreground, found on a coarse grid and brought back softly.

Not for: segmentation. It only keeps air, noise and the table from being taken for tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .windows import Window, codes, otsu

_COARSE_VOXELS = 128
_SOFTNESS_MM = 1.5


@dataclass(frozen=True)
class SoftMask:
    """A foreground mask that fades over about two millimetres at its rim, kept coarse and expanded slice by slice."""

    coarse: NDArray[np.float32]
    steps: tuple[int, int, int]
    shape: tuple[int, int, int]

    def slab(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Slices `start` to `stop` as 0 (outside) to 255 (inside)."""
        along_k = _interpolation(self.shape[0], self.steps[0], self.coarse.shape[0])[start:stop]
        along_j, along_i = (_interpolation(self.shape[n], self.steps[n], self.coarse.shape[n]) for n in (1, 2))
        out = np.empty((stop - start, *self.shape[1:]), dtype=np.uint8)
        for row, weights in enumerate(along_k):
            near = np.flatnonzero(weights)
            plane = np.tensordot(weights[near], self.coarse[near], axes=1)
            if not plane.any():
                out[row] = 0
                continue
            np.rint(along_j @ plane @ along_i.T, out=out[row], casting="unsafe")
        return out


def _interpolation(fine: int, step: int, coarse: int) -> NDArray[np.float32]:
    """The matrix of linear interpolation from every `step`-th sample to all `fine` ones, times 255."""
    position = np.minimum(np.arange(fine) / step, coarse - 1)
    below = np.minimum(position.astype(int), max(coarse - 2, 0))
    matrix = np.zeros((fine, coarse), dtype=np.float32)
    matrix[np.arange(fine), below] = 1 - (position - below)
    if coarse > 1:
        matrix[np.arange(fine), below + 1] += position - below
    return matrix


def soft_mask(array: NDArray[Any], window: Window, spacing: tuple[float, float, float]) -> SoftMask:
    """The mask of a volume `(K, J, I)` seen through `window`; `spacing` in mm along the same axes."""
    from scipy import ndimage

    steps = tuple(
        max(1, round(min(2.0 / mm, n / 8)), -(-n // (2 * _COARSE_VOXELS)))
        for n, mm in zip(array.shape, spacing, strict=True)
    )
    gray = codes(np.ascontiguousarray(array[:: steps[0], :: steps[1], :: steps[2]]), window)
    coarse_mm = [s * mm for s, mm in zip(steps, spacing, strict=True)]
    inside = _largest_filled(gray)
    # Scaled by 255 once here instead of once per voxel later.
    soft = ndimage.gaussian_filter(
        inside.astype(np.float32) * 255, [_SOFTNESS_MM / mm for mm in coarse_mm], mode="nearest"
    )
    return SoftMask(soft, (steps[0], steps[1], steps[2]), (array.shape[0], array.shape[1], array.shape[2]))


def _largest_filled(gray: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Threshold, keep what is connected and sizeable, fill what it encloses."""
    from scipy import ndimage

    counts = np.bincount(gray.reshape(-1), minlength=256)
    if np.count_nonzero(counts) < 2:
        return np.ones(gray.shape, dtype=bool)
    inside = gray > max(6, otsu(counts) // 2)
    size = min(3, *gray.shape)
    opened = ndimage.binary_opening(inside) if size >= 3 else inside
    labels, parts = ndimage.label(opened if opened.any() else inside)
    if parts > 1:
        sizes = np.bincount(labels.reshape(-1))
        sizes[0] = 0
        labels = np.isin(labels, np.flatnonzero(sizes >= 0.05 * sizes.max()))
    # What opening shaved off the rim comes back, but not the specks it removed.
    inside = ndimage.binary_dilation(labels > 0) & inside
    inside |= labels > 0
    closed = ndimage.binary_closing(np.pad(inside, 2, mode="edge"), iterations=2)[2:-2, 2:-2, 2:-2]
    filled = ndimage.binary_fill_holes(closed | inside)
    # Holes that are open only at the first or last slice (a neck, a thorax) are holes in every axial slice.
    return np.stack([ndimage.binary_fill_holes(plane) for plane in filled])


def foreground(gray: NDArray[np.uint8], spacing: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The hard mask of an 8-bit volume, at full resolution."""
    mask = soft_mask(gray, Window(0, 255), spacing)
    return np.concatenate([mask.slab(k, k + 1) > 127 for k in range(gray.shape[0])])
