"""Tanjim & Liu: two convolutional networks as baselines, and CycleGAN, in RGB or in Lab.

Section 5.2.1: `TanjimFour` (4 layers) and `TanjimTen` (10 layers, 224 to 7 and back) learn pairs; the loss isn't named
(mean squared error here, `loss`). Section 5.2.2: `TanjimCycleGAN`, CycleGAN whose discriminator judges whole pictures
by a dense layer; identity as printed compares F(y) with x, and is |F(x) - x| here. In Lab "it only had to learn
two more spaces": L is the gray slice's own and ab is learned. "Shuffled" training shows gray and colour of different
pictures, "paired" of the same one (`alignment`); "without normalisation" keeps pictures in [0, 1] (`normalise`).
Which domain is called A (swapped in the shuffled run) changes nothing here, for both directions are trained alike.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ..losses.gray import gray_of
from ..networks.fold import fold
from ..networks.lab import AB_SCALE, lab_of, lightness_of, picture_of
from ..networks.tanjim import FourLayers, ImageDiscriminator, TenLayers
from .base import Batch, Engine, MethodOptions, evaluating, middle, option
from .cycle import Sides
from .cyclegan import CycleGAN, CycleGANOptions
from .paired import PairedMethod

Space = Literal["rgb", "lab"]


class ColorCode:
    """Pictures as the networks take and give them: RGB or Lab, in [-1, 1] (normalised) or in [0, 1].

    Lab is L / 50 - 1 and ab / 110; the networks give ab alone where `copied` says that L is the gray slice's.
    """

    def __init__(self, space: Space, normalise: bool, copied: bool) -> None:
        self.space, self.normalise, self.copied = space, normalise, copied and space == "lab"

    @property
    def channels(self) -> int:
        return 2 if self.copied else 3

    @property
    def output(self) -> Literal["tanh", "sigmoid"]:
        return "tanh" if self.normalise else "sigmoid"

    def gray(self, gray: Tensor) -> Tensor:
        """Gray slices for a network's input."""
        return self._ranged(lightness_of(gray) / 50 - 1 if self.space == "lab" else gray)

    def color(self, picture: Tensor) -> Tensor:
        """A colour picture as a network should give it."""
        if self.space == "rgb":
            return self._ranged(picture)
        lab = lab_of(picture)
        ab = lab[:, 1:] / AB_SCALE
        return self._ranged(ab if self.copied else torch.cat([lab[:, :1] / 50 - 1, ab], 1))

    def picture(self, code: Tensor, gray: Tensor) -> Tensor:
        """What a network gave for the gray slice (N, 1, H, W), as RGB in [-1, 1]."""
        code = code.float() if self.normalise else code.float() * 2 - 1
        if self.space == "rgb":
            return code.clamp(-1, 1)
        lightness = lightness_of(gray) if self.copied else ((code[:, :1] + 1) * 50).clamp(0, 100)
        return picture_of(lightness, code[:, -2:] * AB_SCALE)

    def _ranged(self, code: Tensor) -> Tensor:
        return code if self.normalise else code * 0.5 + 0.5


class Coloring(nn.Module):
    """A network with its code around it: gray slices in, RGB out."""

    def __init__(self, network: nn.Module, code: ColorCode) -> None:
        super().__init__()
        self.network, self.code = network, code

    def forward(self, gray: Tensor) -> Tensor:
        return self.code.picture(self.network(self.code.gray(gray)), middle(gray))


@dataclass(frozen=True)
class TanjimOptions(MethodOptions):
    """What the paper's experiments vary."""

    space: Literal["rgb", "lab"] = option("rgb", "rgb, or lab: L is the gray slice's, ab is learned")
    normalise: bool = option(True, "pictures in [-1, 1] and tanh; else [0, 1] and a sigmoid")
    loss: Literal["mse", "l1"] = option("mse", "squared or absolute error, of the code the network gives")
    width: int = option(16, "channels of the first layer", least=1)
    learning_rate: float = option(1e-3, "Adam's step", above=0)


class TanjimFour(PairedMethod):
    """Section 5.2.1, the first baseline."""

    name = "tanjim-4"
    title = "Tanjim & Liu, 4 layers"
    paper = "Tanjim & Liu, Image Colorization using Cycle-GAN"
    Options: ClassVar[type[TanjimOptions]] = TanjimOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        self.code = _code(self.options)
        self.g = self.make_network(self.options, slices, self.code)

    @classmethod
    def make_network(cls, options: Any, slices: int, code: ColorCode) -> nn.Module:
        return FourLayers(slices, code.channels, output=code.output, width=options.width)

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.g}

    def make_optimizers(self) -> dict[str, Optimizer]:
        return {"generator": Adam(self.g.parameters(), self.options.learning_rate)}

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        error = functional.mse_loss if self.options.loss == "mse" else functional.l1_loss
        with engine.autocast():
            loss = error(self.g(self.code.gray(batch.gray)).float(), self.code.color(batch.color))
        engine.backward(loss)
        engine.step(self.optimizers()["generator"])
        return {f"G_{self.options.loss}": float(loss.detach())}

    def color(self, gray: Tensor) -> Tensor:
        return self.code.picture(self.g(self.code.gray(gray)), middle(gray))

    def inference_network(self) -> nn.Module:
        return fold(Coloring(self.g, self.code))

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        code = _code(options)
        return fold(Coloring(cls.make_network(options, int(config["slices"]), code), code))


def _code(options: Any) -> ColorCode:
    return ColorCode(options.space, options.normalise, copied=True)


@dataclass(frozen=True)
class TanjimTenOptions(TanjimOptions):
    """The encoder-decoder begins with twice the channels."""

    width: int = option(32, "channels of the first layer; doubled by each of the five", least=1)


class TanjimTen(TanjimFour):
    """Section 5.2.1, the second baseline."""

    name = "tanjim-10"
    title = "Tanjim & Liu, 10 layers"
    Options: ClassVar[type[TanjimTenOptions]] = TanjimTenOptions

    @property
    def divisor(self) -> int:
        return TenLayers.divisor

    @classmethod
    def make_network(cls, options: Any, slices: int, code: ColorCode) -> nn.Module:
        widths = [options.width * 2**level for level in range(5)]
        return TenLayers(slices, code.channels, output=code.output, widths=widths)


@dataclass(frozen=True)
class TanjimCycleGANOptions(CycleGANOptions):
    """CycleGAN's, and what section 6 varies."""

    space: Literal["rgb", "lab"] = option("rgb", "rgb, or lab: pictures are L / 50 - 1 and ab / 110")
    normalise: bool = option(True, "pictures in [-1, 1]; else in [0, 1]")
    alignment: Literal["shuffled", "paired"] = option(
        "shuffled", "paired: x is the luma of the colour slice y itself; shuffled: gray and colour of different slices"
    )


class TanjimCycleGAN(CycleGAN):
    """Section 5.2.2: ResNet of 9 blocks, image-level discriminators."""

    name = "tanjim-cyclegan"
    title = "Tanjim & Liu, CycleGAN"
    paper = "Tanjim & Liu, Image Colorization using Cycle-GAN"
    Options: ClassVar[type[TanjimCycleGANOptions]] = TanjimCycleGANOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        # The cycle must give back all of y, lightness too.
        self.code = ColorCode(self.options.space, self.options.normalise, copied=False)

    def make_discriminator(self, channels: int) -> nn.Module:
        return ImageDiscriminator(channels, width=self.options.discriminator_width)

    def sides(self, batch: Batch) -> Sides:
        gray = batch.color_gray if self.options.alignment == "paired" else batch.gray
        x, y_gray = self.code.gray(gray), self.code.gray(batch.color_gray)
        return Sides(self.prepare(x), middle(x), self.code.color(batch.color), y_gray)

    def color(self, gray: Tensor) -> Tensor:
        return self.code.picture(self.g(self.prepare(self.code.gray(gray))), middle(gray))

    def uncolor(self, color: Tensor, content: Tensor) -> Tensor:
        """F of a colour picture in [-1, 1], as gray in [-1, 1]."""
        back = self.f(self.code.color(color)).float().mean(1, keepdim=True)
        return gray_of(self.code.picture(_gray_code(back, self.code), content))

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        gray = batch.color_gray if self.options.alignment == "paired" else batch.gray
        fake = self.generate(gray)
        with evaluating(self.f):
            return {
                "x": middle(gray),
                "G(x)": fake,
                "F(G(x))": self.uncolor(fake, middle(gray)),
                "y": batch.color,
                "F(y)": self.uncolor(batch.color, middle(batch.color_gray)),
            }

    def inference_network(self) -> nn.Module:
        return Coloring(super().inference_network(), self.code)

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        return Coloring(super().build_inference(config), ColorCode(options.space, options.normalise, copied=False))


def _gray_code(back: Tensor, code: ColorCode) -> Tensor:
    """One channel that F gave, as a colour code without chroma."""
    if code.space == "rgb":
        return back.expand(-1, 3, -1, -1)
    neutral = torch.full_like(back, 0.0 if code.normalise else 0.5)
    return torch.cat([back, neutral, neutral], 1)
