"""ADPST: automated deep photo style transfer (Penhouet & Sanzenbacher 2019).

Deep photo style transfer without a person: masks from a segmentation network, an aesthetic score beside the losses, and
a start from the content picture. As published: content 1, style 100 on conv1_1 to conv5_1 (1/5 each), matting
Laplacian 1e4, 4000 steps of Adam at a learning rate of 1, the best picture kept; a Gram matrix is divided by the pixels
of the picture, not of the segment.

Not published for scans, or not to be had here: PSPNet and its 150 kinds of everyday things, so the masks are k-means
classes of intensity; and NIMA, the aesthetic score (weight 1e5), which is left out.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from ...options import option
from ...progress import CancelToken, OnProgress, Progress
from ..zeng_objective import picture_array
from .deep import PUBLISHED_STYLE, Codes, DeepOptions, DeepTransfer
from .dpst import PhotoObjective


@dataclass(frozen=True)
class AutomatedDeepPhotoStyleOptions(DeepOptions):
    """Names and numbers of the published code."""

    iterations: int = option(4000, "steps of Adam", least=0)
    learning_rate: float = option(1.0, "learning rate of Adam, in codes", above=0)
    classes: int = option(4, "k-means classes of intensity that stand in for PSPNet's masks", least=1, most=32)
    content: str = option("relu4_2", "layer of the content loss")
    style: tuple[str, ...] = option(PUBLISHED_STYLE, "layers of the style loss")
    content_weight: float = option(1.0, "weight of the content loss", least=0)
    style_weight: float = option(100.0, "weight of the style loss", least=0)
    regularization_weight: float = option(1e4, "weight of the matting Laplacian", least=0)


class AutomatedDeepPhotoStyle(DeepTransfer):
    """Deep photo style with masks found automatically."""

    name = "adpst"
    title = "Automated deep photo style transfer"
    paper = "Penhouet & Sanzenbacher 2019, arXiv:1901.03915"
    Options = AutomatedDeepPhotoStyleOptions

    def optimise(
        self, gray: Codes, reference: Codes, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> NDArray[np.float32]:
        options = self.options
        self.used.add(
            "Masks are k-means classes of intensity: PSPNet isn't at hand. Without the aesthetic loss (NIMA)."
        )
        features, content, style = self.network(options.content, options.style)
        objective = PhotoObjective(features, content, style, gray, reference, options.classes, shares="whole")
        picture = torch.from_numpy(gray.astype(np.float32)).repeat(1, 3, 1, 1).requires_grad_(True)
        adam = torch.optim.Adam([picture], lr=options.learning_rate)
        least, best = math.inf, picture.detach().clone()
        for done in range(options.iterations):
            if cancel:
                cancel.check()
            maps = objective.maps(picture)
            # The published content loss has no 1/2.
            value = 2 * options.content_weight * objective.content_term(maps)
            value = value + options.style_weight * objective.style_term(maps)
            value = value + options.regularization_weight * objective.matting_term(picture)
            if float(value.detach()) < least:
                least, best = float(value.detach()), picture.detach().clone()
            adam.zero_grad()
            value.backward()
            adam.step()
            if on_progress:
                on_progress(Progress("photo", done + 1, options.iterations))
        return picture_array(best)
