"""The host is honest: it has what the application has and nothing else. The module is as Slicer wants modules."""

from __future__ import annotations

import ast
import json
import re
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import pytest

pytest.importorskip("PySide6.QtWidgets", exc_type=ImportError)
pytest.importorskip("slicer")

import numpy as np
import slicer
from panel_host import surface
from panel_host.fixtures import Panel, add_ball

pytest_plugins = ["panel_host.fixtures"]

MODULE = Path(__file__).resolve().parents[2] / "MedColorize"
SOURCES = [
    MODULE / "MedColorize.py",
    MODULE / "MedColorizeDICOMPlugin.py",
    *sorted((MODULE / "MedColorizePanelLib").glob("*.py")),
]
LATER = {
    # Not in Slicer 5.2's introspection, with the reason.
    ("qt.QLineEdit", "textChanged(QString)"): "Qt 5.15 QLineEdit; the file lists an excerpt",
    ("qt.QTextBrowser", "plainText"): "QTextEdit property, inherited",
}


@pytest.fixture(scope="module")
def api() -> dict:
    path = MODULE.parents[1] / "shared" / "knowledge" / "slicer-api.json"
    if not path.is_file():
        pytest.skip("the names read in a running Slicer are not beside this checkout")
    return json.loads(path.read_text())


def test_every_name_of_the_host_exists_in_the_application(api: dict) -> None:
    unknown = []
    widget = api["classes"]["qt.QWidget"]
    for name, entry in surface.CLASSES.items():
        known = api["classes"].get(name)
        if known is None:
            if any(entry[kind] for kind in ("properties", "slots", "signals")) and name not in _NOT_READ:
                unknown.append(name)
            continue
        properties = set(known.get("properties", ())) | set(widget["properties"])
        slots = {slot.split("(")[0] for slot in [*known.get("slots", ()), *widget["slots"]]} | set(
            known.get("python", ())
        )
        signals = set(known.get("signals", ())) | set(widget["signals"])
        unknown += [(name, item) for item in entry["properties"] if item not in properties]
        unknown += [(name, item) for item in entry["slots"] if item not in slots]
        unknown += [(name, item) for item in entry["signals"] if item not in signals]
    assert [item for item in unknown if item not in LATER] == []


_NOT_READ = {
    "qt.QHeaderView",
    "qt.QFile",
    "qt.QColor",
    "qt.QBrush",
    "qt.QSize",
    "qt.QTableWidgetItem",
    "qt.QApplication",
}
"""Classes that were not introspected; the Qt 5 documentation has them."""


def test_application_and_layout_manager_have_real_names(api: dict) -> None:
    from panel_host import application

    # Read as properties or methods in the running application.
    own = {"signals", "testing", "no_main_window", "end"}
    offered = {name for name in vars(application.Application) if not name.startswith("_")} - own
    assert offered - set(api["slicer.app"]) == set()
    offered = {name for name in vars(application.LayoutManager) if not name.startswith("_")} - own
    assert offered - set(api["layoutManager"]) == set()


def test_calls_outside_the_meta_object_have_a_reference() -> None:
    for name, entry in surface.CLASSES.items():
        if entry["methods"]:
            assert surface.reference_of(name).startswith("https://")


def test_unknown_names_raise(panel: Panel) -> None:
    import ctk
    import qt

    label = qt.QLabel("x")
    with pytest.raises(AttributeError):
        label.setTexts("y")
    with pytest.raises(AttributeError):
        label.txt = "y"
    with pytest.raises(ValueError, match="no signal"):
        qt.QPushButton().connect("clickd(bool)", lambda: None)
    with pytest.raises(AttributeError):
        _ = qt.QNoSuchWidget
    with pytest.raises(AttributeError):
        _ = ctk.ctkNoSuchWidget
    with pytest.raises(AttributeError):
        _ = slicer.app.noSuchCall
    with pytest.raises(TypeError):
        label.text()  # a property, not a call


def test_ui_file_names_only_known_widgets_and_connects_every_selector() -> None:
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "MedColorize.ui")
    kinds = ("qMRMLNodeComboBox", "qMRMLCheckableNodeComboBox")
    selectors = {w.get("name") for w in tree.iter("widget") if w.get("class") in kinds}
    connected = {c.findtext("receiver") for c in tree.iter("connection")}
    assert selectors == connected
    for widget in tree.iter("widget"):
        if widget.get("class") in kinds:
            assert widget.find("property[@name='showChildNodeTypes']/bool").text == "false"  # type: ignore[union-attr]


def test_every_input_has_a_tool_tip_and_a_label_key(panel: Panel) -> None:
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "MedColorize.ui")
    buddies = {b.text for b in tree.iterfind(".//property[@name='buddy']/cstring")}
    for widget in tree.iter("widget"):
        kind, name = widget.get("class", ""), widget.get("name", "")
        inputs = ("QComboBox", "QPushButton", "QCheckBox", "ctkSliderWidget", "ctkPathLineEdit")
        if kind in (*inputs, "QSpinBox", "QDoubleSpinBox", "QTableWidget", "QLineEdit") or "Node" in kind:
            assert getattr(panel.ui, name).toolTip, f"{name} has no tool tip"
        if kind in ("QComboBox", "ctkSliderWidget", "ctkPathLineEdit") or "Node" in kind:
            assert name in buddies, f"{name} has no label with a key"
        if kind in ("QPushButton", "QCheckBox"):
            assert "&" in (widget.findtext("property[@name='text']/string") or ""), f"{name} has no key"


def test_keys_of_a_tab_do_not_collide() -> None:
    tree = ElementTree.parse(MODULE / "Resources" / "UI" / "MedColorize.ui")
    for tab in tree.iterfind(".//widget[@class='QTabWidget']/widget"):
        keys = [
            match.group(1).lower()
            for text in tab.iterfind(".//property[@name='text']/string")
            if (match := re.search(r"&(\w)", text.text or ""))
        ]
        assert len(keys) == len(set(keys)), f"{tab.get('name')}: {sorted(keys)}"


def test_cmake_lists_every_file() -> None:
    listed = set(re.findall(r"^  ([\w/.${}]+\.\w+)$", (MODULE / "CMakeLists.txt").read_text(), re.M))
    listed = {name.replace("${MODULE_NAME}", "MedColorize") for name in listed}
    present = {
        str(path.relative_to(MODULE)).replace("\\", "/")
        for path in MODULE.rglob("*")
        if path.is_file()
        and not any(part.startswith((".", "__pycache__")) for part in path.relative_to(MODULE).parts)
        and path.name not in ("CMakeLists.txt", "ruff.toml")
    }
    assert listed == present


def test_catalogue_entry_fits_the_schema() -> None:
    entry = json.loads((MODULE.parent / "MedColorize.json").read_text())
    known = "$schema category scm_url scm_revision scm_type build_dependencies build_subdirectory enabled tier"
    assert set(entry) <= {*known.split(), "dicom_support_rule"}
    assert entry["category"] in ("Rendering", "Image Synthesis")
    assert "project(MedColorize)" in (MODULE.parent / "CMakeLists.txt").read_text()


SHOWN = {"text", "toolTip", "title", "windowTitle", "placeholderText", "html", "suffix"}
SAYS = {
    *("errorDisplay", "messageBox", "confirmOkCancelDisplay", "setText", "setToolTip", "addItem", "_say", "_idle"),
    *("setTitleText", "SetText", "QTableWidgetItem", "RuntimeError", "ValueError", "setHorizontalHeaderLabels"),
}


def visible_texts(tree: ast.AST) -> list[ast.Constant]:
    """Words in what is put into widgets, messages and errors, unless they go through a translation."""
    values: list[ast.AST] = []
    translated: set[int] = set()
    for node in ast.walk(tree):
        if isinstance(node, ast.Assign):
            values += [node.value for t in node.targets if isinstance(t, ast.Attribute) and t.attr in SHOWN]
        elif isinstance(node, ast.Call):
            name = node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
            if name in ("_", "tr", "translate"):
                assert all(isinstance(a, ast.Constant) for a in node.args), f"line {node.lineno}: no tool can find it"
                translated |= {id(part) for part in ast.walk(node)}
            elif name in SAYS:
                values += node.args
    parts = [part for value in values for part in ast.walk(value) if id(part) not in translated]
    return [
        p for p in parts if isinstance(p, ast.Constant) and isinstance(p.value, str) and re.search(r"\w \w", p.value)
    ]


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_every_visible_text_can_be_translated(path: Path) -> None:
    source = path.read_text(encoding="utf-8").splitlines()
    found = visible_texts(ast.parse("\n".join(source)))
    assert [part.value for part in found if "# no tr" not in source[part.end_lineno - 1]] == []  # type: ignore[operator]


def test_presets_are_those_of_the_library(panel: Panel) -> None:
    import MedColorizePanelLib.viewTab as viewTab

    from MedColorizeLib.mrml.presets import PRESETS

    assert {name: title() for name, title in viewTab.PRESETS.items()} == {p.name: p.title for p in PRESETS.values()}


@pytest.mark.parametrize("path", SOURCES, ids=lambda path: path.name)
def test_sources_run_on_the_oldest_python_and_import_little(path: Path) -> None:
    tree = ast.parse(path.read_text(encoding="utf-8"), feature_version=(3, 9))
    allowed = {"qt", "ctk", "slicer", "vtk", "numpy", "MedColorizePanelLib", "DICOMLib"}
    import sys

    for node in tree.body:
        names = []
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names = [node.module or ""]
        for name in names:
            room = name.split(".")[0]
            assert room in allowed or room in sys.stdlib_module_names, f"{path.name} imports {name} at file scope"
    unions = [n for n in ast.walk(tree) if isinstance(n, ast.BinOp) and isinstance(n.op, ast.BitOr)]
    assert all(
        not isinstance(side, ast.Name) or side.id not in ("int", "str", "list", "dict")
        for n in unions
        for side in (n.left, n.right)
    )
    assert not any(
        isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "processEvents"
        for node in ast.walk(tree)
    )


def test_nothing_of_the_module_knows_the_host() -> None:
    for path in SOURCES:
        assert "panel_host" not in path.read_text(encoding="utf-8")


def test_own_parameter_node_does_what_slicers_does(panel: Panel) -> None:
    """Where the application's wrapper is missing or too old, the panel keeps its parameters by itself."""
    import MedColorizePanelLib.compat as compat

    class Parameters:
        inputVolume: slicer.vtkMRMLScalarVolumeNode
        model: str = "palette"
        low: float = 2.5
        on: bool = True

    made = compat._typedParameterNode(Parameters, {"model": "palette", "low": 2.5, "on": True})
    node = slicer.mrmlScene.AddNewNodeByClass("vtkMRMLScriptedModuleNode")
    parameters = made(node)
    assert (parameters.inputVolume, parameters.model, parameters.low, parameters.on) == (None, "palette", 2.5, True)
    ball = add_ball()
    parameters.inputVolume, parameters.low, parameters.on = ball, -1, False
    again = made(node)
    assert (again.inputVolume, again.low, again.on) == (ball, -1.0, False)

    class Ui:
        pass

    import qt

    ui = Ui()
    ui.check = qt.QCheckBox()
    ui.check.setProperty("SlicerParameterName", "on")
    tag = again.connectGui(ui)
    assert ui.check.checked is False
    ui.check.checked = True
    assert again.on is True
    again.on = False
    assert ui.check.checked is False
    again.disconnectGui(tag)
    ui.check.checked = True
    assert again.on is False


def test_panel_works_without_slicers_wrapper_and_packaging(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As in Slicer 5.2: no i18n, no parameter node wrapper, no packaging."""
    import sys

    from panel_host import Host, pythonqt

    host = Host(tmp_path)
    for name in ("slicer.parameterNodeWrapper", "slicer.i18n", "slicer.packaging"):
        monkeypatch.setitem(sys.modules, name, None)
    host.load(MODULE / "MedColorize.py")
    host.enter()
    old = Panel(host)
    source = add_ball()
    old.parameters.inputVolume = source
    old.choose_model("palette:head-mr")
    assert old.parameters.model == "palette:head-mr"
    old.apply()
    assert host.displays == []
    assert len(old.coloured()) == 2
    slicer.mrmlScene.Clear(False)
    assert old.parameters.inputVolume is None
    host.close()
    assert pythonqt.errors == []


def test_nothing_stalls_on_the_way_to_the_coloured_3d_view(panel: Panel) -> None:
    """From click to 3D on the MNI head, at 2 mm: the event loop keeps turning, and the longest turn is printed.

    `Testing/Benchmarks/panel_stall.py` measures it at 1 mm.
    """
    pytest.importorskip("nilearn")
    import time

    from PySide6 import QtCore

    from MedColorizeLib.app.sample import mni_path
    from MedColorizeLib.imaging.read import read_volume
    from MedColorizeLib.imaging.volume import Volume
    from MedColorizeLib.mrml import nodes, rendering

    head = read_volume(mni_path())
    coarse = Volume(np.ascontiguousarray(head.array[::2, ::2, ::2]), head.affine @ np.diag([2.0, 2.0, 2.0, 1.0]), "MR")
    panel.parameters.inputVolume = nodes.node_from_volume(slicer.mrmlScene, coarse, "head")
    panel.choose_model("palette:head-mr")
    panel.wait(lambda: not any(job.running for job in panel.widget.logic._jobs))
    stalls: list[float] = []
    last = [time.perf_counter()]

    def beat() -> None:
        now = time.perf_counter()
        stalls.append(now - last[0])
        last[0] = now

    timer = QtCore.QTimer()
    timer.setInterval(1)
    timer.timeout.connect(beat)
    timer.start()
    beat()
    stalls.clear()
    panel.apply()
    beat()
    timer.stop()
    assert panel.host.displays == []
    assert rendering.display_of(panel.coloured()[1]).GetVisibility() == 1
    print(f"longest turn of the event loop: {1000 * max(stalls):.0f} ms")
    # How long the longest turn takes is a figure of a quiet machine (`-s` prints it; goal: 100 ms), not of a test.
    # A blocked window would have turned a few times in all.
    assert len(stalls) > 50
