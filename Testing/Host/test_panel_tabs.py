"""View, Consistency, Train and Models, the settings page and the DICOM plugin, driven by clicks."""

from __future__ import annotations

import json
import sys
import types
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

import slicer
from panel_host import pythonqt
from panel_host.fixtures import MODULE, Panel, add_ball, put_colours

from MedColorizeLib.imaging.volume import ColorVolume
from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.mrml import nodes, rendering
from MedColorizeLib.mrml.geometry import read_affine

pytest_plugins = ["panel_host.fixtures"]

PALETTE = "palette:head-mr"


@pytest.fixture
def coloured(panel: Panel) -> Panel:
    panel.choose_model(PALETTE)
    put_colours(panel, add_ball(), Colorizer(model="palette", palette="head-mr"))
    return panel


def display(panel: Panel) -> Any:
    return rendering.display_of(panel.coloured()[1])


#
# View
#


def test_sliders_turn_the_rendering(coloured: Panel) -> None:
    ui = coloured.ui
    assert ui.showIn3DButton.checked
    ui.opacitySlider.value = 40
    ui.thresholdSlider.value = 35
    look = rendering.look_of(display(coloured))
    assert (look.opacity, look.threshold) == (40, 35)
    index = ui.presetComboBox.findData("translucent")
    ui.presetComboBox.currentIndex = index
    assert rendering.look_of(display(coloured)).preset == "translucent"
    assert ui.thresholdSlider.value == pytest.approx(rendering.threshold_of(display(coloured)), abs=0.6)


def test_3d_button_hides_and_shows_and_the_view_says_synthetic(coloured: Panel) -> None:
    import vtk

    view = coloured.host.app.layoutManager().threeDWidget(0).threeDView()
    assert "Synthetic" in view.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.LowerRight)
    coloured.ui.showIn3DButton.click()
    assert display(coloured).GetVisibility() == 0
    assert view.cornerAnnotation().GetText(vtk.vtkCornerAnnotation.LowerRight) == ""
    coloured.ui.showIn3DButton.click()
    assert display(coloured).GetVisibility() == 1


def test_volume_loaded_from_a_file_gets_the_same_controls(panel: Panel, oblique: np.ndarray) -> None:
    rng = np.random.default_rng(0)
    z, y, x = np.mgrid[-1:1:20j, -1:1:24j, -1:1:28j]
    ball = np.clip(220 * (1 - np.sqrt(x * x + y * y + z * z)), 0, 255)
    rgb = np.clip(ball[..., None] * [1.0, 0.7, 0.6] + rng.normal(0, 2, (*ball.shape, 3)), 0, 255).astype(np.uint8)
    pair = nodes.color_nodes(slicer.mrmlScene, ColorVolume(rgb, oblique), None, "loaded")
    slicer.mrmlScene.RemoveNode(pair[1])
    pair[0].SetAttribute("MedColorize.Provenance", None)
    panel.parameters.viewedVolume = pair[0]
    panel.ui.showIn3DButton.click()
    panel.wait(lambda: panel.view._job is None and panel.ui.opacitySlider.enabled)
    assert panel.host.displays == []
    volume3d = pair[0].GetNodeReference("MedColorize.3D")
    assert np.array_equal(nodes.array_from_node(volume3d)[..., :3], rgb)
    assert np.array_equal(read_affine(volume3d), oblique)
    assert rendering.display_of(volume3d).GetVisibility() == 1
    panel.ui.opacitySlider.value = 30
    assert rendering.look_of(rendering.display_of(volume3d)).opacity == 30
    assert "does not say" in panel.ui.legendNoteLabel.text
    assert panel.leftovers() == []


def test_side_by_side_is_linked_and_fades(coloured: Panel) -> None:
    coloured.ui.sideBySideButton.click()
    manager = coloured.host.app.layoutManager()
    gray, color = (
        manager.sliceWidget(f"MedColorize{name}").sliceLogic().GetSliceCompositeNode() for name in ("Gray", "Color")
    )
    assert gray.GetLinkedControl() == color.GetLinkedControl() == 1
    assert gray.GetBackgroundVolumeID() == color.GetBackgroundVolumeID() == coloured.parameters.inputVolume.GetID()
    assert color.GetForegroundVolumeID() == coloured.coloured()[0].GetID()
    assert gray.GetForegroundVolumeID() is None
    coloured.ui.fadeSlider.value = 25
    assert color.GetForegroundOpacity() == pytest.approx(0.25)
    assert gray.GetForegroundOpacity() == 0


def test_legend_names_the_tissues_of_the_palette(coloured: Panel) -> None:
    table = coloured.ui.legendTable
    names = [table.item(row, 1).text() for row in range(table.rowCount)]
    assert any("white matter" in name for name in names)
    assert len(names) == len(set(names))


def test_screenshot_and_turntable(coloured: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt
    from PIL import Image

    frames = []

    class Capture:
        """The two calls of Slicer's ScreenCapture module, with pictures instead of views."""

        def captureImageFromView(self, view: Any, path: str) -> None:
            Image.new("RGB", (64, 64), (200, 100, 90)).save(path)

        def capture3dViewRotation(
            self, node: Any, start: float, end: float, count: int, axis: int, folder: str, pattern: str
        ) -> None:
            assert node.IsA("vtkMRMLViewNode")
            for number in range(count):
                frames.append(number)
                picture = np.roll(np.indices((64, 64, 3)).sum(0) * 3 % 256, number, axis=1).astype(np.uint8)
                Image.fromarray(picture).save(Path(folder) / (pattern % number))

    module = types.ModuleType("ScreenCapture")
    module.ScreenCaptureLogic, module.AXIS_YAW = Capture, 0  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "ScreenCapture", module)
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: str(tmp_path / "out.png"))
    coloured.ui.screenshotButton.click()
    assert (tmp_path / "out.png").is_file()
    monkeypatch.setattr(qt.QFileDialog, "getSaveFileName", lambda *_: str(tmp_path / "out.gif"))
    coloured.ui.turntableButton.click()
    coloured.wait(lambda: coloured.view._job is None)
    assert coloured.host.displays == []
    with Image.open(tmp_path / "out.gif") as film:
        assert film.n_frames == len(frames) == 72
    assert coloured.leftovers() == []


#
# Consistency
#


def test_measure_finds_the_slice_that_stands_out_and_jumps_there(coloured: Panel, tmp_path: Path) -> None:
    add = add_ball("big", size=48)
    coloured.parameters.inputVolume = add
    coloured.apply()
    node = coloured.parameters.measuredVolume
    array = nodes.array_from_node(node)
    array[24, ..., 0] = np.where(array[24].any(-1), np.clip(array[24, ..., 0].astype(int) + 60, 0, 255), 0)
    node.GetImageData().Modified()
    coloured.ui.measureButton.click()
    coloured.wait(lambda: coloured.consistency._job is None, 60)
    assert coloured.host.displays == []
    table = coloured.ui.outlierTable
    rows = [table.item(row, 0).text() for row in range(table.rowCount)]
    assert "24" in rows
    table.selectRow(rows.index("24"))
    red = coloured.host.app.layoutManager().sliceWidget("Red").mrmlSliceNode()
    assert red.GetSliceOffset() == pytest.approx(24 * 2.0)
    coloured.ui.showTableButton.click()
    selection = coloured.host.app.applicationLogic().GetSelectionNode()
    shown = slicer.mrmlScene.GetNodeByID(selection.GetActiveTableID())
    assert shown.GetNumberOfRows() == 48
    coloured.ui.showPlotButton.click()
    chart = slicer.mrmlScene.GetNodeByID(selection.GetActivePlotChartID())
    assert chart.GetNumberOfPlotSeriesNodes() >= 1
    coloured.ui.showPlotButton.click()
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLPlotChartNode") == 4


def test_report_is_saved_whole(coloured: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import qt

    assert not coloured.ui.saveReportButton.enabled
    coloured.ui.measureButton.click()
    coloured.wait(lambda: coloured.consistency._job is None, 60)
    opened = []
    monkeypatch.setattr(qt.QFileDialog, "getExistingDirectory", lambda *_: str(tmp_path))
    monkeypatch.setattr(qt.QDesktopServices, "openUrl", lambda url: opened.append(url.toString()))
    for name in ("MedColorize report", "MedColorize report 2"):
        coloured.ui.saveReportButton.click()
        assert {path.name for path in (tmp_path / name).iterdir()} >= {"report.html", "report.json", "slices.csv"}
    assert opened[-1].endswith("report.html")


def test_cancel_measuring(coloured: Panel) -> None:
    coloured.ui.measureButton.click()
    coloured.ui.measureButton.click()
    coloured.wait(lambda: coloured.consistency._job is None)
    assert coloured.host.displays == []
    assert "Cancelled" in coloured.ui.measureStatusLabel.text
    assert not coloured.ui.showTableButton.enabled


def test_measuring_the_wrong_gray_volume_is_told(coloured: Panel) -> None:
    coloured.parameters.measuredGray = add_ball("other", size=20)
    coloured.ui.measureButton.click()
    coloured.wait(lambda: coloured.consistency._job is None)
    assert "voxels" in coloured.host.displays[-1]


#
# Train and models
#


@pytest.mark.slow
def test_train_stop_resume_export_delete(panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    from PIL import Image

    monkeypatch.setenv("MEDCOLORIZE_MODELS", str(tmp_path / "models"))
    rng = np.random.default_rng(3)
    for domain, mode in (("gray", "L"), ("color", "RGB")):
        folder = tmp_path / domain
        folder.mkdir()
        for number in range(6):
            disk = np.hypot(*np.mgrid[-1:1:64j, -1:1:64j])[..., None] < 0.8
            blob = (np.clip(rng.normal(120, 40, (64, 64, 3)), 30, 255) * disk).astype(np.uint8)
            Image.fromarray(blob).convert(mode).save(folder / f"{number}.png")
    panel.catalogue()
    ui = panel.ui
    ui.tabWidget.currentIndex = 3
    assert not ui.trainButton.enabled
    ui.trainGrayPath.currentPath = str(tmp_path / "gray")
    ui.trainColorPath.currentPath = str(tmp_path / "color")
    ui.trainRunPath.currentPath = str(tmp_path / "run")
    ui.trainRecipeComboBox.currentIndex = ui.trainRecipeComboBox.findData("cyclegan-resnet9")
    panel.widget.logic.recipeChanges = [
        *("data.size=32", "data.color_background=none", "budget.iterations=100000"),
        *("options.blocks=1", "options.width=4", "options.discriminator_width=4"),
    ]
    ui.trainButton.click()
    panel.wait(lambda: ui.lossTable.rowCount or panel.host.displays, 120)
    assert panel.host.displays == []
    ui.trainButton.click()
    panel.wait(lambda: panel.train._job is None, 60)
    assert "can be resumed" in ui.trainStatusLabel.text
    assert ui.trainButton.text == "Resu&me"
    ui.exportButton.click()
    panel.wait(lambda: panel.train._job is None, 120)
    assert panel.host.displays == []
    panel.wait(lambda: any(model["name"] == "run" for model in panel.widget.logic.catalogue), 30)
    ui.modelsTable.selectRow([model["name"] for model in panel.models._shown].index("run"))
    assert ui.deleteButton.enabled
    ui.deleteButton.click()
    panel.wait(lambda: all(model["name"] != "run" for model in panel.widget.logic.catalogue), 30)
    assert not (tmp_path / "models" / "run").exists()


def test_models_are_listed_with_their_legend_and_shipped_ones_stay(panel: Panel) -> None:
    panel.catalogue()
    names = [model["name"] for model in panel.models._shown]
    panel.ui.modelsTable.selectRow(names.index("head-mr"))
    assert "white matter" in panel.ui.modelDetailsBrowser.html
    assert not panel.ui.deleteButton.enabled
    assert "came with MedColorize" in panel.ui.deleteButton.toolTip


def test_a_file_that_is_no_model_is_refused(
    panel: Panel,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    import qt

    monkeypatch.setenv("MEDCOLORIZE_MODELS", str(tmp_path / "models"))
    wrong = tmp_path / "model.zip"
    wrong.write_bytes(b"not a zip")
    monkeypatch.setattr(qt.QFileDialog, "getOpenFileName", lambda *_: str(wrong))
    panel.catalogue()
    panel.ui.importButton.click()
    panel.wait(lambda: panel.models._job is None)
    assert "zip" in panel.host.displays[-1]
    assert panel.ui.importButton.enabled


#
# Settings and DICOM
#


def test_settings_page_chooses_the_python(panel: Panel) -> None:
    import MedColorizePanelLib.compat as compat

    page = panel.host.app.settingsDialog().panels["MedColorize"]
    assert compat.pythonForWork() == (str(Path(panel.host.home) / "bin" / "PythonSlicer"), False)
    page.pythonPath.currentPath = "/no/such/python"
    assert compat.pythonForWork() == ("/no/such/python", True)
    assert "not there" in compat.reasonNotToRun()
    add_ball()
    assert not panel.ui.applyButton.enabled
    page.pythonPath.currentPath = sys.executable
    panel.colorize.update()
    panel.choose_model(PALETTE)
    panel.apply()
    assert len(panel.coloured()) == 2
    page.pythonPath.currentPath = ""


class _Dicom:
    """DICOMLib as far as a plugin needs it."""

    class DICOMPlugin:
        def __init__(self) -> None:
            self.loadType, self.tags = "", {}

        def addSeriesInSubjectHierarchy(self, loadable: Any, node: Any) -> None:
            self.placed = (loadable, node)

    class DICOMLoadable:
        pass


@pytest.fixture
def plugin(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> Any:
    import importlib.util

    import pydicom

    class Exportable:
        def __init__(self) -> None:
            self._tags: dict[str, str] = {}

        def setTag(self, name: str, value: str) -> None:
            self._tags[name] = value

        def tag(self, name: str) -> str:
            return self._tags.get(name, "")

    class Database:
        def fileValue(self, file: str, tag: str) -> str:
            group, element = (int(part, 16) for part in tag.split(","))
            entry = pydicom.dcmread(file, stop_before_pixels=True).get((group, element))
            return "" if entry is None else str(entry.value)

    monkeypatch.setitem(sys.modules, "DICOMLib", _Dicom)
    monkeypatch.setattr(slicer, "qSlicerDICOMExportable", Exportable, raising=False)
    monkeypatch.setattr(slicer, "dicomDatabase", Database(), raising=False)
    spec = importlib.util.spec_from_file_location(
        "MedColorizeDICOMPlugin", MODULE.with_name("MedColorizeDICOMPlugin.py")
    )
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    monkeypatch.setitem(sys.modules, "MedColorizeDICOMPlugin", module)
    spec.loader.exec_module(module)
    module.MedColorizeDICOMPlugin(types.SimpleNamespace())
    return slicer.modules.dicomPlugins["MedColorizeDICOMPlugin"]()


def test_dicom_out_and_in_again(coloured: Panel, plugin: Any, tmp_path: Path) -> None:
    import pydicom

    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    source, slices = coloured.parameters.inputVolume, coloured.coloured()[0]
    assert plugin.examineForExport(hierarchy.GetItemByDataNode(source)) == []
    (exportable,) = plugin.examineForExport(hierarchy.GetItemByDataNode(slices))
    assert exportable.pluginClass == "MedColorizeDICOMPlugin"
    assert exportable.confidence > 0.5
    exportable.directory = str(tmp_path)
    exportable.setTag("PatientName", "Test^Patient")
    exportable.setTag("PatientID", "4711")
    assert plugin.export([exportable]) == ""
    files = sorted(str(path) for path in tmp_path.glob("MedColorize_*/*.dcm"))
    assert len(files) == nodes.array_from_node(slices).shape[0]
    data = pydicom.dcmread(files[0])
    assert (data.PhotometricInterpretation, str(data.PatientName), data.PatientID) == ("RGB", "Test^Patient", "4711")
    assert "ynthetic" in data.DerivationDescription
    (loadable,) = plugin.examineForImport([files])
    assert loadable.confidence > 0.5
    loaded = plugin.load(loadable)
    assert np.array_equal(nodes.array_from_node(loaded), nodes.array_from_node(slices))
    assert np.abs(read_affine(loaded) - read_affine(slices)).max() < 1e-4
    assert coloured.leftovers() == []


def test_dicom_export_failure_is_a_text(coloured: Panel, plugin: Any, tmp_path: Path) -> None:
    hierarchy = slicer.mrmlScene.GetSubjectHierarchyNode()
    (exportable,) = plugin.examineForExport(hierarchy.GetItemByDataNode(coloured.coloured()[0]))
    blocked = tmp_path / "file"
    blocked.write_text("")
    exportable.directory = str(blocked)
    assert plugin.export([exportable])


def test_provenance_reaches_the_node(coloured: Panel) -> None:
    about = json.loads(coloured.coloured()[0].GetAttribute("MedColorize.Provenance"))
    assert about["synthetic_color"] is True
    assert pythonqt.errors == []
