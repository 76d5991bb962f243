"""Slices whose colour does not belong between its neighbours, and the reasons in words."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..imaging.colordiff import chroma_difference
from .curves import Curves
from .records import Numbers, OutlierSlice, TissueCurve

MIN_SCORE = 4.0
"""Robust z from which a slice stands out; 3.5 is customary (Iglewicz and Hoaglin 1993), for a single look."""
MIN_SIZE = 1.0
"""dE below which nobody sees it, however regular the rest is."""
_REACH = 2
_FLOOR = 0.25


def departures(curves: Curves) -> Numbers:
    """dE of each slice from the median of the five slices around it, averaged over tissues by voxels."""
    if not curves.tissues:
        return np.empty(0)
    total = np.zeros(len(curves.tissues[0].count))
    weight = np.zeros_like(total)
    for tissue in curves.tissues:
        size = chroma_difference(tissue.lab[:, 1:], around(tissue.lab[:, 1:]))
        known = np.isfinite(size)
        total[known] += size[known] * tissue.count[known]
        weight[known] += tissue.count[known]
    return np.where(weight > 0, total / np.maximum(weight, 1), np.nan)


def around(ab: NDArray[np.float64]) -> NDArray[np.float64]:
    """Median of a, b over each slice and the two on either side; a ramp is its own median, a lone slice is not."""
    padded = np.pad(ab, ((_REACH, _REACH), (0, 0)), constant_values=np.nan)
    windows = np.lib.stride_tricks.sliding_window_view(padded, 2 * _REACH + 1, axis=0)
    out = np.full(ab.shape, np.nan)
    known = np.isfinite(windows).any(axis=-1).all(axis=-1)
    out[known] = np.nanmedian(windows[known], axis=-1)
    return out


def robust_scores(values: Numbers, floor: float = _FLOOR) -> Numbers:
    """Distance from the median in scaled median absolute deviations; `floor` keeps a calm volume from being picky."""
    known = np.isfinite(values)
    if not known.any():
        return np.full(values.shape, np.nan)
    middle = np.median(values[known])
    deviation = 1.4826 * np.median(np.abs(values[known] - middle))
    return (values - middle) / np.hypot(deviation, floor)


def find_outliers(curves: Curves, spacing_mm: float, start: int) -> tuple[OutlierSlice, ...]:
    """The slices that stand out, in order."""
    sizes = departures(curves)
    scores = robust_scores(sizes)
    with np.errstate(invalid="ignore"):
        chosen = np.flatnonzero((scores >= MIN_SCORE) & (sizes >= MIN_SIZE))
    return tuple(
        OutlierSlice(
            int(k) + start, (int(k) + start) * spacing_mm, float(scores[k]), float(sizes[k]), _reasons(curves, int(k))
        )
        for k in chosen
    )


def jumps_of(
    shift: Numbers, slices: tuple[OutlierSlice, ...], spacing_mm: float, start: int
) -> tuple[OutlierSlice, ...]:
    """`slices` plus those at which the colour jumps and stays, which no single slice explains."""
    if not len(shift):
        return slices
    scores = robust_scores(shift)
    known = {s.index - start for s in slices}
    with np.errstate(invalid="ignore"):
        chosen = np.flatnonzero((scores >= MIN_SCORE) & (shift >= 2 * MIN_SIZE))
    jumps = tuple(
        OutlierSlice(
            int(k) + 1 + start,
            (int(k) + 1 + start) * spacing_mm,
            float(scores[k]),
            float(shift[k]),
            (f"Between slice {k + start} and slice {k + 1 + start} the colour of the same tissue jumps by "
             f"{shift[k]:.1f} dE and stays.",),
        )
        for k in chosen
        if not {int(k), int(k) + 1} & known
    )  # fmt: skip
    return tuple(sorted((*slices, *jumps), key=lambda o: o.index))


def _reasons(curves: Curves, k: int) -> tuple[str, ...]:
    """What sets slice `k` apart: how much, in which direction, in which tissue most."""
    worst: tuple[float, TissueCurve, NDArray[np.float64], NDArray[np.float64]] | None = None
    for tissue in curves.tissues:
        own, usual = tissue.lab[k, 1:], around(tissue.lab[:, 1:])[k]
        size = float(chroma_difference(own, usual))
        if np.isfinite(size) and (worst is None or size > worst[0]):
            worst = size, tissue, own, usual
    if worst is None:
        return ()
    size, tissue, own, usual = worst
    return (
        f"The same tissue differs by {size:.1f} dE from the slices around it, most in {tissue.name}.",
        f"There it is {describe(own, usual)}.",
    )


def describe(own: NDArray[np.float64], usual: NDArray[np.float64]) -> str:
    """The direction from one a, b to another in words."""
    da, db = own - usual
    words = []
    if abs(da) >= 0.4 * np.hypot(da, db):
        words.append("redder" if da > 0 else "greener")
    if abs(db) >= 0.4 * np.hypot(da, db):
        words.append("yellower" if db > 0 else "bluer")
    more = np.hypot(*own) - np.hypot(*usual)
    if abs(more) >= 1:
        words.append("more colourful" if more > 0 else "grayer")
    return " and ".join(words) if words else "of another hue"
