"""Small batches, small networks and a plain engine, for the tests of the unpaired methods."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.optim import Optimizer

from MedColorizeLib.methods.base import Batch, Method
from MedColorizeLib.methods.registry import load_method

SMALL: dict[str, dict[str, Any]] = {
    "cyclegan": {"width": 4, "discriminator_width": 4, "blocks": 1, "depth": 4},
    "liang": {"width": 4, "discriminator_width": 4, "blocks": 1, "features_weights": "random"},
    "colorcyclegan": {"width": 4, "discriminator_width": 4, "features_weights": "random"},
    "colormedgan": {
        "width": 4, "discriminator_width": 4, "features_weights": "random", "segmentation_weights": "random"
    },
}  # fmt: skip


class PlainEngine:
    """Single precision, one process, every batch a step; `frozen` steps change no weight."""

    def __init__(self, frozen: bool = False) -> None:
        self.accumulating = frozen

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()  # type: ignore[no-untyped-call]

    def step(self, optimizer: Optimizer) -> None:
        if not self.accumulating:
            optimizer.step()
            optimizer.zero_grad()


class HalfEngine(PlainEngine):
    """The same under bfloat16 autocast."""

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast("cpu", dtype=torch.bfloat16)


def batch_of(n: int = 1, slices: int = 1, height: int = 64, width: int = 64, seed: int = 0) -> Batch:
    """Random slices of both domains."""
    random = torch.Generator().manual_seed(seed)
    gray, color, luma = (torch.rand(n, c, height, width, generator=random) * 2 - 1 for c in (slices, 3, slices))
    return Batch(gray, color, luma)


def small(name: str, *, slices: int = 1, seed: int = 0, **options: Any) -> Method:
    """A method with narrow networks, the same at every call."""
    kind = load_method(name)
    torch.manual_seed(seed)
    return kind(kind.Options.from_mapping({**SMALL[name], **options}), slices=slices, seed=seed).train()


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    """Narrow networks are slower on several threads, above all on a busy machine."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)
