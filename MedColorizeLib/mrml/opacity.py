"""Alpha for coloured volumes that have none, so that 3D opacity follows what was measured.

Coloured volumes made with alpha keep theirs: the windowed original intensity times a soft foreground mask. A file that
holds RGB only no longer has the original; its luma stands in. With the luminance lock (fidelity `exact`) luma *is* the
windowed original, so both ways give the same opacity. Not for choosing transfer functions (`presets.py`).
"""

from __future__ import annotations

import numpy as np

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
