"""ChromaGAN (Vitoria et al. 2020): chrominance by regression, guided by what the picture shows and by a critic.

Section 3.2 in its order: colour error loss L_e on ab, class distribution loss L_s (eq. 4, lambda_s = 0.003), WGAN loss
L_g with gradient penalty (lambda_g = 0.1). Adam with 2e-5.

The class distribution's teacher is VGG-16's softmax over ImageNet on the gray picture (`classes_from = "imagenet"`,
needs the whole VGG-16 weights). Without them: the shares of the slice that its labels have (`labels`: what part of the
body this is), or that its tissue classes have (`tissue`: background and intensity classes). `notes` says which.
The trunk starts from VGG-16's weights where `vgg_weights` gives them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ..errors import UsageError
from ..losses.chroma import chrominance_error, class_divergence, critic_difference, gradient_penalty
from ..networks.chromagan import TRUNK, ChromaCritic, ChromaGenerator
from ..networks.fold import fold
from ..networks.lab import AB_SCALE, lab_of, lightness_of, picture_of
from ..networks.vgg import VGG, vgg_classifier, vgg_features
from .base import Batch, Engine, MethodOptions, middle, option, without_gradient
from .paired import PairedMethod
from .tissue import tissue_of

IMAGENET_CLASSES = 1000
LEAST_SIDE = 64
"""Below, the global branch's batch norms would see a single pixel."""


@dataclass(frozen=True)
class ChromaGANOptions(MethodOptions):
    """Published values by default; the teacher is the one that needs no download."""

    width: int = option(64, "channels of the trunk's first layer; 64 is VGG-16", least=4)
    critic_width: int = option(64, "channels of the critic's first layer", least=1)
    classes_from: Literal["imagenet", "labels", "tissue"] = option("tissue", "what the class branch learns to tell")
    classes: int = option(5, "classes of the class branch, background included (imagenet: always 1000)", least=2)
    vgg_weights: str = option("", "weights for the trunk (and the imagenet teacher): a file; empty: random trunk")
    class_weight: float = option(0.003, "lambda_s", least=0)
    adversarial_weight: float = option(0.1, "lambda_g", least=0)
    penalty_weight: float = option(10.0, "weight of the gradient penalty in the critic's loss", least=0)
    learning_rate: float = option(2e-5, "Adam's step, for generator and critic", above=0)
    beta1: float = option(0.5, "Adam's first moment", least=0, most=1)

    def check(self) -> None:
        if self.classes_from == "imagenet" and not self.vgg_weights:
            raise UsageError(
                "classes_from = 'imagenet' needs vgg_weights: a file with all of VGG-16, or 'random' in tests. "
                "Without one, choose 'labels' or 'tissue'."
            )


class ChromaColoring(nn.Module):
    """Generator and L put together: gray slices in, RGB out."""

    def __init__(self, network: ChromaGenerator) -> None:
        super().__init__()
        self.network = network

    def forward(self, gray: Tensor) -> Tensor:
        return picture_of(lightness_of(middle(gray)), self.network.ab(gray) * AB_SCALE)


class ChromaGAN(PairedMethod):
    """Section 3."""

    name = "chromagan"
    title = "ChromaGAN"
    paper = "Vitoria et al. 2020, WACV"
    Options: ClassVar[type[ChromaGANOptions]] = ChromaGANOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        o = self.options
        self.classes = IMAGENET_CLASSES if o.classes_from == "imagenet" else o.classes
        self.coloring = ChromaColoring(ChromaGenerator(slices, classes=self.classes, width=o.width))
        self.critic = ChromaCritic(width=o.critic_width)
        self.trunk_notes = "random (untrained)"
        self.teacher: VGG | None = None
        if o.vgg_weights and o.vgg_weights != "random" and o.width == 64:
            published = vgg_features("vgg16", [TRUNK], o.vgg_weights)
            self.coloring.network.trunk.load_state_dict(published.features.state_dict())
            self.trunk_notes = str(published.describe()["file"])
        if o.classes_from == "imagenet":
            self.teacher = VGG("vgg16") if o.vgg_weights == "random" else vgg_classifier(o.vgg_weights)
            self.teacher.requires_grad_(False).eval()

    @property
    def divisor(self) -> int:
        return ChromaGenerator.divisor

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.coloring, "D": self.critic}

    def frozen(self) -> dict[str, nn.Module]:
        return {} if self.teacher is None else {"teacher": self.teacher}

    def make_optimizers(self) -> dict[str, Optimizer]:
        lr, betas = self.options.learning_rate, (self.options.beta1, 0.999)
        return {
            "generator": Adam(self.coloring.parameters(), lr, betas),
            "critic": Adam(self.critic.parameters(), lr, betas),
        }

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        o, optimizers = self.options, self.optimizers()
        if min(batch.gray.shape[-2:]) < LEAST_SIDE:
            raise UsageError(f"ChromaGAN is trained on pictures of at least {LEAST_SIDE} pixels a side.")
        lightness = lightness_of(middle(batch.gray)) / 50 - 1
        real = lab_of(batch.color)[:, 1:] / AB_SCALE
        wanted = self.class_distribution(batch)
        figures: dict[str, Tensor] = {}
        with engine.autocast(), without_gradient(self.critic):
            ab, logits = self.coloring.network(batch.gray)
            ab = ab.float()
            figures["G_chroma"] = chrominance_error(ab, real)  # L_e
            figures["G_class"] = class_divergence(logits, wanted)  # L_s
            figures["G_adversarial"] = -self.critic(torch.cat([lightness, ab], 1)).float().mean()  # its part of L_g
            loss = (
                figures["G_chroma"]
                + o.class_weight * figures["G_class"]
                + o.adversarial_weight * figures["G_adversarial"]
            )
        engine.backward(loss)
        engine.step(optimizers["generator"])
        shown, fake = torch.cat([lightness, real], 1), torch.cat([lightness, ab.detach()], 1)
        with engine.autocast():
            difference = critic_difference(self.critic(shown), self.critic(fake))
            penalty = gradient_penalty(self.critic, shown, fake, self.uniform(shown, len(shown), 1, 1, 1))
        engine.backward(o.penalty_weight * penalty - difference)
        engine.step(optimizers["critic"])
        figures |= {"D_difference": difference, "D_penalty": penalty}
        return {name: float(value.detach()) for name, value in figures.items()}

    def class_distribution(self, batch: Batch) -> Tensor:
        """y_v of eq. 4, (N, classes): what the teacher says the gray slice shows."""
        gray = middle(batch.gray)
        if self.teacher is not None:
            picture = gray.expand(-1, 3, -1, -1) * 0.5 + 0.5
            network = self.coloring.network
            with torch.no_grad():
                return self.teacher((picture - network.mean) / network.std).float().softmax(1)
        labels = batch.labels if self.options.classes_from == "labels" else tissue_of(gray, self.classes - 1)
        if labels is None:
            raise UsageError("classes_from = 'labels' needs label maps. Give them (--labels), or choose 'tissue'.")
        if int(labels.max()) >= self.classes:
            raise UsageError(
                f"The label maps hold the value {int(labels.max())}, but the class branch has {self.classes} classes. "
                f"Set classes to at least {int(labels.max()) + 1}."
            )
        return functional.one_hot(labels.long(), self.classes).float().mean((1, 2)).to(gray.device)

    def color(self, gray: Tensor) -> Tensor:
        return self.coloring(gray)

    def inference_network(self) -> nn.Module:
        return _without_classes(self.coloring)

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        network = ChromaColoring(ChromaGenerator(int(config["slices"]), classes=2, width=options.width))
        return _without_classes(network)

    def notes(self) -> list[str]:
        teacher = {
            "imagenet": "ImageNet softmax of VGG-16"
            + (" (random weights)" if self.options.vgg_weights == "random" else ""),
            "labels": "shares of the slice's labels",
            "tissue": "shares of the slice's tissue classes (unsupervised)",
        }[self.options.classes_from]
        return [f"class distribution: {teacher}", f"trunk started from: {self.trunk_notes}"]


def _without_classes(coloring: ChromaColoring) -> nn.Module:
    """As built for use: nobody asks for the classes there, and their layers are most of the weights."""
    folded = fold(coloring)
    folded.network.drop_classes()
    return folded
