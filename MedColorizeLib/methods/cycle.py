"""What all cycle-consistent systems share: two generators, two discriminators, pools and the order of a step.

X is the gray domain, Y the colour domain; G: X -> Y, F: Y -> X. A system's own file says which networks these are, what
its discriminators see and which loss terms it has; here is only how they are put to work. The step of the generators is
split into parts whose graphs share nothing (x -> G(x) -> F(G(x)), y -> F(y) -> G(F(y)), the identities), each followed
by its backward pass: the gradients are the same as those of the sum, the memory is that of the largest part.
"""
# ruff: noqa: RUF009 - `option` makes a dataclass field

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn.utils.parametrize import cached
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import UsageError
from ..losses.adversarial import Adversarial, AdversarialForm
from ..losses.gray import gray_of
from .base import Batch, Engine, Method, MethodOptions, evaluating, middle, option, without_gradient
from .pool import ImagePool
from .schedules import Schedule, make_schedule

Terms = dict[str, Tensor]
"""Loss terms by name, already multiplied by their weights."""
Part = Callable[[], Terms]


@dataclass(frozen=True)
class CycleOptions(MethodOptions):
    """What every cycle-consistent system is told."""

    generator_input: Literal["gray", "rgb"] = option(
        "rgb",
        "rgb: gray slices are repeated to three channels, as the published codes do, so that G(y) means G of the "
        "colour picture; gray: one channel per slice (needed for 2.5D), and G(y) means G of y's luma",
    )
    width: int = option(64, "channels of the generators' first layer", least=1)
    discriminator_width: int = option(64, "channels of the discriminators' first layer", least=1)
    adversarial: AdversarialForm = option("lsgan", "form of the adversarial terms")
    learning_rate: float = option(2e-4, "Adam's step, for generators and discriminators", above=0)
    beta1: float = option(0.5, "Adam's first moment", least=0, most=1)
    beta2: float = option(0.999, "Adam's second moment", least=0, most=1)
    schedule: Schedule = option("linear", "constant; linear or cosine decay to 0; multistep: x 0.1 at 1/2 and 3/4")
    pool: int = option(50, "generated images kept for the discriminators; 0: none", least=0)


@dataclass
class Sides:
    """The batch as the generators see it, and what they made of it so far."""

    x: Tensor
    """What G takes: k slices, or the middle one as RGB."""
    x_middle: Tensor
    """(N, 1, H, W)"""
    y: Tensor
    """(N, 3, H, W)"""
    y_gray: Tensor
    """Luma of y and of its neighbours, (N, k, H, W)."""
    fake_y: Tensor | None = None
    fake_x: Tensor | None = None


class CycleMethod(Method):
    """Base of CycleGAN, Liang, colorCycleGAN and ColorMedGAN. Subclasses name the loss terms in `parts`."""

    paired = False
    Options: ClassVar[type[CycleOptions]] = CycleOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        if self.options.generator_input == "rgb" and slices > 1:
            raise UsageError(
                f"generator_input = 'rgb' repeats one slice thrice, so it can't take {slices} slices. "
                "Use generator_input = 'gray' for 2.5D."
            )
        self.gray_channels = 1 if self.options.generator_input == "gray" else 3
        self.g, self.f = self.make_generators()
        self.d_x, self.d_y = self.make_discriminator(self.gray_channels), self.make_discriminator(3)
        self.adversarial = Adversarial(self.options.adversarial)
        self.pools = {"x": ImagePool(self.options.pool, 2 * seed), "y": ImagePool(self.options.pool, 2 * seed + 1)}
        self._optimizers: dict[str, Optimizer] | None = None

    # What a system decides

    @abstractmethod
    def make_generators(self) -> tuple[nn.Module, nn.Module]:
        """G and F."""

    @abstractmethod
    def make_discriminator(self, channels: int) -> nn.Module:
        """D for images of this many channels."""

    @abstractmethod
    def parts(self, sides: Sides) -> list[Part]:
        """The generators' loss terms; the parts must fill `sides.fake_y` and `sides.fake_x`."""

    def seen(self, image: Tensor) -> Tensor:
        """What a discriminator is shown of an image."""
        return image

    # What they share

    @property
    def input_channels(self) -> int:
        """Channels of G's first layer."""
        return self.slices if self.options.generator_input == "gray" else 3

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.g, "F": self.f, "D_X": self.d_x, "D_Y": self.d_y}

    def optimizers(self) -> dict[str, Optimizer]:
        if self._optimizers is None:
            o = self.options
            both = {"generators": (self.g, self.f), "discriminators": (self.d_x, self.d_y)}
            self._optimizers = {
                name: Adam([p for net in nets for p in net.parameters()], o.learning_rate, (o.beta1, o.beta2))
                for name, nets in both.items()
            }
        return self._optimizers

    def schedulers(self, total_iterations: int) -> dict[str, LRScheduler]:
        return {
            name: make_schedule(self.options.schedule, optimizer, total_iterations)
            for name, optimizer in self.optimizers().items()
        }

    def state(self) -> dict[str, Any]:
        return {name: pool.state() for name, pool in self.pools.items()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        device = next(self.g.parameters()).device
        for name, pool in self.pools.items():
            pool.load_state(state[name], device)

    def sides(self, batch: Batch) -> Sides:
        """The batch in the form that `generator_input` asks for."""
        return Sides(self.prepare(batch.gray), middle(batch.gray), batch.color, batch.color_gray)

    def prepare(self, gray: Tensor) -> Tensor:
        """Gray slices as G takes them."""
        return gray if self.options.generator_input == "gray" else middle(gray).expand(-1, 3, -1, -1)

    def among_neighbours(self, fake_x: Tensor, y_gray: Tensor) -> Tensor:
        """F(y) as G takes it: in 2.5D, in the middle of the luma of y's neighbours."""
        if self.options.generator_input == "rgb" or self.slices == 1:
            return fake_x
        k = self.slices // 2
        return torch.cat([y_gray[:, :k], fake_x.to(y_gray.dtype), y_gray[:, k + 1 :]], dim=1)

    def as_target(self, sides: Sides) -> Tensor:
        """y as G takes it when it should come out unchanged: y itself, or its luma (see `generator_input`)."""
        return sides.y if self.options.generator_input == "rgb" else sides.y_gray

    def fooling(self, discriminator: nn.Module, fake: Tensor) -> Tensor:
        """The generator's adversarial term."""
        return self.adversarial.generator(discriminator(self.seen(fake)))

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        figures: dict[str, Tensor] = {}
        optimizers = self.optimizers()
        with engine.autocast():
            sides = self.sides(batch)
        with without_gradient(self.d_x, self.d_y):
            for part in self.parts(sides):
                with engine.autocast(), cached():
                    terms = part()
                engine.backward(torch.stack(list(terms.values())).sum())
                figures |= {name: term.detach() for name, term in terms.items()}
        engine.step(optimizers["generators"])
        if sides.fake_x is None or sides.fake_y is None:
            raise AssertionError(f"{self.name}: the parts made no G(x) or no F(y)")
        for side, discriminator, real, fake in (
            ("Y", self.d_y, sides.y, sides.fake_y),
            ("X", self.d_x, sides.x_middle.expand(-1, self.gray_channels, -1, -1), sides.fake_x),
        ):
            shown = self.pools[side.lower()].query(fake.float())
            with engine.autocast(), cached():
                loss = self.adversarial.discriminator(discriminator(self.seen(real)), discriminator(self.seen(shown)))
            engine.backward(loss)
            figures[f"D_{side}"] = loss.detach()
        engine.step(optimizers["discriminators"])
        return {name: float(value) for name, value in figures.items()}

    def generate(self, gray: Tensor) -> Tensor:
        with evaluating(self.g):
            return self.color(gray).float()

    def color(self, gray: Tensor) -> Tensor:
        """G of gray slices (N, k, H, W)."""
        return self.g(self.prepare(gray))

    def uncolor(self, color: Tensor, content: Tensor) -> Tensor:
        """F of a colour picture; `content` is the gray slice (N, 1, H, W) that it shows."""
        return self.f(color)

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        sides = self.sides(batch)
        fake_y = self.generate(batch.gray)
        with evaluating(self.f):
            return {
                "x": sides.x_middle,
                "G(x)": fake_y,
                "F(G(x))": gray_of(self.uncolor(fake_y, sides.x_middle).float()),
                "y": sides.y,
                "F(y)": gray_of(self.uncolor(sides.y, middle(sides.y_gray)).float()),
            }
