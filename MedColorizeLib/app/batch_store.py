"""The record of a batch: one status file a case, a journal, locks. Every change is whole or not made at all.

    DIR/_batch/settings.json          what the batch colours by
    DIR/_batch/cases/KEY.json         one case: state, reason, times, hash of its output
    DIR/_batch/journal.jsonl          appended to, never rewritten: who began and ended what, when
    DIR/_batch/locks/KEY              held (by the system, so that it ends with its holder) while a case is worked on
    DIR/_batch/staging/KEY/           where the output is made before it is moved to its place
    DIR/_batch/summary.csv            all cases at a glance

Not for: finding cases (`batch_plan`) or working on one (`batch_case`). Of an input its path is kept, as it was given,
since a case could not be found again without; a DICOM series is kept as a hash of its UID.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from datetime import datetime, timezone
from pathlib import Path
from typing import Any, BinaryIO

from ..errors import OutputError
from ..imaging.atomic import write_atomically

FOLDER = "_batch"
SCHEMA = "medcolorize-batch/1"
COLUMNS = ("input", "output", "state", "reason", "exit_code", "attempts", "seconds", "started", "finished")


@dataclass
class Status:
    """What is known of one case."""

    key: str
    input: str
    output: str
    """Relative to the batch's folder."""
    series: str = ""
    state: str = "queued"
    """queued, running, finishing (the output is whole, and on its way to its place), done or failed."""
    reason: str = ""
    exit_code: int = 0
    attempts: int = 0
    queued: str = ""
    started: str = ""
    finished: str = ""
    seconds: float = 0.0
    output_sha256: str = ""
    input_sha256: str = ""
    notes: list[str] = field(default_factory=list)


class Store:
    """The files of one batch."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.home = folder / FOLDER
        self.journal_file = self.home / "journal.jsonl"

    def create(self) -> None:
        """Make the folders; doing it again changes nothing."""
        try:
            for name in ("cases", "locks", "staging"):
                (self.home / name).mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise OutputError(
                f"{self.folder} can't be used: {error.strerror or error}. Choose a folder that you may write to (-o)."
            ) from error

    def staging(self, key: str) -> Path:
        """The private folder of a case while it is worked on."""
        return self.home / "staging" / key

    def output(self, status: Status) -> Path:
        """Where the output of a case goes."""
        return self.folder / status.output

    def load(self, key: str) -> Status:
        """The status of a case."""
        file = self.home / "cases" / f"{key}.json"
        try:
            content = json.loads(file.read_text(encoding="utf-8"))
            if content.pop("schema", None) != SCHEMA:
                raise ValueError("it was written by another version")
            return Status(**content)
        except (OSError, ValueError, TypeError, AttributeError) as error:
            raise OutputError(f"{file} can't be read ({error}). Remove it: its case is then done again.") from error

    def save(self, status: Status) -> None:
        """Put a status in place, in one step."""
        text = json.dumps({"schema": SCHEMA, **asdict(status)}, indent=1, ensure_ascii=False)
        write_atomically(self.home / "cases" / f"{status.key}.json", text + "\n")

    def known(self) -> dict[str, Status]:
        """Every case that has a status, by key."""
        # Names with a dot in front are statuses that somebody is just writing.
        return {file.stem: self.load(file.stem) for file in sorted((self.home / "cases").glob("[!.]*.json"))}

    def journal(self, event: str, key: str, **facts: Any) -> None:
        """Append a line, in one write, so that lines of several processes never mix."""
        line = json.dumps({"time": now(), "event": event, "case": key, "pid": os.getpid(), **facts}) + "\n"
        handle = os.open(self.journal_file, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o666)
        try:
            os.write(handle, line.encode())
        finally:
            os.close(handle)

    def events(self, key: str | None = None) -> list[dict[str, Any]]:
        """The journal, or what it says of one case. A line cut short by a crash is passed over."""
        found = []
        try:
            lines = self.journal_file.read_bytes().splitlines()
        except FileNotFoundError:
            return []
        for line in lines:
            try:
                event = json.loads(line)
            except ValueError:
                continue
            if key is None or event.get("case") == key:
                found.append(event)
        return found

    def told(self, key: str, event: str, attempt: int) -> bool:
        """True if the journal has the event already. It grows with the batch: ask only when it isn't certain."""
        return any(one["event"] == event and one.get("attempt") == attempt for one in self.events(key))

    @contextmanager
    def claim(self, key: str, *, wait: bool = False) -> Iterator[bool]:
        """Hold a case: yields False if somebody else does. The system lets go of it when its holder dies."""
        with (self.home / "locks" / key).open("a+b") as stream:
            held = _lock(stream, wait)
            try:
                yield held
            finally:
                if held:
                    _unlock(stream)

    def write_summary(self) -> Path:
        """All cases as a table, for people and spreadsheets."""
        text = io.StringIO()
        writer = csv.writer(text, lineterminator="\n")
        writer.writerow(COLUMNS)
        for status in sorted(self.known().values(), key=lambda one: one.output):
            row = asdict(status)
            writer.writerow([" ".join(str(row[name]).split()) for name in COLUMNS])
        path = self.home / "summary.csv"
        write_atomically(path, text.getvalue())
        return path


def now() -> str:
    """The time, as the files tell it."""
    return datetime.now(timezone.utc).isoformat(timespec="milliseconds")  # noqa: UP017  older Pythons have no UTC


def hash_output(path: Path) -> str:
    """SHA-256 of a file, or of the names and hashes of a folder's files."""
    if path.is_dir():
        total = hashlib.sha256()
        for file in sorted(p for p in path.rglob("*") if p.is_file()):
            total.update(f"{file.relative_to(path).as_posix()}\0{hash_output(file)}\n".encode())
        return total.hexdigest()
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def _lock(stream: BinaryIO, wait: bool) -> bool:
    try:
        import fcntl
    except ImportError:
        import msvcrt
        import time

        while True:
            try:
                stream.seek(0)
                msvcrt.locking(stream.fileno(), msvcrt.LK_NBLCK, 1)  # type: ignore[attr-defined]
                return True
            except OSError:
                if not wait:
                    return False
                time.sleep(0.1)
    try:
        fcntl.flock(stream, fcntl.LOCK_EX if wait else fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _unlock(stream: BinaryIO) -> None:
    try:
        import fcntl
    except ImportError:
        import msvcrt

        stream.seek(0)
        msvcrt.locking(stream.fileno(), msvcrt.LK_UNLCK, 1)  # type: ignore[attr-defined]
        return
    fcntl.flock(stream, fcntl.LOCK_UN)
