"""What every room hands to the next: a gray, a coloured or a label volume with its geometry.

Arrays are in file order, `(K, J, I)` with I fastest, as in SimpleITK and in Slicer's `arrayFromVolume`; colour adds
a last axis. `affine` maps the voxel index `(i, j, k, 1)` to RAS millimetres. Nothing in here may identify a patient:
`origin` is the one thing that could (a path), so it stays in memory, is not shown by `repr` and is never written.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError


@dataclass(frozen=True)
class Origin:
    """Where a volume came from. For the DICOM writer and for messages on screen; never for an output."""

    path: Path
    series_uid: str = ""
    files: tuple[Path, ...] = ()


@dataclass(frozen=True, eq=False)
class _Grid:
    """What the three kinds of volume share: the array and its place in space."""

    array: NDArray[Any]
    affine: NDArray[np.float64]

    def __post_init__(self) -> None:
        if self.affine.shape != (4, 4) or not np.isfinite(self.affine).all():
            raise InputError("The volume's affine is not a finite 4x4 matrix: its place in space is unknown.")
        if abs(np.linalg.det(self.affine[:3, :3])) < 1e-12:
            raise InputError("The volume's affine is singular: two of its axes point the same way.")

    @property
    def shape(self) -> tuple[int, int, int]:
        """Voxels along (K, J, I)."""
        return self.array.shape[:3]

    @cached_property
    def spacing(self) -> tuple[float, float, float]:
        """Millimetres between voxels along (K, J, I)."""
        lengths = np.linalg.norm(self.affine[:3, :3], axis=0)
        return float(lengths[2]), float(lengths[1]), float(lengths[0])

    @cached_property
    def sheared(self) -> bool:
        """True if the axes are not perpendicular, which many formats and Slicer's volume nodes can't hold."""
        directions = self.affine[:3, :3] / np.linalg.norm(self.affine[:3, :3], axis=0)
        return bool(np.abs(directions.T @ directions - np.eye(3)).max() > 1e-4)


@dataclass(frozen=True, eq=False)
class Volume(_Grid):
    """A gray volume, integer or floating point, in the units of its scanner (HU for CT)."""

    modality: str = ""
    """`MR`, `CT`, ... as DICOM spells it; empty if unknown."""
    facts: dict[str, Any] = field(default_factory=dict)
    """What the file says and a reader may want, e.g. `format`, `window` (low, high), `frame`; nothing personal."""
    notes: tuple[str, ...] = ()
    """Sentences a person should read: what was resampled, missing, uneven."""
    origin: Origin | None = field(default=None, repr=False)

    @cached_property
    def sha256(self) -> str:
        """Hash of the voxels, their type and their geometry: the input's name in every provenance."""
        digest = hashlib.sha256(f"{self.array.dtype.str}{self.array.shape}".encode())
        digest.update(np.ascontiguousarray(self.affine, dtype="<f8").data)
        digest.update(np.ascontiguousarray(self.array).data)
        return digest.hexdigest()


@dataclass(frozen=True, eq=False)
class ColorVolume(_Grid):
    """An RGB or RGBA volume of 8-bit codes, with what is to be told about how its colour was made."""

    provenance: dict[str, Any] = field(default_factory=dict)
    notes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.array.ndim != 4 or self.array.shape[3] not in (3, 4) or self.array.dtype != np.uint8:
            raise InputError(
                f"A colour volume is (K, J, I, 3 or 4) of 8-bit codes, not {self.array.shape} of {self.array.dtype}."
            )

    @property
    def rgb(self) -> NDArray[np.uint8]:
        return self.array[..., :3]


@dataclass(frozen=True, eq=False)
class LabelVolume(_Grid):
    """Integer labels on a grid; 0 is "no label"."""

    names: dict[int, str] = field(default_factory=dict)
    notes: tuple[str, ...] = ()
    """As those of a `Volume`."""


def same_grid(a: _Grid, b: _Grid, tolerance_mm: float = 1e-3) -> bool:
    """True if both have the same voxels in the same places (corner voxels within `tolerance_mm`)."""
    if a.shape != b.shape:
        return False
    k, j, i = (n - 1 for n in a.shape)
    corners = np.array([[x, y, z, 1.0] for x in (0, i) for y in (0, j) for z in (0, k)]).T
    return bool(np.abs((a.affine - b.affine) @ corners).max() <= tolerance_mm)
