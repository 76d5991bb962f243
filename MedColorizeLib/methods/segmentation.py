"""Segmentation networks, trained on label maps, or on tissue classes where there are none.

ColorMedGAN's section 2.1.2 trains S "offline"; its code: soft Dice over the sigmoid of the classes above 0, Adam with
1e-4. Images are in [-1, 1], exactly as the colouriser that fuses the features will give them. Without label maps the
network learns the intensity classes of `imaging/clusters.py`: enough for fusion to have something to fuse, and said in
the notes. The network gives (logits, shallow, deep), see `networks/unet_seg.py`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import torch
from torch import Tensor, nn
from torch.optim import Adam, Optimizer

from ..errors import UsageError
from ..losses.dice import dice_loss, dice_scores
from ..networks.fold import fold
from ..networks.unet_seg import MONAI_NETS, segmentation_net
from .base import Batch, Engine, Method, MethodOptions, evaluating, middle, option
from .tissue import tissue_of


@dataclass(frozen=True)
class SegmentationOptions(MethodOptions):
    """ColorMedGAN's S by default."""

    network: str = option("unet", f"unet (ColorMedGAN's), or of MONAI: {', '.join(MONAI_NETS)}")
    widths: tuple[int, ...] = option((64, 128, 256, 512, 1024), "channels of each level", least=1)
    norm: Literal["batch", "instance"] = option("batch", "normalisation; batch is folded away in use")
    classes: int = option(5, "classes, background (0) included", least=2)
    label_values: tuple[int, ...] = option(
        (), "values of the label map that are classes 1, 2, ...; others become background; empty: values are classes"
    )
    loss: Literal["dice", "dice_ce"] = option("dice", "soft Dice of the sigmoids, or Dice and cross entropy of softmax")
    unlabelled: Literal["tissue", "refuse"] = option("tissue", "without label maps: learn tissue classes, or refuse")
    learning_rate: float = option(1e-4, "Adam's step", above=0)

    def check(self) -> None:
        if self.network != "unet" and self.network not in MONAI_NETS:
            raise UsageError(
                f"There is no segmentation network {self.network!r}. Known: unet, {', '.join(MONAI_NETS)}."
            )
        if self.label_values and len(self.label_values) != self.classes - 1:
            raise UsageError(
                f"label_values names {len(self.label_values)} values for {self.classes - 1} classes besides background."
            )


class Segmentation(Method):
    """S, trained by itself."""

    name = "segmentation"
    title = "Segmentation network"
    paper = "Ronneberger et al. 2015, MICCAI"
    paired = True
    kind = "segmentation"
    Options: ClassVar[type[SegmentationOptions]] = SegmentationOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        self.s = _network(self.options, slices)
        self._optimizer: Adam | None = None
        self.taught_by: set[str] = set()

    @property
    def divisor(self) -> int:
        return self.s.divisor

    def networks(self) -> dict[str, nn.Module]:
        return {"S": self.s}

    def optimizers(self) -> dict[str, Optimizer]:
        if self._optimizer is None:
            self._optimizer = Adam(self.s.parameters(), self.options.learning_rate)
        return {"segmentation": self._optimizer}

    def state(self) -> dict[str, Any]:
        return {"taught_by": sorted(self.taught_by)}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.taught_by = set(state["taught_by"])

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        labels = self.targets(batch)
        with engine.autocast():
            logits = self.s(batch.gray)[0]
        loss = dice_loss(logits.float(), labels, self.options.loss)
        engine.backward(loss)
        engine.step(self.optimizers()["segmentation"])
        return {f"S_{self.options.loss}": float(loss.detach())}

    def targets(self, batch: Batch) -> Tensor:
        """(N, H, W) classes: the label map's, or the tissue classes of the slices."""
        o = self.options
        if batch.labels is None:
            if o.unlabelled == "refuse":
                raise UsageError("This segmentation network needs label maps (--labels), or unlabelled = 'tissue'.")
            self.taught_by.add("tissue classes (unsupervised)")
            return tissue_of(middle(batch.gray), o.classes - 1).to(batch.gray.device)
        self.taught_by.add("label maps")
        labels = batch.labels.long()
        if o.label_values:
            values = torch.tensor(o.label_values, device=labels.device)
            found = labels.unsqueeze(-1) == values
            return torch.where(found.any(-1), found.int().argmax(-1) + 1, 0)
        if int(labels.max()) >= o.classes or int(labels.min()) < 0:
            raise UsageError(
                f"The label maps hold values from {int(labels.min())} to {int(labels.max())}, but there are "
                f"{o.classes} classes (0 is background). Raise classes, or name the wanted values in label_values."
            )
        return labels

    def generate(self, gray: Tensor) -> Tensor:
        with evaluating(self.s):
            return self.s(gray)[0].float()

    def predict(self, gray: Tensor) -> Tensor:
        """(N, H, W) classes."""
        return classes_of(self.generate(gray), self.options.loss)

    def scores(self, batch: Batch) -> dict[str, float]:
        """Dice of each class above 0, for validation."""
        return dice_scores(self.predict(batch.gray), self.targets(batch), self.options.classes)

    def inference_network(self) -> nn.Module:
        return fold(self.s)

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        return fold(_network(cls.Options.from_mapping(config["options"]), int(config["slices"])))

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        return {
            "gray": middle(batch.gray),
            "predicted": _shown(self.predict(batch.gray), self.options.classes),
            "labels": _shown(self.targets(batch), self.options.classes),
        }

    def notes(self) -> list[str]:
        return [f"segmentation learned from: {', '.join(sorted(self.taught_by)) or 'nothing yet'}"]


def _network(options: Any, slices: int) -> Any:
    return segmentation_net(options.network, slices, options.classes, widths=options.widths, norm=options.norm)


def classes_of(logits: Tensor, loss: Literal["dice", "dice_ce"]) -> Tensor:
    """The class of each pixel. With `dice`, class 0 has no logit of its own: it is where no sigmoid exceeds a half."""
    if loss == "dice_ce":
        return logits.argmax(1)
    strongest, found = logits[:, 1:].max(1)
    return torch.where(strongest > 0, found + 1, 0)


def _shown(labels: Tensor, classes: int) -> Tensor:
    """A label map as a picture in [-1, 1]: black background, then hues the golden ratio apart."""
    import colorsys

    palette = [(0.0, 0.0, 0.0)]
    palette += [colorsys.hsv_to_rgb(0.618034 * c % 1, 0.55 + 0.25 * (c % 2), 0.95) for c in range(1, classes)]
    table = torch.tensor(palette, device=labels.device) * 2 - 1
    return table[labels].permute(0, 3, 1, 2)
