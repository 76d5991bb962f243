"""Scores of a row of a paper's table: per picture, per run, over runs, and against the proposal.

Not for: colouring the pictures, or files (papers_output).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.colorspaces import luma_codes
from . import fidelity
from .frechet import Features, picture_distance
from .fsim import fsim, fsimc
from .papers import Column, Score, Table
from .planes import colorfulness

Pictures = NDArray[np.uint8]


@dataclass(frozen=True)
class RunScores:
    """One row, trained once: every picture's scores (`per_picture`), and those of the set as a whole (`of_set`)."""

    row: str
    run: int
    per_picture: Mapping[str, Sequence[float]]
    of_set: Mapping[str, float]
    facts: Mapping[str, Any] = field(default_factory=dict)
    """How it was trained: steps, seconds, notes of the method."""
    data: Sequence[str] = ()
    """Sentences on the pictures it was trained and judged on."""
    called: Mapping[str, str] = field(default_factory=dict)
    """Names of scores that are not always the same quantity, such as a Frechet distance in one of several spaces."""

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def from_dict(cls, content: Mapping[str, Any]) -> RunScores:
        return cls(**content)

    def score(self, key: str) -> Score:
        """Mean and standard deviation over pictures; of a score of the whole set, the value alone."""
        if key in self.of_set:
            return float(self.of_set[key]), None
        values = np.asarray(self.per_picture[key], dtype=np.float64)
        values = values[np.isfinite(values)]
        if not values.size:
            return math.nan, None
        return float(values.mean()), float(values.std(ddof=1)) if values.size > 1 else None


def against_truth(
    row: str, run: int, colored: Pictures, truth: Pictures, facts: Mapping[str, Any], data: Sequence[str] = ()
) -> RunScores:
    """Liang's scores: pictures (n, H, W, 3) against the true colours."""
    per_picture = {
        "nrmse": [fidelity.nrmse(a, b) for a, b in zip(colored, truth, strict=True)],
        "psnr": [fidelity.psnr(a, b) for a, b in zip(colored, truth, strict=True)],
        "ssim": [fidelity.ssim_rgb(a, b) for a, b in zip(colored, truth, strict=True)],
    }
    return RunScores(row, run, per_picture, {}, dict(facts), data)


def against_gray(
    row: str,
    run: int,
    colored: Pictures,
    gray: Pictures,
    reference: Sequence[Pictures],
    facts: Mapping[str, Any],
    data: Sequence[str] = (),
    features: Features | None = None,
) -> RunScores:
    """ColorMedGAN's scores: luma of pictures (n, H, W, 3) against the gray input, and the distance to real colour.

    Only with `features` that are Inception's is that distance the FID.
    """
    luma = [luma_codes(picture) for picture in colored]
    per_picture = {
        "luma_ssim": [fidelity.ssim(a, b) for a, b in zip(luma, gray, strict=True)],
        "luma_psnr": [fidelity.psnr(a, b) for a, b in zip(luma, gray, strict=True)],
    }
    distance = picture_distance(list(colored), list(reference), features)
    notes = {"distance": f"{distance.name}, {distance.pictures[0]} against {distance.pictures[1]} pictures"}
    named = {"distance": distance.name}
    return RunScores(row, run, per_picture, {"distance": distance.value}, {**facts, **notes}, data, named)


def against_slices(
    row: str, run: int, colored: Pictures, gray: Pictures, facts: Mapping[str, Any], data: Sequence[str] = ()
) -> RunScores:
    """Zeng's scores: 8-bit luma of pictures (n, H, W, 3) against the slices, and its entropy beside theirs."""
    luma = [luma_codes(picture) for picture in colored]
    thrice = [np.repeat(plane[..., None], 3, axis=2) for plane in gray]
    entropies = [
        [fidelity.entropy(np.bincount(plane.ravel(), minlength=256)) for plane in side] for side in (luma, gray)
    ]
    per_picture = {
        "luma_psnr": [fidelity.psnr(a, b) for a, b in zip(luma, gray, strict=True)],
        "luma_ssim": [fidelity.ssim(a, b) for a, b in zip(luma, gray, strict=True)],
        "fsim": [fsim(a, b) for a, b in zip(luma, gray, strict=True)],
        "fsimc": [fsimc(a, b) for a, b in zip(colored, thrice, strict=True)],
        "colorfulness": [colorfulness(picture) for picture in colored],
        "entropy": entropies[0],
        "entropy_shift": [abs(a - b) for a, b in zip(*entropies, strict=True)],
    }
    mean = {"entropy of the gray input": round(float(np.mean(entropies[1])), 3)}
    return RunScores(row, run, per_picture, {}, {**facts, **mean}, data)


def name_of_ours(column: Column, finished: Mapping[str, Sequence[RunScores]]) -> str:
    """The column's title, or what our figures in it really are."""
    runs = [run for each in finished.values() for run in each]
    names = dict.fromkeys(run.called.get(column.key, column.stand_in or column.title) for run in runs)
    return " or ".join(names) or column.title


def average(runs: Sequence[RunScores], key: str) -> Score:
    """As the papers average: the mean of the runs' means, and of their deviations."""
    scores = [run.score(key) for run in runs]
    means = [mean for mean, _ in scores if math.isfinite(mean)]
    deviations = [deviation for _, deviation in scores if deviation is not None]
    if not means:
        return math.nan, None
    return float(np.mean(means)), float(np.mean(deviations)) if deviations else None


def between_runs(runs: Sequence[RunScores], key: str) -> float:
    """Standard deviation of the runs' means: what the seed alone changes. NaN for a single run."""
    means = [run.score(key)[0] for run in runs]
    return float(np.std(means, ddof=1)) if len(means) > 1 else math.nan


def against_proposal(row: Sequence[RunScores], proposal: Sequence[RunScores], key: str) -> float:
    """p of Wilcoxon's signed-rank test, paired by picture, each picture's score averaged over the runs.

    NaN where pictures can't be paired, or where all differences are zero.
    """
    from scipy.stats import wilcoxon

    sides = []
    for runs in (row, proposal):
        if not runs or any(key not in run.per_picture for run in runs):
            return math.nan
        lengths = {len(run.per_picture[key]) for run in runs}
        if len(lengths) != 1:
            return math.nan
        sides.append(np.mean([run.per_picture[key] for run in runs], axis=0))
    if sides[0].shape != sides[1].shape:
        return math.nan
    difference = sides[0] - sides[1]
    difference = difference[np.isfinite(difference)]
    if difference.size < 5 or not difference.any():
        return math.nan
    return float(wilcoxon(difference).pvalue)


def order_of_rows(table: Table, finished: Mapping[str, Sequence[RunScores]], key: str) -> tuple[list[str], list[str]]:
    """Rows from best to worst by `key`, as published and as found here, over rows that have both."""
    column = next(column for column in table.columns if column.key == key)
    both = [row for row in table.rows if key in row.published and finished.get(row.key)]
    sign = -1.0 if column.higher_is_better else 1.0
    published = sorted(both, key=lambda row: sign * row.published[key][0])
    ours = sorted(both, key=lambda row: sign * average(finished[row.key], key)[0])
    return [row.key for row in published], [row.key for row in ours]
