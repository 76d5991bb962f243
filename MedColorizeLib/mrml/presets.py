"""What volume rendering of coloured volumes should look like: a handful of named presets, and which one suits a volume.

Colour comes from the volume itself, so a preset only says from which intensity on tissue is seen, how densely, and how
light falls on it. Numbers were chosen by looking at real heads and bodies (Docs/MRML.md shows them). Not for MRML nodes
(`rendering.py` puts a preset into them).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.volume import ColorVolume

_HEAD_LITRES = 2.2
"""A bare brain has 1 to 1.9 litres of visible tissue, a head with its scalp 3 or more."""


@dataclass(frozen=True)
class Preset:
    """Opacity as a ramp over alpha, and lighting. Alpha is the windowed original intensity, 0 to 255."""

    name: str
    title: str
    start: float
    """Where opacity begins, as a share of the alpha range, or in HU if `hounsfield`."""
    full: float
    """Where it reaches `opacity`."""
    opacity: float
    hounsfield: bool = False
    ambient: float = 0.42
    diffuse: float = 0.68
    specular: float = 0.15
    power: float = 12.0
    lends: bool = False
    """Whether surfaces lie against darkness (air) and need the colours of the tissue below them."""
    flat_opacity: float = 1.0
    """How much opacity is left where intensity does not change: below 1, the inside of tissues turns clear."""

    def ramp(self, window: tuple[float, float] | None) -> tuple[float, float]:
        """`start` and `full` as codes 0 to 255."""
        if not self.hounsfield:
            return 255 * self.start, 255 * self.full
        low, high = window or (-200.0, 300.0)
        start, full = ((hu - low) / (high - low) * 255 for hu in (self.start, self.full))
        # A window that ends below the preset's tissue shows it saturated: then the last codes stand for it.
        start = float(np.clip(start, 8, 236))
        return start, float(np.clip(full, start + 12, 255))


PRESETS = {
    preset.name: preset
    for preset in (
        Preset(
            "head-mr",
            "Head MR with skin and scalp",
            0.16,
            0.36,
            0.9,
            ambient=0.5,
            diffuse=0.85,
            specular=0.1,
            lends=True,
        ),
        Preset("brain-mr", "Brain MR, skull stripped", 0.26, 0.44, 0.95, ambient=0.4, diffuse=0.72, specular=0.18),
        Preset(
            "ct-soft-tissue",
            "CT, muscles and organs below the fat",
            0.0,
            60.0,
            0.85,
            True,
            ambient=0.42,
            diffuse=0.8,
            lends=True,
        ),
        Preset("ct-vessels", "CT, contrast vessels, cartilage and bone", 80.0, 180.0, 0.85, True),
        Preset("ct-bone", "CT, bone", 150.0, 280.0, 0.95, True, specular=0.25, power=20.0),
        Preset("translucent", "See through the outer tissue", 0.15, 0.95, 0.25, flat_opacity=0.15),
        Preset("plain", "Anything else", 0.12, 0.4, 0.9),
    )
}


def preset_named(name: str) -> Preset:
    """The preset of that name."""
    try:
        return PRESETS[name]
    except KeyError:
        raise UsageError(f"There is no preset '{name}'. Choose one of {', '.join(PRESETS)}.") from None


def choose_preset(color: ColorVolume) -> Preset:
    """The preset that suits an RGBA volume, from its modality and how much of it is tissue."""
    modality = str(color.provenance.get("modality", "")).upper()
    if modality == "CT":
        window = window_of(color)
        # A window that reaches far up was chosen for bone, where soft tissue is dim.
        return PRESETS["ct-bone" if window is None or window[1] >= 250 else "ct-vessels"]
    if modality in ("MR", "PT", ""):
        return PRESETS["brain-mr" if litres(color.array[..., 3]) * _voxel_litres(color) < _HEAD_LITRES else "head-mr"]
    return PRESETS["plain"]


def window_of(color: ColorVolume) -> tuple[float, float] | None:
    """The window through which alpha was made, if the provenance tells."""
    window = color.provenance.get("window")
    return (float(window[0]), float(window[1])) if isinstance(window, (list, tuple)) and len(window) == 2 else None


def litres(alpha: NDArray[np.uint8]) -> int:
    """Voxels that are visible tissue."""
    return int(np.count_nonzero(alpha > 0.2 * 255))


def _voxel_litres(color: ColorVolume) -> float:
    return abs(float(np.linalg.det(color.affine[:3, :3]))) * 1e-6
