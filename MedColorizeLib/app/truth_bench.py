"""Runs `medcolorize bench truth`: every painter through every part, each finished pair kept, so that a rerun continues.

    OUT/truth.md  truth.csv  truth.json    after every finished pair
    OUT/sheets/PART.png                    all painters side by side
    OUT/done/PART/PAINTER.json             finished; made anew when the painter's weights change
    OUT/pictures/PART/PAINTER/NAME.png     what the sheets are made of

Parts: `slabs` (held-out cryosections, luma to colour) and `scans` (MR and CT: tissue colours, Frechet distance to the
photographs, luma, steadiness). Not for: how each is judged (`truth_*`).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import OutputError, UsageError
from ..imaging.atomic import write_atomically
from ..progress import CancelToken, OnProgress, Progress
from .truth_output import SCHEMA, document_text, to_csv
from .truth_painters import TruthPainter
from .truth_sheets import write_sheet

Pictures = Mapping[str, NDArray[np.uint8]]


class Part(Protocol):
    """One part of the bench."""

    name: str

    def settings(self) -> dict[str, Any]:
        """What the figures depend on besides the painter."""
        ...

    def takes(self, painter: TruthPainter) -> bool:
        """Whether this painter has anything to do here."""
        ...

    def references(self) -> Pictures:
        """What the sheet's first column shows, by the names of its rows."""
        ...

    def controls(self, on_progress: OnProgress | None, cancel: CancelToken | None) -> dict[str, Any]:
        """Rows that no painter makes, such as the photographs themselves."""
        ...

    def run(
        self, painter: TruthPainter, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> tuple[dict[str, Any], Pictures]:
        """The painter's figures, and its pictures for the sheet."""
        ...


@dataclass
class TruthBench:
    """What to run, and where its results go."""

    parts: Sequence[Part]
    painters: Sequence[TruthPainter]
    out: Path
    _figures: dict[str, dict[str, Any]] = field(default_factory=dict)

    def run_all(
        self, *, resume: bool, on_progress: OnProgress | None = None, cancel: CancelToken | None = None
    ) -> dict[str, Any]:
        """Every pair of part and painter that isn't finished; returns what `truth.json` holds."""
        self._open(resume)
        pairs = [(part, painter) for part in self.parts for painter in self.painters if part.takes(painter)]
        document: dict[str, Any] = {}
        for part in self.parts:
            own = [(n, painter) for n, (of, painter) in enumerate(pairs) if of is part]
            self._figures[part.name] = self._controls(part, on_progress, cancel)
            for done, painter in own:
                if on_progress:
                    on_progress(Progress("truth", done, len(pairs), f"{part.name}: {painter.name}"))
                if cancel:
                    cancel.check()
                self._figures[part.name][painter.name] = self._one(part, painter, on_progress, cancel)
                document = self._write()
            write_sheet(self.out / "sheets" / f"{part.name}.png", self._columns(part, [p for _, p in own]))
        if on_progress:
            on_progress(Progress("truth", len(pairs), len(pairs), "done"))
        return document

    def _open(self, resume: bool) -> None:
        settings = {part.name: part.settings() for part in self.parts}
        path = self.out / "bench.json"
        if path.is_file():
            if not resume:
                raise OutputError(
                    f"{self.out} holds results already. Continue them with --resume, or choose another folder."
                )
            known = json.loads(path.read_text(encoding="utf-8"))
            for name, own in settings.items():
                if known.get(name, own) != json.loads(json.dumps(own)):
                    raise UsageError(
                        f"{self.out} was made with other settings of the part '{name}'. Use the same ones, or another "
                        "folder."
                    )
            settings = {**known, **settings}
        elif self.out.is_dir() and any(self.out.iterdir()):
            raise OutputError(f"{self.out} is not empty and holds no results of this bench. Choose another folder.")
        write_atomically(path, json.dumps(settings, indent=1))

    def _controls(self, part: Part, on_progress: OnProgress | None, cancel: CancelToken | None) -> dict[str, Any]:
        path = self.out / "done" / part.name / "_controls.json"
        found = _read(path)
        if found is None:
            found = part.controls(on_progress, cancel)
            _save_pictures(self.out / "pictures" / part.name / "_reference", part.references())
            write_atomically(path, json.dumps(found))
        return found

    def _one(
        self, part: Part, painter: TruthPainter, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> dict[str, Any]:
        path = self.out / "done" / part.name / f"{_file_name(painter)}.json"
        found = _read(path)
        if found is None or found["identity"] != painter.identity:
            figures, pictures = part.run(painter, on_progress, cancel)
            _save_pictures(self.out / "pictures" / part.name / _file_name(painter), pictures)
            found = {"identity": painter.identity, "figures": figures}
            write_atomically(path, json.dumps(found))
        return dict(found["figures"])

    def _write(self) -> dict[str, Any]:
        document = {
            "schema": SCHEMA,
            "program": f"MedColorize {__version__}",
            "painters": {
                p.name: {
                    "kind": p.kind,
                    "method": p.method,
                    "modality": p.modality,
                    "trained": p.trained,
                    "gan": p.gan,
                }
                for p in self.painters
            },
            "settings": {part.name: part.settings() for part in self.parts},
            "parts": self._figures,
        }
        write_atomically(self.out / "truth.json", json.dumps(_plain(document), indent=1))
        write_atomically(self.out / "truth.md", document_text(document))
        write_atomically(self.out / "truth.csv", to_csv(document))
        return dict(_plain(document))

    def _columns(self, part: Part, painters: Sequence[TruthPainter]) -> dict[str, dict[str, Path]]:
        """Heading to row name to picture."""
        root = self.out / "pictures" / part.name
        folders = {"reference": root / "_reference", **{p.name: root / _file_name(p) for p in painters}}
        return {name: {path.stem: path for path in sorted(folder.glob("*.png"))} for name, folder in folders.items()}


def _file_name(painter: TruthPainter) -> str:
    return re.sub(r"[^A-Za-z0-9._-]+", "-", painter.name)


def _read(path: Path) -> dict[str, Any] | None:
    """What an earlier call finished; a damaged file is made anew."""
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return None
    return found if isinstance(found, dict) else None


def _save_pictures(folder: Path, pictures: Pictures) -> None:
    from PIL import Image

    folder.mkdir(parents=True, exist_ok=True)
    for name, picture in pictures.items():
        Image.fromarray(np.ascontiguousarray(picture)).save(folder / f"{name}.png")


def _plain(value: Any) -> Any:
    """JSON knows neither infinity nor NaN: both become null."""
    if isinstance(value, Mapping):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    if isinstance(value, float) and not np.isfinite(value):
        return None
    return value
