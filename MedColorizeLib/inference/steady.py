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

from ..imaging.luma import chroma_of
from .framing import Plan, Scene, box_mean

REACH = 1.5
"""Slices nearer than so many times the distance between two runs of the network take part."""
_SLACK = 1.1
"""Slices of 1.05 mm count as slices of 1 mm."""
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
    """The chroma of what is `shown` of slice `n`, (2, H, W); None where there is only air.

    `seen` runs the network on a slice; what it made is kept in the scene while slices around may want it.
    """
    plan = planned(scene, n, every_mm)
    if plan is None:
        return None
    del scene.plans[n]
    *_, far, step = _distances(scene, every_mm)
    for held, away in ((scene.keys, far + step), (scene.plans, scene.ahead)):
        for m in [m for m in held if abs(m - n) > away]:
            del held[m]
    codes = scene.framed(n).shown
    total, weights = np.zeros((2, *codes.shape), np.float32), np.zeros(codes.shape, np.float32)
    for m, weight in plan:
        chroma = _chroma(scene, m, seen)
        weights += weight
        for one, other in zip(total, chroma, strict=True):
            one += weight * other
    total /= np.maximum(weights, 1e-9)
    return total


def planned(scene: Scene, n: int, every_mm: float) -> Plan | None:
    """The slices on which the network is run for slice `n`, and what each weighs at each place; None for air.

    The network is not needed to tell, so it can be begun on slices before they are wanted.
    """
    if n in scene.plans:
        return scene.plans[n]
    mm, reach, far, step = _distances(scene, every_mm)
    scene.ahead = max(scene.ahead, far + step)
    own = scene.framed(n)
    if own.empty:
        return None
    plan: Plan = []
    weights = np.zeros(own.shown.shape, np.float32)
    end = len(scene.gray) - 1
    for m in range(max(n - far, 0), min(n + far, end) + 1):
        # The last slice has nothing beyond it to share with.
        if (m % step == 0 or m == end) and abs(m - n) * mm < reach and scene.seen(m):
            near = np.float32(1 - abs(m - n) * mm / reach)
            plan.append((m, (_ALIKE * near)[_difference(scene.framed(m).shown, own.shown)]))
            weights += plan[-1][1]
    lonely = np.count_nonzero((weights < _LONELY) & (own.shown > 0))
    if n % step and n != end and lonely > _FEW * np.count_nonzero(own.shown):
        plan.append((n, np.full(own.shown.shape, _ALIKE[0])))
    scene.plans[n] = plan
    return plan


def apart(scene: Scene, every_mm: float) -> int:
    """From one run of the network to the next, in slices; a tenth too far is near enough."""
    return max(1, int(_SLACK * every_mm / scene.turn.mm[0] + 1e-6))


def _distances(scene: Scene, every_mm: float) -> tuple[float, float, int, int]:
    """From slice to slice in mm; as far as they share, in mm and in slices; between two runs in slices."""
    mm = scene.turn.mm[0]
    step = apart(scene, every_mm)
    reach = max(REACH * every_mm, step * mm * (1 + 1e-6))
    return mm, reach, int(reach / mm), step


def _chroma(scene: Scene, m: int, seen: Callable[[int], NDArray[np.float32] | None]) -> NDArray[np.float32]:
    """What slice `m` gives to those around it, (2, H, W): red and blue less luma."""
    if m not in scene.keys:
        rgb = seen(m)
        assert rgb is not None, "no slice of air is planned"
        codes = scene.framed(m).shown
        chroma = chroma_of(rgb[:, *scene.shown])
        if scene.masked:
            pixel = scene.turn.mm[1] * scene.gray.shape[1] / scene.shape[0]
            chroma = _beyond(chroma, codes > 0, round(_RIM_MM / pixel))
        scene.keys[m] = _evened(chroma, codes)
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
