"""`bench truth`, part `scans`: tissues against their reference colour, labels and HU rules, cutting, the whole part."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from MedColorizeLib.app.truth_bench import TruthBench
from MedColorizeLib.app.truth_colors import ScanPart
from MedColorizeLib.app.truth_painters import TruthPainter
from MedColorizeLib.app.truth_scans import (
    BONE,
    FAT,
    LUNG,
    SCANS,
    TISSUES,
    Scan,
    axial_pictures,
    load_scan,
    present,
    square,
    tissues_of,
)
from MedColorizeLib.errors import InputError
from MedColorizeLib.evaluation.tissue_match import DARK, LEAST_VOXELS, match_tissue, match_tissues
from MedColorizeLib.imaging.tissues import tissue_colors

GRAY = TruthPainter("gray", "gray", "", "gray")
BODY = TruthPainter("palette body-ct", "palette", "CT", "body", "body-ct")


def test_the_reference_colour_itself_matches() -> None:
    muscle = tissue_colors()["muscle"]
    match = match_tissue(np.tile(muscle.rgb(np.arange(40, 70)), (20, 1)), muscle)
    assert match.difference == pytest.approx(0, abs=1e-4)
    assert match.of_means == pytest.approx(0, abs=1e-4)
    assert match.in_range == 1
    assert match.mean_rgb == match.reference_rgb


def test_a_wrong_colour_is_as_far_off_as_scikit_image_says() -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    fat = tissue_colors()["fat"]
    wrong = np.array([[180, 180, 180]], np.uint8)
    match = match_tissue(np.repeat(wrong, 500, axis=0), fat)
    pair = [rgb2lab(color[None] / 255.0)[0, 0] for color in (wrong, fat.rgb(np.array([180])))]
    pair[1][0] = pair[0][0]
    assert match.difference == pytest.approx(float(deltaE_ciede2000(*pair)), abs=0.05)
    assert match.difference > 10


def test_luma_beyond_the_photographs_is_told() -> None:
    liver = tissue_colors()["liver"]
    low, high = liver.measured
    luma = np.array([int(low) + 2] * 300 + [200] * 100)
    assert match_tissue(liver.rgb(luma), liver).in_range == pytest.approx(0.75)
    assert high < 200


def test_rims_dark_voxels_and_small_tissues_have_no_say() -> None:
    colors = tissue_colors()
    names = ("muscle", "fat", "liver")
    tissues = np.zeros((12, 20, 20), np.uint8)
    tissues[2:10, 4:16, 4:16] = 1
    tissues[0, :4, :4] = 2  # too small
    rgb = np.zeros((*tissues.shape, 3), np.uint8)
    rgb[...] = (0, 0, 255)
    rgb[3:9, 5:15, 5:15] = colors["muscle"].rgb(50)
    rgb[4, 6, 6] = (DARK - 2,) * 3
    found = match_tissues(rgb, tissues, names, colors)
    assert list(found) == ["muscle"]
    assert found["muscle"].voxels == 6 * 10 * 10 - 1
    assert found["muscle"].difference == pytest.approx(0, abs=1e-4)
    assert np.count_nonzero(tissues == 2) < LEAST_VOXELS


def test_rules_yield_to_labels_and_stay_inside_the_body() -> None:
    values = np.full((6, 40, 40), -1000.0, np.float32)
    values[:, 5:35, 5:35] = 50
    values[:, 8:14, 8:32] = -100
    values[:, 18:26, 18:26] = -800
    values[:, 28:32, 8:32] = 600
    values[:, :3, :3] = -100  # a blanket
    body = values > -500
    body[:, :3, :3] = False
    labels = np.zeros(values.shape, np.uint8)
    labels[:, 8:14, 8:20] = 5
    scan = Scan("s", "CT", "", False, "", "totalsegmentator", (FAT, LUNG, BONE))
    found = tissues_of(scan, values, body, labels)

    def at(row: int, column: int) -> str:
        value = int(found[3, row, column])
        return TISSUES[value - 1] if value else ""

    assert at(10, 10) == "liver"  # the label, though its HU are those of fat
    assert at(10, 28) == "fat"
    assert at(22, 22) == "lung"  # air that the body closes around
    assert at(30, 20) == "bone"
    assert at(1, 1) == ""
    assert at(38, 38) == ""
    assert at(16, 6) == ""


def test_pictures_are_cut_to_the_body_and_of_one_size() -> None:
    picture = np.zeros((100, 60, 3), np.uint8)
    picture[20:60, 10:30] = (200, 100, 50)
    small = square(picture, 80)
    assert small.shape == (80, 80, 3)
    lit = small.max(axis=-1) > 8
    assert lit.any(axis=1).all()
    assert abs(int(lit.any(axis=0).sum()) - 40) <= 1
    assert not square(np.zeros((10, 10, 3), np.uint8), 80).any()


def test_axial_pictures_have_the_nose_up() -> None:
    array = np.zeros((3, 4, 5), np.uint8)
    array[2, 3, 0] = 9  # most superior, most anterior, leftmost index i=0
    affine = np.diag([1.0, 1.0, 1.0, 1.0])  # i to the right, j forward, k up
    pictures = axial_pictures(array, affine)
    assert pictures[0, 0, -1] == 9  # first slice is the top one, first row the front, the patient's left at the right


def test_what_is_trained_on_is_not_called_held_out() -> None:
    held_out = {scan.name for scan in SCANS if scan.held_out}
    assert {"oasis-1017", "oasis-1023", "ixi-17", "ixi-20", "stroke-t2", "cta"} <= held_out
    assert not {"abdomen", "thorax", "lungs"} & held_out
    assert all(tissue in TISSUES for scan in SCANS for tissue, _, _ in scan.rules)
    assert set(TISSUES) <= set(tissue_colors())


def test_a_scan_is_cut_about_the_middle_of_the_body_in_place(data: Path) -> None:
    scan = next(s for s in SCANS if s.name == "ixi-17")
    whole, part = load_scan(data, scan, 0), load_scan(data, scan, 8)
    axis = int(np.argmin(part.volume.array.shape))
    assert part.volume.array.shape[axis] == 8
    assert part.window == whole.window
    found = np.flatnonzero(whole.body.any(axis=tuple(a for a in range(3) if a != axis)))
    index = np.zeros(4)
    index[3] = 1
    here = part.volume.affine @ index
    there = np.linalg.solve(whole.volume.affine, here)[:3][::-1]
    start = tuple(round(v) for v in there)
    box = tuple(slice(s, s + n) for s, n in zip(start, part.volume.array.shape, strict=True))
    np.testing.assert_array_equal(whole.volume.array[box], part.volume.array)
    assert found[0] < start[axis] < found[-1]
    assert part.tissues is not None
    assert set(np.unique(part.tissues)) == {0, 1, 2, 3}


def test_data_without_scans_is_told(tmp_path: Path) -> None:
    assert present(tmp_path) == []
    assert not ScanPart(tmp_path).takes(GRAY)
    with pytest.raises(InputError, match="holds none of the scans"):
        ScanPart(tmp_path).run(GRAY)


def test_a_painter_is_judged_on_what_it_was_made_for(data: Path, tmp_path: Path) -> None:
    """A CT palette and the gray picture on one CT and one MR: the palette has no MR row, gray has both."""
    scans = tuple(s for s in SCANS if s.name in ("abdomen", "ixi-20"))
    part = ScanPart(data, 6, scans, ((90, 93), (640, 648)))
    document = TruthBench([part], [GRAY, BODY], tmp_path / "out").run_all(resume=False)
    figures = document["parts"]["scans"]
    assert set(figures["gray"]) == {"MR", "CT"}
    assert set(figures["palette body-ct"]) == {"CT"}
    palette, gray = figures["palette body-ct"]["CT"], figures["gray"]["CT"]
    for tissue in ("fat", "muscle", "liver", "kidney"):
        assert palette["tissues"][tissue]["difference"] + 5 < gray["tissues"][tissue]["difference"]
    assert gray["luma_psnr"] is None  # infinite: nothing is lost
    assert palette["luma_ssim"] == 1
    name = "Lab statistics, 23 numbers a picture"
    assert palette["frechet"][name] < gray["frechet"][name]
    assert figures["photographs"]["CT"]["flicker_per_mm"] is not None
    text = (tmp_path / "out" / "truth.md").read_text()
    assert "Not held out (models may have been trained on them): abdomen." in text
    assert "## MR: tissue by tissue" in text
    assert (tmp_path / "out" / "sheets" / "scans.png").is_file()
