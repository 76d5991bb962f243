"""A network of torch as painters run it: a slice in, its colours out, on the device there is.

Imports torch when one is made. Not for: framing, or the networks that NumPy runs (`plain_net`).
"""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import ResourceError, UsageError

if TYPE_CHECKING:
    from torch import nn

_log = logging.getLogger(__name__)


class TorchNet:
    """(k, H, W) in -1..1 -> (3, H, W) in 0..255. One slice at a time: torch uses all cores for it."""

    ahead = 0
    """Slices to begin before they're wanted: none, it would only take the cores from this one."""

    def __init__(self, network: nn.Module, name: str, device: str = "auto", precision: str = "fp32") -> None:
        import torch

        from ..networks.precision import computes_bfloat16

        if device == "cuda" and not torch.cuda.is_available():
            raise ResourceError("There is no usable CUDA device. Use --device auto or --device cpu.")
        if precision not in ("fp32", "bf16"):
            raise UsageError(f"There is no precision '{precision}'. Choose fp32 or bf16.")
        self.notes: list[str] = []
        self._name = name
        self._device = torch.device("cuda" if device != "cpu" and torch.cuda.is_available() else "cpu")
        if precision == "bf16" and not computes_bfloat16(self._device):
            precision = "fp32"
            self._note("This processor has no bfloat16 arithmetic; the network runs in float32.")
        self.precision = precision
        self.network = network.eval().to(self._device)

    def __call__(self, stack: NDArray[np.float32]) -> NDArray[np.float32]:
        import torch

        tensor = torch.from_numpy(stack)[None]
        try:
            with torch.inference_mode(), torch.autocast(self._device.type, torch.bfloat16, self.precision == "bf16"):
                out = self.network(tensor.to(self._device))[0].float()
        except (torch.OutOfMemoryError, RuntimeError, MemoryError) as error:
            if isinstance(error, RuntimeError) and not _short_of_memory(error):
                raise
            if self._device.type == "cpu":
                raise out_of_memory(self._name, stack) from error
            self._note("The graphics memory gave out; the network goes on on the CPU, more slowly.")
            self._device = torch.device("cpu")
            self.network.to(self._device)
            return self(stack)
        return np.asarray(((out.clamp(-1, 1) + 1) * 127.5).cpu().numpy())

    def _note(self, text: str) -> None:
        self.notes.append(text)
        _log.warning(text)


def out_of_memory(name: str, stack: NDArray[np.float32]) -> ResourceError:
    """What a person is told when the processor's memory gives out."""
    return ResourceError(
        f"Memory gave out while '{name}' coloured a slice of {stack.shape[1]}x{stack.shape[2]}. Close other programs, "
        "or choose a smaller model."
    )


def _short_of_memory(error: Exception) -> bool:
    import torch

    text = str(error)
    named = isinstance(error, (torch.OutOfMemoryError, MemoryError))
    return named or "out of memory" in text or "not enough memory" in text or "can't allocate memory" in text
