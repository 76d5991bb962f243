"""Tissue palettes: colour by look-up, from intensity or from labels; the baseline for whatever is trained.

A palette is a small TOML file (`Resources/Palettes`, or the user's own):

    title = "Head MR, natural anatomy"
    modality = "MR"            # which scans it is the default for; may be left out
    unit = "code"              # positions are 0..255 of the window; or "value": scanner units (HU)
    stops = [                  # colour by intensity, interpolated between positions
      { at = 0,   rgb = [0, 0, 0],       name = "air" },
      { at = 255, rgb = [242, 214, 160], name = "fat" },
    ]
    labels = [                 # colour by label; `match` finds labels whose name contains it
      { value = 1, rgb = [200, 150, 140], name = "gray matter" },
      { match = "white matter", rgb = [235, 220, 195] },
    ]

A Slicer colour table (`.ctbl` or `.txt`: `value name R G B A` a line) is read as labels.
"""

from __future__ import annotations

import hashlib
import tomllib
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..imaging.volume import LabelVolume
from ..resources import resources_dir

Rgb = tuple[float, float, float]


@dataclass(frozen=True)
class Stop:
    """A colour at a position along the intensities."""

    at: float
    rgb: Rgb
    name: str = ""


@dataclass(frozen=True)
class LabelColor:
    """A colour for one label value, or for every label whose name contains `match`."""

    rgb: Rgb
    value: int | None = None
    match: str = ""
    name: str = ""


@dataclass(frozen=True)
class Palette:
    """A table painter read from a palette file."""

    name: str
    title: str
    modality: str
    value_unit: str
    stops: tuple[Stop, ...]
    labels: tuple[LabelColor, ...] = ()
    sha256: str = field(default="", repr=False)

    def describe(self) -> dict[str, Any]:
        """For the provenance."""
        return {"method": "palette", "model": self.name, "model_sha256": self.sha256}

    @property
    def value_range(self) -> tuple[float, float]:
        """The positions between which colours change."""
        return self.stops[0].at, self.stops[-1].at

    def colors_at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """RGB proposals at these positions, interpolated between the stops."""
        at, rgb = [s.at for s in self.stops], np.array([s.rgb for s in self.stops])
        return np.stack([np.interp(positions, at, rgb[:, channel]) for channel in range(3)], axis=-1)

    def colors_of_labels(self, labels: LabelVolume) -> dict[int, Rgb]:
        """The colour of each label value known by number or by name."""
        known: dict[int, Rgb] = {}
        for color in self.labels:
            if color.value is not None:
                known[color.value] = color.rgb
            for value, name in labels.names.items():
                if color.match and color.match.lower() in name.lower().replace("_", " ").replace("-", " "):
                    known[value] = color.rgb
        return known


def palette_names() -> list[str]:
    """The palettes that came with this copy."""
    return sorted(p.stem for p in (resources_dir() / "Palettes").glob("*.toml"))


def load_palette(name_or_file: str | Path) -> Palette:
    """A palette by its name, or from the user's own file."""
    path = Path(name_or_file)
    if path.suffix.lower() not in (".toml", ".ctbl", ".txt"):
        path = resources_dir() / "Palettes" / f"{name_or_file}.toml"
        if not path.is_file():
            raise UsageError(
                f"There is no palette called '{name_or_file}'. Palettes: {', '.join(palette_names())}; "
                "or the path of a .toml file."
            )
    try:
        content = path.read_bytes()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.") from error
    try:
        text = content.decode("utf-8")
        palette = _from_toml(path, tomllib.loads(text)) if path.suffix.lower() == ".toml" else _from_table(path, text)
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is not a palette: {error}.") from error
    return Palette(**{**palette.__dict__, "sha256": hashlib.sha256(content).hexdigest()})


def default_palette(modality: str) -> Palette:
    """The palette made for this modality; the natural head MR one where none is."""
    for name in palette_names():
        palette = load_palette(name)
        if modality and palette.modality == modality:
            return palette
    return load_palette("head-mr")


def _from_toml(path: Path, table: dict[str, Any]) -> Palette:
    unknown = set(table) - {"title", "modality", "unit", "stops", "labels"}
    if unknown:
        raise InputError(f"{path}: unknown key '{sorted(unknown)[0]}'. Known: title, modality, unit, stops, labels.")
    unit = table.get("unit", "code")
    if unit not in ("code", "value"):
        raise InputError(f"{path}: unit is 'code' (0..255 of the window) or 'value' (scanner units), not '{unit}'.")
    stops = tuple(
        Stop(_number(path, entry, "at"), _rgb(path, entry), str(entry.get("name", "")))
        for entry in _entries(path, table, "stops", {"at", "rgb", "name"})
    )
    if len(stops) < 2 or any(a.at >= b.at for a, b in pairwise(stops)):
        raise InputError(f"{path}: a palette needs at least two stops, with rising positions ('at').")
    labels = tuple(
        LabelColor(_rgb(path, entry), entry.get("value"), str(entry.get("match", "")), str(entry.get("name", "")))
        for entry in _entries(path, table, "labels", {"value", "match", "rgb", "name"})
    )
    if any(color.value is None and not color.match for color in labels):
        raise InputError(f"{path}: each label needs a 'value' (a whole number) or a 'match' (part of its name).")
    return Palette(path.stem, str(table.get("title", path.stem)), str(table.get("modality", "")), unit, stops, labels)


def _from_table(path: Path, text: str) -> Palette:
    labels = []
    for number, line in enumerate(text.splitlines(), 1):
        fields = line.split()
        if not fields or fields[0].startswith("#"):
            continue
        try:
            value, rgb = int(fields[0]), (float(fields[-4]), float(fields[-3]), float(fields[-2]))
        except (ValueError, IndexError) as error:
            raise InputError(
                f"{path}, line {number}: expected 'value name R G B A', found '{line.strip()}'."
            ) from error
        if value:
            labels.append(LabelColor(rgb, value, "", " ".join(fields[1:-4])))
    if not labels:
        raise InputError(f"{path} holds no colours: expected lines 'value name R G B A'.")
    gray = (Stop(0, (0, 0, 0)), Stop(255, (255, 255, 255)))
    return Palette(path.stem, path.stem, "", "code", gray, tuple(labels))


def _entries(path: Path, table: dict[str, Any], key: str, known: set[str]) -> list[dict[str, Any]]:
    entries = table.get(key, [])
    if not isinstance(entries, list) or not all(isinstance(e, dict) for e in entries):
        raise InputError(f"{path}: '{key}' is a list of tables such as {{ at = 0, rgb = [0, 0, 0] }}.")
    for entry in entries:
        if set(entry) - known:
            raise InputError(
                f"{path}: unknown key '{sorted(set(entry) - known)[0]}' in '{key}'. Known: {sorted(known)}."
            )
        if not isinstance(entry.get("value", 0), int):
            raise InputError(f"{path}: the value of a label is a whole number, not '{entry['value']}'.")
    return entries


def _number(path: Path, entry: dict[str, Any], key: str) -> float:
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise InputError(f"{path}: '{key}' is a number in every stop, not '{value}'.")
    return float(value)


def _rgb(path: Path, entry: dict[str, Any]) -> Rgb:
    rgb = entry.get("rgb")
    if (
        not isinstance(rgb, list)
        or len(rgb) != 3
        or not all(isinstance(v, (int, float)) and 0 <= v <= 255 for v in rgb)
    ):
        raise InputError(f"{path}: 'rgb' is three numbers from 0 to 255, not {rgb}.")
    return float(rgb[0]), float(rgb[1]), float(rgb[2])
