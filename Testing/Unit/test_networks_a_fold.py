"""Networks as built for inference give what the networks as written give."""

from __future__ import annotations

from pathlib import Path
from unittest.mock import patch

import pytest
import torch
from method_phantoms import one_thread
from torch import nn

from MedColorizeLib.methods.colormedgan import ColorMedGAN, ColorMedGANOptions
from MedColorizeLib.networks import precision
from MedColorizeLib.networks.colormedgan import ColorMedGANGenerator
from MedColorizeLib.networks.fold import fold, merge_equal_channels
from MedColorizeLib.networks.resnet9 import ResnetGenerator
from MedColorizeLib.networks.unet256 import UnetGenerator
from MedColorizeLib.networks.unet_seg import UNetSeg
from MedColorizeLib.networks.upsampling import UpsampleConv2d
from MedColorizeLib.networks.winograd import WinogradConv2d

__all__ = ["one_thread"]


def with_statistics(network: nn.Module) -> nn.Module:
    """Batch norms that do something, as after training."""
    for module in network.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.running_mean, -0.5, 0.5)  # type: ignore[arg-type]
            nn.init.uniform_(module.running_var, 0.5, 2.0)  # type: ignore[arg-type]
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
    return network.eval()


@pytest.mark.parametrize("size", [(32, 32), (16, 48), (40, 24)])
@pytest.mark.parametrize("upsample", ["nearest", "deconv"])
def test_colormedgan_generator(size: tuple[int, int], upsample: str) -> None:
    generator = ColorMedGANGenerator(3, 3, width=8, upsample=upsample, fusion="none")  # type: ignore[arg-type]
    picture = torch.rand(2, 3, *size) * 2 - 1
    for _ in range(3):
        generator(picture)  # spectral norm iterates
    generator.eval()
    folded = fold(generator)
    for module in generator.modules():
        if isinstance(module, UpsampleConv2d):
            module.forward = module.plain  # type: ignore[method-assign]
    with torch.no_grad():
        torch.testing.assert_close(folded(picture), generator(picture), atol=1e-4, rtol=0)
    assert not any("parametrizations" in key for key in folded.state_dict())
    assert not any(isinstance(module, UpsampleConv2d) for module in folded.modules())


def test_batch_norms_are_gone_and_the_result_stays() -> None:
    network = with_statistics(UNetSeg(widths=(8, 16, 32)))
    folded = fold(network)
    assert not any(isinstance(module, nn.BatchNorm2d) for module in folded.modules())
    gray = torch.rand(1, 1, 32, 24)
    with torch.no_grad():
        for one, other in zip(network(gray), folded(gray), strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-4)


def test_plain_sequences_are_folded_too() -> None:
    network = with_statistics(nn.Sequential(nn.Conv2d(1, 4, 3, bias=False), nn.BatchNorm2d(4), nn.ReLU()))
    folded = fold(network)
    assert isinstance(folded[1], nn.Identity)
    picture = torch.rand(1, 1, 8, 8)
    torch.testing.assert_close(folded(picture), network(picture), atol=1e-5, rtol=1e-5)


def test_folding_leaves_the_original_trainable() -> None:
    generator = ColorMedGANGenerator(width=4, fusion="none")
    before = {key: value.clone() for key, value in generator.state_dict().items()}
    fold(generator)
    assert generator.training
    generator(torch.rand(1, 1, 16, 16)).sum().backward()
    assert all(p.grad is not None for p in generator.parameters())
    assert before.keys() == generator.state_dict().keys()


@pytest.mark.parametrize(
    "network",
    [
        ResnetGenerator(width=4, blocks=1),
        UnetGenerator(width=4, depth=3),
        ColorMedGANGenerator(3, fusion="none", width=4),
    ],
    ids=lambda network: type(network).__name__,
)
def test_three_equal_channels_become_one(network: nn.Module) -> None:
    network = fold(network)
    gray = torch.rand(1, 1, 32, 32)
    merged = merge_equal_channels(network)
    torch.testing.assert_close(merged(gray), network(gray.expand(-1, 3, -1, -1)), atol=1e-5, rtol=0)


def test_the_segmentation_network_is_kept_only_as_far_as_it_is_fused() -> None:
    options = ColorMedGANOptions(width=4, beta=0.0, segmentation_weights="random")
    method = ColorMedGAN(options)
    with_statistics(method.frozen()["segmentation"])
    network = method.inference_network()
    kept = sum(p.numel() for p in network.semantic.parameters())  # type: ignore[union-attr, operator]
    whole = sum(p.numel() for p in method.frozen()["segmentation"].parameters())
    assert kept < whole
    gray = torch.rand(1, 1, 32, 48)
    with torch.no_grad():
        torch.testing.assert_close(network(gray), method.generate(gray), atol=1e-4, rtol=0)


class TestWinograd:
    @staticmethod
    def pair(**options: object) -> tuple[nn.Conv2d, WinogradConv2d]:
        convolution = nn.Conv2d(256, 257, 3, padding=1, **options).requires_grad_(False)  # type: ignore[arg-type]
        return convolution, WinogradConv2d.of(convolution)

    @pytest.mark.parametrize("padding_mode", ["zeros", "reflect"])
    @pytest.mark.parametrize("bias", [True, False])
    @pytest.mark.parametrize("layout", [torch.contiguous_format, torch.channels_last])
    def test_gives_what_the_plain_convolution_gives(
        self, padding_mode: str, bias: bool, layout: torch.memory_format
    ) -> None:
        plain, winograd = self.pair(padding_mode=padding_mode, bias=bias)
        x = torch.randn(2, 256, 6, 10).to(memory_format=layout)
        with patch.object(nn.Conv2d, "forward", side_effect=AssertionError("the plain form was used")):
            found = winograd(x)
        torch.testing.assert_close(found, plain(x), atol=2e-5, rtol=0)
        assert winograd.state_dict().keys() == plain.state_dict().keys()

    def test_rounds_no_worse_than_the_plain_convolution(self) -> None:
        plain, winograd = self.pair()
        x = torch.randn(1, 256, 16, 16)
        exact = nn.functional.conv2d(x.double(), plain.weight.double(), plain.bias.double(), padding=1)  # type: ignore[union-attr]
        assert (winograd(x) - exact).abs().max() <= 2 * (plain(x) - exact).abs().max()

    @pytest.mark.parametrize("shape", [(1, 256, 5, 6), (1, 256, 96, 96)])
    def test_odd_and_large_pictures_go_the_plain_way(self, shape: tuple[int, ...]) -> None:
        plain, winograd = self.pair()
        x = torch.randn(shape)
        assert torch.equal(winograd(x), plain(x))

    def test_new_weights_are_noticed(self) -> None:
        (_, winograd), (other, _) = self.pair(), self.pair()
        x = torch.randn(1, 256, 4, 4)
        winograd(x)
        winograd.load_state_dict(other.state_dict())
        torch.testing.assert_close(winograd(x), other(x), atol=2e-5, rtol=0)

    def test_gradients_go_the_plain_way(self) -> None:
        _, winograd = self.pair()
        x = torch.randn(1, 256, 4, 4, requires_grad=True)
        winograd(x).sum().backward()
        assert x.grad is not None

    def test_only_wide_unit_stride_convolutions(self) -> None:
        assert WinogradConv2d.suits(nn.Conv2d(256, 256, 3, padding=1))
        for other in (
            nn.Conv2d(128, 256, 3, padding=1),
            nn.Conv2d(256, 256, 3, padding=1, stride=2),
            nn.Conv2d(256, 256, 3),
            nn.Conv2d(256, 256, 5, padding=2),
            nn.Conv2d(256, 256, 3, padding=1, groups=2),
            nn.ConvTranspose2d(256, 256, 3, padding=1),
        ):
            assert not WinogradConv2d.suits(other)

    def test_folding_uses_it(self) -> None:
        folded = fold(ResnetGenerator(1, width=64, blocks=1))
        assert sum(isinstance(module, WinogradConv2d) for module in folded.modules()) == 2
        plain = ResnetGenerator(1, width=64, blocks=1).eval()
        plain.load_state_dict(folded.state_dict())
        picture = torch.rand(1, 1, 32, 32)
        with torch.no_grad():
            torch.testing.assert_close(folded(picture), plain(picture), atol=1e-4, rtol=0)


def test_half_precision_is_close() -> None:
    network = fold(ColorMedGANGenerator(width=4, fusion="none"))
    gray = torch.rand(1, 1, 32, 32)
    with torch.no_grad():
        single, half = network(gray), network.to(torch.bfloat16)(gray.bfloat16()).float()
    assert (single - half).square().mean().sqrt() < 0.02 * max(single.abs().max().item(), 0.1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("flags\t\t: fpu avx2\n", False),
        ("flags\t\t: fpu avx512f avx512_bf16\n", True),
        ("processor\t: 0\nFeatures\t: asimd bf16\n", True),
        ("", False),
    ],
)
def test_processors_with_bfloat16(tmp_path: Path, text: str, expected: bool) -> None:
    (tmp_path / "cpuinfo").write_text(text)
    with patch.object(precision, "Path", lambda _: tmp_path / "cpuinfo"):
        assert precision.computes_bfloat16("cpu") is expected
