"""ChromaGAN's generator and critic (Vitoria et al. 2020, section 3.3).

The generator shares VGG-16's first ten convolutions, then parts: a global branch gives the picture's classes and a
vector that is laid beside every pixel of the mid-level branch, from which the chrominance is decoded.
"""

from __future__ import annotations

from itertools import pairwise

import torch
from monai.networks.blocks import Convolution
from torch import Tensor, nn
from torch.nn import functional

from .features import IMAGENET_MEAN, IMAGENET_STD
from .vgg import feature_stack

RELU = ("RELU", {"inplace": True})
TRUNK = "relu4_3"


def _conv(inward: int, outward: int, stride: int = 1) -> Convolution:
    return Convolution(2, inward, outward, strides=stride, act=RELU, norm="BATCH")


def _trunk(width: int) -> nn.Sequential:
    """VGG-16 up to relu4_3 (its weights fit at width 64), or its like with fewer channels."""
    if width == 64:
        return feature_stack("vgg16", TRUNK)
    layers: list[nn.Module] = []
    channels = 3
    for module in feature_stack("vgg16", TRUNK):
        if isinstance(module, nn.Conv2d):
            outward = module.out_channels * width // 64
            layers.append(nn.Conv2d(channels, outward, 3, padding=1))
            channels = outward
        else:
            layers.append(module)
    return nn.Sequential(*layers)


class ChromaGenerator(nn.Module):
    """Gray (N, k, H, W) in [-1, 1] -> ab / 110 (N, 2, H, W) and class logits (N, classes); 171 M at width 64.

    The dense layers of the global branch see 7x7 cells: what a picture of 224 gives, and what others are averaged to.
    """

    divisor = 8

    mean: Tensor
    std: Tensor

    def __init__(self, in_channels: int = 1, *, classes: int = 1000, width: int = 64) -> None:
        super().__init__()
        w = width
        # VGG takes RGB: one slice is repeated, three slices are its channels, any other number is mixed to three.
        self.mix: nn.Module = nn.Identity() if in_channels in (1, 3) else nn.Conv2d(in_channels, 3, 1)
        self.trunk = _trunk(w)
        self.reduce = nn.Sequential(
            _conv(8 * w, 8 * w, 2), _conv(8 * w, 8 * w), _conv(8 * w, 8 * w, 2), _conv(8 * w, 8 * w)
        )
        flat = 8 * w * 49
        sizes = (flat, 16 * w, 8 * w, 4 * w)
        self.summary = nn.Sequential(*(layer for a, b in pairwise(sizes) for layer in (nn.Linear(a, b), nn.ReLU())))
        self.classify: nn.Module = nn.Sequential(
            nn.Linear(flat, 64 * w), nn.ReLU(), nn.Linear(64 * w, 64 * w), nn.ReLU(), nn.Linear(64 * w, classes)
        )
        self.middle = nn.Sequential(_conv(8 * w, 8 * w), _conv(8 * w, 4 * w))
        self.fuse = nn.Sequential(nn.Conv2d(8 * w, 4 * w, 1), nn.ReLU(inplace=True))
        self.decode = nn.ModuleList(
            [
                _decoder(4 * w, 2 * w),
                nn.Sequential(_decoder(2 * w, w), _decoder(w, w)),
                nn.Sequential(_decoder(w, w // 2), nn.Conv2d(w // 2, 2, 3, padding=1), nn.Tanh()),
            ]
        )
        self.register_buffer("mean", torch.tensor(IMAGENET_MEAN).view(1, 3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(IMAGENET_STD).view(1, 3, 1, 1), persistent=False)

    def forward(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        picture = self.mix(gray).expand(-1, 3, -1, -1) * 0.5 + 0.5
        shared = self.trunk((picture - self.mean) / self.std)
        flat = functional.adaptive_avg_pool2d(self.reduce(shared), 7).flatten(1)
        middle = self.middle(shared)
        summary = self.summary(flat)[:, :, None, None].expand(-1, -1, *middle.shape[-2:])
        value = self.fuse(torch.cat([middle, summary], 1))
        for stage in self.decode:
            value = functional.interpolate(stage(value), scale_factor=2.0, mode="nearest")
        return value, self.classify(flat)

    def ab(self, gray: Tensor) -> Tensor:
        """The chrominance alone."""
        chroma, _ = self(gray)
        return chroma

    def drop_classes(self) -> None:
        """Leave only what `ab` needs."""
        self.classify = nn.Identity()


def _decoder(inward: int, outward: int) -> nn.Sequential:
    return nn.Sequential(nn.Conv2d(inward, outward, 3, padding=1), nn.ReLU(inplace=True))


class ChromaCritic(nn.Module):
    """PatchGAN on Lab / its range, without any norm (a gradient penalty is per picture; batch norm would mix them)."""

    def __init__(self, in_channels: int = 3, *, width: int = 64) -> None:
        super().__init__()
        w = width
        layers: list[nn.Module] = []
        for inward, outward, stride in ((in_channels, w, 2), (w, 2 * w, 2), (2 * w, 4 * w, 2), (4 * w, 8 * w, 1)):
            # Not in place: the penalty differentiates the gradient.
            layers += [nn.Conv2d(inward, outward, 4, stride, padding=1), nn.LeakyReLU(0.2)]
        self.layers = nn.Sequential(*layers, nn.Conv2d(8 * w, 1, 4, padding=1))

    def forward(self, lab: Tensor) -> Tensor:
        return self.layers(lab)
