"""The consistency score on photographs of a real body: what the eye sees there, the score must see."""

from __future__ import annotations

import sys
from pathlib import Path

import numpy as np
import pytest

from MedColorizeLib.evaluation.bands import load_bands

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "Benchmarks"))

from consistency_table import shaken
from cryosection_bands import judge, load_slab, slabs


@pytest.fixture(scope="module")
def frames(data: Path) -> Path:
    folder = data / "cryosections" / "vhm"
    if not folder.is_dir():
        pytest.skip("the cryosections are not here")
    return folder


def test_slabs_cross_no_jump_and_keep_groups_apart() -> None:
    from cryosection_bands import HELD_OUT, JUMPS_AFTER

    for group, first, last in slabs():
        assert not any(first <= jump < last for jump in JUMPS_AFTER)
        touches = any(first <= b + 5 and last >= a - 5 for a, b in HELD_OUT)
        assert touches == (group == "held out")


def test_filmed_over_frames_stand_out_and_settled_ones_do_not(frames: Path) -> None:
    # The first cuts of the third block show blue gelatine over the thighs (looked at); from 1023 on they are clean.
    # Frame 1018 has no matched tissue at all, so the jumps begin at 1019.
    across = judge(*load_slab(frames, 1018, 1033)).consistency[0]
    found = {1018 + o.index for o in across.outliers}
    assert 1019 in found
    assert found <= set(range(1018, 1024))
    assert not judge(*load_slab(frames, 1100, 1115)).consistency[0].outliers


def test_a_shaken_body_is_worse_than_a_real_one_and_the_real_one_lies_in_the_band(frames: Path) -> None:
    rgb, mask = load_slab(frames, 640, 652)
    inside = mask[..., None]
    scores = [judge(rgb, mask).consistency[0]]
    scores += [judge(np.where(inside, shaken(rgb, d), rgb), mask).consistency[0] for d in (3, 10)]
    for name in ("shift_per_mm", "flicker_per_mm", "jitter", "isotropy"):
        values = [getattr(score, name) for score in scores]
        assert values == sorted(values), name
    band = {b.key: b for b in load_bands()}["shift_per_mm"]
    assert scores[0].shift_per_mm <= band.high < scores[1].shift_per_mm


def test_colour_outside_the_body_was_removed_before_judging(frames: Path) -> None:
    rgb, mask = load_slab(frames, 640, 643)
    assert judge(rgb, mask).trust.outside_share == 0
