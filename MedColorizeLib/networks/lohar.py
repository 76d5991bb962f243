"""The generator and the discriminator that Lohar et al. 2024 most likely used.

The paper gives no layers. Its wording fits, parameter for parameter, a public tutorial's networks, known from their
sizes: three groups of unpadded convolutions that shrink the picture by 24 pixels without pooling, a tanh bottleneck,
the mirrored transposed convolutions with three concatenations; and a discriminator of convolution pairs with pooling
and four dense layers. Kernels and padding of the discriminator are not known (here 7, 5, 3, 3, padded).
"""

from __future__ import annotations

from itertools import pairwise
from typing import Literal

import torch
from torch import Tensor, nn

from ..errors import UsageError

OutputName = Literal["sigmoid", "relu"]


def _group(inward: int, outward: int) -> nn.Sequential:
    """5x5, 3x3, 3x3 without padding, LeakyReLU 0.3."""
    half = outward // 2
    return nn.Sequential(
        nn.Conv2d(inward, half, 5), nn.LeakyReLU(0.3, inplace=True),
        nn.Conv2d(half, outward, 3), nn.LeakyReLU(0.3, inplace=True),
        nn.Conv2d(outward, outward, 3), nn.LeakyReLU(0.3, inplace=True),
    )  # fmt: skip


def _mirrored(inward: int, middle: int, outward: int, last: nn.Module) -> nn.Sequential:
    """3x3, 3x3, 5x5 transposed: brings back the 8 pixels a group took."""
    return nn.Sequential(
        nn.ConvTranspose2d(inward, middle, 3), nn.ReLU(inplace=True),
        nn.ConvTranspose2d(middle, middle, 3), nn.ReLU(inplace=True),
        nn.ConvTranspose2d(middle, outward, 5), last,
    )  # fmt: skip


class LoharGenerator(nn.Module):
    """Gray (N, k, H, W) in [-1, 1] -> RGB in [-1, 1]; 1.41 M parameters at width 32.

    Inside, pictures are in [0, 1]. `relu` gives the tutorial's output, in which a channel can die and values pass 1;
    `sigmoid` can do neither.
    """

    def __init__(self, in_channels: int = 1, *, width: int = 32, output: OutputName = "sigmoid") -> None:
        super().__init__()
        w = width
        self.down1, self.down2, self.down3 = _group(in_channels, w), _group(w, 2 * w), _group(2 * w, 4 * w)
        self.bottleneck = nn.Conv2d(4 * w, 4 * w, 3, padding=1)
        self.up3 = _mirrored(8 * w, 4 * w, 2 * w, nn.ReLU(inplace=True))
        self.up2 = _mirrored(4 * w, 2 * w, w, nn.ReLU(inplace=True))
        self.up1 = _mirrored(2 * w, w, 3, nn.Sigmoid() if output == "sigmoid" else nn.ReLU())

    def forward(self, gray: Tensor) -> Tensor:
        if min(gray.shape[-2:]) <= 24:
            raise UsageError("Lohar's unpadded convolutions need pictures of more than 24 pixels a side.")
        one = self.down1(gray * 0.5 + 0.5)
        two = self.down2(one)
        three = self.down3(two)
        value = torch.tanh(self.bottleneck(three))
        value = self.up3(torch.cat([value, three], 1))
        value = self.up2(torch.cat([value, two], 1))
        return self.up1(torch.cat([value, one], 1)) * 2 - 1


class LoharDiscriminator(nn.Module):
    """RGB in [-1, 1] -> one logit per picture; its dense layers see 2x2 cells whatever the picture's size."""

    def __init__(self, *, width: int = 32) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        channels = 3
        for outward, kernel in ((width, 7), (2 * width, 5), (4 * width, 3), (8 * width, 3)):
            for inward in (channels, outward):
                layers += [nn.Conv2d(inward, outward, kernel, padding=kernel // 2), nn.LeakyReLU(0.3, inplace=True)]
            layers.append(nn.MaxPool2d(2))
            channels = outward
        sizes = (4 * channels, 16 * width, 4 * width, 16)
        dense = [layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.LeakyReLU(0.3, inplace=True))]
        self.layers = nn.Sequential(*layers, nn.AdaptiveAvgPool2d(2), nn.Flatten(), *dense, nn.Linear(16, 1))

    def forward(self, picture: Tensor) -> Tensor:
        return self.layers(picture * 0.5 + 0.5)
