"""Losses on chroma (N, 2, h, w) beside the luma it will be laid on. Not for: pictures in RGB."""

from __future__ import annotations

import torch
from torch import Tensor


def weighted_l1(chroma: Tensor, target: Tensor, weight: Tensor) -> Tensor:
    """Mean of |difference| over both channels, weighed per place (N, 1, h, w); 0 where nothing has weight."""
    total = weight.sum() * chroma.shape[1]
    return ((chroma - target).abs() * weight).sum() / total.clamp(min=1e-6)


def balanced(tissue: Tensor, known: Tensor, power: float) -> Tensor:
    """`known` (N, 1, H, W) weighed by how rare each place's tissue (N, H, W) is among what is known: share^-power.

    0 leaves it; at 1 every tissue weighs the same. No place weighs over ten times another; the sum stays.
    """
    there = known[:, 0] > 0
    if not power or not there.any():
        return known
    counts = torch.bincount(tissue[there].flatten()).to(known.dtype)
    rarity = (counts / counts.max()).clamp(min=1e-6).pow(-power).clamp(max=10.0)
    weighed = known * rarity[tissue.clamp(max=len(rarity) - 1)][:, None]
    return weighed * (known.sum() / weighed.sum())


def matched_tissue(first: Tensor, second: Tensor, luma: Tensor, other: Tensor, mask: Tensor, limit: float) -> Tensor:
    """Difference of the chroma of two neighbouring slices where they show the same tissue.

    Same place, both inside the body (`mask`), luma within `limit` of each other: what the report calls flicker.
    """
    same = mask * ((luma - other).abs() < limit)
    return weighted_l1(first, second, same)


def bleeding(chroma: Tensor, luma: Tensor, sharpness: float = 20.0) -> Tensor:
    """Chroma edges where the luma has none: |gradient of chroma| * exp(-sharpness * |gradient of luma|)."""
    down = (chroma[..., 1:, :] - chroma[..., :-1, :]).abs().sum(1, keepdim=True)
    across = (chroma[..., :, 1:] - chroma[..., :, :-1]).abs().sum(1, keepdim=True)
    luma_down = (luma[..., 1:, :] - luma[..., :-1, :]).abs()
    luma_across = (luma[..., :, 1:] - luma[..., :, :-1]).abs()
    return (down * torch.exp(-sharpness * luma_down)).mean() + (across * torch.exp(-sharpness * luma_across)).mean()


def relit(chroma: Tensor, before: Tensor, after: Tensor, most: float = 1.5) -> Tensor:
    """The chroma a tissue has at another luma (both in [-1, 1]): in less light it falls with the luma, in more light it
    grows by the root of the ratio, up to `most`: photographs show no muscle as bright as MR does."""
    ratio = (after + 1.02) / (before + 1.02)
    return chroma * ratio.clamp(max=1.0) * ratio.clamp(min=1.0).sqrt().clamp(max=most)
