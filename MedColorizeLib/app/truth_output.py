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
    writers = {"slabs": _slabs, "scans": _scans}
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


def _scans(figures: Mapping[str, Any], settings: Mapping[str, Any], painters: Mapping[str, Any]) -> list[str]:
    lines: list[str] = []
    for modality in dict.fromkeys(key for own in figures.values() for key in own):
        mine = {name: own[modality] for name, own in figures.items() if modality in own}
        scans = {name: scan for name, scan in settings["scans"].items() if scan["modality"] == modality}
        known = ", ".join(name for name, scan in scans.items() if scan["tissues"])
        lines += [f"## {modality}: tissue by tissue", "", *_tissues(mine, painters), ""]
        lines += [
            f"CIEDE2000 at equal lightness of a tissue's voxels to the colour that cryosections show of the tissue at "
            f"the same luma; mean over {known}. In brackets: share of the voxels whose luma the photographs "
            "show; beyond it the reference is extrapolated."
        ]
        seen = [name for name, scan in scans.items() if not scan["held_out"]]
        if seen:
            lines += [f"Not held out (models may have been trained on them): {', '.join(seen)}."]
        lines += [f"{name}: {scan['note']}." for name, scan in scans.items() if scan["note"]]
        lines += ["", f"## {modality}: as pictures, and from slice to slice", "", *_pictures(mine, painters), ""]
        lines += [
            "Frechet distance of the slices to held-out cryosections, in the features named; for the photographs, of "
            "every second one to the others. Slices are cut to the body and brought to one size. Flicker: as above, "
            "mean over the scans; in brackets, how many times steadier than the mean of the per-slice GANs in this "
            "table. Luma: PSNR and SSIM against the gray input.",
            "",
        ]
    return lines


def _tissues(figures: Mapping[str, Any], painters: Mapping[str, Any]) -> list[str]:
    names = list(dict.fromkeys(tissue for own in figures.values() for tissue in own["tissues"]))
    colored = {name: own for name, own in figures.items() if own["tissues"]}
    rows = []
    for name in sorted(colored, key=lambda key: _mean_tissue(colored[key])):
        found = colored[name]["tissues"]
        cells = [number(found[tissue]["difference"], 1) if tissue in found else "–" for tissue in names]
        rows.append([_title(name, painters), number(_mean_tissue(colored[name]), 1), *cells])
    head = [f"{tissue} ({_share(colored, tissue)})" for tissue in names]
    return table(["colouring", "mean", *head], rows)


def _mean_tissue(own: Mapping[str, Any]) -> float:
    values = [found["difference"] for found in own["tissues"].values()]
    return sum(values) / len(values)


def _share(figures: Mapping[str, Any], tissue: str) -> str:
    return next(
        f"{100 * own['tissues'][tissue]['in_range']:.0f}%" for own in figures.values() if tissue in own["tissues"]
    )


def _pictures(figures: Mapping[str, Any], painters: Mapping[str, Any]) -> list[str]:
    spaces = list(dict.fromkeys(space for own in figures.values() for space in own["frechet"]))
    gans = [figures[name] for name in figures if painters.get(name, {}).get("gan")]
    rows = []
    for name in sorted(figures, key=lambda key: figures[key]["frechet"][spaces[0]]):
        own = figures[name]
        row = [_title(name, painters), *(number(own["frechet"].get(space)) for space in spaces)]
        for axis, value in enumerate(own["flicker_per_mm"]):
            others = [gan["flicker_per_mm"][axis] for gan in gans]
            ratio = f" ({sum(others) / len(others) / value:.1f}x)" if others and value and value > 0.01 else ""
            row.append(number(value) + ratio)
        rows.append([*row, number(own.get("luma_psnr"), 1), number(own.get("luma_ssim"), 3)])
    head = ["colouring", *spaces, *(f"flicker/mm {axis}" for axis in AXES), "luma PSNR", "luma SSIM"]
    return table(head, rows)


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
