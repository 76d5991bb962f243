"""LPIPS (Zhang 2018, eq. 1) with SqueezeNet 1.1: how different two pictures look, judged on feature maps.

Needs two files that do not come with MedColorize: SqueezeNet's weights, and the small calibrated `squeeze.pth` that the
packages lpips and torchmetrics carry (where one of them is installed, it is found). A score, not a loss.
"""

from __future__ import annotations

import importlib.util
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..errors import ModelError
from .feature_weights import read_tensors
from .squeezenet import SqueezeNetFeatures, squeezenet_features

LAYERS = ("relu1", "fire3", "fire5", "fire6", "fire7", "fire8", "fire9")
CHANNELS = (64, 128, 256, 384, 384, 512, 512)
_CARRIERS = (("torchmetrics", "functional/image/lpips_models/squeeze.pth"), ("lpips", "weights/v0.1/squeeze.pth"))


class Lpips:
    """Distance of two pictures (H, W, 3) of codes: 0 for equal ones, about 0.1 to 0.7 for plainly different ones."""

    name = "LPIPS (SqueezeNet 1.1)"

    def __init__(self, net: SqueezeNetFeatures, heads: list[Tensor]) -> None:
        self._net = net
        self._heads = heads

    def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
        pair = torch.from_numpy(np.stack([first, second])).permute(0, 3, 1, 2).float()
        with torch.inference_mode():
            maps = self._net(pair)
            total = 0.0
            for layer, head in zip(LAYERS, self._heads, strict=True):
                unit = maps[layer] / (maps[layer].norm(dim=1, keepdim=True) + 1e-10)
                total += float(((unit[0] - unit[1]) ** 2 * head.view(-1, 1, 1)).sum(dim=0).mean())
        return total


def lpips(weights: Path | str | None = None, heads: Path | str | None = None) -> Lpips:
    """The metric, from given files or those on this computer; `ModelError` says what is missing."""
    path = Path(heads) if heads is not None else _carried()
    if path is None or not path.is_file():
        raise ModelError(
            "LPIPS needs its calibrated weights (squeeze.pth). Install torchmetrics or lpips, or give the file."
        )
    tensors, _ = read_tensors(path)
    found = [
        torch.as_tensor(tensors[name]).float().flatten()
        for name in (f"lin{n}.model.1.weight" for n in range(len(LAYERS)))
        if name in tensors
    ]
    if tuple(len(head) for head in found) != CHANNELS:
        raise ModelError(f"{path} isn't LPIPS for SqueezeNet: its heads don't fit {CHANNELS} channels.")
    return Lpips(squeezenet_features(LAYERS, weights, input_range="codes"), found)


def _carried() -> Path | None:
    """The calibrated weights inside an installed package, without importing it."""
    for package, inside in _CARRIERS:
        spec = importlib.util.find_spec(package)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            if (Path(folder) / inside).is_file():
                return Path(folder) / inside
    return None
