"""Feature spaces for distances between sets of pictures: which network there is on this computer.

Each is an `evaluation.frechet.Features`: a name for the report, and arrays in, arrays out. Without any weights the
evaluation falls back to colour statistics, which need none.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray

from ..errors import ModelError
from .features import FrozenFeatures
from .inception import InceptionPool3, inception_features
from .squeezenet import squeezenet_features


class PooledMaps:
    """The mean of one feature map of a frozen net over the picture."""

    def __init__(self, net: FrozenFeatures, name: str) -> None:
        self._net = net
        self.name = name

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        """(n, H, W, 3) codes to (n, channels)."""
        with torch.inference_mode():
            batch = torch.from_numpy(np.ascontiguousarray(pictures)).permute(0, 3, 1, 2).float()
            maps = self._net(batch)[self._net.layers[-1]]
            pooled: NDArray[np.float64] = maps.mean(dim=(2, 3)).double().numpy()
        return pooled


def squeezenet_pooled(weights: Path | str | None = None) -> PooledMaps:
    """SqueezeNet 1.1, mean of `fire9`: 512 numbers. Small and at hand, but its distance is no FID."""
    net = squeezenet_features(["fire9"], weights, input_range="codes")
    return PooledMaps(net, "SqueezeNet 1.1, mean of fire9")


def picture_features(
    weights: Path | str | None = None, *, download: bool = False
) -> InceptionPool3 | PooledMaps | None:
    """Inception-v3 if its weights are here (or may be fetched), else SqueezeNet's, else None.

    `weights`: a file of either network.
    """
    if weights is not None:
        if "squeezenet" in Path(weights).name.lower() or Path(weights).suffix.lower() == ".mat":
            return squeezenet_pooled(weights)
        return inception_features(weights)
    try:
        return inception_features(download=download)
    except ModelError:
        if download:
            raise
    try:
        return squeezenet_pooled()
    except ModelError:
        return None
