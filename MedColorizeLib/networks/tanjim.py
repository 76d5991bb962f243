"""Networks of Tanjim & Liu: the 4-layer CNN, the 10-layer encoder-decoder, and the image-level discriminator.

Kernels, activations and the channels between are not in the paper; 3x3 and ReLU here, and 4x4 transposed convolutions
on the way back.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

from torch import Tensor, nn

from ..errors import UsageError

OutputName = Literal["tanh", "sigmoid"]


def _last(output: OutputName) -> nn.Module:
    return nn.Tanh() if output == "tanh" else nn.Sigmoid()


class FourLayers(nn.Sequential):
    """16, 32, 64 and the output's channels, at full size throughout; 25 thousand parameters."""

    def __init__(self, in_channels: int, out_channels: int, *, output: OutputName, width: int = 16) -> None:
        layers: list[nn.Module] = []
        for inward, outward in pairwise((in_channels, width, 2 * width, 4 * width)):
            layers += [nn.Conv2d(inward, outward, 3, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.Conv2d(4 * width, out_channels, 3, padding=1), _last(output))


class TenLayers(nn.Sequential):
    """Five halvings to 512 channels (224 to 7), five doublings back; 4.36 M parameters."""

    divisor = 32

    def __init__(
        self,
        in_channels: int,
        out_channels: int,
        *,
        output: OutputName,
        widths: Sequence[int] = (32, 64, 128, 256, 512),
    ) -> None:
        layers: list[nn.Module] = []
        for inward, outward in pairwise((in_channels, *widths)):
            layers += [nn.Conv2d(inward, outward, 3, stride=2, padding=1), nn.ReLU(inplace=True)]
        for inward, outward in pairwise(widths[::-1]):
            layers += [nn.ConvTranspose2d(inward, outward, 4, stride=2, padding=1), nn.ReLU(inplace=True)]
        super().__init__(*layers, nn.ConvTranspose2d(widths[0], out_channels, 4, stride=2, padding=1), _last(output))


class ImageDiscriminator(nn.Module):
    """Four 3x3 convolutions of stride 2 (64 to 512), instance norm, leaky ReLU, and a dense layer: one logit a picture.

    Not a PatchGAN: the dense layer sees the mean over the picture, so that any size will do.
    """

    def __init__(self, in_channels: int = 3, *, width: int = 64) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for inward, outward in pairwise((in_channels, width, 2 * width, 4 * width, 8 * width)):
            layers += [
                nn.Conv2d(inward, outward, 3, stride=2, padding=1),
                nn.InstanceNorm2d(outward),
                nn.LeakyReLU(0.2, inplace=True),
            ]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten(), nn.Linear(8 * width, 1))

    def forward(self, picture: Tensor) -> Tensor:
        if min(picture.shape[-2:]) < 32:
            raise UsageError("This discriminator halves a picture four times: it needs at least 32 pixels a side.")
        return self.layers(picture)
