"""DPST: deep photo style transfer (Luan, Paris, Shechtman & Bala 2017).

    L = alpha L_c(conv4_2) + Gamma sum_l beta_l L_s+(conv l_1) + lambda L_m                            (eq. 4)
    L_s+: Gram matrices of each segment by itself (eq. 3);  L_m = sum over R, G, B of V^T M V (eq. 2), M the matting
    Laplacian of the slice, V the colours in 0..1

As published: alpha 1, Gamma 100, beta 1/5 on conv1_1 to conv5_1, lambda 1e4, TV 1e-3 as in the code; two stages of 1000
iterations of L-BFGS, the first without L_m from noise, the second with it from the first. Segments: the paper's come
from a semantic network; a slice has k-means classes of intensity, as in Zeng 2020. Left out: the paper's optional
smoothing afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ...networks.vgg import VggFeatures, layer_names
from ...options import option
from ...progress import CancelToken, OnProgress
from ..zeng_losses import LayerMasks, content_loss, gram, masks_at, variation_loss
from ..zeng_objective import picture_array, picture_tensor
from .deep import PUBLISHED_STYLE, Codes, DeepOptions, DeepTransfer, class_maps, minimised
from .matting import matting_laplacian

Shares = Literal["class", "whole"]
"""What a class's Gram matrix is divided by: the pixels of the class (Luan), or of the picture (Penhouet)."""


def noise_like(gray: Codes, seed: int) -> Tensor:
    """N(0, 1) * 1e-4 around the mean colour of VGG's training pictures, as the published code starts."""
    mean = torch.tensor([123.68, 116.779, 103.939]).view(1, 3, 1, 1)
    noise = np.random.default_rng(seed).normal(0, 1e-4, (1, 3, *gray.shape)).astype(np.float32)
    return mean + torch.from_numpy(noise)


class PhotoObjective:
    """Eq. 4 for one slice and one reference at one size."""

    def __init__(
        self,
        features: VggFeatures,
        content: str,
        style: tuple[str, ...],
        gray: Codes,
        reference: Codes,
        classes: int,
        shares: Shares = "class",
    ) -> None:
        self.features, self.content, self.style = features, content, style
        own, theirs, count = class_maps(gray, reference, classes)
        with torch.no_grad():
            target = features(torch.from_numpy(gray.astype(np.float32)).expand(1, 3, -1, -1))
            model = features(picture_tensor(reference))
            self._target = target[content]
            self._masks = self._at(own, count, shares)
            masks = self._at(theirs, count, shares)
            self._grams = {name: gram(model[name], masks[name]) for name in style}
            # A class that the reference lacks has no style to give.
            self._present = {name: (masks[name].masks.mean(dim=(1, 2)) > 1e-4).float() for name in style}
        laplacian = matting_laplacian(gray / 255).tocoo()
        places = torch.from_numpy(np.stack([laplacian.row, laplacian.col]).astype(np.int64))
        self._laplacian = torch.sparse_coo_tensor(
            places, torch.from_numpy(laplacian.data), laplacian.shape, check_invariants=False
        ).coalesce()

    def _at(self, labels: Codes, count: int, shares: Shares) -> dict[str, LayerMasks]:
        found = masks_at(torch.from_numpy(labels), count, self.style, layer_names("vgg19"))
        if shares == "class":
            return found
        return {name: LayerMasks(one.masks, torch.ones_like(one.shares)) for name, one in found.items()}

    def maps(self, picture: Tensor) -> dict[str, Tensor]:
        found: dict[str, Tensor] = self.features(picture)
        return found

    def content_term(self, maps: dict[str, Tensor]) -> Tensor:
        """L_c (eq. 1 of Zeng 2020)."""
        return content_loss(maps[self.content], self._target)

    def style_term(self, maps: dict[str, Tensor]) -> Tensor:
        """The mean of L_s+ over the layers (beta_l = 1 / number of layers)."""
        total = torch.zeros(())
        for name in self.style:
            masks = self._masks[name]
            apart = gram(maps[name], masks) - self._grams[name]
            each = 0.5 * apart.square().mean(dim=(1, 2)) * masks.shares * self._present[name]
            total = total + each.sum()
        return total / len(self.style)

    def matting_term(self, picture: Tensor) -> Tensor:
        """L_m. In double precision: its entries are large and all but cancel."""
        colors = (picture[0] / 255).flatten(1).T.double()
        return (colors * torch.sparse.mm(self._laplacian, colors)).sum().float()


@dataclass(frozen=True)
class DeepPhotoStyleOptions(DeepOptions):
    """Weights by the paper's letters."""

    iterations: int = option(1000, "iterations with the matting Laplacian", least=0)
    start_iterations: int = option(1000, "iterations before, without it", least=0)
    start: Literal["noise", "slice"] = option("noise", "what the first stage starts from (paper: noise)")
    classes: int = option(4, "k-means classes of intensity that serve as segments", least=1, most=32)
    content: str = option("relu4_2", "layer of the content loss")
    style: tuple[str, ...] = option(PUBLISHED_STYLE, "layers of the style loss")
    alpha: float = option(1.0, "weight of the content loss", least=0)
    Gamma: float = option(100.0, "weight of the style loss", least=0)
    lambda_: float = option(1e4, "weight of the matting Laplacian", least=0)
    tv: float = option(1e-3, "weight of total variation", least=0)


class DeepPhotoStyle(DeepTransfer):
    """Style of each segment, with colours that are locally affine in the slice."""

    name = "dpst"
    title = "Deep photo style transfer"
    paper = "Luan et al. 2017, CVPR"
    Options = DeepPhotoStyleOptions

    def optimise(
        self, gray: Codes, reference: Codes, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> NDArray[np.float32]:
        options = self.options
        features, content, style = self.network(options.content, options.style)
        objective = PhotoObjective(features, content, style, gray, reference, options.classes)

        def first(picture: Tensor) -> Tensor:
            maps = objective.maps(picture)
            value = options.alpha * objective.content_term(maps) + options.Gamma * objective.style_term(maps)
            return value + options.tv * variation_loss(picture)

        def second(picture: Tensor) -> Tensor:
            return first(picture) + options.lambda_ * objective.matting_term(picture)

        if options.start == "noise":
            picture = noise_like(gray, options.seed)
        else:
            picture = torch.from_numpy(gray.astype(np.float32)).expand(1, 3, -1, -1)
        picture = minimised(first, picture, options.start_iterations, "style", on_progress, cancel)
        picture = minimised(second, picture, options.iterations, "photo", on_progress, cancel)
        return picture_array(picture)
