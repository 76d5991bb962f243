"""Writing a bundle: weights, metadata, model card and sums, in place all at once. Imports torch.

Not for: reading run folders (the command `export` brings a run's network and facts here).
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import save_file
from torch import Tensor, nn

from .. import __version__
from ..errors import ModelError, UsageError
from ..imaging.atomic import AtomicTarget
from .amend import write_sums
from .card import model_card
from .folder import CARD, METADATA, NAME, SCHEMA, THUMBNAIL, WEIGHTS, Bundle, InputFrame
from .verify import sha256_of, verify

_MONAI_SCHEMA = (
    "https://github.com/Project-MONAI/MONAI-extra-test-data/releases/download/0.8.1/meta_schema_20240725.json"
)


@dataclass(frozen=True)
class Facts:
    """What the metadata and the card tell of a model."""

    name: str
    title: str
    method: str
    paper: str
    kind: str
    config: Mapping[str, Any]
    input: InputFrame
    training: Mapping[str, Any]
    """Budget, data in words, validation figures; nothing that identifies a patient."""
    notes: Sequence[str] = ()
    terms: str = ""
    """Terms of the data it was trained on, and so of the weights."""
    about: str = ""
    """What it is for, in a line."""
    output_channels: int = 3
    options: Mapping[str, Any] = field(default_factory=dict)


def write_bundle(
    target: Path,
    network: nn.Module,
    facts: Facts,
    *,
    half: bool = False,
    thumbnail: bytes | None = None,
    overwrite: bool = False,
) -> Bundle:
    """Write the bundle folder `target` and verify what was written. `thumbnail`: a small PNG."""
    if not NAME.fullmatch(facts.name):
        raise UsageError(
            f"'{facts.name}' is no name for a model: use small letters, digits, '.', '_' and '-', at most 64 (--name)."
        )
    tensors = {key: value.detach().to("cpu", copy=True).contiguous() for key, value in network.state_dict().items()}
    bad = [key for key, value in tensors.items() if value.is_floating_point() and not bool(torch.isfinite(value).all())]
    if bad:
        raise ModelError(
            f"The network's {bad[0]} holds numbers that are not finite: training diverged. Nothing was written."
        )
    if half:
        tensors = {key: value.half() if value.is_floating_point() else value for key, value in tensors.items()}
    with AtomicTarget(target, folder=True, overwrite=overwrite) as output:
        folder = output.temporary
        save_file(tensors, folder / WEIGHTS)
        metadata = _metadata(facts, sha256_of(folder / WEIGHTS), half)
        (folder / METADATA).write_text(json.dumps(metadata, indent=2, ensure_ascii=False), encoding="utf-8")
        parameters = sum(value.numel() for value in tensors.values())
        (folder / CARD).write_text(model_card(facts, parameters, half), encoding="utf-8")
        if thumbnail is not None:
            (folder / THUMBNAIL).write_bytes(thumbnail)
        write_sums(folder)
        verify(folder)
        output.commit()
    return verify(target)


def halved(network: nn.Module) -> dict[str, Tensor]:
    """The state dict as it comes back from half precision."""
    return {
        key: value.half().float() if value.is_floating_point() else value for key, value in network.state_dict().items()
    }


_CAVEAT = {"color": "Synthetic colour, not for diagnosis.", "segmentation": "Not for diagnosis."}


def _metadata(facts: Facts, weights_hash: str, half: bool) -> dict[str, Any]:
    import monai
    import numpy as np

    frame = facts.input
    extent = [f"{frame.divisor}*n"] * 2
    image = {
        "type": "image", "format": "magnitude", "modality": frame.modality or "any", "num_channels": frame.slices,
        "spatial_shape": extent, "dtype": "float32", "value_range": [-1, 1], "is_patch_data": False,
        "channel_def": {str(n): f"slice {n - frame.slices // 2:+d}" for n in range(frame.slices)},
    }  # fmt: skip
    colour = {
        "type": "image", "format": "RGB" if facts.kind == "color" else "segmentation", "modality": "n/a",
        "num_channels": facts.output_channels, "spatial_shape": extent, "dtype": "float32", "value_range": [-1, 1],
        "is_patch_data": False,
        "channel_def": {"0": "red", "1": "green", "2": "blue"} if facts.kind == "color" else {},
    }  # fmt: skip
    return {
        "schema": _MONAI_SCHEMA,
        "version": "1.0.0",
        "changelog": {"1.0.0": "first export"},
        "monai_version": monai.__version__,
        "pytorch_version": torch.__version__.split("+")[0],
        "numpy_version": np.__version__,
        "required_packages_version": {},
        "name": facts.title,
        "task": "Colourisation of gray medical slices" if facts.kind == "color" else "Segmentation of gray slices",
        "description": f"{facts.about or f'{facts.title}: {facts.method} ({facts.paper}).'} {_CAVEAT[facts.kind]}",
        "authors": "MedColorize",
        "copyright": facts.terms,
        "data_source": str(facts.training.get("data", "")),
        "intended_use": "Teaching and research. The colour is synthetic: not for diagnosis.",
        "references": [facts.paper],
        "network_data_format": {"inputs": {"image": image}, "outputs": {"pred": colour}},
        "medcolorize": {
            "schema": SCHEMA,
            "name": facts.name,
            "title": facts.title,
            "method": facts.method,
            "kind": facts.kind,
            "config": dict(facts.config),
            "input": asdict(frame),
            "precision": "fp16" if half else "fp32",
            "training": {**facts.training, "program": f"MedColorize {__version__}"},
            "sha256": weights_hash,
        },
    }
