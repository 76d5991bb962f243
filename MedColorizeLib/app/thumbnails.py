"""The little picture of a model: what it makes of the sample head, or, where that does not fit, of the grays.

A slice of the training images would show somebody's body to everyone who gets the model, so none is used.
Not for: trusting the thumbnails of bundles (`bundles.verify`).
"""

from __future__ import annotations

from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

if TYPE_CHECKING:
    from ..bundles.write import Facts

Picture = NDArray[np.uint8]
SIZE = 128
"""Pixels a side."""
_MIDDLE_MM = {"axial": 14.0, "coronal": -20.0, "sagittal": 18.0}
"""Where a slice of the sample head shows the most: RAS mm along the plane's axis."""
_AXES = {"axial": 2, "coronal": 1, "sagittal": 0}


def draw_thumbnail(facts: Facts, network: Any, grays: Picture, colors: Picture) -> bytes:
    """A PNG. `grays` (n, H, W) and `colors` (n, H, W, 3) are pictures that the network has coloured."""
    picture = _sample_slice(facts, network) if facts.input.modality in ("MR", "") else None
    return _png(_strip(grays, colors) if picture is None else picture)


def _sample_slice(facts: Facts, network: Any) -> Picture | None:
    """A slice of the sample head in the model's plane, coloured; None where the sample is not installed."""
    from ..bundles.folder import Bundle
    from ..imaging.luma import fit_gamut
    from ..imaging.read import read_volume
    from ..imaging.windows import choose_window, codes
    from ..inference.network import NetworkPainter
    from ..inference.painter import Subject
    from .sample import mni_path
    from .tasks import upright

    try:
        head = read_volume(mni_path())
    except InputError:
        return None
    frame = facts.input
    axis = _AXES[frame.plane]  # the template's axes are R, A and S
    middle = round((_MIDDLE_MM[frame.plane] - head.affine[axis, 3]) / head.affine[axis, axis])
    half = max(1, frame.slices // 2)
    around = np.arange(middle - half, middle + half + 1)
    gray = codes(np.take(head.array, around, axis=2 - axis), choose_window(head, None))
    made = Bundle(Path("."), facts.name, facts.title, facts.method, facts.kind, facts.config, frame, "fp32", {}, "")
    painter = NetworkPainter(made, network, device="cpu")
    proposal = painter.paint(Subject(gray, head.affine, "MR"), 0, len(gray))
    color, _ = fit_gamut(proposal, gray, "exact")
    # The two axes that are left, as columns of an affine, so that the picture can be turned upright.
    left = [n for n in range(3) if n != axis]
    return upright(np.take(color, half, axis=2 - axis), head.affine[:, [*left, axis, 3]])


def _strip(grays: Picture, colors: Picture) -> Picture:
    """The grays from black to white above what becomes of each: the median colour, at the brightness of the gray."""
    from ..imaging.luma import fit_gamut

    ramp = np.linspace(0, 255, SIZE).round().astype(np.uint8)
    known, medians = [], []
    for low in range(0, 256, 8):
        inside = colors[(grays >= low) & (grays < low + 8)]
        if len(inside) >= 20:
            known.append(low + 4)
            medians.append(np.median(inside, axis=0))
    if not known:
        known, medians = [0], [np.zeros(3)]
    table = np.array(medians, np.float32)
    proposal = np.stack([np.interp(ramp, known, table[:, channel]) for channel in range(3)], axis=-1)
    row, _ = fit_gamut(proposal[None, None].astype(np.float32), ramp[None, None], "exact")
    out = np.empty((SIZE, SIZE, 3), np.uint8)
    out[: SIZE // 3] = ramp[None, :, None]
    out[SIZE // 3 :] = row[0]
    return out


def _png(picture: Picture) -> bytes:
    """The picture in the middle of a black square of the thumbnail's size."""
    from PIL import Image

    image = Image.fromarray(picture)
    image.thumbnail((SIZE, SIZE), Image.Resampling.LANCZOS)
    square = Image.new("RGB", (SIZE, SIZE))
    square.paste(image, ((SIZE - image.width) // 2, (SIZE - image.height) // 2))
    out = BytesIO()
    square.save(out, "PNG", optimize=True)
    return out.getvalue()
