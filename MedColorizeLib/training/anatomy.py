"""Which tissue each voxel of a gray scan is, as far as label maps and plain physics tell; 0 where neither does.

A network is taught tissue colours only where the tissue is known; elsewhere it has the other losses. MR tells tissue
by its labels, and around a labelled brain by how bright fat, muscle and bone are in T1 and FLAIR. CT tells by
Hounsfield units. Not for: colours (`imaging.tissues`), segmenting for its own sake.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.tissues import tissue_map
from ..methods.medcolorize import TISSUES

_FAT_HU, _MUSCLE_HU, _BONE_HU, _LUNG_HU = (-150, -30), (20, 90), 180, (-980, -400)
_WALL_MM = 25.0
"""Soft tissue so near the skin is muscle; deeper, without labels, it may be any organ."""
_CHEST_MM = 50.0
"""Half of what lies between two lungs at the widest."""


def head_mr(
    codes: NDArray[np.uint8], mask: NDArray[np.bool_], labels: NDArray[Any] | None, mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Tissue numbers (1 + place in `TISSUES`) of a head whose brain structures are labelled (BrainCOLOR numbers).

    Unlabelled heads stay unknown: how bright a tissue is says nothing before the sequence is known.
    """
    if labels is None or not labels.any():
        return np.zeros(codes.shape, np.uint8)
    from scipy import ndimage

    out = tissue_map(labels, "neuromorphometrics", TISSUES)
    brain = _closed(labels > 0, mm, 4.0)
    middle = float(np.median(codes[out == _number("gray matter")]))
    bright = float(np.median(codes[out == _number("white matter")]))
    spaces = brain & (labels == 0) & mask
    outside = mask & ~brain
    if outside.sum() < 0.25 * mask.sum():  # skull-stripped: what surrounds the structures is their fluid
        out[(spaces | outside) & (codes < middle)] = _number("csf")
        return out
    out[spaces & (codes < 0.8 * min(middle, bright))] = _number("csf")
    # The layers next to the brain (meninges, fluid, inner table) are too thin to be told apart.
    away = ndimage.distance_transform_edt(~brain, sampling=mm) > 5.0
    scale = max(middle, bright)
    out[outside & away & (codes > 1.15 * scale)] = _number("fat")
    out[outside & away & (codes > 0.35 * scale) & (codes < 0.8 * scale)] = _number("muscle")
    out[outside & away & (codes < 0.2 * scale)] = _number("bone")
    return out


def body_ct(
    hounsfield: NDArray[Any], mask: NDArray[np.bool_], labels: NDArray[Any] | None, mm: tuple[float, float, float]
) -> NDArray[np.uint8]:
    """Tissue numbers of a CT: TotalSegmentator's classes where given, fat, bone and lung by their Hounsfield units.

    Soft tissue between the lungs is held for the heart: it and the great vessels are nearly all there is.
    """
    from scipy import ndimage

    out = np.zeros(hounsfield.shape, np.uint8)
    depth = ndimage.distance_transform_edt(mask, sampling=mm)
    smooth = ndimage.median_filter(hounsfield, size=3)
    soft = (smooth > _MUSCLE_HU[0]) & (smooth < _MUSCLE_HU[1])
    out[mask & soft & (depth < _WALL_MM) & (depth > 4)] = _number("muscle")
    out[mask & (smooth > _FAT_HU[0]) & (smooth < _FAT_HU[1])] = _number("fat")
    dense = ndimage.binary_opening(smooth > _BONE_HU) & mask
    out[_large(dense, mm, 2000)] = _number("bone")
    air = (smooth > _LUNG_HU[0]) & (smooth < _LUNG_HU[1])
    lung = _large(mask & air, mm, 50_000)
    out[lung] = _number("lung")
    if lung.any():
        out[mask & soft & (out == 0) & _between(lung, mm)] = _number("heart")
    if labels is not None:
        named = tissue_map(labels, "totalsegmentator", TISSUES)
        # Labels at 3 mm overlap their neighbours by a voxel: where density contradicts them, density is right.
        agrees = (named == _number("lung")) | (named == _number("bone")) | ((smooth > -20) & (smooth < 300))
        inside_bone = (labels > 0) & (named == _number("bone"))
        out = np.where((named > 0) & agrees, named, np.where(inside_bone, _number("bone"), out)).astype(np.uint8)
    return out


def _number(tissue: str) -> int:
    return 1 + TISSUES.index(tissue)


def _closed(mask: NDArray[np.bool_], mm: tuple[float, float, float], reach: float) -> NDArray[np.bool_]:
    """Binary closing by a ball of `reach` mm, by distances: a 3D footprint of that size would take minutes."""
    from scipy import ndimage

    pad = [int(np.ceil(reach / step)) + 1 for step in mm]
    wide = np.pad(mask, [(p, p) for p in pad])
    grown = ndimage.distance_transform_edt(~wide, sampling=mm) <= reach
    closed = ndimage.distance_transform_edt(grown, sampling=mm) > reach
    inner = tuple(slice(p, -p) for p in pad)
    return np.asarray(closed[inner] | mask)


def _between(parts: NDArray[np.bool_], mm: tuple[float, float, float]) -> NDArray[np.bool_]:
    """What lies among the parts of a mask that are less than `2 * _CHEST_MM` apart; on a grid of about 4 mm."""
    steps = [max(1, round(4 / step)) for step in mm]
    coarse = parts[tuple(slice(None, None, step) for step in steps)]
    out = _closed(coarse, (mm[0] * steps[0], mm[1] * steps[1], mm[2] * steps[2]), _CHEST_MM)
    for axis, step in enumerate(steps):
        out = np.repeat(out, step, axis=axis)
    return np.asarray(out[tuple(slice(n) for n in parts.shape)])


def _large(mask: NDArray[np.bool_], mm: tuple[float, float, float], least: float) -> NDArray[np.bool_]:
    """The connected parts of at least `least` cubic millimetres."""
    from scipy import ndimage

    parts, count = ndimage.label(mask)
    if not count:
        return mask
    sizes = np.bincount(parts.reshape(-1)) * float(np.prod(mm))
    sizes[0] = 0
    return np.asarray((sizes >= least)[parts])
