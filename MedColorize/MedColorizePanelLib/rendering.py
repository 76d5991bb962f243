"""Showing coloured volumes in the application's views: 3D, side by side, fade. Looks are MedColorizeLib.mrml's.

Not for widgets (`viewTab.py`).
"""

import json

import numpy as np
import slicer
import vtk

from . import coloring, jobs
from .compat import tr as _

LAYOUT = 5760
"""Our layout's number: far from the application's own."""

GRAY_VIEW, COLOR_VIEW = "MedColorizeGray", "MedColorizeColor"
FEW_VOXELS = 300_000


def channels(node):
    """Values per voxel of a volume node, 0 if it has no voxels."""
    image = node.GetImageData() if node is not None else None
    return image.GetNumberOfScalarComponents() if image is not None else 0


def volume3DOf(node):
    """The node to be volume-rendered for a coloured node: its RGBA partner, or itself."""
    if node is None:
        return None
    partner = node.GetNodeReference(coloring.VOLUME_3D_ROLE)
    return partner if partner is not None else (node if channels(node) == 4 else None)


def slicesOf(node):
    """The node to be shown in slices for a coloured node."""
    if node is None:
        return None
    return node.GetNodeReference(coloring.SLICES_ROLE) or node


def grayOf(node):
    """The gray volume that a coloured node was made from, if the scene still has it."""
    source = node.GetNodeReference(coloring.SOURCE_ROLE) if node is not None else None
    return source if source is not None and source.GetScene() is not None else None


def make3D(node, onProgress=None, onDone=None, onFailed=None):
    """Start making the RGBA partner of an RGB volume, e.g. one loaded from a file; `onDone(volume3D)`."""
    from MedColorizeLib.app import protocol
    from MedColorizeLib.imaging.volume import ColorVolume
    from MedColorizeLib.mrml import geometry, nodes

    if channels(node) != 3 or node.GetImageData().GetScalarType() != vtk.VTK_UNSIGNED_CHAR:
        raise ValueError(_("“{name}” does not hold 8-bit RGB or RGBA colours.").format(name=node.GetName()))
    array = nodes.array_from_node(node)
    provenance = json.loads(node.GetAttribute("MedColorize.Provenance") or "{}")
    color = ColorVolume(array, geometry.read_affine(node), provenance)

    def receive(result, folder):
        rgba = protocol.load_color(folder, result)
        images = yield from jobs.readImages(rgba.array, (4,))
        tiny = ColorVolume(np.zeros((1, 1, 1, 4), np.uint8), rgba.affine, provenance)
        slices, volume3D = nodes.color_nodes(node.GetScene(), tiny, node, node.GetName())
        slicer.mrmlScene.RemoveNode(slices)
        volume3D.SetAndObserveImageData(images[0])
        node.SetNodeReferenceID(coloring.VOLUME_3D_ROLE, volume3D.GetID())
        volume3D.SetNodeReferenceID(coloring.SLICES_ROLE, node.GetID())
        return volume3D

    content = {"color": protocol.describe(color, "rgb.npy")}
    return jobs.Job("alpha", content, {"rgb.npy": array}, receive, onProgress, onDone, onFailed).start()


def few(node):
    """A thinned ColorVolume of an RGBA node: enough to choose a preset and frame a camera, in milliseconds."""
    from MedColorizeLib.imaging.volume import ColorVolume
    from MedColorizeLib.mrml import geometry, nodes

    array = nodes.array_from_node(node)
    step = max(1, int(np.ceil((array[..., 0].size / FEW_VOXELS) ** (1 / 3))))
    steps = [step if count > 4 * step else 1 for count in array.shape[:3]]
    affine = geometry.read_affine(node)
    affine[:3, :3] = affine[:3, :3] * steps[::-1]
    provenance = json.loads(node.GetAttribute("MedColorize.Provenance") or "{}")
    thin = np.ascontiguousarray(array[:: steps[0], :: steps[1], :: steps[2]])
    return ColorVolume(thin, affine, provenance)


def show3D(volume3D, presetName=None):
    """Volume-render a node with a preset (None: the fitting one) and frame it; returns the display node."""
    from MedColorizeLib.mrml import rendering

    color = few(volume3D)
    scene = volume3D.GetScene()
    first = rendering.display_of(volume3D) is None
    for other in _coloredVolumes(scene):
        display = rendering.display_of(other) if other is not volume3D else None
        if display is not None:
            display.SetVisibility(0)  # two volumes in one place hide each other
    display = rendering.show(scene, volume3D, color, presetName)
    if first:
        frame(volume3D, color)
    _markViews()
    return display


def _coloredVolumes(scene):
    count = scene.GetNumberOfNodesByClass("vtkMRMLVectorVolumeNode")
    return [scene.GetNthNodeByClass(index, "vtkMRMLVectorVolumeNode") for index in range(count)]


def frame(volume3D, color=None):
    """Put the camera where the whole of what is seen fills the 3D view."""
    from MedColorizeLib.mrml import views

    color = color or few(volume3D)
    seen = np.argwhere(color.array[..., 3] > 50)
    if len(seen) == 0:
        return
    low, high = seen.min(axis=0), seen.max(axis=0)
    corners = np.array([[i, j, k, 1] for i in (low[2], high[2]) for j in (low[1], high[1]) for k in (low[0], high[0])])
    points = (corners @ color.affine.T)[:, :3]
    transform = volume3D.GetParentTransformNode()
    if transform is not None and transform.IsTransformToWorldLinear():
        toWorld = vtk.vtkMatrix4x4()
        transform.GetMatrixTransformToWorld(toWorld)
        points = np.array([toWorld.MultiplyPoint([*point, 1])[:3] for point in points])
    _view, camera = views.view_nodes(volume3D.GetScene(), "slicer")
    views.aim(camera, points, views.view_named("three-quarter"), margin=0.0)
    camera.ResetClippingRange()


def _markViews():
    """Say in the 3D view that the colour is synthetic."""
    manager = slicer.app.layoutManager()
    if manager is None or manager.threeDViewCount == 0:
        return
    view = manager.threeDWidget(0).threeDView()
    annotation = view.cornerAnnotation()
    annotation.SetText(vtk.vtkCornerAnnotation.LowerRight, _("Synthetic colour, not for diagnosis"))
    annotation.SetMaximumFontSize(14)
    annotation.GetTextProperty().SetColor(0.2, 0.2, 0.2)


def unmarkViews():
    """Take the notice out of the 3D view again."""
    manager = slicer.app.layoutManager()
    if manager is not None and manager.threeDViewCount:
        manager.threeDWidget(0).threeDView().cornerAnnotation().SetText(vtk.vtkCornerAnnotation.LowerRight, "")


def _layoutDescription():
    def slice(name, label, color):
        return (
            f'<item><view class="vtkMRMLSliceNode" singletontag="{name}"><property name="orientation" '
            f'action="default">Axial'
            f'</property><property name="viewlabel" action="default">{label}</property><property name="viewcolor" '
            f'action="default">{color}</property></view></item>'
        )

    return (
        '<layout type="vertical"><item><layout type="horizontal">{}{}</layout></item><item>'
        '<view class="vtkMRMLViewNode" singletontag="1"><property name="viewlabel" action="default">1</property></view>'
        "</item></layout>"
    ).format(slice(GRAY_VIEW, _("Gray"), "#8C8C8C"), slice(COLOR_VIEW, _("Synthetic colour"), "#C86E50"))


def showSideBySide(colorNode, grayNode, fade):
    """Gray and colour next to each other, linked, above the 3D view."""
    manager = slicer.app.layoutManager()
    if manager is None:
        return
    layoutNode = manager.layoutLogic().GetLayoutNode()
    if not layoutNode.IsLayoutDescription(LAYOUT):
        layoutNode.AddLayoutDescription(LAYOUT, _layoutDescription())
    manager.setLayout(LAYOUT)
    colorNode = slicesOf(colorNode)
    for name in (GRAY_VIEW, COLOR_VIEW):
        widget = manager.sliceWidget(name)
        composite = widget.sliceLogic().GetSliceCompositeNode()
        with slicer.util.NodeModify(composite):
            composite.SetLinkedControl(1)
            composite.SetHotLinkedControl(1)
            composite.SetBackgroundVolumeID(grayNode.GetID() if grayNode is not None else colorNode.GetID())
            composite.SetForegroundVolumeID(colorNode.GetID() if name == COLOR_VIEW else None)
            composite.SetForegroundOpacity(fade if name == COLOR_VIEW else 0.0)
        widget.fitSliceToBackground()


def composites(scene):
    """The nodes that say what each slice view shows."""
    count = scene.GetNumberOfNodesByClass("vtkMRMLSliceCompositeNode")
    return [scene.GetNthNodeByClass(index, "vtkMRMLSliceCompositeNode") for index in range(count)]


def setFade(colorNode, share):
    """Fade every slice view that shows the coloured volume over the gray one."""
    colorNode = slicesOf(colorNode)
    for composite in composites(colorNode.GetScene()):
        if composite.GetForegroundVolumeID() == colorNode.GetID():
            composite.SetForegroundOpacity(share)


def jumpTo(volumeNode, axis, index):
    """Show slice `index` along an axis of the volume (0: K, 1: J, 2: I) in every slice view."""
    dimensions = volumeNode.GetImageData().GetDimensions()
    ijk = [(count - 1) / 2 for count in dimensions]
    ijk[2 - axis] = index
    ijkToRAS = vtk.vtkMatrix4x4()
    volumeNode.GetIJKToRASMatrix(ijkToRAS)
    point = ijkToRAS.MultiplyPoint([*ijk, 1.0])[:3]
    transform = volumeNode.GetParentTransformNode()
    if transform is not None:
        toWorld = vtk.vtkGeneralTransform()
        slicer.vtkMRMLTransformNode.GetTransformBetweenNodes(transform, None, toWorld)
        point = toWorld.TransformPoint(point)
    slicer.vtkMRMLSliceNode.JumpAllSlices(volumeNode.GetScene(), *point, slicer.vtkMRMLSliceNode.OffsetJumpSlice)
    return point
