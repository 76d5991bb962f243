"""Reading safetensors files as NumPy arrays, strictly: a length, a JSON header, and numbers that lie end to end.

By hand, since a model must colour where nothing can be installed (Slicer in a clinic); writing is the library's.
Not for: types that bundles don't use.
"""

from __future__ import annotations

import json
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError

_DTYPES = {"F32": "<f4", "F16": "<f2", "I64": "<i8", "I32": "<i4", "U8": "u1", "BOOL": "?"}
_LARGEST_HEADER = 16 << 20


def read_tensors(path: Path) -> dict[str, NDArray[Any]]:
    """The tensors by name, in the file's order and read-only: they share the file's bytes.

    Raises `ModelError` for whatever does not follow the format to the byte.
    """
    content = path.read_bytes()
    start = 8 + int.from_bytes(content[:8], "little")
    if not 8 < start <= min(len(content), _LARGEST_HEADER):
        raise _broken(path, "its header is cut off")
    try:
        header = json.loads(content[8:start].decode("utf-8"))
        entries = [(name, entry) for name, entry in header.items() if name != "__metadata__"]
        entries.sort(key=lambda each: each[1]["data_offsets"])
        out = {}
        at = 0
        for name, entry in entries:
            kind, shape, (low, high) = entry["dtype"], entry["shape"], entry["data_offsets"]
            if kind not in _DTYPES:
                raise ModelError(f"{path}: {name} is stored as {str(kind)[:20]}, which is not known.")
            if not all(type(side) is int and side >= 0 for side in (*shape, low, high)):
                raise _broken(path, f"{name} has no shape")
            if low != at or high != at + prod(shape) * np.dtype(_DTYPES[kind]).itemsize:
                raise _broken(path, f"{name} is not where it should be")
            if start + high > len(content):
                raise _broken(path, "it is cut off")
            out[name] = np.frombuffer(content, _DTYPES[kind], prod(shape), start + low).reshape(shape)
            at = high
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise _broken(path, f"its header can't be read ({error})") from error
    if start + at != len(content):
        raise _broken(path, "more follows than it should hold")
    return out


def _broken(path: Path, why: str) -> ModelError:
    return ModelError(f"{path} is not a whole safetensors file: {why}. Install the bundle again.")
