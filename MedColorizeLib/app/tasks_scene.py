"""What the worker can do with volumes that lie in the scene already: show where a model is unsure.

Not for: colouring and everything else (`tasks.py`, which lists these, too).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..progress import CancelToken, OnProgress
from . import protocol


def uncertainty(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Where the model of a coloured volume is unsure, into `uncertainty.npy`, with the figures to show it by."""
    from ..imaging.foreground import soft_mask
    from ..imaging.windows import choose_window
    from .tasks import _colorizer, _window

    volume = protocol.load_volume(folder, request["volume"])
    colorizer = _colorizer(request)
    made_by, here = request.get("model_sha256"), colorizer.painter_for(volume).describe().get("model_sha256")
    if made_by and made_by != here:
        raise InputError(
            f"The installed model '{request['model']['name']}' is not the one that coloured this volume (its weights "
            "differ). Colour the volume again, or install the model that was used."
        )
    window = choose_window(volume, _window(request))
    found = colorizer.uncertainty(volume, window=window, on_progress=on_progress, cancel=cancel)
    out = protocol.ArrayFile(folder / "uncertainty.npy", found.shape, np.float32)
    try:
        for k in range(found.shape[0]):
            out.write(found[k])
    finally:
        out.close()
    mask = soft_mask(volume.array, window, volume.spacing)
    body = np.concatenate([found[k][mask.slab(k, k + 1)[0] > 127] for k in range(0, found.shape[0], 2)])
    high = float(np.percentile(body, 99)) if body.size else 0.0
    return {
        "file": "uncertainty.npy",
        "affine": volume.affine.tolist(),
        "median": float(np.median(body)) if body.size else 0.0,
        "high": high,
    }
