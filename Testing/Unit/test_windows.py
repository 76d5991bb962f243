"""Windows: the definition of the 8-bit input, and the automatic choices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from MedColorizeLib import Volume, read_volume
from MedColorizeLib.errors import UsageError
from MedColorizeLib.imaging.windows import CT_PRESETS, Window, auto_window, choose_window, codes, modality_of

DTYPES = [np.int8, np.uint8, np.int16, np.uint16, np.int32, np.uint32, np.int64, np.float32, np.float64]


def reference(array: np.ndarray, low: float, high: float) -> np.ndarray:
    """The definition, written out."""
    scaled = np.clip(np.rint((array.astype(np.float64) - low) * (255 / (high - low))), 0, 255)
    return np.where(np.isfinite(array), scaled, 0).astype(np.uint8)


@settings(deadline=None, max_examples=150)
@given(st.data())
def test_codes_follow_the_definition_for_every_number_type(data: st.DataObject) -> None:
    dtype = np.dtype(data.draw(st.sampled_from(DTYPES)))
    array = data.draw(hnp.arrays(dtype, (2, 3, 4)))
    low = data.draw(st.floats(-3000, 3000))
    high = low + data.draw(st.floats(0.5, 5000))
    with np.errstate(all="ignore"):
        np.testing.assert_array_equal(codes(array, Window(low, high)), reference(array, low, high))


def test_big_endian_and_strided_arrays_are_read_right() -> None:
    array = np.arange(-300, 300, dtype=">i2").reshape(2, 10, 30)[:, ::2, ::-1]
    np.testing.assert_array_equal(codes(array, Window(-100, 100)), reference(array, -100, 100))


def volume(array: np.ndarray, modality: str = "") -> Volume:
    return Volume(array, np.eye(4), modality)


def test_constant_volume_gets_a_stated_arbitrary_window() -> None:
    window = auto_window(volume(np.full((4, 4, 4), 7, np.int16)))
    assert window.low < 7 < window.high
    assert "every voxel is 7" in window.invented


def test_volume_without_a_finite_value() -> None:
    window = auto_window(volume(np.full((4, 4, 4), np.nan, np.float32)))
    assert "no finite" in window.invented


def test_mr_window_ignores_hot_spots_and_infinities() -> None:
    rng = np.random.default_rng(1)
    array = rng.normal(20, 5, (40, 40, 40)).clip(0)
    array[10:30, 10:30, 10:30] = rng.normal(400, 40, (20, 20, 20))
    array[0, 0, :3] = [1e7, np.nan, np.inf]
    window = auto_window(volume(array, "MR"))
    assert 0 <= window.low < 25
    assert 440 < window.high < 560


def test_ct_is_known_by_its_numbers(data: Path) -> None:
    thorax = read_volume(data / "ct" / "thorax_1p4mm.nii.gz")
    assert modality_of(thorax) == "CT"
    assert auto_window(thorax).low == -350
    assert modality_of(read_volume(data / "mr" / "oasis" / "1000_t1.nii.gz")) == ""


def test_names_bounds_and_refusals() -> None:
    ct = Volume(np.zeros((2, 2, 2), np.int16), np.eye(4), "CT", {"window": (-10.0, 90.0)})
    assert (choose_window(ct, "bone").low, choose_window(ct, "bone").high) == CT_PRESETS["bone"]
    assert choose_window(ct, "header").high == 90
    assert choose_window(ct, (-5, 5)).name == "explicit"
    for bad in ("bones", (5, 5), (9, 1), (float("nan"), 2)):
        with pytest.raises(UsageError):
            choose_window(ct, bad)
    with pytest.raises(UsageError, match="states no window"):
        choose_window(volume(np.zeros((2, 2, 2))), "header")


@pytest.mark.parametrize("padding", [-2000, -3024, -32768])
def test_padding_below_air_neither_makes_a_ct_nor_shapes_the_window(padding: int) -> None:
    rng = np.random.default_rng(3)
    mr = np.abs(rng.normal(300, 120, (24, 24, 24))).astype(np.int16)
    ct = rng.normal(40, 20, (24, 24, 24)).astype(np.int16)
    ct[:12] = rng.normal(-990, 10, (12, 24, 24))
    ct[12, :12] = 700
    padded_mr, padded_ct = mr.copy(), ct.copy()
    padded_mr[:, :4] = padded_ct[:, :4] = padding
    assert modality_of(volume(padded_mr)) == ""
    assert auto_window(volume(padded_mr)).low >= 0
    assert modality_of(volume(padded_ct)) == modality_of(volume(ct)) == "CT"
    assert auto_window(volume(padded_ct)).low == -350


def test_huge_constants_and_booleans_have_a_window() -> None:
    window = auto_window(volume(np.full((4, 4, 4), 1e20, np.float32)))
    assert window.low < np.float32(1e20) < window.high
    mask = np.zeros((4, 4, 4), bool)
    mask[1:3] = True
    assert set(np.unique(codes(mask, auto_window(volume(mask))))) == {0, 230}
