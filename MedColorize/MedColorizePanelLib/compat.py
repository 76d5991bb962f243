"""What differs between Slicer 5.2 and 5.12, in one place. Nothing else in the module asks for a version.

| needed | there since | otherwise |
|---|---|---|
| `slicer.i18n` | 5.4 | texts stay English |
| `slicer.parameterNodeWrapper` with `= default` | 5.4 | `_typedParameterNode` below |
| `slicer.packaging` | 5.12 | `slicer.util.pip_install`, after asking |
| Python 3.11 for trained models, reports, training | 5.10 | a Python named in the settings (`MedColorize/Python`) |
"""

import logging
import os
import shutil
import sys
from typing import Annotated, get_type_hints

import qt
import slicer
import vtk

try:
    from slicer.i18n import tr, translate
except ImportError:

    def tr(text):
        return text

    def translate(context, text):
        return text


_ = tr  # the name by which translation tools find visible texts

PYTHON_SETTING = "MedColorize/Python"
OLDEST_PYTHON = (3, 11)

#
# Where things are
#


def libraryRoot():
    """The folder that holds MedColorizeLib: beside the module when installed, one up in a source checkout."""
    moduleFolder = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    for folder in (moduleFolder, os.path.dirname(moduleFolder)):
        if os.path.isfile(os.path.join(folder, "MedColorizeLib", "__init__.py")):
            return folder
    raise RuntimeError(
        _("The folder MedColorizeLib is missing beside {folder}. Reinstall the MedColorize extension.").format(
            folder=moduleFolder
        )
    )


def makeLibraryImportable():
    """Put MedColorizeLib on the import path of the application."""
    root = libraryRoot()
    if root not in sys.path:
        sys.path.insert(0, root)


def pythonForWork():
    """`(executable, isExternal)`: the application's own Python, unless the settings name another one."""
    chosen = str(qt.QSettings().value(PYTHON_SETTING) or os.environ.get("MEDCOLORIZE_PYTHON") or "")
    if chosen:
        return chosen, True
    name = "PythonSlicer.exe" if os.name == "nt" else "PythonSlicer"
    own = os.path.join(slicer.app.slicerHome, "bin", name)
    return (own if os.path.isfile(own) else shutil.which("PythonSlicer") or sys.executable), False


def onlyPalettes():
    """True in an older application, whose Python is too old for anything but palettes."""
    return sys.version_info < OLDEST_PYTHON and not pythonForWork()[1]


def reasonNotToRun(palette=False):
    """Why work can't be started in this application, or an empty text. Palettes run on any Python."""
    executable, external = pythonForWork()
    if external:
        if os.path.isfile(executable) or shutil.which(executable):
            return ""
        return _("The Python chosen in the settings is not there: {path}").format(path=executable)
    if onlyPalettes() and not palette:
        return _(
            "This application runs Python {version}, which is too old for this; palettes work. Update to "
            "Slicer 5.10 or "
            "newer, or name a Python that has MedColorize's packages in the application settings."
        ).format(version="{}.{}".format(*sys.version_info[:2]))
    return ""


def environmentForWork(isExternal):
    """The environment of the worker: an external Python must not see the application's own libraries."""
    environment = qt.QProcessEnvironment()
    variables = slicer.util.startupEnvironment() if isExternal else os.environ
    for name in variables:
        environment.insert(name, variables[name])
    environment.insert("PYTHONUNBUFFERED", "1")
    environment.insert("PYTHONIOENCODING", "utf-8")
    if not environment.contains("OPENBLAS_NUM_THREADS"):
        # The worker runs slices side by side, so each of NumPy's products keeps to one thread (app/cores.py).
        environment.insert("OPENBLAS_NUM_THREADS", "1")
    return environment


def showColorLegend(node, title):
    """A colour bar in the slice views that show this volume (Slicer 5.0 and newer)."""
    logic = slicer.modules.colors.logic()
    if hasattr(logic, "AddDefaultColorLegendDisplayNode"):
        legend = logic.AddDefaultColorLegendDisplayNode(node)
        if legend is not None:
            legend.SetTitleText(title)
            legend.SetLabelFormat("%.0f")
            legend.SetNumberOfLabels(3)


#
# Packages
#


class PackagesDeclined(Exception):
    """The person said no to an installation."""


def torchInstalled():
    """True if PyTorch can be imported by the application's Python, without importing it."""
    import importlib.util

    return importlib.util.find_spec("torch") is not None


def ensureTorch():
    """Get PyTorch through the PyTorch extension, after asking; never by pip alone."""
    if torchInstalled():
        return
    try:
        import PyTorchUtils
    except ImportError as error:
        raise PackagesDeclined(
            _(
                "This model needs PyTorch. Install the extension “PyTorch” in the Extensions Manager, restart, "
                "and try again."
            )
        ) from error
    if PyTorchUtils.PyTorchUtilsLogic().installTorch(askConfirmation=True) is None:
        raise PackagesDeclined(_("PyTorch was not installed, so this model can't be used."))


def ensurePackages(requirementsFile):
    """Install what is missing of `Resources/requirements.txt`, after asking. Raises PackagesDeclined on a no."""
    try:
        from slicer.packaging import load_requirements, pip_ensure
    except ImportError:
        _ensurePackagesBefore512(requirementsFile)
        return
    try:
        pip_ensure(load_requirements(requirementsFile), requester="MedColorize")
    except RuntimeError as error:
        raise PackagesDeclined(_("The packages were not installed, so nothing was started.")) from error


def _ensurePackagesBefore512(requirementsFile):
    from importlib import metadata

    with open(requirementsFile, encoding="utf-8") as file:
        wanted = [line.strip() for line in file if line.strip() and not line.startswith("#")]
    missing = []
    for requirement in wanted:
        name = requirement.split(">")[0].split("=")[0].split(";")[0].strip()
        try:
            metadata.version(name)
        except metadata.PackageNotFoundError:
            missing.append(requirement)
    if not missing:
        return
    question = _("MedColorize needs these Python packages: {names}\n\nInstall them now?").format(
        names=", ".join(missing)
    )
    if not slicer.util.confirmOkCancelDisplay(question, windowTitle="MedColorize"):
        raise PackagesDeclined(_("The packages were not installed, so nothing was started."))
    slicer.util.pip_install(missing)


#
# Parameter node
#


def parameterNodeWrapper(cls):
    """`slicer.parameterNodeWrapper` where it knows defaults given with `=`; otherwise the few lines below."""
    defaults = {name: getattr(cls, name) for name in cls.__annotations__ if hasattr(cls, name)}
    try:
        from slicer.parameterNodeWrapper import parameterNodeWrapper as wrapper

        # On a copy: an older wrapper that fails half-way would leave its marks on the class.
        members = {name: value for name, value in vars(cls).items() if name not in ("__dict__", "__weakref__")}
        wrapped = wrapper(type(cls.__name__, (), members))
        for name, default in defaults.items():
            found = wrapped.allParameters[name].default
            if getattr(found, "value", found) != default:
                raise TypeError("this version's wrapper does not read defaults")
        return wrapped
    except Exception as error:
        logging.debug(f"MedColorize keeps its parameters by itself: {error}")
        return _typedParameterNode(cls, defaults)


def WithinRange(minimum, maximum):
    """Slicer's validator where there is one."""
    try:
        from slicer.parameterNodeWrapper import WithinRange as validator

        return validator(minimum, maximum)
    except ImportError:
        return (minimum, maximum)


def _typedParameterNode(cls, defaults):
    kinds = {}
    for name, hint in get_type_hints(cls).items():
        kinds[name] = hint.__origin__ if hasattr(hint, "__metadata__") else hint

    def isNode(kind):
        return issubclass(kind, slicer.vtkMRMLNode)

    def read(node, name):
        kind = kinds[name]
        if isNode(kind):
            return node.GetNodeReference(name)
        text = node.GetParameter(name)
        return text == "True" if kind is bool else kind(text)

    def write(node, name, value):
        if isNode(kinds[name]):
            node.SetNodeReferenceID(name, value.GetID() if value is not None else None)
        else:
            node.SetParameter(name, str(kinds[name](value)))

    def initialize(self, node):
        self.parameterNode, self._guis, self._nextTag, self._updating = node, {}, 0, False
        for name, kind in kinds.items():
            if not isNode(kind) and not node.GetParameter(name):
                write(node, name, defaults.get(name, kind()))

    def connectGui(self, gui):
        tag = self._nextTag
        self._nextTag += 1
        widgets = {}
        self._guis[tag] = widgets
        for widget in vars(gui).values():
            name = widget.property("SlicerParameterName") if hasattr(widget, "property") else None
            if name:
                signal, get, put = _CONNECTORS[widget.className()]
                widgets[name] = (widget, put)
                put(widget, read(self.parameterNode, name))
                widget.connect(signal, _guiToParameter(self, name, widget, get, tag, write))
        self.AddObserver(vtk.vtkCommand.ModifiedEvent, lambda caller, event: update(self))
        return tag

    def update(self):
        if self._updating:
            return
        self._updating = True
        try:
            for widgets in self._guis.values():
                for name, (widget, put) in widgets.items():
                    put(widget, read(self.parameterNode, name))
        finally:
            self._updating = False

    def disconnectGui(self, tag):
        self._guis.pop(tag, None)

    members = {
        "__init__": initialize,
        "connectGui": connectGui,
        "disconnectGui": disconnectGui,
        "AddObserver": lambda self, event, callback: self.parameterNode.AddObserver(event, callback),
        "RemoveObserver": lambda self, tag: self.parameterNode.RemoveObserver(tag),
        "StartModify": lambda self: self.parameterNode.StartModify(),
        "EndModify": lambda self, was: self.parameterNode.EndModify(was),
    }
    for name in kinds:
        members[name] = property(
            lambda self, name=name: read(self.parameterNode, name),
            lambda self, value, name=name: write(self.parameterNode, name, value),
        )
    return type(cls.__name__, (), members)


def _guiToParameter(wrapper, name, widget, get, tag, write):
    def changed():
        if tag in wrapper._guis and not wrapper._updating:
            write(wrapper.parameterNode, name, get(widget))

    return changed


_CONNECTORS = {
    "qMRMLNodeComboBox": (
        "currentNodeChanged(vtkMRMLNode*)",
        lambda widget: widget.currentNode(),
        lambda widget, value: widget.setCurrentNode(value),
    ),
    "QCheckBox": ("toggled(bool)", lambda w: w.checked, lambda w, value: setattr(w, "checked", value)),
    "ctkSliderWidget": ("valueChanged(double)", lambda w: w.value, lambda w, value: setattr(w, "value", value)),
    "QDoubleSpinBox": ("valueChanged(double)", lambda w: w.value, lambda w, value: setattr(w, "value", value)),
    "QSpinBox": ("valueChanged(int)", lambda w: w.value, lambda w, value: setattr(w, "value", value)),
}

__all__ = ["Annotated", "tr", "translate"]
