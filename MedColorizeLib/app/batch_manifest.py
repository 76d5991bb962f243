"""A manifest: a CSV file with one case a row. All that is wrong with it is told before anything is done.

Columns: `input`, and any of `output`, `labels`, `window`, `model`, `palette`, `fidelity`, `alpha`, `series`, `frames`.
Paths are relative to the manifest; outputs to the batch's folder. Not for: whether an input can be read (that
its case says).
"""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from ..errors import InputError, MedColorizeError, UsageError

if TYPE_CHECKING:
    from .batch_plan import Found

_MOST_TOLD = 10


def read_manifest(path: Path) -> list[Found]:
    """The cases of a manifest."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(f"{path} can't be read as a manifest: save it as CSV in UTF-8.") from error
    first = text.partition("\n")[0]
    rows = list(csv.reader(text.splitlines(), delimiter=";" if ";" in first and "," not in first else ","))
    header = [name.strip().lower() for name in rows[0]] if rows else []
    _check_header(path, header)
    found: dict[str, tuple[int, Found]] = {}
    wrong: list[str] = []
    outputs: dict[str, int] = {}
    for number, row in enumerate(rows[1:], 2):
        if not any(cell.strip() for cell in row):
            continue
        try:
            one = _row(path, header, row)
            if one.key in found:
                raise UsageError(f"is the same as row {found[one.key][0]}")
            same = one.output.casefold()
            if same and same in outputs:
                raise UsageError(f"has the same output as row {outputs[same]}")
        except MedColorizeError as error:
            wrong.append(f"row {number} {error}")
            continue
        outputs[same] = number
        found[one.key] = number, one
    if wrong:
        more = f"\n  ... and {len(wrong) - _MOST_TOLD} more" if len(wrong) > _MOST_TOLD else ""
        raise UsageError(f"{path} has mistakes:\n  " + "\n  ".join(wrong[:_MOST_TOLD]) + more)
    if not found:
        raise UsageError(f"{path} lists no case. Its first row names the columns, the others hold a case each.")
    return [one for _, one in found.values()]


def _check_header(path: Path, header: list[str]) -> None:
    known = ("input", "output", "series", *_CELLS)
    unknown = [name or "(empty)" for name in header if name not in known]
    twice = {name for name in header if header.count(name) > 1}
    if "input" not in header or unknown or twice:
        what = "has no column 'input'" if "input" not in header else "has columns that mean nothing here"
        listed = f": {', '.join(unknown)}" if unknown and "input" in header else ""
        if "input" in header and twice and not unknown:
            what, listed = "names a column twice", f": {', '.join(sorted(twice))}"
        raise UsageError(f"{path} {what}{listed}. Columns: {', '.join(known)}. The first row names them.")


def _row(path: Path, header: list[str], row: list[str]) -> Found:
    from .batch_plan import Found, short_hash

    if len(row) > len(header):
        raise UsageError(f"has {len(row)} cells, the first row {len(header)}")
    cells = {name: cell.strip() for name, cell in zip(header, row, strict=False) if cell.strip()}
    word = cells.pop("input", "")
    if not word:
        raise UsageError("names no input")
    output = _output(cells.pop("output", ""))
    series = cells.pop("series", "")
    settings = {name: _CELLS[name](path, cell) for name, cell in cells.items()}
    place = path.parent / word
    from ..imaging.formats import base_name

    name = base_name(place) if not place.is_dir() else place.resolve().name
    if series:
        name += f"-series-{short_hash(series)}"
    return Found(place, str(place), name, series, output, settings)


def _output(cell: str) -> str:
    from ..imaging.formats import ending_of, output_format
    from .batch_store import FOLDER

    if not cell:
        return ""
    inside = PurePosixPath(cell.replace("\\", "/"))
    outside = inside.is_absolute() or ".." in inside.parts or ":" in inside.parts[0]
    if outside or inside.parts[0].lower() == FOLDER or not inside.name:
        raise UsageError(f"has the output '{cell}', which does not lie in the batch's folder")
    output_format(Path(inside.name))
    if ending_of(inside.name) in (".nhdr", ".mhd"):
        raise UsageError(f"has the output '{cell}', which is two files; use .nrrd or .mha")
    return inside.as_posix()


def _window(path: Path, cell: str) -> str | list[float]:
    from ..imaging.windows import Window

    words = cell.replace(":", " ").split()
    if len(words) == 1:
        return cell
    try:
        low, high = (float(word) for word in words)
    except ValueError as error:
        raise UsageError(f"has the window '{cell}': two numbers or a name") from error
    Window(low, high)
    return [low, high]


def _flag(path: Path, cell: str) -> bool:
    known = {"yes": True, "true": True, "1": True, "no": False, "false": False, "0": False}
    if cell.lower() not in known:
        raise UsageError(f"has alpha '{cell}': yes or no")
    return known[cell.lower()]


def _fidelity(path: Path, cell: str) -> str:
    if cell not in ("exact", "balanced", "free"):
        raise UsageError(f"has the fidelity '{cell}': exact, balanced or free")
    return cell


def _text(path: Path, cell: str) -> str:
    return cell


def _place(path: Path, cell: str) -> str:
    return str((path.parent / cell).resolve())


def _model(path: Path, cell: str) -> str:
    """A bundle's folder beside the manifest where there is one, else a name."""
    return _place(path, cell) if (path.parent / cell).is_dir() else cell


def _palette(path: Path, cell: str) -> str:
    """A file beside the manifest where there is one, else a name."""
    return _place(path, cell) if (path.parent / cell).is_file() else cell


_CELLS: dict[str, Callable[[Path, str], Any]] = {
    "labels": _place,
    "window": _window,
    "model": _model,
    "palette": _palette,
    "fidelity": _fidelity,
    "alpha": _flag,
    "frames": _text,
}
"""What the other columns mean."""
