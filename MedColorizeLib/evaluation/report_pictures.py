"""Slices as a radiologist hangs them, and ribbons of a tissue's colour, as small PNG files.

Display convention: the patient's right at the left of axial and coronal pictures, the front at the left of sagittal
ones; head up, and the front up in axial ones. Pixels become square by the spacing. Whatever is drawn stays 8-bit and is
never enhanced: a gray and a coloured tile of the same slice can be compared by eye.
Not for: 3-D pictures (mrml) or choosing slices (report).
"""

from __future__ import annotations

import io
import zlib
from dataclasses import dataclass
from itertools import permutations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from .records import TissueCurve

_LETTERS = (("R", "L"), ("A", "P"), ("S", "I"))
"""Ends of the R, A and S axes: the positive one first."""


@dataclass(frozen=True)
class View:
    """How slices across one array axis are laid out on the screen."""

    axis: int
    """0, 1, 2 for K, J, I."""
    transpose: bool
    flip_rows: bool
    flip_columns: bool
    row_mm: float
    column_mm: float
    sides: tuple[str, str, str]
    """Anatomical letters at the left, right and lower edge."""

    def cut(self, array: NDArray[Any], index: int, window: tuple[slice, slice, slice] | None = None) -> NDArray[Any]:
        """Slice `index` of `array` (K, J, I[, C]), upright; `window` crops the other two axes."""
        place: list[int | slice] = list(window) if window else [slice(None)] * 3
        place[self.axis] = index
        plane = array[tuple(place)]
        if self.transpose:
            plane = np.swapaxes(plane, 0, 1)
        return plane[:: -1 if self.flip_rows else 1, :: -1 if self.flip_columns else 1]


def view(affine: NDArray[np.float64], axis: int) -> View:
    """The upright view of slices across array axis `axis` (0, 1, 2 for K, J, I)."""
    directions = affine[:3, [2, 1, 0]]
    spacing = np.linalg.norm(directions, axis=0)
    world = _anatomical(directions / spacing)
    rest = [n for n in (0, 1, 2) if n != axis]
    # On the screen: A (sagittal) or R (else) runs along the rows, S (else) or A (axial) up the columns.
    rows = next(n for n in rest if world[n] == (1 if world[axis] == 2 else 2))
    columns = next(n for n in rest if n != rows)
    flip_rows = bool(directions[world[rows], rows] > 0)
    # Columns run from R to L or from A to P, so an axis that points to R or A runs the other way.
    flip_columns = bool(directions[world[columns], columns] > 0)
    left, right = _LETTERS[world[columns]]
    return View(
        axis,
        transpose=rows > columns,
        flip_rows=flip_rows,
        flip_columns=flip_columns,
        row_mm=float(spacing[rows]),
        column_mm=float(spacing[columns]),
        sides=(left, right, _LETTERS[world[rows]][1]),
    )


def _anatomical(unit: NDArray[np.float64]) -> tuple[int, ...]:
    """Which of R, A, S each array axis is nearest to, each taken once."""
    near = np.abs(unit)
    return max(permutations(range(3)), key=lambda order: sum(near[order[n], n] for n in range(3)))


def body_box(gray: NDArray[np.uint8], margin: float = 0.035) -> tuple[slice, slice, slice]:
    """The part of the volume worth showing: rows and columns with something brighter than noise in them."""
    some = gray[tuple(slice(None, None, max(1, n // 128)) for n in gray.shape)]
    bright = some > max(8, int(some.max()) // 12)
    box = []
    for axis, n in enumerate(gray.shape):
        others = tuple(other for other in range(3) if other != axis)
        share = bright.mean(axis=others)
        used = np.flatnonzero(share > 0.002)
        step = max(1, n // 128)
        low, high = (int(used[0]) * step, (int(used[-1]) + 1) * step) if used.size else (0, n)
        around = 1 + round(margin * n)
        box.append(slice(max(0, low - around), min(n, high + around)))
    return box[0], box[1], box[2]


def slice_png(upright: NDArray[np.uint8], hung: View, longest: int = 340) -> bytes:
    """An upright slice (rows, columns[, 3]) as PNG with square pixels, at most `longest` pixels long."""
    from PIL import Image

    height_mm, width_mm = upright.shape[0] * hung.row_mm, upright.shape[1] * hung.column_mm
    scale = min(longest / max(height_mm, width_mm), 2 / min(hung.row_mm, hung.column_mm))
    size = (max(1, round(width_mm * scale)), max(1, round(height_mm * scale)))
    picture = Image.fromarray(np.ascontiguousarray(upright))
    if picture.size != size:
        picture = picture.resize(size, Image.Resampling.BICUBIC)
    return _png(picture)


def ribbon_png(curve: TissueCurve) -> bytes:
    """One pixel per slice: the tissue's mean a, b there at the tissue's own mean lightness; clear where it is absent.

    At one lightness, so that what changes along the ribbon is colour and not anatomy.
    """
    from PIL import Image

    from ..imaging.colorspaces import lab_to_rgb

    lab = np.array(curve.lab, dtype=np.float64)
    known = np.isfinite(lab).all(axis=1)
    pixels = np.zeros((1, len(lab), 4), dtype=np.uint8)
    if known.any():
        weights = np.maximum(curve.count[known], 1)
        lab[known, 0] = np.average(lab[known, 0], weights=weights)
        pixels[0, known, :3] = np.rint(lab_to_rgb(lab[known])).astype(np.uint8)
        pixels[0, known, 3] = 255
    return _png(Image.fromarray(pixels))


def _png(picture: Any) -> bytes:
    buffer = io.BytesIO()
    # Run lengths alone: a third of the time, and noise does not get smaller any other way.
    picture.save(buffer, "PNG", compress_level=1, compress_type=zlib.Z_RLE)
    return buffer.getvalue()
