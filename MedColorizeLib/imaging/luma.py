"""The luminance lock: colour is invented, brightness is measured, so brightness is kept.

Fidelity `exact`: the rounded Rec.601 luma of every output voxel is the input's code. Rounding R, G and B
moves luma by at most half a code, because the weights sum to one; the rare exact half is mended by a step of blue.
Colour that would leave the gamut gives up chroma, never luma.
`balanced`: luma may follow the proposal by up to `BALANCED_CODES`. `free`: the proposal as it is, clipped.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from .colorspaces import LUMA, luma

_Split = tuple[NDArray[np.float32], NDArray[np.float32], NDArray[np.float32]]
"""Red and blue less luma, and the luma to aim at."""
Fidelity = Literal["exact", "balanced", "free"]
FIDELITIES: tuple[Fidelity, ...] = ("exact", "balanced", "free")
BALANCED_CODES = 8
_AT_ONCE = 1 << 16
_LEAST = np.float32(1e-6)
_RED, _GREEN, _BLUE = (np.float32(weight) for weight in LUMA)
_RED_IN_GREEN, _BLUE_IN_GREEN = np.float32(LUMA[0] / LUMA[1]), np.float32(LUMA[2] / LUMA[1])


def fit_gamut(
    proposal: NDArray[Any], gray: NDArray[np.uint8], fidelity: Fidelity = "exact"
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """8-bit colours with the chroma of `proposal` (..., 3 in 0..255) and the luma that `fidelity` asks for.

    Also returns where colour left the gamut and so gave up more than a tenth of its chroma (`free`: was clipped).
    """
    proposal = np.asarray(proposal, dtype=np.float32)
    if fidelity == "free":
        proposal = _finite(proposal)
        outside = ((proposal < -0.5) | (proposal > 255.5)).any(axis=-1)
        return np.clip(np.rint(proposal), 0, 255).astype(np.uint8), np.asarray(outside)

    def split(part: slice) -> _Split:
        red, green, blue = (_finite(proposal[part])[..., channel] for channel in range(3))
        own = red * _RED + green * _GREEN + blue * _BLUE
        return red - own, blue - own, target_luma(own, gray[part], fidelity)

    return _fitted(split, gray, fidelity)


def fit_chroma(
    chroma: NDArray[np.float32], gray: NDArray[np.uint8], fidelity: Fidelity = "exact"
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """`fit_gamut` of proposals that have the luma of `gray`: of `chroma`, (2, ...), red and blue less luma."""
    if fidelity == "free":
        return fit_gamut(np.moveaxis(with_luma(chroma, gray), 0, -1), gray, "free")

    def split(part: slice) -> _Split:
        red, blue = (_finite(one[part]) for one in chroma)
        return red, blue, gray[part].astype(np.float32)

    return _fitted(split, gray, fidelity)


def with_luma(chroma: NDArray[np.float32], gray: NDArray[Any]) -> NDArray[np.float32]:
    """The RGB, (3, ...), of red and blue less luma, (2, ...), at luma `gray`."""
    red, blue = chroma
    out = np.empty((3, *gray.shape), np.float32)
    np.add(red, gray, out=out[0])
    np.add(green_of(red, blue), gray, out=out[1])
    np.add(blue, gray, out=out[2])
    return out


def chroma_of(rgb: NDArray[np.float32]) -> NDArray[np.float32]:
    """Red and blue less luma, (2, ...), of RGB whose channels come first."""
    luma = rgb[0] * _RED + rgb[1] * _GREEN + rgb[2] * _BLUE
    return np.stack((rgb[0] - luma, rgb[2] - luma))


def green_of(red: NDArray[np.float32], blue: NDArray[np.float32]) -> NDArray[np.float32]:
    """Green less luma, given red and blue less luma: luma stays."""
    return np.asarray(red * -_RED_IN_GREEN - blue * _BLUE_IN_GREEN)


def _fitted(
    split: Callable[[slice], _Split], gray: NDArray[np.uint8], fidelity: Fidelity
) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """So few voxels at once that they stay in the processor's cache."""
    colors, overflowed = np.empty((*gray.shape, 3), np.uint8), np.empty(gray.shape, bool)
    each = gray[0].size if gray.ndim > 1 else 1
    step = max(1, _AT_ONCE // max(each, 1))
    for start in range(0, len(gray) if gray.ndim else 0, step):
        part = slice(start, start + step)
        error = _fit(*split(part), colors[part], overflowed[part])
        if fidelity == "exact":
            _mend_rounding(colors[part], gray[part], error)
    return colors, overflowed


def _finite(proposal: NDArray[np.float32]) -> NDArray[np.float32]:
    if np.isfinite(np.sum(proposal)):
        return proposal
    return np.nan_to_num(proposal, nan=0.0, posinf=255.0, neginf=0.0)


def _fit(
    red: NDArray[np.float32],
    blue: NDArray[np.float32],
    target: NDArray[np.float32],
    colors: NDArray[np.uint8],
    overflowed: NDArray[np.bool_],
) -> NDArray[np.float32]:
    """Red and blue less luma, at luma `target`, into `colors` and `overflowed`.

    Returns by how much rounding has changed luma, in thousandths of a code.
    """
    # Channel by channel and in single precision: NumPy is many times slower at working along so short an axis.
    green = green_of(red, blue)
    top = np.maximum(np.maximum(red, green), blue)
    bottom = np.minimum(np.minimum(red, green), blue)
    # How much of the chroma there is room for; all of it where there is none.
    kept = np.minimum(
        (255 + _LEAST - target) / np.maximum(top, _LEAST), (target + _LEAST) / np.maximum(-bottom, _LEAST)
    )
    np.minimum(kept, 1, out=kept)
    np.less(kept, 0.9, out=overflowed)
    error = target * np.float32(-1000)
    for channel, (one, thousandths) in enumerate(((red, 299), (green, 587), (blue, 114))):
        fitted = one * kept
        fitted += target
        np.rint(fitted, out=fitted)
        np.clip(fitted, 0, 255, out=fitted)
        colors[..., channel] = fitted
        fitted *= np.float32(thousandths)
        error += fitted
    return error


def target_luma(own: NDArray[Any], gray: NDArray[Any], fidelity: Fidelity) -> NDArray[np.float32]:
    """The luma to aim at, given that of the proposal and the input's code."""
    target = np.asarray(gray, dtype=np.float32)
    if fidelity == "free":
        return np.asarray(own, dtype=np.float32)
    if fidelity == "balanced":
        # Half a code less than promised leaves room for the rounding of the three channels.
        target = np.clip(np.clip(own, target - (BALANCED_CODES - 0.5), target + (BALANCED_CODES - 0.5)), 0, 255)
    return target.astype(np.float32)


def _mend_rounding(colors: NDArray[np.uint8], gray: NDArray[np.uint8], error: NDArray[np.float32]) -> None:
    """Bring the few voxels whose rounding fell half a code off back to the code; `error` is in thousandths of a code.

    (Whole numbers below 2**24, which single precision holds exactly.)
    """
    wrong = np.nonzero(np.abs(error) >= 500)
    if wrong[0].size == 0:
        return
    step = -np.sign(error[wrong]).astype(np.int32)
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
