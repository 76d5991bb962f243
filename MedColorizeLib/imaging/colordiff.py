"""Colour differences for whole volumes: CIELAB in single precision, and CIEDE2000 at equal lightness.

Single precision and blocks, because a report may not take three times the volume's memory; both agree with
scikit-image's double-precision functions to a hundredth of a unit (tested). For a few colours, use
`colorspaces.rgb_to_lab` and `skimage.color.deltaE_ciede2000`.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float32]

_BLOCK = 1 << 16
_TO_XYZ = np.array(
    [[0.412453, 0.357580, 0.180423], [0.212671, 0.715160, 0.072169], [0.019334, 0.119193, 0.950227]]
) / np.array([[0.95047], [1.0], [1.08883]])
_POW25_7 = np.float32(25.0**7)


@functools.cache
def _linear() -> Floats:
    """The sRGB transfer curve of the 256 codes."""
    code = np.arange(256) / 255.0
    return np.where(code > 0.04045, ((code + 0.055) / 1.055) ** 2.4, code / 12.92).astype(np.float32)


def lab(rgb: NDArray[np.uint8]) -> Floats:
    """CIELAB (D65, 2 degrees) of sRGB codes (..., 3)."""
    flat = rgb.reshape(-1, 3)
    out = np.empty(flat.shape, dtype=np.float32)
    matrix = _TO_XYZ.T.astype(np.float32)
    for start in range(0, len(flat), _BLOCK):
        xyz = _linear()[flat[start : start + _BLOCK]] @ matrix
        f = np.where(xyz > 0.008856, np.cbrt(xyz), np.float32(7.787) * xyz + np.float32(16 / 116))
        block = out[start : start + _BLOCK]
        block[:, 0] = 116 * f[:, 1] - 16
        block[:, 1] = 500 * (f[:, 0] - f[:, 1])
        block[:, 2] = 200 * (f[:, 1] - f[:, 2])
    return out.reshape(rgb.shape)


def chroma_difference(first: NDArray[Any], second: NDArray[Any]) -> Floats:
    """CIEDE2000 (Sharma 2005) between two arrays (..., 2) of CIELAB a, b as if their lightness were equal.

    Brightness differences are anatomy; this is what colour alone adds. At equal L the formula no longer holds L.
    """
    first, second = np.broadcast_arrays(np.asarray(first, np.float32), np.asarray(second, np.float32))
    shape = first.shape[:-1]
    first, second = first.reshape(-1, 2), second.reshape(-1, 2)
    out = np.empty(len(first), dtype=np.float32)
    for start in range(0, len(first), _BLOCK):
        part = slice(start, start + _BLOCK)
        out[part] = _equal_lightness(first[part], second[part])
    return out.reshape(shape)


def _equal_lightness(first: Floats, second: Floats) -> NDArray[Any]:
    a1: NDArray[Any]
    a2: NDArray[Any]
    a1, b1, a2, b2 = first[:, 0], first[:, 1], second[:, 0], second[:, 1]
    mean7 = _pow7((np.hypot(a1, b1) + np.hypot(a2, b2)) / 2)
    stretch = 1.5 - 0.5 * np.sqrt(mean7 / (mean7 + _POW25_7))
    a1, a2 = a1 * stretch, a2 * stretch
    c1, c2 = np.hypot(a1, b1), np.hypot(a2, b2)
    h1, h2 = np.arctan2(b1, a1), np.arctan2(b2, a2)
    turn = h2 - h1
    pi = np.float32(np.pi)
    middle = (h1 + h2) / 2
    far = np.abs(turn) > pi
    middle = np.where(far, middle + pi, middle)  # cosines below don't mind whole turns
    gray = c1 * c2 == 0
    middle = np.where(gray, h1 + h2, middle)
    turn = np.where(far, turn - np.copysign(2 * pi, turn), turn)
    d_chroma = c2 - c1
    d_hue = 2 * np.sqrt(c1 * c2) * np.sin(turn / 2)
    c_mean = (c1 + c2) / 2
    weight = (
        1
        - 0.17 * np.cos(middle - np.deg2rad(30))
        + 0.24 * np.cos(2 * middle)
        + 0.32 * np.cos(3 * middle + np.deg2rad(6))
        - 0.20 * np.cos(4 * middle - np.deg2rad(63))
    )
    degrees = np.rad2deg(middle) % 360
    rotation = np.deg2rad(60) * np.exp(-(((degrees - 275) / 25) ** 2))
    mean7 = _pow7(c_mean)
    cross = -2 * np.sqrt(mean7 / (mean7 + _POW25_7)) * np.sin(rotation)
    x, y = d_chroma / (1 + 0.045 * c_mean), d_hue / (1 + 0.015 * c_mean * weight)
    return np.sqrt(np.maximum(x * x + y * y + cross * x * y, 0))


def _pow7(value: NDArray[Any]) -> NDArray[Any]:
    square = value * value
    return square * square * square * value


def mean_pairwise_difference(colors: Sequence[NDArray[np.uint8]]) -> Floats:
    """The mean `chroma_difference` over all pairs of several colourings (..., 3) of the same places, place by place."""
    shape = colors[0].shape[:-1]
    flat = [color.reshape(-1, 3) for color in colors]
    differ = np.zeros(len(flat[0]), dtype=bool)
    for other in flat[1:]:
        differ |= (other != flat[0]).any(axis=1)
    out = np.zeros(len(differ), dtype=np.float32)
    if differ.any():
        ab = [lab(color[differ])[:, 1:] for color in flat]
        pairs = list(combinations(ab, 2))
        out[differ] = sum(chroma_difference(one, two) for one, two in pairs) / len(pairs)
    return out.reshape(shape)


def ciede2000(first: NDArray[np.uint8], second: NDArray[np.uint8]) -> NDArray[np.float64]:
    """CIEDE2000 between sRGB codes (..., 3), lightness included (scikit-image, Sharma 2005)."""
    from skimage.color import deltaE_ciede2000

    return np.asarray(deltaE_ciede2000(lab(first).astype(np.float64), lab(second).astype(np.float64)))
