"""What a bundle folder holds, and its metadata as typed data.

    metadata.json       MONAI-bundle keys where they fit; everything this program reads is under "medcolorize"
    model.safetensors   the inference network's state dict
    README.md           the model card
    SHA256SUMS          of the others, in the format of sha256sum
    thumbnail.png       optional: a little picture of its colours
    good.jpg, bad.jpg   optional: a case it colours well, and one it doesn't; the card shows them

Not for: trusting it (`verify`) or building networks (`load`).
"""

from __future__ import annotations

import difflib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, get_type_hints

from ..errors import ModelError
from .likeness import Likeness

SCHEMA = 1
METADATA, WEIGHTS, CARD, SUMS = "metadata.json", "model.safetensors", "README.md", "SHA256SUMS"
FILES = (METADATA, WEIGHTS, CARD, SUMS)
THUMBNAIL = "thumbnail.png"
PICTURES = ("good.jpg", "bad.jpg")
KNOWN = (*FILES, THUMBNAIL, *PICTURES)
"""What a bundle may hold; all but the pictures it must."""
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,63}")
PLAIN_METHOD = "medcolorize"
_LARGEST_TEXT = 1 << 20
_MONAI = (
    "schema", "version", "changelog", "monai_version", "pytorch_version", "numpy_version", "required_packages_version",
    "optional_packages_version", "name", "task", "description", "authors", "copyright", "data_source", "data_type",
    "image_classes", "label_classes", "pred_classes", "eval_metrics", "intended_use", "references",
    "network_data_format", "license",
)  # fmt: skip


@dataclass(frozen=True)
class InputFrame:
    """How the network wants its slices: what training did to them, so that use does the same."""

    plane: str
    slices: int
    size: int
    """Pixels of a training picture: smaller slices are padded to it."""
    divisor: int
    spacing: float
    """mm per pixel; 0: slices are fitted into the size."""
    masked: bool
    """True if training saw black around the body."""
    modality: str = ""
    window: str = "auto"
    every_mm: float = 0.0
    """The network is run on slices so far apart, and those around share the colour; 0: on each, for itself."""

    def check(self, source: Path) -> None:
        wrong = (
            self.plane not in ("axial", "coronal", "sagittal")
            or not (1 <= self.slices <= 99 and self.slices % 2)
            or not 1 <= self.size <= 8192
            or not 1 <= self.divisor <= 1024
            or not 0 <= self.spacing <= 100
            or not 0 <= self.every_mm <= 20
        )
        if wrong:
            raise ModelError(f"{source}: the input described there makes no sense ({self}). The bundle can't be used.")


@dataclass(frozen=True)
class Bundle:
    """A bundle's metadata, read and typed; its weights are untouched so far."""

    folder: Path
    name: str
    title: str
    method: str
    kind: str
    config: Mapping[str, Any]
    input: InputFrame
    precision: str
    training: Mapping[str, Any]
    sha256: str
    """Of the weights."""
    description: str = ""
    likeness: Likeness | None = None
    """What the training scans looked like, where that was measured."""

    @property
    def weights(self) -> Path:
        return self.folder / WEIGHTS

    @property
    def needs_torch(self) -> bool:
        """Whether its network runs in torch alone; this project's own runs in NumPy as well (`inference.plain_net`)."""
        return self.method != PLAIN_METHOD

    def card(self) -> str:
        """The model card."""
        path = self.folder / CARD
        return path.read_text(encoding="utf-8", errors="replace") if path.is_file() else ""


def read_json(path: Path) -> dict[str, Any]:
    """A small JSON object. Text in it is text: nothing is looked up, imported or evaluated."""
    try:
        if path.stat().st_size > _LARGEST_TEXT:
            raise ModelError(f"{path} is larger than any metadata: {path.stat().st_size} bytes. The bundle is refused.")
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(
            f"{path.parent} is not a model bundle: it holds no {path.name}. Make one with `medcolorize export`."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path} can't be read: {error}. The bundle is damaged; install it again.") from error
    if not isinstance(content, dict):
        raise ModelError(f"{path} holds no JSON object. The bundle is damaged; install it again.")
    return content


def read_bundle(folder: Path) -> Bundle:
    """The metadata of a bundle; unknown or missing keys are refused, since they might mean something."""
    folder = Path(folder)
    path = folder / METADATA
    content = read_json(path)
    _refuse_unknown(content, (*_MONAI, "medcolorize"), path)
    own = content.get("medcolorize")
    if not isinstance(own, dict):
        raise ModelError(
            f"{path} has no part named 'medcolorize'. Bundles of other programs aren't used: they'd have to be run."
        )
    if own.get("schema") != SCHEMA:
        raise ModelError(
            f"{path} follows schema {own.get('schema')!r}; this program reads schema {SCHEMA}. Update MedColorize, or "
            "export the model again."
        )
    keys = ("schema", "name", "title", "method", "kind", "config", "input", "precision", "training", "sha256")
    _refuse_unknown(own, (*keys, "likeness"), path)
    for key, kind in (("name", str), ("title", str), ("method", str), ("kind", str), ("config", dict), ("input", dict),
                      ("precision", str), ("training", dict), ("sha256", str)):  # fmt: skip
        if not isinstance(own.get(key), kind):
            raise ModelError(f"{path}: '{key}' is missing or not of type {kind.__name__}. The bundle is damaged.")
    if not NAME.fullmatch(own["name"]):
        raise ModelError(
            f"{path}: '{own['name'][:80]}' is no name for a model (small letters, digits, '.', '_', '-'; at most 64)."
        )
    if own["precision"] not in ("fp32", "fp16"):
        raise ModelError(f"{path}: precision is {own['precision'][:20]!r}; it must be fp32 or fp16.")
    description = content.get("description", "")
    return Bundle(
        folder=folder,
        name=own["name"],
        title=own["title"],
        method=own["method"],
        kind=own["kind"],
        config=own["config"],
        input=_typed(own["input"], path),
        precision=own["precision"],
        training=own["training"],
        sha256=own["sha256"],
        description=description if isinstance(description, str) else "",
        likeness=Likeness.from_mapping(own["likeness"], path) if "likeness" in own else None,
    )


def _typed(raw: Mapping[str, Any], path: Path) -> InputFrame:
    types = get_type_hints(InputFrame)
    _refuse_unknown(raw, tuple(types), path)
    values: dict[str, Any] = {}
    for field in fields(InputFrame):
        value = raw.get(field.name, field.default)
        if types[field.name] is float and isinstance(value, int) and not isinstance(value, bool):
            value = float(value)
        if type(value) is not types[field.name]:
            raise ModelError(f"{path}: 'input.{field.name}' is missing or not of type {types[field.name].__name__}.")
        values[field.name] = value
    frame = InputFrame(**values)
    frame.check(path)
    return frame


def _refuse_unknown(raw: Mapping[str, Any], known: tuple[str, ...], path: Path) -> None:
    for key in raw:
        if key not in known:
            near = difflib.get_close_matches(key, known, n=1)
            hint = f" Did you mean '{near[0]}'?" if near else ""
            raise ModelError(f"{path}: unknown key '{key[:80]}'.{hint} The bundle is refused.")
