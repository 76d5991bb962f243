"""The network of "Colorful image colorization" (Zhang et al. 2016, figure 2): eight blocks, a distribution per pixel.

Not for: bins and decoding, which are in `losses/classification.py`.
"""

from __future__ import annotations

from torch import Tensor, nn


def _block(inward: int, outward: int, depth: int, *, stride: int = 1, dilation: int = 1) -> nn.Sequential:
    """`depth` 3x3 convolutions with ReLU, the last with `stride`; then batch norm."""
    layers: list[nn.Module] = []
    for index in range(depth):
        step = stride if index == depth - 1 else 1
        layers += [
            nn.Conv2d(inward if index == 0 else outward, outward, 3, step, padding=dilation, dilation=dilation),
            nn.ReLU(inplace=True),
        ]
    return nn.Sequential(*layers, nn.BatchNorm2d(outward))


class ZhangNet(nn.Module):
    """L / 100 - 1/2 (N, k, H, W) -> logits of Q bins (N, Q, H/4, W/4); 32.2 M parameters at width 64."""

    divisor = 8

    def __init__(self, in_channels: int, bins: int, *, width: int = 64) -> None:
        super().__init__()
        w = width
        self.blocks = nn.Sequential(
            _block(in_channels, w, 2, stride=2),
            _block(w, 2 * w, 2, stride=2),
            _block(2 * w, 4 * w, 3, stride=2),
            _block(4 * w, 8 * w, 3),
            _block(8 * w, 8 * w, 3, dilation=2),
            _block(8 * w, 8 * w, 3, dilation=2),
            _block(8 * w, 8 * w, 3),
        )
        self.eighth = nn.Sequential(
            nn.ConvTranspose2d(8 * w, 4 * w, 4, stride=2, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * w, 4 * w, 3, padding=1),
            nn.ReLU(inplace=True),
            nn.Conv2d(4 * w, 4 * w, 3, padding=1),
            nn.ReLU(inplace=True),
        )
        self.classes = nn.Conv2d(4 * w, bins, 1)

    def forward(self, lightness: Tensor) -> Tensor:
        return self.classes(self.eighth(self.blocks(lightness)))
