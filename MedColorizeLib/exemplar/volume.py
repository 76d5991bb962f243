"""Whole volumes, which the paper can't do: a few key slices are optimised, the others take their colours from them.

Slices are those of the plane the caller chooses (`Turn`), whatever the order of the array.
Each key starts from the colours of the one before. Every slice, keys included, is coloured by the tables
(`chroma_grid`) of the keys around it, mixed by distance, so colours don't jump. A work folder keeps finished keys.
`ExemplarPainter` is what `inference.Colorizer` calls a slab painter. Not for: luma, alpha, files (the `Colorizer`'s).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..imaging.atomic import AtomicTarget
from ..imaging.clusters import TissueClasses, tissue_classes
from ..imaging.colorspaces import rgb_to_yuv
from ..progress import CancelToken, OnProgress, Progress
from .base import Transfer, WarmTransfer
from .chroma_grid import ChromaGrid
from .imaging_module import with_luma
from .pictures import box

KEY_MM = 6.0
"""Between key slices: anatomy changes little over half a centimetre."""
_EMPTY_SHARE = 0.005
_DARK = 12
_SAMPLES = 2_000_000


class PaintSubject(Protocol):
    """What is needed of `inference.painter.Subject`."""

    @property
    def gray(self) -> NDArray[np.uint8]: ...


class Turn(Protocol):
    """How an array (K, J, I) becomes (slice, row, column); `training.frame.Orientation` is one."""

    @property
    def axes(self) -> tuple[int, int, int]: ...
    @property
    def flips(self) -> tuple[bool, bool, bool]: ...
    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        """A view in that order; further axes stay last."""
        ...


@dataclass(frozen=True)
class _AsStored:
    """Slices along the array's first axis."""

    axes: tuple[int, int, int] = (0, 1, 2)
    flips: tuple[bool, bool, bool] = (False, False, False)

    def apply(self, array: NDArray[Any]) -> NDArray[Any]:
        return array


@dataclass(frozen=True, eq=False)
class KeySlice:
    """A slice to be optimised, and after which reference."""

    k: int
    reference: NDArray[np.uint8]
    described: dict[str, Any]
    """Which reference it is, for the provenance."""


def filled_slices(gray: NDArray[np.uint8]) -> NDArray[np.intp]:
    """Which slices of a volume (K, J, I) show something."""
    return np.flatnonzero([(plane > _DARK).mean() > _EMPTY_SHARE for plane in gray])


def key_positions(gray: NDArray[np.uint8], spacing_mm: float, keys: int | None = None) -> list[int]:
    """Evenly spaced slices of a volume (K, J, I) from the first that shows something to the last."""
    filled = filled_slices(gray)
    if not len(filled):
        raise InputError("The scan shows nothing but background through this window. Choose another (--window).")
    first, last = int(filled[0]), int(filled[-1])
    count = keys or round((last - first) * spacing_mm / KEY_MM) + 1
    if count > last - first:
        return list(range(first, last + 1))
    # Not the outermost slices themselves: they show the least.
    return [int(k) for k in np.rint(np.linspace(first, last, count + 2)[1:-1])]


class ExemplarPainter:
    """Colours a volume after references, by one transfer."""

    def __init__(
        self,
        transfer: Transfer,
        keys: Sequence[KeySlice],
        *,
        work: Path | None = None,
        on_progress: OnProgress | None = None,
        turn: Turn | None = None,
    ) -> None:
        """`keys` are counted along the slices of `turn` (default: along the array's first axis)."""
        if not keys:
            raise InputError("There is no key slice to colour.")
        self.transfer, self.keys = transfer, sorted(keys, key=lambda key: key.k)
        self.name = f"exemplar:{transfer.name}"
        self.resumed = 0
        """Key slices of the last volume that an earlier run had finished."""
        self._work, self._on_progress = work, on_progress
        self._turn: Turn = turn or _AsStored()
        self._gray: NDArray[np.uint8] | None = None
        self._grids: list[ChromaGrid] = []
        self._window: tuple[slice, slice] = (slice(None), slice(None))

    @property
    def notes(self) -> tuple[str, ...]:
        """What a person should know."""
        resumed = f"{self.resumed} of {len(self.keys)} key slices were taken from the work folder."
        return (*self.transfer.notes(), *([resumed] if self.resumed else []))

    def describe(self) -> dict[str, Any]:
        """For the provenance: the transfer, and which slice was coloured after which reference."""
        references: list[dict[str, Any]] = []
        for key in self.keys:
            if not references or {**key.described, "slices": 0} != {**references[-1], "slices": 0}:
                references.append({**key.described, "slices": []})
            references[-1]["slices"] = [*references[-1]["slices"], key.k]
        named = ", ".join(dict.fromkeys(str(entry["picture"]) for entry in references))
        return {**self.transfer.describe(), "method": self.name, "model": named, "references": references}

    def paint(
        self, subject: PaintSubject, start: int, stop: int, cancel: CancelToken | None = None
    ) -> NDArray[np.float32]:
        """RGB proposals (stop - start, J, I, 3) in 0..255, as `inference.painter.SlabPainter`."""
        if self._gray is not subject.gray:
            self._prepare(subject.gray, cancel)
        out = np.zeros((stop - start, *subject.gray.shape[1:], 3), np.float32)
        turned = self._turn.apply(out)
        view = self._turn.apply(subject.gray)
        # What of each slice lies in the slab: all of it, unless the plane lies across the array's first axis.
        part = [slice(0, size) for size in view.shape]
        across = self._turn.axes.index(0)
        part[across] = slice(start, stop)
        if self._turn.flips[across]:
            part[across] = slice(view.shape[across] - stop, view.shape[across] - start)
        rows, columns = (
            slice(max(shown.start, held.start), min(shown.stop, held.stop))
            for shown, held in zip(self._window, part[1:], strict=True)
        )
        whole = (self._window[0].stop - self._window[0].start, self._window[1].stop - self._window[1].start)
        at = (rows.start - self._window[0].start, columns.start - self._window[1].start)
        inner = (
            slice(rows.start - part[1].start, rows.stop - part[1].start),
            slice(columns.start - part[2].start, columns.stop - part[2].start),
        )
        for row, k in enumerate(range(part[0].start, part[0].stop)):
            if cancel:
                cancel.check()
            turned[row] = view[k, part[1], part[2], None]
            shown = view[k, rows, columns]
            if rows.start < rows.stop and columns.start < columns.stop:
                # Black can hold no chroma: none is proposed there, so none counts as given up.
                chroma = self._grid_at(k).chroma(shown, whole, at) * (shown > 0)[..., None]
                turned[row, inner[0], inner[1]] = with_luma(chroma, shown)
        return out

    def _grid_at(self, k: int) -> ChromaGrid:
        """The table at slice `k`: of the keys on either side, mixed; beyond the outermost, theirs."""
        places = [key.k for key in self.keys]
        after = int(np.searchsorted(places, k))
        if after == 0 or after == len(places):
            return self._grids[min(after, len(places) - 1)]
        before = after - 1
        return self._grids[before].mixed(self._grids[after], (k - places[before]) / (places[after] - places[before]))

    def _prepare(self, gray: NDArray[np.uint8], cancel: CancelToken | None) -> None:
        """Colour the key slices of a volume, or fetch those that are finished."""
        view = self._turn.apply(gray)
        if self.keys[-1].k >= len(view):
            raise InputError(f"There is no slice {self.keys[-1].k}: the scan has {len(view)}.")
        self._gray, self._grids, self.resumed = None, [], 0
        self._window = box(view.max(axis=0))
        shown = view[:, self._window[0], self._window[1]]
        sample = shown.reshape(-1)[:: max(1, shown.size // _SAMPLES)]
        classes = tissue_classes(sample, classes=getattr(self.transfer.options, "classes", 4))
        folder = None if self._work is None else self._work / self._fingerprint(view)
        previous: KeySlice | None = None
        for done, key in enumerate(self.keys):
            if cancel:
                cancel.check()
            self._tell(done, f"slice {key.k}")
            plane = np.ascontiguousarray(shown[key.k])
            chroma = None if folder is None else _finished(folder, key.k, plane.shape)
            if chroma is None:
                warm = previous is not None and previous.described == key.described
                start = with_luma(self._grids[-1].chroma(plane), plane) if warm else None
                chroma = self._colored(plane, key, start, classes, done, cancel)
                if folder is not None:
                    _keep(folder, key.k, chroma)
            else:
                self.resumed += 1
            self._grids.append(ChromaGrid.of(chroma, plane))
            previous = key
        self._tell(len(self.keys), "")
        self._gray = gray

    def _colored(
        self,
        plane: NDArray[np.uint8],
        key: KeySlice,
        start: NDArray[np.float32] | None,
        classes: TissueClasses,
        done: int,
        cancel: CancelToken | None,
    ) -> NDArray[np.float32]:
        """U and V of one key slice."""

        def inner(event: Progress) -> None:
            self._tell(done, f"slice {key.k}, {event.message or event.stage} {event.done}", event.figures)

        if isinstance(self.transfer, WarmTransfer):
            rgb = self.transfer.transfer_from(plane, key.reference, start, classes, cancel, inner)
        else:
            rgb = self.transfer.transfer(plane, key.reference, cancel, inner)
        return rgb_to_yuv(rgb)[..., 1:].astype(np.float32)

    def _tell(self, done: int, message: str, figures: dict[str, float] | None = None) -> None:
        if self._on_progress:
            self._on_progress(Progress("key slices", done, len(self.keys), message, figures or {}))

    def _fingerprint(self, gray: NDArray[np.uint8]) -> str:
        """Of all that a key slice's colours depend on: other input, options or references are other work."""
        digest = hashlib.sha256(json.dumps(self.describe(), sort_keys=True).encode())
        digest.update(f"{gray.shape}".encode())
        for plane in gray:
            digest.update(np.ascontiguousarray(plane).data)
        return digest.hexdigest()[:20]


def _finished(folder: Path, k: int, shape: tuple[int, ...]) -> NDArray[np.float32] | None:
    """A key slice of an earlier run, if it is there and whole."""
    try:
        chroma: NDArray[np.float32] = np.load(folder / f"key-{k:05d}.npy", allow_pickle=False)
    except (OSError, ValueError, EOFError):
        return None
    return chroma if chroma.shape == (*shape, 2) and chroma.dtype == np.float32 else None


def _keep(folder: Path, k: int, chroma: NDArray[np.float32]) -> None:
    with AtomicTarget(folder / f"key-{k:05d}.npy", overwrite=True) as target:
        with target.temporary.open("wb") as stream:
            np.save(stream, chroma, allow_pickle=False)
        target.commit()
