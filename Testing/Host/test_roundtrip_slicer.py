"""Every file that this library writes, read by Slicer's own storage node: voxels, place and colour type."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

slicer = pytest.importorskip("slicer", reason="slicer-core is not installed")

from MedColorizeLib import ColorVolume, read_color, write_color  # noqa: E402
from MedColorizeLib.mrml.geometry import read_affine  # noqa: E402
from MedColorizeLib.mrml.host import close_scene, new_scene  # noqa: E402
from MedColorizeLib.mrml.nodes import array_from_node, color_nodes  # noqa: E402
from MedColorizeLib.mrml.storage import load_color_node, save_node  # noqa: E402


@pytest.fixture
def scene():
    """A scene of its own for each test."""
    one = new_scene()
    yield one
    close_scene(one)


def colored(affine: np.ndarray, channels: int) -> ColorVolume:
    rng = np.random.default_rng(channels)
    return ColorVolume(rng.integers(0, 256, (5, 4, 7, channels), dtype=np.uint8), affine, {"method": "palette"})


@pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
@pytest.mark.parametrize("channels", [3, 4])
def test_slicer_reads_what_we_write(scene, tmp_path: Path, oblique: np.ndarray, ending: str, channels: int) -> None:
    color = colored(oblique, channels)
    node = load_color_node(scene, write_color(tmp_path / f"c{ending}", color))
    np.testing.assert_array_equal(array_from_node(node), color.array)
    np.testing.assert_allclose(read_affine(node), oblique, rtol=1e-6, atol=1e-5)
    kinds = slicer.vtkMRMLVolumeNode
    wanted = kinds.VoxelVectorTypeColorRGB if channels == 3 else kinds.VoxelVectorTypeColorRGBA
    if ending.startswith(".mh"):
        # MetaImage has no word for colour: Slicer reads its own colour files of this format back untyped too.
        wanted = kinds.VoxelVectorTypeUndefined
    assert node.GetVoxelVectorType() == wanted


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha"])
def test_we_read_what_slicer_writes(scene, tmp_path: Path, oblique: np.ndarray, ending: str) -> None:
    color = colored(oblique, 4)
    for node, array in zip(color_nodes(scene, color), (color.array[..., :3], color.array), strict=True):
        back = read_color(save_node(node, tmp_path / f"s{array.shape[-1]}{ending}"))
        np.testing.assert_array_equal(back.array, array)
        np.testing.assert_allclose(back.affine, oblique, rtol=1e-6, atol=1e-5)
