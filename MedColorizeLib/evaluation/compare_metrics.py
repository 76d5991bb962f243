"""Which numbers of an assessment are compared, which way is better, and which result is best.

Not for: the page (compare) or the numbers themselves (assessment).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from .assessment import Assessment

Better = Literal["low", "high", "one", ""]


@dataclass(frozen=True)
class Metric:
    """One row of the comparison."""

    key: str
    group: str
    title: str
    unit: str
    better: Better
    """`low`, `high`, `one` (the nearer to 1 the better), or empty: neither way is better."""
    get: Callable[[Assessment], float]


def _metric(key: str, group: str, title: str, unit: str, better: Better, get: Callable[[Assessment], float]) -> Metric:
    return Metric(key, group, title, unit, better, get)


_STEADY, _TRUST, _LUMA, _COLOR, _TRUTH = (
    "Steady colour from slice to slice",
    "Nothing added, nothing lost",
    "Brightness against the gray input",
    "Colour",
    "Against the true colour",
)

METRICS: tuple[Metric, ...] = (
    _metric("shift_per_mm", _STEADY, "Jump of whole slices", "dE/mm", "low", lambda a: a.consistency[0].shift_per_mm),
    _metric("flicker_per_mm", _STEADY, "Flicker of matched tissue", "dE/mm", "low", lambda a: a.consistency[0].flicker_per_mm),
    _metric("jitter", _STEADY, "Jitter of tissues", "dE", "low", lambda a: a.consistency[0].jitter),
    _metric("drift", _STEADY, "Slow drift of tissues", "dE", "low", lambda a: a.consistency[0].drift),
    _metric("spread", _STEADY, "Spread within tissues", "dE", "", lambda a: a.consistency[0].spread),
    _metric("isotropy", _STEADY, "Isotropy", "", "one", lambda a: a.consistency[0].isotropy),
    _metric("outliers", _STEADY, "Outlier slices", "", "low", lambda a: float(len(a.consistency[0].outliers))),
    _metric("bleeding_share", _TRUST, "Colour bleeding", "share of edges", "low", lambda a: a.trust.bleeding_share),
    _metric("outside_share", _TRUST, "Colour outside the body", "share", "low", lambda a: a.trust.outside_share),
    _metric("clipped_share", _TRUST, "Colour cut at the gamut", "share", "low", lambda a: a.trust.clipped_share),
    _metric("invented_share", _TRUST, "Invented edges", "share of edges", "low", lambda a: a.trust.invented_share),
    _metric("lost_share", _TRUST, "Lost edges", "share of edges", "low", lambda a: a.trust.lost_share),
    _metric("luma_error_max", _LUMA, "Largest error", "codes", "low", lambda a: float(a.trust.luma_error_max)),
    _metric("luma_error_mean", _LUMA, "Mean error", "codes", "low", lambda a: a.trust.luma_error_mean),
    _metric("luma_psnr", _LUMA, "PSNR", "dB", "high", lambda a: a.fidelity.luma_psnr),
    _metric("luma_ssim", _LUMA, "SSIM", "", "high", lambda a: a.fidelity.luma_ssim),
    _metric("luma_ssim_101", _LUMA, "SSIM, window 101", "", "high", lambda a: a.fidelity.luma_ssim_101),
    _metric("fsim", _LUMA, "FSIM", "", "high", lambda a: a.fidelity.fsim),
    _metric("mutual_information_bits", _LUMA, "Mutual information", "bit", "high", lambda a: a.fidelity.mutual_information_bits),
    _metric("entropy_luma", _LUMA, "Entropy of the luma", "bit", "", lambda a: a.fidelity.entropy_luma),
    _metric("colorfulness", _COLOR, "Colourfulness", "", "", lambda a: a.fidelity.colorfulness),
    _metric("distinct_colors", _COLOR, "Distinct colours", "", "", lambda a: float(a.facts.distinct_colors)),
    _metric("neutral_share", _COLOR, "Left gray", "share", "", lambda a: a.trust.neutral_share),
    _metric("distance", _COLOR, "Frechet distance to the reference pictures", "", "low", lambda a: a.distance.value if a.distance else math.nan),
    _metric("truth_psnr", _TRUTH, "PSNR", "dB", "high", lambda a: a.truth.psnr if a.truth else math.nan),
    _metric("truth_ssim", _TRUTH, "SSIM", "", "high", lambda a: a.truth.ssim if a.truth else math.nan),
    _metric("truth_nrmse", _TRUTH, "NRMSE", "", "low", lambda a: a.truth.nrmse if a.truth else math.nan),
    _metric("truth_fsimc", _TRUTH, "FSIMc", "", "high", lambda a: a.truth.fsimc if a.truth else math.nan),
    _metric("truth_ciede2000", _TRUTH, "CIEDE2000", "dE", "low", lambda a: a.truth.ciede2000_mean if a.truth else math.nan),
    _metric("truth_chroma", _TRUTH, "Chroma alone", "dE", "low", lambda a: a.truth.chroma_mean if a.truth else math.nan),
)  # fmt: skip


def best(values: Sequence[float], better: Better) -> set[int]:
    """The positions of the best values; none where neither way is better, or where all are as good."""
    known = [n for n, value in enumerate(values) if not math.isnan(value)]
    if not better or len(known) < 2:
        return set()
    cost = {"low": lambda v: v, "high": lambda v: -v, "one": lambda v: abs(v - 1)}[better]
    # To six figures, as the file holds them: a difference behind that is rounding.
    costs = {n: float(f"{cost(values[n]):.6g}") for n in known}
    least = min(costs.values())
    winners = {n for n in known if costs[n] == least}
    return set() if len(winners) == len(known) else winners
