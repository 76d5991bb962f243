"""The report's numbers in real MRML table, plot series and plot chart nodes."""

from __future__ import annotations

import json
import math
import sys
from pathlib import Path

import pytest

slicer = pytest.importorskip("slicer")

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Unit"))
from report_subject import subject  # noqa: E402

from MedColorizeLib.errors import InputError  # noqa: E402
from MedColorizeLib.evaluation.assessment import Assessment, assess  # noqa: E402
from MedColorizeLib.evaluation.report import gray_codes_for, write_report  # noqa: E402
from MedColorizeLib.mrml.host import close_scene, new_scene  # noqa: E402
from MedColorizeLib.mrml.tables import curves_node, report_nodes  # noqa: E402


@pytest.fixture
def scene():
    made = new_scene()
    yield made
    close_scene(made)


@pytest.fixture(scope="module")
def assessment() -> Assessment:
    volume, color, labels = subject(jitter={13: 30.0})
    return assess(gray_codes_for(volume, color).codes, color, labels=labels)


def column(node, name: str) -> list:
    array = node.GetTable().GetColumnByName(name)
    return [array.GetValue(n) for n in range(array.GetNumberOfValues())]


def test_tables_hold_the_numbers_of_the_report(scene, assessment: Assessment) -> None:
    nodes = report_nodes(scene, assessment, "R")
    axis = assessment.consistency[0]
    assert column(nodes.steps, "jump") == pytest.approx((axis.shift / axis.spacing_mm).tolist(), rel=1e-5, nan_ok=True)
    assert column(nodes.steps, "slice") == (axis.pairs + 0.5).tolist()
    assert column(nodes.slices, "mean_a") == pytest.approx(assessment.slices.mean_a.tolist(), rel=1e-5, nan_ok=True)
    assert column(nodes.tissues, "tissue") == [tissue.name for tissue in axis.tissues]
    assert column(nodes.grades, "light") == [grade.light for grade in assessment.grades]
    first = axis.tissues[0]
    assert column(nodes.curves, f"{first.name} a*") == pytest.approx(first.lab[:, 1].tolist(), rel=1e-5, nan_ok=True)


def test_outliers_are_points_at_the_slice_they_belong_to(scene, assessment: Assessment) -> None:
    nodes = report_nodes(scene, assessment)
    points = [x for x, y in zip(column(nodes.steps, "slice"), column(nodes.steps, "outlier"), strict=True) if y == y]
    assert any(abs(x - 13) <= 0.5 for x in points)
    assert len(points) <= len(assessment.consistency[0].outliers)


def test_charts_draw_columns_that_exist(scene, assessment: Assessment) -> None:
    nodes = report_nodes(scene, assessment)
    assert len(nodes.charts) == 4
    for chart in nodes.charts:
        assert chart.GetNumberOfPlotSeriesNodes() >= 2
        for n in range(chart.GetNumberOfPlotSeriesNodes()):
            series = chart.GetNthPlotSeriesNode(n)
            table = series.GetTableNode().GetTable()
            assert table.GetColumnByName(series.GetXColumnName()) is not None
            assert table.GetColumnByName(series.GetYColumnName()) is not None
        styles = {
            (chart.GetNthPlotSeriesNode(n).GetLineStyle(), tuple(chart.GetNthPlotSeriesNode(n).GetColor()))
            for n in range(chart.GetNumberOfPlotSeriesNodes())
        }
        assert len(styles) == chart.GetNumberOfPlotSeriesNodes()


def test_the_file_gives_the_same_nodes_as_the_assessment(scene, assessment: Assessment, tmp_path: Path) -> None:
    volume, color, _ = subject(jitter={13: 30.0})
    write_report(tmp_path / "r", volume, color, assessment)
    document = json.loads((tmp_path / "r" / "report.json").read_text())
    one, two = report_nodes(scene, document, "A"), report_nodes(scene, assessment, "A")
    assert one.steps.GetName() != two.steps.GetName()
    for name in ("jump", "median voxel"):
        for a, b in zip(column(one.steps, name), column(two.steps, name), strict=True):
            assert a == b or (math.isnan(a) and math.isnan(b))


def test_a_single_slice_has_tables_without_steps(scene) -> None:
    volume, color, _ = subject(shape=(1, 30, 30))
    nodes = report_nodes(scene, assess(gray_codes_for(volume, color).codes, color))
    assert nodes.steps.GetNumberOfRows() == 0
    assert nodes.slices.GetNumberOfRows() == 1


def test_another_document_is_refused(scene) -> None:
    with pytest.raises(InputError, match="schema"):
        report_nodes(scene, {"schema": "something/9"})


def test_curves_are_filled_anew_and_follow_their_columns(scene) -> None:
    """As the losses of a training are shown while it goes on."""
    chart = curves_node(scene, "Losses", {"step": [1, 2], "G": [3.0, None]}, "step", "loss")
    table = chart.GetNthPlotSeriesNode(0).GetTableNode()
    assert (table.GetNumberOfRows(), chart.GetXAxisTitle()) == (2, "step")
    again = curves_node(scene, "Losses", {"step": [1, 2, 3], "G": [3.0, 2.0, 1.5]}, "step", "loss")
    assert again is chart
    assert table.GetNumberOfRows() == 3
    assert [table.GetCellText(n, table.GetColumnIndex("G")) for n in range(3)] == ["3", "2", "1.5"]
    other = curves_node(scene, "Losses", {"step": [1], "G": [3.0], "F": [1.0]}, "step", "loss")
    assert other.GetNumberOfPlotSeriesNodes() == 2
    for kind, count in (("Chart", 1), ("Series", 2)):
        assert scene.GetNumberOfNodesByClass(f"vtkMRMLPlot{kind}Node") == count
    assert scene.GetNumberOfNodesByClass("vtkMRMLTableNode") == 1
