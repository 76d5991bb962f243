"""The objective of Zeng 2020 (eq. 6) for one slice and one reference, and its gradient; targets are computed once.

Not for: how it is minimised (`zeng_schedule`) or what becomes of the minimum (`imaging_module`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..networks.vgg import VggFeatures, layer_names
from .zeng_losses import (
    LayerMasks,
    color_loss,
    content_loss,
    gram,
    masks_at,
    swap_loss,
    swapped,
    variation_loss,
    y_loss,
)

Stage = Literal["style", "full"]
"""`style`: content, colour and TV, which gives the start; `full`: all of eq. 6."""


@dataclass(frozen=True)
class Weights:
    """The factors of eq. 6 (and of TV), by the paper's letters."""

    alpha: float
    lambda_y: float
    alpha_y: float
    color: float
    """Gamma, as a capital letter; `gamma` is the small one."""
    beta: float
    gamma: float
    tv: float


@dataclass(frozen=True)
class Layers:
    """Which maps the losses look at, after `zeng.reachable` has dropped what the weights don't reach."""

    content: str
    color: tuple[str, ...]
    swap: tuple[str, ...]

    @property
    def all(self) -> tuple[str, ...]:
        order = layer_names("vgg19")
        return tuple(sorted({self.content, *self.color, *self.swap}, key=order.index))


class Objective:
    """Eq. 6 at one size: `terms` of a picture, `value_and_gradient` for an optimiser."""

    def __init__(
        self,
        features: VggFeatures,
        layers: Layers,
        weights: Weights,
        gray: NDArray[np.uint8],
        gray_labels: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        reference_labels: NDArray[np.uint8],
        classes: int,
    ) -> None:
        """`gray` (H, W) and `reference` (H', W', 3) at the working size; label maps count from 0."""
        self.features, self.layers, self.weights = features, layers, weights
        self.evaluations = 0
        order = layer_names("vgg19")
        self.gray = torch.from_numpy(gray.astype(np.float32))
        with torch.no_grad():
            target = self._maps(self.gray.expand(1, 3, -1, -1))
            style = self._maps(picture_tensor(reference))
            self._content = target[layers.content]
            self._mapped = {layer: swapped(target[layer], style[layer]) for layer in layers.swap}
            own = masks_at(torch.from_numpy(gray_labels), classes, layers.color, order)
            theirs = masks_at(torch.from_numpy(reference_labels), classes, layers.color, order)
            self._own: dict[str, LayerMasks] = own
            self._grams = {layer: gram(style[layer], theirs[layer]) for layer in layers.color}
            self._present = {layer: (theirs[layer].shares > 1e-4).float() for layer in layers.color}

    def _maps(self, picture: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.features(picture)
        return found

    def terms(self, picture: Tensor, stage: Stage = "full") -> dict[str, Tensor]:
        """Each term of the objective, weighed, so that they sum up to it; `picture` is (1, 3, H, W) RGB in 0..255."""
        maps = self._maps(picture)
        weights = self.weights
        found = {"content": weights.alpha * content_loss(maps[self.layers.content], self._content)}
        color = [
            color_loss(maps[layer], self._own[layer], self._grams[layer], self._present[layer])
            for layer in self.layers.color
        ]
        found["color"] = weights.color * weights.beta * torch.stack(color).sum()
        found["variation"] = weights.tv * variation_loss(picture)
        if stage == "full":
            found["y"] = weights.lambda_y * y_loss(picture, self.gray, weights.alpha_y)
            swap = [swap_loss(maps[layer], self._mapped[layer]) for layer in self.layers.swap]
            found["swap"] = weights.gamma * torch.stack(swap).sum() if swap else torch.zeros(())
        return found

    def value_and_gradient(self, picture: Tensor, stage: Stage) -> tuple[float, Tensor]:
        """The objective and its derivative by each pixel."""
        self.evaluations += 1
        leaf = picture.detach().requires_grad_(True)
        total = torch.stack(list(self.terms(leaf, stage).values())).sum()
        (gradient,) = torch.autograd.grad(total, leaf)
        return float(total.detach()), gradient

    def report(self, picture: Tensor, stage: Stage = "full") -> dict[str, float]:
        """The terms as numbers, and their sum."""
        with torch.no_grad():
            found = {name: float(value) for name, value in self.terms(picture, stage).items()}
        return {**found, "total": sum(found.values())}


def picture_tensor(rgb: NDArray[Any]) -> Tensor:
    """(H, W, 3) in 0..255 -> (1, 3, H, W)."""
    return torch.from_numpy(np.ascontiguousarray(rgb, dtype=np.float32)).permute(2, 0, 1)[None]


def picture_array(picture: Tensor) -> NDArray[np.float32]:
    """(1, 3, H, W) -> (H, W, 3)."""
    return np.ascontiguousarray(picture[0].permute(1, 2, 0).detach().cpu().numpy())
