"""Training of the medical feature net (`networks/feature_net.py`) on unlabelled slices, gray and colour alike.

Two tasks, no labels: restore the cells that were hidden (He et al. 2022's masked picture, at VGG's scale), and tell the
tissue class of every pixel (`imaging/clusters.py`). Both need texture and context, which is what a perceptual loss asks
of features.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer

from ..losses.dice import dice_scores
from ..losses.gray import gray_of
from ..networks.feature_net import SelfTaught, save_medical_features
from ..networks.fold import fold
from .base import Batch, Engine, Method, MethodOptions, evaluating, middle, option
from .tissue import tissue_of


@dataclass(frozen=True)
class FeatureNetOptions(MethodOptions):
    """How the net teaches itself."""

    tissues: int = option(5, "tissue classes to tell, background included", least=2)
    hidden: float = option(0.4, "share of the picture's cells that is hidden", least=0, most=0.95)
    cell: int = option(8, "side of a hidden cell in pixels", least=1)
    restore_weight: float = option(1.0, "weight of the restoration error", least=0)
    tissue_weight: float = option(0.1, "weight of the tissue classes' cross entropy", least=0)
    learning_rate: float = option(1e-3, "Adam's step", above=0)


class TissueTeller(nn.Module):
    """Gray slices in, logits of tissue classes out."""

    def __init__(self, network: SelfTaught) -> None:
        super().__init__()
        self.network = network

    def forward(self, gray: Tensor) -> Tensor:
        return self.network(middle(gray).expand(-1, 3, -1, -1))[1].float()


class FeatureNet(Method):
    """Self-supervised; its product is a weight file for `medical_features`."""

    name = "medical-features"
    title = "Medical feature network"
    paper = "this project"
    paired = False
    kind = "segmentation"
    Options: ClassVar[type[FeatureNetOptions]] = FeatureNetOptions

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        self.net = SelfTaught(self.options.tissues)
        self.randomness = torch.Generator().manual_seed(seed)
        self._optimizer: Adam | None = None

    @property
    def divisor(self) -> int:
        return SelfTaught.divisor

    def networks(self) -> dict[str, nn.Module]:
        return {"E": self.net}

    def optimizers(self) -> dict[str, Optimizer]:
        if self._optimizer is None:
            self._optimizer = Adam(self.net.parameters(), self.options.learning_rate)
        return {"features": self._optimizer}

    def state(self) -> dict[str, Any]:
        return {"randomness": self.randomness.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.randomness.set_state(state["randomness"].cpu())

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        o = self.options
        pictures = torch.cat([middle(batch.gray).expand(-1, 3, -1, -1), batch.color])
        tissues = torch.cat([tissue_of(gray, o.tissues - 1) for gray in (middle(batch.gray), gray_of(batch.color))])
        hidden = self.hidden_cells(pictures)
        with engine.autocast():
            restored, logits = self.net(torch.where(hidden, 0.0, pictures))
        figures = {
            "E_restore": restoration_error(restored.float(), pictures, hidden),
            "E_tissue": functional.cross_entropy(logits.float(), tissues),
        }
        engine.backward(o.restore_weight * figures["E_restore"] + o.tissue_weight * figures["E_tissue"])
        engine.step(self.optimizers()["features"])
        return {name: float(value.detach()) for name, value in figures.items()}

    def hidden_cells(self, pictures: Tensor) -> Tensor:
        """(N, 1, H, W): True where a picture is hidden from the net."""
        n, _, h, w = pictures.shape
        cell = self.options.cell
        drawn = torch.rand((n, 1, -(-h // cell), -(-w // cell)), generator=self.randomness) < self.options.hidden
        cells = drawn.repeat_interleave(cell, 2).repeat_interleave(cell, 3)
        return cells[..., :h, :w].to(pictures.device)

    def generate(self, gray: Tensor) -> Tensor:
        with evaluating(self.net):
            return TissueTeller(self.net)(gray)

    def scores(self, batch: Batch) -> dict[str, float]:
        """Dice of each tissue class above 0, for validation."""
        tissues = tissue_of(middle(batch.gray), self.options.tissues - 1)
        return dice_scores(self.generate(batch.gray).argmax(1), tissues, self.options.tissues)

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        hidden = self.hidden_cells(batch.color)
        given = torch.where(hidden, 0.0, batch.color)
        with evaluating(self.net):
            return {"hidden": given, "restored": self.net(given)[0].float(), "picture": batch.color}

    def save(self, path: Path | str, *, overwrite: bool = False) -> Path:
        """The weight file that `medical_features` takes."""
        return save_medical_features(self.net.features, path, overwrite=overwrite)

    def inference_network(self) -> nn.Module:
        return fold(TissueTeller(self.net))

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        return fold(TissueTeller(SelfTaught(cls.Options.from_mapping(config["options"]).tissues)))


def restoration_error(restored: Tensor, pictures: Tensor, hidden: Tensor) -> Tensor:
    """Absolute error, the mean over the hidden pixels (over all where nothing is hidden)."""
    error = (restored - pictures).abs().mean(1, keepdim=True)
    return error[hidden].mean() if bool(hidden.any()) else error.mean()
