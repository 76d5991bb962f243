"""3x3 convolutions by Winograd's minimal filtering F(2x2, 3x3) (Lavin & Gray 2016): 4 multiplications where 9 were.

oneDNN, which computes PyTorch's convolutions on processors, has no such kernel for float32. With many channels the
matrix products outweigh the transforms; the rounding error is no larger than the direct form's. Not for: training, GPUs
(cuDNN chooses for itself) or half precision: there, and where it wouldn't pay, the layer is a plain convolution.
"""

from __future__ import annotations

from typing import Any, Self

import torch
from torch import Tensor, nn
from torch.nn import functional

CHANNELS = 256
"""Fewest channels in and out for which it pays (measured by Testing/Benchmarks/fold_speed.py)."""
VALUES = 512 * 64 * 64
"""Largest input, in values per image: the transformed input is four times as large, and then leaves the cache."""

_INPUT = torch.tensor([[1.0, 0, -1, 0], [0, 1, 1, 0], [0, -1, 1, 0], [0, 1, 0, -1]])
_KERNEL = torch.tensor([[1.0, 0, 0], [0.5, 0.5, 0.5], [0.5, -0.5, 0.5], [0, 0, 1]])
_OUTPUT = torch.tensor([[1.0, 1, 1, 0], [0, 1, -1, -1]])


class WinogradConv2d(nn.Conv2d):
    """A frozen `Conv2d` (3x3, stride 1, padding 1) with the same parameters and results."""

    _transformed: Tensor | None = None
    _of: int = 0

    @staticmethod
    def suits(module: nn.Module) -> bool:
        """Whether `module` is a convolution that may be computed this way, and large enough to gain by it."""
        return (
            type(module) is nn.Conv2d
            and module.kernel_size == (3, 3)
            and module.stride == module.dilation == (1, 1)
            and module.padding == (1, 1)
            and module.groups == 1
            and module.padding_mode in ("zeros", "reflect")
            and min(module.in_channels, module.out_channels) >= CHANNELS
        )

    @classmethod
    def of(cls, conv: nn.Conv2d) -> Self:
        """With the parameters of `conv` themselves, not copies."""
        made = cls.__new__(cls)
        made.__dict__.update({k: v.copy() if isinstance(v, dict) else v for k, v in conv.__dict__.items()})
        return made

    def kernels(self) -> Tensor:
        """(16, out, in): the transformed weight, kept from the first use on."""
        if self._transformed is None or self._of != self.weight.data_ptr():
            with torch.inference_mode(False), torch.no_grad():
                kernel = torch.kron(_KERNEL, _KERNEL).double()
                flat = self.weight.detach().double().flatten(2)
                self._transformed = (flat @ kernel.T).permute(2, 0, 1).to(self.weight.dtype).contiguous()
            self._of = self.weight.data_ptr()
        return self._transformed

    def _load_from_state_dict(self, *args: Any, **kwargs: Any) -> None:
        self._transformed = None
        super()._load_from_state_dict(*args, **kwargs)

    def forward(self, x: Tensor) -> Tensor:
        n, channels, height, width = x.shape
        pays = (
            x.device.type == "cpu"
            and x.dtype == self.weight.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
            and not (torch.is_grad_enabled() and (x.requires_grad or self.weight.requires_grad))
            and height % 2 == width % 2 == 0
            and channels * height * width <= VALUES
        )
        if not pays:
            return super().forward(x)
        mode = "constant" if self.padding_mode == "zeros" else self.padding_mode
        kernels = self.kernels()
        results = [self._one(functional.pad(image[None], (1, 1, 1, 1), mode=mode), kernels) for image in x]
        result = results[0] if n == 1 else torch.cat(results)
        return result if self.bias is None else result.add_(self.bias.view(-1, 1, 1))

    def _one(self, padded: Tensor, kernels: Tensor) -> Tensor:
        """One padded image: its overlapping 4x4 tiles, transformed, multiplied, transformed back to 2x2."""
        tiles = padded.unfold(2, 4, 2).unfold(3, 4, 2)
        _, channels, rows, columns, _, _ = tiles.shape
        flat = tiles.permute(4, 5, 1, 0, 2, 3).reshape(16, -1)
        products = torch.bmm(kernels, (torch.kron(_INPUT, _INPUT) @ flat).view(16, channels, rows * columns))
        output = torch.kron(_OUTPUT, _OUTPUT) @ products.view(16, -1)
        return output.view(2, 2, -1, rows, columns).permute(2, 3, 0, 4, 1).reshape(1, -1, 2 * rows, 2 * columns)
