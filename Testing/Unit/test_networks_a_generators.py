"""Generators and discriminators of ColorMedGAN and CycleGAN: sizes as published, shapes, receptive fields."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from method_phantoms import one_thread
from torch import nn

from MedColorizeLib.errors import UsageError
from MedColorizeLib.networks.colormedgan import ColorMedGANDiscriminator, ColorMedGANGenerator
from MedColorizeLib.networks.discriminators import PatchGAN
from MedColorizeLib.networks.initial import normal_init
from MedColorizeLib.networks.resnet9 import ResnetGenerator
from MedColorizeLib.networks.unet256 import UnetGenerator
from MedColorizeLib.networks.upsampling import UpsampleConv2d

__all__ = ["one_thread"]


def parameters(network: nn.Module) -> int:
    return sum(p.numel() for p in network.parameters())


class TestSizes:
    """Counts that the papers' codes have, to the last parameter where they are known."""

    def test_resnet9(self) -> None:
        assert parameters(ResnetGenerator()) == 11_378_179

    def test_unet256(self) -> None:
        assert parameters(UnetGenerator()) / 1e6 == pytest.approx(54.4, abs=0.05)

    def test_patchgan(self) -> None:
        assert parameters(PatchGAN()) == 2_764_737

    @pytest.mark.parametrize(("upsample", "published"), [("deconv", 7.34), ("nearest", 10.48)])
    def test_colormedgan(self, upsample: str, published: float) -> None:
        generator = ColorMedGANGenerator(3, 3, upsample=upsample)  # type: ignore[arg-type]
        # The published counts include the vectors of the power iteration, which are buffers here.
        vectors = sum(buffer.numel() for buffer in generator.buffers())
        assert (parameters(generator) + vectors) / 1e6 == pytest.approx(published, abs=0.025)

    def test_concat_widens_two_layers(self) -> None:
        plain, concat = (ColorMedGANGenerator(fusion=mode) for mode in ("none", "concat"))
        assert concat.down3.conv.weight.shape[1] == 256
        assert concat.up1.conv.weight.shape[1] == 384
        assert parameters(concat) - parameters(plain) == 128 * 256 * 9 + 128 * 64 * 25


class TestSpectralNorm:
    def test_all_but_the_last(self) -> None:
        for network in (ColorMedGANGenerator(width=4, feature_channels=(8, 8)), ColorMedGANDiscriminator(4, width=4)):
            convolutions = [
                m for m in network.modules() if isinstance(m, (nn.Conv2d, nn.ConvTranspose2d, UpsampleConv2d))
            ]
            normalised = [hasattr(m, "parametrizations") for m in convolutions]
            assert normalised == [True] * (len(convolutions) - 1) + [False]

    def test_largest_singular_value_is_one(self) -> None:
        generator = ColorMedGANGenerator(width=8, feature_channels=(16, 16))
        for _ in range(30):
            generator(torch.zeros(1, 1, 16, 16), *[torch.zeros(1, 16, 8, 8)] * 2)
        weight = generator.up2.conv.weight.detach().flatten(1)
        assert torch.linalg.matrix_norm(weight, 2).item() == pytest.approx(1, abs=0.02)

    def test_inference_does_not_drift(self) -> None:
        generator = ColorMedGANGenerator(width=4, fusion="none").eval()
        gray = torch.rand(1, 1, 16, 16)
        assert torch.equal(generator(gray), generator(gray))


class TestShapes:
    @pytest.mark.parametrize(("height", "width"), [(64, 64), (72, 104), (8, 40)])
    @pytest.mark.parametrize("upsample", ["nearest", "deconv"])
    def test_colormedgan(self, height: int, width: int, upsample: str) -> None:
        generator = ColorMedGANGenerator(5, 3, width=4, upsample=upsample, feature_channels=(8, 8))  # type: ignore[arg-type]
        maps = [torch.zeros(2, 8, height // 2, width // 2)] * 2
        assert generator(torch.zeros(2, 5, height, width), *maps).shape == (2, 3, height, width)

    @pytest.mark.parametrize("fusion", ["sigmoid", "concat"])
    def test_fusion_without_maps_is_refused(self, fusion: str) -> None:
        with pytest.raises(UsageError, match="needs both maps"):
            ColorMedGANGenerator(width=4, feature_channels=(8, 8), fusion=fusion)(torch.zeros(1, 1, 16, 16))  # type: ignore[arg-type]

    def test_sigmoid_needs_equal_widths(self) -> None:
        with pytest.raises(UsageError, match="same width"):
            ColorMedGANGenerator(width=4, feature_channels=(8, 16))

    def test_resnet(self) -> None:
        assert ResnetGenerator(3, 1, width=4, blocks=1)(torch.zeros(1, 3, 36, 20)).shape == (1, 1, 36, 20)

    def test_unet(self) -> None:
        assert UnetGenerator(1, 3, width=4, depth=4)(torch.zeros(1, 1, 32, 48)).shape == (1, 3, 32, 48)

    def test_discriminators_at_256(self) -> None:
        picture = torch.zeros(1, 3, 256, 256)
        assert PatchGAN(width=4)(picture).shape == (1, 1, 30, 30)
        assert ColorMedGANDiscriminator(width=4)(picture).shape == (1, 1, 64, 64)


class TestFusion:
    def test_zero_attention_shuts_the_gate(self) -> None:
        """Eq. 1: with sigmoid(F_e) = 0 nothing of the image passes the second level."""
        generator = ColorMedGANGenerator(width=4, feature_channels=(8, 8)).eval()
        shut = [torch.full((1, 8, 8, 8), -100.0)] * 2
        one, other = (generator(torch.rand(1, 1, 16, 16), *shut) for _ in range(2))
        torch.testing.assert_close(one, other)

    @pytest.mark.parametrize("fusion", ["sigmoid", "concat"])
    @pytest.mark.parametrize("changed", [0, 1])
    def test_both_maps_matter(self, fusion: str, changed: int) -> None:
        generator = ColorMedGANGenerator(width=4, feature_channels=(8, 8), fusion=fusion).eval()  # type: ignore[arg-type]
        gray, maps = torch.rand(1, 1, 16, 16), [torch.rand(1, 8, 8, 8) for _ in range(2)]
        before = generator(gray, *maps)
        maps[changed] = torch.randn(1, 8, 8, 8)
        assert not torch.allclose(before, generator(gray, *maps))


def test_patchgan_sees_70_pixels() -> None:
    network = PatchGAN(width=2)
    for module in network.modules():  # instance norm sees the whole picture; the claim is about convolutions
        if isinstance(module, nn.InstanceNorm2d):
            module.forward = nn.Identity().forward  # type: ignore[method-assign]
    picture = torch.rand(1, 3, 256, 256, requires_grad=True)
    network(picture)[0, 0, 15, 15].backward()
    assert picture.grad is not None
    rows = picture.grad[0].abs().sum((0, 2)).nonzero().flatten()
    assert int(rows.max() - rows.min()) + 1 == 70


class TestUpsampling:
    @given(st.integers(1, 4), st.integers(1, 4), st.integers(1, 9), st.integers(1, 9), st.booleans())
    @settings(max_examples=40, deadline=None)
    def test_four_phases_equal_the_plain_form(self, inward: int, outward: int, h: int, w: int, bias: bool) -> None:
        layer = UpsampleConv2d(inward, outward, bias)
        x = torch.randn(2, inward, h, w)
        expected = layer.plain(x)
        torch.testing.assert_close(layer(x), expected, atol=1e-5, rtol=1e-4)
        torch.testing.assert_close(layer.folded()(x), expected, atol=1e-5, rtol=1e-4)

    def test_a_shift_by_one_pixel_shifts_the_result_by_two(self) -> None:
        layer, x = UpsampleConv2d(2, 3), torch.randn(1, 2, 8, 8)
        shifted = layer(x.roll(1, -1))
        torch.testing.assert_close(shifted[..., 6:-4], layer(x).roll(2, -1)[..., 6:-4], atol=1e-5, rtol=1e-4)

    def test_gradients_equal_the_plain_form(self) -> None:
        layer, x = UpsampleConv2d(3, 2).double(), torch.randn(1, 3, 5, 4, dtype=torch.float64)
        gradients = []
        for form in (layer, layer.plain):
            layer.zero_grad()
            form(x).square().sum().backward()
            gradients.append([p.grad.clone() for p in layer.parameters() if p.grad is not None])
        assert len(gradients[0]) == 2
        for one, other in zip(*gradients, strict=True):
            torch.testing.assert_close(one, other)


def test_initial_weights_are_those_that_monai_draws() -> None:
    from monai.networks.utils import normal_init as theirs

    drawn = []
    for initialise in (normal_init, theirs):
        torch.manual_seed(11)
        net = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.Sequential(
                nn.ConvTranspose2d(4, 4, 3, bias=False), nn.BatchNorm2d(4), nn.InstanceNorm2d(4, affine=True)
            ),
            nn.Linear(4, 2),
            nn.ReLU(),
        )
        drawn.append(net.apply(initialise).state_dict())
    ours, expected = drawn
    assert ours.keys() == expected.keys()
    assert all(torch.equal(ours[name], expected[name]) for name in expected)
    assert 0.01 < float(ours["0.weight"].std()) < 0.03
