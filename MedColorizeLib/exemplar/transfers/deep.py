"""What the comparators that optimise a picture share: options, VGG-19 with as many layers as there are weights, masks.

Not for: their objectives (one file each).
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...errors import ModelError, UsageError
from ...imaging.clusters import tissue_classes
from ...imaging.colorspaces import luma_codes
from ...networks.feature_weights import asked_for
from ...networks.vgg import VggFeatures, layer_names, layers_in, vgg_features
from ...options import Options as BaseOptions
from ...options import option
from ...progress import CancelToken, OnProgress, Progress
from ..base import Transfer, checked
from ..zeng_objective import picture_array, picture_tensor

Codes = NDArray[np.uint8]
Evaluate = Callable[[Tensor], Tensor]
"""A picture (1, 3, H, W) in 0..255 to the value of an objective."""

PUBLISHED_STYLE = ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1")


@dataclass(frozen=True)
class DeepOptions(BaseOptions):
    """Options that every optimising comparator has."""

    weights_file: str = option(
        "",
        "file of VGG-19's weights; empty: torchvision's in the torch cache; download: fetched if not there; "
        "random: for tests",
    )
    size: int = option(224, "longer side of the picture that is optimised, pixels", least=32, most=2048)
    seed: int = option(0, "seed of what is random", least=0)


@dataclass
class Used:
    """What really ran, for a person to read."""

    notes: list[str] = field(default_factory=list)

    def add(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)


class DeepTransfer(Transfer):
    """Fits slice and reference into the working size, optimises, and brings the result back to the slice's size."""

    Options = DeepOptions

    def __init__(self, options: BaseOptions | None = None) -> None:
        super().__init__(options)
        self.used = Used()
        self._layers: list[str] = []

    def _reached(self) -> list[str]:
        if not self._layers:
            file, consent = asked_for(self.options.weights_file)
            self._layers = layers_in("vgg19", file, download=consent)
        return self._layers

    @abstractmethod
    def optimise(
        self, gray: Codes, reference: Codes, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> NDArray[np.float32]:
        """The picture (h, w, 3) of a slice and a reference of the working size."""

    def notes(self) -> tuple[str, ...]:
        return tuple(self.used.notes)

    def transfer(
        self, gray: Codes, reference: Codes, cancel: CancelToken | None = None, on_progress: OnProgress | None = None
    ) -> NDArray[np.float32]:
        checked(gray, reference)
        if cancel:
            cancel.check()
        small, picture = (limited(each, self.options.size) for each in (gray, reference))
        found = self.optimise(small, picture, on_progress, cancel)
        return np.clip(enlarged(found, (gray.shape[0], gray.shape[1])), 0, 255)

    def features(self, wanted: Sequence[str]) -> VggFeatures:
        """VGG-19 with those of the layers that its weights reach, in the units of the papers (pixels 0..255)."""
        weights = self.options.weights_file
        if weights == "random":
            net = VggFeatures("vgg19", wanted, input_range="codes", units="codes", convention="caffe")
            self.used.add("VGG-19 has random weights: only for tests.")
            return net
        reached = self._reached()
        kept = [layer for layer in wanted if layer in reached]
        if len(kept) < len(wanted):
            missing = ", ".join(layer for layer in wanted if layer not in reached)
            self.used.add(f"The weights of VGG-19 end at {reached[-1]}: without the style layers {missing}.")
        if not kept:
            raise ModelError(
                f"The weights of VGG-19 end at {reached[-1]}, before every layer asked for. Give the full weights."
            )
        return vgg_features("vgg19", kept, asked_for(weights)[0], input_range="codes", units="codes")

    def network(self, content: str, style: Sequence[str]) -> tuple[VggFeatures, str, tuple[str, ...]]:
        """The features, and of the layers asked for those that the weights reach: the content's, the style's."""
        content = self.content_layer(content)
        features = self.features(in_order([*style, content]))
        return features, content, tuple(name for name in style if name in features.layers)

    def content_layer(self, wanted: str) -> str:
        """The layer asked for, or the deepest one of its kind that the weights reach."""
        if self.options.weights_file == "random":
            return wanted
        reached = self._reached()
        if wanted in reached:
            return wanted
        deepest = [layer for layer in reached if layer.startswith("relu")][-1]
        self.used.add(f"The weights of VGG-19 end at {reached[-1]}: content is compared at {deepest}, not {wanted}.")
        return deepest


def in_order(layers: Sequence[str]) -> list[str]:
    """Layers in the order of the network."""
    order = layer_names("vgg19")
    for layer in layers:
        if layer not in order:
            raise UsageError(f"vgg19 has no layer {layer!r}. Its layers: {', '.join(order)}.")
    return sorted(set(layers), key=order.index)


def limited(picture: Codes, longest: int) -> Codes:
    """A gray or RGB picture whose longer side is `longest` at most, its proportions kept."""
    from PIL import Image

    scale = longest / max(picture.shape[:2])
    if scale >= 1:
        return picture
    rows, columns = (max(8, round(n * scale)) for n in picture.shape[:2])
    return np.asarray(Image.fromarray(picture).resize((columns, rows), Image.Resampling.LANCZOS))


def enlarged(picture: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """A result (h, w, 3) at another size, by bicubic interpolation."""
    if picture.shape[:2] == shape:
        return picture
    tensor = torch.nn.functional.interpolate(picture_tensor(picture), shape, mode="bicubic", align_corners=False)
    return picture_array(tensor)


def class_maps(gray: Codes, reference: Codes, classes: int) -> tuple[Codes, Codes, int]:
    """Label maps from 0 of both, k-means on intensity, darkest first, so that the same number means the same."""
    maps, counts = [], []
    for plane in (gray, luma_codes(reference)):
        cut = tissue_classes(plane, classes=classes)
        maps.append(cut.label(plane) - np.uint8(1))
        counts.append(cut.count)
    return maps[0], maps[1], max(counts)


def minimised(
    evaluate: Evaluate,
    start: Tensor,
    iterations: int,
    stage: str,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Tensor:
    """The picture after `iterations` of L-BFGS-B (scipy's, as in the papers' code), unbounded."""
    from scipy.optimize import minimize

    shape, done = start.shape, 0

    def value_and_gradient(flat: NDArray[np.float64]) -> tuple[float, NDArray[np.float64]]:
        if cancel:
            cancel.check()
        leaf = torch.from_numpy(flat.astype(np.float32)).view(shape).requires_grad_(True)
        value = evaluate(leaf)
        (gradient,) = torch.autograd.grad(value, leaf)
        return float(value.detach()), gradient.reshape(-1).double().numpy()

    def after(_: Any) -> None:
        nonlocal done
        done += 1
        if on_progress:
            on_progress(Progress(stage, done, iterations))

    found = minimize(
        value_and_gradient,
        start.reshape(-1).double().numpy(),
        jac=True,
        method="L-BFGS-B",
        callback=after,
        # Only the number of iterations ends it, as published.
        options={"maxiter": iterations, "maxfun": 20 * iterations, "ftol": 0.0, "gtol": 0.0},
    )
    return torch.from_numpy(found.x.astype(np.float32)).view(shape)
