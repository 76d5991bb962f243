"""Contact sheets of `medcolorize bench truth`: a column a painter, a row a slab or scan, cut to what is not black."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

_HEIGHT = 230
_GAP = 6
_HEAD = 34
_DARK = (18, 18, 18)


def write_sheet(path: Path, columns: Mapping[str, Mapping[str, Path]]) -> None:
    """Pictures by heading and row name; what a painter did not colour stays empty. Nothing is written without any."""
    from PIL import Image, ImageDraw

    columns = {heading: pictures for heading, pictures in columns.items() if pictures}
    rows = sorted({name for pictures in columns.values() for name in pictures})
    if not rows:
        return
    boxes = {row: _box([pictures[row] for pictures in columns.values() if row in pictures]) for row in rows}
    scale = {row: _HEIGHT / (box[3] - box[1]) for row, box in boxes.items()}
    width = max(round((box[2] - box[0]) * scale[row]) for row, box in boxes.items())
    sheet = Image.new("RGB", (len(columns) * (width + _GAP) + _GAP, len(rows) * (_HEIGHT + _GAP) + _HEAD + _GAP), _DARK)
    draw = ImageDraw.Draw(sheet)
    for column, (heading, pictures) in enumerate(columns.items()):
        left = _GAP + column * (width + _GAP)
        draw.text((left + 4, 6), heading, fill=(235, 235, 235), font_size=18)
        for row, name in enumerate(rows):
            top = _HEAD + row * (_HEIGHT + _GAP)
            if name in pictures:
                with Image.open(pictures[name]) as picture:
                    part = picture.convert("RGB").crop(boxes[name])
                part = part.resize((round(part.width * scale[name]), _HEIGHT), Image.Resampling.LANCZOS)
                sheet.paste(part, (left + (width - part.width) // 2, top))
            if column == 0:
                draw.text((left + 4, top + 4), name, fill=(235, 235, 120), font_size=14)
    path.parent.mkdir(parents=True, exist_ok=True)
    sheet.save(path)


def _box(paths: list[Path]) -> tuple[int, int, int, int]:
    """Left, top, right, bottom of what is not black in the first of these pictures."""
    from PIL import Image

    with Image.open(paths[0]) as picture:
        lit = np.asarray(picture.convert("L")) > 8
    if not lit.any():
        return 0, 0, lit.shape[1], lit.shape[0]
    rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
    return int(columns[0]), int(rows[0]), int(columns[-1]) + 1, int(rows[-1]) + 1
