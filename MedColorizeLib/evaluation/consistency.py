"""Slice-to-slice consistency of colour: flicker, drift and jitter, spread, isotropy, slices that stand out.

Chroma only: a change of brightness is anatomy, a change of colour at the same brightness is not. Differences are
CIEDE2000 at equal lightness (dE). Nothing here reads files or knows of images; it works on `Stack`s.

Invariances (tested): order of the slices reversed; the same tissue sampled twice as finely (per-mm scores);
whatever lies outside the foreground.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..imaging.colordiff import chroma_difference
from .curves import Curves, tissue_curves
from .outliers import find_outliers, jumps_of
from .records import AxisConsistency, FramesConsistency, Numbers, OutlierSlice
from .stack import MATCH, Stack, mirrored

MIN_MATCHED = 32
"""A pair of slices with fewer matched voxels than this says nothing."""
SMOOTHING_MM = 10.0
LEVELS = 17
"""Classes of intensity in which a shift is averaged, besides labels."""
_BLOCK = 16
_FLOOR = 0.05


@dataclass(frozen=True)
class Pairs:
    """Differences between each slice and the next."""

    matched: NDArray[np.int64]
    median: Numbers
    p95: Numbers
    shift: Numbers


def match(stack: Stack, start: int, stop: int, lag: int = 1) -> NDArray[np.bool_]:
    """Where slices `start` to `stop` show the same tissue as those `lag` on: both foreground, similar, same label."""
    here, there = slice(start, stop), slice(start + lag, stop + lag)
    first, second = stack.gray[here], stack.gray[there]
    near = np.maximum(first, second) - np.minimum(first, second) <= MATCH
    near &= stack.inside[here] & stack.inside[there]
    if stack.labelled:
        near &= stack.tissue[here] == stack.tissue[there]
    return near


def pair_differences(stack: Stack) -> Pairs:
    """Flicker of each pair of neighbours, voxel by voxel (median, p95) and in common (shift)."""
    pairs = max(len(stack.gray) - 1, 0)
    out = Pairs(np.zeros(pairs, np.int64), *(np.full(pairs, np.nan) for _ in range(3)))
    for start in range(0, pairs, _BLOCK):
        stop = min(start + _BLOCK, pairs)
        near = match(stack, start, stop)
        counts = np.count_nonzero(near, axis=1)
        out.matched[start:stop] = counts
        first, second = stack.ab[start:stop][near], stack.ab[start + 1 : stop + 1][near]
        values = chroma_difference(first, second)
        level = (stack.gray[start:stop][near].astype(np.int64) + stack.gray[start + 1 : stop + 1][near]) * LEVELS // 511
        if stack.labelled:
            level += stack.tissue[start:stop][near].astype(np.int64) * LEVELS
        shifts = _common_shifts(first, second, np.repeat(np.arange(stop - start), counts), level)
        for k, (count, end) in enumerate(zip(counts, np.cumsum(counts), strict=True), start):
            if count >= MIN_MATCHED:
                out.median[k], out.p95[k] = _quantiles(values[end - count : end], (0.5, 0.95))
                out.shift[k] = shifts[k - start]
    return out


def _quantiles(values: NDArray[np.float32], at: tuple[float, ...]) -> list[float]:
    """As numpy's percentiles, without their overhead on short arrays."""
    ordered = np.sort(values)
    return [float(v) for v in np.interp(np.multiply(at, len(ordered) - 1), np.arange(len(ordered)), ordered)]


def _common_shifts(
    first: NDArray[np.float32], second: NDArray[np.float32], pair: NDArray[np.int64], level: NDArray[np.int64]
) -> Numbers:
    """dE between the mean colours of either side, per pair and intensity level (and label), weighted by voxels."""
    levels = int(level.max(initial=0)) + 1
    pairs = int(pair.max(initial=-1)) + 1
    cell = pair * levels + level
    counts = np.bincount(cell, minlength=pairs * levels)
    means = [
        np.stack([np.bincount(cell, side[:, c], len(counts)) for c in (0, 1)], 1) / np.maximum(counts, 1)[:, None]
        for side in (first, second)
    ]
    # Voxel noise leaves a mean of n voxels uncertain by 1/sqrt(n), so small levels say little: weight n - 1.
    weight = np.maximum(counts - 1, 0).reshape(pairs, levels)
    size = chroma_difference(means[0], means[1]).reshape(pairs, levels)
    total = weight.sum(axis=1)
    return np.where(total > 0, (size * weight).sum(axis=1) / np.maximum(total, 1), np.nan)


def mean_difference(stack: Stack, distance: float) -> float:
    """Mean step in the a, b plane between matched places `distance` mm apart; at most 64 pairs of slices."""
    lag = max(1, round(distance / stack.spacing_mm))
    starts = max(len(stack.gray) - lag, 0)
    total, count = 0.0, 0
    for k in mirrored(starts) if starts else ():
        near = match(stack, int(k), int(k) + 1, lag)[0]
        step = stack.ab[k + lag][near] - stack.ab[k][near]
        total += float(np.hypot(step[:, 0], step[:, 1]).sum(dtype=np.float64))
        count += len(step)
    return total / count if count >= MIN_MATCHED else np.nan


@dataclass(frozen=True)
class Isotropy:
    """For each axis, chroma variation across it over that along the other two, at the same distance."""

    ratios: tuple[float, float, float]
    distance_mm: float


def isotropy(stacks: tuple[Stack, Stack, Stack]) -> Isotropy:
    """1 where colour varies no more across slices than within them. The distance is that of the widest spacing."""
    distance = max((s.spacing_mm for s in stacks if len(s.gray) > 1), default=np.nan)
    means = [mean_difference(s, distance) if len(s.gray) > 1 else np.nan for s in stacks]
    ratios = []
    for axis in range(3):
        within = [means[n] for n in range(3) if n != axis and np.isfinite(means[n])]
        # The floor, in dE, keeps the ratio of two nothings at 1.
        ratios.append((means[axis] + _FLOOR) / (float(np.mean(within)) + _FLOOR) if within else np.nan)
    return Isotropy((ratios[0], ratios[1], ratios[2]), distance)


def axis_consistency(
    axis: int, plane: str, stack: Stack, start: int, spread: NDArray[np.float64], direction: Isotropy
) -> AxisConsistency:
    """All scores across one axis. `start`: index of the stack's first slice in the whole volume."""
    smoothing = max(SMOOTHING_MM, 2 * stack.spacing_mm)
    pairs = pair_differences(stack)
    curves = tissue_curves(stack, smoothing, spread)
    measured = np.isfinite(pairs.median)
    walked = measured.sum() * stack.spacing_mm
    return AxisConsistency(
        axis=axis,
        plane=plane,
        spacing_mm=stack.spacing_mm,
        smoothing_mm=smoothing,
        pairs=np.arange(len(pairs.median)) + start,
        matched=pairs.matched,
        flicker_median=pairs.median,
        flicker_p95=pairs.p95,
        shift=pairs.shift,
        flicker=_mean(pairs.median),
        flicker_p95_of_pairs=float(np.percentile(pairs.median[measured], 95)) if measured.any() else np.nan,
        flicker_per_mm=float(np.nansum(pairs.median) / walked) if walked else np.nan,
        shift_per_mm=float(np.nansum(pairs.shift) / walked) if walked else np.nan,
        drift=curves.drift,
        jitter=curves.jitter,
        spread=curves.spread,
        isotropy=direction.ratios[axis],
        isotropy_distance_mm=direction.distance_mm,
        tissues=curves.tissues,
        outliers=_outliers(stack, curves, pairs, start),
    )


def frames_consistency(stack: Stack, spread: NDArray[np.float64]) -> FramesConsistency:
    """The same over frames: a stack whose "slices" are frames, one unit apart."""
    pairs = pair_differences(stack)
    curves = tissue_curves(stack, SMOOTHING_MM, spread)
    outliers = tuple(
        OutlierSlice(o.index, np.nan, o.score, o.size, tuple(r.replace("slice", "frame") for r in o.reasons))
        for o in _outliers(stack, curves, pairs, 0)
    )
    return FramesConsistency(
        frames=len(stack.gray),
        flicker_median=pairs.median,
        flicker_p95=pairs.p95,
        shift=pairs.shift,
        flicker=_mean(pairs.median),
        tissues=curves.tissues,
        drift=curves.drift,
        jitter=curves.jitter,
        outliers=outliers,
    )


def _outliers(stack: Stack, curves: Curves, pairs: Pairs, start: int) -> tuple[OutlierSlice, ...]:
    slices = find_outliers(curves, stack.spacing_mm, start)
    return jumps_of(pairs.shift, slices, stack.spacing_mm, start)


def _mean(values: Numbers) -> float:
    return float(np.nanmean(values)) if np.isfinite(values).any() else np.nan
