"""Labels on another grid than the scan: nearest neighbour where they belong to it, refused where they don't."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedColorizeLib.errors import InputError
from MedColorizeLib.imaging.label_grid import labels_on
from MedColorizeLib.imaging.read import read_labels, read_volume
from MedColorizeLib.imaging.volume import LabelVolume, Volume
from MedColorizeLib.inference.colorizer import Colorizer


def scan(shape: tuple[int, int, int] = (9, 11, 13), affine: np.ndarray | None = None) -> Volume:
    rng = np.random.default_rng(0)
    return Volume(rng.integers(1, 900, shape).astype(np.int16), np.eye(4) if affine is None else affine, "MR")


def blob(shape: tuple[int, int, int]) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 4, shape).astype(np.uint8)


def slow_nearest(labels: LabelVolume, grid: Volume) -> np.ndarray:
    """The definition: for each voxel's centre, the label voxel whose centre is nearest."""
    out = np.zeros(grid.shape, labels.array.dtype)
    inverse = np.linalg.inv(labels.affine)
    for k, j, i in np.ndindex(*grid.shape):
        at = (inverse @ grid.affine @ [i, j, k, 1.0])[:3][::-1]
        n = np.floor(at + 0.5 + 1e-6).astype(int)
        if all(0 <= each < size for each, size in zip(n, labels.shape, strict=True)):
            out[k, j, i] = labels.array[tuple(n)]
    return out


@settings(max_examples=60, deadline=None)
@given(
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.tuples(*[st.sampled_from([0.5, 0.8, 1.0, 2.0])] * 3),
    st.tuples(*[st.floats(-4, 4)] * 3),
    st.sampled_from([0.0, 0.3]),
)
def test_every_voxel_gets_the_label_nearest_to_it(
    order: list[int], signs: tuple[int, ...], mm: tuple[float, ...], shift: tuple[float, ...], angle: float
) -> None:
    """Whatever the axes of the two: permuted, flipped, scaled, moved, turned."""
    grid = scan((5, 6, 7))
    affine = np.eye(4)
    turn = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    affine[:3, :3] = turn @ np.eye(3)[:, order] * np.array(signs) * mm
    middle = affine[:3, :3] @ [3, 3, 3]
    affine[:3, 3] = np.array([3, 2.5, 2]) - middle + shift
    labels = LabelVolume(blob((7, 7, 7)), affine, {1: "one"})
    expected = slow_nearest(labels, grid)
    if not expected.any():
        with pytest.raises(InputError, match="nothing inside"):
            labels_on(labels, grid)
        return
    found = labels_on(labels, grid)
    assert np.array_equal(found.array, expected)
    assert found.array.dtype == np.uint8
    assert np.array_equal(found.affine, grid.affine)
    assert found.names == {1: "one"}


def test_labels_on_the_scan_are_left_as_they_are() -> None:
    labels = LabelVolume(blob((9, 11, 13)), np.eye(4))
    assert labels_on(labels, scan()) is labels


def test_a_cropped_label_map_is_placed_and_told(oblique: np.ndarray) -> None:
    grid = scan((9, 11, 13), oblique)
    whole = blob((9, 11, 13))
    affine = oblique.copy()
    affine[:3, 3] = (oblique @ [2, 3, 4, 1])[:3]
    found = labels_on(LabelVolume(whole[4:8, 3:10, 2:12], affine), grid, "/patients/doe.nii")
    expected = np.zeros_like(whole)
    expected[4:8, 3:10, 2:12] = whole[4:8, 3:10, 2:12]
    assert np.array_equal(found.array, expected)
    (note,) = found.notes
    assert "100 %" in note
    assert "doe" not in note  # it is written into outputs


def test_labels_of_another_place_are_refused() -> None:
    away = np.eye(4)
    away[:3, 3] = 500
    with pytest.raises(InputError, match="labels nothing inside the scan") as raised:
        labels_on(LabelVolume(blob((9, 11, 13)), away), scan(), "labels.nii")
    assert "labels.nii" in str(raised.value)


def test_labels_that_have_lost_their_place_are_refused(oblique: np.ndarray) -> None:
    """As many voxels, but from the origin along the axes: laid there they would be wrong without a word."""
    affine = oblique.copy()
    affine[:3, 3] = -5
    with pytest.raises(InputError, match="where they are"):
        labels_on(LabelVolume(blob((9, 11, 13)), np.diag([-1.0, -1.0, 1.0, 1.0])), scan(affine=affine))


def test_colouring_takes_labels_from_another_grid_and_says_so(tmp_path: Path) -> None:
    """From files, as the command line does; the same colours as with labels that were resampled beforehand."""
    rng = np.random.default_rng(2)
    array = rng.integers(100, 900, (20, 22, 24)).astype(np.int16)
    affine = np.diag([1.0, 1.0, 1.0, 1.0])
    affine[:3, 3] = [-10, 5, 3]
    nibabel.save(nibabel.Nifti1Image(array.T, affine), tmp_path / "scan.nii.gz")
    coarse = np.zeros((10, 11, 12), np.uint8)
    coarse[2:8, 3:9, 3:9] = 2
    placed = np.diag([2.0, 2.0, 2.0, 1.0])
    placed[:3, 3] = affine[:3, 3] + 0.5  # the same box: a coarse voxel covers eight
    nibabel.save(nibabel.Nifti1Image(coarse.T, placed), tmp_path / "labels.nii.gz")
    volume = read_volume(tmp_path / "scan.nii.gz")
    labels = read_labels(tmp_path / "labels.nii.gz", onto=volume)
    assert np.array_equal(labels.array, coarse.repeat(2, 0).repeat(2, 1).repeat(2, 2))
    made = Colorizer(palette="head-mr").colorize(volume, labels=read_labels(tmp_path / "labels.nii.gz"))
    same = LabelVolume(labels.array, volume.affine)
    assert np.array_equal(made.array, Colorizer(palette="head-mr").colorize(volume, labels=same).array)
    assert any("nearest neighbour" in note for note in made.notes)
    assert not any("nearest neighbour" in note for note in Colorizer(palette="head-mr").colorize(volume).notes)


def test_command_line_takes_and_refuses_alike(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from MedColorizeLib.app.cli import main

    volume = scan((12, 14, 16))
    nibabel.save(nibabel.Nifti1Image(volume.array.T, volume.affine), tmp_path / "scan.nii.gz")
    near, away = np.diag([2.0, 2.0, 2.0, 1.0]), np.diag([2.0, 2.0, 2.0, 1.0])
    away[:3, 3] = 400
    for name, affine in (("near", near), ("away", away)):
        nibabel.save(nibabel.Nifti1Image(blob((6, 7, 8)).T, affine), tmp_path / f"{name}.nii.gz")
    words = ["colorize", str(tmp_path / "scan.nii.gz"), "--palette", "head-mr", "--labels"]
    if main([*words, str(tmp_path / "near.nii.gz"), "-o", str(tmp_path / "a.nrrd")]) != 0:
        pytest.fail(capsys.readouterr().err)
    assert "nearest neighbour" in capsys.readouterr().err
    assert main([*words, str(tmp_path / "away.nii.gz"), "-o", str(tmp_path / "b.nrrd")]) == 3
    assert "labels nothing inside the scan" in capsys.readouterr().err
    assert not (tmp_path / "b.nrrd").exists()
