"""The `Colorizer` on phantoms and real scans: exact luma, kept geometry, alpha, labels, notes, cancel."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from MedColorizeLib import CancelToken, Colorizer, LabelVolume, Progress, Volume, read_labels, read_volume
from MedColorizeLib.errors import Cancelled, InputError, UsageError
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.windows import Window, codes
from MedColorizeLib.inference.painter import Subject
from MedColorizeLib.inference.palette import load_palette, palette_names

SCANS = [
    "mr/oasis/1017_t1.nii.gz",
    "mr/brain/stroke_flair.nii.gz",
    "mr/whole_head/seg3d_mr.nii.gz",
    "ct/abdomen_3mm.nii.gz",
]


def phantom(dtype: type = np.int16, shape: tuple[int, int, int] = (12, 14, 16)) -> Volume:
    rng = np.random.default_rng(0)
    array = rng.normal(20, 8, shape)
    array[3:9, 3:11, 3:13] = rng.normal(500, 120, (6, 8, 10))
    affine = np.diag([3.0, 3.0, 5.0, 1.0])
    return Volume(np.abs(array).astype(dtype), affine, "MR")


@pytest.mark.parametrize("scan", SCANS)
@pytest.mark.parametrize("palette", ["head-mr", "body-ct", "colorblind"])
def test_luma_error_is_zero_on_real_scans(data: Path, scan: str, palette: str) -> None:
    volume = read_volume(data / scan)
    color = Colorizer(palette=palette).colorize(volume)
    window = Window(*color.provenance["window"])
    np.testing.assert_array_equal(luma_codes(color.rgb), codes(volume.array, window))
    assert np.array_equal(color.affine, volume.affine)


def test_a_volume_in_which_nothing_stands_out_is_coloured_whole() -> None:
    array = np.zeros((3, 4, 5), np.uint8)
    array[-1, -1, -1] = 214
    color = Colorizer(palette="body-ct").colorize(Volume(array, np.eye(4)), window=(213.0, 253.0))  # code 6 at most
    assert luma_codes(color.rgb).max() == 6


@settings(deadline=None, max_examples=40)
@given(st.data())
def test_luma_error_is_zero_for_any_volume_palette_and_window(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from([np.uint8, np.int16, np.int32, np.float32])))
    elements = st.integers(0, 255) if dtype == np.uint8 else st.integers(-2000, 4000)
    array = data.draw(hnp.arrays(dtype, (3, 4, 5), elements=elements.map(dtype.type)))
    low = data.draw(st.floats(-1500, 2000))
    window = Window(low, low + data.draw(st.floats(1, 3000)))
    labels = data.draw(hnp.arrays(np.uint8, (3, 4, 5), elements=st.integers(0, 9)))
    palette = data.draw(st.sampled_from(palette_names()))
    affine = np.eye(4)
    color = Colorizer(palette=palette).colorize(
        Volume(array, affine), labels=LabelVolume(labels, affine, {1: "liver", 2: "white matter"}), window=window
    )
    np.testing.assert_array_equal(luma_codes(color.rgb), codes(array, window))


@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.int64, np.float32, np.float64])
def test_every_number_type_gets_the_same_colors(dtype: type) -> None:
    volume = phantom(np.uint8)
    expected = Colorizer(palette="body-ct").colorize(volume, window=(0, 255))
    other = Volume(volume.array.astype(dtype), volume.affine, "MR")
    color = Colorizer(palette="body-ct").colorize(other, window=(0, 255))
    # Number types without a table of their own see the palette in 1024 steps.
    assert np.abs(color.array.astype(int) - expected.array).max() <= 3


@pytest.mark.parametrize("alpha", [False, True])
def test_a_part_is_coloured_as_in_the_whole_and_lies_where_it_lay(alpha: bool) -> None:
    volume = phantom()
    whole = Colorizer().colorize(volume, alpha=alpha)
    part = Colorizer().colorize(volume, alpha=alpha, part=(4, 9))
    assert np.array_equal(part.array, whole.array[4:9])
    assert np.array_equal(part.affine @ [2, 3, 0, 1], volume.affine @ [2, 3, 4, 1])


def test_parts_that_are_none_are_refused_and_nothing_is_shifted_for_the_whole() -> None:
    volume = phantom()
    for part in ((5, 5), (7, 3), (-2, 3), (8, 20)):
        with pytest.raises(UsageError, match="can't be coloured: the volume has 12"):
            Colorizer().colorize(volume, part=part)
    with pytest.raises(UsageError, match="uncertainty"):
        Colorizer().stream(volume, part=(1, 2), uncertainty=True)
    affine = volume.affine.copy()
    affine[:3, 3] = [-0.0, 5.0, -0.0]
    kept = Colorizer(model="palette").colorize(Volume(volume.array, affine, "MR"))
    assert kept.affine.tobytes() == affine.tobytes()
    assert "slices" not in kept.provenance
    assert Colorizer(model="palette").colorize(volume, part=(1, 3)).provenance["slices"] == [1, 3]


def test_alpha_is_measured_intensity_inside_the_body() -> None:
    volume = phantom()
    color = Colorizer(palette="head-mr").colorize(volume, alpha=True)
    gray = codes(volume.array, Window(*color.provenance["window"]))
    assert (color.array[..., 3] <= gray).all()
    np.testing.assert_array_equal(color.array[6, 6:9, 7:10, 3], gray[6, 6:9, 7:10])
    assert color.array[0, 0, :, 3].max() == 0


def test_nothing_outside_the_body_is_coloured() -> None:
    color = Colorizer(palette="head-mr").colorize(phantom()).array[0, 0]
    np.testing.assert_array_equal(color[:, 0], color[:, 1])
    np.testing.assert_array_equal(color[:, 0], color[:, 2])


def test_free_follows_the_palette_and_balanced_lies_between() -> None:
    volume = phantom()
    gray = codes(volume.array, Window(0, 900)).astype(int)
    error = {}
    for fidelity in ("exact", "balanced", "free"):
        color = Colorizer(palette="head-mr").colorize(volume, window=(0, 900), fidelity=fidelity)
        error[fidelity] = np.abs(luma_codes(color.rgb) - gray).max()
    assert error["exact"] == 0 < error["balanced"] <= 8 < error["free"]


def test_labels_choose_the_colour(data: Path) -> None:
    volume = read_volume(data / "mr" / "oasis" / "1017_t1.nii.gz")
    tissues = read_labels(data / "mr" / "oasis" / "1017_tissues.nii.gz", like=volume)
    named = LabelVolume(tissues.array, tissues.affine, {2: "gray matter", 3: "white matter"})
    color = Colorizer(palette="colorblind").colorize(volume, labels=named, window=(0, 255))
    bright = volume.array > 60
    gray_matter = color.rgb[(tissues.array == 2) & bright].astype(int)
    white_matter = color.rgb[(tissues.array == 3) & bright].astype(int)
    assert (gray_matter[:, 2] > gray_matter[:, 0]).mean() > 0.99  # blue
    assert (white_matter[:, 0] > white_matter[:, 2]).mean() > 0.99  # orange


def test_labels_that_mean_nothing_to_the_palette_are_told() -> None:
    volume = phantom()
    labels = LabelVolume(np.full(volume.shape, 77, np.uint8), volume.affine)
    assert "none of the labels" in " ".join(Colorizer(palette="head-mr").colorize(volume, labels=labels).notes)


def test_not_finite_voxels_are_counted_black_and_transparent() -> None:
    volume = phantom(np.float32)
    volume.array[5, 5, 5:8] = [np.nan, np.inf, -np.inf]
    color = Colorizer(palette="head-mr").colorize(volume, alpha=True)
    assert "1 voxels are NaN and 2 infinite" in " ".join(color.notes)
    assert not color.array[5, 5, 5:8].any()


@pytest.mark.parametrize("shape", [(1, 1, 1), (1, 9, 9), (40, 1, 3), (2, 3, 1)])
def test_thin_and_tiny_volumes(shape: tuple[int, int, int]) -> None:
    array = np.random.default_rng(1).integers(0, 900, shape).astype(np.int16)
    color = Colorizer(palette="head-mr").colorize(Volume(array, np.eye(4)), alpha=True)
    assert color.array.shape == (*shape, 4)


def test_constant_volume_is_coloured_and_says_so() -> None:
    color = Colorizer(palette="head-mr").colorize(Volume(np.full((4, 5, 6), 9, np.int16), np.eye(4)))
    assert "every voxel is 9" in " ".join(color.notes)


def test_cancel_stops_between_slabs_and_progress_counts() -> None:
    volume = Volume(np.zeros((40, 400, 400), np.int16), np.eye(4))
    token, seen = CancelToken(), []

    def watch(event: Progress) -> None:
        seen.append(event)
        if event.stage == "colorize" and event.done == 1:
            token.cancel()

    with pytest.raises(Cancelled):
        Colorizer(palette="head-mr").colorize(volume, on_progress=watch, cancel=token)
    assert seen[-1].done == 1 < seen[-1].total


def test_provenance_names_the_making() -> None:
    volume = phantom()
    made = Colorizer(palette="head-mr").colorize(volume).provenance
    assert made["synthetic_color"] is True
    assert made["method"] == "palette"
    assert made["model"] == "head-mr"
    assert made["input_sha256"] == volume.sha256
    assert len(made["model_sha256"]) == 64
    assert 0 <= made["gamut_overflow_share"] <= 1


def test_a_computing_painter_sees_the_codes_and_is_locked() -> None:
    class Red:
        """A painter that would make everything red, one slab at a time."""

        name = "red"

        def describe(self) -> dict[str, str]:
            return {"method": "red", "model": "red"}

        def paint(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> np.ndarray:
            assert subject.gray.dtype == np.uint8
            out = np.zeros((stop - start, *subject.gray.shape[1:], 3), np.float32)
            out[..., 0] = 200
            return out

    volume = phantom()
    color = Colorizer(painter=Red()).colorize(volume)
    gray = codes(volume.array, Window(*color.provenance["window"]))
    np.testing.assert_array_equal(luma_codes(color.rgb), gray)
    inside = color.rgb[4:8, 4:10, 4:12].astype(int)
    assert (inside[..., 0] > inside[..., 1]).mean() > 0.95


def test_colour_given_up_outside_the_body_is_not_counted() -> None:
    """Black has no room for the chroma that a painter proposes there, and nobody sees it."""

    class Rosy:
        name = "rosy"

        def describe(self) -> dict[str, str]:
            return {"method": "rosy"}

        def paint(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> np.ndarray:
            gray = subject.gray[start:stop].astype(np.float32)
            return np.stack([gray + 30, gray - 10, gray - 10], axis=-1)

    array = np.zeros((12, 20, 20), np.int16)
    array[:, 5:15, 5:15] = 500
    array[0, 5:15, 5:15] = 999
    scan = Volume(array, np.diag([3.0, 3.0, 3.0, 1.0]), "MR")
    color = Colorizer(painter=Rosy()).colorize(scan, window=(0, 1000))
    # White has none either, and that is seen: one slice of twelve.
    assert color.provenance["gamut_overflow_share"] == pytest.approx(100 / array.size, rel=0.1)


def test_refusals() -> None:
    volume = phantom()
    with pytest.raises(InputError, match="labels nothing inside the scan"):
        Colorizer(palette="head-mr").colorize(volume, labels=LabelVolume(np.zeros((2, 2, 2), int), np.eye(4)))
    with pytest.raises(UsageError, match="fidelity"):
        Colorizer(palette="head-mr").colorize(volume, fidelity="fair")  # type: ignore[arg-type]
    with pytest.raises(UsageError, match="exclude"):
        Colorizer(model="head-mr", palette="head-mr")
    with pytest.raises(UsageError, match="colorblind"):
        Colorizer(palette="no-such").colorize(volume)


def test_own_palette_files(tmp_path: Path) -> None:
    own = tmp_path / "mine.toml"
    own.write_text("stops = [{ at = 0, rgb = [0, 0, 0] }, { at = 255, rgb = [0, 255, 0] }]")
    color = Colorizer(palette=str(own)).colorize(phantom())
    inside = color.rgb[4:8, 4:10, 4:12].astype(int)
    assert (inside[..., 1] >= inside[..., 0]).all()
    table = tmp_path / "slicer.ctbl"
    table.write_text("# Color table\n0 Background 0 0 0 0\n7 Left_Kidney 185 102 83 255\n")
    palette = load_palette(table)
    assert palette.colors_of_labels(LabelVolume(np.zeros((1, 1, 1), int), np.eye(4))) == {7: (185.0, 102.0, 83.0)}


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("stops = 3", "list of tables"),
        ("stops = [{ at = 0, rgb = [0, 0, 0] }]", "at least two stops"),
        ("stops = [{ at = 9, rgb = [0, 0, 0] }, { at = 1, rgb = [0, 0, 0] }]", "rising"),
        ("stops = [{ at = 0, rgb = [0, 0] }, { at = 1, rgb = [0, 0, 0] }]", "three numbers"),
        ("stops = [{ at = 0, rgb = [0, 0, 300] }, { at = 1, rgb = [0, 0, 0] }]", "0 to 255"),
        ("colours = 1", "unknown key 'colours'"),
        ("not toml at all [", "not a palette"),
        ("stops = [{ at = 0, rgb = [0,0,0] }, { at = 1, rgb = [0,0,0] }]\nlabels = [{ rgb = [1,1,1] }]", "'value'"),
    ],
)
def test_palette_errors_name_the_file_and_the_cause(tmp_path: Path, text: str, words: str) -> None:
    (tmp_path / "bad.toml").write_text(text)
    with pytest.raises(InputError, match=words) as error:
        load_palette(tmp_path / "bad.toml")
    assert "bad.toml" in str(error.value)


def _simulate(rgb: np.ndarray, kind: str) -> np.ndarray:
    """What a person without red (protan), green (deutan) or blue (tritan) cones sees, by Machado et al. 2009."""
    matrices = {
        "protan": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216], [-0.003882, -0.048116, 1.051998]],
        "deutan": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.011820, 0.042940, 0.968881]],
        "tritan": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602], [0.004733, 0.691367, 0.303900]],
    }
    linear = np.where(rgb <= 10.31475, rgb / 3294.6, ((rgb / 255 + 0.055) / 1.055) ** 2.4)
    seen = np.clip(linear @ np.array(matrices[kind]).T, 0, 1)
    return 255 * np.where(seen <= 0.0031308, seen * 12.92, 1.055 * seen ** (1 / 2.4) - 0.055)


@pytest.mark.parametrize("kind", ["protan", "deutan", "tritan"])
def test_the_colour_blind_palette_keeps_its_neighbours_apart(kind: str) -> None:
    from skimage.color import deltaE_ciede2000, rgb2lab

    stops = np.array([s.rgb for s in load_palette("colorblind").stops])
    lab = rgb2lab(_simulate(stops, kind) / 255)
    assert deltaE_ciede2000(lab[:-1], lab[1:]).min() > 10


def test_air_around_a_body_stays_gray_in_a_window_that_shows_it_bright(data: Path) -> None:
    """In the lung window air is at a quarter of the brightness: that is no reason to take it for tissue."""
    whole = read_volume(data / "ct" / "thorax_1p4mm.nii.gz")
    volume = Volume(np.ascontiguousarray(whole.array[140:144]), whole.affine, "CT")
    color = Colorizer(model="body-ct", device="cpu").colorize(volume, window="lung").array.astype(int)
    stain = np.ptp(color, axis=-1)
    assert stain[:, :10, :10].max() == 0
    assert color[:, :10, :10].min() > 20
    assert np.median(stain[volume.array > -100]) > 10
