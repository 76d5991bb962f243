"""What every published system offers to the training loop, the bundles and the inference.

A method knows its networks, its losses and how one training step goes. It knows no files, no epochs, no devices and no
volumes: training calls `step`, bundles call `inference_network` and `inference_config`.
"""

from __future__ import annotations

import dataclasses
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import Any, ClassVar, Literal, Protocol, Self

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler

from ..errors import UsageError
from ..options import Options as MethodOptions
from ..options import option as option


@dataclass(frozen=True)
class Batch:
    """N slices of the gray domain and N of the colour domain; pictures are float in [-1, 1].

    Unpaired methods get two different slices, paired ones the same slice twice (`gray` is then `color_gray`).
    """

    gray: Tensor
    """(N, k, H, W): k neighbouring slices, the one to be coloured in the middle; 2D has k = 1."""
    color: Tensor
    """(N, 3, H, W): RGB."""
    color_gray: Tensor
    """(N, k, H, W): Rec.601 luma of `color` in the middle, of its neighbours around it."""
    labels: Tensor | None = None
    """(N, H, W) int64: label map of the middle gray slice."""
    color_labels: Tensor | None = None
    """(N, H, W) int64: label map of the colour slice."""
    mask: Tensor | None = None
    """(N, 1, H, W) in 0..1: foreground of the middle gray slice."""
    color_mask: Tensor | None = None
    """(N, 1, H, W) in 0..1: foreground of the colour slice."""
    color_stack: Tensor | None = None
    """(N, 3k, H, W): RGB of the slices of `color_gray`, one after the other; None in 2D."""
    label_stack: Tensor | None = None
    """(N, k, H, W) int64: label maps of the slices of `gray`; None in 2D."""

    def to(self, device: torch.device | str) -> Batch:
        """The same batch on another device."""
        tensors: dict[str, Any] = {f.name: getattr(self, f.name) for f in dataclasses.fields(self)}
        moved: dict[str, Any] = {k: None if v is None else v.to(device) for k, v in tensors.items()}
        return Batch(**moved)


def middle(slices: Tensor) -> Tensor:
    """(N, k, H, W) -> (N, 1, H, W): the slice that is to be coloured."""
    k = slices.shape[1] // 2
    return slices[:, k : k + 1]


class Engine(Protocol):
    """How a step touches the hardware; the training loop gives it.

    Networks are not wrapped: with several processes `step` averages the gradients of its optimizer's parameters.
    """

    accumulating: bool
    """True while gradients of several batches are summed: `step` then does nothing."""

    def autocast(self) -> AbstractContextManager[Any]:
        """Forward passes and losses run inside it."""
        ...

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss` (divided by the number of accumulated batches)."""
        ...

    def step(self, optimizer: Optimizer) -> None:
        """Unless accumulating: update the optimizer's parameters, then clear their gradients."""
        ...


class Method(ABC):
    """One published system. Made with its options, trained by `step`, used by `generate`.

    Weights are initialised from torch's global generator, so seed it before; later randomness (image pools) comes from
    generators of the method's own, made from `seed` and kept in `state`.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    paper: ClassVar[str]
    paired: ClassVar[bool]
    kind: ClassVar[Literal["color", "segmentation"]] = "color"
    every_mm: ClassVar[float] = 0.0
    """In volumes, slices so far apart are coloured and those around share the colour (`inference.steady`); 0: each."""
    Options: ClassVar[type[MethodOptions]]

    @classmethod
    def learns_from_pairs(cls, options: MethodOptions) -> bool:
        """Whether colour pictures alone teach it, each with its own luma: `paired`, unless options decide."""
        return cls.paired

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        if slices < 1 or slices % 2 == 0:
            raise UsageError(f"The number of slices is {slices}; it must be odd, so that one lies in the middle.")
        self.options: Any = self.Options() if options is None else options
        self.slices = slices
        self.seed = seed

    @property
    def divisor(self) -> int:
        """Heights and widths must be multiples of it (whoever calls pads)."""
        return 1

    @abstractmethod
    def networks(self) -> dict[str, nn.Module]:
        """The networks that are trained."""

    def frozen(self) -> dict[str, nn.Module]:
        """Networks that are used and never trained; checkpoints need not hold them.

        Where their weights come from is an option of the method whose name ends in `_weights`: a path (which a recipe
        may give relative to itself), or `random` for tests and benchmarks. `notes` says what was used.
        """
        return {}

    @abstractmethod
    def optimizers(self) -> dict[str, Optimizer]:
        """The same optimizer objects at every call; call it after moving to the device."""

    def schedulers(self, total_iterations: int) -> dict[str, LRScheduler]:
        """Learning-rate schedules over the whole run, to be stepped once after every optimizer step."""
        return {}

    @abstractmethod
    def step(self, batch: Batch, engine: Engine) -> dict[str, float]:
        """One training step of every network; the value of each loss term by name."""

    def state(self) -> dict[str, Any]:
        """What else an exact resume needs (pools, their generators): tensors and plain data in dicts and lists."""
        return {}

    def load_state(self, state: Mapping[str, Any]) -> None:  # noqa: B027 - nothing to restore by default
        """Undo `state`."""

    @abstractmethod
    def generate(self, gray: Tensor) -> Tensor:
        """(N, k, H, W) -> (N, 3, H, W) RGB in [-1, 1]; a segmentation method gives (N, C, H, W) logits instead."""

    @abstractmethod
    def inference_network(self) -> nn.Module:
        """A copy of what `generate` runs, as built for use: eval mode, norms folded, nothing only training needs."""

    def inference_config(self) -> dict[str, Any]:
        """Plain data from which `build_inference` makes a network that takes `inference_network().state_dict()`."""
        return {"method": self.name, "slices": self.slices, "options": self.options.to_mapping()}

    @classmethod
    @abstractmethod
    def build_inference(cls, config: Mapping[str, Any]) -> nn.Module:
        """See `inference_config`. Reads no file."""

    def samples(self, batch: Batch) -> dict[str, Tensor]:
        """Pictures for the sample sheet, by title: (N, 1 or 3, H, W) in [-1, 1]."""
        with torch.no_grad():
            return {"gray": middle(batch.gray), "generated": self.generate(batch.gray), "color": batch.color}

    def notes(self) -> list[str]:
        """What a report must say of this run, such as which feature network gave the perceptual loss."""
        return []

    def to(self, device: torch.device | str) -> Self:
        """Move every network."""
        for module in (*self.networks().values(), *self.frozen().values()):
            module.to(device)
        return self

    def train(self, mode: bool = True) -> Self:
        """Training or evaluation mode for the trained networks; frozen ones stay in evaluation mode."""
        for module in self.networks().values():
            module.train(mode)
        for module in self.frozen().values():
            module.eval()
        return self


@contextmanager
def without_gradient(*modules: nn.Module) -> Iterator[None]:
    """Hold the modules' parameters fixed: gradients pass through to their inputs, none is computed for them."""
    held = [parameter for module in modules for parameter in module.parameters() if parameter.requires_grad]
    for parameter in held:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in held:
            parameter.requires_grad_(True)


@contextmanager
def evaluating(*modules: nn.Module) -> Iterator[None]:
    """Evaluation mode and no gradients; afterwards each module is as it was."""
    was = [module.training for module in modules]
    for module in modules:
        module.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in zip(modules, was, strict=True):
            module.train(training)
