"""The luminance lock: colour is invented, brightness is measured, so brightness is kept.

Fidelity `exact`: the rounded Rec.601 luma of every output voxel is the input's code. Rounding R, G and B
moves luma by at most half a code, because the weights sum to one; the rare exact half is mended by a step of blue.
Colour that would leave the gamut gives up chroma, never luma.
`balanced`: luma may follow the proposal by up to `BALANCED_CODES`. `free`: the proposal as it is, clipped.
"""

from __future__ import annotations

from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .colorspaces import luma

Fidelity = Literal["exact", "balanced", "free"]
FIDELITIES: tuple[Fidelity, ...] = ("exact", "balanced", "free")
BALANCED_CODES = 8


def fit_gamut(
    proposal: NDArray[Any], gray: NDArray[np.uint8], fidelity: Fidelity = "exact"
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """8-bit colours with the chroma of `proposal` (..., 3 in 0..255) and the luma that `fidelity` asks for.

    Also returns where colour left the gamut and so gave up more than a tenth of its chroma (`free`: was clipped).
    """
    proposal = np.asarray(proposal, dtype=np.float32)
    if not np.isfinite(np.sum(proposal)):
        proposal = np.nan_to_num(proposal, nan=0.0, posinf=255.0, neginf=0.0)
    if fidelity == "free":
        outside = ((proposal < -0.5) | (proposal > 255.5)).any(axis=-1)
        return np.clip(np.rint(proposal), 0, 255).astype(np.uint8), np.asarray(outside)
    own = luma(proposal).astype(np.float32)
    target = target_luma(own, gray, fidelity)
    # Channel by channel: NumPy is many times slower at working along so short an axis.
    chroma = [proposal[..., channel] - own for channel in range(3)]
    top = np.maximum(np.maximum(chroma[0], chroma[1]), chroma[2])
    bottom = np.minimum(np.minimum(chroma[0], chroma[1]), chroma[2])
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        room = np.minimum(
            np.where(top > 0, (255 - target) / top, np.inf), np.where(bottom < 0, target / -bottom, np.inf)
        )
    kept = np.minimum(room, 1.0).astype(np.float32)
    colors = np.empty(proposal.shape, np.uint8)
    for channel in range(3):
        fitted = chroma[channel]
        fitted *= kept
        fitted += target
        np.rint(fitted, out=fitted)
        np.clip(fitted, 0, 255, out=fitted)
        colors[..., channel] = fitted
    if fidelity == "exact":
        _mend_rounding(colors, gray)
    return colors, kept < 0.9


def target_luma(own: NDArray[Any], gray: NDArray[Any], fidelity: Fidelity) -> NDArray[np.float32]:
    """The luma to aim at, given that of the proposal and the input's code."""
    target = np.asarray(gray, dtype=np.float32)
    if fidelity == "free":
        return np.asarray(own, dtype=np.float32)
    if fidelity == "balanced":
        # Half a code less than promised leaves room for the rounding of the three channels.
        target = np.clip(np.clip(own, target - (BALANCED_CODES - 0.5), target + (BALANCED_CODES - 0.5)), 0, 255)
    return target.astype(np.float32)


def _mend_rounding(colors: NDArray[np.uint8], gray: NDArray[np.uint8]) -> None:
    """Bring the few voxels whose rounding fell half a code off back to the code."""
    weighted = colors[..., 0] * np.int32(299) + colors[..., 1] * np.int32(587) + colors[..., 2] * np.int32(114)
    error = weighted - gray.astype(np.int32) * 1000
    wrong = np.nonzero(np.abs(error) >= 500)
    if wrong[0].size == 0:
        return
    step = -np.sign(error[wrong])
    fixed = colors[wrong].astype(np.int32)
    for channel in (2, 0):  # blue weighs least, so it moves the colour least
        moved = fixed[:, channel] + step
        possible = (moved >= 0) & (moved <= 255) & (step != 0)
        fixed[possible, channel] = moved[possible]
        step[possible] = 0
    left = step != 0
    fixed[left] = gray[wrong][left, None]
    colors[wrong] = fixed.astype(np.uint8)


def shade(colors: NDArray[Any], gray: NDArray[Any]) -> NDArray[np.float32]:
    """Colours brightened or darkened to luma `gray` with their hue and saturation kept, as light does it."""
    colors = np.asarray(colors, dtype=np.float32)
    own = np.maximum(luma(colors), 1.0)
    return (colors * (np.asarray(gray, dtype=np.float32) / own)[..., None]).astype(np.float32)
