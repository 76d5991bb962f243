"""Figures as MRML nodes: tables, plot series and plot charts, of a report (`report.json`) or of a training's losses.

For looking and exporting inside Slicer; a report's curves are those of `report.html`, across the file's slices (K).
Not for judging (evaluation) or for choosing which view shows a chart (the panel).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import slicer
from vtkmodules.vtkCommonCore import vtkDoubleArray, vtkIntArray, vtkStringArray

from ..errors import InputError
from ..evaluation.assessment import SCHEMA, Assessment
from .host import Node, Scene, batch, modifying

ATTRIBUTE = "MedColorize.report"
_COLORS = (
    (0.0, 0.447, 0.698),
    (0.835, 0.369, 0.0),
    (0.0, 0.490, 0.361),
    (0.659, 0.278, 0.545),
    (0.541, 0.416, 0.0),
    (0.086, 0.098, 0.114),
)
"""Told apart by colour-blind readers too, together with the line styles."""
_SHOWN_TISSUES = 6

Columns = dict[str, Any]
"""Lists or arrays of equal length, by column name."""


@dataclass(frozen=True)
class ReportNodes:
    """What was added to the scene."""

    grades: Node
    slices: Node
    steps: Node
    tissues: Node
    curves: Node
    charts: tuple[Node, ...]
    """Colour jumps, flicker, mean a*, mean b*."""


def report_nodes(scene: Scene, report: Assessment | Mapping[str, Any], name: str = "Colour report") -> ReportNodes:
    """Add the tables and charts of a report: an assessment, or what `report.json` holds. Names begin with `name`."""
    content = report.to_dict() if isinstance(report, Assessment) else report
    if content.get("schema") != SCHEMA:
        raise InputError(f"This is not a report that this version can show: its schema is {content.get('schema')!r}.")
    axis = content["consistency"][0]
    shown = sorted(axis["tissues"], key=lambda tissue: -tissue["voxels"])[:_SHOWN_TISSUES]
    shown = [tissue for tissue in axis["tissues"] if tissue in shown]
    with batch(scene):
        steps = _table(scene, f"{name}: steps", _steps(content, axis))
        curves = _table(scene, f"{name}: tissue curves", _curves(axis, shown))
        return ReportNodes(
            grades=_table(scene, f"{name}: grades", _grades(content["grades"])),
            slices=_table(scene, f"{name}: slices", dict(content["slices"])),
            steps=steps,
            tissues=_table(scene, f"{name}: tissues", _tissues(axis["tissues"])),
            curves=curves,
            charts=(
                _chart(scene, f"{name}: colour jumps", steps, ("jump", *_bands(steps)), "dE per mm", ("outlier",)),
                _chart(scene, f"{name}: flicker", steps, ("median voxel", "95th percentile"), "dE per mm"),
                *(
                    _chart(
                        scene, f"{name}: mean {c}*", curves, tuple(f"{t['name']} {c}*" for t in shown), f"CIELAB {c}*"
                    )
                    for c in ("a", "b")
                ),
            ),
        )


def curves_node(scene: Scene, name: str, columns: Columns, x: str, unit: str) -> Node:
    """A chart named `name` of all columns over column `x`; asked for again, its table is filled anew."""
    chart = _made_before(scene, name, "chart")
    lines = [title for title in columns if title != x]
    with batch(scene):
        if chart is None or _shown_by(chart) != lines:
            if chart is not None:
                _remove_chart(scene, chart)
            return _chart(scene, name, _table(scene, f"{name}: values", columns), lines, unit, x=x)
        table = chart.GetNthPlotSeriesNode(0).GetTableNode()
        with modifying(table):
            table.RemoveAllColumns()
            for title, values in columns.items():
                table.AddColumn(_column(title, values))
    return chart


def _made_before(scene: Scene, name: str, kind: str) -> Node | None:
    count = scene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode")
    nodes = (scene.GetNthNodeByClass(n, "vtkMRMLPlotChartNode") for n in range(count))
    return next((node for node in nodes if node.GetName() == name and node.GetAttribute(ATTRIBUTE) == kind), None)


def _shown_by(chart: Node) -> list[str]:
    """The columns that a chart draws, if their nodes are all still there."""
    series = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    whole = all(one is not None and one.GetTableNode() is not None for one in series)
    return [one.GetYColumnName() for one in series] if whole else []


def _remove_chart(scene: Scene, chart: Node) -> None:
    """A chart with its lines and its table."""
    series = [chart.GetNthPlotSeriesNode(n) for n in range(chart.GetNumberOfPlotSeriesNodes())]
    tables = {one.GetTableNode() for one in series if one is not None} - {None}
    for node in (chart, *(one for one in series if one is not None), *tables):
        scene.RemoveNode(node)


def _steps(content: Mapping[str, Any], axis: Mapping[str, Any]) -> Columns:
    """Pair by pair: the slice between, the differences per mm, the reference band, outliers as points of their own."""
    mm = axis["spacing_mm"]
    first = axis["pairs"][0] if axis["pairs"] else 0
    jump = _numbers(axis["shift"]) / mm
    outlier = np.full(len(jump), np.nan)
    for one in axis["outliers"]:
        near = [n for n in (one["index"] - first - 1, one["index"] - first) if 0 <= n < len(jump)]
        near = [n for n in near if np.isfinite(jump[n])]
        if near:
            top = max(near, key=lambda n: jump[n])
            outlier[top] = jump[top]
    columns: Columns = {
        "slice": _numbers(axis["pairs"]) + 0.5,
        "jump": jump,
        "median voxel": _numbers(axis["flicker_median"]) / mm,
        "95th percentile": _numbers(axis["flicker_p95"]) / mm,
        "matched voxels": list(axis["matched"]),
        "outlier": outlier,
    }
    for band in content["bands"]:
        if band["key"] == "shift_per_mm":
            columns["real cryosections, low"] = np.full(len(jump), band["low"])
            columns["real cryosections, high"] = np.full(len(jump), band["high"])
    return columns


def _bands(steps: Node) -> tuple[str, ...]:
    names = ("real cryosections, low", "real cryosections, high")
    return names if steps.GetColumnIndex(names[0]) >= 0 else ()


def _curves(axis: Mapping[str, Any], tissues: Sequence[Mapping[str, Any]]) -> Columns:
    first = axis["pairs"][0] if axis["pairs"] else 0
    count = len(tissues[0]["lab"]) if tissues else 0
    columns: Columns = {"slice": np.arange(count, dtype=np.float64) + first}
    for tissue in tissues:
        lab = _numbers(tissue["lab"]).reshape(-1, 3)
        columns[f"{tissue['name']} a*"], columns[f"{tissue['name']} b*"] = lab[:, 1], lab[:, 2]
    return columns


def _tissues(tissues: Sequence[Mapping[str, Any]]) -> Columns:
    columns: Columns = {
        "tissue": [tissue["name"] for tissue in tissues],
        "gray codes": [f"{tissue['gray_range'][0]} to {tissue['gray_range'][1]}" for tissue in tissues],
    }
    columns |= {channel: [tissue["mean_rgb"][n] for tissue in tissues] for n, channel in enumerate("RGB")}
    columns |= {f"{key}, dE": _numbers([tissue[key] for tissue in tissues]) for key in ("spread", "drift", "jitter")}
    return {**columns, "voxels sampled": [tissue["voxels"] for tissue in tissues]}


def _grades(grades: Sequence[Mapping[str, Any]]) -> Columns:
    texts = {"question": "title", "light": "light", "unit": "unit", "in words": "words", "what it is": "meaning"}
    columns: Columns = {title: [grade[key] for grade in grades] for title, key in texts.items()}
    return {**columns, "value": _numbers([grade["value"] for grade in grades])}


def _numbers(values: Any) -> np.ndarray:
    """JSON numbers as an array; null is NaN."""
    return np.array(values, dtype=np.float64)


def _table(scene: Scene, name: str, columns: Columns) -> Node:
    node = slicer.vtkMRMLTableNode()
    node.SetName(scene.GenerateUniqueName(name))
    node.SetAttribute(ATTRIBUTE, "table")
    for title, values in columns.items():
        node.AddColumn(_column(title, values))
    node.SetUseColumnNameAsColumnHeader(True)
    node.SetLocked(True)
    return scene.AddNode(node)


def _column(title: str, values: Sequence[Any]) -> Any:
    items = values.tolist() if isinstance(values, np.ndarray) else list(values)
    if items and all(isinstance(item, str) for item in items):
        array: Any = vtkStringArray()
    elif items and all(isinstance(item, int) and abs(item) < 2**31 for item in items):
        array = vtkIntArray()
    else:
        array = vtkDoubleArray()
        items = [float("nan") if item is None else float(item) for item in items]
    array.SetName(title)
    array.SetNumberOfValues(len(items))
    for n, item in enumerate(items):
        array.SetValue(n, item)
    return array


def _chart(
    scene: Scene,
    name: str,
    table: Node,
    lines: Sequence[str],
    unit: str,
    points: Sequence[str] = (),
    x: str = "slice",
) -> Node:
    """A chart of columns of `table` over its column `x`."""
    kind = slicer.vtkMRMLPlotSeriesNode
    styles = (kind.LineStyleSolid, kind.LineStyleDash, kind.LineStyleDot, kind.LineStyleDashDot)
    chart = slicer.vtkMRMLPlotChartNode()
    chart.SetName(scene.GenerateUniqueName(name))
    chart.SetAttribute(ATTRIBUTE, "chart")
    chart.SetTitle(name)
    chart.SetXAxisTitle(x)
    chart.SetYAxisTitle(unit)
    chart = scene.AddNode(chart)
    for n, column in enumerate((*lines, *points)):
        series = slicer.vtkMRMLPlotSeriesNode()
        series.SetName(column)
        series.SetAttribute(ATTRIBUTE, "series")
        series = scene.AddNode(series)
        series.SetAndObserveTableNodeID(table.GetID())
        series.SetPlotType(kind.PlotTypeScatter)
        series.SetXColumnName(x)
        series.SetYColumnName(column)
        series.SetColor(*_COLORS[n % len(_COLORS)])
        if column in points:
            series.SetLineStyle(kind.LineStyleNone)
            series.SetMarkerStyle(kind.MarkerStyleDiamond)
            series.SetMarkerSize(10)
        else:
            series.SetLineStyle(styles[n % len(styles)])
            series.SetLineWidth(2)
            series.SetMarkerStyle(kind.MarkerStyleNone)
        chart.AddAndObservePlotSeriesNodeID(series.GetID())
    return chart
