"""Adaptive medical image deep color perception (Zeng et al. 2020): one slice, one reference, an optimisation.

Reads like the paper's algorithm 1: both pictures are resized (step 2), segmented by k-means (3), described by VGG-19
(4), the output is optimised (8-12), enlarged (13), and its U and V are joined to the Y of the target (14). Step 1, the
reference, is for `library`. Where this departs from the paper or its code, the place says so. Not for: volumes.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.clusters import TissueClasses, tissue_classes
from ..imaging.colorspaces import luma_codes
from ..networks.feature_weights import asked_for
from ..networks.vgg import VggFeatures, layers_in, vgg_features
from ..options import Options as TransferOptions
from ..options import option
from ..progress import CancelToken, OnProgress
from . import zeng_schedule, zeng_start
from .base import Transfer, checked
from .imaging_module import chroma_of, enlarged, smoothed, with_luma
from .pictures import fitted, resized
from .zeng_objective import Layers, Objective, Weights, picture_array, picture_tensor


@dataclass(frozen=True)
class ZengOptions(TransferOptions):
    """Every weight of the paper under its name, with the paper's value."""

    weights_file: str = option(
        "", "file of VGG-19's weights; empty: torchvision's in the torch cache; download: fetched if not there"
    )
    content_layer: str = option("relu4_2", "map of the content loss (eq. 1)")
    color_layers: tuple[str, ...] = option(
        ("relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"), "maps of the colour loss (eq. 11)"
    )
    swap_layers: tuple[str, ...] = option(("relu3_1", "relu4_1", "relu5_1"), "maps of local feature mapping (eq. 9)")
    alpha: float = option(1.0, "weight of the content loss (eq. 6)", least=0)
    lambda_y: float = option(1e5, "lambda of eq. 6, weight of the Y-loss; the paper's best is 1e4 * gamma", least=0)
    alpha_y: float = option(0.0, "share of the l1 norm in the Y-loss (eq. 7)", least=0, most=1)
    color_weight: float = option(1e2, "Gamma of eq. 6, weight of the colour loss", least=0)
    beta: float = option(1.0, "weight of each layer in the colour loss (eq. 6)", least=0)
    gamma: float = option(10.0, "weight of local feature mapping (eq. 6)", least=0)
    tv: float = option(1e-3, "weight of total variation (section V)", least=0)
    classes: int = option(4, "k of k-means: classes of the masks", least=1, most=16)
    size: int = option(224, "longest side of the optimised picture", least=32, most=1024)
    schedule: Literal["fast", "published"] = option("fast", "how the objective is minimised; see Docs/Exemplar.md")
    iterations: int = option(1000, "iterations of L-BFGS at most; published: in each of two stages", least=1)
    plateau: float = option(3e-3, "fast: end when ten iterations gain less than this share", least=0, most=0.5)
    smoothing: bool = option(True, "local affine smoothing and joint bilateral filter (section V)")
    radius: int = option(15, "radius of the joint bilateral filter in pixels", least=1, most=64)
    sigma: float = option(0.1, "range deviation of the joint bilateral filter, of a guide of 0..1", above=0)
    seed: int = option(0, "published: seed of the noise to start from", least=0)

    def check(self) -> None:
        if not self.color_layers:
            raise UsageError("Option 'color_layers' is empty: without the colour loss nothing gets a colour.")


class Zeng(Transfer):
    """The paper's colorization and imaging modules."""

    name = "zeng"
    title = "Adaptive deep colour perception"
    paper = "Zeng et al. 2020, IEEE Access 8:56559"
    Options = ZengOptions

    def __init__(self, options: TransferOptions | None = None) -> None:
        super().__init__(options)
        self.outcomes: list[zeng_schedule.Outcome] = []
        """How the last picture was optimised, stage by stage."""
        self._features: VggFeatures | None = None
        self._layers: Layers | None = None
        self._notes: tuple[str, ...] = ()

    def transfer(
        self,
        gray: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        cancel: CancelToken | None = None,
        on_progress: OnProgress | None = None,
    ) -> NDArray[np.float32]:
        """As `base.Transfer.transfer`; the result's luma is the slice's."""
        return self.transfer_from(gray, reference, None, None, cancel, on_progress)

    def transfer_from(
        self,
        gray: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        start: NDArray[np.float32] | None = None,
        classes: TissueClasses | None = None,
        cancel: CancelToken | None = None,
        on_progress: OnProgress | None = None,
    ) -> NDArray[np.float32]:
        """As `base.WarmTransfer.transfer_from`. The published schedule starts from noise, whatever is given."""
        checked(gray, reference)
        shape = self._working_shape(gray.shape[:2])
        small = resized(gray, shape)
        if classes is None:
            classes = tissue_classes(small, classes=self.options.classes)
        self.outcomes = []
        if self.options.schedule == "published":
            objective = self.objective(small, fitted(reference, shape), classes)
            noise = zeng_start.noise(shape, self.options.seed)
            self.outcomes += zeng_schedule.published(objective, noise, self.options.iterations, on_progress, cancel)
        else:
            self._fast(small, reference, start, classes, cancel, on_progress)
        chroma = chroma_of(picture_array(self.outcomes[-1].picture))
        if self.options.smoothing:
            chroma = smoothed(chroma, small, radius=self.options.radius, sigma=self.options.sigma, cancel=cancel)
        return with_luma(enlarged(chroma, gray.shape[:2]), gray)

    def _fast(
        self,
        small: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        start: NDArray[np.float32] | None,
        classes: TissueClasses,
        cancel: CancelToken | None,
        on_progress: OnProgress | None,
    ) -> None:
        """From the given colours, or those of the reference by rank of brightness, to the plateau."""
        style = fitted(reference, small.shape[:2])
        if start is None:
            labels, theirs = self._labels(small, style, classes)
            begin = zeng_start.ranked(small, labels, style, theirs, self.options.classes)
        else:
            begin = with_luma(enlarged(chroma_of(start), small.shape[:2]), small)
        outcome = zeng_schedule.minimise(
            self.objective(small, style, classes),
            picture_tensor(begin),
            iterations=self.options.iterations,
            coordinates=zeng_schedule.Coordinates.of_weight(self.options.lambda_y, small.size),
            plateau=self.options.plateau,
            title="objective",
            on_progress=on_progress,
            cancel=cancel,
        )
        self.outcomes.append(outcome)

    def objective(
        self, gray: NDArray[np.uint8], reference: NDArray[np.uint8], classes: TissueClasses | None = None
    ) -> Objective:
        """Eq. 6 for a slice and a reference of the same, working, size."""
        features, layers = self.features()
        options = self.options
        weights = Weights(
            alpha=options.alpha,
            lambda_y=options.lambda_y,
            alpha_y=options.alpha_y,
            color=options.color_weight,
            beta=options.beta,
            gamma=options.gamma,
            tv=options.tv,
        )
        labels, theirs = self._labels(gray, reference, classes or tissue_classes(gray, classes=options.classes))
        return Objective(features, layers, weights, gray, labels, reference, theirs, options.classes)

    def _labels(
        self, gray: NDArray[np.uint8], reference: NDArray[np.uint8], classes: TissueClasses
    ) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """The masks of both pictures, from 0 (darkest): k-means on gray levels, whose order says which go together."""
        theirs = luma_codes(reference)
        cut = tissue_classes(theirs, classes=self.options.classes)
        return classes.label(gray) - np.uint8(1), cut.label(theirs) - np.uint8(1)

    def _working_shape(self, shape: tuple[int, ...]) -> tuple[int, int]:
        """The paper's 224 x 224 for square slices; others keep their proportions instead of being squeezed."""
        scale = self.options.size / max(shape)
        return max(16, round(shape[0] * scale)), max(16, round(shape[1] * scale))

    def features(self) -> tuple[VggFeatures, Layers]:
        """The frozen net, loaded once, and the layers it is used at: the paper's, as far as the weights reach."""
        if self._features is None or self._layers is None:
            file, consent = asked_for(self.options.weights_file)
            self._layers, self._notes = reachable(self.options, layers_in("vgg19", file, download=consent))
            self._features = vgg_features("vgg19", self._layers.all, file, input_range="codes", units="codes")
        return self._features, self._layers

    def describe(self) -> dict[str, Any]:
        """For the provenance: options, the network's weights, the layers really used."""
        features, layers = self.features()
        options = self.options.to_mapping()
        del options["weights_file"]  # a path may name a person; the file's name and hash are told below
        used = {"content": layers.content, "color": list(layers.color), "swap": list(layers.swap)}
        return {"method": self.name, "method_options": options, "features": features.describe(), "layers_used": used}

    def notes(self) -> tuple[str, ...]:
        self.features()
        return self._notes


def reachable(options: ZengOptions, available: list[str]) -> tuple[Layers, tuple[str, ...]]:
    """The layers of the options that the weights reach, and what must be said about the others.

    A loss on several layers does without those that are absent; the content loss takes the deepest map there is.
    """
    deepest = [layer for layer in available if layer.startswith("relu")]
    color = tuple(layer for layer in options.color_layers if layer in available)
    swap = tuple(layer for layer in options.swap_layers if layer in available)
    if not deepest or not color:
        raise UsageError(f"The weights of VGG-19 reach none of the layers {', '.join(options.color_layers)}.")
    notes = []
    content = options.content_layer
    if content not in available:
        content = deepest[-1]
        notes.append(f"the content loss ran on {content} instead of {options.content_layer}")
    for what, wanted, got in (("colour", options.color_layers, color), ("mapping", options.swap_layers, swap)):
        absent = [layer for layer in wanted if layer not in got]
        if absent:
            notes.append(f"the {what} loss did without {', '.join(absent)}")
    if notes:
        notes = [f"The weights of VGG-19 end at {available[-1]}: {'; '.join(notes)}."]
    return Layers(content, color, swap), tuple(notes)
