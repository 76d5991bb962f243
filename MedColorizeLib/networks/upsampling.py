"""Doubling the size of feature maps: nearest neighbour followed by a 5x5 convolution, without computing the copies.

Not for: resampling images (imaging does that).
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

# Where the five taps of one axis fall on the small grid (columns) when the output position is even or odd: nearest
# neighbour repeats every value, so taps that read copies of the same value are added up beforehand.
_TAPS = torch.tensor(
    [
        [[1, 1, 0, 0, 0], [0, 0, 1, 1, 0], [0, 0, 0, 0, 1]],
        [[1, 0, 0, 0, 0], [0, 1, 1, 0, 0], [0, 0, 0, 1, 1]],
    ],
    dtype=torch.float32,
)


def phase_kernel(weight: Tensor) -> Tensor:
    """(out, in, 5, 5) -> (4 out, in, 3, 3): the kernel for each of the four output positions of one small pixel.

    `pixel_shuffle(conv2d(x, phase_kernel(w), padding=1), 2) == conv2d(nearest_x2(x), w, padding=2)`, borders included.
    """
    taps = _TAPS.to(weight)
    phases = torch.einsum("aju,bkv,oiuv->oabijk", taps, taps, weight)
    return phases.reshape(4 * weight.shape[0], weight.shape[1], 3, 3)


class UpsampleConv2d(nn.Module):
    """Nearest-neighbour x2, then a 5x5 convolution (padding 2), computed as four 3x3 convolutions: 9 taps, not 25."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        plain = nn.Conv2d(in_channels, out_channels, 5, bias=bias)
        self.weight = plain.weight
        self.bias = plain.bias

    def forward(self, x: Tensor) -> Tensor:
        bias = None if self.bias is None else self.bias.repeat_interleave(4)
        return functional.pixel_shuffle(functional.conv2d(x, phase_kernel(self.weight), bias, padding=1), 2)

    def plain(self, x: Tensor) -> Tensor:
        """The same, as it is written in the papers; what tests and benchmarks compare with."""
        doubled = functional.interpolate(x, scale_factor=2, mode="nearest")
        return functional.conv2d(doubled, self.weight, self.bias, padding=2)

    def folded(self) -> FoldedUpsampleConv2d:
        """With the four kernels computed once and for all."""
        out_channels, in_channels = self.weight.shape[:2]
        folded = FoldedUpsampleConv2d(in_channels, out_channels, bias=self.bias is not None)
        with torch.no_grad():
            folded.conv.weight.copy_(phase_kernel(self.weight))
            if self.bias is not None and folded.conv.bias is not None:
                folded.conv.bias.copy_(self.bias.repeat_interleave(4))
        return folded


class FoldedUpsampleConv2d(nn.Module):
    """`UpsampleConv2d` as built for inference."""

    def __init__(self, in_channels: int, out_channels: int, bias: bool = True) -> None:
        super().__init__()
        self.conv = nn.Conv2d(in_channels, 4 * out_channels, 3, padding=1, bias=bias)

    def forward(self, x: Tensor) -> Tensor:
        return functional.pixel_shuffle(self.conv(x), 2)
