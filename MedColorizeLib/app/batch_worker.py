"""A worker process of a batch: cases as JSON lines in, results as JSON lines out, until its input ends.

    python -m MedColorizeLib.app.batch_worker DIR

A line is `{"case": {...}}` or `{"cancel": true}`. When the input ends, whoever asked is gone and the process ends at
once: what it was making is in a private folder, and the next one to look at the case clears that up.
Not for: the panel's requests (`worker`); they have volumes to pass, and one request each.
"""

from __future__ import annotations

import json
import os
import queue
import signal
import sys
import threading
from contextlib import suppress
from dataclasses import asdict
from importlib import import_module
from pathlib import Path
from typing import IO, Any

from ..progress import CancelToken
from . import protocol
from .batch_case import Case, perform
from .batch_store import Store
from .cores import share_cores
from .worker import Line, claim_stdout


class _Requests:
    """Reads standard input beside the work, so that a cancel is heard at once."""

    def __init__(self, stream: IO[str]) -> None:
        self.cases: queue.Queue[dict[str, Any]] = queue.Queue()
        self.cancel = CancelToken()
        self._stream = stream
        threading.Thread(target=self._read, name="requests", daemon=True).start()

    def _read(self) -> None:
        for line in self._stream:
            request = json.loads(line)
            if "case" in request:
                self.cases.put(request["case"])
            elif request.get("cancel"):
                self.cancel.cancel()
        os._exit(0)


def main(arguments: list[str] | None = None) -> int:
    """Entry point of the process."""
    words = sys.argv[1:] if arguments is None else arguments
    share_cores()
    store = Store(Path(words[0]))
    # A Ctrl-C at the terminal reaches every process of the group; the one that leads them tells this one what to do.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    line = Line(claim_stdout())
    requests = _Requests(sys.stdin)
    signal.signal(signal.SIGTERM, lambda *_: requests.cancel.cancel())
    line.send(protocol.encode("hello", pid=os.getpid()))
    with suppress(ImportError):  # what is missing is the first case's to tell
        for name in ("MedColorizeLib.app.pipeline", "nibabel", "SimpleITK"):
            import_module(name)
    while True:
        case = Case(**requests.cases.get())
        result = perform(store, case, requests.cancel)
        line.send(protocol.encode("result", result=asdict(result)))


if __name__ == "__main__":
    main()
