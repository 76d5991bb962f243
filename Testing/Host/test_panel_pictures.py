"""What models look like in the lists: thumbnails of bundles, swatches of palettes, a drawn picture for the rest."""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

from panel_host.fixtures import Panel, install_model
from PySide6 import QtCore, QtGui

pytest_plugins = ["panel_host.fixtures"]


def pixels(picture: Any, size: int = 32) -> np.ndarray:
    """What a pixmap or an icon shows, (size, size, RGBA)."""
    thing = getattr(picture, "_object", picture)
    if isinstance(thing, QtGui.QIcon):
        thing = thing.pixmap(QtCore.QSize(size, size))
    image = thing.scaled(size, size).toImage().convertToFormat(QtGui.QImage.Format.Format_RGBA8888)
    return np.frombuffer(bytes(image.constBits()), np.uint8).reshape(size, size, 4).astype(int)


def red_picture() -> bytes:
    from PIL import Image

    out = BytesIO()
    Image.new("RGB", (40, 40), (210, 30, 20)).save(out, "PNG")
    return out.getvalue()


def icon_in_combo(panel: Panel, key: str) -> np.ndarray:
    combo = panel.ui.modelComboBox
    return pixels(combo.itemIcon(combo.findData(key)))


def icon_in_table(panel: Panel, name: str) -> np.ndarray:
    row = [model["name"] for model in panel.models._shown].index(name)
    return pixels(panel.ui.modelsTable.item(row, 0).icon())


def test_palettes_show_their_colours(panel: Panel) -> None:
    panel.catalogue()
    model = panel.widget.logic.model("palette:head-mr")
    for shown in (icon_in_combo(panel, "palette:head-mr"), icon_in_table(panel, "head-mr")):
        assert np.abs(shown[16, 1, :3] - model["colors"][0]).max() < 40
        assert np.abs(shown[16, -2, :3] - model["colors"][-1]).max() < 40
    panel.choose_model("palette:head-mr")
    assert panel.ui.modelThumbnailLabel.visible
    assert np.abs(pixels(panel.ui.modelThumbnailLabel.pixmap)[16, -2, :3] - model["colors"][-1]).max() < 40


def test_thumbnail_of_a_bundle_and_a_drawn_one_without(
    panel: Panel, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("torch")
    pytest.importorskip("monai")
    monkeypatch.setenv("MEDCOLORIZE_MODELS", str(tmp_path / "models"))
    panel.catalogue()
    install_model(panel, "pictured", thumbnail=red_picture())
    install_model(panel, "plain")
    for icon in (icon_in_combo, icon_in_table):
        key = "bundle:{}" if icon is icon_in_combo else "{}"
        assert np.abs(icon(panel, key.format("pictured"))[16, 16, :3] - [210, 30, 20]).max() < 3
        drawn = icon(panel, key.format("plain"))
        assert drawn[0, 0, 3] == 0  # round: its corners are clear
        left, right = drawn[16, 6, :3], drawn[16, 24, :3]
        assert np.ptp(left) <= 2
        assert right[0] > right[2] + 20
    row = [model["name"] for model in panel.models._shown].index("plain")
    assert "Synthetic colour, not for diagnosis" in panel.ui.modelsTable.item(row, 0).text()
    panel.ui.modelsTable.selectRow(row)
    shown = panel.ui.modelDetailsBrowser.html  # the card, as a page and not as its source
    assert "tanjim-4 (a paper)" in shown
    assert "<table" in shown
    assert "**" not in shown
    # A thumbnail that was tampered with is not shown.
    from MedColorizeLib.bundles.folder import THUMBNAIL
    from MedColorizeLib.bundles.store import user_folder

    (user_folder() / "pictured" / THUMBNAIL).write_bytes(red_picture() + b" ")
    panel.ui.refreshButton.click()
    panel.wait(lambda: not panel.widget.logic.model("bundle:pictured")["thumbnail"])
    panel.wait(lambda: not any(job.running for job in panel.widget.logic._jobs))
    assert icon_in_table(panel, "pictured")[0, 0, 3] == 0
    assert panel.leftovers() == []
