"""The ctk and qMRML widgets that the panel uses, made of PySide6 parts, with the application's properties and signals.

Names, properties and signals are those read in a running Slicer (see `surface.py`); behaviour follows the documented
one where the panel depends on it (node filtering, defaults, collapsing). Not for: anything the panel doesn't use.
"""

from __future__ import annotations

import functools
import xml.etree.ElementTree as ElementTree
from typing import Any

from PySide6 import QtCore, QtUiTools, QtWidgets
from PySide6.QtCore import Property, Qt, Signal


class ctkCollapsibleButton(QtWidgets.QWidget):
    """A header that shows and hides what lies under it."""

    contentsCollapsed = Signal(bool)
    clicked = Signal(bool)
    toggled = Signal(bool)

    def __init__(self, text: Any = None, parent: QtWidgets.QWidget | None = None) -> None:
        if isinstance(text, QtWidgets.QWidget):
            text, parent = None, text
        super().__init__(parent)
        self._button = QtWidgets.QToolButton(self)
        self._button.setCheckable(True)
        self._button.setChecked(True)
        self._button.setToolButtonStyle(Qt.ToolButtonTextBesideIcon)
        self._button.setArrowType(Qt.DownArrow)
        self._button.setText(text or "")
        self._button.setSizePolicy(QtWidgets.QSizePolicy.Expanding, QtWidgets.QSizePolicy.Fixed)
        self._button.toggled.connect(self._show_contents)
        self._button.clicked.connect(self.clicked)
        self._collapsed = False

    def resizeEvent(self, event: Any) -> None:
        self._button.setGeometry(0, 0, self.width(), self._button.sizeHint().height())
        super().resizeEvent(event)

    def event(self, event: QtCore.QEvent) -> bool:
        if event.type() in (QtCore.QEvent.Type.LayoutRequest, QtCore.QEvent.Type.Polish) and self.layout():
            self.setContentsMargins(0, self._button.sizeHint().height(), 0, 0)
        if event.type() == QtCore.QEvent.Type.FontChange and self._collapsed:
            self.setMaximumHeight(self._button.sizeHint().height())
        return super().event(event)

    def minimumSizeHint(self) -> QtCore.QSize:
        return self.sizeHint() if self._collapsed else super().minimumSizeHint()

    def sizeHint(self) -> QtCore.QSize:
        if self._collapsed:
            return self._button.sizeHint()
        return super().sizeHint().expandedTo(self._button.sizeHint())

    def _show_contents(self, shown: bool) -> None:
        self._collapsed = not shown
        self._button.setArrowType(Qt.DownArrow if shown else Qt.RightArrow)
        for child in self.children():
            if isinstance(child, QtWidgets.QWidget) and child is not self._button:
                child.setVisible(shown)
        self.setMaximumHeight(16777215 if shown else self._button.sizeHint().height())
        self.updateGeometry()
        self.contentsCollapsed.emit(not shown)
        self.toggled.emit(shown)

    def childEvent(self, event: QtCore.QChildEvent) -> None:
        super().childEvent(event)
        child = event.child()
        if event.added() and getattr(self, "_collapsed", False) and isinstance(child, QtWidgets.QWidget):
            child.setVisible(False)

    def click(self) -> None:
        self._button.click()

    text = Property(str, lambda self: self._button.text(), lambda self, value: self._button.setText(value))
    checked = Property(bool, lambda self: self._button.isChecked(), lambda self, on: self._button.setChecked(on))
    collapsed = Property(bool, lambda self: self._collapsed, lambda self, on: self._button.setChecked(not on))


class ctkSliderWidget(QtWidgets.QWidget):
    """A slider with its spin box."""

    valueChanged = Signal(float)
    valueIsChanging = Signal(float)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._slider = QtWidgets.QSlider(Qt.Horizontal)
        self._spin = QtWidgets.QDoubleSpinBox()
        self._spin.setRange(0, 99)
        self._slider.setRange(0, 1000)
        layout.addWidget(self._slider, 1)
        layout.addWidget(self._spin)
        self.setFocusProxy(self._spin)
        self._spin.valueChanged.connect(self._from_spin)
        self._slider.valueChanged.connect(self._from_slider)

    def _from_spin(self, value: float) -> None:
        low, high = self._spin.minimum(), self._spin.maximum()
        blocked = self._slider.blockSignals(True)
        self._slider.setValue(round(1000 * (value - low) / (high - low)) if high > low else 0)
        self._slider.blockSignals(blocked)
        self.valueChanged.emit(value)

    def _from_slider(self, position: int) -> None:
        low, high = self._spin.minimum(), self._spin.maximum()
        self._spin.setValue(low + (high - low) * position / 1000)

    def _range(self, low: float, high: float) -> None:
        self._spin.setRange(low, high)
        self._from_spin(self._spin.value())

    value = Property(float, lambda self: self._spin.value(), lambda self, x: self._spin.setValue(x))
    minimum = Property(float, lambda self: self._spin.minimum(), lambda self, x: self._range(x, self._spin.maximum()))
    maximum = Property(float, lambda self: self._spin.maximum(), lambda self, x: self._range(self._spin.minimum(), x))
    singleStep = Property(float, lambda self: self._spin.singleStep(), lambda self, x: self._spin.setSingleStep(x))
    pageStep = Property(float, lambda self: 10.0, lambda self, x: None)
    decimals = Property(int, lambda self: self._spin.decimals(), lambda self, n: self._spin.setDecimals(n))
    suffix = Property(str, lambda self: self._spin.suffix(), lambda self, text: self._spin.setSuffix(text))
    prefix = Property(str, lambda self: self._spin.prefix(), lambda self, text: self._spin.setPrefix(text))


class ctkPathLineEdit(QtWidgets.QWidget):
    """A path with a button that opens a file dialog."""

    currentPathChanged = Signal(str)
    validInputChanged = Signal(bool)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._combo = QtWidgets.QComboBox()
        self._combo.setEditable(True)
        self._combo.setSizePolicy(QtWidgets.QSizePolicy.Ignored, QtWidgets.QSizePolicy.Fixed)
        self._browse = QtWidgets.QToolButton()
        self._browse.setText("...")
        layout.addWidget(self._combo, 1)
        layout.addWidget(self._browse)
        self.setFocusProxy(self._combo)
        self._combo.currentTextChanged.connect(self.currentPathChanged)
        self._filters, self._settings, self._names = 0, "", []

    def _set_filters(self, value: Any) -> None:
        self._filters = int(getattr(value, "value", value))

    currentPath = Property(
        str, lambda self: self._combo.currentText(), lambda self, text: self._combo.setCurrentText(text)
    )
    filters = Property("QVariant", lambda self: self._filters, _set_filters)
    settingKey = Property(str, lambda self: self._settings, lambda self, key: setattr(self, "_settings", key))
    nameFilters = Property("QStringList", lambda self: self._names, lambda self, n: setattr(self, "_names", n))
    showHistoryButton = Property(bool, lambda self: True, lambda self, on: None)


class ctkSettingsPanel(QtWidgets.QWidget):
    """A page of the application's settings dialog."""

    settingChanged = Signal(str, "QVariant")

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self.registered: dict[str, tuple[QtCore.QObject, str]] = {}

    def registerProperty(
        self, key: str, target: QtCore.QObject, name: str, signal: str, label: str = "", options: int = 0
    ) -> None:
        """Tie a property to a setting: it is read now and written at each change (ctk's automatic apply)."""
        settings = QtCore.QSettings()
        if settings.contains(key):
            target.setProperty(name, settings.value(key))
        self.registered[key] = (target, name)
        bare = signal.lstrip("12").split("(")[0]
        getattr(target, bare).connect(lambda *_: settings.setValue(key, target.property(name)))


class qMRMLWidget(QtWidgets.QWidget):
    """Base of widgets that follow a scene."""

    mrmlSceneChanged = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._scene: Any = None

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        if scene is not self._scene:
            self._scene = scene
            self.mrmlSceneChanged.emit(scene)


class qSlicerScriptedLoadableModuleWidget(qMRMLWidget):
    """What a scripted module's widget class gets as its parent."""

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        QtWidgets.QVBoxLayout(self)
        self._entered = False

    isEntered = Property(bool, lambda self: self._entered)


class qMRMLNodeComboBox(QtWidgets.QWidget):
    """Chooses a node of the scene, by class and attribute."""

    currentNodeChanged = Signal(object)
    nodeAddedByUser = Signal(object)

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        layout = QtWidgets.QHBoxLayout(self)
        layout.setContentsMargins(0, 0, 0, 0)
        self._combo = QtWidgets.QComboBox()
        self._combo.setMinimumContentsLength(1)
        self.setSizePolicy(QtWidgets.QSizePolicy.Policy.Expanding, QtWidgets.QSizePolicy.Policy.Fixed)
        self._combo.setSizeAdjustPolicy(QtWidgets.QComboBox.SizeAdjustPolicy.AdjustToMinimumContentsLengthWithIcon)
        layout.addWidget(self._combo)
        self.setFocusProxy(self._combo)
        self._scene: Any = None
        self._tags: list[int] = []
        self._node: Any = None
        self._checked: list[Any] = []  # of the checkable kind below
        self._types: list[str] = []
        self._attributes: list[tuple[str, str, Any]] = []
        self._options = {
            "showChildNodeTypes": True, "showHidden": False, "noneEnabled": False, "addEnabled": True,
            "removeEnabled": True, "renameEnabled": False, "editEnabled": False, "selectNodeUponCreation": True,
            "noneDisplay": "None", "baseName": "",
        }  # fmt: skip
        self._filling = False
        self._combo.currentIndexChanged.connect(self._chosen)

    def mrmlScene(self) -> Any:
        return self._scene

    def setMRMLScene(self, scene: Any) -> None:
        import slicer
        import vtk

        for tag in self._tags:
            self._scene.RemoveObserver(tag)
        self._scene = scene
        self._tags = []
        if scene is not None:
            for event in (
                slicer.vtkMRMLScene.NodeAddedEvent,
                slicer.vtkMRMLScene.NodeRemovedEvent,
                slicer.vtkMRMLScene.EndBatchProcessEvent,
                slicer.vtkMRMLScene.EndCloseEvent,
            ):
                self._tags.append(scene.AddObserver(event, self._on_scene))
        del vtk
        self._refill()

    def _on_scene(self, _scene: Any, _event: str) -> None:
        if not self._scene.IsBatchProcessing():
            self._refill()

    def _offered(self) -> list[Any]:
        if self._scene is None:
            return []
        found = []
        for index in range(self._scene.GetNumberOfNodes()):
            node = self._scene.GetNthNode(index)
            fits = any(
                node.IsA(kind) if self._options["showChildNodeTypes"] else node.GetClassName() == kind
                for kind in self._types
            )
            if not fits or (node.GetHideFromEditors() and not self._options["showHidden"]):
                continue
            if all(
                node.GetAttribute(name) is not None and value in (None, node.GetAttribute(name))
                for kind, name, value in self._attributes
                if node.IsA(kind)
            ):
                found.append(node)
        return found

    def _refill(self) -> None:
        self._filling = True
        self._combo.clear()
        if self._options["noneEnabled"]:
            self._combo.addItem(self._options["noneDisplay"], "")
        for node in self._offered():
            self._combo.addItem(node.GetName() or "", node.GetID())
        wanted = self._node.GetID() if self._node is not None and self._scene.IsNodePresent(self._node) else None
        index = self._combo.findData(wanted) if wanted else -1
        if index < 0 and self._combo.count():
            index = 0  # the application's own selectors fall on the first node, too, when none is not allowed
        self._combo.setCurrentIndex(index)
        self._filling = False
        self._chosen(index)

    def _chosen(self, index: int) -> None:
        if self._filling:
            return
        identifier = self._combo.itemData(index) if index >= 0 else None
        node = self._scene.GetNodeByID(identifier) if identifier and self._scene is not None else None
        if node is not self._node:
            self._node = node
            self.currentNodeChanged.emit(node)

    def currentNode(self) -> Any:
        return self._node

    def nodeCount(self) -> int:
        return len(self._offered())

    def setCurrentNode(self, node: Any) -> None:
        if isinstance(node, str):
            node = self._scene.GetNodeByID(node) if self._scene is not None else None
        index = self._combo.findData(node.GetID() if node is not None else "")
        self._combo.setCurrentIndex(index)

    def setCurrentNodeID(self, identifier: str) -> None:
        self.setCurrentNode(identifier)

    def addAttribute(self, node_type: str, name: str, value: Any = None) -> None:
        self._attributes.append((node_type, name, value))
        self._refill()

    def _set_types(self, types: Any) -> None:
        self._types = [kind for kind in types if kind]
        self._refill()

    def _set_option(self, name: str, value: Any) -> None:
        self._options[name] = value
        self._refill()

    nodeTypes = Property("QStringList", lambda self: self._types, _set_types)
    currentNodeID = Property(
        str, lambda self: self._node.GetID() if self._node is not None else "", lambda self, i: self.setCurrentNode(i)
    )
    for _name in ("showChildNodeTypes", "showHidden", "noneEnabled", "addEnabled", "removeEnabled"):
        locals()[_name] = Property(
            bool, lambda self, n=_name: self._options[n], lambda self, v, n=_name: self._set_option(n, v)
        )
    for _name in ("renameEnabled", "editEnabled", "selectNodeUponCreation"):
        locals()[_name] = Property(
            bool, lambda self, n=_name: self._options[n], lambda self, v, n=_name: self._set_option(n, v)
        )
    for _name in ("noneDisplay", "baseName"):
        locals()[_name] = Property(
            str, lambda self, n=_name: self._options[n], lambda self, v, n=_name: self._set_option(n, v)
        )
    del _name


class qMRMLCheckableNodeComboBox(qMRMLNodeComboBox):
    """Checks any number of nodes of the scene; closed, it shows their names."""

    checkedNodesChanged = Signal()

    def __init__(self, parent: QtWidgets.QWidget | None = None) -> None:
        super().__init__(parent)
        self._combo.currentIndexChanged.disconnect()
        self._combo.activated.connect(self._toggle)

    def _refill(self) -> None:
        offered = self._offered()
        kept = [node for node in self._checked if node in offered]
        self._combo.clear()
        for node in offered:
            self._combo.addItem(node.GetName() or "", node.GetID())
        for index, node in enumerate(offered):
            state = Qt.CheckState.Checked if node in kept else Qt.CheckState.Unchecked
            self._combo.setItemData(index, state, Qt.ItemDataRole.CheckStateRole)
        self._combo.setCurrentIndex(-1)
        self._combo.setPlaceholderText(", ".join(node.GetName() for node in kept) or "None")
        if kept != self._checked:
            self._checked = kept
            self.checkedNodesChanged.emit()

    def _toggle(self, index: int) -> None:
        node = self._offered()[index]
        self.setCheckState(node, Qt.CheckState.Unchecked if node in self._checked else Qt.CheckState.Checked)

    def setCheckState(self, node: Any, state: Qt.CheckState) -> None:
        wanted = Qt.CheckState(state) == Qt.CheckState.Checked
        if node in self._offered() and wanted != (node in self._checked):
            marked = [*self._checked, node] if wanted else [each for each in self._checked if each is not node]
            self._checked = [each for each in self._offered() if each in marked]
            self._refill()
            self.checkedNodesChanged.emit()

    def checkState(self, node: Any) -> Qt.CheckState:
        return Qt.CheckState.Checked if node in self._checked else Qt.CheckState.Unchecked

    def check(self, node: Any) -> None:
        self.setCheckState(node, Qt.CheckState.Checked)

    def uncheck(self, node: Any) -> None:
        self.setCheckState(node, Qt.CheckState.Unchecked)

    def checkedNodes(self) -> tuple[Any, ...]:
        return tuple(self._checked)


CUSTOM = {
    "ctk": [ctkCollapsibleButton, ctkSliderWidget, ctkPathLineEdit, ctkSettingsPanel],
    "slicer": [qMRMLWidget, qMRMLNodeComboBox, qMRMLCheckableNodeComboBox, qSlicerScriptedLoadableModuleWidget],
}


@functools.cache
def _qts_own() -> frozenset[str]:
    """Names of the widgets that Qt can make itself; asking takes a while."""
    return frozenset(QtUiTools.QUiLoader().availableWidgets())


class UiLoader(QtUiTools.QUiLoader):
    """Makes the widgets of a `.ui` file, the custom ones included, and its scene connections."""

    def __init__(self) -> None:
        super().__init__()
        self._custom = {kind.__name__: kind for kinds in CUSTOM.values() for kind in kinds}
        self._made: list[QtWidgets.QWidget] = []

    def createWidget(self, class_name: str, parent: Any = None, name: str = "") -> QtWidgets.QWidget:
        kind = self._custom.get(class_name)
        if kind is None:
            if class_name not in _qts_own():
                raise RuntimeError(f"The .ui file asks for a {class_name}, which the host does not have.")
            return super().createWidget(class_name, parent, name)
        widget = kind(parent)
        widget.setObjectName(name)
        self._made.append(widget)
        return widget

    def load(self, device: QtCore.QIODevice) -> QtWidgets.QWidget | None:
        content = bytes(device.readAll().data())
        tree = ElementTree.fromstring(content)
        scenes = []
        for connections in tree.findall("connections"):
            for connection in list(connections):
                signal, slot = connection.findtext("signal"), connection.findtext("slot")
                if (signal, slot) == ("mrmlSceneChanged(vtkMRMLScene*)", "setMRMLScene(vtkMRMLScene*)"):
                    scenes.append((connection.findtext("sender"), connection.findtext("receiver")))
                    connections.remove(connection)
        filters = _take_filters(tree)
        buffer = QtCore.QBuffer()
        buffer.setData(ElementTree.tostring(tree))
        buffer.open(QtCore.QIODevice.OpenModeFlag.ReadOnly)
        widget = super().load(buffer)
        if widget is None:
            return None
        for name, value in filters.items():
            widget.findChild(QtWidgets.QWidget, name).setProperty("filters", value)
        named = {child.objectName(): child for child in [widget, *widget.findChildren(QtWidgets.QWidget)]}
        for sender, receiver in scenes:
            named[sender].mrmlSceneChanged.connect(named[receiver].setMRMLScene)
        _keep.append(self._made)
        return widget


_keep: list[Any] = []
FILTERS = {
    "Dirs": 1,
    "Files": 2,
    "Drives": 4,
    "Executable": 0x40,
    "Readable": 0x10,
    "NoDot": 0x2000,
    "NoDotDot": 0x4000,
}


def _take_filters(tree: ElementTree.Element) -> dict[str, int]:
    """ctkPathLineEdit's filters (`ctkPathLineEdit::Dirs|...`), which QUiLoader can't read for Python classes."""
    taken = {}
    for element in tree.iter("widget"):
        for entry in element.findall("property[@name='filters']"):
            names = [part.rpartition("::")[2] for part in (entry.findtext("set") or "").split("|")]
            taken[element.get("name", "")] = sum(FILTERS[name] for name in names)
            element.remove(entry)
    return taken
