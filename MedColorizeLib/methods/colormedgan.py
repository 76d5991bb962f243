"""ColorMedGAN (2023): an unpaired cycle GAN that knows tissues and edges. Section 2 of the paper in its order.

X is the gray domain (MR), Y the colour domain (cryosections), G: X -> Y, F: Y -> X, S the segmentation network trained
beforehand and frozen. S_x = S(x) goes with everything made from x (G(x), F(G(x)), F(x)), S_y = S(Gray(y)) with
everything made from y; the published code gives some passes of x the features of y.

Where paper and code differ, an option has both, and the default is what makes sense:
- G takes one channel (paper; `generator_input = "gray"`) or gray repeated thrice (code; "rgb"). With one channel, G(y)
  in eq. 4 can only mean G(Gray(y)). In 2.5D G takes k slices and gives the colour of the middle one.
- eq. 5 prints .576 for green, which adds up to .989; .587 here.
- Laplacian of four neighbours (eq. 9) or of eight (code): `edge_kernel`.
- eq. 10 prints |Lap(X) - X|; here |Lap(Gray(G(x))) - Lap(x)|, with a gradient, which the code's edge loss hasn't.
- eq. 11 puts sigmoid(Lap) beside the picture, the code Lap itself: `modal_raw`.
- Least squares on logits; the code takes a sigmoid first: `adversarial = "lsgan-sigmoid"`. Both discriminators' losses
  have the factor 1/2 (code: 1/2 and 10), and every picture is shown with its own edges (code: with another's).
- alpha, beta, gamma, theta aren't published; the defaults are the code's weights.
- VGG's input is normalised as its weights expect (code: not): `features_normalise`.
The "modal transformation module" that the conclusion mentions (style swap towards MR before S) has no published weights
and isn't here: S sees the luma of the cryosection.
"""
# ruff: noqa: RUF009 - `option` makes a dataclass field

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn

from ..losses.cycle import cycle_loss
from ..losses.edge import Modal, Neighbours, edge_loss, modal_channels, modal_input
from ..losses.gray import gray_loss
from ..losses.perceptual import perceptual_loss
from ..networks.colormedgan import ColorMedGANDiscriminator, ColorMedGANGenerator, Upsample
from ..networks.fold import fold, merge_equal_channels
from ..networks.fusion import FusionMode, SemanticMaps
from ..networks.unet_seg import SegmentationNet
from .base import Batch, MethodOptions, middle, option
from .cycle import CycleMethod, CycleOptions, Part, Sides, Terms
from .frozen_features import FeatureNetwork, feature_network, say_features
from .schedules import Schedule
from .semantic import Semantic, build_semantic, load_semantic


@dataclass(frozen=True)
class ColorMedGANOptions(CycleOptions):
    """Every row of tables 1 to 4: `fusion`, `theta` and `modal`."""

    generator_input: Literal["gray", "rgb"] = option("gray", "gray: one channel per slice; rgb: gray repeated thrice")
    discriminator_width: int = option(32, "channels of the discriminators' first layer", least=1)
    learning_rate: float = option(1e-4, "Adam's step, for generators and discriminators", above=0)
    schedule: Schedule = option("multistep", "constant; linear or cosine decay to 0; multistep: x 0.1 at 1/2 and 3/4")
    upsample: Upsample = option("nearest", "nearest: x2 and 5x5 convolution; deconv: 4x4 transposed convolution")
    fusion: FusionMode = option("sigmoid", "eq. 1 (sigmoid), concat, or none: no segmentation network")
    segmentation_weights: str = option("", "what `medcolorize export` made of a segmentation run; 'random': for tests")
    modal: Modal = option("2", "multi-modal discriminator of table 4: none, 1 (add), 2 (concat) or 3 (multiply)")
    modal_raw: bool = option(False, "modal 2 with the Laplacian itself, not its sigmoid")
    edge_kernel: Neighbours = option(4, "neighbours of the Laplacian: 4 (eq. 9) or 8 (code)")
    alpha: float = option(10.0, "weight of the cycle loss", least=0)
    beta: float = option(5.0, "weight of the perceptual identity loss (0: off)", least=0)
    gamma: float = option(10.0, "weight of the gray loss (0: off)", least=0)
    theta: float = option(10.0, "weight of the edge loss (0: off)", least=0)
    features: FeatureNetwork = option("vgg16", "the frozen network of the perceptual identity loss")
    features_layer: str = option("relu3_3", "its layer")
    features_weights: str = option(
        "", "its weights: a file; empty: the user's torch cache; 'download': fetch them there; 'random': for tests"
    )
    features_normalise: bool = option(True, "normalise the network's input as its weights expect")


@dataclass
class SemanticSides(Sides):
    """With the features of S, each computed once a step."""

    s_x: SemanticMaps = (None, None)
    s_y: SemanticMaps = (None, None)


class ColorMedGAN(CycleMethod):
    """Networks of section 2.1, losses of section 2.2."""

    name = "colormedgan"
    title = "ColorMedGAN"
    paper = "Chen et al. 2023, Applied Sciences 13(5):3168"
    Options: ClassVar[type[ColorMedGANOptions]] = ColorMedGANOptions

    # 2.1 Architecture

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        o = self.Options() if options is None else options
        assert isinstance(o, ColorMedGANOptions)
        self.semantic: Semantic | None = None
        if o.fusion != "none":
            self.semantic = load_semantic(o.segmentation_weights, o.width)
        super().__init__(o, slices=slices, seed=seed)
        self.vgg: Any = None
        if o.beta:
            self.vgg = feature_network(o.features, o.features_layer, o.features_weights, normalise=o.features_normalise)

    @property
    def divisor(self) -> int:
        own = ColorMedGANGenerator.divisor
        return own if self.semantic is None else math.lcm(own, self.semantic.network.divisor)

    def make_generators(self) -> tuple[nn.Module, nn.Module]:
        channels = None if self.semantic is None else self.semantic.network.feature_channels
        return (
            _generator(self.options, self.input_channels, 3, channels),
            _generator(self.options, 3, self.gray_channels, channels),
        )

    def make_discriminator(self, channels: int) -> nn.Module:
        o = self.options
        return ColorMedGANDiscriminator(modal_channels(o.modal, channels), width=o.discriminator_width)

    def frozen(self) -> dict[str, nn.Module]:
        both = {"segmentation": self.semantic and self.semantic.network, "features": self.vgg}
        return {name: network for name, network in both.items() if network is not None}

    def semantics(self, gray: Tensor) -> SemanticMaps:
        """S of slices (N, 1, H, W)."""
        if self.semantic is None:
            return None, None
        with torch.no_grad():
            return self.semantic.network.features(gray)

    def sides(self, batch: Batch) -> SemanticSides:
        plain = super().sides(batch)
        return SemanticSides(
            plain.x,
            plain.x_middle,
            plain.y,
            plain.y_gray,
            s_x=self.semantics(plain.x_middle),
            s_y=self.semantics(middle(plain.y_gray)),
        )

    # 2.2 Loss functions

    def parts(self, sides: Sides) -> list[Part]:
        assert isinstance(sides, SemanticSides)
        parts: list[Part] = [lambda: self.forward_synthesis(sides), lambda: self.backward_synthesis(sides)]
        if self.options.beta:
            parts += [lambda: self.identity_y(sides), lambda: self.identity_x(sides)]
        return parts

    def forward_synthesis(self, sides: SemanticSides) -> Terms:
        """x -> G(x) -> F(G(x)): the terms of eqs. 2, 3, 6 and 10 that begin at x."""
        o = self.options
        fake_y = self.g(sides.x, *sides.s_x)
        sides.fake_y = fake_y.detach()
        recovered_x = self.f(fake_y, *sides.s_x)
        terms = {
            "G_adversarial": self.fooling(self.d_y, fake_y),  # eq. 2, L_GAN(G, S, D_y, X, Y)
            "cycle_X": o.alpha * cycle_loss(recovered_x, sides.x_middle),  # eq. 3, |F(G(x)) - x|
        }
        if o.gamma:
            terms["gray_X"] = o.gamma * gray_loss(fake_y, sides.x_middle)  # eq. 6, |Gray(G(x)) - x|
        if o.theta:
            terms["edge_X"] = o.theta * edge_loss(fake_y, sides.x_middle, o.edge_kernel)  # eq. 10
        return terms

    def backward_synthesis(self, sides: SemanticSides) -> Terms:
        """y -> F(y) -> G(F(y)): the terms of eqs. 2, 3, 6 and 10 that begin at y."""
        o = self.options
        fake_x = self.f(sides.y, *sides.s_y)
        sides.fake_x = fake_x.detach()
        recovered_y = self.g(self.among_neighbours(fake_x, sides.y_gray), *sides.s_y)
        terms = {
            "F_adversarial": self.fooling(self.d_x, fake_x),  # eq. 2, L_GAN(F, S, D_x, Y, X)
            "cycle_Y": o.alpha * cycle_loss(recovered_y, sides.y),  # eq. 3, |G(F(y)) - y|
        }
        if o.gamma:
            terms["gray_Y"] = o.gamma * gray_loss(fake_x, sides.y)  # eq. 6, |F(y) - Gray(y)|
        if o.theta:
            terms["edge_Y"] = o.theta * edge_loss(fake_x, sides.y, o.edge_kernel)  # eq. 10
        return terms

    def identity_y(self, sides: SemanticSides) -> Terms:
        """Eq. 4, first half: |VGG(G(y)) - VGG(y)|."""
        unchanged = self.g(self.as_target(sides), *sides.s_y)
        return {"identity_Y": self.options.beta * perceptual_loss(self.vgg, unchanged, sides.y)}

    def identity_x(self, sides: SemanticSides) -> Terms:
        """Eq. 4, second half: |VGG(F(x)) - VGG(x)|; F takes three channels, so x is repeated."""
        unchanged = self.f(sides.x_middle.expand(-1, 3, -1, -1), *sides.s_x)
        return {"identity_X": self.options.beta * perceptual_loss(self.vgg, unchanged, sides.x_middle)}

    def seen(self, image: Tensor) -> Tensor:
        """Eq. 11: the picture and its edges, as `modal` puts them together."""
        o = self.options
        return modal_input(image, o.modal, neighbours=o.edge_kernel, raw=o.modal_raw)

    # Use

    def color(self, gray: Tensor) -> Tensor:
        return self.g(self.prepare(gray), *self.semantics(middle(gray)))

    def uncolor(self, color: Tensor, content: Tensor) -> Tensor:
        return self.f(color, *self.semantics(content))

    def notes(self) -> list[str]:
        notes = [say_features(self.vgg)] if self.vgg is not None else []
        if self.semantic is not None:
            notes.append(f"segmentation network: {self.semantic.origin}")
        return notes

    def inference_network(self) -> nn.Module:
        generator = fold(self.g)
        if self.options.generator_input == "rgb":
            generator = merge_equal_channels(generator)
        return ColorMedGANPainter(generator, None if self.semantic is None else self.semantic.as_built())

    def inference_config(self) -> dict[str, Any]:
        config = super().inference_config()
        return config if self.semantic is None else {**config, "segmentation": self.semantic.config}

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        semantic = build_semantic(config["segmentation"]) if options.fusion != "none" else None
        channels = None if semantic is None else semantic.feature_channels
        generator = _generator(options, int(config["slices"]), 3, channels, spectral=False)
        return ColorMedGANPainter(fold(generator), semantic)


class ColorMedGANPainter(nn.Module):
    """G and the part of S that it needs, as one network: gray slices (N, k, H, W) -> RGB (N, 3, H, W)."""

    def __init__(self, generator: nn.Module, semantic: SegmentationNet | None) -> None:
        super().__init__()
        self.generator = generator
        self.semantic = semantic

    def forward(self, gray: Tensor) -> Tensor:
        maps = () if self.semantic is None else self.semantic.features(middle(gray))
        return self.generator(gray, *maps)


def _generator(
    options: ColorMedGANOptions,
    inward: int,
    outward: int,
    feature_channels: tuple[int, int] | None,
    spectral: bool = True,
) -> ColorMedGANGenerator:
    o = options
    return ColorMedGANGenerator(
        inward,
        outward,
        width=o.width,
        upsample=o.upsample,
        fusion=o.fusion,
        feature_channels=feature_channels or (0, 0),
        spectral=spectral,
    )
