"""PySide6 objects that behave in Python as PythonQt's do in Slicer.

What differs between the two, and is imitated here: Qt properties are plain attributes (`button.text = "x"`, not calls);
signals are connected by their signature (`button.connect("clicked(bool)", f)`), a slot gets as many arguments as it
takes; an attribute that does not exist raises, on reading and on writing. Only the names of `surface.py` are offered.
Not for: widgets themselves (`widgets.py`).
"""

from __future__ import annotations

import functools
import inspect
import sys
import traceback
from collections.abc import Callable
from typing import Any, ClassVar

from PySide6 import QtCore, QtGui, QtWidgets

from . import surface

errors: list[str] = []
"""Exceptions that left a slot. PythonQt prints them and goes on; the tests look here."""

classes: dict[str, type[Wrapped]] = {}
"""Wrapper classes by the name of the Qt class they wrap."""


def unwrap(value: Any) -> Any:
    if isinstance(value, Wrapped):
        return value._object
    if isinstance(value, (list, tuple)):
        return type(value)(unwrap(item) for item in value)
    return value


def wrap(value: Any) -> Any:
    """The PythonQt face of anything that Qt handed out."""
    if isinstance(value, (list, tuple)):
        return type(value)(wrap(item) for item in value)
    if isinstance(value, QtCore.QObject):
        face = _faces.get(id(value))
        if face is not None and face._object is value:
            return face
    for kind in type(value).__mro__:
        known = classes.get(kind.__name__)
        if known is not None and isinstance(value, known._qt):
            face = known.__new__(known)
            face._adopt(value)
            return face
    return value


_faces: dict[int, Wrapped] = {}


class Wrapped:
    """Base of every wrapper: attribute access as PythonQt gives it."""

    _qt: ClassVar[type] = object
    _name: ClassVar[str] = ""
    _names: ClassVar[frozenset[str]] = frozenset()
    _object: Any

    def __init__(self, *arguments: Any) -> None:
        self._adopt(self._qt(*(unwrap(argument) for argument in arguments)))

    def _adopt(self, target: Any) -> None:
        object.__setattr__(self, "_object", target)
        if isinstance(target, QtCore.QObject):
            _faces[id(target)] = self

    def _property(self, name: str) -> bool:
        target = self._object
        return isinstance(target, QtCore.QObject) and target.metaObject().indexOfProperty(name) >= 0

    def __getattr__(self, name: str) -> Any:
        if name == "_object":
            raise AttributeError("this object was never initialised: call the base class's __init__")
        target = self._object
        if name == "name" and isinstance(target, QtCore.QObject):
            return target.objectName()
        if name not in self._names:
            raise AttributeError(f"{self._name} has no attribute {name!r} (or the host does not offer it: surface.py)")
        if self._property(name):
            return wrap(target.property(name))
        attribute = getattr(target, {"exec_": "exec", "raise": "raise_"}.get(name, name))
        return _method(attribute) if callable(attribute) else wrap(attribute)

    def __setattr__(self, name: str, value: Any) -> None:
        if name == "name" and isinstance(self._object, QtCore.QObject):
            self._object.setObjectName(value)
        elif name in self._names and self._property(name):
            if not self._object.setProperty(name, unwrap(value)):
                raise ValueError(f"{self._name}.{name} does not take {value!r}")
        elif "_name" not in type(self).__dict__:
            object.__setattr__(self, name, value)  # a class of the module, derived from a Qt class
        else:
            raise AttributeError(f"{self._name} has no property {name!r} (or the host does not offer it: surface.py)")

    def __eq__(self, other: object) -> bool:
        return self._object == unwrap(other)

    def __hash__(self) -> int:
        return hash(id(self._object))

    def __repr__(self) -> str:
        return f"{self._name} (host, {self._object!r})"

    # QObject's own calls, which have other shapes in PythonQt than in PySide6

    def className(self) -> str:
        return self._name.rpartition(".")[2]

    def _signal(self, signature: str) -> Any:
        signature = signature.replace(" ", "")
        if signature not in surface.SIGNALS.get(self._name, ()) and signature not in surface.COMMON_SIGNALS:
            raise ValueError(f"{self._name} has no signal {signature!r} (or the host does not offer it: surface.py)")
        name, _, arguments = signature.rstrip(")").partition("(")
        signal = getattr(self._object, name)
        kinds = [{"QString": "QString", "bool": "bool", "int": "int"}.get(kind, "") for kind in arguments.split(",")]
        if signal_overloads(self._object, name) > 1 and all(kinds):
            return signal[",".join(kinds)]
        return signal

    def connect(self, signature: str, slot: Callable[..., Any]) -> bool:
        taken = signature[signature.index("(") + 1 : -1]
        count = len(taken.split(",")) if taken else 0
        called = functools.partial(_call_slot, slot, count)
        _connections.setdefault((id(self._object), signature.replace(" ", "")), []).append((slot, called))
        self._signal(signature).connect(called)
        return True

    def disconnect(self, signature: str, slot: Callable[..., Any] | None = None) -> bool:
        known = _connections.get((id(self._object), signature.replace(" ", "")), [])
        for pair in list(known):
            if slot is None or pair[0] == slot:
                self._signal(signature).disconnect(pair[1])
                known.remove(pair)
        return True


_connections: dict[tuple[int, str], list[tuple[Any, Any]]] = {}


def signal_overloads(target: QtCore.QObject, name: str) -> int:
    meta = target.metaObject()
    methods = (meta.method(index) for index in range(meta.methodCount()))
    return sum(
        method.methodType() == QtCore.QMetaMethod.MethodType.Signal and bytes(method.name()).decode() == name
        for method in methods
    )


def _call_slot(slot: Callable[..., Any], count: int, *values: Any) -> None:
    """Call a slot with as many of the signal's arguments as it takes, as PythonQt does."""
    try:
        parameters = inspect.signature(slot).parameters.values()
        positional = [p for p in parameters if p.kind in (p.POSITIONAL_ONLY, p.POSITIONAL_OR_KEYWORD)]
        if not any(p.kind == p.VAR_POSITIONAL for p in parameters):
            count = min(count, len(positional))
    except (TypeError, ValueError):
        pass
    try:
        slot(*(wrap(value) for value in values[:count]))
    except Exception:
        errors.append(traceback.format_exc())
        traceback.print_exc(file=sys.stderr)


def _method(bound: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(bound)
    def call(*arguments: Any) -> Any:
        result = bound(*(unwrap(argument) for argument in arguments))
        if isinstance(result, tuple) and getattr(bound, "__name__", "").startswith(("getOpenFile", "getSaveFile")):
            result = result[0]  # PySide6 adds the filter that was chosen
        return wrap(result)

    return call


class _EnumAccess(type):
    """Class attributes: enumerations and static functions of the Qt class, as far as they are offered."""

    def __getattr__(cls, name: str) -> Any:
        if name.startswith("_"):
            raise AttributeError(name)
        value = getattr(cls._qt, name, None)
        if (value is not None and isinstance(value, (int, QtCore.Qt.AlignmentFlag))) or hasattr(
            type(value), "__members__"
        ):
            return value
        if name in cls._names and value is not None:
            return _method(value)
        raise AttributeError(f"{cls._name} has no attribute {name!r} (or the host does not offer it: surface.py)")


def make_class(name: str, qt_class: type) -> type[Wrapped]:
    """The wrapper class of `qt_class`, under the name it has in Slicer (`qt.QLabel`, `ctk.ctkSliderWidget`)."""
    names = set(surface.names_of(name))
    if issubclass(qt_class, QtWidgets.QWidget):
        names |= set(surface.names_of("qt.QWidget"))
    elif issubclass(qt_class, QtCore.QObject):
        names |= set(surface.OBJECT)
    made = _EnumAccess(
        name.rpartition(".")[2], (Wrapped,), {"_qt": qt_class, "_name": name, "_names": frozenset(names)}
    )
    classes[qt_class.__name__] = made
    return made


def qt_classes() -> dict[str, type]:
    """Name in Slicer -> Qt class, for everything that `surface.py` lists under `qt.`."""
    found = {}
    for name in surface.CLASSES:
        if name.startswith("qt."):
            short = name[3:]
            for module in (QtWidgets, QtGui, QtCore):
                if hasattr(module, short):
                    found[name] = getattr(module, short)
                    break
    return found
