"""Whether a tissue's colour is that of the same tissue in photographs of a real body, at the tissue's own luma.

Luma is locked, so what can be compared is chroma at equal luma: the difference (CIEDE2000 at equal lightness) between a
voxel's colour and the colour that `imaging.tissues` gives its tissue at that luma. Not for: which voxels are which
tissue (labels or rules say that) or the table of tissue colours itself.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.colordiff import chroma_difference, lab
from ..imaging.colorspaces import luma_codes
from ..imaging.tissues import TissueColor

MOST_VOXELS = 100_000
LEAST_VOXELS = 200
"""A tissue of fewer voxels is left out."""
DARK = 8
"""Voxels of lower luma are black to the eye: they match anything, so they have no say."""


@dataclass(frozen=True)
class TissueMatch:
    """One tissue of one coloured volume."""

    voxels: int
    difference: float
    """Mean CIEDE2000 at equal lightness of its voxels to the photographs' colour of the tissue at their luma."""
    of_means: float
    """The same between the two mean colours: what is left when the tissue's own variation is averaged away."""
    in_range: float
    """Share of voxels whose luma the photographs show; for the others the reference is extrapolated."""
    mean_rgb: tuple[float, float, float]
    reference_rgb: tuple[float, float, float]

    def to_dict(self) -> dict[str, Any]:
        return {
            "voxels": self.voxels,
            "difference": self.difference,
            "of_means": self.of_means,
            "in_range": self.in_range,
            "mean_rgb": list(self.mean_rgb),
            "reference_rgb": list(self.reference_rgb),
        }


def match_tissue(rgb: NDArray[np.uint8], color: TissueColor) -> TissueMatch:
    """Voxels (n, 3) of one tissue against its colour in the photographs."""
    some = rgb[:: -(-len(rgb) // MOST_VOXELS)] if len(rgb) > MOST_VOXELS else rgb
    y = luma_codes(some)
    reference = color.rgb(np.arange(256))[y]
    own, wanted = lab(some)[:, 1:], lab(reference)[:, 1:]
    low, high = color.measured
    return TissueMatch(
        voxels=len(rgb),
        difference=float(chroma_difference(own, wanted).mean(dtype=np.float64)),
        of_means=float(chroma_difference(own.mean(axis=0), wanted.mean(axis=0))),
        in_range=float(np.mean((y >= np.floor(low)) & (y <= np.ceil(high)))),
        mean_rgb=_mean(some),
        reference_rgb=_mean(reference),
    )


def match_tissues(
    rgb: NDArray[np.uint8], tissues: NDArray[np.uint8], names: tuple[str, ...], colors: Mapping[str, TissueColor]
) -> dict[str, TissueMatch]:
    """Every tissue of a map (1 + position in `names`; 0: none), less its rim where it has an inside.

    A tissue's outermost voxels are mixed with its neighbours, so they say little about either.
    """
    from scipy import ndimage

    out = {}
    seen = luma_codes(rgb) >= DARK
    for number, name in enumerate(names, 1):
        mask = tissues == number
        inner = ndimage.binary_erosion(mask) & seen
        mask &= seen
        chosen = inner if np.count_nonzero(inner) >= LEAST_VOXELS else mask
        if np.count_nonzero(chosen) >= LEAST_VOXELS:
            out[name] = match_tissue(rgb[chosen], colors[name])
    return out


def _mean(rgb: NDArray[np.uint8]) -> tuple[float, float, float]:
    red, green, blue = rgb.mean(axis=0, dtype=np.float64)
    return float(red), float(green), float(blue)
