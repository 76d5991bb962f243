"""Colouring after a reference picture or a library, driven by clicks; the picture that was used is shown."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

import slicer
from panel_host.fixtures import Panel, add_ball

from MedColorizeLib.exemplar.library_update import update
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.windows import Window, codes
from MedColorizeLib.mrml import nodes

pytest_plugins = ["panel_host.fixtures"]


def picture(path: Path, tint: tuple[float, float, float]) -> Path:
    """A ball of one tint in black."""
    from PIL import Image

    y, x = np.mgrid[-1:1:72j, -1:1:80j]
    light = 255 * np.clip(1.1 - np.hypot(x, y), 0, 1)
    Image.fromarray(np.clip(light[..., None] * tint, 0, 255).astype(np.uint8)).save(path)
    return path


def ready(panel: Panel, path: Path) -> None:
    add_ball()
    panel.choose_model("exemplar:welsh")
    assert not panel.ui.applyButton.enabled
    assert "reference picture" in panel.ui.applyButton.toolTip
    panel.ui.referencePath.currentPath = str(path)
    panel.wait(lambda: panel.colorize.reference._job is None)


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


def test_a_library_finds_the_nearest_and_shows_it(panel: Panel, tmp_path: Path) -> None:
    from PIL import Image

    folder = tmp_path / "pictures"
    folder.mkdir()
    picture(folder / "ball.png", (0.5, 0.7, 1.0))
    noise = np.random.default_rng(0).integers(0, 255, (80, 80, 3)).astype(np.uint8)
    Image.fromarray(np.sort(noise, axis=1)).save(folder / "stripes.png")
    library = tmp_path / "references.sqlite"
    update(library, [folder])
    ready(panel, library)
    assert "2 pictures" in panel.ui.referenceCaptionLabel.text
    panel.apply()
    assert panel.host.displays == []
    assert "ball.png" in panel.ui.referenceCaptionLabel.text
    assert not panel.ui.referencePictureLabel.pixmap.isNull()
    about = json.loads(panel.parameters.viewedVolume.GetAttribute("MedColorize.Provenance"))
    assert about["references"][0]["chosen_by"] == "library"


def test_a_file_that_is_no_picture_is_told(panel: Panel, tmp_path: Path) -> None:
    wrong = tmp_path / "notes.png"
    wrong.write_text("no picture")
    ready(panel, wrong)
    assert "can't be read as a picture" in panel.ui.referenceCaptionLabel.text
    panel.apply()
    assert "can't be read as a picture" in panel.host.displays[-1]
    assert panel.coloured() == []
    assert panel.leftovers() == []


def test_the_reference_survives_the_scene_and_scripts_may_give_one(panel: Panel, tmp_path: Path) -> None:
    path = picture(tmp_path / "section.png", (1.0, 0.6, 0.4))
    ready(panel, path)
    scene = str(tmp_path / "scene.mrml")
    slicer.mrmlScene.SetURL(scene)
    slicer.mrmlScene.Commit()
    slicer.mrmlScene.Clear(False)
    slicer.mrmlScene.Connect()
    panel.host.turn(0.1)
    assert panel.parameters.reference == str(path)
    assert panel.ui.referencePath.currentPath == str(path)
    source = add_ball("other")
    slices, _ = panel.widget.logic.colorize(source, "exemplar:welsh", reference=str(path))
    assert "section.png" in slices.GetAttribute("MedColorize.Provenance")
    with pytest.raises(RuntimeError, match="reference picture"):
        panel.widget.logic.colorize(source, "exemplar:welsh")
