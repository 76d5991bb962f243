"""Takes the pictures of Docs/Panel.md, every tab in use: `python Testing/Host/make_panel_figures.py [FOLDER [TAB...]]`.

The volume is the MNI template, which has no face; the training pictures are its slices.
"""

from __future__ import annotations

import os
import sys
import tempfile
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from panel_host.fixtures import REPOSITORY, Panel, make_panel
from PySide6 import QtGui, QtWidgets

TABS = ("colorize", "view", "consistency", "train", "models")
REFERENCE = "reference"
"""The first tab once more, with a reference chosen."""


def dark() -> QtGui.QPalette:
    """Colours as those of Slicer's dark style."""
    palette = QtGui.QPalette(QtGui.QColor(48, 48, 52), QtGui.QColor(48, 48, 52))
    role = QtGui.QPalette.ColorRole
    for name, color in {
        role.Base: (32, 32, 35), role.AlternateBase: (40, 40, 44), role.Text: (230, 230, 230),
        role.WindowText: (230, 230, 230), role.ButtonText: (230, 230, 230), role.Highlight: (60, 120, 190),
        role.PlaceholderText: (140, 140, 140), role.ToolTipBase: (60, 60, 60), role.ToolTipText: (230, 230, 230),
    }.items():  # fmt: skip
        palette.setColor(name, QtGui.QColor(*color))
    for name in (role.Text, role.WindowText, role.ButtonText):
        palette.setColor(QtGui.QPalette.ColorGroup.Disabled, name, QtGui.QColor(128, 128, 128))
    return palette


def fill(panel: Panel, folder: Path, wanted: set[str]) -> None:
    """Put the tabs that are wanted to use."""
    import slicer
    from PIL import Image

    from MedColorizeLib.app.sample import mni_path
    from MedColorizeLib.exemplar.library_update import update
    from MedColorizeLib.imaging.read import read_volume
    from MedColorizeLib.mrml import nodes

    panel.parameters.inputVolume = nodes.node_from_volume(slicer.mrmlScene, read_volume(mni_path()), "MNI152 T1")
    panel.choose_model("palette:head-mr")
    panel.host.app.layoutManager().sliceWidget("Red").mrmlSliceNode().SetSliceOffset(12)
    panel.ui.previewButton.click()
    panel.wait(lambda: panel.colorize._previewJob is None)
    panel.apply()
    assert panel.host.displays == [], panel.host.displays
    rgb, gray = (nodes.array_from_node(node) for node in (panel.coloured()[0], panel.parameters.inputVolume))
    for name, array in (("gray", gray * (255 / gray.max())), ("color", rgb)):
        (folder / name).mkdir()
        for k in range(40, 130, 3):
            Image.fromarray(array[k, ::-1].astype(np.uint8)).resize((96, 96)).save(folder / name / f"{k}.png")
    update(folder / "sections.sqlite", [folder / "color"])
    # One slice with a colour of its own, as networks that work slice by slice give: something to find.
    rgb[95, ..., 0] = np.where(rgb[95].max(-1) > 40, np.clip(rgb[95, ..., 0].astype(int) + 26, 0, 255), rgb[95, ..., 0])
    if "consistency" in wanted:
        panel.ui.measureButton.click()
        panel.wait(lambda: panel.consistency._job is None, 120)
        assert panel.host.displays == [], panel.host.displays
    names = [model["name"] for model in panel.models._shown]
    panel.ui.modelsTable.selectRow(names.index("head-mr"))
    if "train" in wanted:
        train(panel)


def train(panel: Panel) -> None:
    """Have a training under way."""
    ui = panel.ui
    ui.trainGrayPath.currentPath, ui.trainColorPath.currentPath = "gray", "color"
    ui.trainRunPath.currentPath = "run"
    ui.trainRecipeComboBox.currentIndex = ui.trainRecipeComboBox.findData("cyclegan-resnet9")
    panel.widget.logic.recipeChanges = [
        *("data.size=64", "budget.iterations=2000", "budget.samples_every=20", "budget.epoch=1000"),
        *("options.blocks=2", "options.width=12", "options.discriminator_width=12"),
    ]
    ui.trainButton.click()
    panel.wait(
        lambda: panel.host.displays or (len(panel.train._history.get("step", [])) > 24 and panel.train._sample), 400
    )
    assert panel.host.displays == [], panel.host.displays


def choose_reference(panel: Panel) -> None:
    """Colour after the nearest of a library, as far as the preview."""
    panel.ui.tabWidget.currentIndex = 0
    panel.choose_model("exemplar:welsh")
    panel.ui.referencePath.currentPath = "sections.sqlite"
    panel.wait(lambda: not panel.colorize.reference.busy, 60)
    panel.ui.previewButton.click()
    panel.wait(lambda: panel.colorize._previewJob is None, 120)
    assert panel.host.displays == [], panel.host.displays


def take(panel: Panel, index: int, path: Path) -> None:
    """One tab, without the emptiness under it: the panel is as high as its highest tab."""
    panel.ui.tabWidget.currentIndex = index
    panel.host.turn(0.1)
    panel.host.grab(path)  # now the texts have broken into lines at this width
    panel.widget.fitTables()
    panel.host.grab(path)
    trim(path)


def trim(path: Path, left: int = 12) -> None:
    """Cut the longest run of equal rows out of a picture, but for a few."""
    from PIL import Image

    rows = np.asarray(Image.open(path).convert("RGB"))
    changes = np.flatnonzero((rows[1:] != rows[:-1]).any(axis=(1, 2))) + 1
    edges = np.concatenate([[0], changes, [len(rows)]])
    longest = int(np.diff(edges).argmax())
    start, stop = edges[longest] + left, edges[longest + 1]
    if stop - start > 20:
        Image.fromarray(np.delete(rows, slice(start, stop), axis=0)).save(path, optimize=True)


def main() -> None:
    target = Path(sys.argv[1]) if len(sys.argv) > 1 else REPOSITORY / "Docs" / "Figures"
    wanted = set(sys.argv[2:]) or {*TABS, REFERENCE}
    target = target.resolve()
    target.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="figures-") as name:
        folder = Path(name)
        os.chdir(folder)  # paths in the pictures are relative ones
        panel = make_panel(folder / "host")
        application = QtWidgets.QApplication.instance()
        application.setStyle("Fusion")
        light, font = QtGui.QPalette(application.palette()), QtGui.QFont(application.font())
        fill(panel, folder, wanted)

        def dress(palette: QtGui.QPalette, size: int) -> None:
            application.setPalette(palette)
            font.setPointSize(size)
            application.setFont(font)
            panel.host.turn(0.2)

        styles = (("", light, 10), ("-dark", dark(), 10), ("-large", light, 15))
        for suffix, palette, size in styles:
            dress(palette, size)
            for index, tab in enumerate(TABS):
                if tab in wanted:
                    take(panel, index, target / f"panel-{tab}{suffix}.png")
        if REFERENCE in wanted:
            choose_reference(panel)
            for suffix, palette, size in styles:
                dress(palette, size)
                take(panel, 0, target / f"panel-{REFERENCE}{suffix}.png")
        if panel.train._job is not None:
            panel.ui.trainButton.click()
            panel.wait(lambda: panel.train._job is None, 60)
        panel.host.close()


if __name__ == "__main__":
    main()
