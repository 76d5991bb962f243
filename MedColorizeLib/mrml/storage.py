"""Volume files through Slicer's own storage nodes: what Slicer will make of a file that this library wrote.

Not for reading inputs (`imaging.read`), which knows more formats and refuses with better reasons.
"""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, OutputError
from ..imaging.atomic import AtomicTarget
from .host import Node, Scene


def load_color_node(scene: Scene, path: Path | str) -> Node:
    """A colour volume file (NRRD, NIfTI, MetaImage) as a vector volume node, with the colour type that Slicer sees."""
    return _load(scene, Path(path), "vtkMRMLVectorVolumeNode")


def load_volume_node(scene: Scene, path: Path | str) -> Node:
    """A gray volume file as a scalar volume node."""
    return _load(scene, Path(path), "vtkMRMLScalarVolumeNode")


def save_node(node: Node, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write a volume node with Slicer's writer."""
    scene = node.GetScene()
    with AtomicTarget(path, overwrite=overwrite) as target:
        storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
        try:
            storage.SetFileName(str(target.temporary))
            if not storage.WriteData(node):
                raise OutputError(f"{path} can't be written by Slicer's writer. Choose .nrrd or .nii.gz.")
        finally:
            scene.RemoveNode(storage)
        return target.commit()


def keep_handedness(storage: Node) -> None:
    """Read left-handed voxel grids as they are; by default Slicer may flip them to right-handed ones."""
    if hasattr(storage, "SetForceRightHandedIJKCoordinateSystem"):
        storage.SetForceRightHandedIJKCoordinateSystem(False)


def _load(scene: Scene, path: Path, kind: str) -> Node:
    if not path.is_file():
        raise InputError(f"{path} is no file. Check the path.")
    # The node's name is seen in saved scenes, and a file's name may be a patient's: so it is a neutral one.
    node = scene.AddNewNodeByClass(kind)
    storage = scene.AddNewNodeByClass("vtkMRMLVolumeArchetypeStorageNode")
    keep_handedness(storage)
    storage.SetSingleFile(True)
    storage.SetFileName(str(path))
    if not storage.ReadData(node):
        scene.RemoveNode(node)
        scene.RemoveNode(storage)
        raise InputError(f"{path} can't be read by Slicer's reader as a {kind.removeprefix('vtkMRML')}.")
    node.CreateDefaultDisplayNodes()
    # The node must not be saved back over the file it came from, nor carry its path into a saved scene.
    scene.RemoveNode(storage)
    return node
