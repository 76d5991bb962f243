"""From numbers to traffic lights and a sentence. A light says how a number compares with its bounds, not what is true.

Bounds: where a reference band exists, green reaches to the band's 95th percentile and amber to twice that;
the others are stated here, in the unit of the number. Green everywhere never means that the colours are right: they are
synthetic.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from .records import AxisConsistency, Band, Fidelity, Grade, Light, Trust, UncertaintySummary

AMBER_REACH = 2.0


@dataclass(frozen=True)
class _Line:
    """How one number is graded and told."""

    key: str
    title: str
    unit: str
    good: float
    fair: float
    words: tuple[str, str, str]
    """For green, amber and red; `{value}` stands for the number."""
    meaning: str
    higher_is_better: bool = False
    band: str = ""
    whole: bool = False
    percent: bool = False


_LINES = (
    _Line("luma_error_max", "Brightness kept", "codes", 0, 8,
          ("Every voxel is exactly as bright as in the input.",
           "Brightness differs from the input by up to {value} of 255 codes.",
           "Brightness differs from the input by up to {value} of 255 codes: structure may be altered."),
          "Largest difference between the result's Rec.601 luma and the gray input, over all voxels.", whole=True),
    _Line("invented_share", "No invented structure", "", 0.01, 0.05,
          ("The result has no edges that the input lacks.",
           "{value} of the result's brightness edges are not in the input.",
           "{value} of the result's brightness edges are not in the input: don't trust fine structure."),
          "Share of strong luma edges of the result with no edge of the input within 2 mm.", percent=True),
    _Line("shift_per_mm", "Steady from slice to slice", "dE/mm", 0.25, 0.75,
          ("The same tissue keeps its colour from slice to slice.",
           "The same tissue changes colour by {value} dE a millimetre, more than in a real body.",
           "The colour flickers: the same tissue changes by {value} dE a millimetre."),
          "How far the common colour of matched tissue moves per millimetre across slices.", band="shift_per_mm"),
    _Line("flicker_per_mm", "No flicker in the detail", "dE/mm", 0.5, 1.5,
          ("Voxels of the same brightness keep their colour from slice to slice.",
           "Single voxels change colour by {value} dE a millimetre, more than in a real body.",
           "The colour of details flickers: voxels change by {value} dE a millimetre."),
          "Median chroma difference of matched voxels of neighbouring slices, per millimetre.", band="flicker_per_mm"),
    _Line("jitter", "No slice-to-slice jitter", "dE", 0.5, 1.5,
          ("Tissue colours run smoothly through the slices.",
           "Tissue colours jitter by {value} dE about their slow course.",
           "Tissue colours jitter by {value} dE about their slow course: plain to see when scrolling."),
          "Deviation of a tissue's mean colour per slice from its course smoothed over 10 mm.", band="jitter"),
    _Line("outliers", "No slices that stand out", "slices", 0, 0.05,
          ("No slice stands out in colour.",
           "{value} slices stand out in colour from their neighbours.",
           "{value} slices stand out in colour from their neighbours: many for this volume."),
          "Slices whose tissue colour departs from the five slices around it (robust score over 4, over 1 dE).",
          whole=True),
    _Line("isotropy", "Same in all directions", "", 1.5, 3.0,
          ("Colour varies across slices no more than within them.",
           "Colour varies {value} times as much across slices as within them.",
           "Colour varies {value} times as much across slices as within them: reformatted planes will show stripes."),
          "Chroma variation of matched tissue across slices over that within slices, at the same distance.",
          band="isotropy"),
    _Line("bleeding_share", "Colour keeps to the edges", "", 0.1, 0.3,
          ("Colour changes where the input has edges.",
           "{value} of the colour edges have no edge of the input nearby.",
           "{value} of the colour edges have no edge of the input nearby: colour bleeds."),
          "Share of visible chroma edges with no edge of the input within 2 mm.", band="bleeding_share", percent=True),
    _Line("outside_share", "No colour outside the body", "", 0.01, 0.1,
          ("The background is colourless.", "{value} of the background is coloured.",
           "{value} of the background is coloured."),
          "Share of background voxels, 3 mm or more from the body, with a chroma over 5.", percent=True),
    _Line("clipped_share", "Colours within the gamut", "", 0.05, 0.25,
          ("Almost no colour had to be weakened to keep its brightness.",
           "{value} of the tissue gave up some colour to keep its brightness.",
           "{value} of the tissue gave up colour to keep its brightness: hues there say little."),
          "Share of foreground voxels whose colour did not fit the gamut at their brightness.", percent=True),
    _Line("colorfulness", "Colour is there", "", 8, 3,
          ("The volume is coloured.", "The volume is only faintly coloured.", "The volume is practically gray."),
          "Colourfulness of Hasler and Suesstrunk: 0 gray, 15 slightly, 45 quite colourful.", higher_is_better=True),
)  # fmt: skip

_UNCERTAINTY = _Line(
    "uncertainty_p95", "Planes agree", "dE", 5, 10,
    ("Colouring along other planes gives nearly the same colours.",
     "Colouring along other planes gives other colours in places (95th percentile {value} dE).",
     "Colouring along other planes gives plainly other colours (95th percentile {value} dE)."),
    "Disagreement of the axial, coronal and sagittal colouring of the same voxels.",
)  # fmt: skip

_LIKENESS = _Line(
    "likeness", "Like the training scans", "", 1, 2,
    ("The scan looks like those that the model was trained on.",
     "The scan looks unlike those that the model was trained on ({value} times the limit): the colours may be wrong.",
     "The scan looks unlike those that the model was trained on ({value} times the limit): the colours are guesses."),
    "How far figures of the scan are beyond those of the training scans; 1 is the limit.",
)  # fmt: skip


def grade(
    trust: Trust,
    fidelity: Fidelity,
    consistency: tuple[AxisConsistency, AxisConsistency, AxisConsistency],
    shape: tuple[int, int, int],
    bands: Sequence[Band] = (),
) -> tuple[Grade, ...]:
    """All lines of the verdict, across K, the slices of the file; colours of a flat volume get no light."""
    across = consistency[0]
    values = {
        "luma_error_max": float(trust.luma_error_max),
        "invented_share": trust.invented_share,
        "shift_per_mm": across.shift_per_mm,
        "flicker_per_mm": across.flicker_per_mm,
        "jitter": across.jitter,
        "outliers": float(len(across.outliers)) if across.matched.any() else math.nan,
        "isotropy": across.isotropy,
        "bleeding_share": trust.bleeding_share,
        "outside_share": trust.outside_share,
        "clipped_share": trust.clipped_share,
        "colorfulness": fidelity.colorfulness,
    }
    known = {band.key: band for band in bands}
    out = []
    for line in _LINES:
        good, fair = line.good, line.fair
        if line.key == "outliers":
            # One slice in fifty may stand out by chance or anatomy; one in twenty may not.
            good, fair = math.floor(shape[0] / 50), max(1, math.floor(shape[0] * line.fair))
        out.append(_graded(line, values[line.key], good, fair, known.get(line.band)))
    return tuple(out)


def grade_uncertainty(summary: UncertaintySummary) -> Grade:
    """The line that joins the verdict where the volume was coloured along several planes."""
    return _graded(_UNCERTAINTY, summary.p95, _UNCERTAINTY.good, _UNCERTAINTY.fair, None)


def grade_likeness(provenance: Mapping[str, Any]) -> Grade | None:
    """The line of a scan that the model compared with its training scans; None where it could not."""
    told = provenance.get("likeness")
    score = told.get("score") if isinstance(told, Mapping) else None
    if isinstance(score, bool) or not isinstance(score, int | float):
        return None
    made = _graded(_LIKENESS, float(score), _LIKENESS.good, _LIKENESS.fair, None)
    reasons = [str(reason) for reason in told.get("reasons", [])] if isinstance(told, Mapping) else []
    if made.light in ("green", "none") or not reasons:
        return made
    return replace(made, words=f"{made.words[:-1]}. Beyond training: {'; '.join(reasons)}.")


def _graded(line: _Line, value: float, good: float, fair: float, band: Band | None) -> Grade:
    if band is not None:
        good = max(good, band.high)
        fair = max(fair, AMBER_REACH * good)
    light = light_of(value, good, fair, line.higher_is_better)
    words = "Could not be judged."
    if light != "none":
        words = line.words[("green", "amber", "red").index(light)].format(value=_told(line, value))
        if line.key == "outliers" and light == "green" and value:
            words = f"{_told(line, value)} of the slices stand out in colour: few for this volume."
    return Grade(
        line.key, line.title, value, line.unit, light, good, fair, line.higher_is_better, words, line.meaning, band
    )


def light_of(value: float, good: float, fair: float, higher_is_better: bool = False) -> Light:
    """Green up to `good`, amber up to `fair`, red beyond; no light for NaN."""
    if math.isnan(value):
        return "none"
    within: Callable[[float], bool] = (lambda bound: value >= bound) if higher_is_better else (lambda b: value <= b)
    return "green" if within(good) else "amber" if within(fair) else "red"


def _told(line: _Line, value: float) -> str:
    if line.percent:
        return f"{100 * value:.0f} %" if value >= 0.095 else f"{100 * value:.1f} %"
    return f"{value:.0f}" if line.whole else f"{value:.2g}"


def overall_light(grades: Sequence[Grade]) -> Light:
    """The worst light."""
    lights = {grade.light for grade in grades}
    return next((light for light in ("red", "amber", "green") if light in lights), "none")


def verdict_of(grades: Sequence[Grade], consistency: Sequence[AxisConsistency]) -> str:
    """What a person should take away, in plain words: the worst first."""
    words = {name: [g.words for g in grades if g.light == name] for name in ("red", "amber", "green")}
    if words["red"]:
        said = "Look twice before you show this. " + " ".join(words["red"][:3])
    elif words["amber"]:
        said = "Usable with care. " + " ".join(words["amber"][:3])
    elif words["green"]:
        said = "Nothing speaks against these colours. " + " ".join(words["green"][:3])
    else:
        return "Nothing could be judged."
    outliers = consistency[0].outliers
    if outliers:
        some = ", ".join(str(o.index) for o in outliers[:8]) + (" and others" if len(outliers) > 8 else "")
        said += f" Slices to look at: {some}."
    return said
