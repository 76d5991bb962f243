"""The contract between readers and everybody else, and between everybody else and writers."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from .volume import Origin, Volume


class Scan(Protocol):
    """An opened input: its header is read, its voxels are not yet.

    Refusals (a colour picture, a label map, a DICOMDIR, ...) are `InputError`s raised on opening.
    """

    path: Path
    format: str
    frames: int

    def read(self, frame: int = 0) -> Volume:
        """The volume of one frame (a plain 3-D file has one frame, number 0)."""
        ...

    def info(self) -> dict[str, Any]:
        """What `medcolorize info --json` prints: nothing in it identifies a patient."""
        ...


@dataclass(frozen=True)
class ColorHeader:
    """What a writer must know before the first slab arrives."""

    shape: tuple[int, int, int]
    """Voxels along (K, J, I)."""
    channels: int
    """3 for RGB, 4 for RGBA."""
    affine: NDArray[np.float64]
    frames: int = 1
    provenance: dict[str, Any] = field(default_factory=dict)
    """How the colour was made: written into the file's own metadata where the format has a place for it."""
    origin: Origin | None = field(default=None, repr=False)
    """The DICOM writer takes patient and study from here; no other writer looks at it."""


class ColorWriter(Protocol):
    """Takes slabs of slices in order (frame after frame, K rising) and puts the file in place on `commit`.

    Leaving the `with` block without `commit` leaves nothing behind.
    """

    def write(self, slab: NDArray[np.uint8]) -> None:
        """Append slices `(n, J, I, channels)`."""
        ...

    def commit(self) -> Path:
        """Finish the output and put it in place; returns its path."""
        ...

    def __enter__(self) -> Self: ...

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None: ...
