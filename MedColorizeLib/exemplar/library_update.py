"""Making and renewing a reference library: what is new, changed or gone since the last time, and nothing else.

The work is done on a copy that takes the library's place when it is whole, so a cancelled or failed update changes
nothing. A picture that can't be used is told, not silently left out, and doesn't stop the others.
"""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path

import numpy as np

from ..errors import InputError, OutputError
from ..imaging.atomic import AtomicTarget
from ..imaging.colorspaces import luma_codes
from ..progress import CancelToken, OnProgress, track
from . import hashing
from .library import SCHEMA, DeepFeature, damaged, deep_feature, files_in, reading, sha256_of
from .pictures import ENDINGS, Background, cropped, looks_embedded, read_rgb, tissue_only

_LONGEST = 640
"""Pictures are decoded to about this size for hashing: 9 x 8 pixels need no more."""

_TABLES = """
CREATE TABLE facts (key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE folders (folder_number INTEGER PRIMARY KEY, folder TEXT UNIQUE NOT NULL, background TEXT NOT NULL);
CREATE TABLE pictures (
    number INTEGER PRIMARY KEY, folder_number INTEGER NOT NULL REFERENCES folders, name TEXT NOT NULL,
    bytes INTEGER NOT NULL, modified INTEGER NOT NULL, sha256 TEXT NOT NULL, dhash BLOB NOT NULL, feature BLOB,
    UNIQUE (folder_number, name)
);
CREATE TABLE packed (numbers BLOB NOT NULL, hashes BLOB NOT NULL);
"""


@dataclass
class Changes:
    """What an update did."""

    pictures: int = 0
    added: int = 0
    changed: int = 0
    removed: int = 0
    unchanged: int = 0
    refused: list[str] = field(default_factory=list)
    """Why some pictures are not in the library, each with its file."""
    embedded: int = 0
    """Newly read pictures that look like sections in blue gelatine but were not said to be (`background`)."""


@dataclass(frozen=True)
class _File:
    folder_number: int
    folder: Path
    name: str
    bytes: int
    modified: int
    background: Background


@dataclass(frozen=True)
class _Facts:
    sha256: str
    dhash: bytes
    feature: bytes | None
    embedded: bool


def update(
    path: Path | str,
    folders: Sequence[Path] = (),
    *,
    background: Background = "keep",
    deep: DeepFeature | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Changes:
    """Bring the library at `path` up to date with its folders, after adding `folders` to them; made if absent.

    `background` is said of the folders given; those already in the library keep theirs unless given again.
    """
    path = Path(path)
    if path.is_dir():
        raise OutputError(f"{path} is a folder. Give the library a file name, e.g. {path / 'references.sqlite'}.")
    given = [_existing(folder) for folder in folders]
    with AtomicTarget(path, overwrite=True) as target:
        if path.exists():
            with reading(path):  # a file that is no library is never replaced by one
                shutil.copyfile(path, target.temporary)
        changes = Changes()
        try:
            with closing(sqlite3.connect(target.temporary)) as database:
                if not path.exists():
                    database.executescript(_TABLES)
                    database.execute("INSERT INTO facts VALUES ('schema', ?)", (SCHEMA,))
                renew = _feature_changed(database, deep)
                _add_folders(database, given, background, path.resolve().parent)
                _update(database, path.resolve().parent, changes, deep, renew, on_progress, cancel)
                _pack(database)
                database.commit()
                database.execute("VACUUM")
        except sqlite3.DatabaseError as error:
            raise damaged(path) from error
        if cancel:
            cancel.check()
        target.commit()
    return changes


def _existing(folder: Path) -> Path:
    if not folder.is_dir():
        raise InputError(f"{folder}: there is no such folder. Give a folder of colour pictures.")
    return folder.resolve()


def _feature_changed(database: sqlite3.Connection, deep: DeepFeature | None) -> bool:
    """Note which deep feature the library is to hold; True if every picture needs a new one."""
    row = database.execute("SELECT value FROM facts WHERE key = 'feature'").fetchone()
    if deep is None:
        if row is not None:
            raise InputError("This library holds deep features: give the same --features file to bring it up to date.")
        return False
    if row is not None and row[0] == deep.name:
        return False
    database.execute("INSERT OR REPLACE INTO facts VALUES ('feature', ?)", (deep.name,))
    return True


def _add_folders(database: sqlite3.Connection, folders: list[Path], background: Background, root: Path) -> None:
    """Folders beside or below the library are kept relative to it, so that both can be moved or shared together."""
    for folder in folders:
        place = os.path.relpath(folder, root) if folder.is_relative_to(root) else str(folder)
        old = database.execute("SELECT folder_number, background FROM folders WHERE folder = ?", (place,)).fetchone()
        if old is None:
            database.execute("INSERT INTO folders (folder, background) VALUES (?, ?)", (place, background))
        elif old[1] != background:
            database.execute("UPDATE folders SET background = ? WHERE folder_number = ?", (background, old[0]))
            # Without its recorded time each picture counts as changed, and is read anew.
            database.execute("UPDATE pictures SET modified = -1, sha256 = '' WHERE folder_number = ?", (old[0],))


def _update(
    database: sqlite3.Connection,
    root: Path,
    changes: Changes,
    deep: DeepFeature | None,
    renew: bool,
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> None:
    known = {
        (row[0], row[1]): row[2:]
        for row in database.execute("SELECT folder_number, name, number, bytes, modified, sha256 FROM pictures")
    }
    fresh: list[_File] = []
    seen = set()
    for file in _listed(database, root):
        seen.add((file.folder_number, file.name))
        old = known.get((file.folder_number, file.name))
        if old is not None and old[1:3] == (file.bytes, file.modified) and not renew:
            changes.unchanged += 1
        else:
            fresh.append(file)
    gone = [old[0] for key, old in known.items() if key not in seen]
    database.executemany("DELETE FROM pictures WHERE number = ?", [(number,) for number in gone])
    changes.removed = len(gone)
    work = _ahead(fresh, lambda file: _facts(file, deep))
    for file, facts in track(work, "index", len(fresh), on_progress, cancel):
        old = known.get((file.folder_number, file.name))
        if isinstance(facts, str):
            changes.refused.append(facts)
            if old is not None:
                database.execute("DELETE FROM pictures WHERE number = ?", (old[0],))
                changes.removed += 1
            continue
        changes.embedded += facts.embedded
        values = (file.bytes, file.modified, facts.sha256, facts.dhash, facts.feature)
        if old is None:
            database.execute(
                "INSERT INTO pictures (bytes, modified, sha256, dhash, feature, folder_number, name) "
                "VALUES (?, ?, ?, ?, ?, ?, ?)",
                (*values, file.folder_number, file.name),
            )
            changes.added += 1
        else:
            sql = "UPDATE pictures SET bytes = ?, modified = ?, sha256 = ?, dhash = ?, feature = ? WHERE number = ?"
            database.execute(sql, (*values, old[0]))
            same = old[3] == facts.sha256
            changes.unchanged += same
            changes.changed += not same
    changes.pictures = database.execute("SELECT count(*) FROM pictures").fetchone()[0]


def _listed(database: sqlite3.Connection, root: Path) -> Iterator[_File]:
    """Every picture below the library's folders; a folder that is gone has none."""
    for number, place, background in database.execute(
        "SELECT folder_number, folder, background FROM folders ORDER BY folder_number"
    ).fetchall():
        folder = root / place
        for name, facts in files_in(folder, ENDINGS):
            yield _File(number, folder, name, facts.st_size, facts.st_mtime_ns, background)


def _facts(file: _File, deep: DeepFeature | None) -> _Facts | str:
    """What is to be remembered of a picture, or why it can't be used."""
    path = file.folder / file.name
    try:
        rgb = read_rgb(path, _LONGEST)
        tissue = tissue_only(rgb, file.background)
        digest = sha256_of(path)
    except InputError as error:
        text = str(error)
        return text if str(path) in text else f"{path}: {text}"
    shown = cropped(tissue)
    return _Facts(
        digest,
        int(hashing.dhash(luma_codes(shown))).to_bytes(8, "little"),
        None if deep is None else deep_feature(shown, deep).tobytes(),
        file.background == "keep" and looks_embedded(rgb),
    )


def _ahead(
    files: list[_File], work: Callable[[_File], _Facts | str], threads: int = 4
) -> Iterator[tuple[_File, _Facts | str]]:
    """The work of every file, in order, a few at once: decoding pictures releases Python's lock."""
    with ThreadPoolExecutor(threads) as pool:
        waiting = iter(files)
        running = [(file, pool.submit(work, file)) for file in islice(waiting, 2 * threads)]
        try:
            while running:
                file, future = running.pop(0)
                running.extend((next_, pool.submit(work, next_)) for next_ in islice(waiting, 1))
                yield file, future.result()
        finally:
            for _, future in running:
                future.cancel()


def _pack(database: sqlite3.Connection) -> None:
    """All hashes in one row, so that opening a library of 100,000 pictures takes milliseconds."""
    rows = database.execute("SELECT number, dhash FROM pictures ORDER BY number").fetchall()
    numbers = np.array([row[0] for row in rows], dtype="<i8")
    database.execute("DELETE FROM packed")
    database.execute("INSERT INTO packed VALUES (?, ?)", (numbers.tobytes(), b"".join(row[1] for row in rows)))
