"""What the worker needs to colour volumes after reference pictures: who paints, and which picture was taken.

Not for: files (`exemplar_job.py`, whose ways of choosing are used here) or other models (`tasks.py`).
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.volume import Volume
from ..imaging.windows import Window, codes
from ..progress import CancelToken, OnProgress

if TYPE_CHECKING:
    from ..exemplar.volume import ExemplarPainter

OFFERED = ("welsh", "zeng")
"""Of the transfers: the one that takes seconds, and the one of the paper."""
PICTURE = "reference.ppm"
_SHOWN = 320
"""Pixels: the longer side of a reference as it is shown."""
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
            "description": f"Colours after a picture of yours or of a library: {entry.summary} ({entry.paper}).",
        }
        for name in OFFERED
        for entry in (describe(name),)
    ]


def painter_of(
    request: dict[str, Any], volume: Volume, window: Window, folder: Path, on_progress: OnProgress, keys: int | None
) -> tuple[ExemplarPainter, dict[str, Any]]:
    """The painter of a request, and what it is painted after: `{"file", "name"}`, the file in the request's folder."""
    from ..exemplar.library import ReferenceLibrary
    from ..exemplar.volume import key_positions
    from .exemplar_job import ExemplarJob, KeyPlan, find_references, make_painter

    path = _path(request)
    gray = np.stack([codes(plane, window) for plane in volume.array])
    positions = key_positions(gray, volume.spacing[0], keys)
    plan = KeyPlan(positions, [gray[k] for k in positions])
    library = path if is_library(path) else None
    job = ExemplarJob(
        Path(),
        library=library,
        reference=None if library else path,
        background="keep" if library else _background(path),
        method=request["model"]["name"],
    )
    matches = find_references(job, plan, ReferenceLibrary(library)) if library else None
    painter = make_painter(job, plan, matches, on_progress)
    first = painter.keys[0]
    return painter, {"file": _show(folder, first.reference), "name": str(first.described["picture"])}


def reference(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """What a path holds: a picture, to be shown, or how many pictures of a library."""
    from ..exemplar.library import ReferenceLibrary
    from ..exemplar.pictures import read_picture

    path = _path(request)
    if is_library(path):
        return {"count": len(ReferenceLibrary(path))}
    return {"file": _show(folder, read_picture(path, _background(path), 4 * _SHOWN)), "name": path.name}


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


def _background(path: Path) -> Any:
    """Sections in blue gelatine are told by their blue: it must not be taken for tissue."""
    from ..exemplar.pictures import looks_embedded, read_rgb

    return "cryosection" if looks_embedded(read_rgb(path, 512)) else "keep"


def _show(folder: Path, picture: NDArray[np.uint8]) -> str:
    from ..exemplar.pictures import resized

    scale = min(1.0, _SHOWN / max(picture.shape[:2]))
    small = resized(picture, (max(1, round(picture.shape[0] * scale)), max(1, round(picture.shape[1] * scale))))
    header = f"P6 {small.shape[1]} {small.shape[0]} 255\n".encode()
    (folder / PICTURE).write_bytes(header + np.ascontiguousarray(small, np.uint8).tobytes())
    return PICTURE
