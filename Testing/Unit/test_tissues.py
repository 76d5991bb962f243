"""The table of tissue colours: reading it, what lies beyond its knots, growing regions, and measuring it anew."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MedColorizeLib.app.tissue_table import Region, find_regions, grow, measure, read_seeds, regions_picture, to_toml
from MedColorizeLib.errors import InputError, UsageError
from MedColorizeLib.imaging.colorspaces import luma_codes, ycbcr_to_rgb
from MedColorizeLib.imaging.tissues import (
    MOST_LIGHT,
    read_tissue_colors,
    tissue_colors,
    tissue_labels_of,
    tissue_map,
)

NEEDED = ("white matter", "gray matter", "csf", "fat", "muscle", "bone", "vessels", "lung", "liver")
HELD_OUT = ((75, 110), (425, 460), (635, 670), (1095, 1130))


@given(st.sampled_from(NEEDED), st.integers(0, 255))
def test_a_tissue_has_a_colour_of_every_luma(name: str, code: int) -> None:
    assert int(luma_codes(tissue_colors()[name].rgb(np.uint8(code))[None])[0]) == code


def test_the_knots_are_the_curve_and_beyond_them_light_changes() -> None:
    muscle = tissue_colors()["muscle"]
    np.testing.assert_allclose(muscle.chroma(muscle.luma), muscle.cbcr)
    low, high = muscle.measured
    np.testing.assert_allclose(muscle.chroma(low / 2), muscle.cbcr[0] / 2)
    np.testing.assert_allclose(muscle.chroma(high * 1.2), muscle.cbcr[-1] * 1.2)
    np.testing.assert_allclose(muscle.chroma(high * 3), muscle.cbcr[-1] * MOST_LIGHT)


def test_tissues_look_as_an_anatomist_expects() -> None:
    colors = tissue_colors()
    for name, color in colors.items():
        rgb = color.rgb(color.luma).astype(int)
        assert (rgb[:, 0] >= rgb[:, 1]).all(), f"{name} is not warm"
        assert (rgb[:, 1] >= rgb[:, 2] - 8).all(), f"{name} is purple"
    assert colors["fat"].luma.mean() > colors["muscle"].luma.mean() + 80
    assert colors["white matter"].luma.min() > colors["gray matter"].luma.max()
    # Fat is yellow (blue is missing most), muscle red (green is missing too).
    fat, muscle = colors["fat"].rgb(200).astype(int), colors["muscle"].rgb(60).astype(int)
    assert fat[1] - fat[2] > fat[0] - fat[1]
    assert muscle[0] - muscle[1] > muscle[1] - muscle[2]


def test_no_seed_lies_in_a_held_out_frame() -> None:
    seeds = read_seeds()
    assert not [s for s in seeds if any(first <= s.frame <= last for first, last in HELD_OUT)]
    assert {s.tissue for s in seeds} == set(tissue_colors())


def test_label_sets_name_only_tissues_of_the_table() -> None:
    for label_set in ("neuromorphometrics", "tissues-3", "totalsegmentator"):
        assert set(tissue_labels_of(label_set).values()) <= set(tissue_colors())
    assert tissue_labels_of("neuromorphometrics")[44] == "white matter"
    assert tissue_labels_of("neuromorphometrics")[207] == "gray matter"
    assert tissue_labels_of("totalsegmentator")[5] == "liver"
    assert 4 not in tissue_labels_of("totalsegmentator")  # the gallbladder has no colour of its own in the table
    with pytest.raises(UsageError, match="Known: neuro"):
        tissue_labels_of("other")


def test_labels_become_tissues() -> None:
    labels = np.array([[0, 1, 2, 3, 99]])
    np.testing.assert_array_equal(tissue_map(labels, "tissues-3", ("white matter", "csf")), [[0, 2, 0, 1, 0]])


def test_labels_agree_with_the_brains_they_are_of(data: Path) -> None:
    """In T1, white matter is brighter than gray, and gray than fluid; the two label sets of OASIS say the same."""
    import nibabel

    def read(name: str) -> np.ndarray:
        return np.asarray(nibabel.load(data / "mr" / name).dataobj)

    tissues = ("csf", "gray matter", "white matter")
    t1 = read("oasis/1017_t1.nii.gz")
    fine, coarse = read("oasis/1017_structures.nii.gz"), read("oasis/1017_tissues.nii.gz")
    by_structure = tissue_map(fine, "neuromorphometrics", tissues)
    by_tissue = tissue_map(coarse, "tissues-3", tissues)
    means = [t1[by_structure == n].mean() for n in (1, 2, 3)]
    assert means[0] + 20 < means[1] < means[2] - 40
    both = (by_structure > 0) & (by_tissue > 0)
    assert (by_structure == by_tissue)[both].mean() > 0.75
    ixi = tissue_map(read("ixi/17_structures.nii.gz"), "neuromorphometrics", tissues)
    means = [read("ixi/17_t1.nii.gz")[ixi == n].mean() for n in (1, 2, 3)]
    assert means[0] + 20 < means[1] < means[2] - 10


def _picture() -> np.ndarray:
    """A red disc with shading in a yellow field, and a second red disc apart."""
    y, x = np.mgrid[:120, :160]
    luma = 60 + 0.2 * x
    red = np.stack([luma, np.full(luma.shape, 116.0), np.full(luma.shape, 150.0)], axis=-1)
    yellow = np.stack([np.full(luma.shape, 200.0), np.full(luma.shape, 92.0), np.full(luma.shape, 146.0)], axis=-1)
    disc = (np.hypot(y - 60, x - 60) < 25) | (np.hypot(y - 60, x - 110) < 15)
    return np.clip(np.rint(ycbcr_to_rgb(np.where(disc[..., None], red, yellow))), 0, 255).astype(np.uint8)


def test_a_seed_grows_over_its_own_tissue_only() -> None:
    picture = _picture()
    box, mask = grow(picture, 60, 60, 9.0)
    y, x = np.nonzero(mask)
    away = np.hypot(y + box[0].start - 60, x + box[1].start - 60)
    assert away.max() < 25
    assert mask.sum() > 0.8 * np.pi * 23**2


def test_measuring_gives_back_the_colour_that_was_painted() -> None:
    picture = _picture()
    box, mask = grow(picture, 60, 60, 9.0)
    color = measure([Region("muscle", 1, (60, 60), box, mask, picture[box])])["muscle"]
    np.testing.assert_allclose(color.cbcr, np.broadcast_to([-12, 22], color.cbcr.shape), atol=1.0)
    assert 60 < color.luma[0] < color.luma[-1] < 85
    assert color.spread < 1


def test_a_seed_that_misses_is_told() -> None:
    picture = _picture()
    region = Region("muscle", 1, (0, 0), (slice(0, 4), slice(0, 4)), np.zeros((4, 4), bool), picture[:4, :4])
    with pytest.raises(InputError, match="Place its seeds anew"):
        measure([region])


def test_the_table_is_what_the_frames_give(data: Path, tmp_path: Path) -> None:
    """Two tissues, measured anew from the real frames, are what the shipped file says."""
    seeds = [s for s in read_seeds() if s.tissue in ("liver", "kidney")]
    regions = find_regions(data / "cryosections" / "vhm", seeds)
    path = tmp_path / "again.toml"
    path.write_text(to_toml(measure(regions)))
    again = read_tissue_colors(path)
    for name in ("liver", "kidney"):
        np.testing.assert_allclose(again[name].cbcr, tissue_colors()[name].cbcr, atol=0.2)
    picture = regions_picture(regions)
    assert (picture == (0, 255, 255)).all(axis=-1).any()


def test_damaged_tables_are_refused(tmp_path: Path) -> None:
    path = tmp_path / "t.toml"
    path.write_text('[tissue."x"]\nknots = [[20, 1, 2], [10, 1, 2]]\nspread = 1\nregions = 1\n')
    with pytest.raises(InputError, match="rising"):
        read_tissue_colors(path)
    path.write_text('[tissue."x"]\nknots = 3\n')
    with pytest.raises(InputError, match="needs knots"):
        read_tissue_colors(path)
    with pytest.raises(InputError, match="can't be read"):
        read_tissue_colors(tmp_path / "none.toml")
