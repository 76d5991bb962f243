"""Where the body is: a mask of the foreground, found on a coarse grid and brought back softly.

Not for: segmentation. It only keeps air, noise and the table from being taken for tissue.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .windows import Window, codes, otsu

_COARSE_MM = 3.0
_COARSE_VOXELS = 256
"""The grid on which the body is looked for: fine enough for its rim, coarse enough to take no time."""
_SOFTNESS_MM = 1.5
_NOISE = 6
"""Codes above the darkest that still count as air."""


@dataclass(frozen=True)
class SoftMask:
    """A foreground mask that fades over about two millimetres at its rim, kept coarse and expanded slice by slice."""

    coarse: NDArray[np.float32]
    steps: tuple[int, int, int]
    shape: tuple[int, int, int]

    @property
    def box(self) -> tuple[slice, slice]:
        """Rows and columns outside of which there is no body in any slice."""
        inside = self.coarse.max(axis=0) > 0
        found = [np.flatnonzero(inside.any(axis=axis)) for axis in (1, 0)]
        if not len(found[0]):
            return slice(0, 0), slice(0, 0)
        rows, columns = (
            # Between two samples the mask fades from one to the other.
            slice(max((int(places[0]) - 1) * step, 0), size if places[-1] == last else (int(places[-1]) + 1) * step)
            for places, step, size, last in zip(
                found, self.steps[1:], self.shape[1:], (inside.shape[0] - 1, inside.shape[1] - 1), strict=True
            )
        )
        return rows, columns

    def slab(self, start: int, stop: int) -> NDArray[np.uint8]:
        """Slices `start` to `stop` as 0 (outside) to 255 (inside)."""
        out = np.empty((stop - start, *self.shape[1:]), dtype=np.uint8)
        last = len(self.coarse) - 1
        for row, k in enumerate(range(start, stop)):
            below, rest = divmod(k, self.steps[0])
            plane = self.coarse[min(below, last)]
            if rest and below < last:
                plane = plane + (self.coarse[below + 1] - plane) * np.float32(rest / self.steps[0])
            least, most = plane.min(), plane.max()
            if least == most:
                out[row] = round(float(least))
                continue
            rows, columns = (_expansion(plane.shape[n], self.steps[n + 1], self.shape[n + 1]) for n in (0, 1))
            np.add(rows @ plane @ columns.T, 0.5, out=out[row], casting="unsafe")
        return out


@lru_cache(16)
def _expansion(coarse: int, step: int, size: int) -> NDArray[np.float32]:
    """(size, coarse): linear interpolation along an axis, from every `step`-th sample to all; constant at the end."""
    place = np.minimum(np.arange(size) / step, coarse - 1)[:, None]
    return np.maximum(1 - np.abs(place - np.arange(coarse)), 0).astype(np.float32)


def soft_mask(array: NDArray[Any], window: Window, spacing: tuple[float, float, float]) -> SoftMask:
    """The mask of a volume `(K, J, I)` seen through `window`; `spacing` in mm along the same axes."""
    steps = [
        max(1, round(min(_COARSE_MM / mm, n / 8)), -(-n // _COARSE_VOXELS))
        for n, mm in zip(array.shape, spacing, strict=True)
    ]
    gray = codes(np.ascontiguousarray(array[:: steps[0], :: steps[1], :: steps[2]]), window)
    # Scaled by 255 once here instead of once per voxel later.
    soft = _largest_filled(gray).astype(np.float32) * 255
    for axis in range(3):
        soft = _blur(soft, _SOFTNESS_MM / (steps[axis] * spacing[axis]), axis)
    return SoftMask(soft, (steps[0], steps[1], steps[2]), (array.shape[0], array.shape[1], array.shape[2]))


def _largest_filled(gray: NDArray[np.uint8]) -> NDArray[np.bool_]:
    """Threshold, keep what is connected and sizeable, fill what it encloses."""
    import SimpleITK as sitk  # noqa: N813

    gray = gray - gray.min()  # air is the darkest there is, and in a lung window that is not black
    if gray.max() <= _NOISE:  # nothing stands out: all of it counts
        return np.ones(gray.shape, dtype=bool)
    above = gray > max(_NOISE, otsu(np.bincount(gray.reshape(-1), minlength=256)) // 3)
    opened = _grow(_shrink(above))
    parts = sitk.GetArrayFromImage(
        sitk.RelabelComponent(
            sitk.ConnectedComponent(sitk.GetImageFromArray((opened if opened.any() else above).astype(np.uint8)))
        )
    )
    sizes = np.bincount(parts.reshape(-1))[1:]
    body = (parts > 0) & (parts <= np.count_nonzero(sizes >= 0.05 * sizes.max()))
    if np.count_nonzero(body) < 0.5 * np.count_nonzero(above):
        body = above  # many small pieces and no body, as in an angiogram: all of them count
    # What opening shaved off the rim comes back, but not the specks it removed.
    body = (_grow(body) & above) | body
    body |= _shrink(_shrink(_grow(_grow(body))))
    # A neck or a thorax is open at the first and last slice: with a lid there, it is a hole like any other.
    return filled(np.concatenate([filled(body[0])[None], body, filled(body[-1])[None]]))[1:-1]


def filled(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The mask and the holes that it encloses."""
    import SimpleITK as sitk  # noqa: N813

    return sitk.GetArrayFromImage(sitk.BinaryFillhole(sitk.GetImageFromArray(mask.astype(np.uint8)))) > 0


def depth(mask: NDArray[np.bool_]) -> NDArray[np.float32]:
    """How far each place of the mask lies from the nearest outside, in pixels; 0 outside."""
    import SimpleITK as sitk  # noqa: N813

    outside = sitk.GetImageFromArray((~mask).astype(np.uint8))
    away = sitk.SignedMaurerDistanceMap(outside, insideIsPositive=False, squaredDistance=False, useImageSpacing=False)
    return np.maximum(sitk.GetArrayFromImage(away), 0)


def _grow(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Dilation by one voxel along the axes."""
    out = mask.copy()
    out[1:] |= mask[:-1]
    out[:-1] |= mask[1:]
    out[:, 1:] |= mask[:, :-1]
    out[:, :-1] |= mask[:, 1:]
    out[:, :, 1:] |= mask[:, :, :-1]
    out[:, :, :-1] |= mask[:, :, 1:]
    return out


def _shrink(mask: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Erosion by one voxel along the axes; the border of the volume does not erode."""
    return ~_grow(~mask)


def _blur(array: NDArray[np.float32], sigma: float, axis: int) -> NDArray[np.float32]:
    """Gaussian smoothing along one axis, `sigma` in voxels, the border repeated."""
    radius = min(int(3 * sigma + 0.5), array.shape[axis])
    if radius == 0:
        return array
    weights = np.exp(-0.5 * (np.arange(-radius, radius + 1) / sigma) ** 2)
    padding = [(radius, radius) if n == axis else (0, 0) for n in range(array.ndim)]
    padded = np.pad(array, padding, mode="edge")
    out = np.zeros_like(array)
    for offset, weight in enumerate(weights / weights.sum()):
        part = [slice(offset, offset + array.shape[axis]) if n == axis else slice(None) for n in range(array.ndim)]
        out += padded[tuple(part)] * np.float32(weight)
    return out


def foreground(gray: NDArray[np.uint8], spacing: tuple[float, float, float]) -> NDArray[np.bool_]:
    """The hard mask of an 8-bit volume, at full resolution."""
    mask = soft_mask(gray, Window(0, 255), spacing)
    return np.concatenate([mask.slab(k, k + 1) > 127 for k in range(gray.shape[0])])
