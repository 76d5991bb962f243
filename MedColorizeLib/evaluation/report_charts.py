"""The report's charts: which curves of an assessment are drawn, and what is said beside them.

Not for: drawing (charts) or computing (the other modules of this room).
"""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

import numpy as np

from .assessment import AxisConsistency, Band, FramesConsistency, Grade, TissueCurve, UncertaintySummary
from .charts import Band as Strip
from .charts import Line as Curve
from .charts import LineChart, Mark, number
from .report_numbers import limit

SHOWN_TISSUES = 6
_MARKED = 12


def jump_chart(axis: AxisConsistency, bands: Sequence[Band]) -> str:
    """The headline curve: the colour step that a whole slice shares, with outliers and what nature scores."""
    step = np.asarray(axis.shift) / axis.spacing_mm
    strips = [Strip(_band_name(b), b.low, b.high) for b in bands if b.key == "shift_per_mm"]
    marks = []
    for outlier in sorted(axis.outliers, key=lambda o: -o.score)[:_MARKED]:
        place = outlier.index - first_slice(axis)
        near = [p for p in (place - 1, place) if 0 <= p < len(step) and np.isfinite(step[p])]
        if near:
            top = max(near, key=lambda p: step[p])
            hint = f"Slice {outlier.index}: {' '.join(outlier.reasons)}"
            marks.append(Mark(float(axis.pairs[top]) + 0.5, float(step[top]), str(outlier.index), hint))
    chart = LineChart(
        title="Colour jump from each slice to the next",
        x=np.asarray(axis.pairs, dtype=np.float64) + 0.5,
        x_label=_slice_label(axis),
        y_label="shared shift, dE per mm",
        x_limits=_all_slices(axis),
        lines=[Curve("shift shared by the whole slice", step, 0)],
        bands=strips,
        marks=marks,
        marks_name="outlier slice, with its number",
    )
    return chart.figure(
        "What all tissue of similar brightness does together from one slice to the next: seen as flicker when "
        "scrolling. A single tall step is one badly coloured slice or a seam; a high floor is flicker everywhere."
    )


def flicker_chart(axis: AxisConsistency, bands: Sequence[Band]) -> str:
    """Median and 95th percentile of the matched voxels' differences, pair by pair."""
    mm = axis.spacing_mm
    strips = [Strip(_band_name(b), b.low, b.high) for b in bands if b.key == "flicker_per_mm"]
    chart = LineChart(
        title="Colour difference of matched tissue in neighbouring slices",
        x=np.asarray(axis.pairs, dtype=np.float64) + 0.5,
        x_label=_slice_label(axis),
        y_label="difference, dE per mm",
        x_limits=_all_slices(axis),
        lines=[
            Curve("median voxel", np.asarray(axis.flicker_median) / mm, 0),
            Curve("95th percentile", np.asarray(axis.flicker_p95) / mm, 1),
        ],
        bands=strips,
    )
    return chart.figure(
        "Same place, same foreground, similar brightness: what is left is colour. The 95th percentile shows speckle "
        "that the median hides."
    )


def tissue_charts(axis: AxisConsistency) -> str:
    """Mean a and b of the largest tissues over the slices."""
    tissues = largest(axis.tissues)
    charts = []
    for column, (name, ends) in enumerate((("a*", "green − / red +"), ("b*", "blue − / yellow +"))):
        lines = [
            Curve(tissue.name, np.asarray(tissue.lab)[:, 1 + column], style, tissue.mean_rgb)
            for style, tissue in enumerate(tissues)
        ]
        chart = LineChart(
            title=f"Mean {name} of each tissue ({ends})",
            x=np.arange(len(tissues[0].lab), dtype=np.float64) + first_slice(axis),
            x_label=_slice_label(axis),
            y_label=f"CIELAB {name}",
            lines=lines,
            from_zero=False,
        )
        charts.append(chart.figure())
    return "".join(charts)


def frames_chart(frames: FramesConsistency) -> str:
    """The same as `flicker_chart` over the frames of a 4-D acquisition."""
    marks = [
        Mark(o.index, float(np.nanmax(np.asarray(frames.shift)[max(0, o.index - 1) : o.index + 1])), str(o.index))
        for o in frames.outliers
        if np.isfinite(np.asarray(frames.shift)[max(0, o.index - 1) : o.index + 1]).any()
    ]
    chart = LineChart(
        title="Colour difference from each frame to the next",
        x=np.arange(len(frames.shift), dtype=np.float64) + 0.5,
        x_label="frame",
        y_label="difference, dE",
        lines=[
            Curve("shift shared by the whole frame", np.asarray(frames.shift), 0),
            Curve("median voxel", np.asarray(frames.flicker_median), 1),
            Curve("95th percentile", np.asarray(frames.flicker_p95), 2),
        ],
        marks=marks,
        marks_name="outlier frame, with its number",
    )
    return chart.figure()


def uncertainty_chart(unsure: UncertaintySummary) -> str:
    """Where along K several colourings of the same volume disagree."""
    values = np.asarray(unsure.per_slice, dtype=np.float64)
    chart = LineChart(
        title=f"Disagreement between the colourings {' / '.join(unsure.names)}",
        x=np.arange(len(values), dtype=np.float64),
        x_label="slice",
        y_label="mean difference, dE",
        lines=[Curve("mean over the slice's foreground", values, 0)],
    )
    return chart.figure("High where the colour of a slice depends on the direction in which the volume was coloured.")


def largest(tissues: Sequence[TissueCurve]) -> list[TissueCurve]:
    """The tissues worth a curve, in their own order."""
    kept = sorted(tissues, key=lambda t: -t.voxels)[:SHOWN_TISSUES]
    return [tissue for tissue in tissues if tissue in kept]


def scale_bar(grade: Grade) -> str:
    """Where a graded number lies between good and poor, and where nature lies, as a small bar."""
    if not np.isfinite(grade.value) or not np.isfinite(grade.good) or not np.isfinite(grade.fair):
        return ""
    reach = [grade.value * 1.1, grade.good * 1.6, grade.fair * 1.35]
    top = max([*reach, grade.band.high * 1.1] if grade.band else reach)
    if not np.isfinite(top) or top <= 0 or grade.good == grade.fair == 0:
        return ""
    width = 300.0

    def px(value: float) -> float:
        return max(0.0, min(width, value / top * width))

    limits = sorted((px(grade.good), px(grade.fair)))
    zones = ["red", "amber", "green"] if grade.higher_is_better else ["green", "amber", "red"]
    edges = [0.0, *limits, width]
    parts = [
        f'<rect x="{a:.1f}" width="{max(0.0, b - a):.1f}" y="9" height="5" style="fill:var(--{zone})" opacity=".75"/>'
        for zone, a, b in zip(zones, edges, edges[1:], strict=False)
        if b > a
    ]
    parts += [f'<path d="M{x:.1f} 6v11" style="stroke:var(--card);stroke-width:2"/>' for x in limits]
    if grade.band:
        low, high = px(grade.band.low), px(grade.band.high)
        parts.append(
            f'<path d="M{low:.1f} 18v4h{max(2.0, high - low):.1f}v-4" style="fill:none;stroke:var(--soft);'
            f'stroke-width:1.5"><title>{escape(_band_name(grade.band))}</title></path>'
        )
    parts.append(f'<path d="M{px(grade.value):.1f} 8l5-7h-10z" style="fill:var(--ink)"/>')
    word = "at least" if grade.higher_is_better else "up to"
    end = "below" if grade.higher_is_better else "above"
    limits_text = f"good {word} {limit(grade, grade.good)}, poor {end} {limit(grade, grade.fair)}"
    if grade.band:
        nature = f"{limit(grade, grade.band.low)} to {limit(grade, grade.band.high)}"
        limits_text += f" · bracket: real cryosections, {nature}"
    return (
        f'<div class="scale"><svg viewBox="0 0 300 22" preserveAspectRatio="none" aria-hidden="true">{"".join(parts)}'
        f'</svg><p class="limits">{limits_text}</p></div>'
    )


def _short(value: float) -> float:
    return float(f"{value:.2g}")


def _band_name(band: Band) -> str:
    return f"real cryosections: {number(_short(band.low))} to {number(_short(band.high))}"


def first_slice(axis: AxisConsistency) -> int:
    """The slice with which the axis' curves begin: where the body does."""
    return int(axis.pairs[0]) if len(axis.pairs) else 0


def _all_slices(axis: AxisConsistency) -> tuple[float, float]:
    return float(first_slice(axis)), float(first_slice(axis) + len(axis.shift))


def _slice_label(axis: AxisConsistency) -> str:
    return f"slice ({axis.plane}, {number(float(f'{axis.spacing_mm:.3g}'))} mm apart)"
