"""Losses of Zhang, ChromaGAN, Lohar and segmentation against values worked out by hand; ab bins and their decoding."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from skimage.color import rgb2lab

from MedColorizeLib.losses.chroma import chrominance_error, class_divergence, critic_difference, gradient_penalty
from MedColorizeLib.losses.classification import (
    ab_bins,
    annealed_mean,
    rarity_weights,
    rebalanced_cross_entropy,
    soft_encode,
)
from MedColorizeLib.losses.dice import dice_loss, dice_scores
from MedColorizeLib.methods.feature_net import restoration_error
from MedColorizeLib.methods.lohar import squared_error
from MedColorizeLib.networks.lab import lab_of, lightness_of, picture_of

torch.set_num_threads(1)

# ab bins (Zhang, section 2.1)


def test_bins_are_a_grid_that_every_srgb_colour_lies_within() -> None:
    bins = ab_bins()
    assert bins.shape == (309, 2)
    assert (bins % 10 == 0).all()
    assert len(torch.unique(bins, dim=0)) == len(bins)
    known = {tuple(map(int, each)) for each in bins}
    assert {b for a, b in known if a == -90} == {50, 60, 70, 80, 90}  # the published table's lowest row
    rgb = np.random.default_rng(0).integers(0, 256, (20000, 3)) / 255
    ab = rgb2lab(rgb[None])[0, :, 1:]
    low = np.floor(ab / 10).astype(int) * 10
    for corner in ((0, 0), (0, 10), (10, 0), (10, 10)):
        assert {tuple(each) for each in low + corner} <= known


@given(a=st.floats(-60, 60), b=st.floats(-60, 60))
@settings(max_examples=50, deadline=None)
def test_soft_encoding_is_a_distribution_over_the_five_nearest_bins(a: float, b: float) -> None:
    bins = ab_bins()
    encoded = soft_encode(torch.tensor([a, b]).view(1, 2, 1, 1), bins)[0, :, 0, 0]
    assert encoded.sum().item() == pytest.approx(1, abs=1e-5)
    distance = (bins - torch.tensor([a, b])).norm(dim=1)
    assert set(encoded.nonzero()[:, 0].tolist()) <= set(
        (distance <= distance.sort().values[4] + 1e-3).nonzero()[:, 0].tolist()
    )
    assert int(encoded.argmax()) in (distance <= distance.min() + 1e-3).nonzero()[:, 0].tolist()


def test_soft_encoding_by_hand() -> None:
    """At the bin (0, 0) the four neighbours at 10 weigh exp(-100 / 50) each."""
    bins = ab_bins()
    encoded = soft_encode(torch.zeros(1, 2, 1, 1), bins)[0, :, 0, 0]
    total = 1 + 4 * math.exp(-2)
    centre = (bins == torch.tensor([0.0, 0.0])).all(1)
    right = (bins == torch.tensor([10.0, 0.0])).all(1)
    assert encoded[centre].item() == pytest.approx(1 / total, rel=1e-5)
    assert encoded[right].item() == pytest.approx(math.exp(-2) / total, rel=1e-5)
    assert (encoded > 0).sum() == 5


@given(rgb=st.tuples(*[st.integers(0, 255)] * 3))
@settings(max_examples=100, deadline=None)
def test_decoding_what_was_encoded_gives_any_srgb_colour_back(rgb: tuple[int, int, int]) -> None:
    bins = ab_bins()
    ab = torch.from_numpy(rgb2lab(np.array(rgb).reshape(1, 1, 3) / 255)[0, 0, 1:]).float().view(1, 2, 1, 1)
    encoded = soft_encode(ab, bins)
    mean = annealed_mean(encoded.clamp(min=1e-12).log(), bins, temperature=1.0)
    assert (mean - ab).abs().max().item() < 1  # a tenth of the grid


def test_a_colour_far_outside_the_bins_goes_to_the_nearest() -> None:
    bins = ab_bins()
    encoded = soft_encode(torch.tensor([500.0, -20.0]).view(1, 2, 1, 1), bins)
    assert torch.isfinite(encoded).all()
    assert bins[encoded[0, :, 0, 0].argmax()].tolist() == [100.0, -20.0]


def test_annealed_mean_goes_from_the_mean_to_the_mode() -> None:
    bins = torch.tensor([[0.0, 0.0], [10.0, 0.0], [0.0, 40.0]])
    share = torch.tensor([0.5, 0.3, 0.2])
    logits = share.log().view(1, 3, 1, 1)
    torch.testing.assert_close(annealed_mean(logits, bins, 1.0).flatten(), torch.tensor([3.0, 8.0]))
    torch.testing.assert_close(annealed_mean(logits, bins, 0.01).flatten(), torch.zeros(2), atol=1e-4, rtol=0)
    sharp = share ** (1 / 0.38)
    expected = (sharp[:, None] * bins).sum(0) / sharp.sum()
    torch.testing.assert_close(annealed_mean(logits, bins, 0.38).flatten(), expected)


# Rebalancing (eqs. 3, 4)


def test_weights_by_hand() -> None:
    """Two bins too far apart to smooth into each other: p = (.9, .1)."""
    bins = torch.tensor([[0.0, 0.0], [100.0, 0.0]])
    weights = rarity_weights(torch.tensor([9.0, 1.0]), bins, uniform=0.5)
    raw = torch.tensor([1 / (0.45 + 0.25), 1 / (0.05 + 0.25)])
    torch.testing.assert_close(weights, raw / (0.9 * raw[0] + 0.1 * raw[1]))
    torch.testing.assert_close(rarity_weights(torch.tensor([9.0, 1.0]), bins, uniform=1.0), torch.ones(2))


@given(seed=st.integers(0, 1000), uniform=st.floats(0.05, 1))
@settings(max_examples=20, deadline=None)
def test_weights_have_mean_one_and_rarer_weighs_more(seed: int, uniform: float) -> None:
    bins = ab_bins()
    prior = torch.from_numpy(np.random.default_rng(seed).exponential(size=len(bins))).float()
    sharp = rarity_weights(prior, bins, uniform=uniform, smoothing=1e-3)
    share = prior / prior.sum()
    assert (sharp * share).sum().item() == pytest.approx(1, abs=1e-4)
    order = share.argsort()
    assert (sharp[order].diff() <= 1e-6 * sharp.max()).all()


def test_the_prior_is_smoothed_in_ab() -> None:
    bins = ab_bins()
    prior = torch.zeros(len(bins))
    at = int((bins == torch.tensor([20.0, 20.0])).all(1).nonzero())
    prior[at] = 1
    near = int((bins == torch.tensor([30.0, 20.0])).all(1).nonzero())
    far = int((bins == torch.tensor([-60.0, 20.0])).all(1).nonzero())
    weights = rarity_weights(prior, bins)
    assert weights[at] < weights[near] < weights[far]


def test_rebalanced_cross_entropy_by_hand() -> None:
    logits = torch.tensor([[2.0, 0.0, 1.0], [0.0, 0.0, 0.0]]).T.view(1, 3, 1, 2)
    target = torch.tensor([[0.7, 0.3, 0.0], [0.0, 0.2, 0.8]]).T.view(1, 3, 1, 2)
    weights = torch.tensor([0.5, 9.0, 2.0])
    log_sum = math.log(math.exp(2) + 1 + math.exp(1))
    first = -(0.7 * (2 - log_sum) + 0.3 * (0 - log_sum))
    expected = (0.5 * first + 2.0 * math.log(3)) / 2
    assert rebalanced_cross_entropy(logits, target, weights).item() == pytest.approx(expected, rel=1e-5)


# ChromaGAN


def test_chrominance_error_adds_both_channels() -> None:
    ab = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 2, 1, 2)
    assert chrominance_error(ab, torch.zeros_like(ab)).item() == pytest.approx((1 + 9 + 4 + 16) / 2)


def test_class_divergence_by_hand() -> None:
    target = torch.tensor([[0.5, 0.5, 0.0], [1.0, 0.0, 0.0]])
    logits = torch.log(torch.tensor([[0.25, 0.25, 0.5], [0.5, 0.25, 0.25]]))
    assert class_divergence(logits, target).item() == pytest.approx((math.log(2) + math.log(2)) / 2, rel=1e-5)
    assert class_divergence(torch.log(target + 1e-9), target).item() == pytest.approx(0, abs=1e-6)


def test_critic_terms_by_hand() -> None:
    """A linear critic has the same slope everywhere: |grad D| is the norm of its weights."""
    weight = torch.tensor([3.0, 4.0]).view(1, 2, 1, 1)

    def critic(picture: torch.Tensor) -> torch.Tensor:
        return (picture * weight).sum((1, 2, 3)).view(-1, 1, 1, 1)

    real, fake = torch.rand(2, 2, 1, 1), torch.rand(2, 2, 1, 1)
    mix = torch.rand(2, 1, 1, 1)
    assert gradient_penalty(critic, real, fake, mix).item() == pytest.approx((5 - 1) ** 2, rel=1e-4)
    assert critic_difference(torch.tensor([3.0, 5.0]), torch.tensor([1.0])).item() == 3


def test_the_penalty_trains_the_critic() -> None:
    critic = torch.nn.Conv2d(3, 1, 3)
    penalty = gradient_penalty(critic, torch.rand(2, 3, 8, 8), torch.rand(2, 3, 8, 8), torch.full((2, 1, 1, 1), 0.5))
    penalty.backward()
    assert critic.weight.grad is not None
    assert critic.weight.grad.abs().sum() > 0


# Segmentation


def test_soft_dice_by_hand() -> None:
    """One foreground class on two pixels: p = (.8, .4), t = (1, 0): 1 - 2 * .8 / (1.2 + 1)."""
    p = torch.tensor([0.8, 0.4])
    logits = torch.stack([torch.full((2,), 7.0), torch.log(p / (1 - p))]).view(1, 2, 1, 2)
    labels = torch.tensor([[[1, 0]]])
    assert dice_loss(logits, labels).item() == pytest.approx(1 - 1.6 / 2.2, abs=1e-4)


def test_soft_dice_leaves_the_background_alone() -> None:
    logits = torch.randn(1, 3, 4, 4, requires_grad=True)
    dice_loss(logits, torch.randint(0, 3, (1, 4, 4))).backward()
    assert logits.grad is not None
    assert (logits.grad[:, 0] == 0).all()
    assert (logits.grad[:, 1:] != 0).all()


def test_dice_scores_by_hand() -> None:
    predicted = torch.tensor([[1, 1, 2, 0]])
    labels = torch.tensor([[1, 0, 2, 2]])
    assert dice_scores(predicted, labels, 4) == pytest.approx({"dice_1": 2 / 3, "dice_2": 2 / 3})


# Others


def test_lohar_squares_pictures_in_unit_range() -> None:
    assert squared_error(torch.full((1, 3, 2, 2), 0.5), torch.full((1, 3, 2, 2), -0.5)).item() == pytest.approx(0.25)


def test_restoration_counts_the_hidden_pixels_alone() -> None:
    pictures = torch.zeros(1, 3, 1, 4)
    restored = torch.tensor([1.0, 2.0, 3.0, 4.0]).expand(1, 3, 1, 4)
    hidden = torch.tensor([False, True, False, True]).view(1, 1, 1, 4)
    assert restoration_error(restored, pictures, hidden).item() == 3
    assert restoration_error(restored, pictures, torch.zeros_like(hidden)).item() == 2.5


# Lab


def test_lab_is_that_of_scikit_image_and_comes_back() -> None:
    rgb = np.random.default_rng(3).random((1, 3, 6, 7))
    picture = torch.from_numpy(rgb * 2 - 1).float()
    lab = lab_of(picture)
    np.testing.assert_allclose(lab[0].numpy(), np.moveaxis(rgb2lab(np.moveaxis(rgb[0], 0, -1)), -1, 0), atol=0.05)
    torch.testing.assert_close(picture_of(lab[:, :1], lab[:, 1:]), picture, atol=2e-3, rtol=0)


def test_lightness_of_gray_is_that_of_the_achromatic_colour_slice_by_slice() -> None:
    gray = torch.linspace(-1, 1, 256).view(1, 1, 16, 16)
    torch.testing.assert_close(lightness_of(gray), lab_of(gray)[:, :1], atol=2e-2, rtol=0)
    three = torch.rand(1, 3, 4, 4) * 2 - 1
    torch.testing.assert_close(lightness_of(three)[:, 1:2], lightness_of(three[:, 1:2]))
    black = torch.full((1, 1, 2, 2), -1.0, requires_grad=True)
    lightness_of(black).sum().backward()
    assert black.grad is not None
    assert torch.isfinite(black.grad).all()


def test_black_stays_black_and_every_dark_colour_keeps_its_chroma() -> None:
    black = picture_of(torch.zeros(1, 1, 2, 2), torch.full((1, 2, 2, 2), 60.0))
    torch.testing.assert_close(black, torch.full((1, 3, 2, 2), -1.0), atol=1e-5, rtol=0)
    levels = torch.arange(13) / 255 * 2 - 1
    dark = torch.stack(torch.meshgrid(levels, levels, levels, indexing="ij")).reshape(1, 3, 13, 169)
    lab = lab_of(dark)
    torch.testing.assert_close(picture_of(lab[:, :1], lab[:, 1:]), dark, atol=1e-3, rtol=0)
