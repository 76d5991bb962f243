"""`provenance.json`: beside every output, how it was made. One file a folder, one entry an output."""

from __future__ import annotations

import hashlib
import json
import os
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ..errors import OutputError
from ..imaging.atomic import write_atomically

NAME = "provenance.json"


def record(output: Path, entry: dict[str, Any]) -> Path:
    """Add `entry` for `output` to its folder's `provenance.json`; several programs may do so at once."""
    file = output.parent / NAME
    with _locked(output.parent):
        try:
            document = json.loads(file.read_text()) if file.exists() else {}
        except ValueError as error:
            raise OutputError(f"{file} is damaged ({error}). Move it away and run again.") from error
        outputs = document.get("outputs") if isinstance(document, dict) else None
        outputs = outputs if isinstance(outputs, dict) else {}
        outputs[output.name] = {**entry, "written": datetime.now(UTC).isoformat(timespec="seconds")}
        document = {"schema": "medcolorize-provenance/1", "outputs": dict(sorted(outputs.items()))}
        write_atomically(file, json.dumps(document, indent=2) + "\n")
    return file


@contextmanager
def _locked(folder: Path) -> Iterator[None]:
    """Hold a lock on a folder that leaves no file in it, and that the system releases if this process dies."""
    try:
        import fcntl
    except ImportError:  # Windows can't lock a folder
        import msvcrt

        name = hashlib.sha256(str(folder.resolve()).encode()).hexdigest()[:16]
        with Path(tempfile.gettempdir(), f"medcolorize-{name}.lock").open("a+b") as stream:
            msvcrt.locking(stream.fileno(), msvcrt.LK_LOCK, 1)  # type: ignore[attr-defined]
            yield
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(handle, fcntl.LOCK_EX)
        yield
    finally:
        os.close(handle)
