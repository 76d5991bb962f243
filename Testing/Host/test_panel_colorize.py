"""The Colorize tab, driven by clicks: colouring, cancelling, and everything that can go wrong on the way."""

from __future__ import annotations

import json
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

import slicer
from panel_host import framework, pythonqt
from panel_host.fixtures import Panel, add_ball, change_worker, dead_within, kill, make_panel, slow_down

from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.windows import Window, codes
from MedColorizeLib.mrml import nodes
from MedColorizeLib.mrml.geometry import read_affine

pytest_plugins = ["panel_host.fixtures"]

PALETTE = "palette:head-mr"
WAIT = "on_progress(Progress('colorize', 0, 9)); [(time.sleep(0.05), cancel.check()) for _ in range(600)]"
DEAF = "on_progress(Progress('colorize', 0, 9)); time.sleep(600)"


def busy(panel: Panel, body: str = WAIT) -> int:
    """A panel whose worker is in the middle of colouring; the worker's process id."""
    slow_down(panel, body)
    panel.choose_model(PALETTE)
    panel.ui.applyButton.click()
    pid = panel.worker_pid()
    panel.wait(lambda: panel.ui.progressBar.maximum == 9)
    return pid


def test_apply_colours_into_a_new_node_in_the_same_place(panel: Panel, oblique: np.ndarray) -> None:
    source = add_ball(affine=oblique)
    panel.parameters.inputVolume = source
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    source.SetAndObserveTransformNodeID(transform.GetID())
    panel.choose_model(PALETTE)
    panel.apply()
    assert panel.host.displays == []
    slices, volume3d = panel.coloured()
    assert nodes.array_from_node(slices).shape == (*nodes.array_from_node(source).shape, 3)
    assert nodes.array_from_node(volume3d).shape[3] == 4
    for node in (slices, volume3d):
        assert np.array_equal(read_affine(node), read_affine(source))
        assert node.GetTransformNodeID() == transform.GetID()
    # The luminance lock, seen through the panel: gray again, it is the windowed input.
    rgb = nodes.array_from_node(slices)
    window = Window(*json.loads(slices.GetAttribute("MedColorize.Provenance"))["window"])
    assert np.array_equal(luma_codes(rgb), codes(nodes.array_from_node(source), window))
    rgb = rgb.astype(int)
    assert (rgb.max(axis=3) - rgb.min(axis=3)).max() > 20
    assert "head-mr" in panel.ui.statusLabel.text
    assert panel.parameters.viewedVolume is slices
    assert panel.leftovers() == []


def test_result_is_shown_in_slices_and_3d(panel: Panel) -> None:
    source = add_ball()
    panel.choose_model(PALETTE)
    panel.apply()
    slices, volume3d = panel.coloured()
    composite = panel.host.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    assert (composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID()) == (source.GetID(), slices.GetID())
    from MedColorizeLib.mrml import rendering

    assert rendering.display_of(volume3d).GetVisibility() == 1


def test_output_node_is_filled_in_place(panel: Panel) -> None:
    add_ball()
    panel.choose_model(PALETTE)
    panel.apply()
    first, old3d = panel.coloured()
    first.SetName("mine")
    panel.parameters.outputVolume = first
    panel.choose_model("palette:colorblind")
    before = nodes.array_from_node(first).copy()
    panel.apply()
    assert panel.host.displays == []
    found = panel.coloured()
    assert len(found) == 2
    assert found[0] is first
    assert first.GetName() == "mine"
    assert not np.array_equal(before, nodes.array_from_node(first))
    assert first.GetNodeReference("MedColorize.3D") is not old3d
    assert "colorblind" in first.GetAttribute("MedColorize.Provenance")


def test_coloured_and_label_volumes_are_not_offered(panel: Panel) -> None:
    source = add_ball()
    panel.choose_model(PALETTE)
    panel.apply()
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", "labels")
    assert panel.ui.inputSelector.nodeCount() == 1
    assert panel.ui.inputSelector.currentNode() is source
    panel.parameters.inputVolume = panel.coloured()[0]  # as a script or an old scene could
    panel.apply()
    assert "colour or vector volume already" in panel.host.displays[-1]
    assert len(panel.coloured()) == 2


def test_without_a_volume_apply_says_what_is_missing(panel: Panel) -> None:
    assert not panel.ui.applyButton.enabled
    assert "gray volume" in panel.ui.applyButton.toolTip
    slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    assert not panel.ui.applyButton.enabled
    assert "no voxels" in panel.ui.applyButton.toolTip


def test_window_is_taken_from_the_display_or_from_the_numbers(panel: Panel) -> None:
    source = add_ball()
    panel.choose_model(PALETTE)
    source.GetDisplayNode().SetAutoWindowLevel(0)
    source.GetDisplayNode().SetWindowLevelMinMax(100, 700)
    for key, window in (("display", [100.0, 700.0]), ("range", [50.0, 400.0])):
        panel.ui.windowComboBox.currentIndex = panel.ui.windowComboBox.findData(key)
        panel.ui.windowLowSpinBox.value, panel.ui.windowHighSpinBox.value = 50, 400
        panel.apply()
        made = panel.parameters.viewedVolume
        assert json.loads(made.GetAttribute("MedColorize.Provenance"))["window"] == window
    assert panel.ui.windowRangeWidget.visible
    panel.ui.windowLowSpinBox.value = 500
    assert not panel.ui.applyButton.enabled
    assert "below" in panel.ui.applyButton.toolTip


def test_segmentation_and_label_map_colour_alike(panel: Panel) -> None:
    source = add_ball()
    array = nodes.array_from_node(source)
    labels = (array > 300).astype(np.uint8)
    from MedColorizeLib.imaging.volume import LabelVolume

    node = nodes.node_from_labels(
        slicer.mrmlScene, LabelVolume(labels, read_affine(source), {1: "white matter"}), "tissue"
    )
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(node, segmentation)
    segmentation.CreateDefaultDisplayNodes()
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode")
    panel.choose_model(PALETTE)
    results = []
    for chosen in (None, node, segmentation):
        panel.parameters.labels = chosen
        panel.apply()
        assert panel.host.displays == []
        results.append(nodes.array_from_node(panel.parameters.viewedVolume).copy())
    assert not np.array_equal(results[0], results[1])
    assert np.array_equal(results[0][labels == 0], results[1][labels == 0])
    assert np.array_equal(results[1], results[2])
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLLabelMapVolumeNode") == before


def test_graphics_cards_are_offered_with_their_memory(panel: Panel) -> None:
    """Where there may be a card, the worker is asked once more; here it says that there is one."""
    panel.catalogue()
    change_worker(
        panel,
        "tasks.graphics_driver = lambda: True\n"
        "cards = [{'name': 'cpu', 'title': 'CPU'}]\n"
        "cards += [{'name': 'cuda:0', 'title': 'A card', 'free': 21 << 30, 'total': 24 << 30}]\n"
        "tasks.TASKS['devices'] = lambda *_: {'torch': '2', 'devices': cards}",
    )
    panel.ui.refreshButton.click()
    panel.wait(lambda: panel.ui.deviceComboBox.count > 2)
    combo = panel.ui.deviceComboBox
    assert [combo.itemText(n) for n in range(combo.count)] == [
        "Automatic",
        "CPU",
        "A card (21.0 GB of 24.0 GB free)",
    ]
    combo.currentIndex = 2
    assert panel.parameters.device == "cuda:0"
    source = add_ball()
    panel.parameters.inputVolume = source
    assert panel.colorize._request().content()[0]["device"] == "cuda:0"
    panel.colorize.showDevices([])  # the card is gone: what is left stays usable
    assert combo.count == 2


def test_preview_shows_the_slice_of_the_red_view(panel: Panel) -> None:
    add_ball()
    panel.choose_model(PALETTE)
    panel.host.app.layoutManager().sliceWidget("Red").mrmlSliceNode().SetSliceOffset(30.0)  # k = 15 at 2 mm
    begun = time.monotonic()
    panel.ui.previewButton.click()
    panel.wait(lambda: panel.ui.previewWidget.visible)
    assert time.monotonic() - begun < 5
    assert "Slice 15" in panel.ui.previewCaptionLabel.text
    assert "Synthetic" in panel.ui.previewCaptionLabel.text
    assert not panel.ui.previewColorLabel.pixmap.isNull()
    assert panel.coloured() == []
    assert panel.leftovers() == []


def test_cancel_while_colouring_leaves_nothing(panel: Panel) -> None:
    add_ball()
    pid = busy(panel)
    assert panel.ui.applyButton.text == "&Cancel"
    panel.ui.applyButton.click()
    assert not panel.ui.applyButton.enabled  # a second click has nothing to add
    panel.wait(lambda: panel.colorize._job is None)
    assert dead_within(pid)
    assert (panel.ui.applyButton.text, panel.ui.applyButton.enabled) == ("&Apply", True)
    assert "Cancelled" in panel.ui.statusLabel.text
    assert panel.host.displays == []
    assert panel.coloured() == []
    assert panel.leftovers() == []


def test_cancel_kills_a_worker_that_does_not_listen(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    import MedColorizePanelLib.process as process

    monkeypatch.setattr(process, "GRACE_MILLISECONDS", 300)
    add_ball()
    pid = busy(
        panel, "import subprocess; (folder / 'child').write_text(str(subprocess.Popen(['sleep', '600']).pid)); " + DEAF
    )
    child = int((Path(panel.colorize._job.folder) / "child").read_text())
    panel.ui.applyButton.click()
    panel.wait(lambda: panel.colorize._job is None)
    assert dead_within(pid)
    assert dead_within(child), "the worker's own child outlived it"
    assert panel.leftovers() == []


def test_cancel_before_the_worker_has_started(panel: Panel) -> None:
    add_ball()
    panel.choose_model(PALETTE)
    panel.ui.applyButton.click()
    panel.ui.applyButton.click()
    panel.wait(lambda: panel.colorize._job is None)
    panel.host.turn(0.5)
    assert panel.coloured() == []
    assert panel.leftovers() == []


def test_cancel_while_the_process_starts(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    import MedColorizePanelLib.process as process

    monkeypatch.setattr(process, "GRACE_MILLISECONDS", 300)
    add_ball()
    panel.choose_model(PALETTE)
    launcher = Path(panel.host.app.slicerHome) / "bin" / "PythonSlicer"
    launcher.write_text("#!/bin/sh\nexec sleep 600\n")
    panel.ui.applyButton.click()
    panel.wait(lambda: getattr(panel.colorize._job, "_worker", None) is not None)
    panel.host.turn(0.1)
    panel.ui.applyButton.click()
    panel.wait(lambda: panel.colorize._job is None)
    assert "Cancelled" in panel.ui.statusLabel.text
    assert panel.leftovers() == []


def test_killed_worker_is_told_and_the_panel_goes_on(panel: Panel) -> None:
    add_ball()
    pid = busy(panel)
    kill(pid)
    panel.wait(lambda: panel.colorize._job is None)
    assert "memory" in panel.host.displays[-1]
    assert panel.coloured() == []
    assert panel.leftovers() == []
    slow_down(panel, "pass")
    panel.apply()
    assert len(panel.coloured()) == 2


@pytest.mark.parametrize(
    ("body", "said"),
    [
        ("raise MemoryError", "Memory ran out"),
        ("os = __import__('os'); os._exit(7)", "exit code 7"),
        ("raise ValueError('the slab is odd')", "the slab is odd"),
    ],
)
def test_failures_of_the_worker_are_told(panel: Panel, body: str, said: str) -> None:
    add_ball()
    slow_down(panel, body)
    panel.choose_model(PALETTE)
    panel.apply()
    assert said in panel.host.displays[-1]
    assert said in panel.ui.statusLabel.text
    assert panel.coloured() == []
    assert panel.leftovers() == []


def test_noise_on_the_pipe_does_no_harm(panel: Panel) -> None:
    add_ball()
    noise = (
        r"o = __import__('os'); [o.write(3, b'\x1b[31mred\x1b[0m \xff\xfe not JSON\n{half') for _ in range(3)]; "
        r"o.write(3, b'\n' + b'x' * 3000000 + b'\n'); "
        r"[on_progress(Progress('colorize', n, 20000)) for n in range(20000)]; "
        r"[o.write(2, b'y' * 65536) for _ in range(100)]"
    )
    slow_down(panel, noise)
    panel.choose_model(PALETTE)
    panel.apply()
    assert panel.host.displays == []
    assert len(panel.coloured()) == 2


def test_scene_closed_while_colouring(panel: Panel) -> None:
    add_ball()
    pid = busy(panel)
    slicer.mrmlScene.Clear(False)
    assert dead_within(pid)
    panel.host.turn(0.3)
    assert panel.colorize._job is None
    assert panel.coloured() == []
    assert panel.host.displays == []
    assert panel.ui.applyButton.text == "&Apply"
    add_ball("next")
    assert panel.parameters is not None
    slow_down(panel, "pass")
    panel.parameters.inputVolume = slicer.mrmlScene.GetFirstNodeByName("next")
    panel.apply()
    assert len(panel.coloured()) == 2


def test_input_removed_while_colouring(panel: Panel) -> None:
    source = add_ball()
    pid = busy(panel)
    slicer.mrmlScene.RemoveNode(source)
    panel.wait(lambda: panel.colorize._job is None)
    assert dead_within(pid)
    assert panel.coloured() == []
    assert panel.leftovers() == []


def test_module_reloaded_while_colouring(panel: Panel) -> None:
    add_ball()
    pid = busy(panel)
    old = panel.widget
    panel.widget.onReload()
    panel.reloaded()
    assert panel.widget is not old
    assert type(panel.colorize) is not type(old.tabs[0]), "the parts were not reloaded"
    assert dead_within(pid)
    slow_down(panel, "pass")
    panel.host.enter()
    panel.choose_model(PALETTE)
    panel.apply()
    assert len(panel.coloured()) == 2


def test_application_closed_while_colouring(tmp_path: Path) -> None:
    panel = make_panel(tmp_path)
    add_ball()
    pid = busy(panel)
    temporary = Path(panel.host.app.temporaryPath)
    panel.host.close()
    assert dead_within(pid)
    assert not temporary.exists()
    assert pythonqt.errors == []


def test_apply_twice_makes_two_results(panel: Panel) -> None:
    add_ball()
    panel.choose_model(PALETTE)
    panel.apply()
    panel.apply()
    names = [node.GetName() for node in panel.coloured()]
    assert len(names) == 4


def test_model_that_needs_packages_asks_first_and_takes_no(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    import MedColorizePanelLib.compat as compat

    add_ball()
    panel.catalogue()
    panel.widget.logic.catalogue.append({"kind": "bundle", "name": "trained", "title": "A trained model"})
    panel.colorize.showCatalogue(panel.widget.logic.catalogue)
    panel.choose_model("bundle:trained")
    monkeypatch.setattr(compat, "torchInstalled", lambda: False)
    panel.apply()
    assert "PyTorch" in panel.host.displays[-1]
    monkeypatch.setattr(compat, "torchInstalled", lambda: True)
    panel.host.packaging.missing = {"monai"}
    panel.host.packaging.accepts = False
    panel.apply()
    assert panel.host.packaging.asked
    assert "not installed" in panel.host.displays[-1]
    assert panel.coloured() == []
    assert panel.leftovers() == []
    panel.choose_model(PALETTE)  # what needs nothing works without asking
    panel.host.packaging.asked.clear()
    panel.apply()
    assert panel.host.packaging.asked == []
    assert len(panel.coloured()) == 2


def test_worker_is_handed_one_thread_for_each_product(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    import MedColorizePanelLib.compat as compat

    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert compat.environmentForWork(False).value("OPENBLAS_NUM_THREADS") == "1"
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "4")
    assert compat.environmentForWork(False).value("OPENBLAS_NUM_THREADS") == "4"


def test_models_that_come_with_it_ask_for_no_packages(panel: Panel, monkeypatch: pytest.MonkeyPatch) -> None:
    import MedColorizePanelLib.compat as compat

    monkeypatch.setattr(compat, "torchInstalled", lambda: False)
    add_ball()
    panel.choose_model("bundle:head-mr")
    panel.apply()
    assert panel.host.packaging.asked == []
    assert panel.host.displays == []
    assert len(panel.coloured()) == 2
    panel.choose_model("bundle:colormedgan-head-mr")
    panel.apply()
    assert "PyTorch" in panel.host.displays[-1]


def test_parameters_survive_the_scene_file(panel: Panel, tmp_path: Path) -> None:
    source = add_ball()
    panel.choose_model(PALETTE)
    panel.ui.fidelityComboBox.currentIndex = panel.ui.fidelityComboBox.findData("balanced")
    panel.ui.showIn3DCheckBox.checked = False
    path = str(tmp_path / "scene.mrml")
    slicer.mrmlScene.SetURL(path)
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(False)
    assert panel.parameters.fidelity == "exact"
    slicer.mrmlScene.SetURL(path)
    slicer.mrmlScene.Connect()
    panel.host.turn(0.1)
    assert (panel.parameters.model, panel.parameters.fidelity) == (PALETTE, "balanced")
    assert panel.ui.fidelityComboBox.currentData == "balanced"
    assert panel.ui.showIn3DCheckBox.checked is False
    assert panel.parameters.inputVolume.GetName() == source.GetName()


def test_panel_left_and_entered_again_stays_connected(panel: Panel) -> None:
    add_ball()
    panel.host.leave()
    panel.host.enter()
    panel.ui.fidelityComboBox.currentIndex = panel.ui.fidelityComboBox.findData("free")
    assert panel.parameters.fidelity == "free"
    panel.ui.showIn3DCheckBox.checked = False
    assert panel.parameters.showIn3D is False


def test_without_main_window_the_module_loads_and_colours(tmp_path: Path) -> None:
    panel = make_panel(tmp_path, no_main_window=True)
    source = add_ball()
    slices, volume3d = panel.widget.logic.colorize(source, model=PALETTE)
    assert nodes.array_from_node(slices).shape[3] == 3
    assert nodes.array_from_node(volume3d).shape[3] == 4
    with pytest.raises(Exception, match="already"):
        panel.widget.logic.colorize(slices)
    panel.host.close()
    assert pythonqt.errors == []


def test_every_visible_text_is_translatable(tmp_path: Path) -> None:
    framework.Translations.table = {"&Cancel": "Abbrechen", "&Apply": "Anwenden"}
    try:
        panel = make_panel(tmp_path)
        assert panel.ui.applyButton.text == "Anwenden"
        panel.host.close()
    finally:
        framework.Translations.table = {}


def test_self_test_of_the_module(panel: Panel) -> None:
    slicer.selfTests["MedColorize"]()


def test_all_frames_of_a_sequence(panel: Panel) -> None:
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "beating")
    sequence.SetIndexName("time")
    sequence.SetIndexUnit("s")
    for frame in range(3):
        node = add_ball(f"frame {frame}", size=16)
        nodes.array_from_node(node)[...] += 40 * frame
        sequence.SetDataNodeAtValue(node, str(0.1 * frame))
        scene.RemoveNode(node)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    panel.parameters.inputVolume = browser.GetProxyNode(sequence)
    panel.choose_model(PALETTE)
    assert panel.ui.framesComboBox.visible
    panel.ui.framesComboBox.currentIndex = panel.ui.framesComboBox.findData("all")
    panel.apply()
    assert panel.host.displays == []
    made = next(
        node
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode"))
        if (node := scene.GetNthNodeByClass(index, "vtkMRMLSequenceNode")) is not sequence
    )
    assert [made.GetNthIndexValue(n) for n in range(3)] == [sequence.GetNthIndexValue(n) for n in range(3)]
    windows = {
        json.loads(made.GetNthDataNode(n).GetAttribute("MedColorize.Provenance"))["window_name"] for n in range(3)
    }
    assert len(windows) <= 2  # chosen once, then given to the other frames
    frames = [nodes.array_from_node(made.GetNthDataNode(n)) for n in range(3)]
    assert all(frame.shape[3] == 3 for frame in frames)
    assert not np.array_equal(frames[0], frames[2])
    proxy = browser.GetProxyNode(made)
    assert panel.parameters.viewedVolume is proxy
    browser.SetSelectedItemNumber(2)
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    assert np.array_equal(nodes.array_from_node(proxy), frames[2])
    assert panel.leftovers() == []


def test_labels_on_another_grid_are_brought_onto_the_scan(panel: Panel) -> None:
    """A coarser label map under a transform of its own: as if it had been drawn on the scan, and said so."""
    import vtk

    from MedColorizeLib.imaging.volume import LabelVolume

    source = add_ball(affine=np.diag([1.0, 1.0, 1.0, 1.0]))
    labels = (nodes.array_from_node(source) > 300).astype(np.uint8)
    coarse = labels[::2, ::2, ::2]
    place = np.diag([2.0, 2.0, 2.0, 1.0])
    place[:3, 3] = [40, 0, 0]
    moved = nodes.node_from_labels(slicer.mrmlScene, LabelVolume(coarse, place, {1: "white matter"}), "coarse")
    transform = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
    matrix = vtk.vtkMatrix4x4()
    matrix.SetElement(0, 3, -40)
    transform.SetMatrixTransformToParent(matrix)
    moved.SetAndObserveTransformNodeID(transform.GetID())
    # The centres of the scan's voxels are nearest to those of the coarse map's, half-way ones to the next.
    grid = [np.minimum((np.arange(n) + 1) // 2, m - 1) for n, m in zip(labels.shape, coarse.shape, strict=True)]
    fine = coarse[np.ix_(*grid)]
    for axis, (n, m) in enumerate(zip(labels.shape, coarse.shape, strict=True)):
        fine[tuple(slice(None) if a != axis else (np.arange(n) + 1) // 2 >= m for a in range(3))] = 0
    drawn = nodes.node_from_labels(
        slicer.mrmlScene, LabelVolume(fine, read_affine(source), {1: "white matter"}), "drawn"
    )
    panel.choose_model(PALETTE)
    results = []
    for chosen in (moved, drawn):
        panel.parameters.labels = chosen
        panel.ui.previewButton.click()
        panel.wait(lambda: panel.colorize._previewJob is None)
        panel.apply()
        assert panel.host.displays == []
        results.append(nodes.array_from_node(panel.parameters.viewedVolume).copy())
        assert ("nearest neighbour" in panel.ui.statusLabel.text) == (chosen is moved)
    assert np.array_equal(*results)
    panel.parameters.labels = None
    panel.apply()
    assert not np.array_equal(results[0], nodes.array_from_node(panel.parameters.viewedVolume))


def test_labels_of_another_place_are_refused(panel: Panel) -> None:
    from MedColorizeLib.imaging.volume import LabelVolume

    add_ball()
    place = np.eye(4)
    place[:3, 3] = 900
    stranger = LabelVolume(np.ones((8, 8, 8), np.uint8), place, {1: "white matter"})
    panel.parameters.labels = nodes.node_from_labels(slicer.mrmlScene, stranger, "stranger")
    panel.choose_model(PALETTE)
    panel.apply()
    assert "labels nothing inside the scan" in panel.host.displays[-1]
    assert panel.coloured() == []
    assert panel.leftovers() == []
