"""SqueezeNet 1.1 (Iandola 2016) features with torchvision's parameter names: a small frozen feature net.

The middle maps are named as in its paper: `relu1`, `fire2` ... `fire9`, and `pool1`, `pool3`, `pool5`.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import ModelError, UsageError
from ..progress import CancelToken, OnProgress
from .feature_weights import find_weights, read_tensors
from .features import CAFFE_UNIT, FrozenFeatures, InputRange

LAYERS = (
    "conv1",
    "relu1",
    "pool1",
    "fire2",
    "fire3",
    "pool3",
    "fire4",
    "fire5",
    "pool5",
    "fire6",
    "fire7",
    "fire8",
    "fire9",
)
_FIRES = {
    "fire2": (64, 16, 64),
    "fire3": (128, 16, 64),
    "fire4": (128, 32, 128),
    "fire5": (256, 32, 128),
    "fire6": (256, 48, 192),
    "fire7": (384, 48, 192),
    "fire8": (384, 64, 256),
    "fire9": (512, 64, 256),
}


class Fire(nn.Module):
    """Squeeze to few channels, then expand by 1x1 and 3x3 side by side."""

    def __init__(self, inward: int, squeezed: int, expanded: int) -> None:
        super().__init__()
        self.squeeze = nn.Conv2d(inward, squeezed, 1)
        self.expand1x1 = nn.Conv2d(squeezed, expanded, 1)
        self.expand3x3 = nn.Conv2d(squeezed, expanded, 3, padding=1)

    def forward(self, value: Tensor) -> Tensor:
        squeezed = torch.relu(self.squeeze(value))
        return torch.cat([torch.relu(self.expand1x1(squeezed)), torch.relu(self.expand3x3(squeezed))], 1)


class SqueezeNetFeatures(FrozenFeatures):
    """Feature maps of SqueezeNet 1.1; see `squeezenet_features`."""

    def __init__(self, layers: Sequence[str], **convention: Any) -> None:
        super().__init__(layers, **convention)
        for layer in layers:
            if layer not in LAYERS:
                raise UsageError(f"SqueezeNet 1.1 has no layer {layer!r}. Its layers: {', '.join(LAYERS)}.")
        self._names = LAYERS[: max(LAYERS.index(layer) for layer in layers) + 1]
        modules: list[nn.Module] = []
        for name in self._names:
            if name == "conv1":
                modules.append(nn.Conv2d(3, 64, 3, stride=2))
            elif name == "relu1":
                modules.append(nn.ReLU())
            elif name.startswith("pool"):
                modules.append(nn.MaxPool2d(3, 2, ceil_mode=True))
            else:
                modules.append(Fire(*_FIRES[name]))
        self.features = nn.Sequential(*modules)
        self.source = {"network": "squeezenet1_1", "origin": "random (untrained)"}
        self.freeze()

    def maps(self, prepared: Tensor) -> dict[str, Tensor]:
        if min(prepared.shape[-2:]) < 17:
            raise UsageError("SqueezeNet 1.1 needs images of at least 17 pixels a side.")
        found: dict[str, Tensor] = {}
        value = prepared
        for name, module in zip(self._names, self.features, strict=True):
            value = module(value)
            found[name] = value
        return {name: found[name] for name in self.layers}


def squeezenet_features(
    layers: Sequence[str],
    weights: Path | str | None = None,
    *,
    input_range: InputRange = "signed",
    normalise: bool = True,
    units: Literal["std", "codes"] = "std",
    download: bool = False,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> SqueezeNetFeatures:
    """A frozen SqueezeNet 1.1 that gives the maps of `layers`; parameters as in `vgg_features`."""
    file = find_weights("squeezenet1_1", weights, download=download, on_progress=on_progress, cancel=cancel)
    tensors, convention = read_tensors(file.path)
    net = SqueezeNetFeatures(layers, input_range=input_range, normalise=normalise, units=units, convention=convention)
    if convention == "caffe":
        tensors = _from_matlab(tensors)
    wanted = net.features.state_dict()
    missing = [key for key in wanted if f"features.{key}" not in tensors]
    if missing:
        raise ModelError(f"{file.path} isn't SqueezeNet 1.1: it has no features.{missing[0]}.")
    try:
        net.features.load_state_dict({key: tensors[f"features.{key}"] for key in wanted})
    except RuntimeError as error:
        raise ModelError(f"{file.path} doesn't hold the weights of SqueezeNet 1.1: {error}") from error
    net.source = file.describe()
    return net


def _from_matlab(cells: dict[str, Any]) -> dict[str, Tensor]:
    """Cells `fire2/squeeze1x1` = {weights HWIO, bias} as torchvision's names, for RGB in units of one deviation."""
    found: dict[str, Tensor] = {}
    for name, cell in cells.items():
        weight, bias = (torch.as_tensor(part).float() for part in cell[0])
        weight = weight.permute(3, 2, 0, 1).contiguous()
        layer, _, part = name.partition("/")
        if layer not in LAYERS:
            continue
        key = f"features.{LAYERS.index(layer)}" + (
            f".{part.removesuffix('1x1') if 'squeeze' in part else part}" if part else ""
        )
        found[f"{key}.weight"] = weight.flip(1) if layer == "conv1" else weight
        found[f"{key}.bias"] = bias.flatten() / CAFFE_UNIT
    return found
