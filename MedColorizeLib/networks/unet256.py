"""The U-Net generator of pix2pix and CycleGAN (Isola et al. 2017): eight 4x4 stride-2 levels down to one pixel.

MONAI's UNet halves by other blocks and has no such bottleneck, so the level is written here.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from torch import Tensor, nn

from .initial import normal_init


class _Level(nn.Module):
    """Down, whatever is inside, up; the input beside the result (all but the outermost level)."""

    def __init__(self, outer: int, inner: int, inside: nn.Module | None, in_channels: int | None = None) -> None:
        super().__init__()
        self.outermost = in_channels is not None
        innermost = inside is None
        inward = outer if in_channels is None else in_channels
        # The input reaches the skip connection too, so this activation must not work in place.
        down: list[nn.Module] = [] if self.outermost else [nn.LeakyReLU(0.2)]
        down.append(nn.Conv2d(inward, inner, 4, stride=2, padding=1))
        if not (self.outermost or innermost):
            down.append(nn.InstanceNorm2d(inner))
        up: list[nn.Module] = [nn.ReLU(), nn.ConvTranspose2d(inner * (2 - innermost), outer, 4, stride=2, padding=1)]
        up.append(nn.Tanh() if self.outermost else nn.InstanceNorm2d(outer))
        self.body = nn.Sequential(*down, *([] if inside is None else [inside]), *up)

    def forward(self, x: Tensor) -> Tensor:
        return self.body(x) if self.outermost else torch.cat([x, self.body(x)], dim=1)


class UnetGenerator(nn.Module):
    """(N, in, H, W) -> (N, out, H, W) in [-1, 1]; 54.41 M parameters with 3 channels, width 64 and depth 8."""

    def __init__(self, in_channels: int = 3, out_channels: int = 3, *, width: int = 64, depth: int = 8) -> None:
        super().__init__()
        channels = [width * min(2**level, 8) for level in range(depth)]
        level: nn.Module | None = None
        for outer, inner in reversed(list(pairwise(channels))):
            level = _Level(outer, inner, level)
        self.levels = _Level(out_channels, channels[0], level, in_channels=in_channels)
        self.divisor = 2**depth
        self.apply(normal_init)

    def forward(self, x: Tensor) -> Tensor:
        return self.levels(x)
