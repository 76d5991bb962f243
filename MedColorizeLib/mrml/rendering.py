"""Volume rendering of coloured nodes: display node, volume property and view, on the classes that Slicer itself uses.

What is set here is saved with a scene, so Slicer shows the same. Not for pictures (`pictures.py`).
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

from ..errors import UsageError
from ..imaging.volume import ColorVolume
from .host import Node, Scene, batch, modifying
from .nodes import ATTRIBUTE, array_from_node
from .opacity import lend_colors
from .presets import Preset, choose_preset, preset_named, window_of


@dataclass(frozen=True)
class Look:
    """What a person may turn: the preset and two percentages."""

    preset: str
    opacity: float = 100.0
    """Percent of the preset's opacity, 0 to 200."""
    threshold: float | None = None
    """Percent of the alpha range at which tissue begins to be seen, 0 to 100; None: the preset's own."""

    def __post_init__(self) -> None:
        if not 0 <= self.opacity <= 200:
            raise UsageError(f"Opacity is a percentage from 0 to 200, not {self.opacity:g}.")
        if self.threshold is not None and not 0 <= self.threshold <= 100:
            raise UsageError(f"The threshold is a percentage from 0 to 100, not {self.threshold:g}.")


def show(scene: Scene, node: Node, color: ColorVolume, look: Look | str | None = None) -> Node:
    """Volume-render an RGBA node; returns its display node. `look`: None chooses the preset by what the volume is.

    Voxels of the node that are not seen by themselves take the colour of visible tissue beside them (`lend_colors`).
    """
    if isinstance(look, str):
        look = Look(look)
    preset = preset_named(look.preset) if look else choose_preset(color)
    with batch(scene):
        display = display_of(node)
        if display is None:
            display = scene.AddNewNodeByClass(
                "vtkMRMLGPURayCastVolumeRenderingDisplayNode", f"{node.GetName()} rendering"
            )
            property_node = scene.AddNewNodeByClass("vtkMRMLVolumePropertyNode", f"{node.GetName()} property")
            display.SetAndObserveVolumePropertyNodeID(property_node.GetID())
            node.AddAndObserveDisplayNodeID(display.GetID())
        window = window_of(color)
        if window:
            display.SetAttribute(f"{ATTRIBUTE}Window", f"{window[0]!r} {window[1]!r}")
        apply_look(display, look or Look(preset.name))
        if preset.lends:
            lend_colors(array_from_node(node), _ramp(display, look_of(display))[1], color.spacing)
            node.GetImageData().GetPointData().GetScalars().Modified()
            node.GetImageData().Modified()
        # Following the slice display would put its window over our opacity.
        display.SetFollowVolumeDisplayNode(0)
        display.SetVisibility(1)
    return display


def display_of(node: Node) -> Node | None:
    """The volume rendering display node of a volume node, if it has one."""
    for n in range(node.GetNumberOfDisplayNodes()):
        display = node.GetNthDisplayNode(n)
        if display is not None and display.IsA("vtkMRMLVolumeRenderingDisplayNode"):
            return display
    return None


def look_of(display: Node) -> Look:
    """The look that a display node has, also after a scene was saved and loaded."""
    name = display.GetAttribute(f"{ATTRIBUTE}Preset")
    if not name:
        raise UsageError("This volume rendering was not made by MedColorize. Choose a preset first.")
    threshold = display.GetAttribute(f"{ATTRIBUTE}Threshold")
    return Look(name, float(display.GetAttribute(f"{ATTRIBUTE}Opacity")), float(threshold) if threshold else None)


def set_opacity(display: Node, percent: float) -> None:
    """Scale the preset's opacity; 100 is the preset itself."""
    apply_look(display, replace(look_of(display), opacity=percent))


def set_threshold(display: Node, percent: float | None) -> None:
    """Move where tissue begins to be seen, in percent of the alpha range; None: back to the preset."""
    apply_look(display, replace(look_of(display), threshold=percent))


def threshold_of(display: Node) -> float:
    """The threshold in percent that is in force, the preset's own included."""
    return _ramp(display, look_of(display))[0] / 2.55


def apply_look(display: Node, look: Look) -> None:
    """Put a look into the volume property of a display node."""
    preset = preset_named(look.preset)
    start, full = _ramp(display, look)
    level = min(1.0, preset.opacity * look.opacity / 100)
    property_node = display.GetVolumePropertyNode()
    with modifying(property_node), modifying(display):
        volume_property = property_node.GetVolumeProperty()
        # The four components are one colour with its opacity, not four signals.
        volume_property.IndependentComponentsOff()
        volume_property.SetInterpolationTypeToLinear()
        opacity = volume_property.GetScalarOpacity()
        opacity.RemoveAllPoints()
        for code, share in _smooth_ramp(start, full):
            opacity.AddPoint(code, level * share)
        gradient = volume_property.GetGradientOpacity()
        gradient.RemoveAllPoints()
        for slope, share in ((0, preset.flat_opacity), (24, 1.0), (255, 1.0)):
            gradient.AddPoint(slope, share)
        volume_property.ShadeOn()
        volume_property.SetAmbient(preset.ambient)
        volume_property.SetDiffuse(preset.diffuse)
        volume_property.SetSpecular(preset.specular)
        volume_property.SetSpecularPower(preset.power)
        display.SetAttribute(f"{ATTRIBUTE}Preset", look.preset)
        display.SetAttribute(f"{ATTRIBUTE}Opacity", repr(look.opacity))
        display.SetAttribute(f"{ATTRIBUTE}Threshold", None if look.threshold is None else repr(look.threshold))
        property_node.Modified()


def visible_voxels(node: Node, limit: int = 10_000) -> np.ndarray:
    """World (RAS) positions of the outer voxels that are seen: what a camera has to frame. `(n, 3)`."""
    from .geometry import world_affine

    display = display_of(node)
    alpha = array_from_node(node)[..., 3]
    start, full = _ramp(display, look_of(display)) if display is not None else (1.0, 1.0)
    step = max(1, int((alpha.shape[0] * alpha.shape[1] / limit) ** 0.5))
    rows = alpha[::step, ::step] > (start + full) / 2
    # The first and the last seen voxel of every row hold all corners of the convex hull.
    k, j = np.nonzero(rows.any(axis=2))
    seen_rows = rows[k, j]
    first, last = seen_rows.argmax(axis=1), alpha.shape[2] - 1 - seen_rows[:, ::-1].argmax(axis=1)
    seen = np.concatenate([np.stack([k * step, j * step, i], axis=1) for i in (first, last)])
    if len(seen) == 0:
        seen = np.argwhere(np.ones((2, 2, 2), bool)) * (np.array(alpha.shape) - 1)
    homogeneous = np.c_[seen[:, ::-1], np.ones(len(seen))]
    return (homogeneous @ world_affine(node).T)[:, :3]


def _ramp(display: Node, look: Look) -> tuple[float, float]:
    """Codes at which opacity begins and is full."""
    window = display.GetAttribute(f"{ATTRIBUTE}Window")
    low_high = tuple(float(v) for v in window.split()) if window else None
    preset: Preset = preset_named(look.preset)
    start, full = preset.ramp(low_high)  # type: ignore[arg-type]
    if look.threshold is not None:
        width = full - start
        start = look.threshold * 2.55
        full = min(255.0, start + width)
        start = min(start, full - 1)
    return start, full


def _smooth_ramp(start: float, full: float) -> list[tuple[float, float]]:
    """From nothing at `start` to all at `full`, without the corners that show as bands on surfaces."""
    shares = np.linspace(0, 1, 7)
    points = [(start + share * (full - start), share * share * (3 - 2 * share)) for share in shares]
    if start > 0:
        points.insert(0, (0.0, 0.0))
    if full < 255:
        points.append((255.0, 1.0))
    return points
