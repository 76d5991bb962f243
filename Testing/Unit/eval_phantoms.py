"""A body of known colour for the tests of the evaluation: smooth anatomy, hue by intensity, hue errors by slice."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from MedColorizeLib.imaging.colorspaces import rgb_to_ycbcr, ycbcr_to_rgb
from MedColorizeLib.imaging.luma import fit_gamut
from MedColorizeLib.imaging.volume import ColorVolume

SHAPE = (28, 40, 44)


def anatomy(shape: tuple[int, int, int] = SHAPE, seed: int = 3) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Gray codes of a smooth body (the same in all directions) and its mask."""
    random = np.random.default_rng(seed)
    field = ndimage.gaussian_filter(random.normal(size=shape), 2.5)
    field = (field - field.min()) / (field.max() - field.min())
    j, i = np.ogrid[: shape[1], : shape[2]]
    oval = ((j - shape[1] / 2 + 0.5) / (0.42 * shape[1])) ** 2 + ((i - shape[2] / 2 + 0.5) / (0.42 * shape[2])) ** 2
    mask = np.broadcast_to(oval < 1, shape).copy()
    return np.where(mask, 60 + 140 * field, 4).astype(np.uint8), mask


def painted(gray: NDArray[np.uint8], degrees: NDArray[np.floating] | float = 0.0) -> NDArray[np.uint8]:
    """Colours of exactly the luma `gray`: a flesh tint whose hue is turned by `degrees` (one number a slice)."""
    turn = np.deg2rad(np.broadcast_to(degrees, gray.shape[:1]))[:, None, None]
    base_b, base_r = -14.0, 18.0
    chroma = np.stack(
        [np.cos(turn) * base_b - np.sin(turn) * base_r, np.sin(turn) * base_b + np.cos(turn) * base_r], -1
    )
    planes = np.concatenate([gray[..., None].astype(float), np.broadcast_to(chroma + 128, (*gray.shape, 2))], -1)
    return fit_gamut(ycbcr_to_rgb(planes).astype(np.float32), gray, "exact")[0]


def volume(rgb: NDArray[np.uint8], spacing: tuple[float, float, float] = (1.0, 1.0, 1.0)) -> ColorVolume:
    """`rgb` with its K axis along S, spacing in K, J, I."""
    return ColorVolume(rgb, np.diag([spacing[2], spacing[1], spacing[0], 1.0]))


def chroma_of(rgb: NDArray[np.uint8]) -> NDArray[np.float64]:
    """Distance of each colour from gray, in Cb, Cr."""
    return np.hypot(*np.moveaxis(rgb_to_ycbcr(rgb)[..., 1:] - 128, -1, 0))
