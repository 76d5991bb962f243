"""MRF-CNN: Markov random fields of neural patches (Li & Wand 2016).

    E(x) = sum over style layers of E_s + alpha_1 E_c + alpha_2 TV                                     (eq. 1)
    E_s  = sum over 3x3 patches i of |Psi_i(x) - Psi_NN(i)(reference)|^2                               (eq. 2)
    NN(i) = the reference's patch of the highest normalised cross-correlation                          (eq. 3)
    E_c  = |Phi(x) - Phi(slice)|^2                                                                     (eq. 4)

As published: relu3_1 and relu4_1 for style, relu4_2 for content, patches of 3x3, coarse to fine over three sizes with
100 iterations of L-BFGS each, from the slice, alpha_2 = 0.001. Ours: energies are means over what they compare, so that
alpha_1 means the same at every size; patches are matched anew every `rematch` iterations, not at each, so that L-BFGS
sees one function for a while. Left out: turned and scaled copies of the reference (off in the public code, too).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import interpolate, normalize, unfold

from ...networks.vgg import VggFeatures
from ...options import option
from ...progress import CancelToken, OnProgress
from ..zeng_losses import content_loss, variation_loss
from ..zeng_objective import picture_array, picture_tensor
from .deep import Codes, DeepOptions, DeepTransfer, limited, minimised

_LEAST = 32
"""No level is made smaller: a patch of relu4_1 spans 24 pixels and more."""
_CHUNK = 1024


def patches(maps: Tensor, side: int = 3) -> Tensor:
    """(n, C * side * side): every patch of a map (1, C, H, W), row by row."""
    return unfold(maps, side)[0].T


def best_matches(own: Tensor, theirs: Tensor) -> Tensor:
    """(n,) eq. 3: which of `theirs` each of `own` correlates with best, both (.., d)."""
    kernels = normalize(theirs, dim=1)
    # The norm of a patch of its own changes no argmax.
    return torch.cat([(part @ kernels.T).argmax(dim=1) for part in own.split(_CHUNK)])


class PatchObjective:
    """Eq. 1 at one size; `match` chooses the patches that E_s pulls towards."""

    def __init__(
        self, features: VggFeatures, content: str, style: tuple[str, ...], gray: Codes, reference: Codes
    ) -> None:
        self.features, self.content, self.style = features, content, style
        with torch.no_grad():
            maps = features(torch.from_numpy(gray.astype(np.float32)).expand(1, 3, -1, -1))
            self._target = maps[content]
            model = features(picture_tensor(reference))
            self._theirs = {name: patches(model[name]) for name in style}
        self._wanted: dict[str, Tensor] = {}

    def match(self, picture: Tensor) -> None:
        """Eq. 3 for the picture as it is."""
        with torch.no_grad():
            maps = self.features(picture)
            for name in self.style:
                found = best_matches(patches(maps[name]), self._theirs[name])
                self._wanted[name] = self._theirs[name][found]

    def __call__(self, picture: Tensor, alpha_1: float, alpha_2: float) -> Tensor:
        maps = self.features(picture)
        value = alpha_1 * content_loss(maps[self.content], self._target) + alpha_2 * variation_loss(picture)
        for name in self.style:
            value = value + 0.5 * (patches(maps[name]) - self._wanted[name]).square().mean()
        return value


@dataclass(frozen=True)
class MrfCnnOptions(DeepOptions):
    """Weights by the paper's letters."""

    iterations: int = option(100, "iterations of L-BFGS at each size", least=0)
    levels: int = option(3, "sizes, each twice the one before", least=1, most=6)
    rematch: int = option(25, "iterations between two matchings of patches", least=1)
    content: str = option("relu4_2", "layer of the content energy")
    style: tuple[str, ...] = option(("relu3_1", "relu4_1"), "layers whose patches are matched")
    alpha_1: float = option(1.0, "weight of the content energy", least=0)
    alpha_2: float = option(1e-3, "weight of total variation", least=0)


class MrfCnn(DeepTransfer):
    """Every neural patch becomes the reference's most like it."""

    name = "mrf-cnn"
    title = "MRF-CNN"
    paper = "Li & Wand 2016, CVPR"
    Options = MrfCnnOptions

    def optimise(
        self, gray: Codes, reference: Codes, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> NDArray[np.float32]:
        options = self.options
        features, content, style = self.network(options.content, options.style)
        picture: Tensor | None = None
        longest = max(gray.shape)
        for level in range(options.levels):
            side = longest >> (options.levels - 1 - level)
            small = limited(gray, side)
            if min(small.shape) < _LEAST and level < options.levels - 1:
                continue
            objective = PatchObjective(features, content, style, small, limited(reference, max(side, 2 * _LEAST)))
            if picture is None:
                picture = torch.from_numpy(small.astype(np.float32)).repeat(1, 3, 1, 1)
            else:
                picture = interpolate(picture, (small.shape[0], small.shape[1]), mode="bicubic", align_corners=False)
            for done in range(0, options.iterations, options.rematch):
                if cancel:
                    cancel.check()
                objective.match(picture)
                some = min(options.rematch, options.iterations - done)

                def value(candidate: Tensor, energy: PatchObjective = objective) -> Tensor:
                    return energy(candidate, options.alpha_1, options.alpha_2)

                picture = minimised(value, picture, some, f"patches {side}", on_progress, cancel)
        assert picture is not None
        return picture_array(picture)
