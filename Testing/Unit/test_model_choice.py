"""Which modality a scan is taken for, and which shipped model colours it, over the real scans there are."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MedColorizeLib.imaging.read import read_volume
from MedColorizeLib.imaging.volume import Volume
from MedColorizeLib.imaging.windows import modality_of
from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.inference.network import choose_bundle

HEAD, BODY = "head-mr", "body-ct"
SCANS = {
    "mr/oasis/1017_t1.nii.gz": ("", HEAD),
    "mr/ixi/17_t1.nii.gz": ("", HEAD),
    "mr/ixi/20_flair.nii.gz": ("", HEAD),
    "mr/brain/stroke_t1.nii.gz": ("", HEAD),
    "mr/brain/stroke_t2.nii.gz": ("", HEAD),
    "mr/brain/stroke_flair.nii.gz": ("", HEAD),
    "mr/whole_head/chris_pd.nii.gz": ("", HEAD),
    "mr/whole_head/seg3d_mr.nii.gz": ("", HEAD),
    "mr/whole_head/t2w.nii.gz": ("", HEAD),
    "mr/whole_head/uih_t1_1mm.nii.gz": ("", HEAD),
    "dicom/brainix_flair": ("MR", HEAD),
    "dicom/ct_gantry_tilt_uneven": ("CT", BODY),
    "ct/thorax_1p4mm.nii.gz": ("CT", BODY),
    "ct/abdomen_3mm.nii.gz": ("CT", BODY),
    # Vessels alone, all else set to 0, in 256 steps: nothing in it tells CT from MR. The model warns (test_likeness).
    "ct/head_cta_avm.nii.gz": ("", HEAD),
}


@pytest.fixture(autouse=True)
def shipped_models_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOLORIZE_MODELS", str(tmp_path))


@pytest.mark.parametrize("scan", SCANS)
def test_each_real_scan_gets_its_modality_and_model(data: Path, scan: str) -> None:
    volume = read_volume(data / scan)
    assert (modality_of(volume), choose_bundle(volume)[0]) == SCANS[scan]


def test_shoulders_below_a_head_do_not_keep_it_from_the_head_model(data: Path) -> None:
    head = read_volume(data / "mr" / "whole_head" / "t2w.nii.gz")
    up = bool(head.affine[2, 2] > 0)
    wide = np.pad(head.array, ((0, 0), (0, 0), (110, 110)))
    shoulders = np.zeros((12, *wide.shape[1:]), wide.dtype)
    shoulders[:, 60:170, 10:-10] = 900
    parts = [shoulders, wide] if up else [wide, shoulders]
    affine = head.affine.copy()
    affine[:3, 3] -= 110 * affine[:3, 0] + (12 * affine[:3, 2] if up else 0)
    assert choose_bundle(Volume(np.concatenate(parts), affine))[0] == HEAD


def test_a_trunk_in_mr_is_not_given_to_the_head_model(data: Path) -> None:
    thorax = read_volume(data / "ct" / "thorax_1p4mm.nii.gz")
    trunk = Volume(thorax.array[:8], thorax.affine, "MR")
    assert choose_bundle(trunk)[0] is None
    notes = Colorizer().stream(trunk).notes
    assert any("mm wide" in note and "'head-mr'" in note for note in notes)
    assert not any("mm wide" in note for note in Colorizer(model="palette").stream(trunk).notes)
