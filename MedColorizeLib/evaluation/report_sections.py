"""The sections of the report's page, from the verdict to the provenance.

Not for: computing anything. Each function turns a part of the assessment into HTML.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from html import escape
from typing import Any

import numpy as np
from numpy.typing import NDArray

from . import page
from .assessment import Assessment, AxisConsistency, Grade, TissueCurve
from .charts import number
from .report_charts import (
    first_slice,
    flicker_chart,
    frames_chart,
    jump_chart,
    largest,
    scale_bar,
    tissue_charts,
    uncertainty_chart,
)
from .report_numbers import figure, graded, percent
from .report_pictures import View, body_box, ribbon_png, slice_png, view

WORST = 4
_FIRST = ("method", "model", "title", "model_version", "fidelity", "input_sha256", "model_sha256", "program")
_SAID_ELSEWHERE = ("window", "window_name", "notice", "synthetic_color")


def grade_cards(grades: Sequence[Grade]) -> str:
    """What was asked, what came out, what it means."""
    order = {"red": 0, "amber": 1, "none": 3, "green": 2}
    shown = sorted(grades, key=lambda grade: order[grade.light])
    return page.cards(
        page.card(g.light, g.title, graded(g.key, g.value, g.unit), g.unit, g.words, g.meaning, scale_bar(g))
        for g in shown
    )


def middle_slices(gray: NDArray[np.uint8], rgb: NDArray[np.uint8], assessment: Assessment) -> str:
    """The middle of the body in three planes, gray beside colour."""
    box = body_box(gray)
    affine = np.array(assessment.facts.affine)
    strips = []
    for axis in range(3):
        if gray.shape[axis] < 2 and axis:
            continue
        index = (box[axis].start + box[axis].stop) // 2
        hung, plane = view(affine, axis), assessment.facts.planes[axis]
        strips.append(
            page.strip(
                [
                    _tile(gray, hung, index, box, f"{plane} slice {index}, gray input", "gray"),
                    _tile(rgb, hung, index, box, f"{plane} slice {index}, coloured", "colour", sides=True),
                ],
                f"<b>{escape(plane.capitalize())}</b>, slice {index} of {gray.shape[axis]} across {'KJI'[axis]}",
            )
        )
    return f'<div class="pictures">{"".join(strips)}</div>'


def worst_slices(gray: NDArray[np.uint8], rgb: NDArray[np.uint8], assessment: Assessment) -> str:
    """The slices to look at first: gray, and the coloured slice between its neighbours."""
    box = body_box(gray)
    affine = np.array(assessment.facts.affine)
    strips = []
    for axis, index, reasons in worst(assessment):
        hung, plane = view(affine, axis), assessment.facts.planes[axis]
        tiles = [_tile(gray, hung, index, box, f"{plane} slice {index}, gray input", f"gray {index}")]
        for near in (index - 1, index, index + 1):
            if 0 <= near < gray.shape[axis]:
                name = f"{plane} slice {near}, coloured"
                tiles.append(_tile(rgb, hung, near, box, name, f"colour {near}", here=near == index))
        text = " ".join(escape(reason) for reason in reasons)
        strips.append(page.strip(tiles, f"<b>{escape(plane.capitalize())} slice {index}.</b> {text}", css="four"))
    return f'<div class="worst">{"".join(strips)}</div>'


def worst(assessment: Assessment) -> list[tuple[int, int, tuple[str, ...]]]:
    """At most `WORST` slices as (axis, index, reasons): outliers first, then what else stands out across K."""
    found: list[tuple[float, int, int, tuple[str, ...]]] = [
        (outlier.score, axis.axis, outlier.index, outlier.reasons)
        for axis in assessment.consistency
        for outlier in axis.outliers
    ]
    # Across K first: those are the slices a person scrolls through.
    found.sort(key=lambda entry: (entry[1] != 0, -entry[0]))
    chosen = [entry[1:] for entry in found[:WORST]]
    table = assessment.slices
    for column, words in (
        (table.bleeding_share, "has the most colour edges without an edge in the input ({:.1%} of them)."),
        (table.flicker_to_next, "differs most from the next one in matched tissue (median {:.2g} dE)."),
        (table.invented_share, "has the most edges that the input lacks ({:.1%} of them)."),
    ):
        inside = np.asarray(table.foreground_share) > 0.3 * float(np.nanmax(table.foreground_share))
        values = np.where(inside & np.isfinite(column), column, -1.0)
        index = int(np.argmax(values))
        if len(chosen) < 2 and values[index] > 0 and all(index != i for axis, i, _ in chosen if axis == 0):
            chosen.append((0, int(table.index[index]), ("No outlier, but it " + words.format(values[index]),)))
    return chosen


def consistency(assessment: Assessment) -> str:
    """Jumps and flicker across the three axes: a table, the charts of K, and the others folded away."""
    rows = [
        [
            f"{escape(axis.plane)}<small>across {'KJI'[axis.axis]}, {axis.spacing_mm:.3g} mm apart</small>",
            figure(axis.shift_per_mm),
            figure(axis.flicker_per_mm),
            figure(axis.drift),
            figure(axis.jitter),
            figure(axis.isotropy),
            str(len(axis.outliers)),
        ]
        for axis in assessment.consistency
    ]
    headers = [
        "Slices",
        "Jump, dE/mm",
        "Flicker, dE/mm",
        "Slow drift, dE",
        "Jitter, dE",
        "Isotropy (1 is right)",
        "Outliers",
    ]
    parts = [page.table(headers, rows)]
    for axis in assessment.consistency:
        if not np.isfinite(axis.shift).any():
            continue
        charts = jump_chart(axis, assessment.bands) + flicker_chart(axis, assessment.bands)
        if axis.axis == 0:
            parts.append(charts)
        else:
            opened = " open" if axis.outliers else ""
            parts.append(f"<details{opened}><summary>Across {escape(axis.plane)} slices</summary>{charts}</details>")
    if assessment.frames is not None:
        parts.append(frames_chart(assessment.frames))
    if assessment.uncertainty is not None and len(assessment.uncertainty.per_slice):
        parts.append(uncertainty_chart(assessment.uncertainty))
    return "".join(parts)


def tissues(assessment: Assessment) -> str:
    """Each tissue's colour: ribbon over the slices, curves, and a table."""
    axis = assessment.consistency[0]
    shown = largest(axis.tissues)
    if not shown:
        return page.notes(["No tissue was found in enough slices to follow its colour."])
    return ribbons(axis, shown) + tissue_charts(axis) + _tissue_table(axis.tissues)


def ribbons(axis: AxisConsistency, shown: Sequence[TissueCurve]) -> str:
    """The mean colour of each tissue, slice by slice, as strips of colour."""
    rows = "".join(
        f"<span>{escape(tissue.name)}</span>"
        + page.image(ribbon_png(tissue), f"mean colour of {tissue.name} over the slices")
        for tissue in shown
    )
    first = first_slice(axis)
    last = first + len(shown[0].lab) - 1
    return (
        f'<div class="ribbons">{rows}<span></span><span class="ends"><span>slice {first}</span>'
        f"<span>{escape(axis.plane)} slices</span><span>slice {last}</span></span></div>"
    )


def _tissue_table(all_tissues: Sequence[TissueCurve]) -> str:
    rows = [
        [
            f"{page.swatch(t.mean_rgb)}{escape(t.name)}",
            f"{t.gray_range[0]}–{t.gray_range[1]}",
            " ".join(map(str, t.mean_rgb)),
            figure(t.spread),
            figure(t.drift),
            figure(t.jitter),
            f"{t.voxels:,}".replace(",", " "),
        ]
        for t in all_tissues
    ]
    headers = ["Tissue", "Gray codes", "Mean R G B", "Spread, dE", "Slow drift, dE", "Jitter, dE", "Voxels sampled"]
    return page.table(headers, rows)


def numbers(assessment: Assessment) -> str:
    """Every other number, with what it is."""
    fidelity, trust = assessment.fidelity, assessment.trust
    luma = "identical" if fidelity.luma_identical else f"{figure(fidelity.luma_psnr)} dB"
    rows: list[tuple[str, str, str]] = [
        ("Luma against the input, PSNR", luma, "Rec.601 Y of the colour against the gray input; a gray copy wins this"),
        ("Luma SSIM", figure(fidelity.luma_ssim), "Gaussian window 11, as in Wang 2004"),
        ("Luma SSIM, window 101", figure(fidelity.luma_ssim_101), "as in ColorMedGAN's code; needs slices that large"),
        ("Luma FSIM", figure(fidelity.fsim), "Zhang 2011"),
        ("Luma error, largest", f"{trust.luma_error_max} codes", "of 255, over every voxel"),
        (
            "Luma error, mean",
            f"{figure(trust.luma_error_mean)} codes",
            f"{percent(trust.luma_error_share)} of voxels differ",
        ),
        ("Entropy, gray → luma", f"{figure(fidelity.entropy_gray)} → {figure(fidelity.entropy_luma)} bit", "Shannon"),
        ("Mutual information", f"{figure(fidelity.mutual_information_bits)} bit", "luma with gray"),
        ("Colourfulness", figure(fidelity.colorfulness), "Hasler & Süsstrunk: 0 gray, 15 slight, 45 quite, 80 highly"),
        ("Distinct colours", str(assessment.facts.distinct_colors), "in the sampled foreground"),
        ("Left gray", percent(trust.neutral_share), "of the foreground has chroma under 1 dE"),
        (
            "Colour bleeding",
            percent(trust.bleeding_share),
            f"colour edges with no input edge within {figure(trust.bleeding_reach_mm)} mm",
        ),
        ("Colour outside the body", percent(trust.outside_share), "of background voxels have visible colour"),
        ("Colour cut at the gamut", percent(trust.clipped_share), "of the foreground gave up chroma"),
        ("Invented edges", percent(trust.invented_share), "luma edges of the result that the input lacks"),
        ("Lost edges", percent(trust.lost_share), "luma edges of the input that the result lacks"),
    ]
    truth = assessment.truth
    if truth is not None:
        rows += [
            ("Against true colour: PSNR", f"{figure(truth.psnr)} dB", "conventions of scikit-image, as Liang 2021"),
            ("Against true colour: SSIM", figure(truth.ssim), "7x7 window, over the channels"),
            ("Against true colour: NRMSE", figure(truth.nrmse), "Euclidean"),
            ("Against true colour: FSIM / FSIMc", f"{figure(truth.fsim)} / {figure(truth.fsimc)}", "Zhang 2011"),
            (
                "Against true colour: CIEDE2000",
                f"{figure(truth.ciede2000_mean)} dE",
                f"95th percentile {figure(truth.ciede2000_p95)}",
            ),
            ("Against true colour: chroma alone", f"{figure(truth.chroma_mean)} dE", "at equal lightness"),
        ]
        if math.isfinite(truth.lpips):
            rows.append(("Against true colour: LPIPS", figure(truth.lpips), "SqueezeNet 1.1, Zhang 2018; 0 is equal"))
    distance = assessment.distance
    if distance is not None:
        used = f"{distance.pictures[0]} against {distance.pictures[1]} pictures. {distance.note}"
        rows.append((distance.name, figure(distance.value), used))
    unsure = assessment.uncertainty
    if unsure is not None:
        between = " / ".join(unsure.names)
        rows.append(("Disagreement, median", f"{figure(unsure.median)} dE", f"between the colourings {between}"))
        rows.append(
            ("Disagreement, visible", percent(unsure.share_visible), "of the foreground differs by more than 5 dE")
        )
    return page.table(
        ["Number", "Value", "What it is"],
        [[escape(name), f"<b>{value}</b>", f"<small>{escape(text)}</small>"] for name, value, text in rows],
        left=3,
    )


def provenance(content: dict[str, Any], assessment: Assessment, window: str) -> str:
    """What was coloured, by what, and how it was judged."""
    facts = assessment.facts
    k, j, i = facts.shape
    first = [name for name in _FIRST if name in content]
    ordered = [*first, *(name for name in content if name not in (*first, *_SAID_ELSEWHERE))]
    mm = " × ".join(number(round(v, 4)) for v in reversed(facts.spacing_mm))
    pairs = [
        ("Volume", f"{i} × {j} × {k} voxels (I, J, K) of {mm} mm"),
        ("Foreground", f"{percent(facts.foreground_share)} of the voxels"),
        ("Gray window", escape(window)),
        *((_words(name), _value(content[name])) for name in ordered if content[name] not in ("", None, [], {})),
    ]
    return page.facts(pairs)


def _words(name: str) -> str:
    text = name.replace("_", " ").strip()
    return text[:1].upper() + text[1:]


def _value(value: Any) -> str:
    if isinstance(value, dict):
        return "; ".join(f"{escape(_words(str(n)).lower())}: {_value(v)}" for n, v in value.items()) or "–"
    if isinstance(value, list | tuple):
        return ", ".join(_value(item) for item in value) or "–"
    if isinstance(value, bool) or value is None:
        return {True: "yes", False: "no", None: "–"}[value]
    if isinstance(value, float):
        return figure(value)
    text = escape(str(value))
    return f"<code>{text}</code>" if len(text) >= 32 and " " not in text else text


def _tile(
    array: NDArray[np.uint8],
    hung: View,
    index: int,
    box: tuple[slice, slice, slice],
    alt: str,
    tag: str,
    *,
    sides: bool = False,
    here: bool = False,
) -> str:
    png = slice_png(hung.cut(array, index, box), hung)
    return page.tile(png, alt, tag, hung.sides if sides else None, here)
