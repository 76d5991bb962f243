"""Which tissue a voxel is held for in training: by label, by density, by brightness around a labelled brain."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name

from MedColorizeLib.errors import UsageError
from MedColorizeLib.methods.medcolorize import TISSUES
from MedColorizeLib.training.anatomy import body_ct, head_mr
from MedColorizeLib.training.collect import Folders, collect
from MedColorizeLib.training.recipe import load_recipe
from MedColorizeLib.training.settings import DataSettings

MM = (2.0, 2.0, 2.0)


def number(tissue: str) -> int:
    return 1 + TISSUES.index(tissue)


def head(skull: bool) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Codes, mask and labels of nested balls: white matter 44, gray matter 100, fluid; with a skull: bone, then fat."""
    grid = np.indices((48, 48, 48)) - 23.5
    radius = np.sqrt((grid**2).sum(0)) * 2.0  # mm
    codes = np.select(
        [radius < 20, radius < 26, radius < 28, radius < 36, radius < 44], [180, 120, 30, 10, 230 if skull else 0], 0
    )
    labels = np.select([radius < 20, radius < 26], [44, 100], 0)
    return codes.astype(np.uint8), radius < (44 if skull else 28), labels.astype(np.int16)


def test_a_skull_stripped_brain_is_its_labels_and_fluid_around_them() -> None:
    codes, mask, labels = head(skull=False)
    out = head_mr(codes, mask, labels, MM)
    assert (out[labels == 44] == number("white matter")).all()
    assert (out[labels == 100] == number("gray matter")).all()
    assert (out[mask & (labels == 0)] == number("csf")).all()
    assert not out[~mask].any()


def test_a_bright_shell_away_from_the_brain_is_fat_and_nothing_next_to_the_brain_is_guessed() -> None:
    codes, mask, labels = head(skull=True)
    out = head_mr(codes, mask, labels, MM)
    assert (out[mask & (codes == 230)] == number("fat")).mean() > 0.95
    assert number("muscle") not in np.unique(out)
    assert not (out[(codes == 30)] == number("fat")).any()


def test_a_head_without_labels_stays_unknown() -> None:
    codes, mask, _ = head(skull=True)
    assert not head_mr(codes, mask, None, MM).any()


def test_ct_is_told_by_density_and_labels_go_before_it() -> None:
    hounsfield = np.full((40, 80, 80), -1000, np.int16)
    hounsfield[:, 10:70, 10:70] = -100
    hounsfield[:, 14:66, 14:66] = 50
    hounsfield[:, 30:50, 30:50] = 700
    mask = hounsfield > -500
    out = body_ct(hounsfield, mask, None, MM)
    assert out[20, 12, 40] == number("fat")
    assert out[20, 18, 40] == number("muscle")
    assert out[20, 40, 40] == number("bone")
    assert out[20, 27, 40] == 0  # deep soft tissue may be any organ
    assert out[20, 5, 5] == 0
    labels = np.zeros(hounsfield.shape, np.uint8)
    labels[:, 24:30, 30:50] = 5
    labels[:, 60:70, 30:50] = 5  # liver drawn over fat: density is right
    named = body_ct(hounsfield, mask, labels, MM)
    assert named[20, 27, 40] == number("liver")
    assert named[20, 68, 40] == number("fat")


def test_soft_tissue_between_the_lungs_of_a_ct_is_the_heart() -> None:
    hounsfield = np.full((40, 90, 130), -1000, np.int16)
    hounsfield[:, 5:85, 5:125] = 50
    for lung in (slice(22, 50), slice(80, 108)):  # 60 mm apart
        hounsfield[5:30, 25:65, lung] = -800
    mask = np.zeros(hounsfield.shape, bool)
    mask[:, 5:85, 5:125] = True
    out = body_ct(hounsfield, mask, None, MM)
    assert out[18, 45, 65] == number("heart")
    assert out[18, 45, 30] == number("lung")
    assert out[18, 8, 65] == number("muscle")
    assert out[37, 45, 65] != number("heart")  # below the lungs
    alone = body_ct(np.where(hounsfield == -800, 50, hounsfield), mask, None, MM)
    assert number("heart") not in np.unique(alone)


def test_gray_volumes_are_shown_in_every_plane_that_is_asked_for(tmp_path: Path) -> None:
    random = np.random.default_rng(0)
    for subject in "ab":
        image = sitk.GetImageFromArray(random.integers(50, 200, (20, 24, 28)).astype(np.int16))
        (tmp_path / "g").mkdir(exist_ok=True)
        sitk.WriteImage(image, str(tmp_path / "g" / f"{subject}_t1.nii.gz"))
    changes = ["size=32", "gray_background=none", "color_background=none", "validation=0.0", "least_foreground=0.0"]
    recipe = load_recipe("medcolorize-head-mr", changes=[*changes, "color_validate=[]"])
    (tmp_path / "c").mkdir()
    color = sitk.GetImageFromArray(random.integers(0, 255, (20, 24, 28, 3)).astype(np.uint8), isVector=True)
    sitk.WriteImage(color, str(tmp_path / "c" / "v_rgb.nrrd"))
    made = collect(recipe, Folders(tmp_path / "g", tmp_path / "c", None), paired=False, cache=tmp_path / "k")
    assert sorted(len(each.positions) for each in made.train.gray.prepared) == [20, 20, 24, 24, 28, 28]
    batch = made.train.batch(0, range(2))
    assert batch.label_stack is not None
    assert batch.label_stack.shape == batch.gray.shape
    assert batch.color_stack is not None
    assert batch.color_stack.shape[1] == 9


def test_a_plane_that_does_not_exist_is_refused() -> None:
    with pytest.raises(UsageError, match="'oblique'"):
        DataSettings.from_mapping({"gray_planes": ["oblique"], "levels": "none"})
    with pytest.raises(UsageError, match="levels"):
        DataSettings.from_mapping({"gray_planes": ["axial", "coronal"]})
