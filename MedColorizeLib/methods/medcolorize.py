"""This project's own system: a 2.5D generator of chroma alone, taught by photographs, labels and neighbouring slices.

What it takes from the papers: unpaired adversarial learning against cryosections (CycleGAN), knowledge of tissue in the
generator (ColorMedGAN fuses a second network's features; here the tissue is an output of the same network, and the
colour a mixture of tissue colours), edges (here: no chroma edge without a luma edge). What none of them has:

 1. Chroma only, at half the resolution: luma is the scan's own, so all capacity goes into colour.
 2. True pairs, for nothing: a photograph and its own luma; a photograph and a contrast simulated from its colours.
 3. Scans with known tissue are taught the colour which that tissue has, at that luma, in the photographs.
 4. Matched tissue of neighbouring slices is held to the same colour, and slices of all three planes are shown.

    L = photograph L1(p) + simulated L1(s) + scan L1(t) + tissue CE(t) + consistency L1(matched) + bleeding B
        + adversarial LSGAN(chroma of scans | chroma of photographs)

Where the tissue of a scan is unknown only the last three terms act.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim import Adam, Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..imaging.tissues import tissue_colors
from ..losses.adversarial import Adversarial
from ..losses.tissue_color import balanced, bleeding, matched_tissue, relit, weighted_l1
from ..networks.chroma_net import WIDTHS, ChromaColoring, ChromaNet, chroma_of, luma_of
from ..networks.discriminators import PatchGAN
from ..networks.fold import fold
from . import contrast
from .base import Batch, Engine, Method, MethodOptions, evaluating, middle, option, without_gradient
from .schedules import make_schedule

TISSUES = (
    "white matter", "gray matter", "csf", "fat", "muscle", "bone", "vessels", "lung", "liver", "spleen", "kidney",
    "bowel", "heart", "cartilage",
)  # fmt: skip
"""What label maps of `data.tissues` number from 1 on. A tissue without a measured colour is never taught."""
_SAME_LUMA = 8 / 127.5
_OUTSIDE = 0.05
"""Weight of the places around the body: enough to keep them gray."""


@dataclass(frozen=True)
class MedColorizeOptions(MethodOptions):
    """Weights of the terms, and how far contrasts are varied."""

    widths: tuple[int, ...] = option(WIDTHS, "channels of each level, from half the resolution down", least=1)
    photograph: float = option(1.0, "weight: photographs coloured from their own luma", least=0)
    simulated: float = option(0.5, "weight: photographs coloured from simulated contrasts", least=0)
    scan: float = option(1.0, "weight: scans coloured as their tissue is in photographs (0: no scans)", least=0)
    balance: float = option(
        0.0, "how far rare tissues of scans weigh more: 0 not at all, 1 as much as common ones", least=0
    )
    tissue: float = option(0.02, "weight: cross entropy of the tissue of scans", least=0)
    consistency: float = option(0.5, "weight: same tissue, same colour in the next slice", least=0)
    bleeding: float = option(0.05, "weight: chroma edges where luma has none", least=0)
    adversarial: float = option(0.005, "weight: chroma of scans that looks like chroma of photographs", least=0)
    recontrast: float = option(0.4, "share of labelled scans shown in a simulated contrast", least=0, most=1)
    flat: float = option(0.15, "share of stacks that repeat their middle slice (thick slices)", least=0, most=1)
    strength: float = option(1.0, "how strongly gamma, bias field, blur and noise vary", least=0, most=1)
    learning_rate: float = option(1e-3, "Adam's step; it falls to 0 along a cosine", above=0)
    discriminator_width: int = option(16, "channels of the discriminator's first layer", least=1)


class MedColorize(Method):
    """Network and losses; every batch shows photographs twice and scans twice, less what has no weight."""

    name = "medcolorize"
    title = "MedColorize"
    paper = "this project"
    paired = False
    every_mm = 4.0
    Options: ClassVar[type[MedColorizeOptions]] = MedColorizeOptions

    @classmethod
    def learns_from_pairs(cls, options: MethodOptions) -> bool:
        return isinstance(options, MedColorizeOptions) and options.scan == 0

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        self.g = ChromaNet(slices, len(TISSUES) + 1, self.options.widths)
        self.d = PatchGAN(2, width=self.options.discriminator_width)
        self.gan = Adversarial("lsgan")
        self.table = tissue_table()
        self.known = self.table.isfinite().all(-1).all(-1)
        with torch.no_grad():  # mixtures begin with the measured colours, at middle luma
            self.g.colors.copy_(self.table[:, 128].nan_to_num())
        self.randomness = torch.Generator().manual_seed(seed)
        self._optimizers: dict[str, Optimizer] | None = None

    @property
    def divisor(self) -> int:
        return self.g.divisor

    def networks(self) -> dict[str, nn.Module]:
        return {"G": self.g, "D": self.d} if self._scans else {"G": self.g}

    @property
    def _scans(self) -> bool:
        return self.options.scan > 0

    def optimizers(self) -> dict[str, Optimizer]:
        if self._optimizers is None:
            rate = self.options.learning_rate
            self._optimizers = {"generator": Adam(self.g.parameters(), rate, (0.9, 0.99))}
            if self._scans:
                self._optimizers["discriminator"] = Adam(self.d.parameters(), 0.2 * rate, (0.5, 0.99))
        return self._optimizers

    def schedulers(self, total_iterations: int) -> dict[str, LRScheduler]:
        return {name: make_schedule("cosine", each, total_iterations) for name, each in self.optimizers().items()}

    def state(self) -> dict[str, Any]:
        return {"randomness": self.randomness.get_state()}

    def load_state(self, state: Mapping[str, Any]) -> None:
        self.randomness.set_state(state["randomness"].cpu())

    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        o = self.options
        shown = self.photographs(batch)
        if self._scans:
            shown += self.scans(batch)
        n = len(batch.color)
        with engine.autocast():
            chroma, logits = self.g(torch.cat([part.stack for part in shown]))
        chroma, logits = chroma.float(), logits.float()
        parts = chroma.split(n)
        figures = {
            "G_photograph": weighted_l1(parts[0], shown[0].target, shown[0].weight),
        }
        loss = o.photograph * figures["G_photograph"]
        if o.simulated:
            figures["G_simulated"] = weighted_l1(parts[1], shown[1].target, shown[1].weight)
            loss = loss + o.simulated * figures["G_simulated"]
        if self._scans:
            loss = loss + self._scan_terms(shown[-2], shown[-1], parts[-2], parts[-1], logits.split(n)[-2], figures)
            if o.adversarial:
                with without_gradient(self.d):
                    figures["G_adversarial"] = self.gan.generator(self.d(_seen(parts[-2])))
                loss = loss + o.adversarial * figures["G_adversarial"]
        engine.backward(loss)
        engine.step(self.optimizers()["generator"])
        if self._scans and o.adversarial:
            figures["D"] = self.gan.discriminator(self.d(_seen(shown[0].truth)), self.d(_seen(parts[-2].detach())))
            engine.backward(figures["D"])
            engine.step(self.optimizers()["discriminator"])
        return {name: float(value.detach()) for name, value in figures.items()}

    def _scan_terms(
        self, here: Shown, beside: Shown, chroma: Tensor, other: Tensor, logits: Tensor, figures: dict[str, Tensor]
    ) -> Tensor:
        o = self.options
        figures["G_scan"] = weighted_l1(chroma, here.target, here.weight)
        figures["G_consistency"] = matched_tissue(
            chroma, other, here.luma, beside.luma, here.inside * beside.inside, _SAME_LUMA
        )
        figures["G_bleeding"] = bleeding(chroma, here.luma)
        loss = o.scan * figures["G_scan"] + o.consistency * figures["G_consistency"]
        loss = loss + o.bleeding * figures["G_bleeding"]
        if here.tissue is not None:
            # Class 0 is "unknown" in the maps; the network's own class 0 is free for whatever has no name.
            figures["G_tissue"] = functional.cross_entropy(logits, here.tissue, ignore_index=0)
            if figures["G_tissue"].isfinite():  # no place of known tissue in the whole batch: nothing to learn
                loss = loss + o.tissue * figures["G_tissue"]
            else:
                figures["G_tissue"] = logits.new_zeros(())
        return loss

    def photographs(self, batch: Batch) -> list[Shown]:
        """The photographs from their own luma, and again from a simulated contrast unless that has no weight."""
        gray, mask = batch.color_gray, _mask(batch.color_mask, batch.color)
        truth, luma = chroma_of(batch.color), luma_of(batch.color)
        n, k, h, w = gray.shape
        if batch.color_stack is None:
            stacked = truth.repeat(1, k, 1, 1)
        else:
            stacked = chroma_of(batch.color_stack.reshape(n * k, 3, h, w)).reshape(n, 2 * k, h, w)
        stacks = [self._scanned(self._flattened(gray))]
        if self.options.simulated:
            simulated = self._flattened(contrast.of_photograph(gray, stacked, mask, self.randomness))
            stacks.append(self._scanned(torch.where(mask > 0.5, simulated, -1.0)))
        out = []
        for stack in stacks:
            target = relit(truth, luma, middle(stack)) * mask
            out.append(Shown.of(stack, target, mask, mask, truth * mask))
        return out

    def scans(self, batch: Batch) -> list[Shown]:
        """The scans twice: as they are (or in a simulated contrast), and moved on by one slice."""
        gray, mask = batch.gray, _mask(batch.mask, batch.gray)
        tissue = batch.labels
        if tissue is not None:
            stacks = batch.label_stack if batch.label_stack is not None else tissue[:, None].expand_as(gray)
            again = contrast.of_labels(gray, stacks, len(TISSUES), self.randomness)
            chosen = torch.rand((len(gray), 1, 1, 1), generator=self.randomness) < self.options.recontrast
            # Without a label there is no telling which colour a simulated contrast should have.
            chosen = chosen.to(gray.device) & ((tissue > 0).float().mean((1, 2)) > 0.05)[:, None, None, None]
            gray = torch.where(chosen & (mask > 0.5), again, gray)
        gray = self._scanned(self._flattened(gray))
        target, known = self.targets(tissue, middle(gray))
        if tissue is not None:
            known = balanced(tissue, known, self.options.balance)
        here = Shown.of(gray, target * mask, mask, known * mask, target, tissue)
        following = torch.cat((gray[:, 1:], gray[:, -1:]), 1)
        return [here, Shown.of(following, target, mask, known * mask, target)]

    def targets(self, tissue: Tensor | None, luma: Tensor) -> tuple[Tensor, Tensor]:
        """The chroma of each place's tissue at its luma, and where that is known."""
        if tissue is None:
            return luma.new_zeros(luma.shape[0], 2, *luma.shape[-2:]), torch.zeros_like(luma)
        self.table, self.known = self.table.to(luma.device), self.known.to(luma.device)
        number = torch.where(tissue < len(self.table), tissue, 0)
        code = ((luma[:, 0] + 1) * 127.5).round().clamp(0, 255).long()
        known = self.known[number] & (number > 0)
        target = self.table[number, code].nan_to_num()
        return target.permute(0, 3, 1, 2), known[:, None].to(luma.dtype)

    def _flattened(self, stack: Tensor) -> Tensor:
        """Some stacks with their middle slice in every place, as at a volume's end or between thick slices."""
        chosen = torch.rand((len(stack), 1, 1, 1), generator=self.randomness) < self.options.flat
        return torch.where(chosen.to(stack.device), middle(stack), stack)

    def _scanned(self, stack: Tensor) -> Tensor:
        if not self.options.strength:
            return stack
        varied = contrast.scanner(stack, self.randomness, self.options.strength)
        plain = torch.rand((len(stack), 1, 1, 1), generator=self.randomness) < 0.5
        return torch.where(plain.to(stack.device), stack, varied)

    def generate(self, gray: Tensor) -> Tensor:
        with evaluating(self.g):
            return ChromaColoring(self.g)(gray).clamp(-1, 1)

    def inference_network(self) -> nn.Module:
        return fold(ChromaColoring(self.g))

    @classmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        options = cls.Options.from_mapping(config["options"])
        return fold(ChromaColoring(ChromaNet(int(config["slices"]), len(TISSUES) + 1, options.widths)))

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        with torch.no_grad():
            return {
                "scan": middle(batch.gray),
                "coloured": self.generate(batch.gray),
                "photograph": batch.color,
                "from its luma": self.generate(batch.color_gray),
            }

    def notes(self) -> list[str]:
        taught = [name for name, known in zip(TISSUES, self.known[1:].tolist(), strict=True) if known]
        return [f"tissue colours measured in cryosections: {', '.join(taught)}"] if self._scans else []


@dataclass(frozen=True)
class Shown:
    """One picture of the batch as the network and the losses see it; all but `stack` at half the resolution."""

    stack: Tensor
    target: Tensor
    weight: Tensor
    luma: Tensor
    inside: Tensor
    truth: Tensor
    tissue: Tensor | None

    @classmethod
    def of(
        cls, stack: Tensor, target: Tensor, mask: Tensor, known: Tensor, truth: Tensor, tissue: Tensor | None = None
    ) -> Shown:
        """From full resolution. `known`: where the target is to be trusted; around the body it is gray."""
        inside, trusted = functional.avg_pool2d(mask, 2), functional.avg_pool2d(known, 2)
        weight = torch.where(inside == 0, torch.full_like(inside, _OUTSIDE), trusted)
        mean = functional.avg_pool2d(target * known, 2) / trusted.clamp(min=1e-3)
        return cls(
            stack,
            torch.where(trusted > 0, mean, 0.0),
            weight,
            functional.avg_pool2d(middle(stack), 2),
            (inside > 0.99).to(inside.dtype),
            functional.avg_pool2d(truth, 2),
            None if tissue is None else tissue[:, ::2, ::2].contiguous(),
        )


def _seen(chroma: Tensor) -> Tensor:
    """What D is shown: chroma of about unit size."""
    return 5.0 * chroma


def _mask(mask: Tensor | None, like: Tensor) -> Tensor:
    return torch.ones_like(like[:, :1]) if mask is None else mask.to(like.dtype)


def tissue_table() -> Tensor:
    """(tissues + 1, 256, 2): chroma by tissue number and luma code, as fractions of 127.5; nan where not measured."""
    colors = tissue_colors()
    codes = np.arange(256)
    table = np.full((len(TISSUES) + 1, 256, 2), np.nan, np.float32)
    for number, name in enumerate(TISSUES, 1):
        if name in colors:
            rgb = torch.from_numpy(colors[name].rgb(codes).astype(np.float32)).T[None, :, :, None] / 127.5 - 1
            table[number] = chroma_of(rgb)[0, :, :, 0].T.numpy()
    return torch.from_numpy(table)
