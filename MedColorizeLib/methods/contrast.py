"""Other scanners and sequences, simulated: the same anatomy in contrasts that nobody scanned.

A photograph's colours tell its tissues apart, so giving each colour a random gray makes a "scan" of the photographed
body whose true colours are known; a labelled scan gets a random gray per tissue. A network that colours both
rightly can't lean on any one contrast. (The idea is that of SynthSeg: Billot et al. 2023, Medical Image Analysis.)
All pictures are (N, ...) in [-1, 1]; every draw comes from the generator that is given.
"""

from __future__ import annotations

import torch
from torch import Generator, Tensor
from torch.nn import functional


def drawn(like: Tensor, generator: Generator, *shape: int, low: float = 0.0, high: float = 1.0) -> Tensor:
    """Uniform numbers, on the device of `like`."""
    return (low + (high - low) * torch.rand(shape, generator=generator)).to(like.device)


def of_photograph(stack: Tensor, chroma: Tensor, mask: Tensor, generator: Generator, parts: int = 8) -> Tensor:
    """A random contrast of photographs: luma (N, k, H, W), chroma (N, 2k, H, W; Cb then Cr of each slice).

    `parts` colours picked at random in the body divide its pixels softly; each part gets a gray of its own, and keeps
    some of its texture, upright or inverted.
    """
    n, k, h, w = stack.shape
    features = torch.cat(
        (stack.unsqueeze(2), 3.0 * chroma.view(n, k, 2, h, w)), dim=2
    )  # chroma spans a third of what luma does
    out = torch.empty_like(stack)
    for sample in range(n):
        places = torch.nonzero(mask[sample, 0] > 0.5)
        if not len(places):
            out[sample] = stack[sample]
            continue
        chosen = places[torch.randint(len(places), (parts,), generator=generator).to(places.device)]
        centers = features[sample, k // 2][:, chosen[:, 0], chosen[:, 1]].T  # (parts, 3)
        distance = (features[sample].unsqueeze(1) - centers[None, :, :, None, None]).square().sum(2)  # (k, parts, H, W)
        weights = (-distance / 0.02).softmax(1)
        grays = drawn(stack, generator, parts, low=-0.9, high=0.95)
        texture = float(drawn(stack, generator, 1, low=-0.6, high=1.0))
        mean = (weights * centers[None, :, :1, None]).sum(1)
        flat = (weights * grays[None, :, None, None]).sum(1)
        sharp = flat + texture * (stack[sample] - mean)
        out[sample] = functional.avg_pool2d(sharp[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    return out.clamp(-1, 1)


def of_labels(stack: Tensor, tissues: Tensor, count: int, generator: Generator) -> Tensor:
    """A random contrast of labelled scans: gray (N, k, H, W), tissue numbers (N, k, H, W) with 0 for unknown.

    What is unknown follows a random curve of its own gray.
    """
    out = torch.empty_like(stack)
    for sample in range(stack.shape[0]):
        gray, labels = stack[sample], tissues[sample]
        knots = drawn(gray, generator, 6, low=-0.9, high=0.95)
        curve = _curve(gray, torch.cat((knots.new_tensor([-0.95]), knots)))
        flat, texture = curve.clone(), float(drawn(gray, generator, 1, low=-0.5, high=1.0))
        for tissue in labels.unique().tolist():
            if tissue == 0 or tissue > count:
                continue
            there = labels == tissue
            mean = gray[there].mean()
            level = drawn(gray, generator, 1, low=-0.85, high=0.9)
            flat = torch.where(there, level + texture * (gray - mean), flat)
        out[sample] = functional.avg_pool2d(flat[:, None], 3, 1, 1, count_include_pad=False)[:, 0]
    return out.clamp(-1, 1)


def _curve(gray: Tensor, values: Tensor) -> Tensor:
    """`values` at evenly spaced knots of [-1, 1], interpolated at `gray`."""
    at = (gray.clamp(-1, 1) + 1) / 2 * (len(values) - 1)
    low = at.floor().clamp(max=len(values) - 2).long()
    share = at - low
    return values[low] * (1 - share) + values[low + 1] * share


def scanner(stack: Tensor, generator: Generator, strength: float) -> Tensor:
    """What scanners do to any contrast, by up to `strength` (0..1): gamma, a bias field, blur, noise."""
    n, _, h, w = stack.shape
    gray = (stack + 1) / 2
    exponent = torch.exp(strength * drawn(stack, generator, n, 1, 1, 1, low=-0.5, high=0.5))
    gray = gray.clamp(0, 1) ** exponent
    field = drawn(stack, generator, n, 1, 4, 4, low=-0.3, high=0.3) * strength
    gray = gray * torch.exp(functional.interpolate(field, (h, w), mode="bicubic", align_corners=False))
    soft = functional.avg_pool2d(gray, 3, 1, 1, count_include_pad=False)
    blur = strength * drawn(stack, generator, n, 1, 1, 1) * (drawn(stack, generator, n, 1, 1, 1) < 0.5)
    gray = gray + blur * (soft - gray)
    noise = strength * 0.06 * drawn(stack, generator, n, 1, 1, 1) ** 2
    grain = torch.randn(stack.shape, generator=generator).to(stack.device)
    body = (stack > -1).to(gray.dtype)  # black around the body stays black
    return ((gray + noise * grain).clamp(0, 1) * body) * 2 - 1
