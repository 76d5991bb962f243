"""What a paper says about its table in words, held against the scores found here.

A finding is confirmed or refuted where the difference is larger than chance between pictures; else it's undecided here.
Not for: running rows, or what papers say (`papers_zeng`).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from .papers import Finding, Table
from .papers_scores import RunScores

Verdict = Literal["confirmed", "refuted", "undecided", "not run"]
CHANCE = 0.05
"""p of the paired test from which on a difference counts as chance."""
_FEWEST = 5
"""With fewer pictures no paired test can reach that p: the sign of every single difference must then agree."""


@dataclass(frozen=True)
class Outcome:
    """A finding and how it fared."""

    finding: Finding
    verdict: Verdict
    above: float
    below: float
    p: float
    pictures: int
    agree: int
    """Pictures on which the difference has the published sign."""

    def sentence(self, titles: Mapping[str, str], digits: int) -> str:
        """For a list in Markdown."""
        one = self.finding
        where = f" ({one.group} only)" if one.group else ""
        if self.verdict == "not run":
            return f"{one.text}{where}: not run."
        numbers = (
            f"{titles[one.above]} {self.above:.{digits}f}, {titles[one.below]} {self.below:.{digits}f}; "
            f"{self.agree} of {self.pictures} pictures agree"
        )
        chance = f", p = {self.p:.2g}" if math.isfinite(self.p) else ""
        return f"{one.text}{where}: **{self.verdict} here** ({numbers}{chance})."


def try_findings(table: Table, finished: Mapping[str, Sequence[RunScores]]) -> list[Outcome]:
    """Every finding of the table, in its order."""
    return [_try(finding, finished) for finding in table.findings]


def _try(finding: Finding, finished: Mapping[str, Sequence[RunScores]]) -> Outcome:
    above, below = (_values(finished.get(key, ()), finding) for key in (finding.above, finding.below))
    if above is None or below is None or above.shape != below.shape:
        return Outcome(finding, "not run", math.nan, math.nan, math.nan, 0, 0)
    both = np.isfinite(above) & np.isfinite(below)
    above, below = above[both], below[both]
    if not len(above):
        return Outcome(finding, "not run", math.nan, math.nan, math.nan, 0, 0)
    difference = above - below
    mean, p = float(difference.mean()), _paired(difference)
    sure = p < CHANCE if math.isfinite(p) else abs(int(np.sign(difference).sum())) == len(difference)
    verdict: Verdict = "undecided" if not sure or mean == 0 else "confirmed" if mean > 0 else "refuted"
    means = float(above.mean()), float(below.mean())
    return Outcome(finding, verdict, *means, p, len(difference), int((difference > 0).sum()))


def _values(runs: Sequence[RunScores], finding: Finding) -> NDArray[np.float64] | None:
    """Each picture's score, averaged over runs; None where the row wasn't run or has no such pictures."""
    if not runs or any(finding.column not in run.per_picture for run in runs):
        return None
    if len({len(run.per_picture[finding.column]) for run in runs}) != 1:
        return None
    values = np.mean([run.per_picture[finding.column] for run in runs], axis=0)
    if not finding.group:
        return np.asarray(values)
    groups = np.array(runs[0].facts.get("groups", []))
    chosen = np.flatnonzero(groups == finding.group) if len(groups) == len(values) else np.zeros(0, int)
    return np.asarray(values[chosen]) if len(chosen) else None


def _paired(difference: NDArray[np.float64]) -> float:
    """p of Wilcoxon's signed-rank test; NaN where there are too few pictures for any p below `CHANCE`."""
    from scipy.stats import wilcoxon

    if len(difference) <= _FEWEST or not difference.any():
        return math.nan
    return float(wilcoxon(difference).pvalue)
