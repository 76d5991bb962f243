"""Learning-rate schedules of the published systems, counted in iterations over the whole run."""

from __future__ import annotations

from typing import Literal

from torch.optim import Optimizer
from torch.optim.lr_scheduler import CosineAnnealingLR, LambdaLR, LRScheduler, MultiStepLR

Schedule = Literal["constant", "linear", "cosine", "multistep"]


def make_schedule(kind: Schedule, optimizer: Optimizer, total: int) -> LRScheduler:
    """`linear`: constant for the first half, then down to 0 (CycleGAN); `cosine`: from the start down to 0 (Liang);
    `multistep`: x 0.1 at one half and at three quarters (ColorMedGAN's code)."""
    total = max(total, 1)
    if kind == "cosine":
        return CosineAnnealingLR(optimizer, T_max=total)
    if kind == "multistep":
        return MultiStepLR(optimizer, [max(1, total // 2), max(1, 3 * total // 4)], gamma=0.1)
    if kind == "linear":
        half = total // 2
        return LambdaLR(optimizer, lambda done: max(0.0, 1.0 - max(0, done - half) / (total - half)))
    return LambdaLR(optimizer, lambda done: 1.0)
