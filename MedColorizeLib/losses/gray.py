"""The gray (or colour) loss of colorCycleGAN and ColorMedGAN, eqs. 5 and 6, and the luma it rests on."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional

REC601 = (0.299, 0.587, 0.114)
"""ColorMedGAN's eq. 5 prints .576 for green; its code has .587, with which the weights add up to 1."""


def gray_of(image: Tensor) -> Tensor:
    """Eq. 5: Rec.601 luma (N, 1, H, W) of (N, 3, H, W); an image of one channel is its own luma."""
    if image.shape[1] == 1:
        return image
    red, green, blue = image.unbind(1)
    return (REC601[0] * red + REC601[1] * green + REC601[2] * blue).unsqueeze(1)


def gray_loss(one: Tensor, other: Tensor) -> Tensor:
    """Eq. 6, one direction: |Gray(G(x)) - x|_1 or |F(y) - Gray(y)|_1, the mean over pixels."""
    return functional.l1_loss(gray_of(one.float()), gray_of(other.float()))
