"""ICTEDE: colour transfer by combinations of three colours (He, Qi & Zaretzki 2015).

From the paper: a picture's look is carried by a combination of main colours; a target scheme of as many colours is
chosen, and the picture is moved to it. From Zeng 2020's use of it on gray slices: the scheme is the one closest to the
main colours of the reference, and pixels approach it "by linear transformation", one for the whole picture.

Our reading, as no code is published: main colours by expectation-maximisation of a mixture of three Gaussians, on
lightness in the slice and on CIELAB in the reference; both sorted by lightness and paired; the line lightness ->
CIELAB of least squares through the pairs, each weighted with its share of the slice. The paper's schemes for emotions
come from a printed guide and aren't here: the scheme is the reference's own, or the one given as an option.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ...errors import UsageError
from ...imaging.colorspaces import lab_to_rgb, rgb_to_lab
from ...options import Options, option
from ...progress import CancelToken, OnProgress
from ..base import Transfer, checked

Points = NDArray[np.float64]
_MOST_POINTS = 20_000
_NARROWEST = 1.0
"""Least variance of a main colour, in squared units of CIELAB: a flat background must not become a spike."""


def main_colors(
    points: Points, count: int, iterations: int, cancel: CancelToken | None = None
) -> tuple[Points, NDArray[np.float64]]:
    """Means (count, d) and shares of a mixture of Gaussians with diagonal covariance, darkest first.

    `points` (n, d) have lightness first. EM starts from equally filled ranges of lightness, so nothing is random.
    """
    points = points[:: -(-len(points) // _MOST_POINTS)]
    order = np.argsort(points[:, 0], kind="stable")
    means = np.array([part.mean(axis=0) for part in np.array_split(points[order], count)])
    variances = np.tile(np.maximum(points.var(axis=0), _NARROWEST), (count, 1))
    shares = np.full(count, 1 / count)
    for _ in range(iterations):
        if cancel:
            cancel.check()
        away = (points[:, None, :] - means) ** 2 / variances
        log = np.log(np.maximum(shares, 1e-12)) - 0.5 * (away + np.log(variances)).sum(axis=2)
        members = np.exp(log - log.max(axis=1, keepdims=True))
        members /= members.sum(axis=1, keepdims=True)
        mass = np.maximum(members.sum(axis=0), 1e-9)
        shares = mass / mass.sum()
        means = members.T @ points / mass[:, None]
        variances = np.maximum(members.T @ points**2 / mass[:, None] - means**2, _NARROWEST)
    order = np.argsort(means[:, 0], kind="stable")
    return means[order], shares[order]


def linear_map(main: NDArray[np.float64], shares: NDArray[np.float64], scheme: Points) -> tuple[Points, Points]:
    """Slope and offset (3,) of the line lightness -> CIELAB nearest to the pairs (main, scheme), weighted."""
    weights = shares / shares.sum()
    middle, center = weights @ main, weights @ scheme
    spread = float(weights @ (main - middle) ** 2)
    slope = (weights * (main - middle)) @ (scheme - center) / spread if spread > 1e-9 else np.zeros(3)
    return slope, center - slope * middle


@dataclass(frozen=True)
class ColorCombinationOptions(Options):
    """What the paper fixes or leaves to a person."""

    colors: int = option(3, "main colours, and colours of a scheme", least=2, most=8)
    iterations: int = option(50, "steps of expectation-maximisation", least=1, most=1000)
    scheme: tuple[int, ...] = option(
        (), "R, G, B of each colour of the scheme; none: the reference's", least=0, most=255
    )

    def check(self) -> None:
        if self.scheme and len(self.scheme) != 3 * self.colors:
            raise UsageError(f"Option 'scheme' has {len(self.scheme)} numbers; {self.colors} colours have three each.")


class ColorCombination(Transfer):
    """One linear map for the whole slice, towards three colours."""

    name = "ictede"
    title = "ICTEDE"
    paper = "He et al. 2015, Signal, Image and Video Processing 9(8)"
    Options = ColorCombinationOptions

    def transfer(
        self,
        gray: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        cancel: CancelToken | None = None,
        on_progress: OnProgress | None = None,
    ) -> NDArray[np.float32]:
        checked(gray, reference)
        count, iterations = self.options.colors, self.options.iterations
        lightness = rgb_to_lab(np.repeat(np.arange(256)[:, None], 3, axis=1))[:, 0]
        main, shares = main_colors(lightness[gray].reshape(-1, 1), count, iterations, cancel)
        if self.options.scheme:
            chosen = rgb_to_lab(np.array(self.options.scheme).reshape(count, 3))
            scheme = chosen[np.argsort(chosen[:, 0], kind="stable")]
        else:
            scheme, _ = main_colors(rgb_to_lab(reference).reshape(-1, 3), count, iterations, cancel)
        slope, offset = linear_map(main[:, 0], shares, scheme)
        table = lab_to_rgb(lightness[:, None] * slope + offset)
        return np.clip(table, 0, 255).astype(np.float32)[gray]
