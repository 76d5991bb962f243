"""Cycle consistency and pixel identity (Zhu et al. 2017; eq. 2 of Liang 2021; eq. 3 of ColorMedGAN)."""

from __future__ import annotations

from torch import Tensor
from torch.nn import functional


def cycle_loss(recovered: Tensor, original: Tensor) -> Tensor:
    """|F(G(x)) - x|_1, the mean over pixels; the other direction is another call."""
    return functional.l1_loss(recovered.float(), original.float().expand_as(recovered))


def identity_loss(unchanged: Tensor, original: Tensor) -> Tensor:
    """|G(y) - y|_1, the mean over pixels: a picture that is already in the target domain stays as it is."""
    return functional.l1_loss(unchanged.float(), original.float().expand_as(unchanged))
