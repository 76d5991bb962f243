"""What the supervised systems share: pairs of gray and colour, Adam per group of networks, a colour from `color`.

Not for: losses or networks, which each system's own file names.
"""

from __future__ import annotations

from abc import abstractmethod
from typing import Any

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from .base import Method, MethodOptions, evaluating


class PairedMethod(Method):
    """Base of Lohar, Tanjim & Liu's CNNs, Zhang and ChromaGAN."""

    paired = True

    def __init__(self, options: MethodOptions | None = None, *, slices: int = 1, seed: int = 0) -> None:
        super().__init__(options, slices=slices, seed=seed)
        # Own randomness (label noise, interpolation of critics), so that a resumed run repeats it.
        self.randomness = torch.Generator().manual_seed(seed)
        self._optimizers: dict[str, Optimizer] | None = None

    @abstractmethod
    def make_optimizers(self) -> dict[str, Optimizer]:
        """Called once, after the networks moved to their device."""

    @abstractmethod
    def color(self, gray: Tensor) -> Tensor:
        """(N, k, H, W) -> RGB (N, 3, H, W)."""

    def optimizers(self) -> dict[str, Optimizer]:
        if self._optimizers is None:
            self._optimizers = self.make_optimizers()
        return self._optimizers

    def generate(self, gray: Tensor) -> Tensor:
        with evaluating(*self.networks().values()):
            return self.color(gray).float().clamp(-1, 1)

    def state(self) -> dict[str, Any]:
        return {"randomness": self.randomness.get_state()}

    def load_state(self, state: Any) -> None:
        self.randomness.set_state(state["randomness"].cpu())

    def uniform(self, like: Tensor, *shape: int) -> Tensor:
        """Numbers of [0, 1) from the method's own generator, on the device of `like`."""
        return torch.rand(shape, generator=self.randomness).to(like.device)


class Decoded(nn.Module):
    """A network as built for use: its picture kept within [-1, 1]."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network = network

    def forward(self, gray: Tensor) -> Tensor:
        return self.network(gray).float().clamp(-1, 1)
