"""What the worker needs to colour volumes after reference pictures: who paints, and which picture was taken.

Not for: files (`exemplar_job.py`, whose ways of choosing are used here) or other models (`tasks.py`).
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..imaging.volume import Volume
from ..imaging.windows import Window, codes
from ..progress import CancelToken, OnProgress, track
from . import protocol

if TYPE_CHECKING:
    from ..exemplar.library import Match
    from ..exemplar.pictures import Background
    from ..exemplar.volume import ExemplarPainter
    from .exemplar_job import KeyPlan

OFFERED = ("welsh", "zeng")
"""Of the transfers: the one that takes seconds, and the one of the paper."""
_NEEDS = {"zeng": " Takes minutes, PyTorch, and VGG-19's weights in PyTorch's cache (Apply says where)."}
PICTURE = "reference.ppm"
NEAREST = 5
"""So many pictures of a library are offered."""
_SHOWN = 320
"""Pixels: the longer side of a reference as it is shown."""
_TISSUE_SHARE = 0.05
"""Of a section's picture at least; less is a speck in something that is blue itself."""
_LIBRARY = b"SQLite format 3\0"


def entries() -> list[dict[str, Any]]:
    """For the list of models."""
    from ..exemplar.registry import describe

    return [
        {
            "kind": "exemplar",
            "name": name,
            "title": entry.title,
            "modality": "",
            "description": f"Colours after a picture of yours or of a library: {entry.summary} ({entry.paper})."
            + _NEEDS.get(name, ""),
        }
        for name in OFFERED
        for entry in (describe(name),)
    ]


def painter_of(
    request: dict[str, Any],
    volume: Volume,
    whole: Volume,
    window: Window,
    folder: Path,
    on_progress: OnProgress,
    keys: int | None,
) -> tuple[ExemplarPainter, dict[str, Any]]:
    """The painter of `volume`, and what it is painted after: `{"file", "name", "sha256"}`, the file in the folder.

    `whole`: the volume that `volume` is (a part of). A library's picture is chosen for all of it, so that a preview
    takes the one that the volume will be coloured after.
    """
    from .exemplar_job import ExemplarJob, describe_match, make_painter

    path = _path(request)
    plan = _plan(volume, window, keys)
    library = path if is_library(path) else None
    job = ExemplarJob(
        Path(),
        library=library,
        reference=None if library else path,
        background="keep" if library else _background(path),
        method=request["model"]["name"],
    )
    matches = None
    if library:
        slices = plan.slices if whole is volume else _plan(whole, window, None).slices
        matches = _matches(path, slices, 1, request.get("picture")) * len(plan.positions)
    painter = make_painter(job, plan, matches, on_progress)
    if matches and request.get("picture_by") == "person":
        described = {**describe_match(matches[0]), "chosen_by": "person"}
        painter.keys = [dataclasses.replace(key, described=described) for key in painter.keys]
    first = painter.keys[0]
    named = {"name": str(first.described["picture"]), "sha256": str(first.described["sha256"])}
    return painter, {**named, "file": _show(folder, first.reference)}


def reference(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """What a path holds: a picture, to be shown, or a library: its size and, for a volume, the pictures nearest to it.

    A picture that can't be shown has a `problem` instead of a `file`.
    """
    from ..errors import MedColorizeError
    from ..exemplar.hashing import TURNS
    from ..exemplar.library import ReferenceLibrary
    from ..exemplar.pictures import read_picture
    from ..imaging.windows import choose_window
    from .tasks import _window

    path = _path(request)
    if not is_library(path):
        background = _background(path)
        picture = read_picture(path, background, 4 * _SHOWN)
        return {"file": _show(folder, picture), "name": path.name, "background": background}
    count = len(ReferenceLibrary(path))
    if not count:
        raise InputError(f"{path} holds no pictures. Index a folder that has some (medcolorize exemplar index).")
    found: dict[str, Any] = {"count": count, "nearest": []}
    if request.get("volume"):
        volume = protocol.load_volume(folder, request["volume"])
        slices = _plan(volume, choose_window(volume, _window(request)), None).slices
        matches = _matches(path, slices, NEAREST)
        sha256 = request.get("picture")
        if sha256 and sha256 not in [match.reference.sha256 for match in matches]:
            matches += _matches(path, slices, 1, sha256)
        for number, match in enumerate(track(matches, "prepare", len(matches), on_progress, cancel)):
            entry: dict[str, Any] = {
                "name": match.reference.path.name,
                "sha256": match.reference.sha256,
                "distance": match.distance,
                "held": TURNS[match.turn][0],
            }
            try:
                entry["file"] = _show(folder, match.reference.read(match.turn), f"reference-{number}.ppm")
            except MedColorizeError as error:
                entry["problem"] = str(error)
            found["nearest"].append(entry)
    return found


def shows_something(volume: Volume, window: Window) -> bool:
    """Whether a key slice can be found in the volume."""
    from ..exemplar.volume import filled_slices
    from .exemplar_job import axial

    return len(filled_slices(axial(volume.affine).apply(codes(volume.array, window)))) > 0


def _plan(volume: Volume, window: Window, keys: int | None) -> KeyPlan:
    from .exemplar_job import plan_of

    return plan_of(volume, codes(volume.array, window), keys)


def _matches(path: Path, slices: list[NDArray[np.uint8]], count: int, sha256: str | None = None) -> list[Match]:
    """The library's pictures for a volume, the best first, or just the one with a hash."""
    from ..exemplar.library import ReferenceLibrary

    library = ReferenceLibrary(path)
    return [library.chosen(sha256, slices)] if sha256 else library.suited(slices, count)


def is_library(path: Path) -> bool:
    """True for the file that `medcolorize exemplar index` makes."""
    try:
        with path.open("rb") as file:
            return file.read(len(_LIBRARY)) == _LIBRARY
    except OSError:
        return False


def _path(request: dict[str, Any]) -> Path:
    if not request.get("reference"):
        raise UsageError("Choose a reference picture, or a library of them (medcolorize exemplar index).")
    return Path(request["reference"])


def _background(path: Path) -> Background:
    """Sections in blue gelatine are told by their blue, which must not be taken for tissue; blue tissue must."""
    from ..exemplar.pictures import looks_embedded, read_rgb
    from ..imaging.cryosection import body

    small = read_rgb(path, 512)
    return "cryosection" if looks_embedded(small) and body(small).mean() > _TISSUE_SHARE else "keep"


def _show(folder: Path, picture: NDArray[np.uint8], name: str = PICTURE) -> str:
    from ..exemplar.pictures import resized

    scale = min(1.0, _SHOWN / max(picture.shape[:2]))
    small = resized(picture, (max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))))
    header = f"P6 {small.shape[1]} {small.shape[0]} 255\n".encode()
    (folder / name).write_bytes(header + np.ascontiguousarray(small, np.uint8).tobytes())
    return name
