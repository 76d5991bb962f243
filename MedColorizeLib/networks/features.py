"""What all frozen feature nets share: the input convention, staying frozen, saying what they are.

Perceptual losses compare feature maps of such nets; so do the exemplar method and the metrics that need features.
A net here is never trained (that is `feature_net.py`) and takes no part in a checkpoint.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal, get_args

import torch
from torch import Tensor, nn

from ..errors import ModelError, UsageError

InputRange = Literal["signed", "unit", "codes"]
"""What the images are in: `signed` [-1, 1] (generators with tanh), `unit` [0, 1], `codes` 0..255."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

# Caffe's models take BGR codes minus this mean (given here as RGB) and know no standard deviation. A ReLU net is
# homogeneous: dividing its input and its biases by one number divides all its maps by it, so these weights too can
# take images in units of a standard deviation, and loss weights mean much the same with either family of weights.
CAFFE_MEAN = (123.68 / 255, 116.779 / 255, 103.939 / 255)
CAFFE_STD = (0.225, 0.225, 0.225)
CAFFE_UNIT = 255 * 0.225
"""How many times larger the maps of a Caffe net are when it is fed codes (`units="codes"`)."""


class FrozenFeatures(nn.Module):
    """Images (B, 1 or 3, H, W) -> feature maps by layer name. Gradients reach the image, never the weights.

    Gray images are repeated thrice. `normalise=True` applies the mean and standard deviation that belong to the
    weights; `False` feeds the numbers as they come (ColorMedGAN's published code feeds [-1, 1] as it is).
    `units="codes"` gives maps the size they have in Caffe with 0..255 pixels (Zeng 2020's loss weights assume it).
    """

    mean: Tensor
    std: Tensor

    def __init__(
        self,
        layers: Sequence[str],
        *,
        input_range: InputRange = "signed",
        normalise: bool = True,
        units: Literal["std", "codes"] = "std",
        convention: str = "torchvision",
    ) -> None:
        super().__init__()
        if not layers:
            raise UsageError("A feature net needs at least one layer to give back.")
        if input_range not in get_args(InputRange):
            raise UsageError(f"input_range is one of {', '.join(get_args(InputRange))}, not {input_range!r}.")
        if convention not in ("torchvision", "caffe", "plain"):
            raise ModelError(f"These weights ask for an unknown input convention ({convention!r}).")
        self.layers = tuple(layers)
        self.input_range = input_range
        self.normalise = normalise
        self.units = units
        self.convention = convention
        self.source: dict[str, Any] = {"origin": "random (untrained)"}
        mean, std = {
            "torchvision": (IMAGENET_MEAN, IMAGENET_STD),
            "caffe": (CAFFE_MEAN, CAFFE_STD),
            "plain": ((0.5,) * 3, (0.5,) * 3),
        }[convention]
        self.register_buffer("mean", torch.tensor(mean).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(1, 3, 1, 1), persistent=False)

    def freeze(self) -> None:
        """No weight is ever trained, and no layer behaves as in training."""
        self.requires_grad_(False)
        self.train(False)

    def train(self, mode: bool = True) -> FrozenFeatures:
        """A frozen net stays as it is, whatever the networks around it do."""
        return super().train(False)

    def prepare(self, image: Tensor) -> Tensor:
        """The image in the convention of the weights."""
        if image.ndim != 4 or image.shape[1] not in (1, 3):
            raise UsageError(f"A feature net takes images (B, 1 or 3, H, W), not {tuple(image.shape)}.")
        if image.shape[1] == 1:
            image = image.expand(-1, 3, -1, -1)
        if not self.normalise:
            return image
        if self.input_range == "signed":
            image = image * 0.5 + 0.5
        elif self.input_range == "codes":
            image = image / 255
        return (image - self.mean) / self.std

    def maps(self, prepared: Tensor) -> dict[str, Tensor]:
        """The wanted maps of a prepared image."""
        raise NotImplementedError

    def forward(self, image: Tensor) -> dict[str, Tensor]:
        maps = self.maps(self.prepare(image))
        if self.units == "codes":
            return {name: value * CAFFE_UNIT for name, value in maps.items()}
        return maps

    def describe(self) -> dict[str, Any]:
        """Which network and which weights: for reports and model cards."""
        return {
            **self.source,
            "layers": list(self.layers),
            "convention": self.convention,
            "input_normalised": self.normalise,
            "units": self.units,
        }
