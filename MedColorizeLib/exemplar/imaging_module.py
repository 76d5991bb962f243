"""The imaging module of Zeng 2020 (section V, after Luan 2017): noise off, full size back, the target's own luma.

The optimised picture is small and noisy; what is wanted of it is its chroma. Works on chroma planes (U, V): everything
here is linear in the colours, so smoothing U and V is smoothing the RGB picture and taking its U and V.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.colorspaces import rgb_to_yuv, yuv_to_rgb
from ..progress import CancelToken


def chroma_of(rgb: NDArray[Any]) -> NDArray[np.float32]:
    """(H, W, 3) colours in 0..255 -> (H, W, 2): U and V, clipped to what 8-bit colours can have."""
    return rgb_to_yuv(np.clip(np.asarray(rgb, np.float64), 0, 255))[..., 1:].astype(np.float32)


def with_luma(chroma: NDArray[Any], gray: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Colours with Y of the target and the given U and V, not clipped: the last step of the paper's algorithm 1."""
    return yuv_to_rgb(np.concatenate([gray[..., None].astype(np.float64), chroma], axis=-1)).astype(np.float32)


def smoothed(
    chroma: NDArray[np.float32],
    gray: NDArray[np.uint8],
    *,
    patch: int = 3,
    epsilon: float = 1e-7,
    radius: int = 15,
    sigma: float = 0.1,
    cancel: CancelToken | None = None,
) -> NDArray[np.float32]:
    """Local affine smoothing: in each patch chroma is fitted as a + b * gray; a and b are bilaterally filtered.

    With a gray guide the paper's 3 x 4 affine model has two free numbers a channel, since its three inputs are equal;
    this is their least-squares fit. `sigma` is the range deviation on a guide of 0..1; the spatial one is radius / 3.
    """
    from scipy.ndimage import uniform_filter

    guide = gray.astype(np.float32) / 255

    def mean(plane: NDArray[Any]) -> NDArray[np.float32]:
        return np.asarray(uniform_filter(plane, patch, mode="nearest"), np.float32)

    center = mean(guide)
    variance = np.maximum(mean(guide * guide) - center * center, 0)
    planes = []
    for channel in range(chroma.shape[2]):
        values = chroma[..., channel]
        average = mean(values)
        slope = (mean(guide * values) - center * average) / (variance + np.float32(epsilon))
        planes += [slope, average - slope * center]
    planes_ = joint_bilateral(np.stack(planes), gray, radius=radius, sigma=sigma, cancel=cancel)
    return np.stack([planes_[n] * guide + planes_[n + 1] for n in range(0, len(planes), 2)], axis=-1)


def joint_bilateral(
    planes: NDArray[np.float32],
    gray: NDArray[np.uint8],
    *,
    radius: int,
    sigma: float,
    cancel: CancelToken | None = None,
) -> NDArray[np.float32]:
    """Planes (n, H, W) averaged over a disk-like neighbourhood, by nearness and by likeness of the guide `gray`."""
    height, width = gray.shape
    codes = gray.astype(np.int16)
    likeness = np.exp(-0.5 * (np.arange(256) / (255 * sigma)) ** 2).astype(np.float32)
    spatial = np.exp(-0.5 * (np.arange(radius + 1) / (radius / 3)) ** 2).astype(np.float32)
    total = planes.copy()
    weight = np.ones(gray.shape, np.float32)
    for down in range(radius + 1):
        if cancel:
            cancel.check()
        if down >= height:
            break
        for right in range(-radius if down else 1, radius + 1):
            near = spatial[down] * spatial[abs(right)]
            if near < 1e-4 or abs(right) >= width:
                continue
            # Each pair of pixels is looked at once and counts for both.
            here = (slice(0, height - down), slice(max(0, -right), width - max(0, right)))
            there = (slice(down, height), slice(max(0, right), width - max(0, -right)))
            pair = near * likeness.take(np.abs(codes[here] - codes[there]))
            total[(slice(None), *here)] += pair * planes[(slice(None), *there)]
            total[(slice(None), *there)] += pair * planes[(slice(None), *here)]
            weight[here] += pair
            weight[there] += pair
    return total / weight


def enlarged(chroma: NDArray[np.float32], shape: tuple[int, int]) -> NDArray[np.float32]:
    """Chroma at another size: bicubic, which loses least of it (joint upsampling was measured and does worse)."""
    from PIL import Image

    if chroma.shape[:2] == shape:
        return chroma
    size = (shape[1], shape[0])
    planes = [
        np.asarray(Image.fromarray(np.ascontiguousarray(chroma[..., n])).resize(size, Image.Resampling.BICUBIC))
        for n in range(chroma.shape[2])
    ]
    return np.stack(planes, axis=-1)
