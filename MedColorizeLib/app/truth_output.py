"""The tables of `medcolorize bench truth` as Markdown and CSV.

Rows are ordered best first by the part's headline; what a painter was not made for is a dash. Not for: the figures.
"""

from __future__ import annotations

import csv
import io
import math
from collections.abc import Mapping, Sequence
from typing import Any

SCHEMA = "medcolorize-truth/1"
AXES = ("across", "rows", "columns")


def number(value: Any, digits: int = 2) -> str:
    """`3.14`, `∞`, or a dash for what is not known."""
    if value is None or (isinstance(value, float) and math.isnan(value)):
        return "–"
    if isinstance(value, float) and math.isinf(value):
        return "∞"
    return f"{value:.{digits}f}"


def table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> list[str]:
    """A Markdown table; the first column is text."""
    lines = ["| " + " | ".join(head) + " |", "|---|" + "---:|" * (len(head) - 1)]
    return lines + ["| " + " | ".join(row) + " |" for row in rows]


def document_text(document: Mapping[str, Any]) -> str:
    """`truth.md`."""
    lines = ["# Colour against the truth", "", f"{document['program']}. `medcolorize bench truth`.", ""]
    writers = {"slabs": _slabs}
    for part, figures in document["parts"].items():
        lines += writers[part](figures, document["settings"].get(part, {}), document["painters"])
    return "\n".join(lines).rstrip() + "\n"


def _slabs(figures: Mapping[str, Any], settings: Mapping[str, Any], painters: Mapping[str, Any]) -> list[str]:
    names = list(next(iter(figures.values()))["slabs"])
    order = sorted(figures, key=lambda name: figures[name]["ciede2000"])
    rows = []
    for name in order:
        own = figures[name]
        row = [_title(name, painters), number(own["ciede2000"]), number(own["psnr"], 1)]
        row += [number(own["slabs"][slab]["ciede2000"]) if slab in own["slabs"] else "–" for slab in names]
        row += [number(value) for value in own["flicker_per_mm"]]
        rows.append(row)
    head = ["colouring", "CIEDE2000", "PSNR, dB", *names, *(f"flicker/mm {axis}" for axis in AXES)]
    return [
        "## Held-out cryosections: luma to colour",
        "",
        *table(head, rows),
        "",
        f"Frames of {settings.get('scale', 0):g} mm pixels, 1 mm apart; the body less a rim of 3 mm. "
        "CIEDE2000 with lightness, mean over a slab's voxels, then over the slabs; RGB PSNR likewise. "
        "Luma is kept exactly by every colouring. Flicker: CIEDE2000 at equal lightness between matched tissue of "
        "neighbouring slices, per mm, across the slices, the rows and the columns.",
        "",
    ]


def _title(name: str, painters: Mapping[str, Any]) -> str:
    trained = painters.get(name, {}).get("trained", "")
    return f"{name} ({trained})" if trained else name


def to_csv(document: Mapping[str, Any]) -> str:
    """Part, painter, figure, value: one number a line."""
    text = io.StringIO()
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(["part", "colouring", "figure", "value"])
    for part, painters in document["parts"].items():
        for name, figures in painters.items():
            for key, value in _flat("", figures):
                writer.writerow([part, name, key, f"{value:.6g}"])
    return text.getvalue()


def _flat(prefix: str, value: Any) -> list[tuple[str, float]]:
    if isinstance(value, Mapping):
        return [pair for key, item in value.items() for pair in _flat(f"{prefix}/{key}" if prefix else str(key), item)]
    if isinstance(value, (list, tuple)):
        return [pair for n, item in enumerate(value) for pair in _flat(f"{prefix}/{n}", item)]
    return [(prefix, float(value))] if isinstance(value, (int, float)) and not isinstance(value, bool) else []
