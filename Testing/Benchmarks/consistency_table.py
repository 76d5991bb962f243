"""Consistency of colourings beside the real body, in one table and one picture.

    python Testing/Benchmarks/consistency_table.py --data ../shared/data -o OUT [--model NAME|FOLDER ...]
        [--palette NAME ...] [--colored NAME=COLORED:GRAY ...] [--frames FIRST LAST ...]

The photographs of held-out cryosections are one row; their luma is then coloured by each palette and model, so all
rows show the same tissue. Two controls are photographs whose hue was shaken by slice: bad by construction. `--colored`
adds finished volumes of anything else, marked as such. Rows are ordered by the headline, steady first.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
sys.path.insert(0, str(Path(__file__).resolve().parent))

from cryosection_bands import SPACING, load_slab

from MedColorizeLib import Colorizer
from MedColorizeLib.evaluation.assessment import Assessment, assess
from MedColorizeLib.evaluation.report import gray_codes_for
from MedColorizeLib.imaging.atomic import write_atomically
from MedColorizeLib.imaging.colorspaces import luma_codes, rgb_to_ycbcr, ycbcr_to_rgb
from MedColorizeLib.imaging.luma import fit_gamut
from MedColorizeLib.imaging.read import read_color, read_volume
from MedColorizeLib.imaging.volume import ColorVolume, Volume

HELD_OUT = ((80, 105), (430, 451), (640, 656))
COLUMNS = (
    ("dE/mm", "headline: common shift per mm", lambda a: a.consistency[0].shift_per_mm),
    ("flicker/mm", "voxel by voxel", lambda a: a.consistency[0].flicker_per_mm),
    ("jitter", "dE about the slow course", lambda a: a.consistency[0].jitter),
    ("drift/mm", "slow change", lambda a: _drift(a)),
    ("isotropy", "across over within", lambda a: a.consistency[0].isotropy),
    ("spread", "within a tissue", lambda a: a.consistency[0].spread),
    ("outliers", "slices", lambda a: float(len(a.consistency[0].outliers))),
    ("bleeding %", "", lambda a: 100 * a.trust.bleeding_share),
    ("luma max", "codes", lambda a: float(a.trust.luma_error_max)),
    ("colourful", "", lambda a: a.fidelity.colorfulness),
    ("to truth", "dE", lambda a: a.truth.chroma_mean if a.truth else np.nan),
)  # fmt: skip


@dataclass
class Row:
    """One way of colouring."""

    name: str
    results: list[Assessment] = field(default_factory=list)
    strips: list[NDArray[np.uint8]] = field(default_factory=list)

    @property
    def numbers(self) -> list[float]:
        """Means over the slabs."""
        return [_mean([of(result) for result in self.results]) for _, _, of in COLUMNS]


def _mean(values: list[float]) -> float:
    known = [v for v in values if np.isfinite(v)]
    return float(np.mean(known)) if known else np.nan


def _drift(result: Assessment) -> float:
    tissues = result.consistency[0].tissues
    return float(np.average([t.drift_per_mm for t in tissues], weights=[t.voxels for t in tissues]))


def shaken(rgb: NDArray[np.uint8], degrees: float) -> NDArray[np.uint8]:
    """Each slice's hue turned by a random angle of standard deviation `degrees`, its luma kept."""
    random = np.random.default_rng(0)
    out = np.empty_like(rgb)
    for k, plane in enumerate(rgb):
        turn = np.deg2rad(random.normal(0, degrees))
        ycbcr = rgb_to_ycbcr(plane) - np.array([0, 128, 128])
        ycbcr[..., 1:] = ycbcr[..., 1:] @ np.array([[np.cos(turn), np.sin(turn)], [-np.sin(turn), np.cos(turn)]])
        proposal = ycbcr_to_rgb(ycbcr + np.array([0, 128, 128])).astype(np.float32)
        out[k] = fit_gamut(proposal[None], luma_codes(plane)[None], "exact")[0][0]
    return out


def strip(color: ColorVolume, height: int = 150, width: int = 420) -> NDArray[np.uint8]:
    """A cut across the slices through the middle of the body, slices lying down, so that flicker shows as stripes."""
    body = color.rgb.max(axis=(0, 3)) > 24
    row = int(np.argmax(body.sum(axis=1))) if body.any() else color.shape[1] // 2
    cut = Image.fromarray(np.ascontiguousarray(color.rgb[:, row]))
    columns = np.flatnonzero(body[row])
    if len(columns):
        cut = cut.crop((int(columns[0]), 0, int(columns[-1]) + 1, cut.height))
    return np.asarray(cut.resize((width, height), Image.Resampling.NEAREST))


def picture(rows: list[Row], path: Path) -> None:
    """One line a row: its name, its headline, its cuts."""
    width = max(680, *(sum(s.shape[1] + 8 for s in row.strips) for row in rows))  # room for the names
    line = rows[0].strips[0].shape[0] + 34
    sheet = Image.new("RGB", (width + 16, line * len(rows) + 8), (250, 250, 250))
    draw = ImageDraw.Draw(sheet)
    for n, row in enumerate(rows):
        top = n * line + 6
        draw.text((8, top), f"{row.name}: {row.numbers[0]:.2f} dE/mm", fill=(20, 20, 20), font_size=18)
        left = 8
        for cut in row.strips:
            sheet.paste(Image.fromarray(cut), (left, top + 24))
            left += cut.shape[1] + 8
    sheet.save(path)


def markdown(rows: list[Row], slabs: str) -> str:
    """The table, and how it came about."""
    head = "| colouring | " + " | ".join(name for name, _, _ in COLUMNS) + " |"
    lines = [head, "|" + "---|" * (len(COLUMNS) + 1)]
    for row in rows:
        cells = ["-" if np.isnan(v) else f"{v:.0f}" if abs(v) >= 100 else f"{v:.2f}" for v in row.numbers]
        lines.append(f"| {row.name} | " + " | ".join(cells) + " |")
    said = "; ".join(f"{name}: {what}" for name, what, _ in COLUMNS if what)
    return "\n".join([*lines, "", f"Slabs: {slabs}. Means over slabs. {said}. dE: CIEDE2000 at equal lightness.", ""])


def main() -> None:
    """Colour, judge, order, write."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--model", action="append", default=[], help="an installed bundle or its folder; repeatable")
    parser.add_argument("--palette", action="append", default=[], help="repeatable; default: head-mr")
    parser.add_argument("--colored", action="append", default=[], metavar="NAME=COLORED:GRAY")
    parser.add_argument("--frames", nargs=2, type=int, action="append", metavar=("FIRST", "LAST"))
    parser.add_argument("--fidelity", default="exact")
    options = parser.parse_args()
    painters: list[tuple[str, Callable[[Volume, NDArray[np.uint8]], ColorVolume]]] = [
        ("photographs", lambda volume, truth: ColorVolume(truth, volume.affine)),
        *((f"control: photographs, hue shaken by {d} degrees",
           lambda volume, truth, d=d: ColorVolume(shaken(truth, d), volume.affine)) for d in (3, 10, 30)),
        *((f"palette {p}", lambda volume, _t, p=p: Colorizer(palette=p).colorize(
            volume, window=(0, 255), fidelity=options.fidelity)) for p in options.palette or ["head-mr"]),
        *((f"model {Path(m).name}", lambda volume, _t, m=m: Colorizer(m).colorize(
            volume, window=(0, 255), fidelity=options.fidelity)) for m in options.model),
    ]  # fmt: skip
    rows = [Row(name) for name, _ in painters]
    frames = options.frames or HELD_OUT
    for first, last in frames:
        rgb, mask = load_slab(options.data / "cryosections" / "vhm", first, last)
        rgb = np.where(mask[..., None], rgb, 0).astype(np.uint8)
        gray = luma_codes(rgb)
        volume = Volume(gray, np.diag([SPACING[2], SPACING[1], -SPACING[0], 1.0]), modality="MR")
        truth = ColorVolume(rgb, volume.affine)
        for row, (_, paint) in zip(rows, painters, strict=True):
            color = paint(volume, rgb)
            row.results.append(assess(gray, color, foreground=mask, reference=truth))
            row.strips.append(strip(color))
            print(f"{first}-{last} {row.name}: {row.results[-1].consistency[0].shift_per_mm:.3f} dE/mm", flush=True)
    for item in options.colored:
        name, _, files = item.partition("=")
        colored, _, gray_path = files.rpartition(":")
        color = read_color(Path(colored))
        row = Row(f"{name} (another volume)")
        row.results.append(assess(gray_codes_for(read_volume(Path(gray_path)), color).codes, color))
        row.strips.append(strip(color))
        rows.append(row)
    rows.sort(key=lambda row: row.numbers[0])
    text = markdown(rows, ", ".join(f"cryosections {a}-{b}" for a, b in frames))
    options.output.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output / "consistency.md", text)
    picture(rows, options.output / "consistency.png")
    print(text)


if __name__ == "__main__":
    main()
