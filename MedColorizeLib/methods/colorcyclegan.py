"""colorCycleGAN (Xiao et al. 2019, "Single image colorization via modified CycleGAN"): ColorMedGAN's baseline.

The same generators and discriminators, cycle loss, perceptual identity loss and gray loss; no segmentation network, no
edge loss, plain discriminators. So it is ColorMedGAN with these parts off, and its published settings.
"""
# ruff: noqa: RUF009 - `option` makes a dataclass field

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar, Literal

from ..networks.colormedgan import Upsample
from .base import option
from .colormedgan import ColorMedGAN, ColorMedGANOptions
from .schedules import Schedule


@dataclass(frozen=True)
class ColorCycleGANOptions(ColorMedGANOptions):
    """ColorMedGAN's options without the parts that it added."""

    generator_input: Literal["gray", "rgb"] = option("rgb", "gray: one channel per slice; rgb: gray repeated thrice")
    learning_rate: float = option(2e-4, "Adam's step, for generators and discriminators", above=0)
    schedule: Schedule = option("constant", "constant; linear or cosine decay to 0; multistep: x 0.1 at 1/2 and 3/4")
    upsample: Upsample = option("deconv", "nearest: x2 and 5x5 convolution; deconv: 4x4 transposed convolution")
    fusion: Literal["none"] = option("none", "colorCycleGAN has no segmentation network")
    modal: Literal["none"] = option("none", "colorCycleGAN's discriminators see no edges")
    theta: float = option(0.0, "colorCycleGAN has no edge loss", least=0, most=0)


class ColorCycleGAN(ColorMedGAN):
    """See the module."""

    name = "colorcyclegan"
    title = "colorCycleGAN"
    paper = "Xiao et al. 2019, ICIP"
    Options: ClassVar[type[ColorCycleGANOptions]] = ColorCycleGANOptions
