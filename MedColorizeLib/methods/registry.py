"""The names under which the published systems are known, and where each lives.

Listing names or describing them imports neither torch nor MONAI; only `load_method` imports a method's file.
Not for: recipes (training) or installed weights (bundles).
"""

from __future__ import annotations

import difflib
import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from ..errors import UsageError

if TYPE_CHECKING:
    from torch import nn

    from .base import Method


@dataclass(frozen=True)
class Entry:
    """One system: where it lives, and what a list shows of it."""

    target: str
    """`module:Class`, the module relative to this package."""
    title: str
    paper: str
    summary: str
    paired: bool
    kind: Literal["color", "segmentation"] = "color"


_ENTRIES: dict[str, Entry] = {
    "medcolorize": Entry(
        "medcolorize:MedColorize",
        "MedColorize",
        "this project",
        "2.5D generator of chroma alone, taught by photographs, tissue labels and neighbouring slices; the default",
        paired=False,
    ),
    "colormedgan": Entry(
        "colormedgan:ColorMedGAN",
        "ColorMedGAN",
        "Chen et al. 2023, Applied Sciences 13(5):3168",
        "U-Net-like cycle GAN that fuses segmentation features, with edge loss and multi-modal discriminator",
        paired=False,
    ),
    "colorcyclegan": Entry(
        "colorcyclegan:ColorCycleGAN",
        "colorCycleGAN",
        "Xiao et al. 2019, ICIP",
        "U-Net-like cycle GAN with perceptual identity loss and gray loss; ColorMedGAN's baseline",
        paired=False,
    ),
    "cyclegan": Entry(
        "cyclegan:CycleGAN",
        "CycleGAN",
        "Zhu et al. 2017, ICCV",
        "cycle-consistent GAN with a ResNet-9 or U-Net-256 generator",
        paired=False,
    ),
    "liang": Entry(
        "liang:Liang",
        "Liang 2021",
        "Liang et al. 2021, Multimedia Tools and Applications",
        "CycleGAN with perceptual (invert and cycle) and total variation losses",
        paired=False,
    ),
    "lohar": Entry(
        "lohar:Lohar",
        "Lohar",
        "Lohar et al., Image colorization using GAN",
        "encoder-decoder trained by mean squared error beside a discriminator, as the paper writes it",
        paired=True,
    ),
    "lohar-adversarial": Entry(
        "lohar:LoharAdversarial",
        "Lohar, adversarial",
        "Lohar et al., Image colorization using GAN",
        "the same networks with the adversarial term reaching the generator",
        paired=True,
    ),
    "tanjim-4": Entry(
        "tanjim:TanjimFour",
        "Tanjim & Liu, 4 layers",
        "Tanjim & Liu, colorization with CNNs and CycleGAN",
        "four convolutions at full size, RGB or LAB",
        paired=True,
    ),
    "tanjim-10": Entry(
        "tanjim:TanjimTen",
        "Tanjim & Liu, 10 layers",
        "Tanjim & Liu, colorization with CNNs and CycleGAN",
        "ten-layer encoder-decoder, RGB or LAB",
        paired=True,
    ),
    "tanjim-cyclegan": Entry(
        "tanjim:TanjimCycleGAN",
        "Tanjim & Liu, CycleGAN",
        "Tanjim & Liu, colorization with CNNs and CycleGAN",
        "CycleGAN with an image-level discriminator, RGB or LAB",
        paired=False,
    ),
    "zhang": Entry(
        "zhang:Zhang",
        "Colorful image colorization",
        "Zhang et al. 2016, ECCV",
        "classification into in-gamut ab bins with class rebalancing and annealed mean",
        paired=True,
    ),
    "chromagan": Entry(
        "chromagan:ChromaGAN",
        "ChromaGAN",
        "Vitoria et al. 2020, WACV",
        "chrominance regression with a class distribution and a Wasserstein critic",
        paired=True,
    ),
    "segmentation": Entry(
        "segmentation:Segmentation",
        "Segmentation network",
        "Ronneberger et al. 2015, MICCAI",
        "U-Net (or another MONAI network) trained on label maps; its features feed ColorMedGAN",
        paired=True,
        kind="segmentation",
    ),
    "medical-features": Entry(
        "feature_net:FeatureNet",
        "Medical feature network",
        "this project",
        "self-taught features for perceptual losses, for where no ImageNet weights may be had",
        paired=False,
        kind="segmentation",
    ),
}


def method_names(kind: Literal["color", "segmentation"] | None = None) -> list[str]:
    """Every known name, or those of one kind, in the order of the papers."""
    return [name for name, entry in _ENTRIES.items() if kind is None or entry.kind == kind]


def describe(name: str) -> Entry:
    """Title, paper and one-line summary of a method."""
    try:
        return _ENTRIES[name]
    except KeyError:
        near = difflib.get_close_matches(name.lower(), _ENTRIES, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known methods: {', '.join(_ENTRIES)}."
        raise UsageError(f"There is no method named '{name}'. {hint}") from None


def load_method(name: str) -> type[Method]:
    """The class of a method. Imports torch."""
    module, _, attribute = describe(name).target.partition(":")
    loaded: type[Method] = getattr(importlib.import_module(f".{module}", __package__), attribute)
    return loaded


def build_inference(config: Mapping[str, Any]) -> nn.Module:
    """The untrained network that `Method.inference_config` described; a bundle's weights fit into it."""
    return load_method(str(config.get("method", ""))).build_inference(config)
