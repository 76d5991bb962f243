"""Liang et al. 2021: CycleGAN with perceptual and total variation losses, for unpaired retina photographs.

Section 3.2 in order: adversarial loss (eq. 1), cycle loss (eq. 2) and the identity loss of section 4.2.3 are
CycleGAN's; perceptual losses are eqs. 3 to 5, 8 and 9; total variation is eq. 6; the sum is eq. 7. G_color is G here,
G_gray is F.

Where the paper can't be taken at its word: eqs. 3, 4 and 8 subtract pixels from features (here features from features);
the layer of VGG16 isn't named (here relu2_2, as Johnson et al. 2016 have it; `features_layer`); eq. 6 is a sum over the
picture with weight 1, some 10^3 times the other terms (here a mean; `tv_reduction = "sum"` for the print); eq. 7 gives
every term weight 1 and leaves out the identity loss that the experiments use (here CycleGAN's 10 and 5; `cycle`,
`identity`); eq. 1 is logarithmic, the code it cites uses least squares (`adversarial`).
"""
# ruff: noqa: RUF009 - `option` makes a dataclass field

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from torch import Tensor, nn

from ..losses.perceptual import perceptual_loss, wanted_maps
from ..losses.tv import total_variation
from .base import MethodOptions, option
from .cycle import Sides, Terms
from .cyclegan import CycleGAN, CycleGANOptions
from .frozen_features import FeatureNetwork, feature_network, say_features
from .schedules import Schedule


@dataclass(frozen=True)
class LiangOptions(CycleGANOptions):
    """Every row of tables 2 to 5: `perceptual`, `tv` and `identity` switch the terms."""

    perceptual: Literal["none", "asymmetric", "symmetric", "symmetric_2"] = option(
        "asymmetric", "asymmetric: eq. 5 (the proposal); symmetric: eq. 8; symmetric_2: eq. 9; none: plain CycleGAN"
    )
    perceptual_weight: float = option(1.0, "weight of the perceptual loss", least=0)
    tv: float = option(1.0, "weight of the total variation loss (0: off)", least=0)
    tv_reduction: Literal["mean", "sum"] = option("mean", "mean over pixels, or the sum that eq. 6 prints")
    features: FeatureNetwork = option("vgg16", "the frozen network of the perceptual loss")
    features_layer: str = option("relu2_2", "its layer")
    features_weights: str = option(
        "", "its weights: a file; empty: the user's torch cache; 'download': fetch them there; 'random': for tests"
    )
    learning_rate: float = option(2e-3, "Adam's step; the paper's, ten times CycleGAN's", above=0)
    schedule: Schedule = option("cosine", "constant; linear or cosine decay to 0; multistep: x 0.1 at 1/2 and 3/4")


class Liang(CycleGAN):
    """CycleGAN plus perceptual plus total variation."""

    name = "liang"
    title = "Liang 2021"
    paper = "Liang et al. 2021, Multimedia Tools and Applications 80"
    Options: ClassVar[type[LiangOptions]] = LiangOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        o = self.options
        self.phi: Any = None
        if o.perceptual != "none":
            self.phi = feature_network(o.features, o.features_layer, o.features_weights)

    def frozen(self) -> dict[str, nn.Module]:
        return {} if self.phi is None else {"features": self.phi}

    def notes(self) -> list[str]:
        return [] if self.phi is None else [say_features(self.phi)]

    def further_forward_terms(self, sides: Sides, fake_y: Tensor, recovered_x: Tensor) -> Terms:
        o = self.options
        terms: Terms = {}
        if self.phi is not None:
            wanted = wanted_maps(self.phi, sides.x_middle)
            if o.perceptual != "symmetric":  # eq. 3: phi(G(x)) - phi(x)
                terms["perceptual_invert"] = o.perceptual_weight * perceptual_loss(self.phi, fake_y, wanted)
            # eq. 4: phi(F(G(x))) - phi(x)
            terms["perceptual_cycle"] = o.perceptual_weight * perceptual_loss(self.phi, recovered_x, wanted)
        if o.tv:  # eq. 6, of Z = G(x)
            terms["tv"] = o.tv * total_variation(fake_y, o.tv_reduction)
        return terms

    def further_backward_terms(self, sides: Sides, fake_x: Tensor, recovered_y: Tensor) -> Terms:
        if self.options.perceptual not in ("symmetric", "symmetric_2"):
            return {}
        # eq. 8, second term: phi(G(F(y))) - phi(y)
        loss = perceptual_loss(self.phi, recovered_y, sides.y)
        return {"perceptual_cycle_Y": self.options.perceptual_weight * loss}
