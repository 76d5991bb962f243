"""Consistency scores: what must raise them, what must not touch them."""

from __future__ import annotations

import numpy as np
import pytest
from eval_phantoms import SHAPE, anatomy, painted, volume
from hypothesis import given, settings
from hypothesis import strategies as st

from MedColorizeLib.evaluation.assessing import assess_frames
from MedColorizeLib.evaluation.assessment import AxisConsistency, assess
from MedColorizeLib.evaluation.stack import mirrored
from MedColorizeLib.imaging.volume import ColorVolume, LabelVolume

GRAY, MASK = anatomy()
SCORES = ("flicker", "flicker_per_mm", "shift_per_mm", "drift", "jitter", "spread", "isotropy")


def across(gray: np.ndarray, color: ColorVolume, mask: np.ndarray, **more: object) -> AxisConsistency:
    return assess(gray, color, foreground=mask, **more).consistency[0]  # type: ignore[arg-type]


def test_constant_colour_scores_zero_along_every_axis() -> None:
    rgb = np.broadcast_to(np.array([180, 90, 60], np.uint8), (*SHAPE, 3)).copy()
    gray = np.full(SHAPE, 113, np.uint8)
    for axis in assess(gray, volume(rgb), foreground=MASK).consistency:
        assert [axis.flicker, axis.flicker_per_mm, axis.shift_per_mm] == [0, 0, 0]
        assert axis.drift < 1e-4
        assert axis.jitter < 1e-4
        assert axis.spread < 1e-3
        assert axis.isotropy == pytest.approx(1)
        assert axis.outliers == ()


def test_colour_by_intensity_alone_neither_shifts_nor_jitters() -> None:
    # A palette follows the anatomy, which changes from slice to slice; that is no flicker.
    result = across(GRAY, volume(painted(GRAY)), MASK)
    assert result.shift_per_mm < 0.2
    assert result.jitter < 0.1
    assert result.isotropy == pytest.approx(1, abs=0.25)
    assert result.outliers == ()


def test_growing_hue_jitter_raises_flicker_monotonically() -> None:
    signs = np.random.default_rng(0).choice([-1.0, 1.0], SHAPE[0])
    results = [across(GRAY, volume(painted(GRAY, size * signs)), MASK) for size in (0, 2, 5, 10, 20, 40)]
    for name in ("flicker", "flicker_per_mm", "shift_per_mm", "jitter", "isotropy"):
        values = [getattr(r, name) for r in results]
        assert values == sorted(values), name
        assert values[-1] > 4 * values[1], name
    pairs = np.flatnonzero(np.diff(signs))
    strong = results[-1]
    assert strong.shift[pairs].min() > 5 * np.delete(strong.shift, pairs).max()


@pytest.mark.parametrize("wrong", [(5,), (9, 20), (0, 14), (11, 12), (27,)])
def test_slices_of_another_hue_are_the_outliers(wrong: tuple[int, ...]) -> None:
    degrees = np.zeros(SHAPE[0])
    degrees[list(wrong)] = 25
    result = across(GRAY, volume(painted(GRAY, degrees), (2.5, 1, 1)), MASK)
    assert tuple(o.index for o in result.outliers) == wrong
    for outlier in result.outliers:
        assert outlier.size > 2
        assert outlier.position_mm == outlier.index * 2.5
        assert "dE" in outlier.reasons[0]


def test_a_step_is_told_as_a_jump_that_stays() -> None:
    degrees = np.where(np.arange(SHAPE[0]) < 13, 0, 30.0)
    outliers = across(GRAY, volume(painted(GRAY, degrees)), MASK).outliers
    assert [o.index for o in outliers] == [13]
    assert "stays" in outliers[0].reasons[0]


def test_slow_drift_is_drift_and_not_jitter() -> None:
    shape = (60, 40, 44)
    gray, mask = anatomy(shape)
    slow = across(gray, volume(painted(gray, np.linspace(0, 40, 60))), mask)
    still = across(gray, volume(painted(gray)), mask)
    quick = across(gray, volume(painted(gray, 20 * (np.arange(60) % 2))), mask)
    assert slow.drift > 8
    assert slow.drift > 10 * still.drift
    assert slow.jitter < 0.02 * slow.drift
    assert quick.jitter > 5 * slow.jitter
    assert quick.drift < 0.3 * slow.drift
    assert slow.outliers == ()
    assert slow.tissues[0].drift_per_mm == pytest.approx(slow.tissues[0].drift / 59)


@given(
    seed=st.integers(0, 100),
    size=st.floats(0, 30),
    flips=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
@settings(max_examples=8, deadline=None)
def test_order_of_the_slices_does_not_matter(seed: int, size: float, flips: tuple[bool, bool, bool]) -> None:
    shape = (20, 37, 66)
    gray, mask = anatomy(shape, seed)
    rgb = painted(gray, np.random.default_rng(seed).normal(0, size, shape[0]))
    turn = tuple(slice(None, None, -1 if flip else 1) for flip in flips)
    one = assess(gray, volume(rgb), foreground=mask)
    two = assess(gray[turn], volume(rgb[turn]), foreground=mask[turn])
    for first, second in zip(one.consistency, two.consistency, strict=True):
        for name in SCORES:
            assert getattr(first, name) == pytest.approx(getattr(second, name), rel=1e-4, abs=1e-4), name
        back = slice(None, None, -1 if flips[first.axis] else 1)
        np.testing.assert_allclose(first.shift, second.shift[back], rtol=1e-4, atol=1e-4)
        assert len(first.outliers) == len(second.outliers)
    assert [g.light for g in one.grades] == [g.light for g in two.grades]


@given(seed=st.integers(0, 100), size=st.floats(2, 30))
@settings(max_examples=6, deadline=None)
def test_sampled_twice_as_finely_the_scores_per_mm_stay(seed: int, size: float) -> None:
    degrees = np.random.default_rng(seed).normal(0, size, SHAPE[0])
    rgb = painted(GRAY, degrees)
    coarse = across(GRAY, volume(rgb, (2, 1, 1)), MASK)
    fine = across(np.repeat(GRAY, 2, axis=0), volume(np.repeat(rgb, 2, axis=0), (1, 1, 1)), np.repeat(MASK, 2, axis=0))
    for name in ("flicker_per_mm", "shift_per_mm"):
        assert getattr(fine, name) == pytest.approx(getattr(coarse, name), rel=0.03), name
    assert fine.jitter == pytest.approx(coarse.jitter, rel=0.2)


def test_a_ramp_between_slices_keeps_the_scores_per_mm() -> None:
    # Twice as fine by interpolation rather than repetition: total variation is the same.
    gray = np.full(SHAPE, 128, np.uint8)
    degrees = np.random.default_rng(1).normal(0, 12, 15)
    between = np.interp(np.arange(29) / 2, np.arange(15), degrees)
    coarse = across(gray[:15], volume(painted(gray[:15], degrees), (2, 1, 1)), MASK[:15])
    stretched = np.full((29, *SHAPE[1:]), 128, np.uint8)
    mask = np.broadcast_to(MASK[0], stretched.shape).copy()
    fine = across(stretched, volume(painted(stretched, between), (1, 1, 1)), mask)
    assert fine.shift_per_mm == pytest.approx(coarse.shift_per_mm, rel=0.05)


@given(seed=st.integers(0, 1000))
@settings(max_examples=8, deadline=None)
def test_nothing_outside_the_foreground_has_a_say(seed: int) -> None:
    random = np.random.default_rng(seed)
    rgb = painted(GRAY, random.normal(0, 8, SHAPE[0]))
    noise = random.integers(0, 256, (*SHAPE, 3), dtype=np.uint8)
    other = random.integers(0, 256, SHAPE, dtype=np.uint8)
    one = assess(GRAY, volume(rgb), foreground=MASK)
    two = assess(np.where(MASK, GRAY, other), volume(np.where(MASK[..., None], rgb, noise)), foreground=MASK)
    for first, second in zip(one.consistency, two.consistency, strict=True):
        for name in SCORES:
            assert getattr(first, name) == getattr(second, name), name
        assert first.outliers == second.outliers
    assert one.trust.bleeding_share == two.trust.bleeding_share
    assert one.fidelity.colorfulness == two.fidelity.colorfulness
    assert two.trust.outside_share > 0.5 > one.trust.outside_share


def test_brighter_slices_of_the_same_colour_do_not_flicker() -> None:
    # Every other slice 7 codes brighter, chroma as before.
    gray = (GRAY + np.where(np.arange(SHAPE[0]) % 2, 7, 0)[:, None, None].astype(np.uint8)).astype(np.uint8)
    assert across(gray, volume(painted(gray)), MASK).flicker < 0.5


def test_labels_name_the_tissues_and_are_matched() -> None:
    labels = np.where(MASK, np.where(np.arange(SHAPE[2]) < 22, 3, 9), 0)
    degrees = np.zeros(SHAPE[0])
    rgb = painted(GRAY, degrees)
    rgb[7][labels[7] == 9] = painted(GRAY, degrees + 60)[7][labels[7] == 9]
    given_labels = LabelVolume(labels, np.eye(4), {3: "liver"})
    result = across(GRAY, volume(rgb), MASK, labels=given_labels)
    assert [(t.name, t.label, t.from_labels) for t in result.tissues] == [("liver", 3, True), ("label 9", 9, True)]
    assert [o.index for o in result.outliers] == [7]
    assert "label 9" in result.outliers[0].reasons[0]
    assert result.tissues[0].jitter < 0.1 < 1 < result.tissues[1].jitter


def test_frames_are_judged_like_slices() -> None:
    steady = [(GRAY, volume(painted(GRAY))) for _ in range(9)]
    still = assess_frames(steady, MASK)
    assert still.flicker == 0
    assert still.jitter < 1e-3
    steady[4] = (GRAY, volume(painted(GRAY, 30)))
    result = assess_frames(steady, MASK)
    assert [o.index for o in result.outliers] == [4]
    assert "frames around it" in result.outliers[0].reasons[0]
    assert np.isnan(result.outliers[0].position_mm)
    assert np.flatnonzero(result.shift > 1).tolist() == [3, 4]


def test_one_slice_has_no_score_across_and_still_a_report() -> None:
    result = assess(GRAY[:1], volume(painted(GRAY[:1])), foreground=MASK[:1])
    assert np.isnan(result.consistency[0].shift_per_mm)
    assert result.consistency[0].pairs.size == 0
    assert np.isfinite(result.consistency[1].flicker)
    assert any("three slices" in note for note in result.notes)


@given(count=st.integers(1, 700), most=st.integers(1, 80))
def test_sampled_places_mirror_themselves(count: int, most: int) -> None:
    places = mirrored(count, most)
    assert len(places) >= 1
    assert np.array_equal(np.sort(count - 1 - places), places)
    assert len(places) <= max(most, 2)
    assert len(np.unique(np.diff(places))) <= 1
