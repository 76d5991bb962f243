"""The papers' metrics against library values, values computed elsewhere, and values by hand."""

from __future__ import annotations

import math

import numpy as np
import pytest
from eval_phantoms import anatomy, painted, volume
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from scipy import ndimage
from skimage import color, measure, metrics

from MedColorizeLib.evaluation import fidelity
from MedColorizeLib.evaluation.assessment import assess
from MedColorizeLib.evaluation.fsim import fsim, fsimc, phase_congruency
from MedColorizeLib.evaluation.planes import colorfulness
from MedColorizeLib.imaging.colordiff import chroma_difference, ciede2000, lab
from MedColorizeLib.imaging.colorspaces import luma_codes

Y, X = np.mgrid[0:96, 0:128]
CHECKS = np.clip(128 + 60 * np.sin(X / 7.0) * np.cos(Y / 11.0) + 40 * ((X // 16 + Y // 16) % 2), 0, 255).astype(
    np.uint8
)
RIPPLED = np.clip(CHECKS.astype(float) + 25 * np.sin(X * 1.3 + Y * 2.1), 0, 255).astype(np.uint8)


def random_pair(shape: tuple[int, ...] = (120, 110, 3)) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(7)
    truth = ndimage.gaussian_filter(random.integers(0, 256, shape).astype(float), (3, 3, 0)[: len(shape)])
    truth = np.clip((truth - 100) * 4, 0, 255).astype(np.uint8)
    return np.clip(truth + random.normal(0, 12, shape), 0, 255).astype(np.uint8), truth


def test_liang_metrics_are_scikit_images() -> None:
    picture, truth = random_pair()
    assert fidelity.psnr(picture, truth) == pytest.approx(
        metrics.peak_signal_noise_ratio(truth, picture, data_range=255)
    )
    assert fidelity.nrmse(picture, truth) == pytest.approx(
        metrics.normalized_root_mse(truth, picture, normalization="euclidean")
    )
    expected = metrics.structural_similarity(truth, picture, win_size=7, channel_axis=-1, data_range=255)
    assert fidelity.ssim_rgb(picture, truth) == pytest.approx(expected)


def test_psnr_and_nrmse_by_hand() -> None:
    truth = np.array([[10, 20], [30, 40]], np.uint8)
    picture = np.array([[12, 20], [30, 38]], np.uint8)
    assert fidelity.psnr(picture, truth) == pytest.approx(10 * math.log10(255**2 / 2))
    assert fidelity.nrmse(picture, truth) == pytest.approx(math.sqrt(2 / 750))
    assert fidelity.psnr(truth, truth) == math.inf


def test_ssim_is_wangs_gaussian_window() -> None:
    # By the definition: Gaussian 11x11, sigma 1.5, K 0.01 and 0.03, borders left out.
    first, second = (a[..., 0].astype(float) for a in random_pair())
    offsets = np.arange(11) - 5
    kernel = np.exp(-(offsets**2) / (2 * 1.5**2))
    kernel /= kernel.sum()

    def blur(a: np.ndarray) -> np.ndarray:
        return ndimage.correlate1d(ndimage.correlate1d(a, kernel, 0), kernel, 1)[5:-5, 5:-5]

    m1, m2 = blur(first), blur(second)
    v1, v2, v12 = blur(first**2) - m1**2, blur(second**2) - m2**2, blur(first * second) - m1 * m2
    c1, c2 = (0.01 * 255) ** 2, (0.03 * 255) ** 2
    expected = np.mean((2 * m1 * m2 + c1) * (2 * v12 + c2) / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2)))
    assert fidelity.ssim(*(a[..., 0] for a in random_pair())) == pytest.approx(expected, abs=1e-6)


def test_ssim_101_needs_room() -> None:
    picture, truth = (a[..., 0] for a in random_pair())
    assert 0 < fidelity.ssim_101(picture, truth) < 1
    assert math.isnan(fidelity.ssim_101(picture[:100], truth[:100]))
    assert math.isnan(fidelity.ssim(picture[:10], truth[:10]))


def test_entropy_and_mutual_information_are_scikit_images() -> None:
    picture, truth = (a[..., 0] for a in random_pair())
    assert fidelity.entropy(np.bincount(picture.ravel())) == pytest.approx(measure.shannon_entropy(picture))
    picture.flat[:2], truth.flat[:2] = (0, 255), (0, 255)  # so that scikit-image's 256 bins are the 256 codes
    joint = fidelity.joint_histogram(picture, truth)
    information, normalized = fidelity.mutual_information(joint)
    assert normalized == pytest.approx(metrics.normalized_mutual_information(picture, truth, bins=256))
    own = fidelity.mutual_information(fidelity.joint_histogram(truth, truth))
    assert own[0] == pytest.approx(measure.shannon_entropy(truth))
    assert own[1] == pytest.approx(2)
    assert 0 < information < own[0]


def test_mutual_information_by_hand() -> None:
    joint = np.zeros((256, 256), int)
    joint[0, 0] = joint[1, 1] = joint[0, 1] = joint[1, 0] = 5
    assert fidelity.mutual_information(joint) == (pytest.approx(0), pytest.approx(1))
    joint[0, 1] = joint[1, 0] = 0
    assert fidelity.mutual_information(joint) == (pytest.approx(1), pytest.approx(2))
    assert fidelity.mutual_information(np.eye(256)[:1].T @ np.eye(256)[:1]) == (0, 1)


def test_fsim_agrees_with_an_independent_implementation() -> None:
    # Computed once with piq 0.8.0 (single precision, its own YIQ matrix) on the same synthetic pictures.
    first = np.stack([CHECKS, np.roll(CHECKS, 5, 1), 255 - CHECKS], -1)
    second = np.stack([RIPPLED, np.roll(RIPPLED, 9, 1), 255 - CHECKS], -1)
    assert fsim(CHECKS, RIPPLED) == pytest.approx(0.75358504, abs=2e-5)
    assert fsimc(first, second) == pytest.approx(0.69807380, abs=5e-4)


def test_fsim_is_one_for_identical_pictures_and_falls_with_distortion() -> None:
    truth = random_pair((140, 150, 3))[1]
    assert fsim(truth[..., 0], truth[..., 0]) == pytest.approx(1)
    assert fsimc(truth, truth) == pytest.approx(1)
    noise = np.random.default_rng(1).normal(size=truth.shape)
    noisy = [np.clip(truth + size * noise, 0, 255) for size in (2, 6, 15, 40)]
    blurred = [ndimage.gaussian_filter(truth, (size, size, 0)) for size in (0.5, 1, 2, 4)]
    for worse in (noisy, blurred):
        for score in (lambda a: fsim(a[..., 0], truth[..., 0]), lambda a: fsimc(a, truth)):
            values = [score(a) for a in worse]
            assert values == sorted(values, reverse=True)
            assert 0 < values[-1] < values[0] < 1
    assert fsim(noisy[1][..., 0], truth[..., 0]) == pytest.approx(fsim(truth[..., 0], noisy[1][..., 0]))


def test_fsimc_sees_hue_that_fsim_does_not() -> None:
    gray, _ = anatomy((1, 130, 130))
    one, other = painted(gray)[0], painted(gray, 120)[0]
    assert fsim(luma_codes(one), luma_codes(other)) == pytest.approx(1)
    assert fsimc(one, other) < 0.995


def test_phase_congruency_peaks_at_a_step_whatever_its_contrast() -> None:
    step = np.zeros((64, 64))
    step[:, 32:] = 1.0
    weak, strong = phase_congruency(step * 20), phase_congruency(step * 200)
    np.testing.assert_allclose(weak, strong, atol=0.02)
    assert set(np.argmax(strong[:, 16:48], axis=1) + 16) <= {31, 32}
    assert 0 <= strong.min() <= strong.max() <= 1
    assert np.all(phase_congruency(np.full((40, 41), 9.0)) == 0)


@given(hnp.arrays(np.uint8, (6, 3)))
@settings(deadline=None)
def test_lab_is_scikit_images(rgb: np.ndarray) -> None:
    np.testing.assert_allclose(lab(rgb), color.rgb2lab(rgb), atol=1e-3)


@given(
    hnp.arrays(np.float64, (8, 2), elements=st.floats(-90, 90)),
    hnp.arrays(np.float64, (8, 2), elements=st.floats(-90, 90)),
)
@settings(deadline=None)
def test_chroma_difference_is_ciede2000_at_any_equal_lightness(first: np.ndarray, second: np.ndarray) -> None:
    for lightness in (20.0, 70.0):
        one, two = (np.column_stack([np.full(8, lightness), ab]) for ab in (first, second))
        expected = color.deltaE_ciede2000(one, two)
        # Opposite hues: the mean hue is undefined there, and single precision may take the other side.
        turn = np.abs(np.rad2deg(np.arctan2(first[:, 1], first[:, 0]) - np.arctan2(second[:, 1], second[:, 0])))
        clear = np.abs(turn - 180) > 1
        np.testing.assert_allclose(chroma_difference(first, second)[clear], expected[clear], rtol=2e-3, atol=2e-3)


def test_ciede2000_by_sharmas_table() -> None:
    # Sharma, Wu, Dalal 2005, table 1, the pairs of (nearly) equal lightness.
    rows = [
        ((2.6772, -79.7751), (0.0, -82.7485), 2.0425), ((3.1571, -77.2803), (0.0, -82.7485), 2.8615),
        ((2.8361, -74.0200), (0.0, -82.7485), 3.4412), ((-1.3802, -84.2814), (0.0, -82.7485), 1.0),
        ((0.0, 0.0), (-1.0, 2.0), 2.3669), ((2.5, 0.0), (0.0, -2.5), 4.3065), ((2.5, 0.0), (3.1736, 0.5854), 1.0),
    ]  # fmt: skip
    for first, second, expected in rows:
        assert float(chroma_difference(np.array(first), np.array(second))) == pytest.approx(expected, abs=2e-4)
    red = np.array([[255, 0, 0]], np.uint8)
    assert ciede2000(red, red)[0] == 0


def test_colorfulness_by_hand_and_definition() -> None:
    assert colorfulness(np.full((5, 5, 3), 90, np.uint8)) == 0
    # Half red, half green: rg is +-255, yb is 127.5.
    half = np.zeros((2, 2, 3), np.uint8)
    half[0, :, 0] = half[1, :, 1] = 255
    assert colorfulness(half) == pytest.approx(255 + 0.3 * 127.5)
    picture = random_pair()[0].astype(float)
    rg, yb = picture[..., 0] - picture[..., 1], (picture[..., 0] + picture[..., 1]) / 2 - picture[..., 2]
    expected = np.hypot(rg.std(), yb.std()) + 0.3 * np.hypot(rg.mean(), yb.mean())
    assert colorfulness(random_pair()[0]) == pytest.approx(expected, rel=1e-5)


def test_a_volume_with_its_luma_kept_is_perfect_in_luma_only() -> None:
    gray, mask = anatomy((6, 112, 116))
    result = assess(gray, volume(painted(gray)), foreground=mask).fidelity
    assert result.luma_identical
    assert result.luma_psnr == math.inf
    assert [result.luma_ssim, result.luma_ssim_101, result.fsim] == [1, 1, 1]
    assert result.normalized_mutual_information == pytest.approx(2)


def test_a_volume_with_changed_luma_is_measured_slice_by_slice() -> None:
    gray, mask = anatomy((3, 112, 116))
    shaken = np.clip(gray + np.random.default_rng(0).normal(0, 6, gray.shape), 0, 255).astype(np.uint8)
    rgb = painted(shaken)
    result = assess(gray, volume(rgb), foreground=mask).fidelity
    assert not result.luma_identical
    assert result.luma_psnr == pytest.approx(metrics.peak_signal_noise_ratio(gray, shaken, data_range=255))
    assert result.luma_ssim == pytest.approx(np.mean([fidelity.ssim(shaken[k], gray[k]) for k in range(3)]))
    assert result.luma_ssim_101 == pytest.approx(np.mean([fidelity.ssim_101(shaken[k], gray[k]) for k in range(3)]))
    assert result.fsim == pytest.approx(np.mean([fsim(shaken[k], gray[k]) for k in range(3)]))
    assert result.entropy_luma == pytest.approx(measure.shannon_entropy(shaken))


def test_against_true_colour() -> None:
    gray, mask = anatomy((3, 60, 64))
    truth, result = volume(painted(gray)), volume(painted(gray, 40))
    same = assess(gray, truth, foreground=mask, reference=truth).truth
    assert same is not None
    assert [same.psnr, same.ssim, same.nrmse, same.ciede2000_mean, same.chroma_mean] == [math.inf, 1, 0, 0, 0]
    far = assess(gray, result, foreground=mask, reference=truth).truth
    assert far is not None
    expected = color.deltaE_ciede2000(color.rgb2lab(result.rgb[mask]), color.rgb2lab(truth.rgb[mask]))
    assert far.ciede2000_mean == pytest.approx(expected.mean(), rel=0.02)
    assert far.psnr == pytest.approx(
        np.mean(
            [metrics.peak_signal_noise_ratio(t, r, data_range=255) for t, r in zip(truth.rgb, result.rgb, strict=True)]
        )
    )
    assert math.isnan(far.lpips)
