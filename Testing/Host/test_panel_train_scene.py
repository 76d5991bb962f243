"""Training on volumes of the scene: chosen by clicks, handed over, paired with their labels, cleaned up."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")
pytest.importorskip("torch")
pytest.importorskip("lightning_fabric")

import slicer
from panel_host.fixtures import Panel, add_ball, dead_within

from MedColorizeLib.app import protocol
from MedColorizeLib.app.tasks_scene import scene_folder, source_folders
from MedColorizeLib.imaging.read import read_color, read_labels, read_volume
from MedColorizeLib.imaging.volume import ColorVolume, LabelVolume
from MedColorizeLib.mrml import nodes
from MedColorizeLib.mrml.geometry import read_affine
from MedColorizeLib.progress import CancelToken
from MedColorizeLib.training.sources import find_sources

pytest_plugins = ["panel_host.fixtures"]

SMALL = [
    *("data.size=32", "data.color_background=none", "budget.iterations=100000"),
    *("options.blocks=1", "options.width=4", "options.discriminator_width=4"),
]


def colored_node(name: str, size: int = 24) -> Any:
    rng = np.random.default_rng(len(name))
    array = rng.integers(40, 220, (size, size, size, 3)).astype(np.uint8)
    pair = nodes.color_nodes(slicer.mrmlScene, ColorVolume(array, np.diag([1.0, 1.0, 2.0, 1.0])), None, name)
    slicer.mrmlScene.RemoveNode(pair[1])
    return pair[0]


def labels_of(volume: Any, name: str) -> Any:
    array = (nodes.array_from_node(volume) > 300).astype(np.uint8)
    return nodes.node_from_labels(slicer.mrmlScene, LabelVolume(array, read_affine(volume), {1: "tissue"}), name)


def choose(panel: Panel, *, gray: Any = (), color: Any = (), labels: Any = ()) -> None:
    ui = panel.ui
    for combo, chosen in ((ui.trainGrayNodes, gray), (ui.trainColorNodes, color), (ui.trainLabelsNodes, labels)):
        for node in chosen:
            combo.check(node)


@pytest.mark.slow
def test_train_stop_and_resume_on_volumes_of_the_scene(panel: Panel, tmp_path: Path) -> None:
    grays = [add_ball(f"Secret^Name {n}", size=22 + 2 * n) for n in range(2)]
    colors = [colored_node("cryo one"), colored_node("cryo two")]
    panel.catalogue()
    ui = panel.ui
    run = tmp_path / "run"
    ui.trainRunPath.currentPath = str(run)
    assert not ui.trainButton.enabled
    choose(panel, gray=grays, color=colors)
    assert ui.trainButton.enabled
    assert not ui.trainGrayPath.enabled
    ui.trainRecipeComboBox.currentIndex = ui.trainRecipeComboBox.findData("cyclegan-resnet9")
    panel.widget.logic.recipeChanges = SMALL
    steps = []
    for _turn in range(2):  # the second resumes: the volumes count as the same, though they were written anew
        ui.trainButton.click()
        panel.wait(lambda: len(panel.train._history.get("step", ())) > 2 or panel.host.displays, 200)
        assert panel.host.displays == []
        assert scene_folder(run).is_dir()
        ui.trainButton.click()
        panel.wait(lambda: panel.train._job is None, 60)
        assert "can be resumed" in ui.trainStatusLabel.text
        steps.append(panel.train._history["step"][-1])
        assert not scene_folder(run).exists()
    assert steps[1] > steps[0]
    facts = json.loads((run / "data.json").read_text())
    assert facts["modality"] == "MR"
    assert facts["subjects"] == 4
    everything = "".join(
        path.read_text(errors="ignore") for path in run.rglob("*") if path.suffix in (".json", ".toml")
    )
    assert "Secret" not in everything
    assert panel.leftovers() == []
    # Another choice is another training.
    ui.trainGrayNodes.uncheck(grays[1])
    ui.trainButton.click()
    panel.wait(lambda: panel.train._job is None, 100)
    assert "not those that" in panel.host.displays[-1]
    assert not scene_folder(run).exists()


def test_a_killed_training_leaves_no_volumes(panel: Panel, tmp_path: Path) -> None:
    choose(panel, gray=[add_ball(size=40)], color=[colored_node("cryo")])
    panel.catalogue()
    ui = panel.ui
    ui.trainRunPath.currentPath = str(tmp_path / "run")
    ui.trainRecipeComboBox.currentIndex = ui.trainRecipeComboBox.findData("cyclegan-resnet9")
    panel.widget.logic.recipeChanges = SMALL
    ui.trainButton.click()
    folder = scene_folder(tmp_path / "run")
    panel.wait(lambda: folder.is_dir() or panel.host.displays, 60)
    pid = panel.train._job._worker._pid
    import os
    import signal

    os.kill(pid, signal.SIGKILL)
    panel.wait(lambda: panel.train._job is None)
    assert dead_within(pid)
    assert panel.host.displays
    assert not folder.exists()
    assert panel.leftovers() == []


def test_volumes_arrive_in_place_with_their_labels(panel: Panel, tmp_path: Path, oblique: np.ndarray) -> None:
    """What the panel hands over is what the training room then finds, voxel by voxel."""
    import MedColorizePanelLib.jobs as jobs
    import MedColorizePanelLib.sceneImages as sceneImages

    gray, other, color = add_ball("a", 12, oblique), add_ball("b", 14), colored_node("c", 16)
    map_of_a, map_of_color = labels_of(gray, "map a"), labels_of(other, "map b")
    segmentation = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLSegmentationNode", "segments")
    slicer.vtkSlicerSegmentationsModuleLogic.ImportLabelmapToSegmentationNode(map_of_color, segmentation)
    segmentation.CreateDefaultDisplayNodes()
    segmentation.SetReferenceImageGeometryParameterFromVolumeNode(other)
    content, arrays = sceneImages.request([gray, other], [color], [map_of_a, segmentation])
    for _step in jobs.writeArrays(tmp_path, arrays):
        pass
    run = tmp_path / "run"
    protocol.write_request(tmp_path, "train", **content)
    request = protocol.read_request(tmp_path)
    with source_folders(request, tmp_path, run, lambda event: None, CancelToken()) as (grays, colors, labels):
        assert grays is not None
        assert colors is not None
        assert labels is not None
        found = {source.subject: source.files[0] for source in find_sources(grays)}
        assert len(found) == 2
        for source in find_sources(labels):
            volume, label_map = read_volume(found[source.subject]), read_labels(source.files[0])
            assert np.array_equal(label_map.array, volume.array > 300)
        written = read_volume(found["patient1"])
        assert np.array_equal(written.array, nodes.array_from_node(gray))
        assert np.allclose(written.affine, oblique, atol=1e-9)
        made = read_color(find_sources(colors)[0].files[0])
        assert np.array_equal(made.rgb, nodes.array_from_node(color))
        first = found["patient1"].stat()
    assert not scene_folder(run).exists()
    with source_folders(request, tmp_path, run, lambda event: None, CancelToken()) as (grays, _colors, _labels):
        again = find_sources(grays)[0].files[0].stat()  # type: ignore[arg-type]
        assert (first.st_size, first.st_mtime_ns) == (again.st_size, again.st_mtime_ns)


def test_volumes_of_one_patient_share_a_subject(panel: Panel) -> None:
    import MedColorizePanelLib.sceneImages as sceneImages

    tree = slicer.mrmlScene.GetSubjectHierarchyNode()
    patient = tree.CreateSubjectItem(tree.GetSceneItemID(), "Doe^Jane")
    same = [add_ball("t1"), add_ball("t2")]
    for node in same:
        tree.SetItemParent(tree.GetItemByDataNode(node), patient)
    content, _arrays = sceneImages.request([*same, add_ball("alone")], [], [])
    subjects = [entry["name"].split("_")[0] for entry in content["scene"]["gray"]]
    assert subjects[0] == subjects[1] != subjects[2]
    assert "Doe" not in json.dumps(content)


def test_labels_of_nobody_are_refused(panel: Panel, tmp_path: Path) -> None:
    one, two, stranger = add_ball("one", 12), add_ball("two", 14), add_ball("three", 18)
    choose(panel, gray=[one, two], color=[colored_node("c")], labels=[labels_of(stranger, "whose?")])
    panel.catalogue()
    panel.ui.trainRunPath.currentPath = str(tmp_path / "run")
    panel.ui.trainButton.click()
    assert "whose?" in panel.host.displays[-1]
    assert panel.train._job is None
    assert panel.ui.trainButton.text == "&Start"


def test_removed_volumes_are_no_longer_chosen(panel: Panel, tmp_path: Path) -> None:
    ball = add_ball()
    panel.catalogue()
    panel.ui.trainRunPath.currentPath = str(tmp_path / "run")
    choose(panel, gray=[ball])
    assert panel.ui.trainButton.enabled
    slicer.mrmlScene.RemoveNode(ball)
    assert not panel.ui.trainButton.enabled
    assert panel.ui.trainGrayPath.enabled
