"""The figures and the page of the gallery, from the runs and bundles that `gallery.py train` made."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from gallery import DATA, HELD_OUT, System, color_volume
from PIL import Image, ImageDraw, ImageFont

from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.read import read_volume
from MedColorizeLib.imaging.windows import auto_window, codes
from MedColorizeLib.training.frame import crop_or_pad, orientation
from MedColorizeLib.training.journal import read_table, smoothed

CUTS = (("axial", 45), ("axial", 70), ("axial", 95), ("coronal", 105), ("sagittal", 70))
TILE = 132


def write(systems: Sequence[System], work: Path, docs: Path) -> None:
    """Docs/Gallery.md and Docs/Figures/gallery-*.png."""
    done = [s for s in systems if (work / "bundles" / s.recipe).is_dir()]
    coloring = [s for s in done if not s.recipe.startswith("segmentation")]
    figures = docs / "Figures"
    figures.mkdir(parents=True, exist_ok=True)
    volume = read_volume(DATA / HELD_OUT)
    gray = codes(volume.array, auto_window(volume))
    rows: list[tuple[str, np.ndarray]] = [("input (gray)", np.repeat(gray[..., None], 3, axis=-1))]
    wrong = {}
    for system in coloring:
        rgb = color_volume(system, work)
        wrong[system.recipe] = int(np.count_nonzero(luma_codes(rgb) != gray))
        rows.append((system.title, rgb))
    _slices(rows, volume.affine, figures / "gallery-slices.jpg")
    _losses(done, work, figures / "gallery-losses.png")
    _told_apart(done, work, figures / "gallery-discriminators.png")
    (docs / "Gallery.md").write_text(_page(done, work, wrong), encoding="utf-8")


def _slices(rows: Sequence[tuple[str, np.ndarray]], affine: np.ndarray, path: Path) -> None:
    font = ImageFont.load_default(13)
    label = 190
    sheet = Image.new("RGB", (label + len(CUTS) * (TILE + 3), len(rows) * (TILE + 3)), (14, 14, 14))
    draw = ImageDraw.Draw(sheet)
    for line, (title, rgb) in enumerate(rows):
        draw.text((8, line * (TILE + 3) + TILE // 2 - 10), title, fill=(235, 235, 235), font=font)
        for column, (plane, n) in enumerate(CUTS):
            picture = orientation(affine, plane).apply(rgb)[n]  # type: ignore[arg-type]
            side = max(picture.shape[:2])
            square = crop_or_pad(picture, (side, side), (picture.shape[0] / 2, picture.shape[1] / 2))
            tile = Image.fromarray(np.ascontiguousarray(square)).resize((TILE, TILE), Image.Resampling.LANCZOS)
            sheet.paste(tile, (label + column * (TILE + 3), line * (TILE + 3)))
    sheet.save(path, quality=84, subsampling=0, optimize=True)


def _plot(path: Path, panels: Sequence[tuple[str, Sequence[tuple[str, np.ndarray, np.ndarray]], str]]) -> None:
    """Small multiples: (title, [(name, x, y)], axis label)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(2.8 * columns, 2.1 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (title, curves, label) in zip(axes.flat, panels, strict=False):
        for name, x, y in curves:
            axis.plot(x, y, linewidth=1.5, label=name)
        axis.set_title(title, fontsize=8)
        axis.set_ylabel(label, fontsize=7)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25)
        if len(curves) > 1:
            axis.legend(fontsize=7)
    figure.savefig(path, dpi=110)


def _curve(rows: Sequence[dict[str, float]], name: str) -> tuple[np.ndarray, np.ndarray]:
    points = np.array([(row["iteration"], row[name]) for row in rows if name in row])
    return points[:, 0], points[:, 1]


def _losses(systems: Sequence[System], work: Path, path: Path) -> None:
    panels = []
    for system in systems:
        rows = read_table(work / "runs" / system.recipe / "log.csv")
        name = system.loss if system.loss in rows[0] else next(k for k in rows[0] if k.startswith(("G", "S")))
        x, y = _curve(rows, name)
        panels.append((system.title, [(name, x, smoothed(y))], name))
    _plot(path, panels)


def _told_apart(systems: Sequence[System], work: Path, path: Path) -> None:
    """What the trained D_Y of each cycle GAN says of held-out photographs and of coloured held-out slices."""
    import torch
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    from MedColorizeLib.training.collect import Folders, collect
    from MedColorizeLib.training.dataset import spread
    from MedColorizeLib.training.runs import read_run
    from MedColorizeLib.training.validate import discriminated

    torch.manual_seed(0)
    shown = []
    for system in systems:
        run = read_run(work / "runs" / system.recipe, "last")
        method = run.method()
        if method.paired:
            continue
        folders = Folders(DATA / "mr/oasis", DATA / "cryosections")
        held = collect(run.recipe, folders, paired=False, cache=work / "cache").validate
        assert held is not None
        real = [discriminated(method, real=held.plain(None, p).color) for p in spread(held.color.places, 24)]
        fake = [
            discriminated(method, fake=method.generate(held.plain(p, None).gray)) for p in spread(held.gray.places, 24)
        ]
        shown.append((system.title, [r["D_of_real"] for r in real], [f["D_of_fake"] for f in fake]))
    figure = Figure(figsize=(2.0 * len(shown), 2.8), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(1, len(shown), squeeze=False)[0]
    for axis, (title, real_values, fake_values) in zip(axes, shown, strict=True):
        for place, (values, color) in enumerate(((real_values, "tab:blue"), (fake_values, "tab:orange"))):
            spots = place + np.linspace(-0.16, 0.16, len(values))
            axis.plot(spots, values, ".", color=color, markersize=5)
            axis.hlines(np.mean(values), place - 0.25, place + 0.25, color=color)
        above = np.mean([r > f for r in real_values for f in fake_values])
        axis.set_xticks([0, 1], ["real", "coloured"], fontsize=7)
        axis.set_title(f"{title}\nAUC {above:.2f}", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.grid(alpha=0.25, axis="y")
    figure.savefig(path, dpi=110)


def _page(systems: Sequence[System], work: Path, wrong: dict[str, int]) -> str:
    lines = [
        "# Gallery: every system, the same brain",
        "",
        "Each learning system of the papers was trained on the same images at a small budget and then coloured the",
        "same brain, which none of them had seen, through the `Colorizer`. **The colour is synthetic. The budgets are",
        "minutes on a shared CPU, hundreds to thousands of times below the papers': this page shows that every system",
        "trains and works here, not which one is best.**",
        "",
        "![The same slices coloured by every system](Figures/gallery-slices.jpg)",
        "",
        f"Luma is locked (fidelity `exact`): over all {len(wrong)} systems **{sum(wrong.values())}** voxels have",
        "another luma than the input. What differs is colour alone.",
        "",
        "Gray: skull-stripped T1 brains (OASIS), 7 for training, one for validation; this is 1017, held out. Colour:",
        "cryosections of the Visible Human Male, frames 1 to 250 without those held out, gelatine and latex removed;",
        "courtesy of the U.S. National Library of Medicine. 128 x 128 pixels of 2 mm, slices of like level paired;",
        "turned by up to 8 degrees, scaled by up to 10 %. One donor: his colours are not everybody's.",
        "",
        "| system | recipe | steps x batch | changed from the recipe | time | chroma error | chroma distance |",
        "|---|---|---|---|---|---|---|",
    ]
    for system in systems:
        run = work / "runs" / system.recipe
        rows = read_table(run / "validation.csv")
        seconds = json.loads((run / "gallery.json").read_text())["seconds"] if (run / "gallery.json").exists() else 0
        last: dict[str, Any] = rows[-1] if rows else {}
        changed = ", ".join(
            change.replace("options.", "")
            for change in system.changes
            if not change.startswith(("data.", "features_weights"))
        )
        figures = [f"{last[name]:.1f}" if name in last else "" for name in ("chroma_error", "chroma_distance")]
        if "dice" in last:
            figures[0] = f"Dice {last['dice']:.2f}"
        lines.append(
            f"| {system.title} | `{system.recipe}` | {system.iterations} x {system.batch} | {changed} "
            f"| {seconds:.0f} s | {figures[0]} | {figures[1]} |"
        )
    lines += [
        "",
        "Lohar was trained twice: at 60 steps of batch 2 it stayed gray, so its budget was changed; no other system",
        "got a second try.",
        "",
        "*Time*: wall clock on a shared machine, reading the images included. *Chroma error*: mean absolute error of",
        "Cb and Cr, in codes, on held-out cryosections coloured from their luma. *Chroma distance*: Wasserstein",
        "distance between the Cb and Cr of coloured brains that were not trained on and of held-out cryosections,",
        "which show skull and scalp as well.",
        "",
        "## Losses go down",
        "",
        "![Loss curves](Figures/gallery-losses.png)",
        "",
        "## Real and fake are told apart",
        "",
        "What the colour discriminator of each cycle GAN says at the end (1: real) of held-out photographs and of",
        "coloured slices of a brain that was not trained on. AUC 1: always told apart; 0.5: not at all. Whole heads",
        "and skull-stripped brains are easily told apart by shape, so this says that discriminators learn, no more.",
        "",
        "![What discriminators say](Figures/gallery-discriminators.png)",
        "",
        "## Make it again",
        "",
        "    python Testing/Benchmarks/gallery.py train WORK",
        "    python Testing/Benchmarks/gallery.py page WORK",
        "",
    ]
    return "\n".join(lines)
