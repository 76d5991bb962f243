"""Reading DICOM: geometry against SimpleITK and against arithmetic, values, frames, choice of series."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from dicom_phantoms import SECRET, enhanced_dataset, rotated, save, save_stack, slice_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from MedColorizeLib.errors import InputError, UsageError
from MedColorizeLib.imaging.dicom_decode import _frames_by_gdcm, decoded
from MedColorizeLib.imaging.dicom_read import open_dicom
from MedColorizeLib.imaging.dicom_series import list_series, looks_like_dicom

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])


def ramp(shape: tuple[int, ...], kind: type = np.int16) -> np.ndarray:
    return np.arange(np.prod(shape), dtype=kind).reshape(shape)


def itk_affine(image: sitk.Image) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    affine[:3, 3] = image.GetOrigin()
    return FLIP @ affine


def along(step: np.ndarray, count: int, first: tuple[float, ...] = (10.0, -20.0, 30.0)) -> np.ndarray:
    return np.array(first) + np.arange(count)[:, None] * np.asarray(step, dtype=float)


class TestRealSeries:
    def test_oblique_mr_is_where_simpleitk_puts_it(self, data: Path) -> None:
        folder = data / "dicom" / "brainix_flair"
        volume = open_dicom(folder).read()
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(folder)))
        image = reader.Execute()
        assert np.array_equal(volume.array, sitk.GetArrayFromImage(image))
        assert np.abs(volume.affine - itk_affine(image)).max() < 1e-6
        assert volume.modality == "MR"
        assert volume.notes == ()
        assert not volume.sheared

    def test_first_corner_is_the_tag_to_the_bit(self, data: Path) -> None:
        folder = data / "dicom" / "brainix_flair"
        volume = open_dicom(folder).read()
        lowest = min(
            (pydicom.dcmread(p, stop_before_pixels=True) for p in folder.iterdir()),
            key=lambda d: d.ImagePositionPatient[2],
        )
        x, y, z = (float(v) for v in lowest.ImagePositionPatient)
        assert volume.affine[:3, 3].tolist() == [-x, -y, z]

    def test_tilted_uneven_ct(self, data: Path) -> None:
        folder = data / "dicom" / "ct_gantry_tilt_uneven"
        volume = open_dicom(folder).read()
        assert not volume.sheared
        assert volume.array.dtype == np.int16
        assert volume.spacing[0] == pytest.approx(4.0019, abs=1e-3)
        text = " ".join(volume.notes)
        assert "18.5 degrees" in text
        assert "1 of 1.08 mm" in text
        assert "padding" in text
        # The lowest slice lies on the grid: as measured, but for its padding and the wider picture around it.
        lowest = pydicom.dcmread(folder / "0000.dcm")
        measured = lowest.pixel_array.astype(int)
        rows = np.flatnonzero((volume.array[0] != volume.array[0].min()).any(axis=1))
        assert volume.array[0, rows[0] : rows[-1] + 1].max() == measured.max()
        inside = volume.array[0, -512:]
        assert np.array_equal(inside[measured != -1500], measured[measured != -1500])

    def test_enhanced_multi_frame_times_are_frames(self, data: Path) -> None:
        folder = data / "dicom" / "enhanced_multiframe"
        series = {info.frames: info for info in list_series(folder)}
        assert series[4].size == (6, 64, 64)
        assert series[2].size == (32, 64, 64)
        scan = open_dicom(folder, series[4].uid)
        for frame in range(4):
            stored = pydicom.dcmread(folder / f"6_{frame + 1}.dcm").pixel_array
            volume = scan.read(frame)
            assert np.array_equal(volume.array, stored)
            assert volume.facts["frame_key"] == "time"

    def test_two_series_need_a_choice(self, data: Path) -> None:
        folder = data / "dicom" / "enhanced_multiframe"
        with pytest.raises(InputError, match=r"2 series.*--series UID[\s\S]*REST1 w SMS"):
            open_dicom(folder)
        assert open_dicom(folder, choose=lambda infos: infos[1].uid).frames == 2
        with pytest.raises(UsageError, match="no series 9.9"):
            open_dicom(folder, "9.9")


COMPRESSED = {
    "CT1_J2KR": "CT1_RLE",
    "MR1_J2KR": "MR1_RLE",
    "MR3_JLSL": "MR3_JPLL",
    "CT2_JLSL": "CT2_JPLL",
    "MR4_RLE": "MR4_J2KR",
    "NM1_JLSL": "NM1_JPLL",
    "MR_small_bigendian.dcm": "MR_small.dcm",
    "MR_small_implicit.dcm": "MR_small.dcm",
    "MR_small_jpeg_ls_lossless.dcm": "MR_small.dcm",
}
LOSSY = {"MR4_JPLY": ("MR4_RLE", 400), "XA1_JPLY": ("XA1_J2KR", 120), "JPEG-lossy.dcm": ("NM1_JLSL", 40)}


class TestTransferSyntaxes:
    @pytest.mark.parametrize(("one", "other"), COMPRESSED.items())
    def test_lossless_ones_agree(self, data: Path, one: str, other: str) -> None:
        folder = data / "dicom" / "odd"
        assert np.array_equal(open_dicom(folder / one).read().array, open_dicom(folder / other).read().array)

    @pytest.mark.parametrize(("lossy", "exact", "worst"), [(k, *v) for k, v in LOSSY.items()])
    def test_12_bit_jpeg_by_simpleitk(self, data: Path, lossy: str, exact: str, worst: float) -> None:
        folder = data / "dicom" / "odd"
        a, b = (open_dicom(folder / name).read().array.astype(float) for name in (lossy, exact))
        assert 0 < np.abs(a - b).max() <= worst
        assert np.corrcoef(a.ravel(), b.ravel())[0, 1] > 0.98

    def test_every_frame_of_compressed_multi_frame_files(self, data: Path) -> None:
        folder = data / "dicom" / "odd"
        names = ("emri_small_RLE.dcm", "emri_small_jpeg_2k_lossless.dcm", "emri_small_jpeg_ls_lossless.dcm")
        scans = [open_dicom(folder / name) for name in names]
        for frame in range(10):
            arrays = [scan.read(frame).array for scan in scans]
            assert np.array_equal(arrays[0], arrays[1])
            assert np.array_equal(arrays[0], arrays[2])

    @pytest.mark.parametrize(
        "name", ["CT1_J2KR", "CT1_RLE", "CT2_JPLL", "MR3_JLSL", "MR4_J2KR", "RG3_J2KI.dcm", "emri_small_RLE.dcm"]
    )
    def test_simpleitk_stands_in_for_missing_decoders(self, data: Path, name: str) -> None:
        path = data / "dicom" / "odd" / name
        plane = open_dicom(path).stack.frames[-1][0]
        alone = next(_frames_by_gdcm(path, [plane.index]))
        assert np.array_equal(alone, next(decoded([plane])))

    def test_deflated(self, data: Path) -> None:
        path = data / "dicom" / "odd" / "image_dfl.dcm"
        assert np.array_equal(open_dicom(path).read().array[0], pydicom.dcmread(path).pixel_array)


class TestGeometry:
    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(seed=st.integers(0, 2**32 - 1), count=st.integers(2, 6))
    def test_any_rotation_and_spacing(self, tmp_path_factory: pytest.TempPathFactory, seed: int, count: int) -> None:
        rng = np.random.default_rng(seed)
        row, column, normal = rotated(rng)
        spacing, step = rng.uniform(0.3, 3, 2), rng.uniform(0.4, 7)
        where = rng.uniform(-300, 300, 3) + np.arange(count)[:, None] * normal * step
        stored = rng.integers(-1000, 2000, (count, 5, 4), dtype=np.int16)
        folder = save_stack(
            tmp_path_factory.mktemp("dicom"), stored, where, orientation=(*row, *column), spacing=spacing
        )
        volume = open_dicom(folder).read()
        assert np.array_equal(volume.array, stored)
        corners = volume.affine @ np.array([[3, 4, k, 1] for k in range(count)]).T
        expected = where + row * 3 * spacing[1] + column * 4 * spacing[0]
        assert np.abs((FLIP @ corners).T[:, :3] - expected).max() < 1e-5
        assert not volume.sheared

    def test_instance_numbers_do_not_decide_the_order(self, tmp_path: Path) -> None:
        stored = ramp((4, 3, 3))
        save_stack(tmp_path, stored, along((0, 0, -2.5), 4))
        volume = open_dicom(tmp_path).read()
        assert np.array_equal(volume.array, stored[::-1])
        assert volume.affine[2].tolist() == [0, 0, 2.5, 22.5]

    def test_slice_thickness_is_not_spacing(self, tmp_path: Path) -> None:
        save_stack(tmp_path, ramp((3, 2, 2)), along((0, 0, 2), 3), SliceThickness="5", SpacingBetweenSlices="9")
        assert open_dicom(tmp_path).read().spacing[0] == 2

    def test_one_file_is_one_slice_with_its_thickness(self, tmp_path: Path) -> None:
        save(slice_dataset(ramp((3, 2)), SliceThickness="2.5"), tmp_path / "a.dcm")
        volume = open_dicom(tmp_path / "a.dcm").read()
        assert volume.shape == (1, 3, 2)
        assert volume.spacing[0] == 2.5

    @settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(seed=st.integers(0, 2**32 - 1), tilt=st.floats(-25, 25), uneven=st.booleans())
    def test_tilt_and_uneven_slices_keep_every_point_where_it_is(
        self, tmp_path_factory: pytest.TempPathFactory, seed: int, tilt: float, uneven: bool
    ) -> None:
        # A linear field survives linear interpolation exactly: wherever the new grid holds it, it must be right.
        rng = np.random.default_rng(seed)
        row, column, normal = rotated(rng)
        gaps = rng.choice([2.0, 2.0, 2.0, 3.1, 4.0], 8) if uneven else np.full(8, 2.0)
        depths = np.concatenate([[0], np.cumsum(gaps)])
        where = rng.uniform(-50, 50, 3) + np.outer(depths, normal + np.tan(np.radians(tilt)) * column)
        slope = rng.uniform(-30, 30, 3)
        u, v = np.meshgrid(np.arange(12) * 0.9, np.arange(10) * 0.8)
        points = where[:, None, None] + u[..., None] * row + v[..., None] * column
        field = points @ slope
        stored = np.round(field).astype(np.int16)
        folder = save_stack(
            tmp_path_factory.mktemp("dicom"), stored, where, orientation=(*row, *column), spacing=(0.8, 0.9)
        )
        volume = open_dicom(folder).read()
        assert not volume.sheared
        k, j, i = np.indices(volume.shape)
        index = np.stack([i, j, k, np.ones_like(i)], axis=-1)
        place = (index @ (FLIP @ volume.affine).T)[..., :3]
        # Where the slices above and below both have picture: one pixel inside the leaning box.
        w = (place - where[0]) @ normal
        x = (place - where[0]) @ row
        y = (place - where[0]) @ column - np.tan(np.radians(tilt)) * w
        margin = 0.9 + 4.2 * abs(np.tan(np.radians(tilt)))
        inside = (w >= 0) & (w <= depths[-1]) & (x >= 0) & (x <= 9.9) & (y >= margin) & (y <= 7.2 - margin)
        # Rounded values; slices within 5 % of a grid position (0.1 mm) or drifting by a quarter pixel stay as they are.
        drift = np.tan(np.radians(abs(tilt))) * depths[-1]
        off = (0.1 if uneven else 0.0) + (drift if drift <= 0.2 else 0.0)
        allowed = 1.6 + 1.2 * off * float(np.linalg.norm(slope))
        assert np.abs(volume.array - place @ slope)[inside].max(initial=0) <= allowed
        if inside.any() and abs(tilt) < 10:
            assert inside.sum() > 20

    def test_uneven_slices_as_many_as_the_grid_has(self, tmp_path: Path) -> None:
        # 3 gaps of 2 mm, one of 1 and one of 3: as many grid positions as slices, but not the same ones.
        where = along((0, 0, 1), 6)
        where[:, 2] = [0, 2, 4, 5, 8, 10]
        stored = np.repeat((where[:, 2] * 10).astype(np.int16), 4).reshape(6, 2, 2)
        save_stack(tmp_path, stored, where)
        assert open_dicom(tmp_path).read().array[:, 0, 0].tolist() == [0, 20, 40, 60, 80, 100]

    def test_tilt_is_said(self, tmp_path: Path) -> None:
        save_stack(tmp_path, ramp((5, 8, 8)), along((0, 1.5, 3), 5))
        volume = open_dicom(tmp_path).read()
        assert "26.6 degrees (gantry tilt)" in volume.notes[0]
        assert volume.shape == (5, 14, 8)
        assert list_series(tmp_path)[0].size == (5, 14, 8)
        assert np.array_equal(volume.array[0, :8], ramp((5, 8, 8))[0])
        assert np.array_equal(volume.array[4, 6:], ramp((5, 8, 8))[4])  # whole pixels: nothing interpolated
        assert volume.facts["resampled"] is True

    def test_missing_slice_is_bridged_and_said(self, tmp_path: Path) -> None:
        stored = ramp((6, 3, 3)) * 7
        keep = [0, 1, 3, 4, 5]
        save_stack(tmp_path, stored[keep], along((0, 0, 2), 6)[keep])
        volume = open_dicom(tmp_path).read()
        assert np.array_equal(volume.array, np.array(stored))  # a ramp is its own interpolation
        assert "Slices are missing at a spacing of 2.000 mm: 1 after slice 2 (2.0 to 6.0 mm)" in volume.notes[0]
        assert "5 as measured" in volume.notes[1]

    def test_wide_gap_stays_empty_and_warns(self, tmp_path: Path) -> None:
        stored = ramp((30, 2, 2)) + 100
        keep = [*range(10), *range(20, 30)]
        save_stack(tmp_path, stored[keep], along((0, 0, 1), 30)[keep])
        volume = open_dicom(tmp_path).read()
        assert volume.shape[0] == 30
        assert (volume.array[10:20] == 100).all()
        assert np.array_equal(volume.array[keep], stored[keep])
        assert any("Warning" in note and "11.0 mm after slice 10" in note for note in volume.notes)

    def test_rounded_positions_are_not_uneven(self, tmp_path: Path) -> None:
        where = np.round(along((0, 0, 1.3333333), 60), 3)
        save_stack(tmp_path, ramp((60, 2, 2)), where)
        volume = open_dicom(tmp_path).read()
        assert volume.notes == ()
        assert volume.spacing[0] == pytest.approx(1.33333, abs=1e-4)

    def test_scattered_slices_are_refused(self, tmp_path: Path) -> None:
        where = along((0, 0, 1), 4)
        where[:, 2] = [0, 0.1, 0.3, 500]
        save_stack(tmp_path, ramp((4, 2, 2)), where)
        with pytest.raises(InputError, match="scattered"):
            open_dicom(tmp_path)

    def test_localizer_is_split_by_direction(self, tmp_path: Path) -> None:
        save_stack(tmp_path, ramp((3, 4, 4)), along((0, 0, 5), 3), prefix="a")
        save_stack(tmp_path, ramp((2, 4, 4)), along((5, 0, 0), 2), prefix="b", orientation=(0, 1, 0, 0, 0, -1))
        assert [info.uid for info in list_series(tmp_path)] == ["1.2.3.4:1", "1.2.3.4:2"]
        with pytest.raises(InputError, match=r"2 series"):
            open_dicom(tmp_path)
        with pytest.raises(InputError, match=r"2 stacks"):
            open_dicom(tmp_path, "1.2.3.4")
        assert open_dicom(tmp_path, "1.2.3.4:2").read().shape == (2, 4, 4)

    def test_no_position_is_said(self, tmp_path: Path) -> None:
        save(slice_dataset(ramp((3, 4)), position=None, PixelSpacing=None), tmp_path / "a.dcm")
        volume = open_dicom(tmp_path).read()
        assert np.array_equal(volume.affine, np.diag([-1, -1, 1, 1]))
        assert "no position in space" in volume.notes[0]


class TestFrames:
    def test_echoes_at_the_same_place(self, tmp_path: Path) -> None:
        stored = ramp((2, 3, 4, 4))
        for echo, time in enumerate((80.0, 12.5)):
            save_stack(tmp_path, stored[echo], along((0, 0, 2), 3), prefix=f"{echo}", modality="MR", EchoTime=f"{time}")
        scan = open_dicom(tmp_path)
        assert scan.frames == 2
        first, second = scan.read(0), scan.read(1)
        assert first.facts["frame_value"] == 12.5
        assert first.facts["frame_key"] == "echo time"
        assert np.array_equal(first.array, stored[1])
        assert np.array_equal(second.array, stored[0])
        with pytest.raises(InputError, match="no frame 2"):
            scan.read(2)

    def test_repeats_without_a_quantity_go_by_instance_number(self, tmp_path: Path) -> None:
        stored = ramp((2, 3, 2, 2))
        for n in range(2):
            own = [{"number": n * 3 + k + 1} for k in range(3)]
            save_stack(tmp_path, stored[n], along((0, 0, 2), 3), prefix=f"{n}", per_slice=own)
        scan = open_dicom(tmp_path)
        assert scan.stack.frame_key == "order in the series"
        assert np.array_equal(scan.read(1).array, stored[1])

    def test_aborted_last_time_point_is_left_out(self, tmp_path: Path) -> None:
        stored = ramp((3, 3, 2, 2))
        for n in range(3):
            slices = 3 if n < 2 else 2
            save_stack(
                tmp_path,
                stored[n, :slices],
                along((0, 0, 2), slices),
                prefix=f"{n}",
                TemporalPositionIdentifier=n + 1,
                modality="MR",
            )
        scan = open_dicom(tmp_path)
        assert scan.frames == 2
        assert any("1 incomplete frame(s) by time (2 pictures)" in note for note in scan.notes)

    def test_irregular_repeats_are_refused(self, tmp_path: Path) -> None:
        save_stack(tmp_path, ramp((4, 2, 2)), along((0, 0, 2), 4))
        save_stack(tmp_path, ramp((1, 2, 2)), along((0, 0, 2), 1), prefix="again")
        with pytest.raises(InputError, match="repeat irregularly"):
            open_dicom(tmp_path)

    def test_the_same_file_twice_is_read_once(self, tmp_path: Path) -> None:
        save_stack(tmp_path / "a", ramp((3, 2, 2)), along((0, 0, 2), 3))
        copy = tmp_path / "b" / "copy.dcm"
        copy.parent.mkdir()
        copy.write_bytes((tmp_path / "a" / "000.dcm").read_bytes())
        volume = open_dicom(tmp_path).read()
        assert volume.shape == (3, 2, 2)
        assert any("passed over" in note for note in volume.notes)


class TestMultiFrame:
    def test_enhanced_frames_out_of_order_with_their_own_slopes(self, tmp_path: Path) -> None:
        stored = ramp((6, 4, 3), np.uint16)
        order = [(1, 2), (0, 1), (2, 1), (0, 2), (2, 2), (1, 1)]
        frames = [{"position": (0, 0, 3 * z), "time": t, "slope": t} for z, t in order]
        save(enhanced_dataset(stored, frames), tmp_path / "e.dcm")
        scan = open_dicom(tmp_path / "e.dcm")
        assert scan.frames == 2
        assert np.array_equal(scan.read(0).array, stored[[1, 5, 2]])
        assert np.array_equal(scan.read(1).array, stored[[3, 0, 4]] * 2)
        assert scan.read(0).spacing == (3, 0.5, 0.75)

    def test_enhanced_stacks_are_chosen_one_by_one(self, tmp_path: Path) -> None:
        stored = ramp((4, 3, 3), np.uint16)
        frames = [
            {"position": (0, 0, 0)},
            {"position": (0, 0, 4)},
            {"position": (0, 0, 0), "stack": "2", "orientation": (0, 1, 0, 0, 0, -1)},
            {"position": (-4, 0, 0), "stack": "2", "orientation": (0, 1, 0, 0, 0, -1)},
        ]
        save(enhanced_dataset(stored, frames), tmp_path / "e.dcm")
        assert [info.uid for info in list_series(tmp_path / "e.dcm")] == ["1.2.3.4:1", "1.2.3.4:2"]
        assert np.array_equal(open_dicom(tmp_path, "1.2.3.4:2").read().array, stored[2:])

    def test_nuclear_medicine_tomogram(self, tmp_path: Path) -> None:
        stored = ramp((5, 4, 3), np.uint16)
        place = Dataset()
        place.ImagePositionPatient, place.ImageOrientationPatient = [1, 2, 3], [1, 0, 0, 0, 1, 0]
        more = {"DetectorInformationSequence": [place], "NumberOfFrames": 5, "Rows": 4, "SpacingBetweenSlices": "6.5"}
        save(slice_dataset(stored.reshape(20, 3), position=None, modality="NM", **more), tmp_path / "nm.dcm")
        volume = open_dicom(tmp_path / "nm.dcm").read()
        assert np.array_equal(volume.array, stored)
        assert volume.spacing[0] == 6.5
        assert volume.affine[:3, 3].tolist() == [-1, -2, 3]

    def test_cine_is_a_sequence_of_pictures(self, tmp_path: Path) -> None:
        stored = ramp((3, 4, 5), np.uint16)
        data = slice_dataset(stored.reshape(12, 5), position=None, modality="XA", NumberOfFrames=3, Rows=4)
        save(data, tmp_path / "xa.dcm")
        scan = open_dicom(tmp_path / "xa.dcm")
        assert scan.frames == 3
        assert np.array_equal(scan.read(2).array, stored[2:])


def test_big_folders_are_found_by_content(tmp_path: Path) -> None:
    save_stack(tmp_path, ramp((2, 2, 2)), along((0, 0, 2), 2))
    (tmp_path / "000.dcm").rename(tmp_path / "IM0001")
    (tmp_path / "notes.txt").write_text("not DICOM")
    assert looks_like_dicom(tmp_path)
    assert looks_like_dicom(tmp_path / "IM0001")
    assert not looks_like_dicom(tmp_path / "notes.txt")
    assert list_series(tmp_path)[0].images == 2


def test_nothing_personal_leaves_the_header(tmp_path: Path) -> None:
    save_stack(tmp_path, ramp((3, 2, 2)), along((0, 0, 2), 3))
    scan = open_dicom(tmp_path)
    volume = scan.read()
    told = " ".join(map(str, (volume, volume.facts, volume.notes, scan.info(), list_series(tmp_path))))
    assert SECRET not in told
    assert "19600229" not in told
    with pytest.raises(UsageError) as caught:
        open_dicom(tmp_path, "9.9")
    assert SECRET not in str(caught.value)
