"""The Python layer of Slicer that modules are written against: module classes, i18n, parameter nodes, packaging.

Written anew from the developer guide, as far as the module uses it. Not for: widgets or the application object.
"""

from __future__ import annotations

import importlib
import os
import typing
import unittest
from typing import Any

import slicer
import vtk
from PySide6 import QtCore

from . import pythonqt


class ScriptedLoadableModule:
    def __init__(self, parent: Any) -> None:
        self.parent = parent
        self.moduleName = type(self).__name__
        parent.title, parent.categories, parent.dependencies, parent.contributors = "", [], [], []
        parent.helpText = parent.acknowledgementText = ""
        slicer.selfTests[self.moduleName] = self.runTest

    def resourcePath(self, name: str) -> str:
        return os.path.join(os.path.dirname(self.parent.path), "Resources", name)

    def getDefaultModuleDocumentationLink(self, docPage: str | None = None) -> str:
        return f'<p><a href="{docPage or slicer.app.moduleDocumentationUrl(self.moduleName)}">Documentation</a></p>'

    def runTest(self, msec: int = 100, **kwargs: Any) -> None:
        module = importlib.import_module(type(self).__module__)
        case = getattr(module, f"{self.moduleName}Test")()
        case.messageDelay = msec
        case.runTest(**kwargs)


class ScriptedLoadableModuleWidget:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Widget")
        self.developerMode = False
        self.parent = parent
        self.layout = parent.layout()
        slicer.app.moduleManager().connect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)

    def resourcePath(self, name: str) -> str:
        return os.path.join(os.path.dirname(slicer.util.modulePath(self.moduleName)), "Resources", name)

    def setup(self) -> None:
        pass

    def cleanup(self) -> None:
        pass

    def enter(self) -> None:
        pass

    def exit(self) -> None:
        pass

    def onReload(self) -> None:
        slicer.util.reloadScriptedModule(self.moduleName)

    def _onModuleAboutToBeUnloaded(self, name: str) -> None:
        if name == self.moduleName:
            self.cleanup()
            slicer.app.moduleManager().disconnect("moduleAboutToBeUnloaded(QString)", self._onModuleAboutToBeUnloaded)


class ScriptedLoadableModuleLogic:
    def __init__(self, parent: Any = None) -> None:
        self.moduleName = type(self).__name__.removesuffix("Logic")
        self.isSingletonParameterNode = True

    def getParameterNode(self) -> Any:
        node = slicer.mrmlScene.GetSingletonNode(self.moduleName, "vtkMRMLScriptedModuleNode")
        if node is None:
            node = slicer.mrmlScene.CreateNodeByClass("vtkMRMLScriptedModuleNode")
            node.UnRegister(None)
            node.SetSingletonTag(self.moduleName)
            node.SetName(slicer.mrmlScene.GenerateUniqueName(self.moduleName))
            node.SetModuleName(self.moduleName)
            node = slicer.mrmlScene.AddNode(node)
        node.SetAttribute("ModuleName", self.moduleName)
        return node


class ScriptedLoadableModuleTest(unittest.TestCase):
    messageDelay = 0

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*(arguments or ("runTest",)))

    def delayDisplay(self, message: str, requestedDelay: int | None = None, msec: int | None = None) -> None:
        pass

    def runTest(self, **kwargs: Any) -> None:
        """Run every `test*` method, each after `setUp`, and fail if one did."""
        suite = unittest.TestSuite()
        for name in unittest.defaultTestLoader.getTestCaseNames(type(self)):
            suite.addTest(type(self)(name))
        result = unittest.TestResult()
        suite.run(result)
        if not result.wasSuccessful():
            raise AssertionError("\n".join(text for _, text in result.errors + result.failures))


def tr(text: str, disambiguation: str | None = None) -> str:
    return Translations.table.get(text, text)


def translate(context: str, text: str, disambiguation: str | None = None, plural: int = -1) -> str:
    return Translations.table.get(text, text)


class Translations:
    """What a test wants the visible strings to become (a language with long words, say)."""

    table: typing.ClassVar[dict[str, str]] = {}


class WithinRange:
    """Validator of a number."""

    def __init__(self, minimum: float, maximum: float) -> None:
        self.minimum, self.maximum = minimum, maximum

    def validate(self, value: float) -> None:
        if not self.minimum <= value <= self.maximum:
            raise ValueError(f"Value must be within range [{self.minimum}, {self.maximum}], is {value}")


class Choice:
    """Validator of a value that is one of a few."""

    def __init__(self, choices: typing.Sequence[Any]) -> None:
        self.choices = choices

    def validate(self, value: Any) -> None:
        if value not in self.choices:
            raise ValueError(f"Value must be one of {self.choices}, is {value}")


class _Parameter:
    def __init__(self, name: str, hint: Any, default: Any) -> None:
        notes = getattr(hint, "__metadata__", ())
        self.name, self.kind = name, (hint.__origin__ if notes else hint)
        self.validators = [note for note in notes if hasattr(note, "validate")]
        is_node = isinstance(self.kind, type) and issubclass(self.kind, slicer.vtkMRMLNode)
        if not is_node and self.kind not in (str, int, float, bool):
            raise Exception(f"Unable to create serializer for member {name}")
        self.is_node = is_node
        self.default = default if default is not ... else (None if is_node else self.kind())

    def read(self, node: Any) -> Any:
        if self.is_node:
            return node.GetNodeReference(self.name)
        text = node.GetParameter(self.name)
        return text == "True" if self.kind is bool else self.kind(text)

    def write(self, node: Any, value: Any) -> None:
        for validator in self.validators:
            validator.validate(value)
        if self.is_node:
            if value is not None and not isinstance(value, self.kind):
                raise TypeError(f"{self.name} takes a {self.kind.__name__}, not {value}")
            node.SetNodeReferenceID(self.name, value.GetID() if value is not None else None)
        elif not isinstance(value, (int, float) if self.kind is float else self.kind):
            raise TypeError(f"{self.name} takes {self.kind.__name__}, not {value!r}")
        else:
            node.SetParameter(self.name, str(self.kind(value)))


_GUI = {
    "qMRMLNodeComboBox": ("currentNodeChanged(vtkMRMLNode*)", lambda w: w.currentNode(), lambda w, v: w.setCurrentNode(v)),  # noqa: E501
    "QCheckBox": ("toggled(bool)", lambda w: w.checked, lambda w, v: setattr(w, "checked", v)),
    "ctkSliderWidget": ("valueChanged(double)", lambda w: w.value, lambda w, v: setattr(w, "value", v)),
    "QDoubleSpinBox": ("valueChanged(double)", lambda w: w.value, lambda w, v: setattr(w, "value", v)),
    "QSpinBox": ("valueChanged(int)", lambda w: w.value, lambda w, v: setattr(w, "value", v)),
    "ctkPathLineEdit": ("currentPathChanged(QString)", lambda w: w.currentPath, lambda w, v: setattr(w, "currentPath", v)),  # noqa: E501
}  # fmt: skip


def parameterNodeWrapper(cls: type) -> type:
    """Typed attributes over a parameter node, and their connection to widgets by `SlicerParameterName`."""
    parameters = {}
    for name, hint in typing.get_type_hints(cls, include_extras=True).items():
        parameters[name] = _Parameter(name, hint, getattr(cls, name, ...))
        setattr(
            cls,
            name,
            property(
                lambda self, p=parameters[name]: p.read(self.parameterNode),
                lambda self, value, p=parameters[name]: p.write(self.parameterNode, value),
            ),
        )

    def init(self: Any, node: Any) -> None:
        self.parameterNode, self._guis, self._busy, self._tag = node, {}, False, 0
        for parameter in parameters.values():
            present = bool(node.GetNodeReferenceID(parameter.name)) if parameter.is_node else (
                parameter.name in node.GetParameterNames()
            )  # fmt: skip
            if not present:
                parameter.write(node, parameter.default)

    def connect_gui(self: Any, gui: Any) -> int:
        tag = self._tag = self._tag + 1
        mapping = {}
        for widget in vars(gui).values():
            name = widget.property("SlicerParameterName") if hasattr(widget, "property") else None
            if not name:
                continue
            if name not in parameters:
                raise ValueError(f"Cannot find a param with the given name: {name}")
            signal, read, write = _GUI[widget.className()]
            mapping[name] = (widget, write)
            write(widget, getattr(self, name))

            widget.connect(signal, follow(self, tag, name, widget, read))
        self._guis[tag] = mapping
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda *_: update(self))
        return tag

    def follow(self: Any, tag: int, name: str, widget: Any, read: Any) -> Any:
        def changed() -> None:
            if not self._busy and tag in self._guis:
                setattr(self, name, read(widget))

        return changed

    def update(self: Any) -> None:
        if self._busy:
            return
        self._busy = True
        try:
            for mapping in self._guis.values():
                for name, (widget, write) in mapping.items():
                    write(widget, getattr(self, name))
        finally:
            self._busy = False

    cls.__init__ = init
    cls.allParameters = parameters
    cls.connectGui = connect_gui
    cls.disconnectGui = lambda self, tag: self._guis.pop(tag, None)
    cls.AddObserver = lambda self, event, callback, priority=0.0: self.parameterNode.AddObserver(event, callback)
    cls.RemoveObserver = lambda self, tag: self.parameterNode.RemoveObserver(tag)
    cls.StartModify = lambda self: self.parameterNode.StartModify()
    cls.EndModify = lambda self, was: self.parameterNode.EndModify(was)
    cls.Modified = lambda self: self.parameterNode.Modified()
    return cls


class Packaging:
    """`slicer.packaging` of 5.12: what the person answers and what is installed are the test's to say."""

    def __init__(self) -> None:
        self.missing: set[str] = set()
        self.accepts = True
        self.asked: list[list[str]] = []

    def load_requirements(self, path: str) -> list[str]:
        with open(path, encoding="utf-8") as file:
            return [line.strip() for line in file if line.strip() and not line.startswith("#")]

    def pip_check(self, requirements: list[str] | str) -> bool:
        wanted = [requirements] if isinstance(requirements, str) else requirements
        return not any(any(name in text for name in self.missing) for text in wanted)

    def pip_ensure(self, requirements: list[str], *, requester: str | None = None, **_options: Any) -> None:
        if self.pip_check(requirements):
            return
        self.asked.append(list(requirements))
        if not self.accepts:
            raise RuntimeError("User declined package installation")
        self.missing.clear()


class Timer(QtCore.QTimer):
    """Qt's own timer, with the static call PythonQt offers for Python functions."""

    @staticmethod
    def singleShot(milliseconds: int, slot: Any) -> None:
        QtCore.QTimer.singleShot(milliseconds, lambda: pythonqt._call_slot(slot, 0))
