"""Tissue classes without labels: optimal, ordered, the same whatever the scanner's gain and offset, covering all."""

from __future__ import annotations

import itertools
import time
from pathlib import Path

import nibabel
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from MedColorizeLib.errors import InputError, UsageError
from MedColorizeLib.imaging.clusters import tissue_classes, tissue_labels

scans = st.builds(
    lambda seed, modes, size: _scan(seed, modes, size), st.integers(0, 2**31), st.integers(2, 5), st.integers(50, 2000)
)


def _scan(seed: int, modes: int, size: int) -> np.ndarray:
    rng = np.random.default_rng(seed)
    centre = rng.uniform(20, 235, modes)
    which = rng.integers(0, modes, size)
    return np.clip(np.rint(rng.normal(centre[which], 6)), 0, 255).astype(np.uint8)


@given(scan=scans, classes=st.integers(1, 6))
@settings(max_examples=60, deadline=None)
def test_every_foreground_voxel_has_a_class_and_brighter_never_means_lower(scan: np.ndarray, classes: int) -> None:
    mask = scan > 10
    if not mask.any():
        return
    labels = tissue_labels(scan, mask, classes=classes)
    found = tissue_classes(scan, mask, classes=classes)
    assert (labels[~mask] == 0).all()
    assert labels[mask].min() >= 1
    assert labels.max() <= found.count <= classes
    order = np.argsort(scan[mask], kind="stable")
    assert (np.diff(labels[mask][order].astype(int)) >= 0).all()
    assert list(found.centers) == sorted(found.centers)


@given(scan=scans, classes=st.integers(2, 4), gain=st.floats(0.3, 40), offset=st.floats(-900, 900))
@settings(max_examples=60, deadline=None)
def test_gain_and_offset_of_the_scanner_change_nothing(
    scan: np.ndarray, classes: int, gain: float, offset: float
) -> None:
    """Exactly as long as the values stay apart by more than the histogram's bins, i.e. on the same 256 positions."""
    scan = scan.copy()
    scan[:20], scan[-20:] = 0, 255  # both ends hold more than the robust half percent, so the bins are the codes
    plain = tissue_classes(scan, classes=classes)
    other = tissue_classes(scan * gain + offset, classes=classes)
    assert other.count == plain.count
    np.testing.assert_allclose(other.thresholds, np.array(plain.thresholds) * gain + offset, atol=1e-6 * gain + 1e-6)


@given(scan=scans, gain=st.floats(0.5, 1.0))
@settings(max_examples=40, deadline=None)
def test_rounding_to_codes_moves_the_cut_by_no_more_than_rounding(scan: np.ndarray, gain: float) -> None:
    """The sum of squares reached after rounding is the optimum of the exact values, within half a code per voxel."""
    exact = scan * gain
    rounded = np.rint(exact).astype(np.uint8)

    def root_mean_square(values: np.ndarray, labels: np.ndarray) -> float:
        return float(
            np.sqrt(
                sum(((v := values[labels == c]) - v.mean()).var() * len(v) for c in np.unique(labels)) / len(values)
            )
        )

    of_exact = root_mean_square(exact, tissue_labels(exact, classes=3))
    of_rounded = root_mean_square(exact, tissue_labels(rounded, classes=3))
    tails = 1.0  # what the robust half percents may cost, in codes
    assert of_rounded <= of_exact + 0.5 + tails


@pytest.mark.parametrize("classes", [2, 3, 4])
def test_the_cut_is_the_global_optimum(classes: int) -> None:
    rng = np.random.default_rng(classes)
    values = rng.choice(np.array([3, 8, 9, 40, 41, 77, 120, 121, 130, 200], dtype=np.uint8), 150)
    distinct = np.unique(values)

    def cost(cut: tuple[int, ...]) -> float:
        parts = np.split(distinct, cut)
        return sum(
            np.sum((values[np.isin(values, part)] - values[np.isin(values, part)].mean()) ** 2) for part in parts
        )

    best = min(itertools.combinations(range(1, len(distinct)), classes - 1), key=cost)
    labels = tissue_labels(values, classes=classes)
    expected = np.concatenate([np.full(len(part), c + 1) for c, part in enumerate(np.split(distinct, best))])
    np.testing.assert_array_equal(labels, expected[np.searchsorted(distinct, values)])


def test_a_few_hot_voxels_get_no_class_of_their_own() -> None:
    rng = np.random.default_rng(0)
    tissue = np.concatenate([rng.normal(300, 10, 5000), rng.normal(400, 10, 5000), rng.normal(30000, 10, 20)])
    assert max(tissue_classes(tissue, classes=2).centers) < 420
    np.testing.assert_array_equal(np.unique(tissue_labels(tissue, classes=2)[-20:]), [2])


@pytest.mark.parametrize("kind", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_all_kinds_of_arrays_give_the_same_labels(kind: type) -> None:
    scan = _scan(4, 3, 4000).reshape(10, 20, 20)
    scan.flat[:30], scan.flat[-30:] = 0, 255
    np.testing.assert_array_equal(
        tissue_labels(scan.astype(kind), scan > 0, classes=3), tissue_labels(scan, scan > 0, classes=3)
    )


def test_neighbours_vote_where_asked() -> None:
    truth = np.ones((1, 40, 40), dtype=np.uint8)
    truth[:, :, 20:] = 2
    noisy = np.clip(np.random.default_rng(1).normal(truth * 60.0, 22), 1, 255).astype(np.uint8)
    alone = tissue_labels(noisy, classes=2)
    voted = tissue_labels(noisy, classes=2, spacing=(3.0, 0.5, 0.5), smoothness_mm=1.0)
    assert (voted == truth).mean() > 0.98 > (alone == truth).mean()
    mask = np.zeros(noisy.shape, dtype=bool)
    mask[:, 5:30] = True
    np.testing.assert_array_equal(tissue_labels(noisy, mask, classes=2, smoothness_mm=2.0) > 0, mask)


def test_degenerate_scans() -> None:
    constant = np.full((3, 4, 5), 7.5)
    assert tissue_classes(constant, classes=4).count == 1
    assert (tissue_labels(constant, classes=4) == 1).all()
    assert tissue_classes(np.array([0, 255], dtype=np.uint8), classes=5).count == 2
    with pytest.raises(InputError, match="No foreground"):
        tissue_classes(constant, np.zeros(constant.shape, dtype=bool))
    with pytest.raises(InputError, match="No foreground"):
        tissue_classes(np.full(4, np.nan))
    with pytest.raises(UsageError):
        tissue_classes(constant, classes=0)
    with pytest.raises(UsageError, match="shape"):
        tissue_classes(constant, np.ones((2, 2), dtype=bool))


def test_brain_tissue_is_found(data: Path) -> None:
    for number in ("1000", "1005"):
        scan = np.asarray(nibabel.load(data / f"mr/oasis/{number}_t1.nii.gz").dataobj).astype(np.uint8)
        truth = np.asarray(nibabel.load(data / f"mr/oasis/{number}_tissues.nii.gz").dataobj)
        labels = tissue_labels(scan, scan > 0, classes=3)
        dice = [
            2 * ((labels == c) & (truth == c)).sum() / ((labels == c).sum() + (truth == c).sum()) for c in (1, 2, 3)
        ]
        assert min(dice) > 0.85, dice


def test_a_large_scan_takes_less_than_a_second() -> None:
    scan = np.random.default_rng(0).integers(0, 256, (256, 256, 256), dtype=np.uint8)
    mask = scan > 10
    took = []
    for _ in range(2):
        start = time.process_time()
        tissue_labels(scan, mask, classes=4)
        took.append(time.process_time() - start)
    assert min(took) < 1
