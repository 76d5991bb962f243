"""What the `Colorizer` asks of anything that can colour: a proposal per voxel, or a table.

A painter knows nothing of windows, luma, alpha or files: the `Colorizer` does that once, for all of them.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import LabelVolume
from ..progress import CancelToken


@dataclass(frozen=True)
class Subject:
    """The windowed input as painters see it."""

    gray: NDArray[np.uint8]
    """(K, J, I), the 8-bit codes whose luma the output will have."""
    affine: NDArray[np.float64]
    modality: str = ""
    labels: LabelVolume | None = None


class Painter(Protocol):
    """Common to both kinds."""

    @property
    def name(self) -> str: ...

    def describe(self) -> dict[str, Any]:
        """For the provenance: what coloured this (name, version, hash of weights, options)."""
        ...


class TablePainter(Painter, Protocol):
    """Colours by look-up: the colour depends on the voxel's own value (and label) alone."""

    @property
    def value_unit(self) -> str:
        """`code`: positions are window codes 0..255; `value`: positions are the scanner's units (HU)."""
        ...

    @property
    def value_range(self) -> tuple[float, float]:
        """The positions between which colours change; beyond them the ends hold."""
        ...

    def colors_at(self, positions: NDArray[np.float64]) -> NDArray[np.float64]:
        """RGB proposals (n, 3) in 0..255 for unlabelled voxels at these positions."""
        ...

    def colors_of_labels(self, labels: LabelVolume) -> dict[int, tuple[float, float, float]]:
        """RGB in 0..255 of each label value this painter knows; others are coloured by intensity."""
        ...


class SlabPainter(Painter, Protocol):
    """Colours by computing (a network, an exemplar): slices `start` to `stop` along K, with the whole as context."""

    def paint(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> NDArray[np.float32]:
        """RGB proposals (stop - start, J, I, 3) in 0..255; their chroma is what counts when luma is locked."""
        ...


@runtime_checkable
class ChromaPainter(SlabPainter, Protocol):
    """A `SlabPainter` that can leave out luma, which most methods take from the subject."""

    @property
    def keeps_luma(self) -> bool:
        """Whether what it proposes has the subject's luma, so that `chroma` says it all."""
        ...

    def chroma(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> NDArray[np.float32]:
        """The proposals of `paint` as red and blue less luma, (2, stop - start, J, I)."""
        ...
