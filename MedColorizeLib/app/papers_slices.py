"""The slices and references behind Zeng's tables: MR, CT and ultrasound at hand, or folders given by the person.

The reference of a slice is the nearest by D-hash, as in the paper; all rows of a table share it.
Not for: running transfers or scoring (`papers_exemplar`).
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..evaluation.papers import Table
from ..progress import CancelToken, OnProgress
from .papers_data import GAP, HELD_FRAMES, HELD_SUBJECTS, Sources

Codes = NDArray[np.uint8]

_FIELDS = {"MR": 210.0, "CT": 400.0}
"""mm that the frame of a slice spans: a brain without its skull, a chest with the arms raised."""
_PSEUDO_STOPS = np.array([0, 40, 85, 130, 180, 255])
_PSEUDO_COLORS = np.array([(0, 0, 0), (70, 25, 120), (200, 40, 80), (240, 130, 50), (250, 220, 90), (255, 255, 255)])
"""Our pseudo-colour: black, violet, crimson, orange, yellow, white. Its luma grows with the gray value."""
_HEADS = range(40, 200, 4)
_SPARE = 3
"""So many slices are taken for each that is judged. No multiple of the number of heads, so that all get judged."""


@dataclass(frozen=True, eq=False)
class Slice:
    """A slice to be coloured and the reference it is coloured from."""

    name: str
    group: str
    """MR, CT or US."""
    gray: Codes
    reference: Codes
    """RGB, cropped to its tissue, its longer side as long as the slice's."""


@dataclass(frozen=True, eq=False)
class Slices:
    """All slices of a table, kind after kind, and what a reader should know about them."""

    found: tuple[Slice, ...]
    notes: tuple[str, ...]


def find_slices(
    table: Table,
    sources: Sources,
    size: int,
    pictures: int,
    cache: Path,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Slices:
    """`pictures` slices of each kind with their references."""
    count = _SPARE * pictures
    if sources.gray is not None:
        groups = {"": _from_folder(sources.gray, size, count, cache, on_progress, cancel)}
    else:
        groups = dict(_at_hand(table, sources.data, size, count, cache, on_progress, cancel))
    out: list[Slice] = []
    notes = []
    for group, found in groups.items():
        # The others, pseudo-coloured, are references: no picture is coloured from itself.
        judged, others = found[::_SPARE][:pictures], [plane for n, plane in enumerate(found) if n % _SPARE]
        notes.append(f"{group or 'Folder given'}: {len(judged)} slices.")
        candidates, note = _references(table, sources, group, others, size)
        notes.append(note)
        for number, gray in enumerate(judged, 1):
            reference = nearest(gray, candidates)
            out.append(Slice(f"{group or 'slice'} {number}", group, gray, reference))
    return Slices(tuple(out), tuple(dict.fromkeys(notes)))


def nearest(gray: Codes, candidates: list[Codes]) -> Codes:
    """The candidate with the nearest D-hash, turned the way that is nearest."""
    from ..exemplar import hashing
    from ..exemplar.pictures import cropped
    from ..imaging.colorspaces import luma_codes

    wanted = np.array([hashing.dhash(cropped(gray))])
    apart = np.array([hashing.distances(hashing.turned(luma_codes(one)), wanted)[0] for one in candidates])
    best, turn = np.unravel_index(int(apart.argmin()), apart.shape)
    rows, columns = hashing.TURNS[int(turn)][1]
    return np.ascontiguousarray(candidates[int(best)][::rows, ::columns])


def pseudo_color(gray: Codes) -> Codes:
    """A gray picture through our colour map."""
    channels = [np.interp(np.arange(256), _PSEUDO_STOPS, _PSEUDO_COLORS[:, c]) for c in range(3)]
    return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)[gray]


def _references(table: Table, sources: Sources, group: str, others: list[Codes], size: int) -> tuple[list[Codes], str]:
    from ..exemplar.pictures import cropped

    if sources.color is not None:
        files = [path for path in sorted(sources.color.iterdir()) if path.suffix.lower() in _picture_endings()]
        if not files:
            raise InputError(f"{sources.color} holds no pictures. Give a folder of colour pictures with --color.")
        return [_read(path, size) for path in files], f"References: {len(files)} pictures of the folder given."
    if table.data == "exemplar-pseudo" or (table.data == "exemplar" and group != "MR"):
        if not others:
            raise InputError(f"There are too few slices ({group or 'in the folder given'}) to make references of some.")
        made = [pseudo_color(cropped(gray)) for gray in others]
        return made, f"{group or 'All'}: {len(made)} pseudo-coloured slices that are not judged are the references."
    folder = sources.data / "cryosections" / "vhm"
    held = [range(low - GAP, high + GAP + 1) for low, high in HELD_FRAMES]
    frames = [n for n in _HEADS if not any(n in one for one in held)]
    files = [folder / f"{n:04d}.jpg" for n in frames if (folder / f"{n:04d}.jpg").is_file()]
    if not files:
        raise InputError(f"{folder} holds no cryosections. Give a folder of colour pictures with --color.")
    return [_read(path, size) for path in files], f"{group}: {len(files)} cryosections of the head are the references."


def _read(path: Path, size: int) -> Codes:
    from ..exemplar.pictures import cropped, fitted, looks_embedded, read_rgb, tissue_only

    # Masks of cryosections are made at half of 640 pixels or more; smaller, thin structures get lost.
    rgb = read_rgb(path, max(640, size))
    try:
        picture = cropped(tissue_only(rgb, "cryosection" if looks_embedded(rgb) else "keep"))
    except InputError as error:
        raise InputError(f"{path} can't serve as a reference: {error}") from error
    scale = size / max(picture.shape[:2])
    return fitted(picture, (max(2, round(picture.shape[0] * scale)), max(2, round(picture.shape[1] * scale))))


def _picture_endings() -> tuple[str, ...]:
    from ..exemplar.pictures import ENDINGS

    return ENDINGS


def _at_hand(
    table: Table,
    data: Path,
    size: int,
    count: int,
    cache: Path,
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> Iterator[tuple[str, list[Codes]]]:
    """`count` slices of each kind that a table has, as (kind, slices)."""
    heads = [data / "mr" / "oasis" / f"{name}_t1.nii.gz" for name in HELD_SUBJECTS]
    brains = [path for path in heads if path.is_file()]
    if table.data == "exemplar-brain":
        yield "OASIS", _from_volumes(brains, "MR", size, count, cache, on_progress, cancel)
        sick = [data / "mr" / "brain" / f"stroke_{name}.nii.gz" for name in ("t1", "flair")]
        yield "stroke", _from_volumes(sick, "MR", size, count, cache, on_progress, cancel)
        return
    yield "MR", _from_volumes(brains, "MR", size, count, cache, on_progress, cancel)
    chest = data / "ct" / "thorax_1p4mm.nii.gz"
    yield "CT", _from_volumes([chest], "CT", size, count, cache, on_progress, cancel)
    yield "US", _from_folder(data / "ultrasound", size, count, cache, on_progress, cancel)


def _from_volumes(
    files: list[Path],
    kind: str,
    size: int,
    count: int,
    cache: Path,
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> list[Codes]:
    """`count` axial slices, evenly spread over the files and over the middle of each body part."""
    from ..training.prepare import prepare
    from ..training.settings import DataSettings
    from ..training.sources import Source

    present = [path for path in files if path.is_file()]
    if not present:
        raise InputError(
            f"{files[0].parent if files else 'The data'} lacks the {kind} scans of this table; see --data."
        )
    settings = DataSettings.from_mapping({"size": size, "spacing": _FIELDS[kind] / size})
    share = -(-count // len(present))
    found: list[list[Codes]] = []
    for number, path in enumerate(present):
        source = Source(path.name, path.name, "volume", (path,))
        made = prepare(source, settings, "gray", cache=cache, on_progress=on_progress, cancel=cancel)
        usable = np.flatnonzero(made.fractions > 0.08)
        # Each body at its own levels: together they cover the part more densely than one alone.
        levels = (np.arange(share) + (number + 0.5) / len(present)) / share
        found.append([np.asarray(made.pictures[n]) for n in usable[((0.15 + 0.7 * levels) * len(usable)).astype(int)]])
    return [plane for row in zip(*found, strict=True) for plane in row][:count]


def _from_folder(
    folder: Path, size: int, count: int, cache: Path, on_progress: OnProgress | None, cancel: CancelToken | None
) -> list[Codes]:
    """`count` gray slices of a folder of volumes or pictures, evenly spread over what it holds."""
    from ..training.prepare import prepare
    from ..training.settings import DataSettings
    from ..training.sources import find_sources

    found = find_sources(folder)
    chosen = [found[n] for n in np.unique(np.linspace(0, len(found) - 1, min(count, len(found))).astype(int))]
    settings = DataSettings.from_mapping({"size": size, "spacing": 0.0, "gray_background": "none", "levels": "none"})
    share = -(-count // len(chosen))
    out: list[Codes] = []
    for source in chosen:
        made = prepare(source, settings, "gray", cache=cache, on_progress=on_progress, cancel=cancel)
        middle = np.linspace(0.2, 0.8, share) if share > 1 else np.array([0.5])
        out += [np.asarray(made.pictures[int(x * (len(made.pictures) - 1))]) for x in middle]
    return out[:count]
