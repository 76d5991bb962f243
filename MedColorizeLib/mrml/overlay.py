"""A measured quantity over the coloured slices: its node, with a colour map that stands out from tissue colours.

Not for: computing it (`inference.planes`) or choosing which views show it (the panel).
"""

from __future__ import annotations

from ..imaging.volume import Volume
from .geometry import read_affine
from .host import Node, Scene, modifying, slicer
from .nodes import node_from_volume

COLORS = "Ocean"
"""Slicer's own table from dark blue to bright cyan: no tissue has these colours, the brightness tells the amount, and
colour-blind readers see it, too."""


def overlay_node(scene: Scene, volume: Volume, source_node: Node | None, name: str, low: float, high: float) -> Node:
    """A volume node shown from `low` (and transparent below) to `high`, under the transform of `source_node`."""
    node = node_from_volume(scene, volume, name)
    with modifying(node):
        if source_node is not None:
            if (read_affine(source_node) == volume.affine).all():
                node.CopyOrientation(source_node)
            node.SetAndObserveTransformNodeID(source_node.GetTransformNodeID())
        display = node.GetDisplayNode()
        display.SetAndObserveColorNodeID(_colors(scene).GetID())
        display.SetAutoWindowLevel(0)
        display.SetWindowLevelMinMax(low, high)
        display.SetAutoThreshold(0)
        display.SetThreshold(low, 3.4e38)
        display.SetApplyThreshold(1)
        display.SetInterpolate(1)
    return node


def _colors(scene: Scene) -> Node:
    """The colour table, which Slicer adds to every scene of its own."""
    known = scene.GetNodeByID(f"vtkMRMLColorTableNode{COLORS}")
    if known is not None:
        return known
    table = slicer.vtkMRMLColorTableNode()
    table.SetTypeToOcean()
    table.SetName(COLORS)
    table.SetSingletonTag(COLORS)
    table.SaveWithSceneOff()
    return scene.AddNode(table)
