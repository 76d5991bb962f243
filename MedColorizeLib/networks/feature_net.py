"""A small feature net of one's own, trained on the user's medical images: for where no ImageNet weights may be had.

VGG's shape with half its channels and three levels (relu1_1 ... relu3_3), 0.44 M parameters. It is trained by
`methods/feature_net.py` to restore what was hidden from it and to tell tissue classes, without labels. Its weights
travel as safetensors that say what they are. Not ImageNet: distances in it are comparable only with themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn
from torch.nn import functional

from ..errors import ModelError, UsageError
from ..imaging.atomic import AtomicTarget
from .feature_weights import find_weights, read_tensors
from .features import FrozenFeatures, InputRange

DEPTHS = (2, 2, 3)
WIDTHS = (32, 64, 128)
LAYERS = tuple(
    name
    for block, depth in enumerate(DEPTHS, 1)
    for name in [*(f"{kind}{block}_{i}" for i in range(1, depth + 1) for kind in ("conv", "relu")), f"pool{block}"]
)[:-1]


def medical_stack(deepest: str = LAYERS[-1]) -> nn.Sequential:
    """The layers up to `deepest`, which are named as VGG's."""
    if deepest not in LAYERS:
        raise UsageError(f"The medical feature net has no layer {deepest!r}. Its layers: {', '.join(LAYERS)}.")
    modules: list[nn.Module] = []
    channels = 3
    for name in LAYERS[: LAYERS.index(deepest) + 1]:
        if name.startswith("conv"):
            width = WIDTHS[int(name[4]) - 1]
            modules.append(nn.Conv2d(channels, width, 3, padding=1))
            channels = width
        else:
            modules.append(nn.ReLU() if name.startswith("relu") else nn.MaxPool2d(2, 2))
    return nn.Sequential(*modules)


class SelfTaught(nn.Module):
    """The encoder with what only its training needs: a picture restored, and logits of tissue classes, at full size."""

    divisor = 4

    def __init__(self, tissues: int = 5) -> None:
        super().__init__()
        self.features = medical_stack()
        for module in self.features:
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias if module.bias is not None else torch.empty(0))
        wide, narrow, least = WIDTHS[2], WIDTHS[1], WIDTHS[0]
        self.up2 = nn.Sequential(nn.Conv2d(wide, narrow, 3, padding=1), nn.ReLU(inplace=True))
        self.up1 = nn.Sequential(nn.Conv2d(narrow, least, 3, padding=1), nn.ReLU(inplace=True))
        self.restore = nn.Conv2d(least, 3, 3, padding=1)
        self.tissue = nn.Conv2d(least, tissues, 3, padding=1)

    def forward(self, picture: Tensor) -> tuple[Tensor, Tensor]:
        # No skip connections: all that the decoder knows went through the deepest features.
        value = self.up2(functional.interpolate(self.features(picture), scale_factor=2.0, mode="nearest"))
        value = self.up1(functional.interpolate(value, scale_factor=2.0, mode="nearest"))
        return torch.tanh(self.restore(value)), self.tissue(value)


class MedicalFeatures(FrozenFeatures):
    """Feature maps of the self-trained net; see `medical_features`."""

    def __init__(self, layers: Sequence[str], **convention: Any) -> None:
        super().__init__(layers, convention="plain", **convention)
        for layer in layers:
            medical_stack(layer)
        self.features = medical_stack(max(layers, key=LAYERS.index))
        self.source = {"network": "medical", "origin": "random (untrained)"}
        self.freeze()

    def maps(self, prepared: Tensor) -> dict[str, Tensor]:
        if min(prepared.shape[-2:]) < 4:
            raise UsageError("The medical feature net needs images of at least 4 pixels a side.")
        found: dict[str, Tensor] = {}
        value = prepared
        for name, module in zip(LAYERS, self.features, strict=False):
            value = module(value)
            found[name] = value
        return {name: found[name] for name in self.layers}


def medical_features(
    layers: Sequence[str],
    weights: Path | str,
    *,
    input_range: InputRange = "signed",
    normalise: bool = True,
    units: Literal["std", "codes"] = "std",
) -> MedicalFeatures:
    """The frozen net that gives the maps of `layers` as a dict; `weights` is what `save_medical_features` wrote."""
    file = find_weights("medical", weights)
    tensors, convention = read_tensors(file.path)
    if convention != "plain":
        raise ModelError(
            f"{file.path} isn't a self-trained feature net (train one with the method 'medical-features')."
        )
    net = MedicalFeatures(layers, input_range=input_range, normalise=normalise, units=units)
    wanted = net.features.state_dict()
    try:
        net.features.load_state_dict({key: tensors[f"features.{key}"] for key in wanted})
    except (KeyError, RuntimeError) as error:
        raise ModelError(f"{file.path} doesn't hold the weights of the medical feature net: {error}") from error
    net.source = file.describe()
    return net


def save_medical_features(features: nn.Sequential, path: Path | str, *, overwrite: bool = False) -> Path:
    """Write the encoder as safetensors, with the input convention it was trained with."""
    from safetensors.torch import save_file

    tensors = {f"features.{key}": value.detach().cpu().contiguous() for key, value in features.state_dict().items()}
    with AtomicTarget(path, overwrite=overwrite) as target:
        save_file(tensors, target.temporary, metadata={"convention": "plain", "network": "medical"})
        return target.commit()
