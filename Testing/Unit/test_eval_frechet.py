"""The Frechet distance against closed forms and scipy, and what it may be called."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.linalg import sqrtm

from MedColorizeLib.errors import InputError
from MedColorizeLib.evaluation.frechet import (
    INCEPTION,
    LabStatistics,
    frechet_distance,
    kernel_distance,
    picture_distance,
)


class Means:
    """Mean colour as a feature space, under any name."""

    def __init__(self, name: str) -> None:
        self.name = name

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        return pictures.reshape(len(pictures), -1, 3).mean(axis=1)


def pictures(count: int, tint: int, seed: int = 0, size: int = 12) -> list[np.ndarray]:
    random = np.random.default_rng(seed)
    base = random.integers(60, 150, (count, 1, 1, 3)) + random.integers(0, 30, (count, size, size, 3))
    base[..., 0] += tint
    return list(np.clip(base, 0, 255).astype(np.uint8))


@given(seed=st.integers(0, 10_000), dimensions=st.integers(1, 12))
@settings(max_examples=25, deadline=None)
def test_distance_is_the_matrix_formula(seed: int, dimensions: int) -> None:
    random = np.random.default_rng(seed)
    one = random.normal(size=(60, dimensions)) @ random.normal(size=(dimensions, dimensions))
    two = random.normal(1, 2, size=(50, dimensions)) @ random.normal(size=(dimensions, dimensions))
    c1, c2 = np.atleast_2d(np.cov(one.T)), np.atleast_2d(np.cov(two.T))
    step = one.mean(0) - two.mean(0)
    expected = step @ step + np.trace(c1 + c2 - 2 * np.real(sqrtm(c1 @ c2)))
    assert frechet_distance(one, two) == pytest.approx(expected, rel=1e-3, abs=1e-3)
    assert frechet_distance(one, two) == pytest.approx(frechet_distance(two, one), rel=1e-6)


def test_distance_in_closed_form() -> None:
    values = np.array([[-1.0], [1.0]]) * np.sqrt(0.5)  # mean 0, sample variance 1
    assert frechet_distance(values, values) == pytest.approx(0, abs=1e-12)
    assert frechet_distance(values, values + 3) == pytest.approx(9)
    assert frechet_distance(values, 4 * values) == pytest.approx((4 - 1) ** 2)


def test_fewer_pictures_than_dimensions_stay_real() -> None:
    random = np.random.default_rng(0)
    assert np.isfinite(frechet_distance(random.normal(size=(5, 40)), random.normal(size=(6, 40))))
    result = picture_distance(pictures(3, 0), pictures(4, 0, 1), LabStatistics())
    assert "biased upwards" in result.note


def test_only_inception_earns_the_name() -> None:
    one, two = pictures(8, 0), pictures(9, 60, 1)
    assert picture_distance(one, two, Means(INCEPTION)).name == "FID"
    assert picture_distance(one, two, Means(f"{INCEPTION}, mine")).name == "FID, mine"
    other = picture_distance(one, two, Means("mean colour"))
    assert other.name == "Frechet distance (mean colour)"
    assert other.pictures == (8, 9)
    assert "FID" not in picture_distance(one, two).name


def test_other_tints_are_farther_and_sizes_may_differ() -> None:
    reference = pictures(40, 0, 1) + pictures(10, 0, 2, size=20)
    distances = [picture_distance(pictures(50, tint), reference).value for tint in (0, 20, 60, 100)]
    assert distances == sorted(distances)
    assert distances[-1] > 5 * distances[0]


def test_kernel_distance_is_unbiased_about_zero_for_equal_sets() -> None:
    random = np.random.default_rng(0)
    same = [kernel_distance(random.normal(size=(30, 4)), random.normal(size=(30, 4))) for _ in range(40)]
    assert abs(np.mean(same)) < 3 * np.std(same) / np.sqrt(40)
    assert kernel_distance(random.normal(size=(30, 4)), random.normal(1, 1, size=(30, 4))) > 4 * np.std(same)


def test_one_picture_is_refused() -> None:
    with pytest.raises(InputError, match="at least two"):
        picture_distance(pictures(1, 0), pictures(5, 0))
