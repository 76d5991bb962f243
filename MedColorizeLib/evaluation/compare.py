"""Several coloured versions of one gray volume side by side: page, JSON and CSV in one folder.

Results come one at a time, so that only one coloured volume is held in memory.
Not for: a single result (report) or the tables of the papers (papers).
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import UsageError
from ..imaging.atomic import AtomicTarget
from ..imaging.volume import ColorVolume, LabelVolume
from ..progress import CancelToken, OnProgress
from . import page
from .assessment import Assessment, assess
from .charts import Line, LineChart
from .compare_metrics import METRICS, Metric, best
from .report import Gray
from .report_charts import largest
from .report_document import WARNING, public, summary, to_json
from .report_numbers import figure, percent
from .report_pictures import body_box, ribbon_png, slice_png, view

if TYPE_CHECKING:
    from .fidelity import Perceptual
    from .frechet import Features

SCHEMA = "medcolorize-compare/1"
MOST = 12


@dataclass(frozen=True)
class Result:
    """One coloured version: its name, the gray codes it was made from, itself."""

    name: str
    gray: Gray
    color: ColorVolume


@dataclass(frozen=True)
class _Judged:
    name: str
    assessment: Assessment
    tiles: dict[int, bytes]
    window: tuple[float, float] | None


def make_comparison(
    results: Iterable[Result],
    directory: Path | str,
    *,
    labels: LabelVolume | None = None,
    reference: ColorVolume | None = None,
    reference_set: Sequence[NDArray[np.uint8]] | None = None,
    features: Features | None = None,
    perceptual: Perceptual | None = None,
    title: str = "Comparison of coloured volumes",
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Judge every result and write the folder; returns what `compare.json` holds."""
    judged: list[_Judged] = []
    gray_tiles: dict[int, bytes] = {}
    cuts: list[tuple[int, int]] = []
    box = (slice(None), slice(None), slice(None))
    with AtomicTarget(directory, folder=True, overwrite=overwrite) as target:
        for result in results:
            if not judged:
                box = body_box(result.gray.codes)
                cuts = [(axis, (box[axis].start + box[axis].stop) // 2) for axis in range(3)]
                cuts = [(axis, index) for axis, index in cuts if axis == 0 or result.color.shape[axis] > 1]
                gray_tiles = _tiles(result.gray.codes, result.color.affine, cuts, box)
            elif result.color.shape != judged[0].assessment.facts.shape:
                raise UsageError("The coloured volumes differ in size. Compare versions of one gray volume.")
            assessment = assess(
                result.gray.codes,
                result.color,
                labels=labels,
                reference=reference,
                reference_set=reference_set,
                features=features,
                perceptual=perceptual,
                on_progress=on_progress,
                cancel=cancel,
            )
            tiles = _tiles(result.color.rgb, result.color.affine, cuts, box)
            judged.append(_Judged(result.name, assessment, tiles, result.gray.window))
        if not 2 <= len(judged) <= MOST:
            raise UsageError(f"A comparison needs 2 to {MOST} coloured volumes, not {len(judged)}.")
        content = _document(judged, title)
        folder = target.temporary
        (folder / "compare.json").write_text(to_json(content), encoding="utf-8")
        (folder / "compare.csv").write_text(_csv(judged), encoding="utf-8")
        html = _html(judged, gray_tiles, cuts, title, content["created"])
        (folder / "compare.html").write_text(html, encoding="utf-8")
        target.commit()
    return content


def _tiles(
    array: NDArray[np.uint8],
    affine: NDArray[np.float64],
    cuts: list[tuple[int, int]],
    box: tuple[slice, slice, slice],
) -> dict[int, bytes]:
    out = {}
    for axis, index in cuts:
        hung = view(affine, axis)
        out[axis] = slice_png(hung.cut(array, index, box), hung)
    return out


def _document(judged: list[_Judged], title: str) -> dict[str, Any]:
    values = {metric.key: [metric.of(one.assessment) for one in judged] for metric in METRICS}
    return {
        "schema": SCHEMA,
        "warning": WARNING,
        "title": title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "generator": f"MedColorize {__version__}",
        "metrics": [
            {"key": m.key, "group": m.group, "title": _title(m, judged), "unit": m.unit, "better": m.better}
            for m in METRICS
        ],
        "results": [
            {
                "name": one.name,
                "window": list(one.window) if one.window else None,
                **summary(one.assessment),
                "metrics": {key: _plain(row[n]) for key, row in values.items()},
                "provenance": public(one.assessment.to_dict()["provenance"]),
            }
            for n, one in enumerate(judged)
        ],
        "best": {m.key: [judged[n].name for n in sorted(best(values[m.key], m.better))] for m in METRICS},
    }


def _title(metric: Metric, judged: list[_Judged]) -> str:
    """A distance to reference pictures is named after its feature space: only in Inception's it is the FID."""
    distance = judged[0].assessment.distance
    return distance.name if metric.key == "distance" and distance else metric.title


def _plain(value: float) -> float | None:
    return float(f"{value:.6g}") if math.isfinite(value) else None


def _csv(judged: list[_Judged]) -> str:
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(["metric", "unit", "better", *(one.name for one in judged)])
    for metric in METRICS:
        values = [metric.of(one.assessment) for one in judged]
        cells = ["inf" if math.isinf(v) else "" if math.isnan(v) else f"{v:.6g}" for v in values]
        writer.writerow([metric.key, metric.unit, metric.better, *cells])
    return buffer.getvalue()


def _html(
    judged: list[_Judged], gray_tiles: dict[int, bytes], cuts: list[tuple[int, int]], title: str, created: str
) -> str:
    facts = judged[0].assessment.facts
    k, j, i = facts.shape
    subtitle = f"{len(judged)} results for one volume of {i} × {j} × {k} voxels"
    body = [
        f'<div class="cards">{"".join(_card(one) for one in judged)}</div>',
        page.section(
            "The same slices",
            "".join(_strip(judged, gray_tiles, axis, index) for axis, index in cuts),
            "Unenhanced. Flicker across the slices of one plane shows as stripes in the other two.",
        ),
        page.section("Colour from slice to slice", _jumps(judged), _order(judged)),
        page.section(
            "Colour of each tissue",
            _ribbons(judged),
            "Mean colour of the largest tissues, slice by slice, at one lightness.",
        ),
        page.section(
            "All numbers",
            _table(judged),
            "★ marks the best of a row; rows without a star have no better direction, or no difference. Numbers on "
            "brightness reward leaving a picture gray: read them with those on colour.",
        ),
    ]
    remarks = dict.fromkeys(note for one in judged for note in (*one.assessment.sampling, *one.assessment.notes))
    if remarks:
        body.append(page.section("Remarks", page.notes(remarks)))
    footer = f"{WARNING} Slice numbers count from 0 in the order of the file. Made {escape(created)} UTC."
    return page.page(title, subtitle, "".join(body), footer)


def _card(one: _Judged) -> str:
    assessment = one.assessment
    return (
        f'<article class="card {assessment.overall}"><header><h3>{escape(one.name)}</h3>{page.sign(assessment.overall)}'
        f'</header><p class="words">{escape(assessment.verdict)}</p></article>'
    )


def _strip(judged: list[_Judged], gray_tiles: dict[int, bytes], axis: int, index: int) -> str:
    plane = judged[0].assessment.facts.planes[axis]
    tiles = [page.tile(gray_tiles[axis], f"{plane} slice {index}, gray input", "gray input")]
    tiles += [page.tile(one.tiles[axis], f"{plane} slice {index}, {one.name}", one.name) for one in judged]
    caption = f"<b>{escape(plane.capitalize())}</b>, slice {index} across {'KJI'[axis]}"
    return page.strip(tiles, caption, css="many", columns=min(len(tiles), 4))


def _jumps(judged: list[_Judged]) -> str:
    first, slices = judged[0].assessment.consistency[0], judged[0].assessment.facts.shape[0]
    if not any(np.isfinite(one.assessment.consistency[0].shift).any() for one in judged):
        return page.notes(["The volume has too few slices across K to compare neighbours."])
    chart = LineChart(
        title="Colour jump from each slice to the next",
        x=np.arange(slices - 1, dtype=np.float64) + 0.5,
        x_label=f"slice ({first.plane}, {first.spacing_mm:.3g} mm apart)",
        y_label="shared shift, dE per mm",
        x_limits=(0.0, slices - 1.0),
        lines=[
            Line(one.name, _on_all_pairs(one.assessment, slices) / first.spacing_mm, style)
            for style, one in enumerate(judged)
        ],
    )
    return chart.figure("What all tissue of similar brightness does together from one slice to the next.")


def _on_all_pairs(assessment: Assessment, slices: int) -> NDArray[np.float64]:
    """The shifts on the pairs of the whole volume; results may begin and end at different slices."""
    axis = assessment.consistency[0]
    out = np.full(slices - 1, np.nan)
    out[axis.pairs] = axis.shift
    return out


def _order(judged: list[_Judged]) -> str:
    scores = [(one.assessment.consistency[0].shift_per_mm, one.name) for one in judged]
    known = sorted((score, name) for score, name in scores if math.isfinite(score))
    if len(known) < 2:
        return ""
    words = ", ".join(f"{escape(name)} ({figure(score)})" for score, name in known)
    return f"From the steadiest to the most restless, in dE per mm: {words}."


def _ribbons(judged: list[_Judged]) -> str:
    parts = []
    for tissue in largest(judged[0].assessment.consistency[0].tissues):
        rows = []
        for one in judged:
            same = [t for t in one.assessment.consistency[0].tissues if t.label == tissue.label]
            if same:
                strip = page.image(ribbon_png(same[0]), f"{one.name}: mean colour of {tissue.name} over the slices")
                rows.append(f"<span>{escape(one.name)}</span>{strip}")
        parts.append(f'<h3>{escape(tissue.name)}</h3><div class="ribbons">{"".join(rows)}</div>')
    return "".join(parts) or page.notes(["No tissue was found in enough slices to follow its colour."])


def _table(judged: list[_Judged]) -> str:
    rows: list[list[str]] = []
    group = ""
    for metric in METRICS:
        values = [metric.of(one.assessment) for one in judged]
        if all(math.isnan(v) for v in values):
            continue
        if metric.group != group:
            group = metric.group
            rows.append([f"<b>{group}</b>"])
        winners = best(values, metric.better)
        cells = [
            f'<b title="best">★ {_text(metric, v)}</b>' if n in winners else _text(metric, v)
            for n, v in enumerate(values)
        ]
        want = {"low": "lower is better", "high": "higher is better", "one": "1 is right", "": ""}[metric.better]
        remark = ", ".join(part for part in (metric.unit, want) if part)
        rows.append([f"{escape(_title(metric, judged))}<small>{remark}</small>", *cells])
    return page.table(["Number", *(escape(one.name) for one in judged)], rows)


def _text(metric: Metric, value: float) -> str:
    if metric.unit.startswith("share"):
        return percent(value)
    return f"{value:.0f}" if metric.counted and math.isfinite(value) else figure(value)
