"""A deterministic sample of a coloured volume, arranged as slices across one axis (or frames of a 4-D one).

Every consistency score works on such a stack: all slices, and in each the same places, so that neighbours can be
compared place by place. The places mirror themselves in both directions, so a flipped volume gives the same sample,
and lie within the foreground's bounding box, so nothing outside it has a say.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.colordiff import Floats, lab

SIDE = 48
"""Places along each in-plane direction, at most."""
MAX_TISSUES = 16
BIN = 4
"""Codes of the input taken together as "the same intensity" when mean colours are compared."""
MATCH = 8
"""Voxels of neighbouring slices whose input differs by more codes than this are not the same tissue."""


@dataclass(frozen=True)
class Tissue:
    """One of the classes of `Stack.tissue`, whose values are positions in `Stack.tissues` (plus one; 0 is none)."""

    name: str
    label: int
    from_labels: bool


@dataclass(frozen=True)
class Stack:
    """`n` slices of `m` places each."""

    gray: NDArray[np.uint8]
    """(n, m): the input's codes."""
    lab: Floats
    """(n, m, 3); 0 outside the foreground."""
    inside: NDArray[np.bool_]
    """(n, m): in the foreground."""
    tissue: NDArray[np.uint8]
    """(n, m): 1 + position in `tissues`; 0 for none."""
    tissues: tuple[Tissue, ...]
    spacing_mm: float

    @property
    def labelled(self) -> bool:
        """True if the tissues are given labels rather than intensity classes."""
        return bool(self.tissues and self.tissues[0].from_labels)

    @property
    def ab(self) -> Floats:
        return self.lab[..., 1:]


def mirrored(count: int, most: int = SIDE) -> NDArray[np.intp]:
    """Indices into `count`, at most `most` of them evenly spread, that a reversal maps onto themselves."""
    step = max(1, -(-count // most))
    if count % 2 == 0 and step % 2 == 0:
        step += 1  # an even step has no mirror-symmetric grid in an even count
    places = (count - 1) // step + 1
    places -= (count - 1 - (places - 1) * step) % 2
    if places < 1:  # no single place is the middle of an even count
        return np.array([count // 2 - 1, count // 2])
    return (count - 1 - (places - 1) * step) // 2 + step * np.arange(places)


def bounding_box(foreground: NDArray[np.bool_]) -> tuple[slice, slice, slice]:
    """The smallest box that holds the foreground; the whole volume if there is none."""
    rows: NDArray[Any] = np.asarray(foreground.any(axis=2))
    lines = [np.asarray(rows.any(axis=1)), np.asarray(rows.any(axis=0)), np.asarray(foreground.any(axis=(0, 1)))]
    if not lines[0].any():
        return slice(None), slice(None), slice(None)
    first, second, third = (slice(int(line.argmax()), len(line) - int(line[::-1].argmax())) for line in lines)
    return first, second, third


def take_stack(
    axis: int,
    gray: NDArray[np.uint8],
    rgb: NDArray[np.uint8],
    foreground: NDArray[np.bool_],
    spacing: tuple[float, float, float],
    classes: IntensityClasses | LabelClasses,
) -> Stack:
    """The stack across `axis` of arrays already cut to the foreground's bounding box."""
    places = [np.arange(n) if a == axis else mirrored(n) for a, n in enumerate(gray.shape)]
    grid = np.ix_(*places)

    def flat(array: NDArray[Any]) -> NDArray[Any]:
        moved = np.moveaxis(array, axis, 0)
        return np.ascontiguousarray(moved).reshape(len(places[axis]), -1, *array.shape[3:])

    codes, inside = flat(gray[grid]), flat(foreground[grid])
    labels = flat(classes.array[grid]) if isinstance(classes, LabelClasses) else None
    tissue = classes.of(codes, labels)
    tissue = np.where(inside, tissue, 0).astype(np.uint8)
    colors = np.zeros((codes.size, 3), dtype=np.float32)
    chosen = np.flatnonzero(inside)  # several times faster than indexing by the mask
    colors[chosen] = lab(np.take(flat(rgb[grid]).reshape(-1, 3), chosen, axis=0))
    return Stack(codes, colors.reshape(*codes.shape, 3), inside, tissue, classes.tissues, spacing[axis])


@dataclass(frozen=True)
class IntensityClasses:
    """Dark to bright classes of the input's codes, where no labels are given."""

    bounds: tuple[int, ...]
    """First code of each class after the darkest."""

    @property
    def tissues(self) -> tuple[Tissue, ...]:
        edges = (0, *self.bounds, 256)
        return tuple(
            Tissue(f"intensity {low}-{high - 1}", n, False)
            for n, (low, high) in enumerate(itertools.pairwise(edges), 1)
        )

    def of(self, codes: NDArray[np.uint8], _labels: NDArray[Any] | None = None) -> NDArray[np.uint8]:
        return (np.searchsorted(self.bounds, np.arange(256), side="right") + 1).astype(np.uint8)[codes]


@dataclass(frozen=True)
class LabelClasses:
    """The largest labels of a label volume, on the grid that the stacks are taken from."""

    array: NDArray[Any]
    values: tuple[int, ...]
    names: tuple[str, ...]

    @property
    def tissues(self) -> tuple[Tissue, ...]:
        return tuple(Tissue(name, value, True) for value, name in zip(self.values, self.names, strict=True))

    def of(self, _codes: NDArray[np.uint8], labels: NDArray[Any] | None) -> NDArray[np.uint8]:
        assert labels is not None
        order = np.argsort(self.values)
        known = np.asarray(self.values)[order]
        position = np.minimum(np.searchsorted(known, labels), len(known) - 1)
        return np.where(known[position] == labels, order[position] + 1, 0).astype(np.uint8)


def intensity_classes(counts: NDArray[np.int64], classes: int = 4) -> IntensityClasses:
    """Cut the histogram of the foreground's codes by k-means (as Zeng 2020 cuts pictures, k = 4)."""
    codes = np.arange(256, dtype=np.float64)
    present = np.flatnonzero(counts)
    if len(present) <= 1:
        return IntensityClasses(())
    cumulative = np.cumsum(counts) / counts.sum()
    centers = np.searchsorted(cumulative, (np.arange(classes) + 0.5) / classes).astype(np.float64)
    centers = np.unique(centers)
    for _ in range(100):
        nearest = np.abs(codes[:, None] - centers).argmin(axis=1)
        weight = np.bincount(nearest, counts, len(centers))
        moved = np.bincount(nearest, counts * codes, len(centers))[weight > 0] / weight[weight > 0]
        if len(moved) == len(centers) and np.allclose(moved, centers):
            break
        centers = moved
    middle = (centers[:-1] + centers[1:]) / 2
    return IntensityClasses(tuple(int(np.ceil(m)) for m in middle))
