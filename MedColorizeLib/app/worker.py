"""The worker process: does one request of the panel, tells its progress, and never outlives who asked.

    python -m MedColorizeLib.app.worker FOLDER [--parent PID]
    python -m MedColorizeLib.app.worker -  [--parent PID]      # the request (with its "folder") on standard input

Standard output carries the protocol (`protocol.py`) and nothing else: what libraries print goes to standard error.
Stops on SIGTERM, on a file named `cancel` in the folder, and when the process PID is gone.
Not for: the work itself (`tasks.py`).
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, TextIO

from .. import __version__
from ..errors import Cancelled, InputError, MedColorizeError, ResourceError
from ..progress import CancelToken, Progress
from . import protocol
from .cores import share_cores

PATIENCE = 5.0
"""Seconds that a cancelled task has to end by itself once nobody waits for it any more."""


class Line:
    """The one way out: writes whole lines, from any thread, to what was standard output at the start."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream
        self._lock = threading.Lock()

    def send(self, line: str) -> None:
        with self._lock:
            try:
                self._stream.write(line + "\n")
                self._stream.flush()
            except (OSError, ValueError):
                pass  # nobody listens any more: the watch below ends the work


def claim_stdout() -> TextIO:
    """Keep standard output for the protocol; prints of Python and C libraries go to standard error from now on."""
    sys.stdout.flush()
    kept = os.dup(1)
    os.dup2(2, 1)
    sys.stdout = sys.stderr
    return os.fdopen(kept, "w", encoding="ascii", newline="\n")


def alive(pid: int) -> bool:
    """True while the process exists and is not a zombie."""
    if os.name == "nt":
        import ctypes

        kernel = ctypes.windll.kernel32  # type: ignore[attr-defined, unused-ignore]
        handle = kernel.OpenProcess(0x00100000, False, pid)  # SYNCHRONIZE
        if not handle:
            return False
        waiting = kernel.WaitForSingleObject(handle, 0) == 0x102
        kernel.CloseHandle(handle)
        return bool(waiting)
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return True  # no /proc here (macOS): the signal's answer has to do
    return state != "Z"


def watch(folder: Path, parent: int | None, cancel: CancelToken, pause: float = 0.2) -> threading.Thread:
    """Raise the flag when the `cancel` file appears; when the parent is gone, end and take the folder along."""
    done = threading.Event()

    def look() -> None:
        while not done.wait(pause):
            gone = parent is not None and not alive(parent)
            if gone or not folder.is_dir():
                cancel.cancel()
                done.wait(PATIENCE)
                shutil.rmtree(folder, ignore_errors=True)
                os._exit(Cancelled.exit_code)
            if (folder / protocol.CANCEL).exists():
                cancel.cancel()

    thread = threading.Thread(target=look, name="watch", daemon=True)
    thread.start()
    return thread


def perform(
    request: dict[str, Any],
    folder: Path,
    line: Line,
    cancel: CancelToken,
    tasks: dict[str, Callable[..., Any]] | None = None,
) -> int:
    """Do the request; everything that happens is told, whatever it is. Returns the exit code."""

    def on_progress(progress: Progress) -> None:
        line.send(protocol.encode_progress(progress))

    try:
        from .tasks import TASKS

        known = TASKS if tasks is None else tasks
        task = known.get(str(request.get("task")))
        if task is None:
            raise InputError(f"There is no task '{request.get('task')}'. Known: {', '.join(sorted(known))}.")
        cancel.check()
        result = task(request, folder, on_progress, cancel)
        cancel.check()
        line.send(protocol.encode("result", result=result))
        return 0
    except MedColorizeError as error:
        line.send(protocol.encode_error(error))
        return error.exit_code
    except (MemoryError, RuntimeError) as error:
        traceback.print_exc()
        if not isinstance(error, MemoryError) and "out of memory" not in str(error).lower():
            line.send(protocol.encode_error(error))
            return 1
        short = ResourceError(
            "Memory ran out. Close other volumes and programs, crop the volume, or choose the CPU if the graphics card "
            "is small."
        )
        line.send(protocol.encode_error(short))
        return short.exit_code
    except ImportError as error:
        traceback.print_exc()
        if not error.name or error.name.partition(".")[0] == "MedColorizeLib":
            line.send(protocol.encode_error(error))
            return 1
        missing = ResourceError(
            f"The Python package '{error.name}' is missing, so this can't run. Install it as the panel offers, and try "
            "again."
        )
        line.send(protocol.encode("error", kind="MissingPackage", text=str(missing), exit_code=5, package=error.name))
        return missing.exit_code
    except Exception as error:
        traceback.print_exc()
        line.send(protocol.encode_error(error))
        return 1


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the process."""
    parser = argparse.ArgumentParser(prog="python -m MedColorizeLib.app.worker", description=__doc__)
    parser.add_argument("folder", help="folder that holds request.json, or - for the request on standard input")
    parser.add_argument("--parent", type=int, help="end when this process ends")
    options = parser.parse_args(arguments)
    share_cores()
    line = Line(claim_stdout())
    cancel = CancelToken()
    if options.parent is not None and hasattr(os, "setsid"):
        with contextlib.suppress(OSError):  # it may lead a group already
            os.setsid()  # so that the panel can end this process together with what it started
    signal.signal(signal.SIGTERM, lambda *_: cancel.cancel())
    line.send(protocol.encode("hello", pid=os.getpid(), version=__version__, python=sys.version.split()[0]))
    try:
        if options.folder == "-":
            request = json.loads(sys.stdin.read())
            folder = Path(request["folder"])
        else:
            folder = Path(options.folder)
            request = protocol.read_request(folder)
    except MedColorizeError as error:
        line.send(protocol.encode_error(error))
        return error.exit_code
    except (ValueError, KeyError, TypeError) as error:
        wrong = InputError(f"Standard input did not hold a request with its folder: {error}.")
        line.send(protocol.encode_error(wrong))
        return wrong.exit_code
    watch(folder, options.parent, cancel)
    return perform(request, folder, line, cancel)


if __name__ == "__main__":
    code = main()
    sys.stdout.flush()
    os._exit(code)  # at once: no library may hold the process up when the answer is out
