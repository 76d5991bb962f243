"""How a training step touches the hardware: Lightning Fabric for devices, precision and processes.

Networks stay unwrapped; with several processes (started by torchrun) the gradients of an optimizer's parameters are
averaged just before its step. Not for: the order of training (`loop`).
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from contextlib import AbstractContextManager
from typing import Any, Literal

import torch
from lightning_fabric import Fabric
from torch import Tensor
from torch.optim import Optimizer

from ..errors import ResourceError

Device = Literal["auto", "cpu", "cuda"]


def make_fabric(device: Device = "auto", precision: str = "fp32") -> Fabric:
    """One process, or as many as torchrun started."""
    if device == "cuda" and not torch.cuda.is_available():
        raise ResourceError("There is no usable CUDA device. Use --device auto or --device cpu.")
    accelerator = "cuda" if device != "cpu" and torch.cuda.is_available() else "cpu"
    world = int(os.environ.get("WORLD_SIZE", "1"))
    mixed: Any = "bf16-mixed" if precision == "bf16" else "32-true"
    if world > 1:
        local = int(os.environ.get("LOCAL_WORLD_SIZE", world))
        fabric = Fabric(
            accelerator=accelerator, strategy="ddp", devices=local, num_nodes=max(1, world // local), precision=mixed
        )
    else:
        fabric = Fabric(accelerator=accelerator, devices=1, precision=mixed)
    fabric.launch()
    return fabric


class FabricEngine:
    """What `Method.step` is given (see `methods.base.Engine`)."""

    def __init__(self, fabric: Fabric, accumulate: int = 1) -> None:
        self.fabric, self.accumulate = fabric, accumulate
        self.accumulating = False

    def autocast(self) -> AbstractContextManager[Any]:
        """Mixed precision, if the recipe asks for it."""
        return self.fabric.autocast()

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of `loss`, divided by the number of accumulated batches."""
        self.fabric.backward(loss / self.accumulate if self.accumulate > 1 else loss)

    def step(self, optimizer: Optimizer) -> None:
        """Unless accumulating: average over the processes, update, clear."""
        if self.accumulating:
            return
        self._average(optimizer)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)

    def _average(self, optimizer: Optimizer) -> None:
        if self.fabric.world_size == 1:
            return
        gradients = [p.grad for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if not gradients:
            return
        flat = torch.cat([gradient.reshape(-1).float() for gradient in gradients])
        flat = self.fabric.all_reduce(flat, reduce_op="mean")  # type: ignore[assignment]
        start = 0
        for gradient in gradients:
            gradient.copy_(flat[start : start + gradient.numel()].view_as(gradient))
            start += gradient.numel()

    def agree(self, figures: Mapping[str, float], stop: bool) -> tuple[dict[str, float], bool]:
        """The figures' means over all processes, and whether any of them wants to stop: so that all do the same."""
        if self.fabric.world_size == 1:
            return dict(figures), stop
        names = sorted(figures)
        values = torch.tensor([*(figures[name] for name in names), float(stop)], dtype=torch.float64)
        mean: Any = self.fabric.all_reduce(values.to(self.fabric.device), reduce_op="mean")
        return dict(zip(names, mean[:-1].tolist(), strict=True)), bool(mean[-1] > 0)
