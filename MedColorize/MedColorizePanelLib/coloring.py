"""From a gray volume node to coloured nodes, through a worker. No widgets: scripts use it, too."""

import slicer

from . import compat, jobs
from .compat import tr as _

SOURCE_ROLE = "MedColorize.source"
SLICES_ROLE = "MedColorize.slices"
VOLUME_3D_ROLE = "MedColorize.3D"
UNCERTAINTY_ROLE = "MedColorize.uncertainty"
NOTES = "MedColorize.Notes"
"""Attribute with what a person should read about how a volume was coloured, a line each."""


class Request:
    """What is to be done, in plain values (see `parameters.py` for their meaning)."""

    def __init__(
        self,
        inputVolume,
        labels=None,
        model="",
        window="auto",
        windowRange=(0, 255),
        fidelity="exact",
        device="auto",
        reference="",
        referencePicture="",
    ):
        self.inputVolume, self.labels, self.model = inputVolume, labels, model
        self.window, self.windowRange, self.fidelity, self.device = window, windowRange, fidelity, device
        self.reference, self.referencePicture = reference, referencePicture
        self.referenceBy = "person" if referencePicture else "library"
        self.onReference = None  # called with the result's part about the reference picture, and the folder

    def content(self, volumeNode=None):
        """The request's JSON and arrays; refuses with a reason what can't be coloured."""
        from MedColorizeLib.app import protocol
        from MedColorizeLib.mrml import nodes

        node = volumeNode or self.inputVolume
        volume = nodes.volume_from_node(node, copy=False)
        arrays = {"volume.npy": volume.array}
        content = {
            "volume": protocol.describe(volume, "volume.npy"),
            "fidelity": self.fidelity,
            "device": self.device,
            "alpha": True,
        }
        if self.model:
            kind, _separator, name = self.model.partition(":")
            content["model"] = {"kind": kind, "name": name}
            if kind == "exemplar":
                content["reference"] = self.reference
                content["picture"], content["picture_by"] = self.referencePicture or None, self.referenceBy
        elif compat.onlyPalettes():
            content["model"] = {"kind": "palette", "name": None}
        content["window"] = self._window(node)
        if self.labels is not None:
            labels = labelsOn(self.labels, node)
            arrays["labels.npy"] = labels.array
            content["labels"] = protocol.describe(labels, "labels.npy")
        return content, arrays

    def _window(self, node):
        if self.window == "auto":
            return None
        if self.window == "range":
            return [float(self.windowRange[0]), float(self.windowRange[1])]
        if self.window == "display":
            display = node.GetDisplayNode() or self.inputVolume.GetDisplayNode()
            if display is None:
                return None
            return [display.GetWindowLevelMin(), display.GetWindowLevelMax()]
        return self.window


def labelsOn(labelsNode, volumeNode):
    """The label volume of a segmentation or a label map, in the place it has relative to a volume.

    A label map on other voxels is brought onto the volume's by the worker.
    """
    from MedColorizeLib.mrml import nodes

    if labelsNode.IsA("vtkMRMLLabelMapVolumeNode"):
        return _relativeTo(volumeNode, labelsNode, nodes.labels_from_node(labelsNode, copy=False))
    scene = labelsNode.GetScene()
    exported = scene.AddNewNodeByClass("vtkMRMLLabelMapVolumeNode", labelsNode.GetName() + " labels")
    colors = None
    try:
        logic = slicer.vtkSlicerSegmentationsModuleLogic
        if not logic.ExportVisibleSegmentsToLabelmapNode(labelsNode, exported, volumeNode):
            raise ValueError(
                _(
                    "The segmentation “{name}” has no visible segment. Show the segments that are to be coloured."
                ).format(name=labelsNode.GetName())
            )
        colors = exported.GetDisplayNode().GetColorNode() if exported.GetDisplayNode() else None
        return nodes.labels_from_node(exported, copy=False)
    finally:
        scene.RemoveNode(exported)
        if colors is not None and not colors.GetSingletonTag():
            scene.RemoveNode(colors)


def _relativeTo(volumeNode, labelsNode, labels):
    """The labels as seen from the volume, if the two are under different transforms."""
    import dataclasses

    import numpy as np
    import vtk

    mine, others = volumeNode.GetParentTransformNode(), labelsNode.GetParentTransformNode()
    if mine is others:
        return labels
    matrix = vtk.vtkMatrix4x4()
    if not slicer.vtkMRMLTransformNode.GetMatrixTransformBetweenNodes(others, mine, matrix):
        raise ValueError(
            _("“{name}” is under a transform that bends. Harden it first (Data module).").format(
                name=labelsNode.GetName()
            )
        )
    moved = np.array([[matrix.GetElement(row, column) for column in range(4)] for row in range(4)])
    return dataclasses.replace(labels, affine=moved @ labels.affine)


def colorize(request, outputVolume=None, name="", onProgress=None, onDone=None, onFailed=None):
    """Start colouring; `onDone((slicesNode, node3D))`. Returns the job, which can be cancelled."""
    content, arrays = request.content()
    source = request.inputVolume
    name = name or _("{name} coloured").format(name=source.GetName())

    def receive(result, folder):
        if result.get("reference") and request.onReference is not None:
            request.onReference(result["reference"], folder)
        pair = yield from _receiveNodes(result, folder, source, name)
        return pair if outputVolume is None else _moveInto(outputVolume, pair)

    return jobs.Job("colorize", content, arrays, receive, onProgress, onDone, onFailed).start()


def _receiveNodes(result, folder, source, name):
    """Steps from the worker's result to the two nodes."""
    import numpy as np
    from MedColorizeLib.app import protocol
    from MedColorizeLib.imaging.volume import ColorVolume
    from MedColorizeLib.mrml import nodes

    color = protocol.load_color(folder, result)
    images = yield from jobs.readImages(color.array)
    scene = source.GetScene()
    if scene is None:
        raise RuntimeError(_("The input volume was removed while it was being coloured, so the result was dropped."))
    # One voxel first, so that geometry, display and description are the library's; then the real images, uncopied.
    tiny = ColorVolume(np.zeros((1, 1, 1, 4), np.uint8), color.affine, color.provenance, color.notes)
    pair = nodes.color_nodes(scene, tiny, source, name)
    yield
    for node, image in zip(pair, images):
        node.SetAndObserveImageData(image)
        yield
    slices, volume3D = pair
    slices.SetNodeReferenceID(VOLUME_3D_ROLE, volume3D.GetID())
    volume3D.SetNodeReferenceID(SLICES_ROLE, slices.GetID())
    for node in pair:
        node.SetNodeReferenceID(SOURCE_ROLE, source.GetID())
    slices.SetAttribute(NOTES, "\n".join(color.notes) or None)
    return pair


def _moveInto(output, pair):
    """Put a result into an existing output node; its old 3D partner goes."""
    slices, volume3D = pair
    scene = output.GetScene()
    if scene is None:
        return pair
    old = output.GetNodeReference(VOLUME_3D_ROLE)
    if old is not None:
        scene.RemoveNode(old)
    with slicer.util.NodeModify(output):
        output.SetVoxelVectorType(slices.GetVoxelVectorType())
        output.SetAndObserveImageData(slices.GetImageData())
        output.CopyOrientation(slices)
        output.SetAndObserveTransformNodeID(slices.GetTransformNodeID())
        output.SetDescription(slices.GetDescription())
        output.SetAttribute(NOTES, None)
        for attribute in slices.GetAttributeNames():
            output.SetAttribute(attribute, slices.GetAttribute(attribute))
        if output.GetDisplayNode() is None:
            output.CreateDefaultDisplayNodes()
        output.GetDisplayNode().SetAutoWindowLevel(0)
        output.GetDisplayNode().SetWindowLevelMinMax(0, 255)
        for role in (VOLUME_3D_ROLE, SOURCE_ROLE):
            output.SetNodeReferenceID(role, slices.GetNodeReferenceID(role))
        output.SetNodeReferenceID(UNCERTAINTY_ROLE, None)  # it was that of the old colours
    volume3D.SetNodeReferenceID(SLICES_ROLE, output.GetID())
    scene.RemoveNode(slices)
    return output, volume3D


def preview(request, sliceIndex, receive, onProgress=None, onDone=None, onFailed=None):
    """Colour one slice; `receive(result, folder)` must take the pictures before the folder goes."""
    content, arrays = request.content()

    def steps(result, folder):
        yield
        return receive(result, folder)

    return jobs.Job("preview", dict(content, slice=sliceIndex), arrays, steps, onProgress, onDone, onFailed).start()


def sequenceOf(node):
    """`(browser, sequence)` if the node shows a frame of a sequence, else `(None, None)`."""
    if node is None:
        return None, None
    scene = node.GetScene()
    for index in range(scene.GetNumberOfNodesByClass("vtkMRMLSequenceBrowserNode") if scene is not None else 0):
        browser = scene.GetNthNodeByClass(index, "vtkMRMLSequenceBrowserNode")
        sequence = browser.GetSequenceNode(node)
        if sequence is not None:
            return browser, sequence
    return None, None


class FrameJobs:
    """All frames of a sequence, one after the other, into a new sequence beside it. Has the face of a `Job`."""

    def __init__(self, request, onProgress=None, onDone=None, onFailed=None):
        self._request, self._onProgress = request, onProgress or (lambda event: None)
        self._onDone, self._onFailed = onDone or (lambda value: None), onFailed or (lambda failure: None)
        self._browser, self._sequence = sequenceOf(request.inputVolume)
        self._frame, self._results, self._job, self._over = 0, [], None, False

    @property
    def running(self):
        return not self._over

    @property
    def frame(self):
        """`(number from 1, how many)`."""
        return self._frame + 1, self._sequence.GetNumberOfDataNodes()

    def start(self):
        self._next()
        return self

    def cancel(self):
        if self._job is not None:
            self._job.cancel()

    def abandon(self):
        self._over = True
        if self._job is not None:
            self._job.abandon()
        self._results = []

    def _next(self):
        node = self._sequence.GetNthDataNode(self._frame)
        content, arrays = self._request.content(node)
        self._job = jobs.Job(
            "colorize", content, arrays, self._receive, self._onProgress, self._onFrame, self._fail
        ).start()

    def _receive(self, result, folder):
        from MedColorizeLib.app import protocol

        color = protocol.load_color(folder, result)
        images = yield from jobs.readImages(color.array)
        window = result["provenance"].get("window")
        if window:  # one window for all frames, or brightness would jump between them
            self._request.window, self._request.windowRange = "range", window
        if result.get("reference"):  # and one reference
            self._request.referencePicture = result["reference"]["sha256"]
            if self._request.onReference is not None:
                self._request.onReference(result["reference"], folder)
        self._results.append((images[0], color.affine, dict(result["provenance"])))
        return None

    def _onFrame(self, _value):
        self._frame += 1
        if self._frame < self._sequence.GetNumberOfDataNodes():
            try:
                self._next()
            except Exception as error:
                self._fail(jobs.Failure(type(error).__name__, str(error)))
            return
        self._over = True
        self._onDone(self._makeSequence())

    def _fail(self, failure):
        self._over = True
        self._results = []
        self._onFailed(failure)

    def _makeSequence(self):
        import numpy as np
        from MedColorizeLib.imaging.volume import ColorVolume
        from MedColorizeLib.mrml import nodes

        scene = self._sequence.GetScene()
        source = self._request.inputVolume
        name = _("{name} coloured").format(name=source.GetName())
        sequence = scene.AddNewNodeByClass("vtkMRMLSequenceNode", name)
        sequence.SetIndexName(self._sequence.GetIndexName())
        sequence.SetIndexUnit(self._sequence.GetIndexUnit())
        sequence.SetIndexType(self._sequence.GetIndexType())
        for index, (image, affine, provenance) in enumerate(self._results):
            tiny = ColorVolume(np.zeros((1, 1, 1, 4), np.uint8), affine, provenance)
            slices, volume3D = nodes.color_nodes(scene, tiny, source, name)
            slices.SetAndObserveImageData(image)
            sequence.SetDataNodeAtValue(slices, self._sequence.GetNthIndexValue(index))
            scene.RemoveNode(volume3D)
            scene.RemoveNode(slices)
        self._results = []
        self._browser.AddSynchronizedSequenceNode(sequence)
        logic = slicer.modules.sequences.logic()
        logic.UpdateProxyNodesFromSequences(self._browser)
        proxy = self._browser.GetProxyNode(sequence)
        return proxy, None
