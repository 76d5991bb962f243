"""Colour shared from slice to slice: the network runs every few millimetres, and places alike in brightness share it.

A body changes colour slowly along its length, and a network's own errors change from slice to slice: so a mean over
neighbours is steadier, on the whole no less true (Docs/Models.md), and spares most of the network's time. Brightness
guides what is shared, within slices and across them, so that colour keeps to the edges that the scan shows; what is
like nothing around it gets the mean, unless it is so much of a slice that the network looks at this one too. Not for:
the luma, which stays the slice's own, or networks that are shown as published (`every_mm` 0).
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from ..imaging.colorspaces import LUMA
from .framing import Key, Scene, box_mean, plane_luma

REACH = 1.5
"""Slices nearer than so many times the distance between two runs of the network take part."""
_LEVELS = 24.0
"""Codes apart at which two places share little."""
_APART = 2
"""Pixels between the places within a slice that share: the network's chroma has half the resolution."""
_RIM_MM = 2.5
"""How far colour goes on beyond the body that the network was shown: its outline fades over about as much."""
_BESIDE = np.exp(-np.array([0.0, 1.0, 2.0]) / 2)
"""Weight by squared distance, in steps of `_APART`."""
_LONELY, _FEW = 0.05, 0.08
"""A place is lonely if all that share with it weigh less; a slice with more than so few of them is run as well."""
_ALIKE = (np.exp(-((np.arange(256) / _LEVELS) ** 2)) + 1e-4).astype(np.float32)
"""Weight by difference in codes; never 0, so that a place like none around it takes their mean."""


def shared(
    scene: Scene, n: int, every_mm: float, seen: Callable[[int], NDArray[np.float32] | None]
) -> NDArray[np.float32] | None:
    """Slice `n` in the network's window, (3, H, W) in 0..255; None where there is only air.

    `seen` runs the network on a slice; what it made is kept in the scene while slices around may want it.
    """
    mm, step, reach, far = _distances(scene, every_mm)
    scene.ahead = max(scene.ahead, far + step)
    own = scene.framed(n)
    if own.empty:
        return None
    for m in [m for m in scene.keys if abs(m - n) > far + step]:
        del scene.keys[m]
    total = np.zeros((2, *own.codes.shape), np.float32)
    weights = np.zeros(own.codes.shape, np.float32)

    def share(m: int) -> None:
        key = _key(scene, m, seen)
        if key is not None:
            weight = _ALIKE[_difference(key.codes, own.codes)] * np.float32(1 - abs(m - n) * mm / reach)
            np.add(weights, weight, out=weights)
            np.add(total, weight * key.chroma, out=total)

    end = len(scene.gray) - 1
    for m in range(max(n - far, 0), min(n + far, end) + 1):
        # The last slice has nothing beyond it to share with.
        if (m % step == 0 or m == end) and abs(m - n) * mm < reach:
            share(m)
    lonely = np.count_nonzero((weights < _LONELY) & (own.codes > 0))
    if n % step and n != end and lonely > _FEW * np.count_nonzero(own.codes):
        share(n)
    blue, red = total / np.maximum(weights, 1e-9)
    luma = own.codes.astype(np.float32)
    green = (LUMA[0] * red + LUMA[2] * blue) / -LUMA[1]
    return np.stack([luma + red, luma + green.astype(np.float32), luma + blue])


def runs(scene: Scene, n: int, every_mm: float, onward: int, more: int) -> list[int]:
    """Slices that the network will be run on for slice `n`, and `more` of those that lie `onward` (1 or -1) of it."""
    end = len(scene.gray) - 1
    if not every_mm:
        return [m for m in range(n, n + onward * (more + 1), onward) if 0 <= m <= end]
    _, step, _, far = _distances(scene, every_mm)
    scene.ahead = max(scene.ahead, 2 * far + (more + 1) * step)
    low, high = (n - far, n + far + more * step) if onward > 0 else (n - far - more * step, n + far)
    found = [m for m in range(max(low, 0), min(high, end) + 1) if m % step == 0 or m == end]
    return found if onward > 0 else found[::-1]


def _distances(scene: Scene, every_mm: float) -> tuple[float, int, float, int]:
    """From slice to slice in mm; between two runs in slices; as far as they share, in mm and in slices."""
    mm = scene.turn.mm[0]
    step = max(1, int(every_mm / mm + 1e-6))
    reach = max(REACH * every_mm, step * mm * (1 + 1e-6))
    return mm, step, reach, int(reach / mm)


def _key(scene: Scene, m: int, seen: Callable[[int], NDArray[np.float32] | None]) -> Key | None:
    if m not in scene.keys:
        rgb = seen(m)
        if rgb is None:
            scene.keys[m] = None
        else:
            codes = scene.framed(m).codes
            luma = plane_luma(rgb)
            chroma = np.stack([rgb[2] - luma, rgb[0] - luma])
            if scene.masked:
                pixel = scene.turn.mm[1] * scene.gray.shape[1] / scene.shape[0]
                chroma = _beyond(chroma, codes > 0, round(_RIM_MM / pixel))
            scene.keys[m] = Key(codes, _evened(chroma, codes))
    return scene.keys[m]


def _beyond(chroma: NDArray[np.float32], known: NDArray[np.bool_], pixels: int) -> NDArray[np.float32]:
    """The chroma, (2, H, W), gone on around what is known, where the network saw black: the mean of what is near."""
    size = 2 * max(pixels, 1) + 1
    share = box_mean(known.astype(np.float32), size)
    near = [box_mean(np.where(known, one, 0), size) / np.maximum(share, 1e-6) for one in chroma]
    return np.where(known | (share < 1e-3), chroma, np.stack(near)).astype(np.float32)


def _evened(chroma: NDArray[np.float32], codes: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Each place's chroma, (2, H, W), averaged with that of the eight places around it that are as bright."""
    total, weights = chroma * _ALIKE[0], np.full(codes.shape, _ALIKE[0])
    rows, columns = codes.shape
    for down, right in ((0, 1), (1, -1), (1, 0), (1, 1)):  # the other four are the same pairs, seen from the other end
        y, x = down * _APART, right * _APART
        here = (slice(0, rows - y), slice(max(-x, 0), columns - max(x, 0)))
        there = (slice(y, rows), slice(max(x, 0), columns - max(-x, 0)))
        weight = _ALIKE[_difference(codes[here], codes[there])] * np.float32(_BESIDE[down * down + right * right])
        weights[here] += weight
        weights[there] += weight
        total[:, *here] += weight * chroma[:, *there]
        total[:, *there] += weight * chroma[:, *here]
    return np.asarray(total / weights, np.float32)


def _difference(one: NDArray[np.uint8], other: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.asarray(np.maximum(one, other) - np.minimum(one, other))
