"""Colorful image colorization (Zhang et al. 2016): ab as a class per pixel, rare colours weighing more.

Section 2.1: L in, a distribution over Q ab bins out at a quarter of the size; multinomial cross entropy (eq. 2).
Section 2.2: class rebalancing (eqs. 3, 4) by the bins' prior over the training colours. The prior is not ImageNet's but
counted from the colours the run has shown so far, and kept with the run's state.
Section 2.3: annealed mean at T = 0.38 (eq. 5), then bilinear to full size.
Departures: L is that of the gray slice (its luma seen as a colour), which is all there is in use; Q is 309 (see
`losses/classification.py`); Adam's steps are the published 3e-5, lowered after 4/9 and 5/6 of the run.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler

from ..losses.classification import ab_bins, annealed_mean, rarity_weights, rebalanced_cross_entropy, soft_encode
from ..networks.fold import fold
from ..networks.lab import lab_of, lightness_of, picture_of
from ..networks.zhang import ZhangNet
from .base import Batch, Engine, MethodOptions, middle, option
from .paired import PairedMethod


@dataclass(frozen=True)
class ZhangOptions(MethodOptions):
    """Published values by default."""

    width: int = option(64, "channels of the first block; 64 as published", least=1)
    rebalance: bool = option(True, "weigh rare colours more (eq. 4)")
    uniform: float = option(0.5, "lambda of eq. 4: share of the uniform distribution in the weights", least=0, most=1)
    temperature: float = option(0.38, "T of the annealed mean (eq. 5)", above=0, most=1)
    learning_rate: float = option(3e-5, "Adam's step", above=0)
    weight_decay: float = option(1e-3, "Adam's weight decay", least=0)


class ZhangColoring(nn.Module):
    """Network, annealed mean and L put together: gray slices in, RGB out."""

    bins: Tensor

    def __init__(self, network: nn.Module, temperature: float) -> None:
        super().__init__()
        self.network, self.temperature = network, temperature
        self.register_buffer("bins", ab_bins())

    def forward(self, gray: Tensor) -> Tensor:
        lightness = lightness_of(gray)
        ab = annealed_mean(self.network(lightness / 100 - 0.5), self.bins, self.temperature)
        ab = functional.interpolate(ab, size=gray.shape[-2:], mode="bilinear", align_corners=False)
        return picture_of(middle(lightness), ab)


class Zhang(PairedMethod):
    """Networks and loss of section 2."""

    name = "zhang"
    title = "Colorful image colorization"
    paper = "Zhang et al. 2016, ECCV"
    Options: ClassVar[type[ZhangOptions]] = ZhangOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        bins = len(ab_bins())
        self.coloring = ZhangColoring(ZhangNet(slices, bins, width=self.options.width), self.options.temperature)
        # One pixel's worth of every colour: before anything was seen, no colour is rare.
        self.counts = torch.ones(bins, dtype=torch.float64)

    @property
    def divisor(self) -> int:
        return ZhangNet.divisor

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.coloring}

    def make_optimizers(self) -> dict[str, Optimizer]:
        o = self.options
        return {
            "generator": Adam(self.coloring.parameters(), o.learning_rate, (0.9, 0.99), weight_decay=o.weight_decay)
        }

    def schedulers(self, total_iterations: int) -> dict[str, LRScheduler]:
        def factor(done: int) -> float:
            return 1.0 if done < 4 / 9 * total_iterations else 1 / 3 if done < 5 / 6 * total_iterations else 0.1

        return {"generator": LambdaLR(self.optimizers()["generator"], factor)}

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        # Section 2.1: the target Z, at the size of the network's output.
        target = soft_encode(functional.avg_pool2d(lab_of(batch.color)[:, 1:], 4), self.coloring.bins)
        with engine.autocast():
            logits = self.coloring.network(lightness_of(batch.gray) / 100 - 0.5)
        loss = rebalanced_cross_entropy(logits, target, self.weights(target))
        engine.backward(loss)
        engine.step(self.optimizers()["generator"])
        return {"G_classification": float(loss.detach())}

    def weights(self, target: Tensor) -> Tensor:
        """Section 2.2: the weight of each bin, from the colours shown so far, these included."""
        seen = target.sum((0, 2, 3))
        if torch.distributed.is_available() and torch.distributed.is_initialized():
            torch.distributed.all_reduce(seen)  # every process weighs by what all have shown
        self.counts += seen.double().cpu()
        bins = self.coloring.bins
        if not self.options.rebalance:
            return torch.ones(len(bins), device=bins.device)
        return rarity_weights(self.counts.to(bins), bins, uniform=self.options.uniform)

    def state(self) -> dict[str, Any]:
        return {**super().state(), "counts": self.counts}

    def load_state(self, state: Mapping[str, Any]) -> None:
        super().load_state(state)
        self.counts = state["counts"].cpu().clone()

    def color(self, gray: Tensor) -> Tensor:
        return self.coloring(gray)

    def inference_network(self) -> nn.Module:
        return fold(self.coloring)

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        network = ZhangNet(int(config["slices"]), len(ab_bins()), width=options.width)
        return fold(ZhangColoring(network, options.temperature))

    def notes(self) -> list[str]:
        return [f"{len(self.counts)} ab bins; colour prior counted from {self.counts.sum():.0f} training pixels"]
