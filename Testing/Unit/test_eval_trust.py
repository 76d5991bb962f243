"""What the colouring added or lost, and where colourings disagree."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from eval_phantoms import SHAPE, anatomy, painted, volume
from hypothesis import given
from hypothesis import strategies as st
from scipy import ndimage
from skimage.color import deltaE_ciede2000, rgb2lab

from MedColorizeLib.errors import Cancelled, UsageError
from MedColorizeLib.evaluation.assessment import Assessment, _plain, assess
from MedColorizeLib.evaluation.grades import grade_uncertainty
from MedColorizeLib.evaluation.planes import _around, _dilate, find_edges
from MedColorizeLib.evaluation.trust import disagreement
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.progress import CancelToken

GRAY, MASK = anatomy()


def judged(rgb: np.ndarray, gray: np.ndarray = GRAY, mask: np.ndarray = MASK) -> Assessment:
    return assess(gray, volume(rgb), foreground=mask)


def test_luma_errors_are_counted_on_every_voxel() -> None:
    rgb = painted(GRAY)
    assert judged(rgb).trust.luma_error_max == 0
    rgb[11, 20, 20] = 255
    rgb[11, 20, 21] = GRAY[11, 20, 21] + 3
    result = judged(rgb)
    most = 255 - int(GRAY[11, 20, 20])
    assert result.trust.luma_error_max == most
    assert result.trust.luma_error_mean == pytest.approx((most + 3) / GRAY.size)
    assert result.trust.luma_error_share == pytest.approx(2 / GRAY.size)
    assert result.slices.luma_error_max[11] == most
    assert result.slices.luma_error_mean[11] == pytest.approx((most + 3) / MASK[11].sum())
    assert result.slices.luma_error_max[10] == 0


def two_tissues() -> tuple[np.ndarray, np.ndarray]:
    """A step of intensity across I, and the mask."""
    gray = np.full((5, 40, 60), 90, np.uint8)
    gray[..., 30:] = 150
    mask = np.zeros(gray.shape, bool)
    mask[:, 4:-4, 4:-4] = True
    return gray, mask


def test_colour_that_leaves_its_tissue_bleeds() -> None:
    gray, mask = two_tissues()
    shares = []
    for border in (30, 31, 35, 45):
        rgb = np.where(np.arange(60)[:, None] < border, painted(gray), painted(gray, 120))
        shares.append(judged(rgb, gray, mask).trust.bleeding_share)
    assert shares == [0, 0, 1, 1]


def test_uniform_tint_has_no_colour_edges() -> None:
    gray = np.full((5, 40, 60), 120, np.uint8)
    assert judged(painted(gray), gray, np.ones(gray.shape, bool)).trust.bleeding_share == 0


def test_structure_that_the_input_lacks_is_invented_and_the_reverse_is_lost() -> None:
    gray, mask = two_tissues()
    invented = gray.copy()
    invented[:, 15:25, 12:20] += 40
    result = judged(painted(invented), gray, mask).trust
    # The outline of the block, two voxels thick (steps are taken 2 mm apart), beside the step that both have.
    edges = find_edges(gray[0], invented[0], painted(invented)[0], mask[0], (1, 1, 1))
    assert edges.invented == pytest.approx(2 * 2 * (10 + 8), abs=8)
    assert edges.source == 2 * 30  # the body is 32 rows high, its first and last without a full step
    assert result.invented_share == pytest.approx(edges.invented / (edges.invented + edges.source))
    assert result.lost_share == 0
    back = judged(painted(gray), invented, mask).trust
    assert back.invented_share == 0
    assert back.lost_share == pytest.approx(result.invented_share)


def test_colour_outside_the_body_is_seen_beyond_the_rim() -> None:
    rgb = painted(GRAY)
    gray_outside = np.where(MASK[..., None], rgb, GRAY[..., None])
    assert judged(gray_outside).trust.outside_share == 0
    far = ~ndimage.binary_dilation(MASK, iterations=8)
    rgb = gray_outside.copy()
    rgb[far] = (120, 40, 30)
    result = judged(rgb).trust
    assert result.outside_share > 0.2
    assert result.outside_chroma_mean > 5
    rim = gray_outside.copy()
    rim[ndimage.binary_dilation(MASK, iterations=2) & ~MASK] = (120, 40, 30)
    assert judged(rim).trust.outside_share == 0


def test_clipping_is_told_by_the_provenance_or_estimated() -> None:
    rgb = painted(GRAY)
    estimated = judged(rgb).trust
    assert estimated.clipped_source == "voxels"
    assert estimated.clipped_share == 0
    rgb[MASK & (GRAY > 150)] = (255, 120, 90)
    expected = (MASK & (GRAY > 150)).sum() / MASK.sum()
    assert judged(rgb).trust.clipped_share == pytest.approx(expected)
    told = assess(GRAY, replace(volume(rgb), provenance={"gamut_overflow_share": 0.05}), foreground=MASK).trust
    assert told.clipped_source == "provenance"
    assert told.clipped_share == pytest.approx(0.05 * MASK.size / MASK.sum())


def test_a_gray_result_is_called_gray() -> None:
    result = judged(np.repeat(GRAY[..., None], 3, axis=3))
    assert result.trust.neutral_share == 1
    light = {g.key: g.light for g in result.grades}
    assert light["colorfulness"] == "red"
    assert light["luma_error_max"] == "green"
    assert result.overall == "red"


def test_disagreement_is_the_mean_difference_of_pairs() -> None:
    turned = [painted(GRAY, degrees) for degrees in (0, 20, 50)]
    values, summary = disagreement(
        [volume(turned[0]), turned[1], volume(turned[2])], MASK, ("axial", "coronal", "sagittal")
    )
    assert values.shape == SHAPE
    assert values.dtype == np.float32
    assert np.all(values[~MASK] == 0)
    labs = [rgb2lab(t[10]) for t in turned]
    for one in labs:
        one[..., 0] = 50
    expected = sum(deltaE_ciede2000(labs[m], labs[n]) for m, n in ((0, 1), (0, 2), (1, 2))) / 3
    np.testing.assert_allclose(values[10][MASK[10]], expected[MASK[10]], rtol=1e-3, atol=1e-3)
    assert summary.mean == pytest.approx(values[MASK].mean(), rel=1e-5)
    assert summary.p95 == pytest.approx(np.percentile(values[MASK], 95), rel=1e-5)
    assert summary.share_visible == pytest.approx(np.mean(values[MASK] > 5))
    assert summary.per_slice[10] == pytest.approx(values[10][MASK[10]].mean(), rel=1e-5)
    assert grade_uncertainty(summary).light == "red"


def test_equal_colourings_do_not_disagree() -> None:
    values, summary = disagreement([painted(GRAY)] * 3)
    assert values.max() == summary.maximum == 0
    assert grade_uncertainty(summary).light == "green"


def test_disagreement_refuses_one_or_unequal_and_heeds_cancel() -> None:
    with pytest.raises(UsageError, match="at least two"):
        disagreement([painted(GRAY)])
    with pytest.raises(UsageError, match="equal numbers"):
        disagreement([painted(GRAY), painted(GRAY)[:-1]])
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        disagreement([painted(GRAY)] * 2, cancel=token)


@pytest.mark.parametrize("reach", [(1, 1), (2, 5), (4, 3), (50, 1)])
def test_dilation_is_scipys(reach: tuple[int, int]) -> None:
    mask = np.random.default_rng(0).random((30, 33)) > 0.985
    box = np.ones((2 * reach[0] + 1, 2 * reach[1] + 1), bool)
    assert np.array_equal(_dilate(mask, reach), ndimage.binary_dilation(mask, box))


def test_luma_edges_of_a_locked_result_are_the_inputs() -> None:
    rgb = painted(GRAY)
    assert np.array_equal(luma_codes(rgb), GRAY)
    edges = find_edges(GRAY[5], luma_codes(rgb[5]), rgb[5], MASK[5], (1, 1, 1))
    assert edges.result == edges.source
    assert edges.invented == edges.lost == 0


@given(
    seed=st.integers(0, 10_000),
    first=st.tuples(st.integers(0, 28), st.integers(0, 36)),
    size=st.tuples(st.integers(1, 30), st.integers(1, 38)),
    spacing=st.sampled_from([(1.0, 1.0, 1.0), (3.0, 0.4, 0.7), (1.0, 2.5, 0.3)]),
)
def test_edges_depend_on_the_foreground_and_one_tap_around_it_only(
    seed: int, first: tuple[int, int], size: tuple[int, int], spacing: tuple[float, float, float]
) -> None:
    """What `measure_planes` leaves out to save time changes no count, wherever the body lies in the slice."""
    rng = np.random.default_rng(seed)
    inside = np.zeros((30, 38), bool)
    inside[first[0] : first[0] + size[0], first[1] : first[1] + size[1]] = True
    inside &= rng.random(inside.shape) > 0.05
    if not inside.any():
        return
    gray, luma = (rng.integers(0, 60, inside.shape).astype(np.uint8) for _ in range(2))
    rgb = rng.integers(0, 90, (*inside.shape, 3)).astype(np.uint8)
    box = _around(inside, spacing)
    whole = find_edges(gray, luma, rgb, inside, spacing)
    assert find_edges(gray[box], luma[box], rgb[box], inside[box], spacing) == whole
    assert find_edges(gray[box], gray[box], rgb[box], inside[box], spacing) == find_edges(
        gray, gray, rgb, inside, spacing
    )


def test_arrays_become_the_lists_that_numbers_one_by_one_become() -> None:
    values = np.random.default_rng(0).normal(0, 1e3, (4, 5, 3))
    values[0, 0, 0], values[1, 1, 1], values[2, 2, 2] = np.nan, np.inf, -np.inf
    one_by_one = [[[_plain(float(v)) for v in row] for row in part] for part in values]
    for array in (values, values.astype(np.float32).astype(np.float64)):
        assert np.shape(_plain(array)) == array.shape
    assert _plain(values) == one_by_one
    assert _plain(values)[0][0][0] is None
    assert _plain(np.zeros((2, 0))) == [[], []]
    assert _plain(np.array(1.23456789)) == 1.23457
    assert _plain(np.array([1, 2], np.uint8)) == [1, 2]
