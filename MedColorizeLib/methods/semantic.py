"""The segmentation network S that ColorMedGAN fuses: where its weights come from, and what inference keeps of it.

Training S is the method `segmentation`; its architecture is in `networks.unet_seg`. An exported S is a bundle folder;
of that format only the two files that hold the network are read here (`bundles` is above this room).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load
from torch import nn

from ..errors import ModelError
from ..networks.fold import fold
from ..networks.unet_seg import SegmentationNet, UNetSeg
from .frozen_features import RANDOM
from .segmentation import Segmentation, SegmentationOptions

_ADVICE = (
    "Train one with the method 'segmentation', export it with `medcolorize export`, and give its folder; or set "
    "fusion = 'none'."
)


@dataclass(frozen=True)
class Semantic:
    """A frozen S, and what it takes to build it again."""

    network: SegmentationNet
    config: dict[str, Any]
    """S's own `inference_config`."""
    origin: str
    """For reports."""

    def as_built(self) -> SegmentationNet:
        """A copy for inference: folded, and without the layers that only the label map needs."""
        return _trimmed(fold(self.network))


def load_semantic(weights: str, width: int) -> Semantic:
    """S from an exported segmentation model (a folder), or with `random` weights for tests and benchmarks."""
    if weights == RANDOM:
        options = SegmentationOptions(widths=tuple(width * 2**level for level in range(5)))
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same features at every resume
            method = Segmentation(options)
        return Semantic(_frozen(method.s), method.inference_config(), "random (untrained)")
    if not weights:
        raise ModelError(f"segmentation_weights is empty, but fusion needs a trained segmentation network. {_ADVICE}")
    folder = Path(weights)
    try:
        facts = json.loads((folder / "metadata.json").read_text(encoding="utf-8"))["medcolorize"]
        config, expected = dict(facts["config"]), str(facts["sha256"])
        content = (folder / "model.safetensors").read_bytes()
    except OSError as error:
        raise ModelError(f"{error.filename or folder} can't be read: {error.strerror}. {_ADVICE}") from error
    except (ValueError, KeyError, TypeError) as error:
        raise ModelError(f"{folder}/metadata.json doesn't describe an exported model. {_ADVICE}") from error
    if hashlib.sha256(content).hexdigest() != expected:
        raise ModelError(f"{folder}/model.safetensors isn't the file its metadata names. Export the network again.")
    if config.get("method") != Segmentation.name or config.get("slices") != 1:
        raise ModelError(
            f"{folder} holds a model of the method {config.get('method')!r} for {config.get('slices')} slices; fusion "
            f"needs a segmentation network for single slices. {_ADVICE}"
        )
    network = _build(config)
    try:
        network.load_state_dict({key: value.float() for key, value in load(content).items()})
    except (RuntimeError, SafetensorError) as error:
        raise ModelError(f"{folder}/model.safetensors doesn't fit its metadata: {error}") from error
    return Semantic(_frozen(network), config, f"{folder.name}, SHA-256 {expected[:16]}")


def build_semantic(config: Mapping[str, Any]) -> SegmentationNet:
    """What `Semantic.as_built` gave, with weights still to come."""
    return _trimmed(_build(config))


def _build(config: Mapping[str, Any]) -> SegmentationNet:
    network = Segmentation.build_inference(config)
    if not isinstance(network, SegmentationNet) or min(network.feature_channels) == 0:
        raise ModelError("This segmentation network has no maps at half size to fuse. Choose a U-shaped one.")
    return network


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
