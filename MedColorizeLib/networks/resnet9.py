"""The ResNet generator of CycleGAN (Zhu et al. 2017): c7s1-64, d128, d256, 9 x R256, u128, u64, c7s1-3.

MONAI has no such network (its ResNets classify), and its convolution block can't pad by reflection.
"""

from __future__ import annotations

from torch import Tensor, nn

from .initial import normal_init


def _conv(inward: int, outward: int, kernel: int, stride: int = 1, *, reflect: bool = True) -> nn.Conv2d:
    return nn.Conv2d(
        inward, outward, kernel, stride, padding=kernel // 2, padding_mode="reflect" if reflect else "zeros"
    )


class ResidualBlock(nn.Module):
    """R256: two 3x3 convolutions with reflection padding, no activation after the sum."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.body = nn.Sequential(
            _conv(channels, channels, 3),
            nn.InstanceNorm2d(channels),
            nn.ReLU(inplace=True),
            _conv(channels, channels, 3),
            nn.InstanceNorm2d(channels),
        )

    def forward(self, x: Tensor) -> Tensor:
        return x + self.body(x)


class ResnetGenerator(nn.Sequential):
    """(N, in, H, W) -> (N, out, H, W) in [-1, 1]; 11.38 M parameters with 3 channels, width 64 and 9 blocks."""

    divisor = 4

    def __init__(self, in_channels: int = 3, out_channels: int = 3, *, width: int = 64, blocks: int = 9) -> None:
        layers: list[nn.Module] = [_conv(in_channels, width, 7), nn.InstanceNorm2d(width), nn.ReLU(inplace=True)]
        for channels in (width, 2 * width):
            down = _conv(channels, 2 * channels, 3, 2, reflect=False)
            layers += [down, nn.InstanceNorm2d(2 * channels), nn.ReLU(inplace=True)]
        layers += [ResidualBlock(4 * width) for _ in range(blocks)]
        for channels in (4 * width, 2 * width):
            up = nn.ConvTranspose2d(channels, channels // 2, 3, stride=2, padding=1, output_padding=1)
            layers += [up, nn.InstanceNorm2d(channels // 2), nn.ReLU(inplace=True)]
        layers += [_conv(width, out_channels, 7), nn.Tanh()]
        super().__init__(*layers)
        self.apply(normal_init)
