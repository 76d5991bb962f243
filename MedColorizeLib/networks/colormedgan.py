"""The networks of ColorMedGAN (2023), which colorCycleGAN (2019) shares: 6-layer generator, patch discriminator.

Built from MONAI's convolution block. "The weights of the generator and discriminator's convolutional layers are
spectrally normalized, except for their respective last convolutional layer" (section 2.1.1); instance normalisation
without affine parameters. PyTorch's spectral norm iterates in training only, so that inference does not drift (the
published code iterates there too).
"""

from __future__ import annotations

from typing import Literal

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn
from torch.nn.utils.parametrizations import spectral_norm

from ..errors import UsageError
from .fusion import FusionMode, attend, concatenate
from .upsampling import UpsampleConv2d

Upsample = Literal["nearest", "deconv"]
RELU = ("RELU", {"inplace": True})
LEAKY = ("LEAKYRELU", {"negative_slope": 0.2, "inplace": True})


def _down(inward: int, outward: int, kernel: int, stride: int) -> Convolution:
    return Convolution(2, inward, outward, strides=stride, kernel_size=kernel, act=RELU, norm="INSTANCE")


class _Up(nn.Module):
    """x2: nearest neighbour + 5x5 convolution, or a 4x4 transposed one; then instance norm and ReLU."""

    def __init__(self, inward: int, outward: int, upsample: Upsample) -> None:
        super().__init__()
        self.conv: nn.Module = (
            UpsampleConv2d(inward, outward)
            if upsample == "nearest"
            else nn.ConvTranspose2d(inward, outward, 4, stride=2, padding=1)
        )
        self.norm = nn.InstanceNorm2d(outward)
        self.act = nn.ReLU(inplace=True)

    def forward(self, x: Tensor) -> Tensor:
        return self.act(self.norm(self.conv(x)))


def _initialise(network: nn.Module, last: nn.Module, spectral: bool) -> None:
    """N(0, 0.02) as in CycleGAN; then spectral norm on every convolution but the last."""
    for module in network.modules():
        if isinstance(module, (nn.Conv2d, nn.ConvTranspose2d, UpsampleConv2d)):
            nn.init.normal_(module.weight, 0.0, 0.02)
            if module.bias is not None:
                nn.init.zeros_(module.bias)
            if spectral and module is not last:
                spectral_norm(module)


class ColorMedGANGenerator(nn.Module):
    """Section 2.1.1: image (N, in, H, W) and two semantic maps (N, 2 width, H/2, W/2) -> (N, out, H, W) in [-1, 1].

    width 64 gives 7.33 M parameters with `upsample="deconv"`, 10.42 M with `"nearest"` (the published counts, 7.34 M
    and 10.48 M, include the vectors of spectral norm's power iteration).
    """

    divisor = 8

    def __init__(
        self,
        in_channels: int = 1,
        out_channels: int = 3,
        *,
        width: int = 64,
        upsample: Upsample = "nearest",
        fusion: FusionMode = "sigmoid",
        feature_channels: tuple[int, int] = (128, 128),
        spectral: bool = True,
    ) -> None:
        super().__init__()
        w = width
        if fusion == "sigmoid" and feature_channels != (2 * w, 2 * w):
            raise UsageError(
                f"Sigmoid fusion multiplies maps of {2 * w} channels, but the segmentation network gives "
                f"{feature_channels[0]} and {feature_channels[1]}. Give both the same width, or fuse by concat."
            )
        self.fusion = fusion
        shallow, deep = feature_channels if fusion == "concat" else (0, 0)
        self.down1 = _down(in_channels, w, 5, 1)
        self.down2 = _down(w, 2 * w, 3, 2)
        self.down3 = _down(2 * w + shallow, 4 * w, 3, 2)
        self.down4 = _down(4 * w, 8 * w, 3, 2)
        self.down5 = _down(8 * w, 8 * w, 1, 1)
        self.up3 = _Up(16 * w, 4 * w, upsample)
        self.up2 = _Up(8 * w, 2 * w, upsample)
        self.up1 = _Up(4 * w + deep, w, upsample)
        self.last = nn.Conv2d(w, out_channels, 5, padding=2)
        _initialise(self, self.last, spectral)

    def forward(self, image: Tensor, shallow: Tensor | None = None, deep: Tensor | None = None) -> Tensor:
        if self.fusion != "none" and (shallow is None or deep is None):
            raise UsageError(f"A generator with {self.fusion} fusion needs both maps of a segmentation network.")
        x1 = self.down1(image)
        x2 = self.down2(x1)
        if shallow is not None and self.fusion == "sigmoid":
            x2 = attend(x2, shallow)  # the refined map also takes the skip connection
        x3 = self.down3(concatenate(x2, shallow) if shallow is not None and self.fusion == "concat" else x2)
        x4 = self.down4(x3)
        x5 = self.down5(x4)
        y3 = self.up3(concatenate(x4, x5))
        y2 = self.up2(concatenate(y3, x3))
        if deep is not None and self.fusion == "sigmoid":
            y2 = attend(y2, deep)
        y1 = self.up1(
            concatenate(y2, x2, deep) if deep is not None and self.fusion == "concat" else concatenate(y2, x2)
        )
        return torch.tanh(self.last(y1))


class ColorMedGANDiscriminator(nn.Module):
    """Patch discriminator: (N, in, H, W) -> (N, 1, H/4, W/4) logits."""

    def __init__(self, in_channels: int = 3, *, width: int = 32, spectral: bool = True) -> None:
        super().__init__()
        w = width
        plan = [(in_channels, w, 2), (w, 2 * w, 1), (2 * w, 4 * w, 2), (4 * w, 8 * w, 1), (8 * w, 8 * w, 1)]
        blocks = [
            Convolution(
                2, inward, outward, strides=stride, kernel_size=3, act=LEAKY, norm="INSTANCE" if index else None
            )
            for index, (inward, outward, stride) in enumerate(plan)
        ]
        last = nn.Conv2d(8 * w, 1, 3, padding=1)
        self.layers = nn.Sequential(*blocks, last)
        _initialise(self, last, spectral)

    def forward(self, image: Tensor) -> Tensor:
        return self.layers(image)
