"""One trainer per run folder: a lock file that names its process, and is taken over when that process is gone."""

from __future__ import annotations

import json
import os
import socket
import sys
from pathlib import Path
from types import TracebackType
from typing import Self

from ..errors import OutputError, UsageError


class RunLock:
    """Held while a run is trained. A killed trainer's lock is recognised as stale; a living one's is respected."""

    def __init__(self, run: Path) -> None:
        self.path = run / "lock"

    def __enter__(self) -> Self:
        content = json.dumps({"pid": os.getpid(), "host": socket.gethostname(), "started": _started(os.getpid())})
        for _ in range(3):
            try:
                handle = os.open(self.path, os.O_CREAT | os.O_EXCL | os.O_WRONLY)
            except FileExistsError:
                self._refuse_if_alive()
                self.path.unlink(missing_ok=True)
                continue
            except OSError as error:
                raise OutputError(f"{self.path} can't be written: {error.strerror}.") from error
            with os.fdopen(handle, "w") as file:
                file.write(content)
            return self
        raise UsageError(f"{self.path.parent} is wanted by several trainers at once. Choose another folder (--out).")

    def _refuse_if_alive(self) -> None:
        try:
            owner = json.loads(self.path.read_text())
            pid, host, started = int(owner["pid"]), owner["host"], owner["started"]
        except (OSError, ValueError, KeyError, TypeError):
            return  # killed while writing it
        if host != socket.gethostname():
            raise UsageError(
                f"{self.path.parent} is in use by process {pid} on another machine. If that one has ended, "
                f"remove {self.path}."
            )
        if alive(pid) and _started(pid) == started:
            raise UsageError(
                f"{self.path.parent} is being trained by process {pid}. Wait for it, or choose another folder (--out)."
            )

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.path.unlink(missing_ok=True)


def alive(pid: int) -> bool:
    """Whether a process of this number runs here."""
    if sys.platform == "win32":
        import ctypes

        handle = ctypes.windll.kernel32.OpenProcess(0x1000, False, pid)  # PROCESS_QUERY_LIMITED_INFORMATION
        if handle:
            ctypes.windll.kernel32.CloseHandle(handle)
        return bool(handle)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True


def _started(pid: int) -> str:
    """When the process began, where the system tells: a number given again to a new process is then not mistaken."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except (OSError, IndexError):
        return ""
