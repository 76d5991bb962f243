"""The luminance lock: the one promise that must hold for every voxel of every output."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from MedColorizeLib.imaging.colorspaces import (
    lab_to_rgb,
    luma,
    luma_codes,
    rgb_to_lab,
    rgb_to_ycbcr,
    rgb_to_yuv,
    ycbcr_to_rgb,
    yuv_to_rgb,
)
from MedColorizeLib.imaging.luma import BALANCED_CODES, FIDELITIES, chroma_of, fit_chroma, fit_gamut, shade, with_luma

PIXELS = st.integers(1, 60)


@settings(deadline=None)
@given(st.data())
def test_exact_keeps_every_code(data: st.DataObject) -> None:
    n = data.draw(PIXELS)
    proposal = data.draw(hnp.arrays(np.float32, (n, 3), elements=st.floats(-400, 700, width=32)))
    gray = data.draw(hnp.arrays(np.uint8, n))
    colors, _ = fit_gamut(proposal, gray, "exact")
    np.testing.assert_array_equal(luma_codes(colors), gray)
    # Both common conventions of rounding agree with the code.
    np.testing.assert_array_equal(np.rint(luma(colors.astype(float))).astype(int), gray)


def test_exact_for_every_8_bit_color_of_a_grid_and_every_code() -> None:
    steps = np.arange(0, 256, 15)
    colors = np.stack(np.meshgrid(steps, steps, steps), -1).reshape(-1, 3)
    for gray in range(256):
        codes = np.full(len(colors), gray, dtype=np.uint8)
        fitted, _ = fit_gamut(colors, codes, "exact")
        assert (luma_codes(fitted) == gray).all()


@settings(deadline=None)
@given(st.data())
def test_balanced_stays_within_its_codes(data: st.DataObject) -> None:
    n = data.draw(PIXELS)
    proposal = data.draw(hnp.arrays(np.float32, (n, 3), elements=st.floats(0, 255, width=32)))
    gray = data.draw(hnp.arrays(np.uint8, n))
    colors, _ = fit_gamut(proposal, gray, "balanced")
    assert np.abs(luma_codes(colors).astype(int) - gray).max() <= BALANCED_CODES


@settings(deadline=None)
@given(st.data())
def test_chroma_alone_is_fitted_as_the_colours_that_it_makes_of_gray(data: st.DataObject) -> None:
    n = data.draw(PIXELS)
    chroma = data.draw(hnp.arrays(np.float32, (2, n), elements=st.floats(-300, 300, width=32)))
    gray = data.draw(hnp.arrays(np.uint8, n))
    rgb = with_luma(chroma, gray)
    np.testing.assert_allclose(luma(rgb.T), gray, atol=1e-3)
    np.testing.assert_allclose(chroma_of(rgb), chroma, atol=1e-3)
    for fidelity in FIDELITIES:
        colors, expected = fit_chroma(chroma, gray, fidelity)[0], fit_gamut(rgb.T, gray, fidelity)[0]
        assert np.abs(colors.astype(int) - expected).max() <= 1  # rounded at another last digit
    np.testing.assert_array_equal(luma_codes(fit_chroma(chroma, gray, "exact")[0]), gray)


def test_free_is_the_proposal() -> None:
    proposal = np.array([[10.2, 20.7, 300.0], [0, 128, 255]])
    colors, clipped = fit_gamut(proposal, np.zeros(2, np.uint8), "free")
    np.testing.assert_array_equal(colors, [[10, 21, 255], [0, 128, 255]])
    np.testing.assert_array_equal(clipped, [True, False])


def test_overflow_is_paid_in_chroma_and_counted() -> None:
    red = np.array([[255.0, 0.0, 0.0]])
    colors, overflowed = fit_gamut(red, np.array([250], np.uint8), "exact")
    assert overflowed.all()
    assert luma_codes(colors)[0] == 250
    assert colors[0, 0] > colors[0, 1] == colors[0, 2]  # still reddish


def test_non_finite_proposals_do_not_spread() -> None:
    proposal = np.array([[np.nan, 1, 2], [np.inf, 0, 0]])
    colors, _ = fit_gamut(proposal, np.array([7, 90], np.uint8), "exact")
    np.testing.assert_array_equal(luma_codes(colors), [7, 90])
    colors, _ = fit_chroma(np.array([[np.nan, 1], [0, -np.inf]], np.float32), np.array([7, 90], np.uint8))
    np.testing.assert_array_equal(luma_codes(colors), [7, 90])


def test_shading_keeps_hue_and_saturation() -> None:
    lit = shade(np.array([[100.0, 50.0, 25.0]]), np.array([40.0]))
    np.testing.assert_allclose(lit[0] / lit[0, 2], [4, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(luma(lit), 40, rtol=1e-6)


def test_color_spaces_go_there_and_back() -> None:
    rgb = np.random.default_rng(0).uniform(0, 255, (50, 3))
    np.testing.assert_allclose(yuv_to_rgb(rgb_to_yuv(rgb)), rgb, atol=1e-9)
    np.testing.assert_allclose(ycbcr_to_rgb(rgb_to_ycbcr(rgb)), rgb, atol=1e-9)
    np.testing.assert_allclose(lab_to_rgb(rgb_to_lab(rgb)), rgb, atol=0.05)


@pytest.mark.parametrize(
    ("rgb", "ycbcr"), [((255, 0, 0), (76.245, 84.972, 255.5)), ((0, 0, 255), (29.07, 255.5, 107.265))]
)
def test_ycbcr_is_that_of_jpeg(rgb: tuple[int, ...], ycbcr: tuple[float, ...]) -> None:
    np.testing.assert_allclose(rgb_to_ycbcr(np.array(rgb, dtype=float)), ycbcr, atol=1e-3)
