"""A host for the panel: Slicer's `qt`, `ctk` and `slicer` on PySide6 and slicer-core, for tests and screenshots.

Honest about what it imitates: an attribute, signal or module that it does not have raises, and `surface.py` lists what
it has. Slice and 3D views are nodes and logics without pictures. Nothing in the module may depend on this package.
"""

from __future__ import annotations

import importlib
import importlib.util
import os
import shutil
import sys
import time
import types
from collections.abc import Callable
from pathlib import Path
from typing import Any

os.environ.setdefault("QT_QPA_PLATFORM", "offscreen")

import slicer
import slicer.util
from PySide6 import QtCore, QtWidgets

from . import application, framework, pythonqt, surface, widgets


class Host:
    """The application, while it is open. `load` opens the module's panel in it."""

    def __init__(self, folder: Path) -> None:
        self.qt_application = QtWidgets.QApplication.instance() or QtWidgets.QApplication([])
        QtCore.QCoreApplication.setOrganizationName("MedColorize")
        QtCore.QCoreApplication.setApplicationName("PanelHost")
        QtCore.QSettings.setDefaultFormat(QtCore.QSettings.Format.IniFormat)
        QtCore.QSettings.setPath(
            QtCore.QSettings.Format.IniFormat, QtCore.QSettings.Scope.UserScope, str(folder / "settings")
        )
        pythonqt.errors.clear()
        self._saved_modules = {name: sys.modules.get(name) for name in _MODULES}
        self._saved_slicer = dict(vars(slicer))
        self._path = list(sys.path)
        self.home = _make_home(folder / "home")
        self.packaging = framework.Packaging()
        self.displays: list[str] = []
        self.answers: dict[str, Any] = {}
        self.widget: Any = None
        self.module: Any = None
        self._install()

    def _install(self) -> None:
        scene = slicer.vtkMRMLScene()
        slicer.mrmlScene = scene
        qt, ctk = types.ModuleType("qt"), types.ModuleType("ctk")
        for name, kind in pythonqt.qt_classes().items():
            setattr(qt, name[3:], pythonqt.make_class(name, framework.Timer if name == "qt.QTimer" else kind))
        pythonqt.classes["QTimer"] = qt.QTimer
        qt.QUiLoader = type(
            "QUiLoader", (), {"load": lambda self, file: pythonqt.wrap(widgets.UiLoader().load(pythonqt.unwrap(file)))}
        )
        qt.Qt = QtCore.Qt
        qt.SIGNAL = lambda signature: "2" + signature
        qt.QSizePolicy = QtWidgets.QSizePolicy
        qt.QAbstractItemView = QtWidgets.QAbstractItemView
        for room, kinds in widgets.CUSTOM.items():
            for kind in kinds:
                made = pythonqt.make_class(f"{room}.{kind.__name__}", kind)
                setattr(ctk if room == "ctk" else slicer, kind.__name__, made)
        slicer.selfTests = {}
        self.app = slicer.app = application.Application(scene, self.home)
        slicer.modules = application.make_modules(scene, self.app.applicationLogic())
        sys.modules.update(qt=qt, ctk=ctk)
        for name, members in {
            "slicer.ScriptedLoadableModule": {
                n: getattr(framework, n) for n in dir(framework) if n.startswith("ScriptedLoadable")
            },
            "slicer.i18n": {"tr": framework.tr, "translate": framework.translate},
            "slicer.parameterNodeWrapper": {
                "parameterNodeWrapper": framework.parameterNodeWrapper,
                "WithinRange": framework.WithinRange,
                "Choice": framework.Choice,
            },
            "slicer.packaging": {
                n: getattr(self.packaging, n) for n in ("load_requirements", "pip_check", "pip_ensure")
            },
        }.items():
            module = types.ModuleType(name)
            vars(module).update(members)
            sys.modules[name] = module
            setattr(slicer, name.split(".")[1], module)
        self._saved_util = {n: getattr(slicer.util, n) for n in ("messageBox", "errorDisplay", "startupEnvironment")}
        slicer.util.errorDisplay = lambda text, *_a, **_k: self.displays.append(str(text))
        slicer.util.messageBox = lambda text, *_a, **_k: self.displays.append(str(text))
        slicer.util.startupEnvironment = lambda: dict(os.environ)
        slicer.util.confirmOkCancelDisplay = lambda text, *_a, **_k: self._answer(text)

    def _answer(self, text: str) -> bool:
        self.displays.append(text)
        return bool(self.answers.get("confirm", True))

    def load(self, path: Path) -> Any:
        """Load a scripted module from its file as the application does, and open its panel."""
        name = path.stem
        sys.path.insert(0, str(path.parent))
        spec = importlib.util.spec_from_file_location(name, path)
        python = importlib.util.module_from_spec(spec)
        sys.modules[name] = python
        spec.loader.exec_module(python)
        parent = types.SimpleNamespace(path=str(path), icon=None)
        self.module = getattr(python, name)(parent)
        entry = application.ModuleObject(name, str(path))
        setattr(slicer.modules, name.lower(), entry)
        representation = slicer.qSlicerScriptedLoadableModuleWidget()
        real = representation._object
        entry._representation = representation
        real.self = lambda: self.widget
        real.reload = lambda: self._make_widget(name, representation)
        self._make_widget(name, representation)
        self.app.signals.startupCompleted.emit()
        return self.widget

    def _make_widget(self, name: str, representation: Any) -> None:
        self.widget = getattr(sys.modules[name], f"{name}Widget")(representation)
        setattr(slicer.modules, f"{name}Widget", self.widget)
        self.widget.setup()

    def enter(self) -> None:
        """Show the panel."""
        self.widget.parent._object._entered = True
        self.widget.parent._object.resize(500, 760)
        self.widget.parent._object.show()
        self.widget.enter()

    def leave(self) -> None:
        """Switch to another module."""
        self.widget.parent._object._entered = False
        self.widget.exit()

    def wait(self, until: Callable[[], Any], seconds: float = 30) -> None:
        """Run the event loop until something is true."""
        end = time.monotonic() + seconds
        while not until():
            self.qt_application.processEvents(QtCore.QEventLoop.ProcessEventsFlag.AllEvents, 20)
            if time.monotonic() > end:
                raise TimeoutError("it did not happen in time")
            time.sleep(0.001)

    def turn(self, seconds: float = 0.05) -> None:
        """Run the event loop for a while."""
        end = time.monotonic() + seconds
        self.wait(lambda: time.monotonic() >= end, seconds + 1)

    def grab(self, path: Path, width: int = 500, height: int = 0) -> None:
        """A screenshot of the panel at a width."""
        window = self.widget.parent._object
        window.show()
        window.resize(width, height or window.layout().totalHeightForWidth(width))
        self.turn(0.1)
        window.grab().save(str(path))

    def close(self) -> None:
        """End the application and take everything back."""
        if self.widget is not None:
            self.app.signals.moduleAboutToBeUnloaded.emit(type(self.widget).__name__.removesuffix("Widget"))
            self.widget.parent._object.hide()
        self.app.signals.aboutToQuit.emit()
        self.app.end()
        slicer.mrmlScene.Clear(True)
        shutil.rmtree(self.app.temporaryPath, ignore_errors=True)
        for name in [n for n in sys.modules if n.split(".")[0] in ("MedColorize", "MedColorizePanelLib")]:
            del sys.modules[name]
        for name, module in self._saved_modules.items():
            if module is None:
                sys.modules.pop(name, None)
            else:
                sys.modules[name] = module
        for name, function in self._saved_util.items():
            setattr(slicer.util, name, function)
        for name in set(vars(slicer)) - set(self._saved_slicer):
            delattr(slicer, name)
        sys.path[:] = self._path


_MODULES = ("qt", "ctk", "slicer.ScriptedLoadableModule", "slicer.i18n", "slicer.parameterNodeWrapper", "slicer.packaging",  # noqa: E501
            "ScreenCapture", "DICOMLib", "SampleData", "PyTorchUtils")  # fmt: skip


def _make_home(home: Path) -> Path:
    """An application folder whose PythonSlicer is a launcher, as the real one: a process between us and Python."""
    launcher = home / "bin" / "PythonSlicer"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    launcher.write_text(f'#!/bin/sh\n"{sys.executable}" "$@"\nexit $?\n')
    launcher.chmod(0o755)
    return home


__all__ = ["Host", "application", "framework", "pythonqt", "surface", "widgets"]
