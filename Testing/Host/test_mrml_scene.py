"""Scenes saved and loaded again, and volume files through Slicer's own readers."""

from __future__ import annotations

import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer")

from MedColorizeLib.errors import InputError, OutputError, UsageError
from MedColorizeLib.imaging.volume import ColorVolume, LabelVolume, Volume
from MedColorizeLib.mrml import nodes, rendering
from MedColorizeLib.mrml import scene as scenes
from MedColorizeLib.mrml.geometry import matrix, read_affine
from MedColorizeLib.mrml.host import close_scene, new_scene
from MedColorizeLib.mrml.offscreen import Stage
from MedColorizeLib.mrml.rendering import Look
from MedColorizeLib.mrml.storage import load_color_node, load_volume_node, save_node

NAME = "DOE^JANE 1961"


def contents(affine: np.ndarray) -> tuple[ColorVolume, Volume, LabelVolume]:
    rng = np.random.default_rng(5)
    gray = Volume(rng.integers(-100, 900, (6, 7, 8)).astype(np.int16), affine, "MR")
    about = {
        "method": "palette",
        "model": "head-mr",
        "input_sha256": gray.sha256,
        "window": [-100.0, 900.0],
        "modality": "MR",
    }
    about["notice"] = 'The colour is synthetic; not measured: 100 % invented, "quoted" & <odd>.'
    color = ColorVolume(rng.integers(0, 256, (6, 7, 8, 4)).astype(np.uint8), affine, about)
    array = np.zeros((6, 7, 8), np.uint8)
    array[:, 1:5, 1:5], array[:, 1:5, 5:], array[:, 5:] = 1, 2, 4
    labels = LabelVolume(array, affine, {1: "left", 2: "right", 4: "front"})
    return color, gray, labels


@pytest.fixture
def scene():
    made = new_scene()
    yield made
    close_scene(made)


@pytest.mark.parametrize("ending", [".mrb", ".mrml"])
def test_a_saved_scene_comes_back_whole(scene, oblique, tmp_path, ending):
    color, gray, labels = contents(oblique)
    scenes.fill(scene, [color], [gray], [labels], look=Look("brain-mr", 80, 35))
    path = scenes.save_scene(scene, tmp_path / f"head{ending}")
    assert not [p for p in tmp_path.iterdir() if p.name.startswith(".")]
    loaded = scenes.load_scene(path)
    try:
        rgb, rgba = (loaded.GetNthNodeByClass(n, "vtkMRMLVectorVolumeNode") for n in range(2))
        assert rgb.GetVoxelVectorTypeAsString(rgb.GetVoxelVectorType()) == "colorRGB"
        assert rgba.GetVoxelVectorTypeAsString(rgba.GetVoxelVectorType()) == "colorRGBA"
        np.testing.assert_array_equal(nodes.array_from_node(rgb), color.rgb)
        np.testing.assert_array_equal(nodes.array_from_node(rgba), color.array)
        scan = loaded.GetFirstNodeByName("Scan")
        np.testing.assert_array_equal(nodes.array_from_node(scan), gray.array)
        label_node = loaded.GetFirstNodeByName("Labels")
        np.testing.assert_array_equal(nodes.array_from_node(label_node), labels.array)
        assert nodes.labels_from_node(label_node).names == labels.names
        for node in (rgb, rgba, scan, label_node):
            np.testing.assert_allclose(read_affine(node), oblique, rtol=0, atol=1e-9)
        assert nodes.color_from_node(rgb).provenance == color.provenance
        assert "Synthetic" in rgb.GetDescription()
        display = rendering.display_of(rgba)
        assert rendering.look_of(display) == Look("brain-mr", 80, 35)
        before = rendering.display_of(scene.GetNthNodeByClass(1, "vtkMRMLVectorVolumeNode"))
        assert opacity(display) == pytest.approx(opacity(before))
        assert display.GetVolumePropertyNode().GetVolumeProperty().GetIndependentComponents() == 0
        composite = loaded.GetFirstNodeByClass("vtkMRMLSliceCompositeNode")
        assert loaded.GetNodeByID(composite.GetBackgroundVolumeID()).GetName() == rgb.GetName()
        assert loaded.GetNodeByID(composite.GetForegroundVolumeID()).GetName() == "Scan"
        assert composite.GetForegroundOpacity() == 0
        assert loaded.GetFirstNodeByClass("vtkMRMLViewNode").GetBackgroundColor()[0] > 0.9
        window = rgb.GetDisplayNode()
        assert (window.GetWindowLevelMin(), window.GetWindowLevelMax()) == (0, 255)
    finally:
        close_scene(loaded)


def opacity(display) -> list[float]:
    function = display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacity()
    return [function.GetValue(code) for code in range(0, 256, 5)]


@pytest.mark.parametrize("moved", [False, True])
def test_a_loaded_scene_is_drawn_as_it_was_saved(scene, tmp_path, moved):
    array = np.zeros((24, 28, 32, 4), np.uint8)
    array[4:20, 5:23, 6:26] = (210, 120, 90, 200)
    array[14:20, 14:23, 6:16] = (70, 90, 220, 255)
    color = ColorVolume(array, np.diag([-1.5, 1.2, 2.0, 1.0]), {"modality": "MR"})
    shown = scenes.fill(scene, [color], background="white")
    if moved:
        transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode")
        transform.SetMatrixTransformToParent(
            matrix(np.array([[1, 0, 0, 9], [0, 1, 0, -7], [0, 0, 1, 5], [0, 0, 0, 1.0]]))
        )
        shown.volumes[0].SetAndObserveTransformNodeID(transform.GetID())

    def drawn(of) -> np.ndarray:
        with Stage(of, of.GetFirstNodeByClass("vtkMRMLViewNode"), (100, 100)) as stage:
            return stage.picture().astype(int)

    before = drawn(scene)
    assert (before.min(axis=-1) < 200).mean() > 0.2
    loaded = scenes.load_scene(scenes.save_scene(scene, tmp_path / "a.mrb"))
    after = drawn(loaded)
    close_scene(loaded)
    assert np.abs(after - before).mean() < 1.0


def test_nothing_in_a_bundle_tells_where_it_came_from(scene, tmp_path):
    color, gray, labels = contents(np.diag([-1, 1, 2, 1.0]))
    folder = tmp_path / NAME
    folder.mkdir()
    scenes.fill(scene, [color], [gray], [labels])
    path = scenes.save_scene(scene, folder / "out.mrb")
    with zipfile.ZipFile(path) as archive:
        assert archive.testzip() is None
        everything = b"\n".join(name.encode() + archive.read(name) for name in archive.namelist())
        assert all(not Path(name).is_absolute() for name in archive.namelist())
    for secret in (NAME, "DOE", "JANE", str(tmp_path), str(Path.home()), "/tmp/"):
        assert secret.encode() not in everything


def test_colour_and_scan_are_tied(scene):
    color, gray, _ = contents(np.eye(4))
    other = Volume(np.zeros((3, 3, 3), np.int16), np.eye(4))
    shown = scenes.fill(scene, [color], [other, gray])
    tree = scene.GetSubjectHierarchyNode()
    parents = {tree.GetItemParent(tree.GetItemByDataNode(n)) for n in (shown.slices[0], shown.gray[1])}
    assert len(parents) == 1
    assert [n.GetName() for n in shown.gray] == ["Scan 1", "Scan 2"]


def test_an_existing_scene_is_not_overwritten_unasked(scene, tmp_path):
    color, _, _ = contents(np.eye(4))
    scenes.fill(scene, [color])
    path = tmp_path / "a.mrb"
    path.write_text("precious")
    with pytest.raises(OutputError, match="exists"):
        scenes.save_scene(scene, path)
    assert path.read_text() == "precious"
    scenes.save_scene(scene, path, overwrite=True)
    assert zipfile.is_zipfile(path)
    with pytest.raises(UsageError, match="mrb"):
        scenes.save_scene(scene, tmp_path / "a.zip")


@pytest.mark.parametrize("ending", [".mrb", ".mrml"])
def test_relative_paths_are_as_good_as_any(scene, oblique, tmp_path, monkeypatch, ending):
    scenes.fill(scene, *[[volume] for volume in contents(oblique)])
    monkeypatch.chdir(tmp_path)
    saved = scenes.save_scene(scene, Path(f"head{ending}"))
    assert saved.exists()
    loaded = scenes.load_scene(Path(f"head{ending}"))
    assert loaded.GetNumberOfNodesByClass("vtkMRMLVectorVolumeNode") == 2
    close_scene(loaded)


def test_unsafe_and_broken_bundles_are_refused(tmp_path):
    bad = tmp_path / "bad.mrb"
    with zipfile.ZipFile(bad, "w") as archive:
        archive.writestr("../evil.txt", "x")
    with pytest.raises(InputError, match="unsafe"):
        scenes.load_scene(bad)
    bad.write_bytes(b"not a zip")
    with pytest.raises(InputError, match="zip"):
        scenes.load_scene(bad)
    with pytest.raises(InputError, match="no file"):
        scenes.load_scene(tmp_path / "absent.mrb")


@pytest.mark.parametrize("channels", [3, 4])
@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
def test_our_files_are_colour_volumes_for_slicer(scene, oblique, tmp_path, ending, channels):
    from MedColorizeLib.imaging.write import write_color

    color, _, _ = contents(oblique)
    color = ColorVolume(np.ascontiguousarray(color.array[..., :channels]), oblique, color.provenance)
    path = write_color(tmp_path / f"c{ending}", color)
    node = load_color_node(scene, path)
    # MetaImage has no way to say that its channels are a colour; the other two have.
    kind = "undefined" if ending == ".mha" else {3: "colorRGB", 4: "colorRGBA"}[channels]
    assert node.GetVoxelVectorTypeAsString(node.GetVoxelVectorType()) == kind
    np.testing.assert_array_equal(nodes.array_from_node(node), color.array)
    # NIfTI keeps single precision.
    np.testing.assert_allclose(read_affine(node), oblique, rtol=0, atol=2e-4 if "nii" in ending else 1e-9)
    assert path.name not in node.GetName()
    assert node.GetStorageNode() is None


def test_slicer_written_nodes_are_read_by_us(scene, oblique, tmp_path):
    from MedColorizeLib.imaging.read import read_color, read_volume

    color, gray, _ = contents(oblique)
    _, rgba = nodes.color_nodes(scene, color)
    back = read_color(save_node(rgba, tmp_path / "c.nrrd"))
    np.testing.assert_array_equal(back.array, color.array)
    np.testing.assert_allclose(back.affine, oblique, rtol=0, atol=1e-9)
    path = save_node(nodes.node_from_volume(scene, gray, "Scan"), tmp_path / "g.nrrd")
    np.testing.assert_array_equal(read_volume(path).array, gray.array)
    np.testing.assert_array_equal(nodes.volume_from_node(load_volume_node(scene, path)).array, gray.array)
    with pytest.raises(InputError, match="no file"):
        load_color_node(scene, tmp_path / "absent.nrrd")
    (tmp_path / "text.nrrd").write_text("no image")
    with pytest.raises(InputError, match="can't be read"):
        load_color_node(scene, tmp_path / "text.nrrd")


def test_the_scene_command(tmp_path, capsys):
    from MedColorizeLib.app.cli import main
    from MedColorizeLib.imaging.write import write_color, write_volume

    color, gray, labels = contents(np.diag([-2, -2, 2, 1.0]))
    inputs = [
        write_volume(tmp_path / "labels.nii.gz", Volume(labels.array, labels.affine)),
        write_color(tmp_path / "color.nrrd", color),
        write_volume(tmp_path / "gray.nrrd", gray),
    ]
    output = tmp_path / "out.mrb"
    assert main(["scene", *map(str, inputs), "-o", str(output), "--json"]) == 0
    assert '"label_maps": 1' in capsys.readouterr().out
    loaded = scenes.load_scene(output)
    assert {loaded.GetFirstNodeByName(n) is not None for n in ("Scan", "Coloured", "Coloured 3D", "Labels")} == {True}
    close_scene(loaded)
    assert main(["scene", str(inputs[0]), "-o", str(output)]) == OutputError.exit_code
    assert main(["scene", str(tmp_path / "absent.nrrd"), "-o", str(tmp_path / "b.mrb")]) == InputError.exit_code
    assert not (tmp_path / "b.mrb").exists()
