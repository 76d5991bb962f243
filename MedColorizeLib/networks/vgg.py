"""VGG-16 and VGG-19 (Simonyan & Zisserman 2015) with torchvision's parameter names, so that its files load.

torchvision itself isn't needed. `vgg_features` gives a frozen net that computes no further than the deepest layer
asked for; `VGG` is the whole classifier, whose ImageNet logits ChromaGAN's class branch learns from.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from ..errors import ModelError, UsageError
from ..progress import CancelToken, OnProgress
from .feature_weights import WeightFile, find_weights, read_tensors
from .features import CAFFE_UNIT, FrozenFeatures, InputRange

VggName = Literal["vgg16", "vgg19"]
DEPTHS: dict[str, tuple[int, ...]] = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
WIDTHS = (64, 128, 256, 512, 512)


def plan(name: str) -> Iterator[tuple[str, int, int]]:
    """(layer name, channels in, channels out) of each module of `features`, in order; 0 channels: no weights."""
    if name not in DEPTHS:
        raise UsageError(f"There is no {name!r} here. VGG nets: {', '.join(DEPTHS)}.")
    channels = 3
    for block, (depth, width) in enumerate(zip(DEPTHS[name], WIDTHS, strict=True), 1):
        for index in range(1, depth + 1):
            yield f"conv{block}_{index}", channels, width
            yield f"relu{block}_{index}", 0, 0
            channels = width
        yield f"pool{block}", 0, 0


def layer_names(name: str) -> list[str]:
    """conv1_1, relu1_1, ... pool5: a name's position is torchvision's index in `features`."""
    return [layer for layer, _, _ in plan(name)]


def feature_stack(name: str, deepest: str | None = None) -> nn.Sequential:
    """torchvision's `features` of this net, up to and with the layer `deepest`."""
    names = layer_names(name)
    if deepest is not None and deepest not in names:
        raise UsageError(f"{name} has no layer {deepest!r}. Its layers: {', '.join(names)}.")
    modules: list[nn.Module] = []
    for layer, inward, outward in plan(name):
        if inward:
            modules.append(nn.Conv2d(inward, outward, 3, padding=1))
        else:
            modules.append(nn.ReLU() if layer.startswith("relu") else nn.MaxPool2d(2, 2))
        if layer == deepest:
            break
    return nn.Sequential(*modules)


class VGG(nn.Module):
    """The whole classifier, as torchvision writes it: `features`, `classifier` and 1000 ImageNet logits."""

    def __init__(self, name: VggName = "vgg16", classes: int = 1000) -> None:
        super().__init__()
        self.features = feature_stack(name)
        self.avgpool = nn.AdaptiveAvgPool2d(7)
        self.classifier = nn.Sequential(
            nn.Linear(512 * 49, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, 4096), nn.ReLU(), nn.Dropout(),
            nn.Linear(4096, classes),
        )  # fmt: skip

    def forward(self, prepared: Tensor) -> Tensor:
        return self.classifier(self.avgpool(self.features(prepared)).flatten(1))


class VggFeatures(FrozenFeatures):
    """Feature maps of a VGG net; see `vgg_features`."""

    def __init__(self, name: VggName, layers: Sequence[str], **convention: Any) -> None:
        super().__init__(layers, **convention)
        names = layer_names(name)
        for layer in layers:
            if layer not in names:
                raise UsageError(f"{name} has no layer {layer!r}. Its layers: {', '.join(names)}.")
        deepest = max(layers, key=names.index)
        self.name = name
        self.features = feature_stack(name, deepest)
        self._names = names[: len(self.features)]
        for index, module in enumerate(self.features):
            # In place where nobody asked for the map before the ReLU: saves a third of the memory of a loss.
            if isinstance(module, nn.ReLU):
                module.inplace = self._names[index - 1] not in self.layers
        self.source = {"network": name, "origin": "random (untrained)"}
        self.freeze()

    def maps(self, prepared: Tensor) -> dict[str, Tensor]:
        halvings = sum(name.startswith("pool") for name in self._names)
        if min(prepared.shape[-2:]) < 2**halvings:
            raise UsageError(f"{self.layers} of {self.name} need images of at least {2**halvings} pixels a side.")
        found: dict[str, Tensor] = {}
        value = prepared
        for name, module in zip(self._names, self.features, strict=True):
            value = module(value)
            if name in self.layers:
                found[name] = value
        return {name: found[name] for name in self.layers}


def vgg_features(
    name: VggName,
    layers: Sequence[str],
    weights: Path | str | None = None,
    *,
    input_range: InputRange = "signed",
    normalise: bool = True,
    units: Literal["std", "codes"] = "std",
    download: bool = False,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> VggFeatures:
    """A frozen VGG that gives the maps of `layers` ("relu3_3", "conv4_2", "pool1", ...) as a dict.

    `weights`: a file; None: torchvision's file in the user's torch cache, or downloaded where `download` says so.
    Takes images as `input_range` says, and turns them into what the weights were trained with (`normalise`).
    """
    file = find_weights(name, weights, download=download, on_progress=on_progress, cancel=cancel)
    tensors, convention = read_tensors(file.path)
    net = VggFeatures(name, layers, input_range=input_range, normalise=normalise, units=units, convention=convention)
    _load(net.features, "features.", name, tensors, convention, file)
    net.source = file.describe()
    return net


def layers_in(name: VggName, weights: Path | str | None = None, *, download: bool = False) -> list[str]:
    """The layers a weight file reaches, from `conv1_1` on without a gap; parameters as in `vgg_features`.

    Whoever can do with fewer layers than a paper asks this first, and says so; `vgg_features` refuses.
    """
    tensors, convention = read_tensors(find_weights(name, weights, download=download).path)
    if convention == "caffe":
        tensors = _from_caffe(name, tensors)
    found: list[str] = []
    for index, (layer, inward, _) in enumerate(plan(name)):
        if inward and f"features.{index}.weight" not in tensors:
            break
        found.append(layer)
    return found


def vgg_classifier(weights: Path | str | None = None, name: VggName = "vgg16", *, download: bool = False) -> VGG:
    """The whole frozen classifier with its ImageNet weights (torchvision's file or one with the same names)."""
    file = find_weights(name, weights, download=download)
    tensors, convention = read_tensors(file.path)
    if convention != "torchvision" or "classifier.6.weight" not in tensors:
        raise ModelError(
            f"{file.path} holds no ImageNet classifier of {name}: only its feature layers. Give the whole file."
        )
    net = VGG(name, classes=len(tensors["classifier.6.weight"]))
    _load(net, "", name, tensors, convention, file)
    return net.requires_grad_(False).eval()


def _load(
    module: nn.Module, prefix: str, name: str, tensors: dict[str, Any], convention: str, file: WeightFile
) -> None:
    """Fill `module` (whose names start with `prefix` in the file); what the file has beyond it is left alone."""
    if convention == "caffe":
        tensors = _from_caffe(name, tensors)
    wanted = module.state_dict()
    missing = [key for key in wanted if prefix + key not in tensors]
    if missing:
        names = layer_names(name)
        layer = names[int(missing[0].split(".")[0])] if missing[0][0].isdigit() else missing[0]
        raise ModelError(
            f"{file.path} has no weights for {layer} of {name}. Ask for shallower layers, or give the full weights "
            f"of {name} (torchvision's file)."
        )
    try:
        module.load_state_dict({key: torch.as_tensor(tensors[prefix + key]) for key in wanted})
    except RuntimeError as error:
        raise ModelError(f"{file.path} doesn't hold the weights of {name}: {error}") from error


def _from_caffe(name: str, arrays: dict[str, Any]) -> dict[str, Tensor]:
    """conv1_1_w (OIHW, BGR), conv1_1_b ... as torchvision's names, for RGB in units of one standard deviation."""
    found: dict[str, Tensor] = {}
    for index, layer in enumerate(layer_names(name)):
        if f"{layer}_w" in arrays and f"{layer}_b" in arrays:
            weight = torch.as_tensor(arrays[f"{layer}_w"]).float()
            found[f"features.{index}.weight"] = weight.flip(1) if index == 0 else weight
            found[f"features.{index}.bias"] = torch.as_tensor(arrays[f"{layer}_b"]).float() / CAFFE_UNIT
    return found
