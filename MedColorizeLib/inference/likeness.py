"""What a scan looks like to the network that colours it: figures of a few slices, to be held against training's.

The slices are measured as the network gets them (windowed, masked, at its mm per pixel), and so is what it makes of
them. `bundles.likeness` keeps how these figures spread over the training scans, and compares. Not for: whether the
colours are right, which nobody can measure, or choosing a model.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
from numpy.typing import NDArray

from ..bundles.likeness import Figures
from ..imaging.colorspaces import LUMA
from ..imaging.foreground import depth, filled
from .framing import Scene, box_mean

SLICES = 9
"""Slices looked at, evenly over the middle of the body."""
_LEAST_PIXELS = 200
_FAR = 4
"""Pixels apart at which structure is seen; one pixel apart, noise is."""
_COURSE_MM = 10.0
"""Millimetres after which no part of a body is the same."""
_BANDS = {"rim": (0.0, 4.0), "shell": (5.0, 10.0), "depth": (12.0, 20.0)}
"""Layers below the body's surface, in mm."""

Colored = Callable[[int], NDArray[np.float32] | None]
"""What the network makes of a slice, (3, H, W) in 0..255 in its window; None for air."""


def chosen_slices(scene: Scene, count: int = SLICES, step: int = 1) -> list[int]:
    """Slices evenly over the middle four fifths of the body, along the network's plane; the nearest `step`-th ones.

    So slices can be taken that the network will be run on anyway.
    """
    held = np.flatnonzero(scene.body.coarse.max(axis=(1, 2)) > 127) * scene.body.steps[0]
    if not len(held):
        return []
    first, last = int(held[0]), min(int(held[-1]), len(scene.gray) - 1)
    places = np.linspace(first + 0.1 * (last - first), last - 0.1 * (last - first), count)
    return sorted({min(round(place / step) * step, len(scene.gray) - 1) for place in places})


def measure(scene: Scene, colored: Colored, slices: Iterable[int]) -> list[Figures]:
    """The figures of each slice looked at; slices that show next to nothing are left out."""
    found = (slice_figures(scene, n, colored) for n in slices)
    return [figures for figures in found if figures]


def slice_figures(scene: Scene, n: int, colored: Colored) -> Figures:
    """The figures of one slice, by name; empty where too little of a body is seen."""
    codes = scene.framed(n).codes.astype(np.float32)
    body = filled(codes > 0)
    if np.count_nonzero(body) < _LEAST_PIXELS:
        return {}
    rgb = colored(n)
    if rgb is None:
        return {}
    mm = scene.turn.mm[1] * scene.gray.shape[1] / scene.shape[0]
    inside = codes[body]
    low, middle, high = np.percentile(inside, (10, 50, 90))
    spread = max(float(high - low), 8.0)
    near, far = _change(codes, body, 1), _change(codes, body, _FAR)
    rows, columns = np.flatnonzero(body.any(axis=1)), np.flatnonzero(body.any(axis=0))
    chroma = _chroma(rgb)[:, body]
    out = {
        "size": 2 * np.sqrt(len(inside) / np.pi) * mm,
        "roundness": len(inside) / ((rows[-1] - rows[0] + 1) * (columns[-1] - columns[0] + 1)),
        "dark": np.mean(inside < 26),
        "middle": middle / 255,
        "contrast": spread / 255,
        "bright": np.mean(inside > 229),
        "texture": far / spread,
        "grain": near / max(far, 1.0),
        "symmetry": _symmetry(codes, body, columns),
        "blue": chroma[0].mean(),
        "red": chroma[1].mean(),
        "variety": np.hypot(*chroma.std(axis=1)),
    }
    below = depth(body) * mm
    for name, (top, bottom) in _BANDS.items():
        band = codes[(below > top) & (below <= bottom)]
        out[name] = (band.mean() - middle) / 255 if len(band) else 0.0
    if len(scene.gray) > 1:
        out["across"] = _across(scene, n, codes, body, mm, 1)
    away = max(2, round(_COURSE_MM / scene.turn.mm[0]))
    if len(scene.gray) > 2 * away:
        out["course"] = _across(scene, n, codes, body, mm, away)
    return {name: round(float(value), 5) for name, value in out.items()}


def _change(codes: NDArray[np.float32], body: NDArray[np.bool_], step: int) -> float:
    """Mean difference of pixels `step` apart, both in the body, down and across."""
    down, across = body[step:] & body[:-step], body[:, step:] & body[:, :-step]
    differences = np.abs(codes[step:] - codes[:-step])[down], np.abs(codes[:, step:] - codes[:, :-step])[across]
    return float(sum(each.sum() for each in differences) / max(sum(map(len, differences)), 1))


def _symmetry(codes: NDArray[np.float32], body: NDArray[np.bool_], columns: NDArray[np.intp]) -> float:
    """Correlation of the slice with its mirror image; coarse, so that a slight turn of the head doesn't matter."""
    cut = np.where(body, codes, 0)[:, columns[0] : columns[-1] + 1]
    smooth = box_mean(cut, 8)[::4]
    if smooth.std() == 0:
        return 1.0
    return float(np.corrcoef(smooth.ravel(), smooth[:, ::-1].ravel())[0, 1])


def _across(scene: Scene, n: int, codes: NDArray[np.float32], body: NDArray[np.bool_], mm: float, away: int) -> float:
    """How much a slice `away` from this one differs, over how much the slice itself changes within that distance.

    The more alike of the two such slices counts: in thick slices that were resampled, some come in pairs.
    """
    step = int(np.clip(round(away * scene.turn.mm[0] / mm), 1, 3 * _FAR))
    beside = [scene.framed(m).codes.astype(np.float32) for m in (n - away, n + away) if 0 <= m < len(scene.gray)]
    least = min(float(np.abs(codes - other)[body].mean()) for other in beside)
    return least / max(_change(codes, body, step), 1.0)


def _chroma(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Cb and Cr, (2, H, W)."""
    luma = rgb[0] * LUMA[0] + rgb[1] * LUMA[1] + rgb[2] * LUMA[2]
    return np.stack([(rgb[2] - luma) / 1.772, (rgb[0] - luma) / 1.402]).astype(np.float32)
