"""The reference library: folders of colour pictures, indexed so that the nearest ones to a slice are found at once.

One SQLite file holds, for each picture, its place, SHA-256, D-hash and (optionally) a deep feature; the pictures stay
where they are. An update works on a copy that replaces the file when it is whole. Not for: what is done with a
reference (`base.Transfer`).
"""

from __future__ import annotations

import hashlib
import os
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from . import hashing
from .pictures import Background, cropped, read_picture

SCHEMA = "medcolorize-references/1"
_SHORTLIST = 64
"""With deep features: so many nearest by D-hash are looked at more closely."""


class DeepFeature(Protocol):
    """Pictures (n, H, W, 3) to vectors (n, channels), e.g. `networks.picture_features.squeezenet_pooled`."""

    name: str

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]: ...


@dataclass(frozen=True)
class Reference:
    """One picture of a library."""

    number: int
    path: Path
    sha256: str
    background: Background

    def read(self, turn: int = 0) -> NDArray[np.uint8]:
        """Its tissue, RGB, held as `hashing.TURNS[turn]` says; refused if the file is not the indexed one any more."""
        if not self.path.is_file():
            raise InputError(f"{self.path} is gone since it was indexed. Run `medcolorize exemplar index` again.")
        if sha256_of(self.path) != self.sha256:
            raise InputError(f"{self.path} has changed since it was indexed. Run `medcolorize exemplar index` again.")
        rows, columns = hashing.TURNS[turn][1]
        return np.ascontiguousarray(read_picture(self.path, self.background)[::rows, ::columns])

    def describe(self) -> dict[str, Any]:
        """For the provenance; the folder stays out, for it may name a person."""
        return {"picture": self.path.name, "sha256": self.sha256, "background": self.background}


@dataclass(frozen=True)
class Match:
    """A reference and how near it is to a slice."""

    reference: Reference
    distance: int
    """Bits of the D-hash that differ, 0 to 64."""
    turn: int
    """How the reference must be held to look like the slice: an index into `hashing.TURNS`."""
    similarity: float | None = None
    """Cosine of the deep features, if the library has them and they were asked for."""


class ReferenceLibrary:
    """A library opened for finding. `library_update.update` makes and renews the file."""

    def __init__(self, path: Path | str) -> None:
        self.path = Path(path)
        with reading(self.path) as database:
            values = dict(database.execute("SELECT key, value FROM facts"))
            row = database.execute("SELECT numbers, hashes FROM packed").fetchone()
            if row is None:
                raise damaged(self.path)
        self.feature: str | None = values.get("feature")
        self._numbers = np.frombuffer(row[0], "<i8").astype(np.int64)
        self._hashes = np.frombuffer(row[1], "<u8").astype(np.uint64)
        if len(self._numbers) != len(self._hashes):
            raise damaged(self.path)

    def __len__(self) -> int:
        return len(self._numbers)

    def nearest(self, gray: NDArray[np.uint8], count: int = 5, deep: DeepFeature | None = None) -> list[Match]:
        """The references most like a gray slice (H, W), the nearest first; ties in the order of the library.

        By D-hash in the best of four turns; with `deep` the nearest by hash are put in order of their deep features.
        """
        if not len(self):
            raise InputError(f"{self.path} holds no pictures. Index a folder that has some.")
        distance, turn = self.distances(gray)
        wanted = max(count, _SHORTLIST) if deep is not None else count
        order = _smallest(distance, wanted)
        matches = [
            Match(reference, int(distance[n]), int(turn[n]))
            for n, reference in zip(order, self._read(self._numbers[order]), strict=True)
        ]
        return matches if deep is None else self._reordered(matches, gray, deep)[:count]

    def distances(self, gray: NDArray[np.uint8]) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
        """For every picture of the library, the Hamming distance of its best turn, and which turn that is."""
        queries = hashing.turned(cropped(gray))
        best = hashing.distances(self._hashes, queries[:1])[0]
        turn = np.zeros(len(best), np.uint8)
        for n in range(1, len(queries)):  # one turn at a time: a reduction over so short an axis is far slower
            distance = hashing.distances(self._hashes, queries[n : n + 1])[0]
            turn[distance < best] = n
            np.minimum(best, distance, out=best)
        return best, turn

    def nearest_to_all(self, slices: Sequence[NDArray[np.uint8]]) -> Match:
        """The one reference that suits several slices of a volume best: the least sum of distances in one turn."""
        return self.suited(slices, 1)[0]

    def suited(self, slices: Sequence[NDArray[np.uint8]], count: int) -> list[Match]:
        """The references that suit several slices of a volume best, each in its best turn, the best first."""
        best, turn = self._sums(slices)
        order = np.lexsort((turn, best))[:count]
        return [
            Match(reference, round(int(best[n]) / len(slices)), int(turn[n]))
            for n, reference in zip(order, self._read(self._numbers[order]), strict=True)
        ]

    def chosen(self, sha256: str, slices: Sequence[NDArray[np.uint8]]) -> Match:
        """The reference with this hash, in the turn that suits the slices best."""
        with reading(self.path) as database:
            row = database.execute("SELECT number FROM pictures WHERE sha256 = ?", (sha256,)).fetchone()
        places = np.flatnonzero(self._numbers == (-1 if row is None else row[0]))
        if not len(places):
            raise InputError(f"The picture that was chosen is no longer in {self.path}. Choose another one.")
        best, turn = self._sums(slices)
        n = int(places[0])
        return Match(self._read(self._numbers[[n]])[0], round(int(best[n]) / len(slices)), int(turn[n]))

    def _sums(self, slices: Sequence[NDArray[np.uint8]]) -> tuple[NDArray[np.int64], NDArray[np.intp]]:
        """For every picture, its distances from all the slices in its best turn, added up, and which turn that is."""
        if not len(self) or not slices:
            raise InputError(f"{self.path} holds no pictures, or there is no slice to find one for.")
        total = np.zeros((len(hashing.TURNS), len(self)), np.int64)
        for gray in slices:
            total += hashing.distances(self._hashes, hashing.turned(cropped(gray)))
        return total.min(axis=0), total.argmin(axis=0)

    def references(self) -> list[Reference]:
        """Every picture, in the order of the library."""
        return self._read(self._numbers)

    def _reordered(self, matches: list[Match], gray: NDArray[np.uint8], deep: DeepFeature) -> list[Match]:
        if self.feature is None:
            raise UsageError(f"{self.path} was indexed without deep features. Index it again with --features FILE.")
        if deep.name != self.feature:
            raise UsageError(f"{self.path} holds the features '{self.feature}', not '{deep.name}'. Index it again.")
        query = deep_feature(np.repeat(cropped(gray)[..., None], 3, axis=2), deep)
        with reading(self.path) as database:
            found = []
            for match in matches:
                sql = "SELECT feature FROM pictures WHERE number = ?"
                vector = np.frombuffer(database.execute(sql, (match.reference.number,)).fetchone()[0], "<f4")
                found.append(Match(match.reference, match.distance, match.turn, float(query @ vector)))
        return sorted(found, key=lambda match: -(match.similarity or 0.0))

    def _read(self, numbers: NDArray[np.int64]) -> list[Reference]:
        sql = (
            "SELECT number, folder, name, sha256, background FROM pictures JOIN folders USING (folder_number) "
            "WHERE number = ?"
        )
        with reading(self.path) as database:
            rows = [database.execute(sql, (int(number),)).fetchone() for number in numbers]
        if None in rows:
            raise damaged(self.path)
        return [Reference(row[0], self._root / row[1] / row[2], row[3], row[4]) for row in rows]

    @cached_property
    def _root(self) -> Path:
        return self.path.resolve().parent


@contextmanager
def reading(path: Path) -> Iterator[sqlite3.Connection]:
    """A library's database, opened for reading only and checked to be one."""
    if not path.is_file():
        raise InputError(f"{path}: there is no such library. `medcolorize exemplar index FOLDER -o {path}` makes one.")
    try:
        with closing(sqlite3.connect(f"{path.resolve().as_uri()}?mode=ro", uri=True)) as database:
            schema = database.execute("SELECT value FROM facts WHERE key = 'schema'").fetchone()
            if schema is None or schema[0] != SCHEMA:
                raise InputError(f"{path} is a library of another version. Remove it and index the folders again.")
            yield database
    except sqlite3.Error as error:
        raise damaged(path) from error


def sha256_of(path: Path) -> str:
    """The SHA-256 of a picture's file."""
    try:
        with path.open("rb") as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror or error}.") from error


def deep_feature(rgb: NDArray[np.uint8], deep: DeepFeature) -> NDArray[np.float32]:
    """The feature of a gray copy of a picture, of length one: slices have no colour to compare."""
    from ..imaging.colorspaces import luma_codes
    from .pictures import fitted

    gray = fitted(luma_codes(rgb), (224, 224))
    vector = deep(np.repeat(gray[None, ..., None], 3, axis=3))[0]
    return (vector / max(float(np.linalg.norm(vector)), 1e-12)).astype("<f4")


def files_in(folder: Path, endings: Sequence[str]) -> Iterator[tuple[str, os.stat_result]]:
    """Pictures below a folder in alphabetical order: name relative to it, and what the file system says."""
    for parent, folders, names in os.walk(folder):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        for name in sorted(names):
            path = Path(parent, name)
            if path.suffix.lower() in endings and not name.startswith(".") and path.is_file():
                yield path.relative_to(folder).as_posix(), path.stat()


def _smallest(distance: NDArray[np.uint8], count: int) -> NDArray[np.intp]:
    """The places of the `count` smallest values, ascending, equal ones in order, without sorting them all."""
    if count >= len(distance):
        return np.argsort(distance, kind="stable")
    histogram = np.cumsum(np.bincount(distance, minlength=65))
    limit = int(np.searchsorted(histogram, count))
    candidates = np.flatnonzero(distance <= limit)
    return candidates[np.argsort(distance[candidates], kind="stable")[:count]]


def damaged(path: Path) -> InputError:
    return InputError(f"{path} is no reference library, or it is damaged. Remove it and index the folders again.")
