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

from .colordiff import chroma_difference
from .curves import Curves, tissue_curves
from .outliers import find_outliers, jumps_of
from .records import AxisConsistency, FramesConsistency, Numbers, OutlierSlice
from .stack import MATCH, Stack, mirrored

MIN_MATCHED = 32
"""A pair of slices with fewer matched voxels than this says nothing."""
SMOOTHING_MM = 10.0
_LEVELS = 17
"""Classes of intensity in which a shift is averaged, besides labels."""


@dataclass(frozen=True)
class Pairs:
    """Differences between each slice and the next."""

    matched: NDArray[np.int64]
    median: Numbers
    p95: Numbers
    shift: Numbers


def match(stack: Stack, k: int, lag: int = 1) -> NDArray[np.bool_]:
    """Places where slices `k` and `k + lag` show the same tissue: both foreground, similar intensity, same label."""
    first, second = stack.gray[k], stack.gray[k + lag]
    near = np.maximum(first, second) - np.minimum(first, second) <= MATCH
    near &= stack.inside[k] & stack.inside[k + lag]
    if stack.tissues and stack.tissues[0].from_labels:
        near &= stack.tissue[k] == stack.tissue[k + lag]
    return near


def pair_differences(stack: Stack) -> Pairs:
    """Flicker of each pair of neighbours, voxel by voxel (median, p95) and in common (shift)."""
    pairs = max(len(stack.gray) - 1, 0)
    out = Pairs(np.zeros(pairs, np.int64), *(np.full(pairs, np.nan) for _ in range(3)))
    labelled = bool(stack.tissues and stack.tissues[0].from_labels)
    for k in range(pairs):
        near = match(stack, k)
        out.matched[k] = count = int(np.count_nonzero(near))
        if count < MIN_MATCHED:
            continue
        first, second = stack.ab[k][near], stack.ab[k + 1][near]
        out.median[k], out.p95[k] = np.percentile(chroma_difference(first, second), (50, 95))
        level = (stack.gray[k][near].astype(np.int64) + stack.gray[k + 1][near]) * _LEVELS // 511
        if labelled:
            level += stack.tissue[k][near].astype(np.int64) * _LEVELS
        out.shift[k] = _common_shift(first, second, level)
    return out


def _common_shift(first: NDArray[np.float32], second: NDArray[np.float32], level: NDArray[np.int64]) -> float:
    """dE between the mean colours of either side, per intensity level (and label), weighted by voxels."""
    counts = np.bincount(level)
    present = counts > 0
    means = [
        np.stack([np.bincount(level, side[:, c], len(counts))[present] for c in (0, 1)], 1) / counts[present, None]
        for side in (first, second)
    ]
    # Voxel noise leaves a mean of n voxels uncertain by 1/sqrt(n), so small levels say little: weight n - 1.
    weight = np.maximum(counts[present] - 1, 0)
    return float(np.average(chroma_difference(means[0], means[1]), weights=weight)) if weight.any() else np.nan


def mean_difference(stack: Stack, lag: int) -> tuple[float, int]:
    """Mean distance in the a, b plane of matched places `lag` slices apart, and how many there were."""
    total, count = 0.0, 0
    # At most 64 pairs: an average over places needs no more.
    starts = np.arange(max(len(stack.gray) - lag, 0))
    for k in starts[mirrored(len(starts))] if len(starts) else starts:
        near = match(stack, int(k), lag)
        step = stack.ab[k + lag][near] - stack.ab[k][near]
        total += float(np.hypot(step[:, 0], step[:, 1]).sum(dtype=np.float64))
        count += len(step)
    return (total / count if count >= MIN_MATCHED else np.nan), count


def isotropy(stacks: tuple[Stack, Stack, Stack], axis: int) -> tuple[float, float]:
    """Chroma variation across `axis` over that along the other two at the same distance; and the distance in mm."""
    distance = max(s.spacing_mm for s in stacks if len(s.gray) > 1) if any(len(s.gray) > 1 for s in stacks) else np.nan
    if not np.isfinite(distance):
        return np.nan, np.nan
    means = [mean_difference(s, max(1, round(distance / s.spacing_mm)))[0] for s in stacks]
    within = [means[n] for n in range(3) if n != axis and np.isfinite(means[n])]
    if not within or not np.isfinite(means[axis]):
        return np.nan, distance
    floor = 0.05  # dE; keeps the ratio of two nothings at 1
    return (means[axis] + floor) / (float(np.mean(within)) + floor), distance


def axis_consistency(
    axis: int, plane: str, stacks: tuple[Stack, Stack, Stack], start: int, spread: NDArray[np.float64]
) -> AxisConsistency:
    """All scores across one axis. `start`: index of the stack's first slice in the whole volume."""
    stack = stacks[axis]
    smoothing = max(SMOOTHING_MM, 2 * stack.spacing_mm)
    pairs = pair_differences(stack)
    curves = tissue_curves(stack, smoothing, spread)
    measured = np.isfinite(pairs.median)
    walked = measured.sum() * stack.spacing_mm
    ratio, distance = isotropy(stacks, axis)
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
        isotropy=ratio,
        isotropy_distance_mm=distance,
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
