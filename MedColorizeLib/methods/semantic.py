"""The segmentation network S that ColorMedGAN fuses: where its weights come from, and what inference keeps of it.

Training S is the method `segmentation`; its architecture is in `networks.unet_seg`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from ..errors import ModelError
from ..networks.fold import fold
from ..networks.unet_seg import SegmentationNet, UNetSeg, segmentation_net
from .frozen_features import RANDOM


@dataclass(frozen=True)
class Semantic:
    """A frozen S, and what it takes to build it again."""

    network: SegmentationNet
    architecture: dict[str, Any]
    """Plain data: the arguments of `segmentation_net`."""
    origin: str
    """For reports."""

    def as_built(self) -> SegmentationNet:
        """A copy for inference: folded, and without the layers that only the label map needs."""
        return _trimmed(fold(self.network))


def load_semantic(weights: str, width: int) -> Semantic:
    """S from an exported segmentation model (a folder), or with `random` weights for tests and benchmarks."""
    if weights == RANDOM:
        architecture: dict[str, Any] = {"name": "unet", "in_channels": 1, "classes": 5}
        architecture |= {"widths": [width * 2**level for level in range(5)], "norm": "batch"}
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same features at every resume
            network = segmentation_net(**architecture)
        return Semantic(_frozen(network), architecture, "random (untrained)")
    raise ModelError(
        f"segmentation_weights = {weights!r}: fusion needs a trained segmentation network. Train one with the method "
        "'segmentation' and export it, or set fusion = 'none'."
    )


def build_semantic(architecture: Mapping[str, Any]) -> SegmentationNet:
    """What `Semantic.as_built` gave, with weights still to come."""
    return _trimmed(fold(_frozen(segmentation_net(**architecture))))


def _frozen(network: SegmentationNet) -> SegmentationNet:
    return network.requires_grad_(False).eval()


def _trimmed(network: SegmentationNet) -> SegmentationNet:
    """Without the last stage of the way up and the label layer: `features` computes neither.

    Channels last: such a network is all convolutions once its batch norms are folded, and then a fifth faster.
    """
    if isinstance(network, UNetSeg):
        for owner, name in ((network.up, "0"), (network.merge, "0"), (network, "logits")):
            setattr(owner, name, nn.Identity())
        network.to(memory_format=torch.channels_last)  # type: ignore[call-overload]
    return network
