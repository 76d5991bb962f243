"""CIE Lab for networks that predict chrominance: pictures in [-1, 1] to L and ab, and back.

A gray slice is taken for the colour (g, g, g), in use as in training, so a network never meets another lightness than
the one it learned from. kornia does the conversion (sRGB, D65); it is differentiable.
"""

from __future__ import annotations

import torch
from kornia.color import lab_to_rgb, rgb_to_lab
from torch import Tensor

AB_SCALE = 110.0
"""ab lies in -110..110; networks that end in tanh give it in these units."""


def lab_of(picture: Tensor) -> Tensor:
    """(N, 3 or 1, H, W) in [-1, 1] -> Lab (N, 3, H, W), L in 0..100."""
    lab: Tensor = rgb_to_lab((picture.float().expand(-1, 3, -1, -1) * 0.5 + 0.5).clamp(0, 1))
    return lab


def lightness_of(gray: Tensor) -> Tensor:
    """(N, k, H, W) gray in [-1, 1] -> L (N, k, H, W) in 0..100, slice by slice.

    The L of `lab_of` for one channel: of an achromatic colour Y is the linearised gray itself.
    """
    value = (gray.float() * 0.5 + 0.5).clamp(0, 1)
    linear = torch.where(value > 0.04045, ((value + 0.055) / 1.055).clamp(min=1e-8) ** 2.4, value / 12.92)
    root = torch.where(linear > 0.008856, linear.clamp(min=1e-8) ** (1 / 3), 7.787 * linear + 4 / 29)
    return 116 * root - 16


_MOST_CHROMA = 21.0
"""No sRGB colour has more chroma than this many times its L (blue near black comes to 20.4)."""


def picture_of(lightness: Tensor, ab: Tensor) -> Tensor:
    """L (N, 1, H, W) and ab (N, 2, H, W) -> RGB in [-1, 1]; what lies outside sRGB is clipped to it.

    Chroma that no colour of this L can have is taken back first, so that black stays black whatever ab a network gives.
    """
    lightness, ab = lightness.float(), ab.float()
    chroma = (ab.square().sum(1, keepdim=True) + 1e-6).sqrt()
    ab = ab * (_MOST_CHROMA * lightness / chroma).clamp(0, 1)
    rgb: Tensor = lab_to_rgb(torch.cat([lightness, ab], 1), clip=True)
    return rgb * 2 - 1
