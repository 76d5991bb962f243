"""What a model's training scans looked like, as plain numbers in its metadata; and how far another scan is from that.

A figure beyond the range of the training scans counts by how many tolerances it is beyond: what other scanners, people
and sequences differ by without harm. The slices of a scan are judged one by one, their median is the scan's score; 1 is
the limit. Not for: taking the figures (`inference.likeness`), or whether colours are right, which nobody can measure.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import ModelError

Figures = dict[str, float]
"""Of one slice, by name."""

QUANTILES = (0.01, 0.25, 0.5, 0.75, 0.99)
LIMIT = 0.5
"""Root of the summed squares of tolerances beyond the ranges at which a scan counts as unlike. Of the scans that the
head model was trained on, each held against the others, the farthest reaches 0.18."""
_FEW = 5
_FEW_VOLUMES = 8
"""Tolerances are three times as wide after two training volumes, and a third wider after five."""
_OTHER_MODALITY = 3.0
"""Score of a scan of another modality: what it shows may resemble, what its brightness means does not."""


@dataclass(frozen=True)
class _Figure:
    """How far a figure may be beyond the training scans', and how to say that it is."""

    tolerance: float
    low: str
    high: str
    number: str = "{:.2f}"
    unit: str = ""
    share: float = 0.0
    """If more, the tolerance is this share of the largest value of training."""


_FIGURES: dict[str, _Figure] = {
    "size": _Figure(15, "the body is smaller", "the body is larger", "{:.0f}", " mm across", 0.1),
    "roundness": _Figure(0.08, "the body does not fill its outline", "the picture is filled to its corners"),
    "dark": _Figure(0.1, "less of the body is dark", "more of the body is dark"),
    "middle": _Figure(0.12, "tissue is darker", "tissue is brighter"),
    "contrast": _Figure(0.12, "there is less contrast", "there is more contrast"),
    "bright": _Figure(0.05, "less of the body is white", "more of the body is white"),
    "rim": _Figure(0.15, "the surface is darker", "the surface is brighter"),
    "shell": _Figure(0.12, "the layer below the surface is darker", "the layer below the surface is brighter"),
    "depth": _Figure(0.12, "the depth is darker", "the depth is brighter"),
    "texture": _Figure(0.06, "there is less structure", "there is more structure"),
    "grain": _Figure(0.25, "it is smoother", "it is noisier"),
    "symmetry": _Figure(0.2, "right and left differ more", "right and left are more alike"),
    "across": _Figure(0.6, "neighbouring slices are more alike", "neighbouring slices have less in common"),
    "course": _Figure(0.3, "slices 10 mm apart are alike", "slices 10 mm apart have less in common"),
    "blue": _Figure(6, "the model colours it yellower", "the model colours it bluer", "{:.0f}"),
    "red": _Figure(4, "the model colours it less red", "the model colours it redder", "{:.0f}"),
    "variety": _Figure(3, "the model finds fewer colours in it", "the model finds more colours in it", "{:.0f}"),
}


@dataclass(frozen=True)
class Comparison:
    """How far a scan is from what a model was trained on."""

    score: float
    """1 is the limit."""
    reasons: tuple[str, ...]
    """What is beyond the training scans, the farthest first."""

    @property
    def unlike(self) -> bool:
        return self.score > 1

    @property
    def note(self) -> str:
        """What to tell a person; empty where there is nothing to tell."""
        if not self.unlike:
            return ""
        why = f": {'; '.join(self.reasons)}" if self.reasons else ""
        return f"This scan looks unlike those this model was trained on{why}. The colours may be wrong."

    def to_mapping(self) -> dict[str, Any]:
        """For the provenance."""
        return {"score": round(self.score, 2), "reasons": list(self.reasons)}


@dataclass(frozen=True)
class Likeness:
    """What training scans looked like: the quantiles (`QUANTILES`) of each figure over their slices."""

    volumes: int
    slices: int
    ranges: Mapping[str, tuple[float, ...]]

    @classmethod
    def of(cls, volumes: Sequence[Sequence[Figures]]) -> Likeness:
        """From the figures of each training volume's slices; every volume weighs the same."""
        held = [volume for volume in volumes if volume]
        if not held:
            raise ModelError("None of the scans shows enough of a body to be measured.")
        ranges = {}
        for name in _FIGURES:
            groups = [[one[name] for one in volume if name in one] for volume in held]
            values = np.concatenate([np.asarray(group, float) for group in groups])
            weights = np.concatenate([np.full(len(group), 1 / max(len(group), 1)) for group in groups])
            if len(values):
                ranges[name] = tuple(round(float(q), 4) for q in _quantiles(values, weights))
        return cls(len(held), sum(len(volume) for volume in held), ranges)

    def compare(self, found: Sequence[Figures]) -> Comparison:
        """Hold the slices of a scan against the ranges."""
        if not found:
            return Comparison(0.0, ())
        beyond = {name: np.array([self._beyond(name, one) for one in found]) for name in self.ranges}
        scores = np.sqrt(np.sum([np.square(values) for values in beyond.values()], axis=0))
        # A single slice may show the top of a head: less is made of few.
        limit = LIMIT if len(found) >= _FEW else 2 * LIMIT
        medians = {name: float(np.median(values)) for name, values in beyond.items()}
        order = sorted((name for name in medians if abs(medians[name]) > 0.15), key=lambda name: -abs(medians[name]))
        return Comparison(
            float(np.median(scores)) / limit, tuple(self._told(name, medians[name], found) for name in order[:3])
        )

    def _beyond(self, name: str, figures: Figures) -> float:
        """Signed, in tolerances; 0 within the range."""
        value = figures.get(name)
        if value is None:
            return 0.0
        low, high = self.ranges[name][0], self.ranges[name][-1]
        figure = _FIGURES[name]
        # Few volumes say little about how widely such scans vary.
        tolerance = max(figure.tolerance, figure.share * high) * (1 + _FEW_VOLUMES / max(self.volumes, 1) ** 2)
        return (max(value - high, 0.0) - max(low - value, 0.0)) / tolerance

    def _told(self, name: str, beyond: float, found: Sequence[Figures]) -> str:
        figure = _FIGURES[name]
        told = figure.number.format
        value = float(np.median([one[name] for one in found if name in one]))
        low, high = self.ranges[name][0], self.ranges[name][-1]
        words = figure.high if beyond > 0 else figure.low
        return f"{words} ({told(value)}{figure.unit}; trained on {told(low)} to {told(high)})"

    def to_mapping(self) -> dict[str, Any]:
        """For the metadata."""
        return {
            "volumes": self.volumes,
            "slices": self.slices,
            "quantiles": list(QUANTILES),
            "ranges": {name: list(values) for name, values in self.ranges.items()},
        }

    @classmethod
    def from_mapping(cls, raw: Any, path: Path) -> Likeness:
        """From the metadata at `path`; what is not as written here is refused."""
        try:
            ranges = {str(name): tuple(float(v) for v in values) for name, values in raw["ranges"].items()}
            made = cls(int(raw["volumes"]), int(raw["slices"]), ranges)
            good = tuple(raw["quantiles"]) == QUANTILES and set(raw) == {"volumes", "slices", "quantiles", "ranges"}
        except (TypeError, KeyError, ValueError, AttributeError) as error:
            raise ModelError(f"{path}: 'likeness' can't be read ({error}). The bundle is damaged.") from error
        for name, values in ranges.items():
            good = good and name in _FIGURES and len(values) == len(QUANTILES) and bool(np.isfinite(values).all())
            good = good and list(values) == sorted(values)
        if not good:
            raise ModelError(f"{path}: 'likeness' does not hold the figures this program knows. Measure it again.")
        return made


def of_other_modality(scan: str, model: str) -> Comparison:
    """The comparison of a scan whose modality is known and is not the model's."""
    return Comparison(_OTHER_MODALITY, (f"it is {scan}, and the model was made for {model}",))


def _quantiles(values: np.ndarray[Any, Any], weights: np.ndarray[Any, Any]) -> np.ndarray[Any, Any]:
    order = np.argsort(values)
    values, weights = values[order], weights[order]
    places = (np.cumsum(weights) - 0.5 * weights) / weights.sum()
    return np.interp(QUANTILES, places, values)
