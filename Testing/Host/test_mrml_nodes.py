"""Volumes to and from the real MRML node classes."""

from __future__ import annotations

import json

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

slicer = pytest.importorskip("slicer")

from vtkmodules.util.numpy_support import vtk_to_numpy  # noqa: E402
from vtkmodules.vtkCommonMath import vtkMatrix4x4  # noqa: E402

from MedColorizeLib.errors import InputError  # noqa: E402
from MedColorizeLib.imaging.colorspaces import luma_codes  # noqa: E402
from MedColorizeLib.imaging.volume import ColorVolume, LabelVolume, Volume  # noqa: E402
from MedColorizeLib.mrml import nodes  # noqa: E402
from MedColorizeLib.mrml.geometry import matrix, read_affine, write_affine  # noqa: E402
from MedColorizeLib.mrml.host import close_scene, new_scene  # noqa: E402
from MedColorizeLib.mrml.opacity import with_alpha  # noqa: E402

PROVENANCE = {
    "method": "palette",
    "model": "head-mr",
    "input_sha256": "ab" * 32,
    "modality": "MR",
    "window": [0.0, 200.0],
    "notice": "a;b:c %3B 'quoted' \"double\"",
}


@pytest.fixture
def scene():
    made = new_scene()
    yield made
    close_scene(made)


def random_color(affine: np.ndarray, channels: int = 4, shape: tuple[int, int, int] = (5, 6, 7)) -> ColorVolume:
    array = np.random.default_rng(3).integers(0, 256, (*shape, channels)).astype(np.uint8)
    return ColorVolume(array, affine, PROVENANCE)


def shifted(scene) -> object:
    transform = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "moved")
    move = vtkMatrix4x4()
    move.SetElement(0, 3, 12.5)
    transform.SetMatrixTransformToParent(move)
    return transform


@pytest.mark.parametrize("dtype", ["uint8", "int16", "uint16", "int32", "float32", "float64"])
def test_gray_round_trip_keeps_every_bit(scene, oblique, dtype):
    array = np.random.default_rng(0).integers(0, 200, (4, 5, 6)).astype(dtype)
    node = nodes.node_from_volume(scene, Volume(array, oblique, "MR", {"window": (10, 90)}), "Scan")
    back = nodes.volume_from_node(node)
    assert back.array.dtype == array.dtype
    np.testing.assert_array_equal(back.array, array)
    np.testing.assert_array_equal(back.affine, oblique)
    assert back.modality == "MR"
    assert back.facts["window"] == (10, 90)
    assert back.sha256 == Volume(array, oblique).sha256


def test_voxel_ijk_is_array_kji(scene):
    array = np.arange(2 * 3 * 4, dtype=np.int16).reshape(2, 3, 4)
    node = nodes.node_from_volume(scene, Volume(array, np.eye(4)), "Scan")
    assert node.GetImageData().GetDimensions() == (4, 3, 2)
    assert node.GetImageData().GetScalarComponentAsDouble(3, 1, 0, 0) == array[0, 1, 3]


def test_types_that_slicer_refuses_are_carried_by_others(scene):
    wide = np.array([[[-5, 70000]]], dtype=np.int64)
    np.testing.assert_array_equal(
        nodes.volume_from_node(nodes.node_from_volume(scene, Volume(wide, np.eye(4)), "a")).array, wide
    )
    half = np.array([[[0.5, 1.25]]], dtype=np.float16)
    back = nodes.volume_from_node(nodes.node_from_volume(scene, Volume(half, np.eye(4)), "b")).array
    assert back.dtype == np.float32
    np.testing.assert_array_equal(back, half)


def test_volume_from_node_is_a_copy(scene):
    node = nodes.node_from_volume(scene, Volume(np.ones((2, 2, 2), np.int16), np.eye(4)), "Scan")
    volume = nodes.volume_from_node(node)
    nodes.array_from_node(node)[...] = 7
    assert (volume.array == 1).all()


@settings(max_examples=60, deadline=None)
@given(
    angles=st.tuples(*[st.floats(-3.2, 3.2)] * 3),
    spacing=st.tuples(*[st.floats(0.05, 12)] * 3),
    origin=st.tuples(*[st.floats(-900, 900)] * 3),
    mirrored=st.booleans(),
)
def test_any_affine_comes_back_bit_for_bit(angles, spacing, origin, mirrored):
    a, b, c = angles
    x = np.array([[1, 0, 0], [0, np.cos(a), -np.sin(a)], [0, np.sin(a), np.cos(a)]])
    y = np.array([[np.cos(b), 0, np.sin(b)], [0, 1, 0], [-np.sin(b), 0, np.cos(b)]])
    z = np.array([[np.cos(c), -np.sin(c), 0], [np.sin(c), np.cos(c), 0], [0, 0, 1]])
    affine = np.eye(4)
    affine[:3, :3] = x @ y @ z @ np.diag(spacing) @ np.diag([-1 if mirrored else 1, 1, 1])
    affine[:3, 3] = origin
    node = slicer.vtkMRMLScalarVolumeNode()
    write_affine(node, affine)
    np.testing.assert_array_equal(read_affine(node), affine)


def test_color_nodes_hold_the_colours_and_say_so(scene, oblique):
    color = random_color(oblique)
    rgb, rgba = nodes.color_nodes(scene, color, name="Coloured")
    assert rgb.GetVoxelVectorTypeAsString(rgb.GetVoxelVectorType()) == "colorRGB"
    assert rgba.GetVoxelVectorTypeAsString(rgba.GetVoxelVectorType()) == "colorRGBA"
    for node, array in ((rgb, color.rgb), (rgba, color.array)):
        assert node.IsA("vtkMRMLVectorVolumeNode")
        np.testing.assert_array_equal(nodes.array_from_node(node), array)
        np.testing.assert_array_equal(read_affine(node), oblique)
        assert "Synthetic" in node.GetDescription()
        assert "head-mr" in node.GetDescription()
        assert node.GetAttribute("MedColorize.InputSHA256") == PROVENANCE["input_sha256"]
        assert json.loads(node.GetAttribute("MedColorize.Provenance")) == PROVENANCE
    assert nodes.color_from_node(rgba).provenance == PROVENANCE


def test_slice_display_shows_the_exact_colours(scene):
    color = random_color(np.eye(4), 3)
    rgb, _ = nodes.color_nodes(scene, color)
    pipeline = rgb.GetDisplayNode().GetImageDataConnection().GetProducer()
    pipeline.Update()
    shown = pipeline.GetOutputDataObject(0).GetPointData().GetScalars()
    np.testing.assert_array_equal(vtk_to_numpy(shown)[:, :3].reshape(color.array.shape), color.array)
    assert (vtk_to_numpy(shown)[:, 3] == 255).all()


def test_geometry_and_transform_of_the_source_are_kept(scene, oblique):
    # Set in Slicer's own way, which does not hit the affine bit for bit.
    volume = Volume(np.zeros((5, 6, 7), np.int16), oblique)
    source = nodes.node_from_volume(scene, volume, "Scan")
    source.SetIJKToRASMatrix(matrix(oblique))
    transform = shifted(scene)
    source.SetAndObserveTransformNodeID(transform.GetID())
    read = nodes.volume_from_node(source)
    assert any("transform" in note for note in read.notes)
    for node in nodes.color_nodes(scene, random_color(read.affine), source):
        assert read_affine(node).tobytes() == read_affine(source).tobytes()
        assert node.GetTransformNodeID() == transform.GetID()


def test_results_lie_beside_their_source(scene):
    source = nodes.node_from_volume(scene, Volume(np.zeros((5, 6, 7), np.int16), np.eye(4)), "Scan")
    tree = scene.GetSubjectHierarchyNode()
    folder = tree.CreateFolderItem(tree.GetSceneItemID(), "visit")
    tree.SetItemParent(tree.GetItemByDataNode(source), folder)
    for node in nodes.color_nodes(scene, random_color(np.eye(4)), source):
        assert tree.GetItemParent(tree.GetItemByDataNode(node)) == folder


def test_labels_round_trip_with_names(scene, oblique):
    array = np.zeros((3, 4, 5), np.int16)
    array[0], array[1] = 2, 300
    node = nodes.node_from_labels(
        scene, LabelVolume(array, oblique, {2: "white matter", 300: "skin"}), "Labels", {2: (255, 0, 0)}
    )
    back = nodes.labels_from_node(node)
    np.testing.assert_array_equal(back.array, array)
    np.testing.assert_array_equal(back.affine, oblique)
    assert back.names == {2: "white matter", 300: "skin"}
    rgba = [0.0] * 4
    node.GetDisplayNode().GetColorNode().GetColor(2, rgba)
    assert rgba == [1, 0, 0, 1]
    node.GetDisplayNode().GetColorNode().GetColor(300, rgba)
    assert rgba[3] == 1
    assert rgba[:3] != [0, 0, 0]


def test_refusals_say_why(scene, oblique):
    color, _ = nodes.color_nodes(scene, random_color(np.eye(4)))
    labels = nodes.node_from_labels(scene, LabelVolume(np.ones((2, 2, 2), np.uint8), np.eye(4)), "Labels")
    empty = scene.AddNewNodeByClass("vtkMRMLScalarVolumeNode", "empty")
    model = scene.AddNewNodeByClass("vtkMRMLLinearTransformNode", "other")
    for node, words in (
        (None, "No volume"),
        (color, "colour"),
        (labels, "label map"),
        (empty, "no voxels"),
        (model, "not a volume"),
    ):
        with pytest.raises(InputError, match=words):
            nodes.volume_from_node(node)
    gray = nodes.node_from_volume(scene, Volume(np.zeros((2, 2, 2), np.int16), np.eye(4)), "Scan")
    for node in (None, gray, color):
        with pytest.raises(InputError, match="label map"):
            nodes.labels_from_node(node)
    sheared = oblique.copy()
    sheared[:3, 2] += sheared[:3, 0] * 0.3
    with pytest.raises(InputError, match="not perpendicular"):
        nodes.node_from_volume(scene, Volume(np.zeros((2, 2, 2), np.int16), sheared), "tilted")
    with pytest.raises(InputError, match="not perpendicular"):
        nodes.color_nodes(scene, random_color(sheared))
    gray.SetIJKToRASMatrix(matrix(sheared))
    with pytest.raises(InputError, match="not perpendicular"):
        nodes.volume_from_node(gray)


def test_alpha_without_a_measured_one_follows_luma():
    rgb = np.zeros((12, 14, 16, 3), np.uint8)
    rgb[3:9, 3:11, 3:13] = (200, 120, 90)
    color = ColorVolume(rgb, np.diag([1, 1, 1, 1.0]))
    alpha = with_alpha(color).array[..., 3]
    assert alpha[0, 0, 0] == 0
    middle = int(luma_codes(rgb[6, 6, 6]))
    assert abs(int(alpha[6, 6, 6]) - middle) <= middle * 0.1
    given_alpha = random_color(np.eye(4))
    assert with_alpha(given_alpha) is given_alpha
