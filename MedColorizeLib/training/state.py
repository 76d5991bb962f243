"""Trainer state as tensors and JSON: nested dicts and lists to files without a single pickle, and back, bit for bit.

Not for: deciding what belongs into a checkpoint (`checkpoint`).
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor


def save_state(state: Any, folder: Path, name: str) -> None:
    """Write `name.json` (the structure) and `name.safetensors` (the tensors in it)."""
    tensors: dict[str, Tensor] = {}
    structure = _flatten(state, tensors)
    save_file(tensors, folder / f"{name}.safetensors")
    (folder / f"{name}.json").write_text(json.dumps(structure))


def load_state(folder: Path, name: str) -> Any:
    """What `save_state` wrote; tensors on the CPU."""
    tensors = load_file(folder / f"{name}.safetensors")
    return _restore(json.loads((folder / f"{name}.json").read_text()), tensors)


def _flatten(value: Any, tensors: dict[str, Tensor]) -> Any:
    """Plain values stay; containers are tagged, so that tuples, and keys that are numbers, come back as they were."""
    if isinstance(value, Tensor):
        key = str(len(tensors))
        tensors[key] = value.detach().to("cpu", copy=True).contiguous()
        return {"tensor": key}
    if isinstance(value, Mapping):
        return {"dict": [[_key(key), _flatten(each, tensors)] for key, each in value.items()]}
    if isinstance(value, tuple):
        return {"tuple": [_flatten(each, tensors) for each in value]}
    if isinstance(value, (list, set, frozenset)):
        return {"list": [_flatten(each, tensors) for each in value]}
    if value is None or isinstance(value, (bool, int, float, str)):
        return value
    raise TypeError(f"a checkpoint can't hold a {type(value).__name__}")


def _key(key: Any) -> str | int:
    if isinstance(key, bool) or not isinstance(key, (str, int)):
        raise TypeError(f"a checkpoint can't hold a dict whose key is a {type(key).__name__}")
    return key


def _restore(value: Any, tensors: Mapping[str, Tensor]) -> Any:
    if not isinstance(value, dict):
        return value
    [(kind, inner)] = value.items()
    if kind == "tensor":
        return tensors[inner]
    if kind == "dict":
        return {key: _restore(each, tensors) for key, each in inner}
    out = [_restore(each, tensors) for each in inner]
    return tuple(out) if kind == "tuple" else out


def finite(tensors: Mapping[str, Tensor]) -> str:
    """The name of the first tensor that holds a NaN or an infinity; empty if there is none."""
    for name, tensor in tensors.items():
        if tensor.is_floating_point() and not bool(torch.isfinite(tensor).all()):
            return name
    return ""
