"""Cutting a coloured volume open, so that its inside is seen: one half or one corner of it made transparent.

The cut is in alpha of a copy, so the cut face has a crisp edge and takes light like a real surface. Only pictures use
it; in a saved scene nothing is cut away. Not for cropping data.
"""

from __future__ import annotations

import numpy as np

from ..errors import UsageError
from ..imaging.volume import ColorVolume
from .views import View

CUTS = {"sagittal": (0,), "coronal": (1,), "axial": (2,), "corner": (0, 1, 2)}
"""Which RAS axes' planes bound the part that is taken away."""


def cut_open(color: ColorVolume, cut: str, view: View, at: float = 0.5) -> ColorVolume:
    """The RGBA volume without the part nearest to the viewer; `at` is where along the visible extent it is cut."""
    if cut not in CUTS:
        raise UsageError(f"There is no cut '{cut}'. Choose one of {', '.join(CUTS)}.")
    if not 0 < at < 1:
        raise UsageError(f"The cut lies between 0 and 1 of what is seen, not at {at:g}.")
    alpha = color.array[..., 3]
    out = color.array.copy()
    low, high = _extent(color)
    # Seen straight on, an axis has no near side: then the head side, the front and the left are taken.
    near = [np.sign(c) if abs(c) > 1e-6 else d for c, d in zip(view.toward_camera, (-1, 1, 1), strict=True)]
    planes = []
    for axis in CUTS[cut]:
        share = at if near[axis] < 0 else 1 - at
        planes.append((axis, near[axis], low[axis] + share * (high[axis] - low[axis])))
    half_voxel = min(color.spacing) / 2
    j, i = np.meshgrid(np.arange(color.shape[1]), np.arange(color.shape[2]), indexing="ij")
    for k in range(color.shape[0]):
        depth = np.full(j.shape, np.inf)
        for axis, side, position in planes:
            a, b, c, o = color.affine[axis]
            depth = np.minimum(depth, side * (a * i + b * j + c * k + o - position))
        # A voxel wide ramp across the cut keeps it smooth when it runs slantwise through the voxels.
        keep = np.clip(0.5 - depth / (2 * half_voxel), 0, 1)
        out[k, ..., 3] = np.rint(alpha[k] * keep)
    return ColorVolume(out, color.affine, color.provenance, color.notes)


def _extent(color: ColorVolume) -> tuple[np.ndarray, np.ndarray]:
    """The bounding box in RAS of what is visible."""
    seen = color.array[..., 3] > 50
    axes = [np.flatnonzero(seen.any(axis=tuple(a for a in range(3) if a != axis))) for axis in (2, 1, 0)]
    ranges = [(a[0], a[-1]) if a.size else (0, n - 1) for a, n in zip(axes, color.shape[::-1], strict=True)]
    corners = np.array([[i, j, k, 1] for i in ranges[0] for j in ranges[1] for k in ranges[2]]) @ color.affine.T
    return corners[:, :3].min(axis=0), corners[:, :3].max(axis=0)
