"""Coloured volumes to and from DICOM files, through the worker. The DICOM module's own dialogs wait for it.

Not for the plugin's face (`MedColorizeDICOMPlugin.py`).
"""

import json

import numpy as np
import qt
import slicer
import vtk

from . import coloring, jobs, rendering


def canExport(node):
    """True for 8-bit RGB or RGBA volume nodes."""
    return (
        node is not None
        and node.IsA("vtkMRMLVectorVolumeNode")
        and rendering.channels(node) in (3, 4)
        and node.GetImageData().GetScalarType() == vtk.VTK_UNSIGNED_CHAR
    )


def waitFor(startJob):
    """Run a job to its end with the event loop going on; its result, or RuntimeError with what a person should know."""
    loop, outcome = qt.QEventLoop(), []

    def finish(value):
        outcome.append(value)
        loop.quit()

    startJob(finish)
    if not outcome:
        loop.exec_()
    if isinstance(outcome[0], jobs.Failure):
        raise RuntimeError(outcome[0].text)
    return outcome[0]


def sourceFiles(node):
    """The DICOM files of the gray series that a coloured node was made from: patient and study come from there."""
    gray = rendering.grayOf(node)
    uids = (gray.GetAttribute("DICOM.instanceUIDs") or "").split() if gray is not None else []
    database = getattr(slicer, "dicomDatabase", None)
    if not uids or database is None:
        return []
    return [path for path in (database.fileForInstance(uid) for uid in uids) if path]


def export(node, folder, tags):
    """Write a coloured node as a series of RGB Secondary Capture files into a new folder."""
    from MedColorizeLib.app import protocol
    from MedColorizeLib.imaging.volume import ColorVolume
    from MedColorizeLib.mrml import geometry, nodes

    node = rendering.slicesOf(node)
    provenance = json.loads(node.GetAttribute("MedColorize.Provenance") or "{}")
    color = ColorVolume(nodes.array_from_node(node), geometry.read_affine(node), provenance)
    content = {
        "color": protocol.describe(color, "color.npy"),
        "directory": str(folder),
        "source": sourceFiles(node),
        "tags": {name: value for name, value in tags.items() if value},
    }
    arrays = {"color.npy": color.array}
    return waitFor(lambda finish: jobs.Job("write_dicom", content, arrays, onDone=finish, onFailed=finish).start())


def load(files, name):
    """The RGB node of a coloured series, with its 3D partner."""
    from MedColorizeLib.app import protocol
    from MedColorizeLib.imaging.volume import ColorVolume
    from MedColorizeLib.mrml import nodes

    def receive(result, folder):
        color = protocol.load_color(folder, result)
        images = yield from jobs.readImages(color.array)
        tiny = ColorVolume(np.zeros((1, 1, 1, 4), np.uint8), color.affine, color.provenance)
        pair = nodes.color_nodes(slicer.mrmlScene, tiny, None, name)
        for node, image in zip(pair, images):
            node.SetAndObserveImageData(image)
        pair[0].SetNodeReferenceID(coloring.VOLUME_3D_ROLE, pair[1].GetID())
        pair[1].SetNodeReferenceID(coloring.SLICES_ROLE, pair[0].GetID())
        return pair[0]

    content = {"files": list(files)}
    return waitFor(
        lambda finish: jobs.Job("read_color", content, None, receive, onDone=finish, onFailed=finish).start()
    )
