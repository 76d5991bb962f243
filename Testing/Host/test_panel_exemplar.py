"""Colouring after a reference picture or a library, driven by clicks; the picture that was used is shown."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

import slicer
from panel_host.fixtures import Panel, add_ball, slow_down

from MedColorizeLib.exemplar.library_update import update
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.volume import LabelVolume
from MedColorizeLib.imaging.windows import Window, codes
from MedColorizeLib.mrml import nodes
from MedColorizeLib.mrml.geometry import read_affine

pytest_plugins = ["panel_host.fixtures"]


def picture(path: Path, tint: tuple[float, float, float]) -> Path:
    """A ball of one tint in black."""
    from PIL import Image

    y, x = np.mgrid[-1:1:72j, -1:1:80j]
    light = 255 * np.clip(1.1 - np.hypot(x, y), 0, 1)
    Image.fromarray(np.clip(light[..., None] * tint, 0, 255).astype(np.uint8)).save(path)
    return path


def ready(panel: Panel, path: Path, volume: Any = None) -> None:
    panel.parameters.inputVolume = volume or add_ball()
    panel.choose_model("exemplar:welsh")
    assert not panel.ui.applyButton.enabled
    assert "reference picture" in panel.ui.applyButton.toolTip
    panel.ui.referencePath.currentPath = str(path)
    panel.wait(lambda: not panel.colorize.reference.busy)


def test_after_a_picture(panel: Panel, tmp_path: Path) -> None:
    path = picture(tmp_path / "section.png", (1.0, 0.6, 0.4))
    assert not panel.ui.referencePath.visible
    ready(panel, path)
    assert panel.ui.referencePath.visible
    assert not panel.ui.referencePictureLabel.pixmap.isNull()
    assert "section.png" in panel.ui.referenceCaptionLabel.text
    panel.ui.previewButton.click()
    panel.wait(lambda: panel.ui.previewWidget.visible, 60)
    panel.apply()
    assert panel.host.displays == []
    slices = panel.parameters.viewedVolume
    about = json.loads(slices.GetAttribute("MedColorize.Provenance"))
    assert (about["method"], about["model"]) == ("exemplar:welsh", "section.png")
    rgb = nodes.array_from_node(slices)
    gray = codes(nodes.array_from_node(panel.parameters.inputVolume), Window(*about["window"]))
    assert np.array_equal(luma_codes(rgb), gray)
    body = rgb[(gray > 60) & (gray < 180)].astype(int)
    assert (body[:, 0] - body[:, 2]).mean() > 20  # the picture's warmth
    assert panel.leftovers() == []
    panel.choose_model("palette:head-mr")
    assert not panel.ui.referencePath.visible
    assert not panel.ui.referencePictureLabel.visible


@pytest.fixture
def library(tmp_path: Path) -> Path:
    """A library of a ball, as a slice of the volume is one, and of stripes and a corner, which are less like it."""
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    picture(folder / "ball.png", (0.5, 0.7, 1.0))
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8)
    Image.fromarray(np.sort(noise, axis=1)).save(folder / "stripes.png")
    y, x = np.mgrid[0:1:80j, 0:1:80j]
    Image.fromarray((255 * (x * y)[..., None] * [1.0, 0.5, 0.2]).astype(np.uint8)).save(folder / "corner.png")
    update(tmp_path / "references.sqlite", [folder])
    return tmp_path / "references.sqlite"


def provenance(panel: Panel) -> dict[str, Any]:
    return dict(json.loads(panel.parameters.viewedVolume.GetAttribute("MedColorize.Provenance")))


def test_the_nearest_of_a_library_is_shown_and_another_can_be_taken(panel: Panel, library: Path) -> None:
    ready(panel, library)
    ui = panel.ui
    assert ui.referenceCaptionLabel.text == "ball.png: the nearest of 3 pictures."
    assert not ui.referencePictureLabel.pixmap.isNull()
    combo = ui.referenceComboBox
    assert combo.visible
    assert combo.width > 200
    texts = [combo.itemText(n) for n in range(combo.count)]
    assert texts[:2] == ["Nearest: ball.png", "ball.png"]
    assert sorted(texts[1:]) == ["ball.png", "corner.png", "stripes.png"]
    panel.apply()
    assert panel.host.displays == []
    assert "Coloured after ball.png" in ui.referenceCaptionLabel.text
    (used,) = provenance(panel)["references"]
    assert (used["picture"], used["chosen_by"]) == ("ball.png", "library")
    blue = nodes.array_from_node(panel.parameters.viewedVolume).copy()

    combo.currentIndex = texts.index("corner.png")
    assert ui.referenceCaptionLabel.text == "corner.png: your choice of 3 pictures."
    ui.previewButton.click()
    panel.wait(lambda: panel.colorize._previewJob is None)
    assert panel.host.displays == []
    assert "Coloured after corner.png" in ui.referenceCaptionLabel.text
    panel.apply()
    (used,) = provenance(panel)["references"]
    assert (used["picture"], used["chosen_by"]) == ("corner.png", "person")
    orange = nodes.array_from_node(panel.parameters.viewedVolume)
    assert (orange[..., 0].astype(int) - orange[..., 2]).sum() > (blue[..., 0].astype(int) - blue[..., 2]).sum()

    # Another library or picture forgets the choice.
    chosen = panel.parameters.referencePicture
    assert len(chosen) == 64
    ui.referencePath.currentPath = str(library.parent / "pictures" / "ball.png")
    panel.wait(lambda: not panel.colorize.reference.busy)
    assert panel.parameters.referencePicture == ""
    assert not combo.visible
    assert ui.referenceCaptionLabel.text == "Reference: ball.png."  # blue itself: no gelatine
    assert panel.leftovers() == []


def test_labels_are_said_to_change_nothing(panel: Panel, tmp_path: Path) -> None:
    source = add_ball()
    labels = LabelVolume((nodes.array_from_node(source) > 300).astype(np.uint8), read_affine(source), {1: "tissue"})
    panel.parameters.labels = nodes.node_from_labels(slicer.mrmlScene, labels, "tissue")
    ready(panel, picture(tmp_path / "section.png", (1.0, 0.6, 0.4)), source)
    panel.apply()
    assert panel.host.displays == []
    assert "don't go by labels" in panel.ui.statusLabel.text
    assert provenance(panel)["labels"] is False


def test_gelatine_is_left_out_and_that_is_said(panel: Panel, tmp_path: Path) -> None:
    from PIL import Image

    y, x = np.mgrid[-1:1:80j, -1:1:90j]
    tissue = np.hypot(x, y) < 0.7
    rgb = np.where(tissue[..., None], [170, 90, 70], [40, 70, 150]).astype(np.uint8)
    Image.fromarray(rgb).save(tmp_path / "section.png")
    ready(panel, tmp_path / "section.png")
    assert "the blue is left out" in panel.ui.referenceCaptionLabel.text
    shown = panel.ui.referencePictureLabel.pixmap._object.toImage()
    assert shown.pixelColor(2, 2).blue() < 20
    assert shown.pixelColor(shown.width() // 2, shown.height() // 2).red() > 150


def test_trouble_with_a_library_is_told(panel: Panel, library: Path, tmp_path: Path) -> None:
    ready(panel, library)
    caption = panel.ui.referenceCaptionLabel
    # A picture that went after it was indexed: told when it is looked at, and refused.
    (tmp_path / "pictures" / "ball.png").unlink()
    panel.ui.windowComboBox.currentIndex = panel.ui.windowComboBox.findData("display")
    panel.wait(lambda: not panel.colorize.reference.busy)
    assert "is gone since it was indexed" in caption.text
    assert not panel.ui.referencePictureLabel.visible
    panel.apply()
    assert "is gone since it was indexed" in panel.host.displays[-1]
    assert panel.coloured() == []
    # A library of no pictures, one that is damaged, and what is no picture.
    (tmp_path / "none").mkdir()
    empty = tmp_path / "empty.sqlite"
    update(empty, [tmp_path / "none"])
    broken = tmp_path / "broken.sqlite"
    broken.write_bytes(library.read_bytes()[:5000])
    wrong = tmp_path / "notes.png"
    wrong.write_text("no picture")
    unreadable = "can't be read as a picture"
    for path, said in ((empty, "holds no pictures"), (broken, "damaged"), (wrong, unreadable)):
        panel.ui.referencePath.currentPath = str(path)
        panel.wait(lambda: not panel.colorize.reference.busy)
        assert said in caption.text
    panel.apply()
    assert unreadable in panel.host.displays[-1]
    assert panel.coloured() == []
    # A file that is not there keeps the work from starting.
    panel.ui.referencePath.currentPath = str(tmp_path / "nowhere.png")
    panel.wait(lambda: not panel.colorize.reference.busy)
    assert not panel.ui.applyButton.enabled
    assert "There is no file" in panel.ui.applyButton.toolTip
    assert panel.leftovers() == []


def test_frames_of_a_sequence_share_the_reference_of_the_first(panel: Panel, library: Path) -> None:
    scene = slicer.mrmlScene
    sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", "frames")
    for frame in range(2):
        node = add_ball(f"frame {frame}", size=16)
        if frame:  # this one by itself is most like another picture
            array = nodes.array_from_node(node)
            y, x = np.mgrid[0 : 1 : array.shape[1] * 1j, 0 : 1 : array.shape[2] * 1j]
            array[...] = 900 * x * y
        sequence.SetDataNodeAtValue(node, str(frame))
        scene.RemoveNode(node)
    browser = scene.AddNewNodeByClass("vtkMRMLSequenceBrowserNode", "browser")
    browser.SetAndObserveMasterSequenceNodeID(sequence.GetID())
    slicer.modules.sequences.logic().UpdateProxyNodesFromSequences(browser)
    panel.parameters.inputVolume = browser.GetProxyNode(sequence)
    panel.choose_model("exemplar:welsh")
    panel.ui.referencePath.currentPath = str(library)
    panel.parameters.frames = "all"
    panel.apply()
    assert panel.host.displays == []
    made = next(
        node
        for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceNode"))
        if (node := scene.GetNthNodeByClass(index, "vtkMRMLSequenceNode")) is not sequence
    )
    for frame in range(2):
        about = json.loads(made.GetNthDataNode(frame).GetAttribute("MedColorize.Provenance"))
        assert [(used["picture"], used["chosen_by"]) for used in about["references"]] == [("ball.png", "library")]
    panel.parameters.inputVolume = None
    alone = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "alone")
    alone.Copy(sequence.GetNthDataNode(1))
    slices, _ = panel.widget.logic.colorize(alone, "exemplar:welsh", reference=str(library))
    (used,) = json.loads(slices.GetAttribute("MedColorize.Provenance"))["references"]
    assert used["picture"] != "ball.png"


def test_stopping_the_preview_and_the_work(panel: Panel, library: Path) -> None:
    ready(panel, library)
    panel.ui.previewButton.click()
    assert panel.ui.previewButton.text == "Stop &preview"
    panel.ui.previewButton.click()
    panel.wait(lambda: panel.colorize._previewJob is None)
    assert panel.ui.previewButton.text == "&Preview slice"
    assert "Cancelled" in panel.ui.statusLabel.text
    slow_down(
        panel, "on_progress(Progress('key slices', 0, 9)); [(time.sleep(.05), cancel.check()) for _ in range(99)]"
    )
    panel.ui.applyButton.click()
    panel.wait(lambda: panel.ui.progressBar.maximum == 9)
    assert "after the reference" in panel.ui.statusLabel.text
    panel.ui.applyButton.click()
    panel.wait(lambda: panel.colorize._job is None)
    assert panel.coloured() == []
    assert panel.host.displays == []
    # The scene is closed while the library is being looked at.
    panel.ui.windowComboBox.currentIndex = panel.ui.windowComboBox.findData("display")
    panel.wait(lambda: panel.colorize.reference._job is not None)
    slicer.mrmlScene.Clear(False)
    assert not panel.colorize.reference.busy
    assert not panel.ui.referencePath.visible
    assert panel.leftovers() == []


def test_the_reference_survives_the_scene_and_scripts_may_give_one(panel: Panel, tmp_path: Path) -> None:
    path = picture(tmp_path / "section.png", (1.0, 0.6, 0.4))
    ready(panel, path)
    panel.parameters.referencePicture = "0" * 64
    scene = str(tmp_path / "scene.mrml")
    slicer.mrmlScene.SetURL(scene)
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.Connect()
    panel.host.turn(0.1)
    assert (panel.parameters.reference, panel.parameters.referencePicture) == (str(path), "0" * 64)
    assert panel.ui.referencePath.currentPath == str(path)
    source = add_ball("other")
    # Undo, if a person has it on, takes the result away and leaves the panel at work.
    slicer.mrmlScene.SetUndoOn()
    slicer.mrmlScene.SaveStateForUndo()
    panel.apply()
    slicer.mrmlScene.Undo()
    assert panel.parameters.reference == str(path)
    slices, _ = panel.widget.logic.colorize(source, "exemplar:welsh", reference=str(path))
    assert "section.png" in slices.GetAttribute("MedColorize.Provenance")
    with pytest.raises(RuntimeError, match="reference picture"):
        panel.widget.logic.colorize(source, "exemplar:welsh")
