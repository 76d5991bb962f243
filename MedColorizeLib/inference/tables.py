"""Look-up tables for table painters: luma, fidelity and colour are worked out once a value, not once a voxel."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.colorspaces import luma
from ..imaging.luma import Fidelity, fit_gamut, shade, target_luma
from ..imaging.volume import LabelVolume
from ..imaging.windows import Window, codes, patterns, scale, values_of
from .painter import TablePainter

_BINS = 1024
"""Steps between a palette's first and last position, where the values are too many for a table of their own."""
_LABEL_GRAY = 160.0
"""With fidelity `free`, the code at which a label shows its own colour: tissue is seldom brighter."""


class ColorTable:
    """What a voxel's value (and label) becomes. Built for one painter, window, number type and fidelity."""

    def __init__(
        self,
        painter: TablePainter,
        window: Window,
        dtype: np.dtype[Any],
        fidelity: Fidelity,
        labels: LabelVolume | None = None,
    ) -> None:
        self._window = window
        self._fidelity = fidelity
        self._small = dtype.kind in "iub" and dtype.itemsize <= 2
        self._by_value = painter.value_unit == "value"
        gray = np.arange(256, dtype=np.uint8)
        if self._small:
            values = values_of(dtype)
            gray = codes(values, window)
            colors = painter.colors_at(values.astype(np.float64) if self._by_value else gray.astype(np.float64))
        elif self._by_value:
            self._range = painter.value_range
            colors = np.repeat(painter.colors_at(np.linspace(*self._range, _BINS)), 256, axis=0)
            gray = np.tile(gray, _BINS)
        else:
            colors = painter.colors_at(gray.astype(np.float64))
        self._gray = gray
        self._colors, self._overflowed = self._fit(colors, gray)
        self._label_rows: NDArray[np.uint16] | None = None
        known = painter.colors_of_labels(labels) if labels is not None else {}
        self.known_labels = set(known)
        if known:
            self._add_labels({value: color for value, color in known.items() if 0 < value < 65536})

    def _fit(self, colors: NDArray[Any], gray: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        """Colours brought to the luma that the fidelity asks for; hue and saturation kept as the gamut allows."""
        lit = shade(colors, target_luma(luma(colors), gray, self._fidelity))
        return fit_gamut(lit, gray, self._fidelity)

    def _add_labels(self, known: dict[int, tuple[float, float, float]]) -> None:
        gray = np.arange(256, dtype=np.uint8)
        self._label_rows = np.zeros(max(known) + 2, dtype=np.uint16)
        tables = [(np.zeros((256, 3), np.uint8), np.zeros(256, dtype=bool))]
        for row, (value, color) in enumerate(sorted(known.items()), 1):
            self._label_rows[value] = row
            lit = np.asarray(color)[None] * (gray[:, None] / _LABEL_GRAY)
            tables.append(self._fit(lit, gray))
        self._label_colors = np.concatenate([colors for colors, _ in tables])
        self._label_overflowed = np.concatenate([overflowed for _, overflowed in tables])

    def apply(
        self, slab: NDArray[Any], out: NDArray[np.uint8], labels: NDArray[Any] | None = None
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """Colour `slab` into `out` (..., 3); returns the codes, and which voxels gave up chroma, if any did."""
        index: NDArray[Any]
        if self._small:
            index = patterns(slab)
            gray = np.take(self._gray, index, mode="clip")
        else:
            index = gray = codes(slab, self._window)
            if self._by_value:
                index = scale(slab, *self._range, top=_BINS - 1).astype(np.intp) * 256 + gray
        np.take(self._colors, index, axis=0, out=out, mode="clip")
        overflowed = np.take(self._overflowed, index, mode="clip") if self._overflowed.any() else None
        if labels is not None and self._label_rows is not None:
            rows = np.take(self._label_rows, np.clip(labels, 0, len(self._label_rows) - 1).astype(np.intp))
            chosen = np.nonzero(rows)
            at = rows[chosen].astype(np.intp) * 256 + gray[chosen]
            out[chosen] = self._label_colors[at]
            if overflowed is None:
                overflowed = np.zeros(gray.shape, dtype=bool)
            overflowed[chosen] = self._label_overflowed[at]
        return gray, overflowed
