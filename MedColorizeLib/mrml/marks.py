"""Letters on pictures: the sides of the patient, and that the colour is synthetic. Pillow only; knows no MRML."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw, ImageFont

NOTICE = "Synthetic colour, not for diagnosis"


def mark_picture(
    picture: NDArray[np.uint8], letters: dict[str, str], *, notice: bool = True, dark: bool = False
) -> NDArray[np.uint8]:
    """Write `letters` (at `left`, `right`, `top`, `bottom`) and the notice onto a copy of an RGB picture."""
    image = Image.fromarray(picture)
    draw = ImageDraw.Draw(image)
    width, height = image.size
    unit = min(width, height)
    ink = (235, 235, 235) if dark else (70, 74, 82)
    gap = max(4, unit // 60)
    font = ImageFont.load_default(max(10, unit // 32))
    small_size = max(11, unit // 55)
    # Small pictures have no room for the notice beside the lowest letter.
    lift = small_size + gap if notice else 0
    places = {
        "left": ((gap, height / 2), "lm"),
        "right": ((width - gap, height / 2), "rm"),
        "top": ((width / 2, gap), "mt"),
        "bottom": ((width / 2, height - gap - lift), "mb"),
    }
    for side, text in letters.items():
        position, anchor = places[side]
        draw.text(position, text, fill=ink, font=font, anchor=anchor)
    if notice:
        small = ImageFont.load_default(small_size)
        draw.text((gap, height - gap), NOTICE, fill=ink, font=small, anchor="lb")
    return np.asarray(image)


def beside(pictures: Sequence[NDArray[np.uint8]], axis: int = 1, fill: int = 0) -> NDArray[np.uint8]:
    """Pictures in a row (`axis` 1) or a column (0), centred where they differ in size."""
    other = 1 - axis
    size = max(p.shape[other] for p in pictures)
    padded = []
    for p in pictures:
        before = (size - p.shape[other]) // 2
        widths = [(0, 0), (0, 0), (0, 0)]
        widths[other] = (before, size - p.shape[other] - before)
        padded.append(np.pad(p, widths, constant_values=fill))
    return np.concatenate(padded, axis=axis)
