"""Which numbers of an assessment are compared, which way is better, and which result is best.

Not for: the page (compare) or the numbers themselves (assessment).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

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
    place: str
    """Where the assessment holds it, as attributes joined by dots."""
    counted: bool = False
    """A whole number."""

    def of(self, assessment: Assessment) -> float:
        """The number; NaN where it could not be had. Of a list, its length."""
        value: Any = assessment
        for name in self.place.split("."):
            if value is None:
                return math.nan
            value = value[int(name)] if name.isdigit() else getattr(value, name)
        return float(len(value)) if isinstance(value, tuple) else float(value)


_STEADY = "Steady colour from slice to slice"
_TRUST = "Nothing added, nothing lost"
_LUMA = "Brightness against the gray input"
_COLOR = "Colour"
_TRUTH = "Against the true colour"

METRICS = (
    Metric("shift_per_mm", _STEADY, "Jump of whole slices", "dE/mm", "low", "consistency.0.shift_per_mm"),
    Metric("flicker_per_mm", _STEADY, "Flicker of matched tissue", "dE/mm", "low", "consistency.0.flicker_per_mm"),
    Metric("jitter", _STEADY, "Jitter of tissues", "dE", "low", "consistency.0.jitter"),
    Metric("drift", _STEADY, "Slow drift of tissues", "dE", "low", "consistency.0.drift"),
    Metric("spread", _STEADY, "Spread within tissues", "dE", "", "consistency.0.spread"),
    Metric("isotropy", _STEADY, "Isotropy", "", "one", "consistency.0.isotropy"),
    Metric("outliers", _STEADY, "Outlier slices", "", "low", "consistency.0.outliers", counted=True),
    Metric("bleeding_share", _TRUST, "Colour bleeding", "share of edges", "low", "trust.bleeding_share"),
    Metric("outside_share", _TRUST, "Colour outside the body", "share", "low", "trust.outside_share"),
    Metric("clipped_share", _TRUST, "Colour cut at the gamut", "share", "low", "trust.clipped_share"),
    Metric("invented_share", _TRUST, "Invented edges", "share of edges", "low", "trust.invented_share"),
    Metric("lost_share", _TRUST, "Lost edges", "share of edges", "low", "trust.lost_share"),
    Metric("luma_error_max", _LUMA, "Largest error", "codes", "low", "trust.luma_error_max", counted=True),
    Metric("luma_error_mean", _LUMA, "Mean error", "codes", "low", "trust.luma_error_mean"),
    Metric("luma_psnr", _LUMA, "PSNR", "dB", "high", "fidelity.luma_psnr"),
    Metric("luma_ssim", _LUMA, "SSIM", "", "high", "fidelity.luma_ssim"),
    Metric("luma_ssim_101", _LUMA, "SSIM, window 101", "", "high", "fidelity.luma_ssim_101"),
    Metric("fsim", _LUMA, "FSIM", "", "high", "fidelity.fsim"),
    Metric("mutual_information", _LUMA, "Mutual information", "bit", "high", "fidelity.mutual_information_bits"),
    Metric("entropy_luma", _LUMA, "Entropy of the luma", "bit", "", "fidelity.entropy_luma"),
    Metric("colorfulness", _COLOR, "Colourfulness", "", "", "fidelity.colorfulness"),
    Metric("distinct_colors", _COLOR, "Distinct colours", "", "", "facts.distinct_colors", counted=True),
    Metric("neutral_share", _COLOR, "Left gray", "share", "", "trust.neutral_share"),
    Metric("distance", _COLOR, "Frechet distance to the reference pictures", "", "low", "distance.value"),
    Metric("truth_psnr", _TRUTH, "PSNR", "dB", "high", "truth.psnr"),
    Metric("truth_ssim", _TRUTH, "SSIM", "", "high", "truth.ssim"),
    Metric("truth_nrmse", _TRUTH, "NRMSE", "", "low", "truth.nrmse"),
    Metric("truth_fsimc", _TRUTH, "FSIMc", "", "high", "truth.fsimc"),
    Metric("truth_lpips", _TRUTH, "LPIPS", "", "low", "truth.lpips"),
    Metric("truth_ciede2000", _TRUTH, "CIEDE2000", "dE", "low", "truth.ciede2000_mean"),
    Metric("truth_chroma", _TRUTH, "Chroma alone", "dE", "low", "truth.chroma_mean"),
)


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
