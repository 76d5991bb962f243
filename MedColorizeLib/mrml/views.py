"""Where the camera stands: named views of a patient, and a camera that frames what is seen. Not for rendering."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError

if TYPE_CHECKING:
    from .host import Node, Scene

_VIEW_ANGLE = 24.0
"""Degrees; a longer lens than Slicer's 30, so that near parts do not bulge."""


@dataclass(frozen=True)
class View:
    """From which side the patient is looked at, in RAS (x to the right hand, y to the front, z to the head)."""

    name: str
    toward_camera: tuple[float, float, float]
    up: tuple[float, float, float] = (0.0, 0.0, 1.0)

    def axes(self) -> NDArray[np.float64]:
        """Rows: what points right, up and toward the viewer in the picture."""
        back = np.array(self.toward_camera) / np.linalg.norm(self.toward_camera)
        right = np.cross(self.up, back)
        right /= np.linalg.norm(right)
        return np.stack([right, np.cross(back, right), back])

    def turned(self, degrees: float) -> View:
        """The camera walked around the patient's long axis."""
        angle = np.deg2rad(degrees)
        turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
        x, y, z = (turn @ np.array(self.toward_camera)).tolist()
        a, b, c = (turn @ np.array(self.up)).tolist()
        return View(self.name, (x, y, z), (a, b, c))


VIEWS = {
    view.name: view
    for view in (
        View("three-quarter", (-0.75, 1.0, 0.6)),
        View("anterior", (0.0, 1.0, 0.0)),
        View("posterior", (0.0, -1.0, 0.0)),
        View("left", (-1.0, 0.0, 0.0)),
        View("right", (1.0, 0.0, 0.0)),
        View("superior", (0.0, 0.0, 1.0), (0.0, 1.0, 0.0)),
        View("inferior", (0.0, 0.0, -1.0), (0.0, 1.0, 0.0)),
    )
}


def view_named(name: str) -> View:
    """The view of that name."""
    try:
        return VIEWS[name]
    except KeyError:
        raise UsageError(f"There is no view '{name}'. Choose one of {', '.join(VIEWS)}.") from None


def letters(view: View) -> dict[str, str]:
    """Which side of the patient is at the picture's `left`, `right`, `top` and `bottom`."""
    right, up, _ = view.axes()
    return {"right": _side(right), "left": _side(-right), "top": _side(up), "bottom": _side(-up)}


def aim(camera_node: Node, points: NDArray[np.float64], view: View, aspect: float = 1.0, margin: float = 0.06) -> None:
    """Place a camera so that `points` (n, 3) fill the picture but for `margin`; `aspect` is width / height."""
    axes = view.axes()
    seen = points @ axes.T
    middle = (seen.min(axis=0) + seen.max(axis=0)) / 2
    tangent = np.tan(np.deg2rad(_VIEW_ANGLE) / 2)
    distance = 0.0
    # Perspective shifts the centre a little once the distance is known, hence the few rounds.
    for _ in range(4):
        local = seen - middle
        reach = np.maximum(np.abs(local[:, 0]) / aspect, np.abs(local[:, 1])) / (tangent * (1 - 2 * margin))
        distance = float((reach + local[:, 2]).max())
        depth = distance - local[:, 2]
        for axis in (0, 1):
            shown = local[:, axis] / depth
            middle[axis] += (shown.min() + shown.max()) / 2 * distance
    focus = middle @ axes
    camera_node.SetFocalPoint(*focus.tolist())
    camera_node.SetPosition(*(focus + distance * axes[2]).tolist())
    camera_node.SetViewUp(*axes[1].tolist())
    camera_node.SetViewAngle(_VIEW_ANGLE)


BACKGROUNDS: dict[str, tuple[tuple[float, float, float], tuple[float, float, float]]] = {
    "light": ((0.96, 0.96, 0.97), (0.80, 0.82, 0.86)),
    "white": ((1.0, 1.0, 1.0), (1.0, 1.0, 1.0)),
    "dark": ((0.16, 0.17, 0.20), (0.05, 0.05, 0.07)),
    "black": ((0.0, 0.0, 0.0), (0.0, 0.0, 0.0)),
    "slicer": ((0.7568627, 0.7647059, 0.9098039), (0.4549019, 0.4705882, 0.7450980)),
}
"""Bottom and top colour of the 3D view."""


def view_nodes(scene: Scene, background: str = "light") -> tuple[Node, Node]:
    """The 3D view node and its camera node, with a calm background; existing ones are used."""
    if background not in BACKGROUNDS:
        raise UsageError(f"There is no background '{background}'. Choose one of {', '.join(BACKGROUNDS)}.")
    view_node = scene.GetFirstNodeByClass("vtkMRMLViewNode")
    if view_node is None:
        view_node = scene.CreateNodeByClass("vtkMRMLViewNode")
        view_node.UnRegister(None)
        # Slicer's layouts look their view up by this singleton tag.
        view_node.SetSingletonTag("1")
        view_node.SetName("View1")
        view_node.SetLayoutLabel("1")
        view_node = scene.AddNode(view_node)
    bottom, top = BACKGROUNDS[background]
    view_node.SetBackgroundColor(*bottom)
    view_node.SetBackgroundColor2(*top)
    view_node.SetBoxVisible(False)
    view_node.SetAxisLabelsVisible(False)
    view_node.SetVolumeRenderingQuality(view_node.Normal)
    # Jittered rays: no rings on surfaces, for a fifth more time.
    view_node.SetVolumeRenderingSurfaceSmoothing(True)
    view_node.SetOrientationMarkerType(view_node.OrientationMarkerTypeCube)
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLCameraNode")):
        camera_node = scene.GetNthNodeByClass(n, "vtkMRMLCameraNode")
        if camera_node.GetLayoutName() == view_node.GetLayoutName():
            return view_node, camera_node
    camera_node = scene.AddNewNodeByClass("vtkMRMLCameraNode", "Camera")
    camera_node.SetLayoutName(view_node.GetLayoutName())
    return view_node, camera_node


def _side(direction: NDArray[np.float64]) -> str:
    """The letters of the patient's sides that a direction points to, the strongest first; at most two."""
    pairs = ("LR", "PA", "IS")
    strong = sorted((n for n in range(3) if abs(direction[n]) > 0.35), key=lambda n: -abs(direction[n]))[:2]
    return "".join(pairs[n][int(direction[n] > 0)] for n in strong)
