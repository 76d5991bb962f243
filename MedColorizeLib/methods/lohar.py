"""Lohar et al.: a generator of mean squared error beside a discriminator of binary cross-entropy, on pairs.

"The generator is optimized using a mean squared error loss", "the discriminator is optimized using a binary
cross-entropy loss", "Adam ... 0.0005". Taken at its word no gradient of the discriminator reaches the generator, so the
system is a regression with a spectator: `Lohar`. The figure and the text mean a game, so `LoharAdversarial` adds the
term that makes it one. Networks aren't given; see `networks/lohar.py`. Label noise is the tutorial's.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ..networks.fold import fold
from ..networks.lohar import LoharDiscriminator, LoharGenerator
from .base import Batch, Engine, MethodOptions, option, without_gradient
from .paired import Decoded, PairedMethod


@dataclass(frozen=True)
class LoharOptions(MethodOptions):
    """What the paper says, and what it leaves open."""

    width: int = option(32, "channels of the first group; 32 as in the tutorial", least=2)
    output: Literal["sigmoid", "relu"] = option(
        "sigmoid", "last layer: sigmoid, or the tutorial's relu (a channel can die)"
    )
    adversarial_weight: float = option(0.0, "weight of the adversarial term in the generator; 0 as written", least=0)
    learning_rate: float = option(5e-4, "Adam's step, for both networks", above=0)
    label_noise: float = option(
        0.1, "labels of real and fake are moved towards each other by up to this", least=0, most=1
    )


class Lohar(PairedMethod):
    """As written: the generator is trained by mean squared error alone."""

    name = "lohar"
    title = "Lohar"
    paper = "Lohar et al., Image colorization using deep learning"
    Options: ClassVar[type[LoharOptions]] = LoharOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        self.g = LoharGenerator(slices, width=self.options.width, output=self.options.output)
        self.d = LoharDiscriminator(width=self.options.width)

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.g, "D": self.d}

    def make_optimizers(self) -> dict[str, Optimizer]:
        lr = self.options.learning_rate
        return {"generator": Adam(self.g.parameters(), lr), "discriminator": Adam(self.d.parameters(), lr)}

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        weight, optimizers = self.options.adversarial_weight, self.optimizers()
        figures: dict[str, Tensor] = {}
        with engine.autocast(), without_gradient(self.d):
            fake = self.g(batch.gray)
            loss = figures["G_mse"] = squared_error(fake, batch.color)
            if weight:
                logits = self.d(fake).float()
                figures["G_adversarial"] = functional.binary_cross_entropy_with_logits(logits, torch.ones_like(logits))
                loss = loss + weight * figures["G_adversarial"]
        engine.backward(loss)
        engine.step(optimizers["generator"])
        with engine.autocast():
            figures["D"] = self.discriminator_loss(batch.color, fake.detach())
        engine.backward(figures["D"])
        engine.step(optimizers["discriminator"])
        return {name: float(value.detach()) for name, value in figures.items()}

    def discriminator_loss(self, real: Tensor, fake: Tensor) -> Tensor:
        """BCE(D(y), 1 - u) + BCE(D(G(x)), u), u the label noise."""
        of_real, of_fake = self.d(real).float(), self.d(fake).float()
        noise = self.options.label_noise
        as_real = 1 - noise * self.uniform(of_real, *of_real.shape)
        as_fake = noise * self.uniform(of_fake, *of_fake.shape)
        bce = functional.binary_cross_entropy_with_logits
        return bce(of_real, as_real) + bce(of_fake, as_fake)

    def color(self, gray: Tensor) -> Tensor:
        return self.g(gray)

    def inference_network(self) -> nn.Module:
        return fold(Decoded(self.g))

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        return fold(Decoded(LoharGenerator(int(config["slices"]), width=options.width, output=options.output)))


def squared_error(fake: Tensor, real: Tensor) -> Tensor:
    """Mean squared error of pictures in [0, 1], as the paper's networks see them."""
    return functional.mse_loss(fake.float() * 0.5, real.float() * 0.5)


@dataclass(frozen=True)
class LoharAdversarialOptions(LoharOptions):
    """The same, as a game."""

    adversarial_weight: float = option(0.01, "weight of the adversarial term in the generator", least=0)


class LoharAdversarial(Lohar):
    """The generator also tries to fool the discriminator."""

    name = "lohar-adversarial"
    title = "Lohar, adversarial"
    Options: ClassVar[type[LoharAdversarialOptions]] = LoharAdversarialOptions
