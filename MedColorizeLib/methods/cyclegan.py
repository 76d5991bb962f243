"""CycleGAN (Zhu et al. 2017): unpaired translation by adversarial, cycle and identity losses.

    L(G, F, D_X, D_Y) = L_GAN(G, D_Y, X, Y) + L_GAN(F, D_X, Y, X) + lambda L_cyc(G, F) + lambda_idt L_idt(G, F)

Least squares in place of the logarithms, a pool of 50 generated images, Adam with 2e-4 that decays to 0 over the second
half: as in the paper's section 4 and the code Liang 2021 builds on.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from ..losses.cycle import cycle_loss, identity_loss
from ..networks.discriminators import PatchGAN
from ..networks.fold import fold, merge_equal_channels
from ..networks.resnet9 import ResnetGenerator
from ..networks.unet256 import UnetGenerator
from .base import option
from .cycle import CycleMethod, CycleOptions, Part, Sides, Terms


@dataclass(frozen=True)
class CycleGANOptions(CycleOptions):
    """CycleGAN's own options."""

    generator: Literal["resnet9", "unet256"] = option("resnet9", "which network G and F are")
    blocks: int = option(9, "residual blocks of the ResNet generator (6 for pictures of 128)", least=1)
    depth: int = option(8, "levels of the U-Net generator (8: sizes are multiples of 256)", least=2)
    cycle: float = option(10.0, "weight of the cycle loss", least=0)
    identity: float = option(5.0, "weight of the identity loss (0: off)", least=0)


class CycleGAN(CycleMethod):
    """Networks and loss of the paper; `Liang` adds its terms to them."""

    name = "cyclegan"
    title = "CycleGAN"
    paper = "Zhu et al. 2017, ICCV"
    Options: ClassVar[type[CycleGANOptions]] = CycleGANOptions

    @property
    def divisor(self) -> int:
        return 4 if self.options.generator == "resnet9" else 2**self.options.depth

    def make_generators(self) -> tuple[nn.Module, nn.Module]:
        return (
            _generator(self.options, self.input_channels, 3),
            _generator(self.options, 3, self.gray_channels),
        )

    def make_discriminator(self, channels: int) -> nn.Module:
        return PatchGAN(channels, width=self.options.discriminator_width)

    def parts(self, sides: Sides) -> list[Part]:
        parts: list[Part] = [lambda: self.forward_cycle(sides), lambda: self.backward_cycle(sides)]
        if self.options.identity:
            parts += [lambda: self.identity_y(sides), lambda: self.identity_x(sides)]
        return parts

    def forward_cycle(self, sides: Sides) -> Terms:
        """x -> G(x) -> F(G(x)): L_GAN(G, D_Y) and the first half of L_cyc."""
        fake_y = self.g(sides.x)
        sides.fake_y = fake_y.detach()
        recovered = self.f(fake_y)
        return {
            "G_adversarial": self.fooling(self.d_y, fake_y),
            "cycle_X": self.options.cycle * cycle_loss(recovered, sides.x_middle),
            **self.further_forward_terms(sides, fake_y, recovered),
        }

    def backward_cycle(self, sides: Sides) -> Terms:
        """y -> F(y) -> G(F(y)): L_GAN(F, D_X) and the second half of L_cyc."""
        fake_x = self.f(sides.y)
        sides.fake_x = fake_x.detach()
        recovered = self.g(self.among_neighbours(fake_x, sides.y_gray))
        return {
            "F_adversarial": self.fooling(self.d_x, fake_x),
            "cycle_Y": self.options.cycle * cycle_loss(recovered, sides.y),
            **self.further_backward_terms(sides, fake_x, recovered),
        }

    def identity_y(self, sides: Sides) -> Terms:
        """|G(y) - y|_1"""
        return {"identity_Y": self.options.identity * identity_loss(self.g(self.as_target(sides)), sides.y)}

    def identity_x(self, sides: Sides) -> Terms:
        """|F(x) - x|_1; F takes three channels, so x is repeated."""
        unchanged = self.f(sides.x_middle.expand(-1, 3, -1, -1))
        return {"identity_X": self.options.identity * identity_loss(unchanged, sides.x_middle)}

    def further_forward_terms(self, sides: Sides, fake_y: Tensor, recovered_x: Tensor) -> Terms:
        """Terms that a system built on CycleGAN adds to the forward cycle."""
        return {}

    def further_backward_terms(self, sides: Sides, fake_x: Tensor, recovered_y: Tensor) -> Terms:
        """Terms that a system built on CycleGAN adds to the backward cycle."""
        return {}

    def inference_network(self) -> nn.Module:
        network = fold(self.g)
        return merge_equal_channels(network) if self.options.generator_input == "rgb" else network

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        return fold(_generator(options, int(config["slices"]), 3))


def _generator(options: Any, inward: int, outward: int) -> nn.Module:
    if options.generator == "unet256":
        return UnetGenerator(inward, outward, width=options.width, depth=options.depth)
    return ResnetGenerator(inward, outward, width=options.width, blocks=options.blocks)
