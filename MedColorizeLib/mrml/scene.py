"""Slicer scenes of coloured volumes: filling one, saving it whole, loading it again.

A saved scene opens in Slicer with the coloured slices, the measured gray one slider away, and the 3D view framed. It
holds no path and no name of the files it came from. Not for pictures (`pictures.py`).
"""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import zipfile
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..errors import InputError, OutputError, UsageError
from ..imaging.atomic import AtomicTarget
from ..imaging.volume import ColorVolume, LabelVolume, Volume, same_grid
from .host import Node, Scene, application_logic, batch, close_scene, new_scene, slicer
from .nodes import color_nodes, node_from_labels, node_from_volume
from .opacity import with_alpha
from .planes import middle_of
from .rendering import Look, show, visible_voxels
from .storage import keep_handedness
from .views import aim, view_named, view_nodes

_SLICE_VIEWS = (
    ("Red", "Axial", (0.952941, 0.290196, 0.2)),
    ("Yellow", "Sagittal", (0.929412, 0.835294, 0.298039)),
    ("Green", "Coronal", (0.431373, 0.690196, 0.294118)),
)
"""Slicer's standard slice views with their frame colours."""


@dataclass
class Shown:
    """The nodes that `fill` made."""

    gray: list[Node] = field(default_factory=list)
    slices: list[Node] = field(default_factory=list)
    volumes: list[Node] = field(default_factory=list)
    labels: list[Node] = field(default_factory=list)


def fill(
    scene: Scene,
    colors: Sequence[ColorVolume] = (),
    grays: Sequence[Volume] = (),
    labels: Sequence[LabelVolume] = (),
    *,
    look: Look | None = None,
    background: str = "light",
) -> Shown:
    """Put volumes into a scene, ready to be seen. Only the first coloured volume is visible in 3D."""
    shown = Shown()
    if not (colors or grays or labels):
        raise UsageError("A scene needs at least one volume.")
    with batch(scene):
        for volume in grays:
            shown.gray.append(node_from_volume(scene, volume, _numbered("Scan", len(shown.gray), len(grays))))
        for color in colors:
            source = next((n for n, g in zip(shown.gray, grays, strict=True) if _made_from(color, g)), None)
            rgba = with_alpha(color)
            name = _numbered("Coloured", len(shown.slices), len(colors))
            slices, volume_node = color_nodes(scene, rgba, source, name)
            display = show(scene, volume_node, rgba, look)
            display.SetVisibility(int(not shown.volumes))
            shown.slices.append(slices)
            shown.volumes.append(volume_node)
        for label in labels:
            shown.labels.append(node_from_labels(scene, label, _numbered("Labels", len(shown.labels), len(labels))))
        _, camera_node = view_nodes(scene, background)
        if shown.volumes:
            aim(camera_node, visible_voxels(shown.volumes[0]), view_named("three-quarter"), margin=0.1)
        first = colors[0] if colors else None
        _slice_views(scene, shown, middle_of(first) if first is not None else None)
    return shown


def save_scene(scene: Scene, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write a scene: `.mrb` is one file with everything; `.mrml` has its data in a folder beside it."""
    # Slicer's scene refuses to save to a relative path.
    path = Path(path).absolute()
    ending = path.suffix.lower()
    if ending not in (".mrb", ".mrml"):
        raise UsageError(f"{path} should end in .mrb or .mrml.")
    data = path.with_name(f"{path.stem}-data")
    with AtomicTarget(path, overwrite=overwrite) as target:
        work = Path(tempfile.mkdtemp(prefix=f".{path.stem[:40]}.", suffix=".tmp", dir=path.parent))
        try:
            bundle = _write_bundle(scene, work / path.stem)
            if ending == ".mrb":
                _zip(bundle, target.temporary)
                return target.commit()
            with AtomicTarget(data, folder=True, overwrite=overwrite) as folder:
                document = bundle / f"{path.stem}.mrml"
                target.temporary.write_text(_moved(document.read_text(encoding="utf-8"), data.name), encoding="utf-8")
                document.unlink()
                shutil.copytree(bundle, folder.temporary, dirs_exist_ok=True)
                folder.commit()
            return target.commit()
        finally:
            shutil.rmtree(work, ignore_errors=True)


def load_scene(path: Path | str) -> Scene:
    """A new scene with what a `.mrb` or `.mrml` file holds. Close it with `host.close_scene`."""
    path = Path(path)
    if not path.is_file():
        raise InputError(f"{path} is no file. Check the path.")
    scene = new_scene()
    if path.suffix.lower() == ".mrb":
        with tempfile.TemporaryDirectory(prefix="medcolorize-") as folder:
            ok = _connect(scene, _unzip(path, Path(folder)))
    else:
        ok = _connect(scene, path)
    if not ok:
        close_scene(scene)
        raise InputError(f"{path} can't be read as a scene. Was it saved by Slicer or MedColorize?")
    return scene


def _made_from(color: ColorVolume, gray: Volume) -> bool:
    wanted = color.provenance.get("input_sha256")
    return bool(wanted and wanted == gray.sha256) or same_grid(color, gray)


def _numbered(name: str, index: int, count: int) -> str:
    return name if count == 1 else f"{name} {index + 1}"


def _slice_views(scene: Scene, shown: Shown, centre: np.ndarray | None) -> None:
    """Coloured slices behind, the measured gray in front but transparent, the labels on top but transparent."""
    slicer.vtkMRMLSliceNode.AddDefaultSliceOrientationPresets(scene)
    first = (shown.slices or shown.gray or shown.labels)[0]
    bounds = [0.0] * 6
    first.GetRASBounds(bounds)
    if centre is None or first.GetParentTransformNode() is not None:
        centre = np.array([(bounds[n] + bounds[n + 1]) / 2 for n in (0, 2, 4)])
    size = max(bounds[n + 1] - bounds[n] for n in (0, 2, 4))
    for name, orientation, frame in _SLICE_VIEWS:
        slice_node = _singleton(scene, "vtkMRMLSliceNode", name)
        slice_node.SetOrientation(orientation)
        slice_node.SetLayoutLabel(name[0])
        slice_node.SetLayoutColor(*frame)
        slice_node.SetDimensions(400, 400, 1)
        slice_node.SetFieldOfView(size * 1.05, size * 1.05, min(first.GetSpacing()))
        slice_node.JumpSliceByCentering(*centre.tolist())
        composite = _singleton(scene, "vtkMRMLSliceCompositeNode", name)
        composite.SetBackgroundVolumeID(first.GetID())
        if shown.slices and shown.gray:
            composite.SetForegroundVolumeID(shown.gray[0].GetID())
            composite.SetForegroundOpacity(0.0)
        if shown.labels:
            composite.SetLabelVolumeID(shown.labels[0].GetID())
            composite.SetLabelOpacity(0.0 if shown.slices or shown.gray else 1.0)
    selection = scene.GetFirstNodeByClass("vtkMRMLSelectionNode")
    if selection is not None:
        selection.SetActiveVolumeID(first.GetID())


def _singleton(scene: Scene, kind: str, name: str) -> Node:
    """The node of a named view, as Slicer's layouts find it."""
    for n in range(scene.GetNumberOfNodesByClass(kind)):
        node = scene.GetNthNodeByClass(n, kind)
        if node.GetLayoutName() == name:
            return node
    node = scene.CreateNodeByClass(kind)
    node.UnRegister(None)
    node.SetSingletonTag(name)
    node.SetName(name)
    node.SetLayoutName(name)
    return scene.AddNode(node)


def _write_bundle(scene: Scene, folder: Path) -> Path:
    """The scene and its data under `folder`, by Slicer's own code."""
    for n in range(scene.GetNumberOfNodesByClass("vtkMRMLVolumeNode")):
        node = scene.GetNthNodeByClass(n, "vtkMRMLVolumeNode")
        if node.GetStorageNode() is None:
            node.AddDefaultStorageNode()
        keep_handedness(node.GetStorageNode())
    folder.mkdir()
    if not application_logic(scene).SaveSceneToSlicerDataBundleDirectory(str(folder), None):
        raise OutputError("The scene can't be written. Check the space left on the disk and your rights there.")
    return folder


def _zip(folder: Path, path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for file in sorted(folder.rglob("*")):
            # NRRD is compressed already; the text of the scene is not.
            method = zipfile.ZIP_STORED if file.suffix in (".nrrd", ".gz") else zipfile.ZIP_DEFLATED
            if file.is_file():
                archive.write(file, f"{folder.name}/{file.relative_to(folder).as_posix()}", compress_type=method)


def _moved(text: str, folder: str) -> str:
    """The scene's text with its data in another folder."""
    from urllib.parse import quote

    return re.sub(r'((?:fileName|fileListMember\d+)=")', lambda m: f"{m.group(1)}{quote(folder)}/", text)


def _connect(scene: Scene, document: Path) -> bool:
    scene.SetURL(str(document))
    return bool(scene.Connect())


def _unzip(path: Path, folder: Path) -> Path:
    """Unpack a bundle and find its scene; one from elsewhere must not write outside of `folder`."""
    try:
        with zipfile.ZipFile(path) as archive:
            for name in archive.namelist():
                parts = name.replace("\\", "/").split("/")
                if os.path.isabs(name) or ".." in parts or ":" in parts[0]:
                    raise InputError(f"{path} holds the unsafe name '{name}'. It was not opened.")
            archive.extractall(folder)
    except (OSError, zipfile.BadZipFile) as error:
        raise InputError(f"{path} is no scene bundle: it is not a readable zip file.") from error
    documents = sorted(folder.glob("*/*.mrml")) or sorted(folder.glob("*.mrml"))
    if len(documents) != 1:
        raise InputError(f"{path} is no scene bundle: it holds {len(documents)} scenes instead of one.")
    return documents[0]
