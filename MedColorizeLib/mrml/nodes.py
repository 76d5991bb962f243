"""Volumes to and from MRML nodes: gray, label and coloured, with their exact geometry and their transform.

Not for rendering (`rendering.py`) or files (`storage.py`, `scene.py`).
"""

from __future__ import annotations

import json
from typing import Any

import numpy as np
from numpy.typing import NDArray
from vtkmodules.util.numpy_support import get_vtk_array_type, vtk_to_numpy
from vtkmodules.vtkCommonDataModel import vtkImageData

from ..errors import InputError
from ..imaging.volume import ColorVolume, LabelVolume, Volume, _Grid
from .geometry import read_affine, write_affine
from .host import Node, Scene, batch, modifying, slicer
from .opacity import with_alpha

ATTRIBUTE = "MedColorize."
"""Prefix of the node attributes that tell what a node is and how it was made."""


def volume_from_node(node: Node, *, copy: bool = True) -> Volume:
    """The gray volume of a scalar volume node. Its place is the node's own; the parent transform is not applied.

    `copy=False` gives a view of the node's voxels, for who takes them over bit by bit (the panel must not stall).
    """
    if node is None:
        raise InputError("No volume is chosen. Choose a gray volume first.")
    name = node.GetName()
    if node.IsA("vtkMRMLLabelMapVolumeNode"):
        raise InputError(f"'{name}' is a label map, not a scan. Choose the gray volume; give the labels as labels.")
    if not node.IsA("vtkMRMLScalarVolumeNode"):
        raise InputError(f"'{name}' is a {node.GetNodeTagName()}, not a volume. Choose a gray volume.")
    array = array_from_node(node)
    if node.IsA("vtkMRMLTensorVolumeNode") or array.ndim != 3:
        raise InputError(f"'{name}' is a colour or vector volume already. Choose the gray volume it was made from.")
    affine = read_affine(node)
    facts: dict[str, Any] = {"format": "MRML"}
    display = node.GetDisplayNode()
    if display is not None and display.IsA("vtkMRMLScalarVolumeDisplayNode") and not display.GetAutoWindowLevel():
        facts["window"] = (display.GetWindowLevelMin(), display.GetWindowLevelMax())
    notes: tuple[str, ...] = ()
    if node.GetParentTransformNode() is not None:
        notes = ("The volume is under a transform: its coloured result is put under the same one.",)
    volume = Volume(array.copy() if copy else array, affine, _modality(node), facts, notes)
    _refuse_shear(volume, name)
    return volume


def labels_from_node(node: Node, *, copy: bool = True) -> LabelVolume:
    """The labels of a label map node, with the names of its colour table.

    `copy=False` gives a view, and the names of the whole table instead of those of the labels there are.
    """
    if node is None or not node.IsA("vtkMRMLLabelMapVolumeNode"):
        kind = "nothing" if node is None else f"'{node.GetName()}'"
        raise InputError(
            f"Labels must be a label map volume, not {kind}. Export the segmentation to a label map first."
        )
    array = array_from_node(node)
    if array.ndim != 3:
        raise InputError(f"'{node.GetName()}' has several values per voxel, so it can't be a label map.")
    if array.dtype.kind == "f":
        rounded = np.rint(array)
        if not np.array_equal(rounded, array):
            raise InputError(f"'{node.GetName()}' holds values between the integers, so it can't be a label map.")
        array = rounded.astype(np.int32)
    names: dict[int, str] = {}
    colors = node.GetDisplayNode().GetColorNode() if node.GetDisplayNode() else None
    if colors is not None:
        present = np.unique(array) if copy else range(1, colors.GetNumberOfColors())
        names = {int(value): colors.GetColorName(int(value)) for value in present if value > 0}
        names = {value: text for value, text in names.items() if text and text != colors.GetNoName()}
    labels = LabelVolume(array.copy() if copy else array, read_affine(node), names)
    _refuse_shear(labels, node.GetName())
    return labels


def node_from_volume(scene: Scene, volume: Volume, name: str) -> Node:
    """A scalar volume node with the voxels and the geometry of `volume`."""
    _refuse_shear(volume, name)
    with batch(scene):
        node = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", name)
        with modifying(node):
            node.SetAndObserveImageData(_image(volume.array))
            write_affine(node, volume.affine)
            if volume.modality:
                node.SetAttribute("DICOM.Modality", volume.modality)
            node.CreateDefaultDisplayNodes()
            display = node.GetDisplayNode()
            # The gray look comes with every Slicer; outside of it nobody has added that colour node yet.
            display.SetAndObserveColorNodeID(_gray_colors(scene))
            window = volume.facts.get("window")
            if window:
                display.SetAutoWindowLevel(0)
                display.SetWindowLevelMinMax(float(window[0]), float(window[1]))
        _place(scene, node, None)
    return node


def node_from_labels(
    scene: Scene, labels: LabelVolume, name: str, colors: dict[int, tuple[float, float, float]] | None = None
) -> Node:
    """A label map node; its colour table holds the names, and `colors` (RGB in 0..255) where given."""
    _refuse_shear(labels, name)
    with batch(scene):
        node = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", name)
        with modifying(node):
            node.SetAndObserveImageData(_image(labels.array))
            write_affine(node, labels.affine)
            node.CreateDefaultDisplayNodes()
            table = _label_colors(scene, labels, name, colors or {})
            node.GetDisplayNode().SetAndObserveColorNodeID(table.GetID())
        _place(scene, node, None)
    return node


def color_nodes(
    scene: Scene, color: ColorVolume, source_node: Node | None = None, name: str = "Coloured"
) -> tuple[Node, Node]:
    """The coloured volume as two nodes: RGB for the slice views, RGBA for 3D.

    Slicer's slice views darken colours by alpha, and its 3D view needs alpha: hence two. They take the exact geometry
    and the parent transform of `source_node`, and lie beside it in the subject hierarchy.
    """
    _refuse_shear(color, name)
    with batch(scene):
        rgb = _color_node(scene, color.rgb, color, source_node, name)
        rgb.SetAttribute(f"{ATTRIBUTE}Role", "slices")
        return rgb, volume_node(scene, color, source_node, f"{name} 3D")


def volume_node(scene: Scene, color: ColorVolume, source_node: Node | None = None, name: str = "Coloured 3D") -> Node:
    """The RGBA node alone, for 3D."""
    _refuse_shear(color, name)
    with batch(scene):
        node = _color_node(scene, with_alpha(color).array, color, source_node, name)
        node.SetAttribute(f"{ATTRIBUTE}Role", "3D")
    return node


def color_from_node(node: Node) -> ColorVolume:
    """The coloured volume of an RGB or RGBA node, with the provenance that this program left on it."""
    if node is None or not node.IsA("vtkMRMLVectorVolumeNode"):
        raise InputError("A coloured volume node is needed here. Choose one made by MedColorize.")
    array = array_from_node(node)
    if array.ndim != 4 or array.shape[3] not in (3, 4) or array.dtype != np.uint8:
        raise InputError(f"'{node.GetName()}' does not hold 8-bit RGB or RGBA colours.")
    provenance = json.loads(node.GetAttribute(f"{ATTRIBUTE}Provenance") or "{}")
    return ColorVolume(array.copy(), read_affine(node), provenance)


def array_from_node(node: Node) -> NDArray[Any]:
    """A view of a volume node's voxels, `(K, J, I)` or `(K, J, I, C)`."""
    image = node.GetImageData()
    scalars = image.GetPointData().GetScalars() if image is not None else None
    if scalars is None or scalars.GetNumberOfTuples() == 0:
        raise InputError(f"'{node.GetName()}' holds no voxels. Load the volume again.")
    shape = tuple(reversed(image.GetDimensions()))
    components = scalars.GetNumberOfComponents()
    array: NDArray[Any] = vtk_to_numpy(scalars).reshape(shape if components == 1 else (*shape, components))
    return array


def _color_node(
    scene: Scene, array: NDArray[np.uint8], color: ColorVolume, source_node: Node | None, name: str
) -> Node:
    node = scene.AddNewNodeByClass("vtkMRMLVectorVolumeNode", name)
    with modifying(node):
        alpha = array.shape[3] == 4
        # Without this, three components may be taken for a spatial vector and flipped on writing.
        node.SetVoxelVectorType(node.VoxelVectorTypeColorRGBA if alpha else node.VoxelVectorTypeColorRGB)
        node.SetAndObserveImageData(_image(array))
        if source_node is not None and np.array_equal(read_affine(source_node), color.affine):
            node.CopyOrientation(source_node)
        else:
            write_affine(node, color.affine)
        if source_node is not None:
            node.SetAndObserveTransformNodeID(source_node.GetTransformNodeID())
        node.CreateDefaultDisplayNodes()
        display = node.GetDisplayNode()
        display.SetAutoWindowLevel(0)
        # The identity: 8-bit codes are shown as they are.
        display.SetWindowLevelMinMax(0, 255)
        _describe(node, color)
    _place(scene, node, source_node)
    return node


def _describe(node: Node, color: ColorVolume) -> None:
    """Say on the node that its colour is synthetic, by what it was made and from which input."""
    about = color.provenance
    method = " ".join(str(about[key]) for key in ("method", "model") if about.get(key)) or "an unknown method"
    sha256 = str(about.get("input_sha256", ""))
    text = f"Synthetic colour by {method}, not measured. Not for diagnosis."
    node.SetDescription(f"{text} Input SHA-256 {sha256}." if sha256 else text)
    node.SetAttribute(f"{ATTRIBUTE}SyntheticColor", "1")
    node.SetAttribute(f"{ATTRIBUTE}Method", method)
    node.SetAttribute(f"{ATTRIBUTE}InputSHA256", sha256)
    node.SetAttribute(f"{ATTRIBUTE}Provenance", json.dumps(about, sort_keys=True))


def _image(array: NDArray[Any]) -> vtkImageData:
    """A copy of the voxels as VTK image data, in a type that Slicer's writers know."""
    dtype = array.dtype
    if dtype.kind == "b":
        dtype = np.dtype(np.uint8)
    elif dtype.itemsize == 8 and dtype.kind in "iu":
        # Slicer refuses 64-bit integers; the values say which type holds them.
        low, high = (int(array.min()), int(array.max())) if array.size else (0, 0)
        fits = next(
            (t for t in (np.int16, np.int32, np.uint32) if np.iinfo(t).min <= low and high <= np.iinfo(t).max), None
        )
        dtype = np.dtype(fits or np.float64)
    elif dtype == np.float16:
        dtype = np.dtype(np.float32)
    elif dtype.kind == "f" and dtype.itemsize > 8:
        dtype = np.dtype(np.float64)
    image = vtkImageData()
    image.SetDimensions(*reversed(array.shape[:3]))
    components = array.shape[3] if array.ndim == 4 else 1
    image.AllocateScalars(get_vtk_array_type(dtype.newbyteorder("=")), components)
    view = vtk_to_numpy(image.GetPointData().GetScalars())
    view.reshape(array.shape)[...] = array
    return image


def _refuse_shear(grid: _Grid, name: str) -> None:
    if grid.sheared:
        raise InputError(
            f"The axes of '{name}' are not perpendicular (a gantry tilt never corrected, or a sheared header). "
            "Slicer's volume nodes can't hold that. Resample it first (Slicer: Transforms, Harden; or Crop Volume)."
        )


def _modality(node: Node) -> str:
    """What the DICOM reader told of the volume, on its item in the subject hierarchy or on the node."""
    scene = node.GetScene()
    tree = scene.GetSubjectHierarchyNode() if scene is not None else None
    item = tree.GetItemByDataNode(node) if tree is not None else 0
    text = tree.GetItemAttribute(item, "DICOM.Modality") if tree is not None and item else ""
    return text or node.GetAttribute("DICOM.Modality") or ""


def _place(scene: Scene, node: Node, beside: Node | None) -> None:
    """Give the node its item in the subject hierarchy, as a sibling of `beside`."""
    tree = scene.GetSubjectHierarchyNode()
    if tree is None:
        return
    parent = tree.GetSceneItemID()
    sibling = tree.GetItemByDataNode(beside) if beside is not None else 0
    if sibling:
        parent = tree.GetItemParent(sibling)
    # In the application a plugin has made the item already; with slicer-core alone nobody has.
    item = tree.GetItemByDataNode(node)
    if item:
        tree.SetItemParent(item, parent)
    else:
        tree.CreateItem(parent, node)


def _gray_colors(scene: Scene) -> str:
    """The ID of the gray colour table, which Slicer adds to every scene of its own."""
    known = "vtkMRMLColorTableNodeGrey"
    if scene.GetNodeByID(known) is None:
        table = slicer.vtkMRMLColorTableNode()
        table.SetTypeToGrey()
        table.SetName("Grey")
        table.SetSingletonTag("Grey")
        table.SaveWithSceneOff()
        scene.AddNode(table)
        return str(scene.GetFirstNodeByName("Grey").GetID())
    return known


def _label_colors(scene: Scene, labels: LabelVolume, name: str, colors: dict[int, tuple[float, float, float]]) -> Node:
    """A colour table with the labels' names; colours not given are spread around the colour circle."""
    from colorsys import hsv_to_rgb

    values = [int(value) for value in np.unique(labels.array) if value > 0]
    table = scene.AddNewNodeByClass("vtkMRMLColorTableNode", f"{name} colours")
    table.SetTypeToUser()
    table.SetNumberOfColors(max([*values, *labels.names, 0]) + 1)
    table.GetLookupTable().SetTableRange(0, table.GetNumberOfColors() - 1)
    table.SetColor(0, "background", 0.0, 0.0, 0.0, 0.0)
    for order, value in enumerate(values):
        rgb = colors.get(value)
        # Steps of the golden angle keep neighbours in the list far apart in hue.
        red, green, blue = (c / 255 for c in rgb) if rgb else hsv_to_rgb(order * 0.381966 % 1, 0.55, 0.9)
        table.SetColor(value, labels.names.get(value, f"label {value}"), red, green, blue, 1.0)
    table.SetHideFromEditors(False)
    return table
