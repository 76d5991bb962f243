"""Colour spaces: Rec.601 YUV and YCbCr by their matrices, CIELAB by scikit-image.

Rec.601 throughout, full range: the luma of the papers, of JPEG, of PIL and of OpenCV.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

LUMA = np.array([0.299, 0.587, 0.114])
"""Rec.601 weights of R, G and B."""

_B_MINUS_Y = np.array([0.0, 0.0, 1.0]) - LUMA
_R_MINUS_Y = np.array([1.0, 0.0, 0.0]) - LUMA
_YUV = np.array([LUMA, 0.492111 * _B_MINUS_Y, 0.877283 * _R_MINUS_Y])
_YCBCR = np.array([LUMA, _B_MINUS_Y / 1.772, _R_MINUS_Y / 1.402])


def luma(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """Rec.601 luma of `(..., 3)` colours, unrounded, on their own scale."""
    return rgb[..., 0] * LUMA[0] + rgb[..., 1] * LUMA[1] + rgb[..., 2] * LUMA[2]


def luma_codes(rgb: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """Rounded Rec.601 luma of 8-bit colours: what the luminance lock promises to be the input's code."""
    weighted = rgb[..., 0] * np.uint32(299) + rgb[..., 1] * np.uint32(587) + rgb[..., 2] * np.uint32(114)
    return ((weighted + 500) // 1000).astype(np.uint8)


def rgb_to_yuv(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """Analogue Rec.601 YUV, on the scale of `rgb`."""
    return rgb @ _YUV.T


def yuv_to_rgb(yuv: NDArray[Any]) -> NDArray[np.float64]:
    """The inverse of `rgb_to_yuv`, not clipped."""
    return yuv @ np.linalg.inv(_YUV).T


def rgb_to_ycbcr(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """Full-range YCbCr of 0..255 colours (JPEG): chroma centred on 128."""
    return rgb @ _YCBCR.T + np.array([0.0, 128.0, 128.0])


def ycbcr_to_rgb(ycbcr: NDArray[Any]) -> NDArray[np.float64]:
    """The inverse of `rgb_to_ycbcr`, not clipped."""
    return (ycbcr - np.array([0.0, 128.0, 128.0])) @ np.linalg.inv(_YCBCR).T


def rgb_to_lab(rgb: NDArray[Any]) -> NDArray[np.float64]:
    """CIELAB (D65) of sRGB colours given as 0..255."""
    from skimage.color import rgb2lab

    return rgb2lab(np.asarray(rgb, dtype=np.float64) / 255.0)


def lab_to_rgb(lab: NDArray[Any]) -> NDArray[np.float64]:
    """sRGB 0..255 of CIELAB colours; what lies outside the gamut is clipped."""
    from skimage.color import lab2rgb

    return lab2rgb(np.asarray(lab, dtype=np.float64)) * 255.0
