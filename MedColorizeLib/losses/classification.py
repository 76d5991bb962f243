"""Colour as classification (Zhang, Isola & Efros 2016, sections 2.1 to 2.3): ab bins, soft encoding, rebalancing, mean.

Q bins on a grid of 10 ab units. Soft encoding: the five nearest bins, weighted by a Gaussian of 5. Loss: cross entropy
weighted by the rarity of the colour (eqs. 2 to 4). Decoding: the annealed mean (eq. 5).
"""

from __future__ import annotations

from functools import lru_cache

import torch
from torch import Tensor
from torch.nn import functional

GRID = 10
NEIGHBOURS = 5
SOFTNESS = 5.0


@lru_cache(maxsize=1)
def _bins() -> Tensor:
    """The corners of all ab cells of the grid into which some 8-bit sRGB colour falls.

    Any colour so lies between four bins. The paper says "the Q = 313 values which are in-gamut" but not by which test;
    this one gives 309, from the same lowest row (a = -90, b = 50..90). No other test comes nearer to that list: "the
    bin's centre is in gamut" gives 229, the convex hull of the gamut 233, "a colour rounds to it" 261. (Seen under D50
    the hull of these corners happens to hold 313, but its lowest row is then b = 30..80.) Weights
    published for 313 bins therefore don't fit.
    """
    from kornia.color import rgb_to_lab

    steps = torch.linspace(0, 1, 256)
    one, other = torch.meshgrid(steps, steps, indexing="ij")
    cells = torch.zeros(30, 30, dtype=torch.bool)
    # Every in-gamut ab is reached on the surface of the RGB cube: raise or lower L until a channel is 0 or 255.
    for channel in range(3):
        for end in (0.0, 1.0):
            face = [one, other]
            face.insert(channel, torch.full_like(one, end))
            ab = rgb_to_lab(torch.stack(face)[None].double())[0, 1:].reshape(2, -1)
            a, b = torch.floor(ab / GRID).long() + 15
            cells[a, b] = True
    corners = torch.zeros(31, 31, dtype=torch.bool)
    for i in (0, 1):
        for j in (0, 1):
            corners[i : i + 30, j : j + 30] |= cells
    return (corners.nonzero() - 15).float() * GRID


def ab_bins() -> Tensor:
    """The bins' ab values, (Q, 2)."""
    return _bins().clone()


def soft_encode(ab: Tensor, bins: Tensor) -> Tensor:
    """H_gt^-1: ab (N, 2, H, W) -> distributions (N, Q, H, W) over the five nearest bins of each pixel."""
    n, _, h, w = ab.shape
    pixels = ab.float().permute(0, 2, 3, 1).reshape(-1, 2)
    distance, nearest = torch.cdist(pixels, bins).topk(NEIGHBOURS, dim=1, largest=False)
    # The nearest bin's weight is 1 before normalising: colours far outside the bins don't underflow.
    weight = torch.exp((distance[:, :1] ** 2 - distance**2) / (2 * SOFTNESS**2))
    encoded = torch.zeros(len(pixels), len(bins), device=ab.device).scatter_(1, nearest, weight / weight.sum(1, True))
    return encoded.view(n, h, w, len(bins)).permute(0, 3, 1, 2)


def rarity_weights(prior: Tensor, bins: Tensor, *, uniform: float = 0.5, smoothing: float = SOFTNESS) -> Tensor:
    """Eq. 4: w = ((1 - lambda) p~ + lambda / Q)^-1, scaled so that its mean under p~ is 1.

    p~ is the prior smoothed in ab by a Gaussian; lambda = 1/2 in the paper.
    """
    kernel = torch.exp(-(torch.cdist(bins, bins) ** 2) / (2 * smoothing**2))
    smoothed = (prior / prior.sum()) @ (kernel / kernel.sum(1, keepdim=True))
    weights = 1 / ((1 - uniform) * smoothed + uniform / len(bins))
    return weights / (weights * smoothed).sum()


def rebalanced_cross_entropy(logits: Tensor, target: Tensor, weights: Tensor) -> Tensor:
    """Eqs. 2 and 3: -v(Z_hw) sum_q Z log Z^, v the weight of the pixel's likeliest bin; the mean over pixels."""
    per_pixel = -(target * functional.log_softmax(logits.float(), 1)).sum(1)
    return (weights[target.argmax(1)] * per_pixel).mean()


def annealed_mean(logits: Tensor, bins: Tensor, temperature: float = 0.38) -> Tensor:
    """Eq. 5: the mean of softmax(log z / T); T -> 0 is the mode, T = 1 the mean. (N, Q, H, W) -> ab (N, 2, H, W)."""
    share = torch.softmax(logits.float() / temperature, 1)
    return torch.einsum("nqhw,qc->nchw", share, bins.to(share))
