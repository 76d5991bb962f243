"""The terms of Zeng 2020, equations 1, 7, 9 and 11, each a function of feature maps or pictures.

F are maps (1, N, H, W) after the ReLU (the gradients of eqs 10, 12 and 13 vanish where F = 0), in the units of Caffe's
VGG-19 fed with pixels of 0..255; masks are (k, H, W) in 0..1. Not for: training (room `losses`), which has batches.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import conv2d, conv_transpose2d, normalize

from ..imaging.colorspaces import LUMA


def content_loss(maps: Tensor, target: Tensor) -> Tensor:
    """Eq. 1: sum of (F[O] - F[I])^2 over 2 N D."""
    return 0.5 * (maps - target).square().mean()


def luma_of(picture: Tensor) -> Tensor:
    """(1, 3, H, W) RGB -> (H, W): Y of the YUV space, by the weights of R, G and B in that order.

    The published code weighs B, G, R as if they were R, G, B, and so holds the output to another picture's luma.
    """
    weights = torch.tensor(LUMA, dtype=picture.dtype, device=picture.device)
    return torch.einsum("c,chw->hw", weights, picture[0])


def y_loss(picture: Tensor, gray: Tensor, alpha_y: float) -> Tensor:
    """Eq. 7: [alpha_Y |I_Y - O_Y|_1 + (1 - alpha_Y) |I_Y - O_Y|_2^2] / 2D, both norms over all D pixels."""
    difference = luma_of(picture) - gray
    return 0.5 * (alpha_y * difference.abs().mean() + (1 - alpha_y) * difference.square().mean())


class _ClassGrams(torch.autograd.Function):
    """(F M_c)(F M_c)^T of every class, over the pixels where M_c isn't 0: k classes cost little more than one.

    The products are symmetric, so one multiplication a class gives the gradient (eq. 13) instead of two.
    """

    @staticmethod
    def forward(ctx: Any, flat: Tensor, own: LayerMasks) -> Tensor:
        parts = [flat.index_select(1, places) * weights for places, weights in own.pixels]
        ctx.save_for_backward(*parts)
        ctx.own, ctx.shape = own, flat.shape
        return torch.stack([part @ part.T for part in parts])

    @staticmethod
    def backward(ctx: Any, *gradients: Tensor) -> tuple[Tensor, None]:
        total = gradients[0].new_zeros(ctx.shape)
        for (places, weights), part, gradient in zip(ctx.own.pixels, ctx.saved_tensors, gradients[0], strict=True):
            total.index_add_(1, places, ((gradient + gradient.T) @ part) * weights)
        return total, None


def gram(maps: Tensor, own: LayerMasks) -> Tensor:
    """(k, N, N): (F M_c)(F M_c)^T of each class, over the map's size and the class's share of it, as published.

    Dividing makes classes and pictures of different size comparable; a class that is absent gives 0.
    """
    flat = maps[0].flatten(1)
    return _ClassGrams.apply(flat, own) / (flat.numel() * own.shares.clamp_min(1e-6))[:, None, None]


def color_loss(maps: Tensor, own: LayerMasks, reference: Tensor, present: Tensor) -> Tensor:
    """Eq. 11: sum over classes of |G_c[O] - G_c[S]|^2 / 2 N^2, each weighed by its share of the target, as published.

    `reference`: `gram` of the reference's maps under its masks; `present` (k,) is 0 for classes it doesn't have.
    (The published code drives those to black.)
    """
    difference = gram(maps, own) - reference
    return (0.5 * difference.square().mean(dim=(1, 2)) * own.shares * present).sum()


def swapped(target: Tensor, reference: Tensor, patch: int = 3) -> Tensor:
    """F^IS of eq. 9: the target's map with every patch replaced by the reference's most similar one.

    Section III-B: the reference's map is cut into adjoining patch x patch cells, which as normalised kernels find
    the best match at each place of the target; matched cells are laid over one another and averaged. (The published
    code divides by 9 everywhere, which darkens the rim, where fewer cells overlap; here the count is the true one.)
    """
    channels = reference.shape[1]
    cells = reference.unfold(2, patch, patch).unfold(3, patch, patch)  # (1, N, rows, columns, p, p)
    cells = cells.permute(0, 2, 3, 1, 4, 5).reshape(-1, channels, patch, patch)
    kernels = normalize(cells.flatten(1), dim=1).view_as(cells)
    best = conv2d(target, kernels, padding=patch // 2).argmax(dim=1, keepdim=True)
    found = torch.zeros(1, len(cells), *best.shape[2:], dtype=target.dtype, device=target.device)
    found.scatter_(1, best, 1.0)
    total = conv_transpose2d(found, cells, padding=patch // 2)
    ones = torch.ones(1, 1, *best.shape[2:], dtype=target.dtype, device=target.device)
    return total / conv_transpose2d(ones, torch.ones_like(cells[:1, :1]), padding=patch // 2)


def swap_loss(maps: Tensor, mapped: Tensor) -> Tensor:
    """Eq. 9 for one layer: sum of (F[O] - F^IS)^2 over 2 N D. (The published code leaves the 1/2 out.)"""
    return 0.5 * (maps - mapped).square().mean()


def variation_loss(picture: Tensor) -> Tensor:
    """Section V: squared differences of neighbours, summed over the picture and halved, as in the published code.

    Like there, the pixels of the last row and column are only looked at from those before them.
    """
    down = picture[..., 1:, :-1] - picture[..., :-1, :-1]
    right = picture[..., :-1, 1:] - picture[..., :-1, :-1]
    return 0.5 * (down.square().sum() + right.square().sum())


@dataclass(frozen=True, eq=False)
class LayerMasks:
    """The class masks at the resolution of one layer."""

    masks: Tensor
    """(k, h, w)"""
    shares: Tensor
    """(k,): the mean of each mask."""

    @cached_property
    def pixels(self) -> list[tuple[Tensor, Tensor]]:
        """For each class, where its mask isn't 0 (flat indices), and the mask there."""
        flat = self.masks.flatten(1)
        places = [mask.nonzero()[:, 0] for mask in flat]
        return [(where, mask[where]) for where, mask in zip(places, flat, strict=True)]


def masks_at(labels: Tensor, count: int, layers: Sequence[str], order: Sequence[str]) -> dict[str, LayerMasks]:
    """Masks of classes 0..count-1 of a label map (H, W) at each of `layers`; `order` names the net's layers in a row.

    They follow the maps they weigh: averaged over 3 x 3 at every convolution, halved at every pooling.
    """
    masks = torch.stack([(labels == value).float() for value in range(count)])[None]
    found: dict[str, LayerMasks] = {}
    for layer in order:
        if layer.startswith("conv"):
            masks = torch.nn.functional.avg_pool2d(masks, 3, 1, 1, count_include_pad=False)
        elif layer.startswith("pool"):
            masks = torch.nn.functional.avg_pool2d(masks, 2)
        if layer in layers:
            found[layer] = LayerMasks(masks[0], masks[0].mean(dim=(1, 2)))
        if len(found) == len(layers):
            break
    return found
