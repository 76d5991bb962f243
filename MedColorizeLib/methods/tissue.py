"""Tissue classes of a batch, for methods that learn from labels where no label maps were given.

Classes are cut per batch: enough to teach a network, but a data set that has no label maps does better to cut them per
volume beforehand (`imaging/clusters.py`), where a class means the same on every slice.
"""

from __future__ import annotations

import torch
from torch import Tensor

from ..imaging.clusters import tissue_classes


def tissue_of(gray: Tensor, classes: int) -> Tensor:
    """(N, 1, H, W) in [-1, 1] -> tissue classes (N, H, W) int64, 0 where the slices are black."""
    codes = ((gray[:, 0].detach().float() * 0.5 + 0.5) * 255).round().clamp(0, 255).to(torch.uint8).cpu().numpy()
    inside = codes > 0
    if not inside.any():
        return torch.zeros(codes.shape, dtype=torch.int64, device=gray.device)
    found = tissue_classes(codes, inside, classes=classes).label(codes, inside)
    return torch.from_numpy(found.astype("int64")).to(gray.device)
