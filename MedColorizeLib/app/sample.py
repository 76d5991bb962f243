"""The sample head: the MNI152 T1 template (1 mm) with its tissue maps, which the PyPI package nilearn carries.

Nothing of it is in this project; the demo and the benchmarks read it where nilearn has put it.
"""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import numpy as np

from ..errors import InputError
from ..imaging.read import open_scan
from ..imaging.volume import LabelVolume, Volume

_FILE = "mni_icbm152_{}_tal_nlin_sym_09a_converted.nii.gz"
TISSUES = {1: "gray matter", 2: "white matter", 3: "csf"}


def mni_path(which: str = "t1") -> Path:
    """The file of the T1 template (`t1`), or of the gray (`gm`) or white matter map (`wm`)."""
    spec = find_spec("nilearn")
    if spec is None or spec.origin is None:
        raise InputError("The sample head comes with nilearn, which is not installed: pip install 'medcolorize[demo]'.")
    path = Path(spec.origin).parent / "datasets" / "data" / _FILE.format(which)
    if not path.is_file():
        raise InputError(f"This version of nilearn has no {path.name}. Install the tested one: nilearn==0.14.1.")
    return path


def mni_tissues(head: Volume) -> LabelVolume:
    """Gray matter, white matter and fluid of the head: the more probable of the two maps, fluid where neither is."""
    gray, white = (open_scan(mni_path(which)).read().array.astype(np.float32) for which in ("gm", "wm"))
    gray, white = gray / gray.max(), white / white.max()
    labels = np.where(gray >= white, 1, 2).astype(np.uint8)
    labels[np.maximum(gray, white) < 0.35] = 3
    labels[head.array == 0] = 0
    return LabelVolume(labels, head.affine, TISSUES)
