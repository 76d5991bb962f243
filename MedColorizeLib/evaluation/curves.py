"""A tissue's colour from slice to slice, split into slow drift and slice-to-slice jitter.

The mean colour of a tissue also moves when the slice happens to hold more of its darker parts. That is anatomy, so
the curves are standardised: colour is modelled as what the input's intensity explains (the same in all slices) plus
what the slice adds, and the curve shows the second on top of the tissue's mean.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.colordiff import chroma_difference
from ..imaging.colorspaces import lab_to_rgb
from .records import Numbers, TissueCurve
from .stack import BIN, Stack

MIN_VOXELS = 24
"""A slice with fewer sampled voxels of a tissue has no mean colour of it."""
_FULL_WEIGHT = 256
_BINS = 256 // BIN
_ROUNDS = 8


@dataclass(frozen=True)
class Curves:
    """The tissues' curves and their means, weighted by voxels."""

    tissues: tuple[TissueCurve, ...]
    drift: float
    jitter: float
    spread: float


def tissue_curves(stack: Stack, smoothing_mm: float, spread: NDArray[np.float64]) -> Curves:
    """One curve for each tissue that has at least one slice to show; `spread` is per `stack.tissues`."""
    counts, sums = _tally(stack)
    found = []
    for t, tissue in enumerate(stack.tissues):
        per_slice = counts[:, t].sum(axis=1)
        shown = per_slice >= MIN_VOXELS
        if not shown.any():
            continue
        lightness = np.where(shown, sums[0, :, t].sum(axis=1) / np.maximum(per_slice, 1), np.nan)
        mean = sums[:, :, t].sum(axis=(1, 2)) / per_slice.sum()
        ab = mean[1:] + _added_by_slice(counts[:, t], sums[1:, :, t])
        ab[~shown] = np.nan
        smooth, jitter = split(ab, np.minimum(per_slice, _FULL_WEIGHT) * shown, stack.spacing_mm, smoothing_mm)
        drift = widest(smooth[shown])
        reach = float(np.ptp(np.flatnonzero(shown))) * stack.spacing_mm
        codes = np.cumsum(counts[:, t].sum(axis=0)) / per_slice.sum()
        swatch = np.clip(np.rint(lab_to_rgb(mean)), 0, 255).astype(int)
        found.append(
            TissueCurve(
                name=tissue.name,
                label=tissue.label,
                from_labels=tissue.from_labels,
                gray_range=(int(np.searchsorted(codes, 0.05)) * BIN, int(np.searchsorted(codes, 0.95)) * BIN + BIN - 1),
                voxels=int(per_slice.sum()),
                lab=np.column_stack([lightness, ab]),
                smooth_ab=smooth,
                count=per_slice.astype(np.int64),
                mean_rgb=(int(swatch[0]), int(swatch[1]), int(swatch[2])),
                drift=drift,
                drift_per_mm=drift / reach if reach > 0 else np.nan,
                jitter=jitter,
                spread=float(spread[t]),
            )
        )
    weights = np.array([c.voxels for c in found], dtype=np.float64)
    means = [_average(np.array([getattr(c, name) for c in found]), weights) for name in ("drift", "jitter", "spread")]
    return Curves(tuple(found), *means)


def _tally(stack: Stack) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Voxels (slices, tissues, bins) and sums of L, a, b (3, slices, tissues, bins)."""
    slices, tissues = len(stack.gray), max(len(stack.tissues), 1)
    counts = np.zeros((slices, tissues * _BINS))
    sums = np.zeros((3, slices, tissues * _BINS))
    for k in range(slices):
        known = stack.tissue[k] > 0
        cell = (stack.tissue[k][known].astype(np.int64) - 1) * _BINS + stack.gray[k][known] // BIN
        counts[k] = np.bincount(cell, minlength=counts.shape[1])
        for channel in range(3):
            sums[channel, k] = np.bincount(cell, stack.lab[k, :, channel][known], counts.shape[1])
    return counts.reshape(slices, tissues, _BINS), sums.reshape(3, slices, tissues, _BINS)


def _added_by_slice(counts: NDArray[np.float64], sums: NDArray[np.float64]) -> NDArray[np.float64]:
    """(slices, 2): least squares of colour = of its intensity bin + added by its slice, by turns (backfitting)."""
    per_slice = np.maximum(counts.sum(axis=1), 1)
    per_bin = np.maximum(counts.sum(axis=0), 1)
    added = np.zeros((2, len(counts)))
    for _ in range(_ROUNDS):
        of_bin = (sums.sum(axis=1) - added @ counts) / per_bin
        added = (sums.sum(axis=2) - of_bin @ counts.T) / per_slice
    added -= (added @ per_slice / per_slice.sum())[:, None]
    return added.T


def split(
    ab: NDArray[np.float64], weight: NDArray[np.float64], spacing_mm: float, smoothing_mm: float
) -> tuple[Numbers, float]:
    """The slow part of a curve (slices, 2), and the root mean square dE of slices about it.

    Locally linear smoothing, so that a steady drift leaves nothing behind even at the ends; the mean square is divided
    by the degrees of freedom that the smoothing left, so it does not depend on how many slices it spans.
    """
    shown = weight > 0
    smooth = np.full(ab.shape, np.nan)
    x, w = np.flatnonzero(shown) * spacing_mm, weight[shown].astype(np.float64)
    steps = x[None, :] - x[:, None]
    kernel = np.exp(-0.5 * (steps / smoothing_mm) ** 2) * w
    s0, s1, s2 = kernel.sum(1), (kernel * steps).sum(1), (kernel * steps**2).sum(1)
    determinant = s0 * s2 - s1**2
    local = determinant > 1e-9 * s0 * s2
    line = kernel * (s2[:, None] - steps * s1[:, None]) / np.where(local, determinant, 1)[:, None]
    smoother = np.where(local[:, None], line, kernel / s0[:, None])
    smooth[shown] = smoother @ ab[shown]
    freedom = len(x) - 2 * np.trace(smoother) + (smoother**2).sum()
    if freedom < 0.5:
        return smooth, np.nan
    square = chroma_difference(ab[shown], smooth[shown]).astype(np.float64) ** 2
    return smooth, float(np.sqrt((square * w).sum() / w.sum() * len(x) / freedom))


def widest(ab: NDArray[np.float64]) -> float:
    """dE between the two colours of a curve that lie farthest apart, sought among its extremes in eight directions."""
    if len(ab) < 2:
        return 0.0
    turns = np.deg2rad(np.arange(0, 180, 22.5))
    along = ab @ np.stack([np.cos(turns), np.sin(turns)])
    extremes = ab[np.concatenate([along.argmin(axis=0), along.argmax(axis=0)])]
    return float(chroma_difference(extremes[:, None], extremes[None]).max())


def tissue_spread(stack: Stack) -> NDArray[np.float64]:
    """Mean dE of each tissue's voxels to the tissue's mean colour."""
    out = np.full(len(stack.tissues), np.nan)
    for t in range(len(stack.tissues)):
        ab = stack.ab[stack.tissue == t + 1]
        if len(ab):
            out[t] = chroma_difference(ab, ab.mean(axis=0, dtype=np.float64)).mean(dtype=np.float64)
    return out


def _average(values: NDArray[np.float64], weights: NDArray[np.float64]) -> float:
    known = np.isfinite(values)
    return float(np.average(values[known], weights=weights[known])) if known.any() else np.nan
