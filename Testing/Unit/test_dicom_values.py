"""The scanner's units: rescaling, types, padding, MONOCHROME1, tables; and what is refused, with which words."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pydicom
import pytest
from dicom_phantoms import SECRET, save, save_stack, slice_dataset
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydicom.dataset import Dataset

from MedColorizeLib.errors import InputError, MedColorizeError
from MedColorizeLib.imaging.dicom_read import open_dicom, read_color_dicom
from MedColorizeLib.imaging.dicom_series import list_series

PLACES = [(0.0, 0.0, 2.0 * k) for k in range(3)]


def noise(seed: int = 0, shape: tuple[int, ...] = (3, 4, 5), low: int = 0, high: int = 4095) -> np.ndarray:
    return np.random.default_rng(seed).integers(low, high, shape, endpoint=True)


class TestRescale:
    def test_each_slice_has_its_own(self, tmp_path: Path) -> None:
        stored = noise().astype(np.uint16)
        own = [{"RescaleSlope": f"{0.5 + k}", "RescaleIntercept": f"{-10 * k}"} for k in range(3)]
        save_stack(tmp_path, stored, PLACES, per_slice=own, modality="MR")
        volume = open_dicom(tmp_path).read()
        assert volume.array.dtype == np.float32
        expected = np.stack([stored[k] * (0.5 + k) - 10 * k for k in range(3)])
        assert np.allclose(volume.array, expected)

    @settings(max_examples=30, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
    @given(
        slope=st.integers(1, 3),
        intercept=st.integers(-3000, 3000),
        kind=st.sampled_from([np.uint8, np.int16, np.uint16]),
        seed=st.integers(0, 1000),
    )
    def test_integers_stay_exact(
        self, tmp_path_factory: pytest.TempPathFactory, slope: int, intercept: int, kind: type, seed: int
    ) -> None:
        limits = np.iinfo(kind)
        stored = noise(seed, low=limits.min, high=limits.max).astype(kind)
        folder = save_stack(
            tmp_path_factory.mktemp("d"), stored, PLACES, RescaleSlope=f"{slope}", RescaleIntercept=f"{intercept}"
        )
        array = open_dicom(folder).read().array
        assert array.dtype.kind in "iu"
        assert np.array_equal(array.astype(np.int64), stored.astype(np.int64) * slope + intercept)

    def test_ct_stays_in_16_bits(self, tmp_path: Path) -> None:
        stored = noise().astype(np.uint16)
        save_stack(tmp_path, stored, PLACES, RescaleIntercept="-1024", RescaleSlope="1")
        assert open_dicom(tmp_path).read().array.dtype == np.int16

    def test_modality_table(self, tmp_path: Path) -> None:
        table = Dataset()
        table.LUTDescriptor, table.ModalityLUTType = [4, 10, 16], "US"
        table["LUTData"] = pydicom.DataElement(0x00283006, "US", [7, 100, 200, 5000])
        stored = np.array([[0, 10, 11], [12, 13, 999]], np.uint16)
        save(slice_dataset(stored, ModalityLUTSequence=[table]), tmp_path / "a.dcm")
        assert open_dicom(tmp_path).read().array[0].tolist() == [[7, 7, 100], [200, 5000, 5000]]


class TestPadding:
    def test_far_below_becomes_background(self, tmp_path: Path) -> None:
        stored = noise(low=-900, high=2000).astype(np.int16)
        stored[0, 0, :3] = -2000
        lowest = int(stored[stored > -2000].min())
        save_stack(tmp_path, stored, PLACES, PixelPaddingValue=-2000)
        volume = open_dicom(tmp_path).read()
        assert volume.array.min() == lowest
        assert (volume.array[0, 0, :3] == lowest).all()
        assert np.array_equal(volume.array[stored != -2000], stored[stored != -2000])
        assert volume.facts["padding_voxels"] == 3
        assert "5.0 % of the voxels are padding" in volume.notes[0]

    def test_ct_padding_is_air_at_least(self, tmp_path: Path) -> None:
        stored = noise(low=-1024, high=500).astype(np.int16)
        stored[1, 2, 2], stored[0, 0, 0] = -1024, -3000
        save_stack(tmp_path, stored, PLACES, PixelPaddingValue=-3000)
        assert open_dicom(tmp_path).read().array[0, 0, 0] == -1024

    def test_range_and_above(self, tmp_path: Path) -> None:
        stored = noise(high=1000).astype(np.uint16)
        stored[2, 3, :2] = 65535, 65530
        save_stack(tmp_path, stored, PLACES, PixelPaddingValue=65535, PixelPaddingRangeLimit=65500, modality="MR")
        volume = open_dicom(tmp_path).read()
        assert volume.array.max() <= 1000
        assert volume.facts["padding_voxels"] == 2

    def test_harmless_padding_stays(self, tmp_path: Path) -> None:
        stored = noise(low=1, high=1000).astype(np.uint16)
        stored[0] = 0
        save_stack(tmp_path, stored, PLACES, PixelPaddingValue=0, modality="MR")
        volume = open_dicom(tmp_path).read()
        assert np.array_equal(volume.array, stored)
        assert volume.notes == ()


class TestMonochrome1:
    def test_bright_means_bright_and_the_window_follows(self, tmp_path: Path) -> None:
        stored = noise(high=1023).astype(np.uint16)
        save_stack(
            tmp_path,
            stored,
            PLACES,
            PhotometricInterpretation="MONOCHROME1",
            BitsStored=10,
            HighBit=9,
            WindowCenter="300",
            WindowWidth="101",
        )
        volume = open_dicom(tmp_path).read()
        assert np.array_equal(volume.array, 1023 - stored.astype(int))
        assert volume.facts["window"] == (1023 - 349.5, 1023 - 249.5)
        assert any("MONOCHROME1" in note for note in volume.notes)

    def test_signed(self, tmp_path: Path) -> None:
        stored = noise(low=-2048, high=2047).astype(np.int16)
        more = {"BitsStored": 12, "HighBit": 11, "RescaleSlope": "2", "RescaleIntercept": "5"}
        save_stack(tmp_path, stored, PLACES, PhotometricInterpretation="MONOCHROME1", **more)
        array = open_dicom(tmp_path).read().array.astype(int)
        assert np.array_equal(array, (-1 - stored.astype(int)) * 2 + 5)


def test_window_of_the_file(tmp_path: Path) -> None:
    own = [{"WindowCenter": f"{40 + k}", "WindowWidth": "80"} for k in range(3)]
    save_stack(tmp_path, noise().astype(np.int16), PLACES, per_slice=own)
    assert open_dicom(tmp_path).read().facts["window"] == (41 - 0.5 - 39.5, 41 - 0.5 + 39.5)


def test_bits_above_those_stored_are_not_part_of_the_picture(tmp_path: Path) -> None:
    stored = noise(high=4095).astype(np.uint16)
    save_stack(tmp_path, stored | 0xA000, PLACES, BitsStored=12, HighBit=11)
    assert np.array_equal(open_dicom(tmp_path).read().array, stored)


REFUSED = {
    "ExplVR_BigEnd.dcm": "colour picture already",
    "OBXXXX1A_rle_2frame.dcm": "PALETTE COLOR",
    "US1_J2KI": "colour picture already",
    "SC_ybr_full_422_uncompressed.dcm": "YBR_FULL_422",
    "MR_truncated.dcm": "truncated",
    "liver_1frame.dcm": "labels",
    "reportsi.dcm": "structured report",
    "rtplan.dcm": "radiotherapy plan",
    "rtstruct.dcm": "contours",
    "rtdose.dcm": "dose grid",
    "badVR.dcm": "damaged",
    "nested_priv_SQ.dcm": "holds no picture",
}


class TestRefusals:
    @pytest.mark.parametrize(("name", "words"), REFUSED.items())
    def test_real_odd_files(self, data: Path, name: str, words: str) -> None:
        path = data / "dicom" / "odd" / name
        with pytest.raises(InputError, match=words) as caught:
            open_dicom(path)
        assert name in str(caught.value)
        assert not list_series(path)[0].can_read

    @pytest.mark.parametrize("start", [b"MZ\x90\0", b"\x7fELF", b"#!/bin/sh\n"])
    def test_hidden_programs(self, tmp_path: Path, start: bytes) -> None:
        path = save(slice_dataset(noise(shape=(4, 4)).astype(np.int16)), tmp_path / "a.dcm")
        path.write_bytes(start + path.read_bytes()[len(start) :])
        with pytest.raises(InputError, match="begins like a program"):
            open_dicom(path)

    def test_empty_file(self, tmp_path: Path) -> None:
        (tmp_path / "a.dcm").touch()
        with pytest.raises(InputError, match="empty"):
            open_dicom(tmp_path / "a.dcm")
        save_stack(tmp_path, noise().astype(np.int16), PLACES, prefix="x")
        assert "1 damaged or empty" in open_dicom(tmp_path).notes[0]

    def test_truncated_slice_is_named(self, tmp_path: Path) -> None:
        save_stack(tmp_path, noise().astype(np.int16), PLACES)
        (tmp_path / "001.dcm").write_bytes((tmp_path / "001.dcm").read_bytes()[:-7])
        with pytest.raises(InputError, match=r"001\.dcm.*truncated"):
            open_dicom(tmp_path)

    def test_truncated_compressed_file(self, data: Path, tmp_path: Path) -> None:
        whole = (data / "dicom" / "odd" / "CT1_J2KR").read_bytes()
        (tmp_path / "a.dcm").write_bytes(whole[: len(whole) // 3])
        with pytest.raises(InputError, match=r"a\.dcm"):
            open_dicom(tmp_path / "a.dcm").read()

    @pytest.mark.parametrize("share", [0.02, 0.1, 0.3, 0.6, 0.97])
    def test_no_cut_is_a_crash(self, data: Path, tmp_path: Path, share: float) -> None:
        for name in ("MR_small.dcm", "CT1_RLE", "emri_small_RLE.dcm", "vlut_04.dcm"):
            whole = (data / "dicom" / "odd" / name).read_bytes()
            (tmp_path / "cut.dcm").write_bytes(whole[: int(len(whole) * share)])
            with pytest.raises(InputError, match=r"cut\.dcm"):
                open_dicom(tmp_path / "cut.dcm").read(9 if "emri" in name else 0)

    @pytest.mark.parametrize("name", ["MR_small.dcm", "MR_small_implicit.dcm", "emri_small_RLE.dcm", "NM1_J2KI"])
    def test_no_damage_is_a_crash(self, data: Path, tmp_path: Path, name: str) -> None:
        whole = (data / "dicom" / "odd" / name).read_bytes()
        rng = np.random.default_rng(3)
        path = tmp_path / "damaged.dcm"
        outcomes = set()
        for _ in range(40):
            damaged = bytearray(whole)
            for at in rng.integers(0, min(len(whole), 4000), rng.integers(1, 8)):
                damaged[at] = rng.integers(0, 256)
            path.write_bytes(damaged)
            try:
                scan = open_dicom(path)
                outcomes.add(scan.read(scan.frames - 1).array.ndim)
            except MedColorizeError:
                outcomes.add(0)
        assert outcomes == {0, 3}

    def test_dicomdir(self, tmp_path: Path) -> None:
        index = slice_dataset(noise(shape=(2, 2)).astype(np.int16))
        index.SOPClassUID = "1.2.840.10008.1.3.10"
        save(index, tmp_path / "DICOMDIR")
        with pytest.raises(InputError, match="folder"):
            open_dicom(tmp_path / "DICOMDIR")
        with pytest.raises(InputError, match="DICOMDIR"):
            open_dicom(tmp_path)

    def test_mosaic(self, tmp_path: Path) -> None:
        picture = noise(shape=(8, 8)).astype(np.uint16)
        more = {"ImageType": ["ORIGINAL", "PRIMARY", "M", "ND", "MOSAIC"], "modality": "MR"}
        save(slice_dataset(picture, **more), tmp_path / "a.dcm")
        with pytest.raises(InputError, match="mosaic"):
            open_dicom(tmp_path / "a.dcm")

    def test_missing_and_foreign(self, tmp_path: Path) -> None:
        with pytest.raises(InputError, match="does not exist"):
            open_dicom(tmp_path / "no")
        (tmp_path / "x.dcm").write_bytes(b"hello" * 100)
        with pytest.raises(InputError, match="not a DICOM file"):
            open_dicom(tmp_path / "x.dcm")

    def test_gray_is_no_colour(self, tmp_path: Path) -> None:
        save_stack(tmp_path, noise().astype(np.int16), PLACES)
        with pytest.raises(InputError, match="gray"):
            read_color_dicom(tmp_path)

    def test_errors_name_nobody(self, tmp_path: Path) -> None:
        path = save(slice_dataset(noise(shape=(4, 4)).astype(np.int16)), tmp_path / "a.dcm")
        whole = path.read_bytes()
        for cut in range(140, len(whole) - 40, 23):
            path.write_bytes(whole[:cut])
            with pytest.raises(InputError) as caught:
                open_dicom(path).read()
            assert SECRET not in str(caught.value)
