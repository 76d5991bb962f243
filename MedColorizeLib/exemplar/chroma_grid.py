"""The chroma of a coloured slice as a small table of brightness and place, so that its neighbours can look it up.

A slice's neighbours hold the same tissues a little displaced: what has the same brightness nearby has the same colour.
Tables vary smoothly and can be mixed, which is what keeps colours from jumping between slices.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

BINS = 33
"""Of brightness: 8 codes each."""
CELLS = 12
"""Along rows and along columns."""
_WIDTHS = (0.6, 1.2, 2.5, 6.0, 12.0)
"""Standard deviations (in cells) that are tried in turn where there is too little to go by."""
_TRUST = 1e-3
"""What a wider look counts beside a narrower one: nothing, unless the narrower one saw nothing."""


@dataclass(frozen=True)
class ChromaGrid:
    """(BINS, CELLS, CELLS, 2): U and V by brightness, row and column."""

    values: NDArray[np.float32]

    @classmethod
    def of(cls, chroma: NDArray[Any], gray: NDArray[np.uint8]) -> ChromaGrid:
        """The table of one coloured slice: chroma (H, W, 2) on gray (H, W)."""
        from scipy.ndimage import gaussian_filter

        rows, columns = (np.rint(places).astype(np.intp) for places in _places(gray.shape[:2]))
        index = (np.rint(_bins(gray)).astype(np.intp) * CELLS + rows[:, None]) * CELLS + columns[None, :]
        flat, size, shape = index.ravel(), BINS * CELLS * CELLS, (BINS, CELLS, CELLS)
        planes = [np.ones(gray.size), chroma[..., 0].ravel(), chroma[..., 1].ravel()]
        sums = [np.bincount(flat, plane, size).reshape(shape) for plane in planes]
        total = np.zeros((3, *shape))
        for step, width in enumerate(_WIDTHS):
            for plane, counted in zip(total, sums, strict=True):
                plane += _TRUST**step * gaussian_filter(counted, width, mode="nearest", truncate=4)
        with np.errstate(invalid="ignore", divide="ignore"):
            values = np.where(total[0] > 0, total[1:] / total[0], 0.0)
        return cls(np.moveaxis(values, 0, -1).astype(np.float32))

    def mixed(self, other: ChromaGrid, share: float) -> ChromaGrid:
        """This table with `share` (0..1) of another."""
        return ChromaGrid(self.values + np.float32(share) * (other.values - self.values))

    def chroma(
        self, gray: NDArray[np.uint8], whole: tuple[int, int] | None = None, at: tuple[int, int] = (0, 0)
    ) -> NDArray[np.float32]:
        """U and V (H, W, 2) for a slice of the same place and field of view, or for its part `at` row and column."""
        from scipy.ndimage import map_coordinates

        rows, columns = (
            along[first : first + size]
            for along, first, size in zip(_places(whole or gray.shape[:2]), at, gray.shape, strict=True)
        )
        where = np.stack([_bins(gray), *np.broadcast_arrays(rows[:, None], columns[None, :])])
        planes = [map_coordinates(self.values[..., n], where, order=1, mode="nearest") for n in (0, 1)]
        return np.stack(planes, axis=-1)


def _bins(gray: NDArray[np.uint8]) -> NDArray[np.float64]:
    return gray.astype(np.float64) * ((BINS - 1) / 255)


def _places(shape: tuple[int, ...]) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Row and column of each line of pixels, in cells."""
    return np.linspace(0, CELLS - 1, shape[0]), np.linspace(0, CELLS - 1, shape[1])
