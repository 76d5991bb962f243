"""What a run leaves to be looked at: log.csv, validation.csv, curves, sample sheets, TensorBoard events.

Only the first of several processes has one. Not for: what a resume needs (`checkpoint`).
"""

from __future__ import annotations

import csv
import io
import time
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..imaging.atomic import write_atomically

if TYPE_CHECKING:
    from torch import Tensor

_DRAWING = 20
"""Curves are drawn at most so often that the run spends one second in so many on them; always at its end."""


class Table:
    """A CSV file that grows by rows; columns that turn up later are added to the header."""

    def __init__(self, path: Path, upto: int) -> None:
        """Rows after iteration `upto` are dropped: a resumed run makes them anew."""
        self.path = path
        self.rows = [row for row in read_table(path) if row["iteration"] <= upto]
        self.columns = list(dict.fromkeys(key for row in self.rows for key in row))
        if path.exists():
            self._rewrite()

    def add(self, row: Mapping[str, float]) -> None:
        """Append a row; it is on the disk when this returns."""
        self.rows.append(dict(row))
        new = [key for key in row if key not in self.columns]
        if new or not self.path.exists():
            self.columns += new
            self._rewrite()
            return
        with self.path.open("a", newline="") as file:
            csv.DictWriter(file, self.columns, restval="").writerow(_plain(row))

    def _rewrite(self) -> None:
        text = io.StringIO()
        writer = csv.DictWriter(text, self.columns, restval="", lineterminator="\r\n")
        writer.writeheader()
        writer.writerows(_plain(row) for row in self.rows)
        write_atomically(self.path, text.getvalue())


def _plain(row: Mapping[str, float]) -> dict[str, str]:
    return {key: str(int(value)) if key == "iteration" else f"{value:.6g}" for key, value in row.items()}


def read_table(path: Path) -> list[dict[str, float]]:
    """The rows of a CSV that `Table` wrote; a last line cut off by a kill is left out."""
    if not path.is_file():
        return []
    rows = []
    with path.open(newline="") as file:
        for row in csv.DictReader(file):
            try:
                rows.append({key: float(value) for key, value in row.items() if key and value})
            except (TypeError, ValueError):
                continue
    return [row for row in rows if "iteration" in row]


class Journal:
    """The visible record of a run."""

    def __init__(self, run: Path, iteration: int) -> None:
        from torch.utils.tensorboard import SummaryWriter

        self.run = run
        self.log = Table(run / "log.csv", iteration)
        self.validation = Table(run / "validation.csv", iteration)
        self._events = SummaryWriter(str(run / "events"), purge_step=iteration + 1)
        self._draw_next = 0.0

    def losses(self, iteration: int, figures: Mapping[str, float]) -> None:
        """A line of log.csv, and the same to TensorBoard."""
        self.log.add({"iteration": iteration, **figures})
        for name, value in figures.items():
            self._events.add_scalar(f"train/{name}", value, iteration)

    def validated(self, iteration: int, figures: Mapping[str, float]) -> None:
        """A line of validation.csv, TensorBoard, and new curves where the last are old enough."""
        self.validation.add({"iteration": iteration, **figures})
        for name, value in figures.items():
            self._events.add_scalar(f"validation/{name}", value, iteration)
        if time.monotonic() >= self._draw_next:
            self.draw()

    def samples(self, iteration: int, pictures: Mapping[str, Tensor]) -> None:
        """A sheet of pictures: one column each, one row a slice."""
        sheet = sample_sheet({name: tensor.detach().float().cpu().numpy() for name, tensor in pictures.items()})
        folder = self.run / "samples"
        folder.mkdir(exist_ok=True)
        sheet.save(folder / f"{iteration:08d}.png")
        self._events.add_image("samples", np.asarray(sheet), iteration, dataformats="HWC")

    def draw(self) -> None:
        """Redraw curves.png from the two tables."""
        began = time.monotonic()
        draw_curves(self.log.rows, self.validation.rows, self.run / "curves.png")
        ended = time.monotonic()
        self._draw_next = ended + _DRAWING * (ended - began)

    def close(self) -> None:
        """Draw once more; TensorBoard's file is complete after this."""
        if self.log.rows:
            self.draw()
        self._events.close()


def sample_sheet(columns: Mapping[str, Any], rows: int = 4) -> Any:
    """(N, 1 or 3, H, W) in [-1, 1] by title -> a PIL picture with the titles on top."""
    from PIL import Image, ImageDraw

    height, width = next(iter(columns.values())).shape[-2:]
    count = min(rows, min(len(each) for each in columns.values()))
    sheet = Image.new("RGB", (len(columns) * (width + 4), 16 + count * (height + 4)), (24, 24, 24))
    draw = ImageDraw.Draw(sheet)
    for column, (title, pictures) in enumerate(columns.items()):
        draw.text((column * (width + 4) + 4, 2), title, fill=(230, 230, 230))
        for row in range(count):
            codes = np.clip(np.rint((pictures[row].transpose(1, 2, 0) + 1) * 127.5), 0, 255).astype(np.uint8)
            sheet.paste(
                Image.fromarray(np.broadcast_to(codes, (height, width, 3)).copy()),
                (column * (width + 4), 16 + row * (height + 4)),
            )
    return sheet


def draw_curves(losses: list[dict[str, float]], validation: list[dict[str, float]], path: Path) -> None:
    """One small plot per loss (raw and smoothed) and per validation figure."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg
    from matplotlib.figure import Figure

    panels = [(name, losses, "loss") for name in _names(losses)]
    panels += [(name, validation, "validation") for name in _names(validation)]
    if not panels:
        return
    columns = min(4, len(panels))
    lines = -(-len(panels) // columns)
    figure = Figure(figsize=(3.2 * columns, 2.3 * lines), layout="constrained")
    FigureCanvasAgg(figure)
    axes = figure.subplots(lines, columns, squeeze=False)
    for axis in axes.flat[len(panels) :]:
        axis.set_axis_off()
    for axis, (name, rows, kind) in zip(axes.flat, panels, strict=False):
        points = np.array([(row["iteration"], row[name]) for row in rows if name in row])
        if kind == "loss":
            axis.plot(points[:, 0], points[:, 1], color="0.8", linewidth=0.6)
            axis.plot(points[:, 0], smoothed(points[:, 1]), color="tab:blue", linewidth=1.4)
        else:
            axis.plot(points[:, 0], points[:, 1], color="tab:green", marker=".", linewidth=1.2)
        axis.set_title(f"{name} ({kind})", fontsize=8)
        axis.tick_params(labelsize=7)
        axis.margins(x=0.02)
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=100)
    write_atomically(path, buffer.getvalue())


def _names(rows: list[dict[str, float]]) -> list[str]:
    hidden = ("iteration", "steps_per_second", "learning_rate")
    return list(dict.fromkeys(key for row in rows for key in row if key not in hidden))


def smoothed(values: np.ndarray) -> np.ndarray:
    """Running mean over about a twentieth of the run, with no lag."""
    from scipy.ndimage import uniform_filter1d

    return np.asarray(uniform_filter1d(values, max(1, len(values) // 20), mode="nearest"))
