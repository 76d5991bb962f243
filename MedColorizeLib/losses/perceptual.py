"""Distances between feature maps of a frozen network: perceptual identity and perceptual cycle losses.

Liang 2021, eqs. 3, 4 and 8, print features minus pixels; what can be meant is features minus features. The networks are
in `networks.vgg`. MONAI's PerceptualLoss needs torchvision or downloads of its own, so it isn't used.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

import torch
from torch import Tensor
from torch.nn import functional


class Features(Protocol):
    """A frozen network: image (N, 1 or 3, H, W) in [-1, 1] -> feature maps by layer name."""

    def __call__(self, image: Tensor, /) -> dict[str, Tensor]: ...


def wanted_maps(features: Features, target: Tensor) -> dict[str, Tensor]:
    """The maps of a target, to which no gradient goes; compute them once where two losses share a target."""
    with torch.no_grad():
        return features(target)


def perceptual_loss(features: Features, generated: Tensor, target: Tensor | Mapping[str, Tensor]) -> Tensor:
    """|phi(generated) - phi(target)|_1: the mean over each layer's map, summed over layers.

    `target` is a picture or its `wanted_maps`. Gradients reach `generated` only.
    """
    wanted = wanted_maps(features, target) if isinstance(target, Tensor) else target
    found = features(generated)
    terms = [functional.l1_loss(found[name].float(), wanted[name].float()) for name in wanted]
    return torch.stack(terms).sum()
