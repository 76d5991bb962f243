"""What 3D needs beyond the colours themselves: alpha where a volume has none, and clean colours at surfaces.

Coloured volumes made with alpha keep theirs: the windowed original intensity times a soft foreground mask. A file that
holds RGB only no longer has the original; its luma stands in. With the luminance lock (fidelity `exact`) luma *is* the
windowed original, so both ways give the same opacity. Not for choosing transfer functions (`presets.py`).
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..imaging.colorspaces import luma_codes
from ..imaging.foreground import soft_mask
from ..imaging.volume import ColorVolume
from ..imaging.windows import Window


def with_alpha(color: ColorVolume) -> ColorVolume:
    """The volume as RGBA; alpha from luma and a soft foreground mask where it has none."""
    if color.array.shape[3] == 4:
        return color
    out = np.empty((*color.shape, 4), dtype=np.uint8)
    out[..., :3] = color.array
    for k in range(color.shape[0]):
        out[k, ..., 3] = luma_codes(color.array[k])
    mask = soft_mask(out[..., 3], Window(0, 255), color.spacing)
    for k in range(color.shape[0]):
        faded = out[k, ..., 3].astype(np.uint16) * mask.slab(k, k + 1)[0]
        out[k, ..., 3] = (faded + 127) // 255
    return ColorVolume(out, color.affine, color.provenance, color.notes)


_REACH_MM = 2.5
_SLAB = 16


def lend_colors(array: NDArray[np.uint8], visible: float, spacing: tuple[float, float, float]) -> None:
    """Give voxels whose alpha is below `visible` the mean colour of visible tissue within 2.5 mm, in place.

    A voxel half in tissue and half in air is as dark as it was measured, and so is what a ray meets first: skin would
    look burnt. Alpha, which decides what is seen, stays as it was measured, and so do all voxels that are clearly seen.
    """
    from scipy import ndimage

    reach = [round(_REACH_MM / mm) for mm in spacing]
    size = [2 * voxels + 1 for voxels in reach]
    depth = array.shape[0]
    # Earlier slabs have changed only voxels that have no weight, so later ones are not affected.
    for start in range(0, depth, _SLAB):
        stop = min(depth, start + _SLAB)
        low, high = max(0, start - reach[0]), min(depth, stop + reach[0])
        own = slice(start - low, stop - low)
        part = array[low:high]
        weight = (part[..., 3] >= visible).astype(np.float32)
        near = ndimage.uniform_filter(weight, size, mode="constant")[own]
        lent = (weight[own] == 0) & (near > 0.5 / np.prod(size))
        if not lent.any():
            continue
        for channel in range(3):
            spread = ndimage.uniform_filter(part[..., channel] * weight, size, mode="constant")[own]
            array[start:stop, ..., channel][lent] = np.clip(np.rint(spread[lent] / near[lent]), 0, 255)
