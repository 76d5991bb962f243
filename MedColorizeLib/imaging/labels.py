"""Telling a label map from a gray image, so that the one is not coloured as if it were the other."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError

_NAMES = re.compile(r"(^|[^a-z])(label|labels|labelmap|seg|segmentation|mask|aseg|aparc|structures|tissues)([^a-z]|$)")


def refuse_color(path: Path, channels: int) -> None:
    """Only gray volumes can be coloured."""
    if channels > 1:
        raise InputError(
            f"{path} is a colour or vector volume ({channels} components a voxel), "
            "and only gray volumes can be coloured. Choose the original scan."
        )


def refuse_labels(path: Path, array: NDArray[Any], stated: bool = False) -> None:
    """Only intensities can be coloured: no label maps (`stated`: the header says it is one), no complex numbers."""
    if array.dtype.kind == "c":
        raise InputError(f"{path} holds complex numbers. Give its magnitude as a file of its own.")
    if stated or looks_like_labels(array, path):
        raise InputError(f"{path} is a label map, not a scan. Give the scan as input, and this with --labels.")


def looks_like_labels(array: NDArray[Any], path: Path | None = None) -> bool:
    """True if the values are few, whole and lie in flat patches, as labels do and measured tissue never does.

    Values that fill their range (1, 2, 3, ...) speak for labels; where they don't, the file's name must say so too.
    """
    middle = array[array.shape[0] // 4 : -(-3 * array.shape[0] // 4) or None]
    step = max(1, middle.shape[0] // 16)
    some = middle[::step]
    if some.size == 0 or some.dtype.kind not in "iufb":
        return False
    if some.dtype.kind == "f" and not (np.isfinite(some).all() and (some == np.rint(some)).all()):
        return False
    least, most = some.min(), some.max()
    if least < 0 or most <= 0 or most > 65535 or least == most:
        return False
    values = np.flatnonzero(np.bincount(some.astype(np.uint16).reshape(-1)))  # many times faster than sorting
    if len(values) > 1024 or values[0] != 0:
        return False
    left, right = some[..., :-1], some[..., 1:]
    either = (left != 0) | (right != 0)
    pairs = int(np.count_nonzero(either))
    if pairs < 20 or np.count_nonzero((left == right) & either) < 0.6 * pairs:
        return False
    dense = len(values) >= 0.3 * float(most)
    return dense or bool(path and _NAMES.search(path.name.lower()))
