"""Which frozen network gives a method its perceptual distances, and the sentence that says so.

The networks themselves, and the finding of their weight files, are in `networks`.
"""

from __future__ import annotations

from typing import Any, Literal

import torch

from ..errors import ModelError
from ..networks.feature_net import MedicalFeatures, medical_features
from ..networks.feature_weights import DOWNLOAD, asked_for
from ..networks.features import FrozenFeatures
from ..networks.vgg import VggFeatures, vgg_features

FeatureNetwork = Literal["vgg16", "vgg19", "medical"]
RANDOM = "random"


def feature_network(name: FeatureNetwork, layer: str, weights: str, *, normalise: bool = True) -> FrozenFeatures:
    """Frozen, up to `layer` and no further. `weights`: a file; empty: the user's torch cache; `download`; `random`.

    `medical` is the self-trained net for where no ImageNet weights may be had; it has no published file.
    """
    if weights == RANDOM:
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)  # the same features at every resume
            if name == "medical":
                return MedicalFeatures([layer], normalise=normalise)
            return VggFeatures(name, [layer], normalise=normalise)
    if name == "medical":
        if weights in ("", DOWNLOAD):
            raise ModelError(
                "features = 'medical' needs features_weights: the file of a feature net that you trained with the "
                "method 'medical-features'."
            )
        return medical_features([layer], weights, normalise=normalise)
    file, consent = asked_for(weights)
    return vgg_features(name, [layer], file, normalise=normalise, download=consent)


def say_features(network: Any) -> str:
    """For reports: which network, which layer, which weights."""
    facts = network.describe()
    shown = ", ".join(f"{key} {value}" for key, value in facts.items() if key not in ("convention", "units"))
    return f"perceptual features: {shown}"
