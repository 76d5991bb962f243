"""Fusing the features of a segmentation network into a generator (ColorMedGAN, section 2.1.2).

Not for: the segmentation network itself, or where in the generator the fusion happens.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

FusionMode = Literal["sigmoid", "concat", "none"]
SemanticMaps = tuple[Tensor | None, Tensor | None]
"""Shallow and deep features of the segmentation network, (N, C, H/2, W/2) each; none without such a network."""


def attend(features: Tensor, semantic: Tensor) -> Tensor:
    """Eq. 1: F_i <- sigmoid(F_e) * F_i, both (N, C, H, W)."""
    return features * torch.sigmoid(semantic)


def concatenate(*maps: Tensor) -> Tensor:
    """Side by side along the channels (figure 3b); maps of a frozen network follow the type of the first."""
    return torch.cat([each.to(maps[0].dtype) for each in maps], dim=1)
