"""The uncertainty overlay, driven by clicks: computed by the worker, shown, faded, hidden, kept in the scene."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")
pytest.importorskip("torch")
pytest.importorskip("monai")

import slicer
from panel_host.fixtures import Panel, add_ball, put_colours, run_steps, write_model

from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.mrml import nodes
from MedColorizeLib.mrml.geometry import read_affine

pytest_plugins = ["panel_host.fixtures"]


@pytest.fixture
def model(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """A trained model, installed."""
    monkeypatch.setenv("MEDCOLORIZE_MODELS", str(tmp_path / "models"))
    write_model("tiny")
    return "tiny"


@pytest.fixture
def trained(model: str, panel: Panel, oblique: np.ndarray) -> Panel:
    """An oblique volume coloured by a trained model."""
    panel.choose_model(f"bundle:{model}")
    put_colours(panel, add_ball(size=18, affine=oblique), Colorizer(model=model))
    return panel


def compute(panel: Panel) -> Any:
    panel.ui.uncertaintyButton.click()
    assert panel.ui.uncertaintyButton.text == "Ca&ncel"
    panel.wait(lambda: panel.consistency.uncertainty._job is None, 120)
    assert panel.host.displays == []
    return panel.consistency.uncertainty.node()


def put_overlay(panel: Panel, folder: Path) -> Any:
    """What computing leaves in the scene, with other numbers and without its worker: for what comes after it."""
    import MedColorizePanelLib.uncertaintyPart as uncertaintyPart

    coloured = panel.parameters.measuredVolume
    values = np.random.default_rng(5).gamma(2.0, size=nodes.array_from_node(coloured).shape[:3]).astype(np.float32)
    np.save(folder / "values.npy", values)
    result = {"file": "values.npy", "affine": read_affine(coloured).tolist(), "median": 1.7, "high": 6.6}
    node = run_steps(uncertaintyPart._receiveOverlay(result, folder, coloured))
    panel.consistency.uncertainty._onDone(node)
    return node


def layers(panel: Panel) -> tuple[str, str, float]:
    composite = panel.host.app.layoutManager().sliceWidget("Red").sliceLogic().GetSliceCompositeNode()
    return composite.GetBackgroundVolumeID(), composite.GetForegroundVolumeID(), composite.GetForegroundOpacity()


def test_the_overlay_is_the_librarys_uncertainty_in_the_same_place(
    model: str, panel: Panel, oblique: np.ndarray
) -> None:
    trained = panel  # by a click, here
    panel.parameters.inputVolume = add_ball(size=18, affine=oblique)
    panel.choose_model(f"bundle:{model}")
    panel.apply(120)
    assert panel.host.displays == []
    slices = trained.parameters.measuredVolume
    source = trained.parameters.measuredGray
    node = compute(trained)
    stream = Colorizer(model="tiny").stream(nodes.volume_from_node(source), uncertainty=True)
    for _slab in stream.slabs:
        pass
    assert stream.uncertainty is not None
    found = nodes.array_from_node(node)
    assert found.dtype == np.float32
    assert np.array_equal(found, stream.uncertainty)
    assert found.max() > 0
    assert np.array_equal(read_affine(node), read_affine(source))
    assert layers(trained) == (slices.GetID(), node.GetID(), pytest.approx(0.6))
    display = node.GetDisplayNode()
    low, high = display.GetWindowLevelMin(), display.GetWindowLevelMax()
    assert 0 < low < high
    assert (display.GetApplyThreshold(), display.GetLowerThreshold()) == (1, pytest.approx(low))
    assert "Ocean" in display.GetColorNode().GetName()
    legend = slicer.modules.colors.logic().GetColorLegendDisplayNode(node)
    assert legend.GetTitleText() == "Uncertainty (dE)"
    assert f"up to {high:.1f} and more" in trained.ui.uncertaintyLabel.text
    assert "dE (CIEDE2000)" in trained.ui.uncertaintyLabel.text
    assert trained.leftovers() == []


def test_it_is_faded_hidden_and_shown_again_without_computing(trained: Panel, tmp_path: Path) -> None:
    slices, source = trained.parameters.measuredVolume, trained.parameters.measuredGray
    node = put_overlay(trained, tmp_path)
    trained.ui.uncertaintySlider.value = 25
    assert layers(trained)[2] == pytest.approx(0.25)
    assert trained.ui.uncertaintyButton.text == "Hide &uncertainty"
    trained.ui.uncertaintyButton.click()
    assert layers(trained) == (source.GetID(), slices.GetID(), 1.0)
    assert not trained.ui.uncertaintySlider.enabled
    trained.ui.uncertaintyButton.click()
    assert trained.consistency.uncertainty._job is None
    assert layers(trained) == (slices.GetID(), node.GetID(), pytest.approx(0.25))


def test_cancel_leaves_nothing(trained: Panel) -> None:
    before = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode")
    trained.ui.uncertaintyButton.click()
    trained.wait(lambda: trained.consistency.uncertainty._job._worker is not None)
    trained.ui.uncertaintyButton.click()
    trained.wait(lambda: trained.consistency.uncertainty._job is None)
    assert "Cancelled" in trained.ui.uncertaintyLabel.text
    assert trained.host.displays == []
    assert slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLScalarVolumeNode") == before
    assert trained.leftovers() == []


def test_a_palette_has_none_and_says_why(panel: Panel) -> None:
    add_ball()
    panel.choose_model("palette:head-mr")
    panel.apply()
    assert not panel.ui.uncertaintyButton.enabled
    assert "palette" in panel.ui.uncertaintyLabel.text


def test_a_model_that_was_replaced_is_told(trained: Panel) -> None:
    import torch

    from MedColorizeLib.bundles.load import load_network
    from MedColorizeLib.bundles.store import user_folder
    from MedColorizeLib.bundles.write import Facts, write_bundle

    described, network = load_network(user_folder() / "tiny")
    with torch.no_grad():
        next(network.parameters()).add_(0.1)
    facts = Facts("tiny", "Tiny", described.method, "a paper", "color", described.config, described.input, {"step": 6})
    write_bundle(user_folder() / "tiny", network, facts, overwrite=True)
    trained.ui.uncertaintyButton.click()
    trained.wait(lambda: trained.consistency.uncertainty._job is None, 60)
    assert "not the one that coloured" in trained.host.displays[-1]
    trained.ui.modelsTable.selectRow([model["name"] for model in trained.models._shown].index("tiny"))
    trained.ui.deleteButton.click()
    trained.wait(lambda: trained.widget.logic.model("bundle:tiny") is None)
    trained.consistency.uncertainty.update()
    assert not trained.ui.uncertaintyButton.enabled
    assert "not installed" in trained.ui.uncertaintyLabel.text


def test_colouring_anew_forgets_the_old_overlay(trained: Panel, tmp_path: Path) -> None:
    slices = trained.parameters.measuredVolume
    assert put_overlay(trained, tmp_path) is trained.consistency.uncertainty.node()
    assert trained.ui.uncertaintyButton.text == "Hide &uncertainty"
    trained.choose_model("palette:head-mr")
    trained.parameters.outputVolume = slices
    trained.apply(120)
    assert trained.consistency.uncertainty.node() is None
    assert trained.ui.uncertaintyButton.text == "Show &uncertainty"


def test_scene_closed_while_computing(trained: Panel) -> None:
    trained.ui.uncertaintyButton.click()
    slicer.mrmlScene.Clear(False)
    trained.host.turn(0.3)
    assert trained.consistency.uncertainty._job is None
    assert trained.host.displays == []
    assert trained.leftovers() == []
