"""`slicer.app`, its layout manager and `slicer.modules`, over a real MRML scene.

Every object here is a `Sealed` one: asking it for anything that it does not have raises. Not for: Qt (`pythonqt.py`).
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import slicer
import vtk
from PySide6 import QtCore, QtGui, QtWidgets

from . import pythonqt


class Signals(QtCore.QObject):
    """The application's own signals, which the tests fire."""

    startupCompleted = QtCore.Signal()
    aboutToQuit = QtCore.Signal()
    moduleAboutToBeUnloaded = QtCore.Signal(str)


class Connectable:
    """`connect` and `disconnect` by signature, for objects that are not wrapped Qt ones."""

    def __init__(self, signals: Signals, names: tuple[str, ...]) -> None:
        self._signals, self._offered, self._slots = signals, names, []

    def connect(self, signature: str, slot: Any) -> bool:
        if signature not in self._offered:
            raise ValueError(f"no signal {signature!r}")

        def call(*values: Any) -> None:
            pythonqt._call_slot(slot, len(values), *values)

        getattr(self._signals, signature.split("(")[0]).connect(call)
        self._slots.append((signature, slot, call))
        return True

    def disconnect(self, signature: str, slot: Any) -> bool:
        for entry in list(self._slots):
            if entry[:2] == (signature, slot):
                getattr(self._signals, signature.split("(")[0]).disconnect(entry[2])
                self._slots.remove(entry)
        return True


class SliceView:
    def __init__(self, node: Any) -> None:
        self._node = node
        self._widget = QtWidgets.QLabel("slice view")

    def mrmlSliceNode(self) -> Any:
        return self._node

    def forceRender(self) -> None:
        pass


class SliceWidget:
    def __init__(self, name: str, scene: Any, application_logic: Any) -> None:
        self._logic = slicer.vtkMRMLSliceLogic()
        self._logic.SetMRMLScene(scene)
        self._logic.SetMRMLApplicationLogic(application_logic)
        orientation = {"Red": "Axial", "Yellow": "Sagittal", "Green": "Coronal"}.get(name, "Axial")
        slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
        node = scene.GetSingletonNode(name, "vtkMRMLSliceNode")  # the layout logic makes those of its layouts
        if node is None:
            node = slicer.vtkMRMLSliceNode()
            node.SetName(name)
            node.SetLayoutName(name)
            node.SetSingletonTag(name)
            node = scene.AddNode(node)
        node.SetOrientation(orientation)
        node.SetDimensions(400, 400, 1)
        self._logic.SetSliceNode(node)
        composite = slicer.vtkMRMLSliceCompositeNode()
        composite.SetLayoutName(name)
        composite.SetSingletonTag(name)
        self._logic.SetSliceCompositeNode(scene.AddNode(composite))
        self._view = SliceView(node)

    def sliceLogic(self) -> Any:
        return self._logic

    def mrmlSliceNode(self) -> Any:
        return self._logic.GetSliceNode()

    def mrmlSliceCompositeNode(self) -> Any:
        return self._logic.GetSliceCompositeNode()

    def sliceView(self) -> SliceView:
        return self._view

    def fitSliceToBackground(self) -> None:
        self._logic.FitSliceToBackground()


class ThreeDView:
    def __init__(self, node: Any) -> None:
        self._node = node
        self.resets = 0
        self._annotation = vtk.vtkCornerAnnotation()

    def cornerAnnotation(self) -> Any:
        return self._annotation

    def mrmlViewNode(self) -> Any:
        return self._node

    def resetFocalPoint(self) -> None:
        self.resets += 1

    def resetCamera(self) -> None:
        self.resets += 1

    def forceRender(self) -> None:
        pass


class LayoutManager:
    """The layout manager of the main window, over the scene's layout node."""

    def __init__(self, scene: Any, application_logic: Any) -> None:
        self._layout_logic = slicer.vtkMRMLLayoutLogic()
        self._layout_logic.SetMRMLScene(scene)
        self._layout_logic.GetLayoutNode().SetViewArrangement(slicer.vtkMRMLLayoutNode.SlicerLayoutConventionalView)
        slice_logics = vtk.vtkCollection()
        application_logic.SetSliceLogics(slice_logics)
        self._slices = {name: SliceWidget(name, scene, application_logic) for name in ("Red", "Yellow", "Green")}
        self._scene, self._application_logic = scene, application_logic
        self._views = [ThreeDView(scene.GetSingletonNode("1", "vtkMRMLViewNode"))]
        for widget in self._slices.values():
            slice_logics.AddItem(widget.sliceLogic())

    @property
    def layout(self) -> int:
        return self._layout_logic.GetLayoutNode().GetViewArrangement()

    def end(self) -> None:
        for widget in self._slices.values():
            widget.sliceLogic().SetMRMLScene(None)
        self._layout_logic.SetMRMLScene(None)

    def layoutLogic(self) -> Any:
        return self._layout_logic

    def setLayout(self, layout: int) -> None:
        node = self._layout_logic.GetLayoutNode()
        node.SetViewArrangement(layout)
        description = node.GetCurrentLayoutDescription() or ""
        import xml.etree.ElementTree as ElementTree

        for view in ElementTree.fromstring(description).iter("view") if description else ():
            name = view.get("singletontag") or ""
            if view.get("class") == "vtkMRMLSliceNode" and name not in self._slices:
                self._slices[name] = SliceWidget(name, self._scene, self._application_logic)

    def sliceViewNames(self) -> tuple[str, ...]:
        return tuple(self._slices)

    def sliceWidget(self, name: str) -> SliceWidget | None:
        return self._slices.get(name)

    @property
    def threeDViewCount(self) -> int:
        return len(self._views)

    def threeDWidget(self, index: int) -> Any:
        return SimpleNamespace(threeDView=lambda: self._views[index], mrmlViewNode=self._views[index].mrmlViewNode)

    def resetSliceViews(self) -> None:
        for widget in self._slices.values():
            widget.fitSliceToBackground()

    def resetThreeDViews(self) -> None:
        for view in self._views:
            view.resetFocalPoint()


class SettingsDialog:
    def __init__(self) -> None:
        self.panels: dict[str, Any] = {}

    def addPanel(self, name: str, panel: Any) -> None:
        self.panels[name] = panel


class Application(Connectable):
    """`slicer.app`."""

    majorVersion, minorVersion = 5, 12
    applicationName = "Slicer"
    revision = "0"

    def __init__(self, scene: Any, home: Path) -> None:
        self.signals = Signals()
        super().__init__(self.signals, ("startupCompleted()", "aboutToQuit()"))
        self._scene = scene
        self._home = home
        self.testing = True
        self.no_main_window = False
        self._application_logic = slicer.vtkMRMLApplicationLogic()
        if hasattr(self._application_logic, "SetHomeDirectory"):
            self._application_logic.SetHomeDirectory(str(home))  # where the colour tables of files would be
            self._application_logic.SetShareDirectory("share")
        self._application_logic.SetMRMLScene(scene)
        self._layout = LayoutManager(scene, self._application_logic)
        self._settings_dialog = SettingsDialog()
        self._modules = Connectable(self.signals, ("moduleAboutToBeUnloaded(QString)",))
        self._temporary = tempfile.mkdtemp(prefix="slicer-host-")

    @property
    def temporaryPath(self) -> str:
        return self._temporary

    @property
    def slicerHome(self) -> str:
        return str(self._home)

    def testingEnabled(self) -> bool:
        return self.testing

    def commandOptions(self) -> Any:
        return SimpleNamespace(noMainWindow=self.no_main_window, testingEnabled=self.testing)

    def mrmlScene(self) -> Any:
        return self._scene

    def applicationLogic(self) -> Any:
        return self._application_logic

    def layoutManager(self) -> LayoutManager | None:
        return None if self.no_main_window else self._layout

    def moduleManager(self) -> Connectable:
        return self._modules

    def settingsDialog(self) -> SettingsDialog:
        return self._settings_dialog

    def userSettings(self) -> Any:
        return pythonqt.wrap(QtCore.QSettings())

    def settings(self) -> Any:
        return self.userSettings()

    def topLevelWidgets(self) -> list[Any]:
        return [pythonqt.wrap(widget) for widget in QtWidgets.QApplication.topLevelWidgets()]

    def setOverrideCursor(self, cursor: Any) -> None:
        QtGui.QGuiApplication.setOverrideCursor(cursor)

    def restoreOverrideCursor(self) -> None:
        QtGui.QGuiApplication.restoreOverrideCursor()

    def moduleDocumentationUrl(self, name: str) -> str:
        return f"https://slicer.readthedocs.io/en/latest/user_guide/modules/{name.lower()}.html"

    def end(self) -> None:
        """Take the logics off the scene, in the reverse order in which they were put on it."""
        for name in reversed(list(vars(slicer.modules))):
            logic = getattr(getattr(slicer.modules, name), "_logic", None)
            if logic is not None:
                logic.SetMRMLScene(None)
        self._layout.end()
        self._application_logic.SetMRMLScene(None)

    def applicationPid(self) -> int:
        return os.getpid()


class ModuleObject:
    """What stands in `slicer.modules.<name>`: the path, the widget and the logic of a module."""

    def __init__(self, name: str, path: str = "", logic: Any = None) -> None:
        self.name, self.path = name, path
        self._logic, self._representation = logic, None

    def logic(self) -> Any:
        return self._logic

    def widgetRepresentation(self) -> Any:
        return self._representation


def make_modules(scene: Any, application_logic: Any) -> SimpleNamespace:
    """The loadable modules whose nodes the panel meets, with their real logics."""
    modules = SimpleNamespace()
    for name, logic_class in (
        ("colors", "vtkSlicerColorLogic"),
        ("volumes", "vtkSlicerVolumesLogic"),
        ("volumerendering", "vtkSlicerVolumeRenderingLogic"),
        ("segmentations", "vtkSlicerSegmentationsModuleLogic"),
        ("sequences", "vtkSlicerSequencesLogic"),
        ("subjecthierarchy", "vtkSlicerSubjectHierarchyModuleLogic"),
        ("tables", "vtkSlicerTablesLogic"),
        ("plots", "vtkSlicerPlotsLogic"),
        ("texts", "vtkSlicerTextsLogic"),
    ):
        logic = getattr(slicer, logic_class)()
        logic.SetMRMLApplicationLogic(application_logic)
        logic.SetMRMLScene(scene)
        application_logic.SetModuleLogic(name.capitalize(), logic)
        setattr(modules, name, ModuleObject(name, logic=logic))
    return modules
