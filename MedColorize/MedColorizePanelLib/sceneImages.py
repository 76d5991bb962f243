"""Volumes of the scene as images to train on: which labels belong to which volume, and what the worker is handed.

Not for: widgets (`trainTab.py`).
"""

import json

import slicer

from . import coloring, rendering
from .compat import tr as _


def request(grays, colors, labels):
    """`(content, arrays)` of a training request for the chosen nodes; refuses, with a reason, what can't be used."""
    from MedColorizeLib.app import protocol
    from MedColorizeLib.imaging.volume import ColorVolume
    from MedColorizeLib.mrml import geometry, nodes

    content, arrays = {"gray": [], "color": [], "labels": []}, {}
    patients, names = {}, {}

    def add(domain, volume, name):
        file = f"{domain}{len(content[domain])}.npy"
        arrays[file] = volume.array
        content[domain].append(dict(protocol.describe(volume, file), name=name))

    modalities = set()
    for node in grays:
        volume = nodes.volume_from_node(node, copy=False)
        modalities.add(volume.modality)
        names[node] = _subject(node, patients)
        add("gray", volume, "{}_gray{}".format(names[node], len(content["gray"])))
    for node in colors:
        if rendering.channels(node) not in (3, 4):
            raise ValueError(_("“{name}” is not a coloured volume.").format(name=node.GetName()))
        provenance = json.loads(node.GetAttribute("MedColorize.Provenance") or "{}")
        array = nodes.array_from_node(node)[..., :3]
        names[node] = _subject(node, patients)
        add(
            "color",
            ColorVolume(array, geometry.read_affine(node), provenance),
            "{}_color{}".format(names[node], len(content["color"])),
        )
    labelled = {}
    for node in labels:
        owner = ownerOf(node, grays, colors)
        name = names[owner]
        if name in labelled:
            raise ValueError(
                _("“{one}” and “{other}” are labels of the same patient; one label map a patient can be used.").format(
                    one=labelled[name].GetName(), other=node.GetName()
                )
            )
        labelled[name] = node
        add("labels", coloring.labelsOn(node, owner), f"{name}_labels")
    answer = {"scene": content}
    if len(modalities) == 1:
        answer["modality"] = modalities.pop()
    return answer, arrays


def _subject(node, patients):
    """A neutral name for whose image it is: volumes under one patient of the subject hierarchy share it."""
    tree = node.GetScene().GetSubjectHierarchyNode()
    item = tree.GetItemByDataNode(node) if tree is not None else 0
    patient = tree.GetItemAncestorAtLevel(item, "Patient") if item else 0
    return patients.setdefault(patient or node.GetID(), f"patient{len(patients) + 1}")


def ownerOf(labelsNode, grays, colors):
    """The chosen volume that a label map or segmentation belongs to."""
    from MedColorizeLib.mrml import geometry

    volumes = [*grays, *colors]
    if labelsNode.IsA("vtkMRMLSegmentationNode"):
        role = slicer.vtkMRMLSegmentationNode.GetReferenceImageGeometryReferenceRole()
        reference = labelsNode.GetNodeReference(role)
        if reference in volumes:
            return reference
    elif labelsNode.GetImageData() is not None:
        size, place = labelsNode.GetImageData().GetDimensions(), geometry.read_affine(labelsNode)
        for some in (grays, colors):
            same = [
                node
                for node in some
                if node.GetImageData().GetDimensions() == size and (geometry.read_affine(node) == place).all()
            ]
            if len(same) == 1:
                return same[0]
    if len(grays or colors) == 1:
        return (grays or colors)[0]
    raise ValueError(
        _(
            "Which of the chosen volumes “{name}” belongs to can't be told: none has its voxels alone. Set the "
            "segmentation's source volume, or train from folders."
        ).format(name=labelsNode.GetName())
    )
