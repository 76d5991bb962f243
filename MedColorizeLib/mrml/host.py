"""Where the MRML classes come from: the Slicer application, or the `slicer-core` package from pip.

The one place of the library that tells the two apart. Everything else in this room takes a scene as its argument.
Not for nodes or pictures.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from ..errors import MedColorizeError

Node = Any
Scene = Any
"""MRML classes are wrapped C++ without type stubs."""

try:
    import slicer
except ImportError as error:
    raise MedColorizeError(
        "Scenes and 3D pictures need the MRML classes of Slicer. "
        "Run inside Slicer, or install them with: pip install 'medcolorize[scene]'"
    ) from error

_logics: dict[int, tuple[Scene, Any, Any]] = {}


def in_application() -> bool:
    """True inside the Slicer application, False with the package from pip."""
    return hasattr(slicer, "app") and hasattr(slicer, "modules")


def new_scene() -> Scene:
    """A scene of its own, which knows the node classes of volume rendering. Close it with `close_scene`."""
    scene = slicer.vtkMRMLScene()
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    # Its volume rendering logic registers the display and property node classes in the scene.
    rendering = slicer.vtkSlicerVolumeRenderingLogic()
    rendering.SetMRMLScene(scene)
    # The logics live as long as the scene, or its observers would call into freed memory.
    _logics[id(scene)] = (scene, application, rendering)
    return scene


def close_scene(scene: Scene) -> None:
    """Empty a scene made by `new_scene` and let it go."""
    scene.Clear(True)
    _, application, rendering = _logics.pop(id(scene), (scene, None, None))
    for logic in (rendering, application):
        if logic is not None:
            logic.SetMRMLScene(None)


def application_logic(scene: Scene) -> Any:
    """The application logic that belongs to a scene (displayable managers ask for it)."""
    if id(scene) in _logics:
        return _logics[id(scene)][1]
    if in_application() and scene is slicer.mrmlScene:
        return slicer.app.applicationLogic()
    application = slicer.vtkMRMLApplicationLogic()
    application.SetMRMLScene(scene)
    return application


@contextmanager
def batch(scene: Scene) -> Iterator[None]:
    """Add or change many nodes; views and widgets hear of it once, at the end."""
    scene.StartState(scene.BatchProcessState)
    try:
        yield
    finally:
        scene.EndState(scene.BatchProcessState)


@contextmanager
def modifying(node: Node) -> Iterator[None]:
    """Change several things of a node; its observers hear of it once, at the end."""
    before = node.StartModify()
    try:
        yield
    finally:
        node.EndModify(before)
