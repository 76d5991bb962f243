"""Losses and scores of segmentation, by MONAI: soft Dice as in ColorMedGAN's segmentation training, and with CE."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, Literal

import torch
from monai.losses import DiceCELoss, DiceLoss
from torch import Tensor

DiceForm = Literal["dice", "dice_ce"]


@lru_cache(maxsize=2)
def _criterion(form: DiceForm) -> Any:
    if form == "dice":
        return DiceLoss(include_background=False, to_onehot_y=True, sigmoid=True)
    return DiceCELoss(include_background=False, to_onehot_y=True, softmax=True)


def dice_loss(logits: Tensor, labels: Tensor, form: DiceForm = "dice") -> Tensor:
    """1 - 2 sum(p t) / (sum p + sum t), the mean over pictures and classes above 0; labels (N, H, W)."""
    loss: Tensor = _criterion(form)(logits, labels.unsqueeze(1))
    return loss


def dice_scores(predicted: Tensor, labels: Tensor, classes: int) -> dict[str, float]:
    """Dice of each class above 0 that either map has."""
    scores: dict[str, float] = {}
    for value in range(1, classes):
        one, other = predicted == value, labels == value
        total = int(one.sum() + other.sum())
        if total:
            scores[f"dice_{value}"] = 2 * int(torch.logical_and(one, other).sum()) / total
    return scores
