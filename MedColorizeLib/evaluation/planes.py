"""One pass over every slice across K: luma, histograms, edges, colour outside the body. All voxels, a slice at a time.

An edge here is a step between voxels about 2 mm apart, in the slice. Thresholds are in 8-bit codes.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.colordiff import lab
from ..imaging.colorspaces import luma_codes
from ..progress import CancelToken, OnProgress, track
from .stack import mirrored

LUMA_EDGE = 6
"""Codes by which the input must step to count as having an edge."""
RESULT_EDGE = 12
"""Codes by which luma must step in the one picture to be missed in the other."""
CHROMA_EDGE = 16
"""Codes by which Cb or Cr must step to be a visible edge of colour."""
REACH_MM = 2.0
"""How far from the input's edge an edge of colour may lie."""
_HALF_STEP_MM = 1.0
_RIM_MM = 3.0
_VISIBLE = 5.0
_BOUND_CHROMA = 10
_ROWS = 96


@dataclass
class Edges:
    """Counts of edge voxels: all, and those without a counterpart."""

    chroma: int = 0
    bled: int = 0
    result: int = 0
    invented: int = 0
    source: int = 0
    lost: int = 0

    def add(self, other: Edges) -> None:
        for name in vars(self):
            setattr(self, name, getattr(self, name) + getattr(other, name))


@dataclass
class Planes:
    """What the pass has counted; per-slice arrays are over the slice's foreground."""

    joint: NDArray[np.int64]
    """(256, 256): input code against luma of the result, all voxels."""
    colorful: NDArray[np.float64]
    """(K,): Hasler and Suesstrunk of each slice."""
    colorfulness: float = np.nan
    edges: Edges = field(default_factory=Edges)
    rows: dict[str, NDArray[np.float64]] = field(default_factory=dict)
    counted: int = 0
    """Foreground voxels looked at for colourfulness and gamut."""
    bound: int = 0
    """Of these, those with a channel at 0 or 255 and colour to speak of."""
    foreground: int = 0
    outside: int = 0
    outside_colored: int = 0
    outside_chroma: float = 0.0


def measure_planes(
    gray: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    foreground: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Planes:
    """Look at every slice once."""
    slices = gray.shape[0]
    names = ("luma_error_max", "luma_error_mean", "bleeding_share", "invented_share", "clipped_share")
    out = Planes(
        np.zeros((256, 256), np.int64),
        np.full(slices, np.nan),
        rows={name: np.full(slices, np.nan) for name in names},
    )
    moments = np.zeros(5)
    rows = mirrored(gray.shape[1], max(_ROWS, gray.shape[1] // 2))
    codes = np.arange(256)
    for k in track(range(slices), "report: slices", slices, on_progress, cancel):
        plane, inside = np.ascontiguousarray(rgb[k]), foreground[k]
        y = luma_codes(plane)
        kept = np.array_equal(y, gray[k])
        if kept:
            out.joint[codes, codes] += np.bincount(y.ravel(), minlength=256)
        else:
            out.joint += np.bincount((gray[k].astype(np.int32) * 256 + y).ravel(), minlength=65536).reshape(256, 256)
        _outside(out, plane, inside, spacing)
        count = int(np.count_nonzero(inside))
        if not count:
            continue
        out.foreground += count
        error = np.zeros(1) if kept else np.abs(gray[k][inside].astype(np.int16) - y[inside])
        out.rows["luma_error_max"][k], out.rows["luma_error_mean"][k] = error.max(), error.mean()
        box = _around(inside, spacing)
        edges = find_edges(gray[k][box], y[box], plane[box], inside[box], spacing)
        out.edges.add(edges)
        out.rows["bleeding_share"][k] = edges.bled / edges.chroma if edges.chroma else 0.0
        out.rows["invented_share"][k] = edges.invented / edges.result if edges.result else 0.0
        bound, sums = _colors(_chosen(plane[rows], inside[rows]))
        out.bound += bound
        out.counted += int(sums[0])
        out.rows["clipped_share"][k] = bound / max(sums[0], 1)
        out.colorful[k] = _colorfulness(sums)
        moments += sums
    out.colorfulness = _colorfulness(moments)
    return out


def _around(inside: NDArray[np.bool_], spacing: tuple[float, float, float]) -> tuple[slice, slice]:
    """The part of a slice that its edges depend on: the foreground's bounds and one tap around them."""
    out = []
    for axis in (0, 1):
        used = np.flatnonzero(inside.any(axis=1 - axis))
        margin = _voxels(_HALF_STEP_MM, spacing[1 + axis])
        out.append(slice(max(0, int(used[0]) - margin), int(used[-1]) + 1 + margin))
    return out[0], out[1]


def find_edges(
    gray: NDArray[np.uint8],
    luma: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    inside: NDArray[np.bool_],
    spacing: tuple[float, float, float],
) -> Edges:
    """Edges of one slice's colour and luma, and which of them the input (or the result) does not share."""
    half = (_voxels(_HALF_STEP_MM, spacing[1]), _voxels(_HALF_STEP_MM, spacing[2]))
    reach = (_voxels(REACH_MM, spacing[1]), _voxels(REACH_MM, spacing[2]))
    valid = _valid(inside, half)
    source = np.where(valid, _step(gray, half), 0)
    near_source = _dilate(source >= LUMA_EDGE, reach)
    out = Edges()
    y = luma.astype(np.int16)
    # Cb and Cr of JPEG: (B - Y) / 1.772 and (R - Y) / 1.402.
    blue, red = (rgb[..., 2] - y) * np.int16(36) // np.int16(64), (rgb[..., 0] - y) * np.int16(46) // np.int16(64)
    chroma = (np.maximum(_step(blue, half), _step(red, half)) >= CHROMA_EDGE) & valid
    out.chroma = int(np.count_nonzero(chroma))
    out.bled = int(np.count_nonzero(chroma & ~near_source))
    strong_source = source >= RESULT_EDGE
    out.source = int(np.count_nonzero(strong_source))
    if np.array_equal(gray, luma):
        out.result = out.source
        return out
    result = np.where(valid, _step(luma, half), 0)
    strong_result = result >= RESULT_EDGE
    out.result = int(np.count_nonzero(strong_result))
    out.invented = int(np.count_nonzero(strong_result & ~near_source))
    out.lost = int(np.count_nonzero(strong_source & ~_dilate(result >= LUMA_EDGE, reach)))
    return out


def _voxels(distance_mm: float, spacing_mm: float) -> int:
    return max(1, round(distance_mm / spacing_mm))


def _step(plane: NDArray[Any], half: tuple[int, int]) -> NDArray[np.int16]:
    """The larger of the steps along rows and columns between the voxels `half` before and after."""
    plane = plane.astype(np.int16)
    out = np.zeros(plane.shape, dtype=np.int16)
    down, across = half
    if plane.shape[0] > 2 * down:
        np.abs(plane[2 * down :] - plane[: -2 * down], out=out[down:-down])
    if plane.shape[1] > 2 * across:
        middle = out[:, across:-across]
        np.maximum(middle, np.abs(plane[:, 2 * across :] - plane[:, : -2 * across]), out=middle)
    return out


def _valid(inside: NDArray[np.bool_], half: tuple[int, int]) -> NDArray[np.bool_]:
    """Voxels all of whose taps lie in the foreground, so that nothing outside is looked at."""
    return ~_dilate(~inside, half, cross=True)


def _dilate(mask: NDArray[np.bool_], reach: tuple[int, int], cross: bool = False) -> NDArray[np.bool_]:
    """`mask` grown by `reach` voxels along rows and columns: to a rectangle, or to a cross."""
    down = _dilate_along(mask, reach[0], 0)
    return down | _dilate_along(mask, reach[1], 1) if cross else _dilate_along(down, reach[1], 1)


def _dilate_along(mask: NDArray[np.bool_], reach: int, axis: int) -> NDArray[np.bool_]:
    """Grown along one axis, by doubling."""
    out = mask.copy()
    length, grown = mask.shape[axis], 0
    while grown < min(reach, length - 1):
        step = min(grown + 1, reach - grown, length - 1)
        before, source = out, out.copy()
        ahead = [slice(None)] * 2
        behind = [slice(None)] * 2
        ahead[axis], behind[axis] = slice(step, None), slice(None, -step)
        before[tuple(ahead)] |= source[tuple(behind)]
        before[tuple(behind)] |= source[tuple(ahead)]
        grown += step
    return out


def _outside(
    out: Planes, rgb: NDArray[np.uint8], inside: NDArray[np.bool_], spacing: tuple[float, float, float]
) -> None:
    """Colour where there is no body: every other voxel both ways, a rim left out because the mask is unsure there."""
    rim = (_voxels(_RIM_MM, 2 * spacing[1]), _voxels(_RIM_MM, 2 * spacing[2]))
    some, away = rgb[::2, ::2], ~_dilate(inside[::2, ::2], rim)
    out.outside += int(np.count_nonzero(away))
    # Gray has no chroma: only the rest is worth converting.
    away &= (some[..., 0] != some[..., 1]) | (some[..., 1] != some[..., 2])
    colored = _chosen(some, away)
    if len(colored):
        chroma = np.hypot(*lab(colored)[:, 1:].T)
        out.outside_colored += int(np.count_nonzero(chroma > _VISIBLE))
        out.outside_chroma += float(chroma.sum(dtype=np.float64))


def _chosen(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> NDArray[np.uint8]:
    """`rgb[mask]`, which numpy is slow at."""
    chosen = np.flatnonzero(mask)
    return np.take(rgb.reshape(-1, 3), chosen, axis=0) if len(chosen) else np.empty((0, 3), np.uint8)


def _colors(rgb: NDArray[np.uint8]) -> tuple[int, NDArray[np.float64]]:
    """How many colours touch the gamut's bounds; and count, sums and sums of squares of the two opponent axes."""
    red, green, blue = (rgb[:, c].astype(np.int16) for c in range(3))
    low, high = np.minimum(np.minimum(red, green), blue), np.maximum(np.maximum(red, green), blue)
    bound = int(np.count_nonzero(((low == 0) | (high == 255)) & (high - low > _BOUND_CHROMA)))
    rg, yb = (red - green).astype(np.float32), ((red + green) * np.float32(0.5) - blue).astype(np.float32)
    square = np.array([np.dot(rg, rg), np.dot(yb, yb)], dtype=np.float64)
    return bound, np.array([len(rgb), rg.sum(dtype=np.float64), yb.sum(dtype=np.float64), *square])


def _colorfulness(sums: NDArray[np.float64]) -> float:
    """Hasler and Suesstrunk 2003, M3: root of the summed variances plus 0.3 of the distance of the means."""
    if not sums[0]:
        return np.nan
    mean, square = sums[1:3] / sums[0], sums[3:] / sums[0]
    return float(np.sqrt(np.maximum(square - mean**2, 0).sum()) + 0.3 * np.hypot(*mean))


def colorfulness(rgb: NDArray[np.uint8]) -> float:
    """Colourfulness of any set of colours (..., 3): Hasler and Suesstrunk 2003."""
    return _colorfulness(_colors(rgb.reshape(-1, 3))[1])
