"""The cases of a batch on an existing Dask scheduler, whose workers see the same files under the same paths.

Dask only hands the cases out: each is still done by a process of its own beside the Dask worker, under the same locks
and records as on one machine, so a case that the scheduler gives to a second worker isn't done twice.
Not for: starting a cluster. The only module that imports `distributed`.
"""

from __future__ import annotations

import itertools
import queue
import threading
import time
import uuid
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from ..errors import ResourceError, UsageError
from ..progress import CancelToken
from .batch_case import Case, Result, give_up
from .batch_pool import ATTEMPTS, BUSY_SECONDS, OnRunning, Tell, Worker, WorkerDied, why_dead
from .batch_store import Store

_PATIENCE = "30s"
_mine = threading.local()


def task(case: dict[str, Any], folder: str, stop: str, threads: int = 1) -> dict[str, Any]:
    """What a Dask worker runs: one case, in the process that this thread keeps for the purpose."""
    store, one = Store(Path(folder)), Case(**case)
    if not store.home.is_dir():
        reason = (
            f"{folder} is not there on a Dask worker. Inputs and outputs must lie on a disk that all workers share."
        )
        return asdict(Result(one.key, "failed", reason, ResourceError.exit_code))
    flag, looked = Path(stop), 0.0

    def cancelled() -> bool:
        nonlocal looked
        if time.monotonic() - looked < 1:
            return False
        looked = time.monotonic()
        return flag.exists()

    worker: Worker | None = getattr(_mine, "worker", None)
    if worker is None:
        worker = _mine.worker = Worker(Path(folder), threads)
    elif (worker.folder, worker.threads) != (Path(folder), threads):
        worker.close()
        worker = _mine.worker = Worker(Path(folder), threads)
    for attempt in itertools.count(1):
        try:
            return asdict(worker.run(one, cancelled))
        except WorkerDied as death:
            store.journal("worker died", one.key, deaths=attempt)
            if attempt >= ATTEMPTS:
                return asdict(give_up(store, one, why_dead(death)))
    raise AssertionError("a case ends or is given up")


def run_on_dask(
    store: Store,
    cases: Sequence[Case],
    address: str,
    tell: Tell,
    cancel: CancelToken,
    on_running: OnRunning | None = None,
    threads: int = 1,
) -> None:
    """Have all cases done by the workers of the scheduler at `address`; `tell` hears each end, from this thread.

    Dask runs one case a thread, so each takes one core unless `threads` says that the workers have more.
    """
    try:
        from distributed import Client
    except ImportError as error:
        raise ResourceError(
            "--scheduler needs Dask, here and on the workers: pip install 'medcolorize[cluster]'."
        ) from error
    try:
        client = Client(address, timeout=_PATIENCE, set_as_default=False)
    except (OSError, ValueError, TimeoutError) as error:
        raise UsageError(
            f"No Dask scheduler answers at {address}. Start one (dask scheduler) and give its address, "
            "such as tcp://host:8786."
        ) from error
    with client:
        _Run(client, store, tell, cancel, on_running, threads).all(cases)


class _Run:
    """One batch on one scheduler."""

    def __init__(
        self, client: Any, store: Store, tell: Tell, cancel: CancelToken, on_running: OnRunning | None, threads: int
    ) -> None:
        self._client, self._store, self._tell, self._cancel = client, store, tell, cancel
        self._on_running, self._threads = on_running, threads
        self._ends: queue.Queue[Any] = queue.Queue()
        self._open: dict[str, tuple[Any, Case]] = {}
        self._name = uuid.uuid4().hex[:8]
        self._stop = store.home / f"stop-{self._name}"
        self._number = itertools.count()

    def all(self, cases: Sequence[Case]) -> None:
        """Submit, wait, and resubmit what somebody else held."""
        for case in cases:
            self._submit(case)
        later: list[tuple[float, Case]] = []
        try:
            while self._open or later:
                if self._cancel.cancelled:
                    self._end_early()
                    return
                due = [case for when, case in later if when <= time.monotonic()]
                later = [(when, case) for when, case in later if case not in due]
                for case in due:
                    self._submit(case)
                busy = self._collect()
                if busy is not None:
                    later.append((time.monotonic() + BUSY_SECONDS, busy))
        finally:
            self._stop.unlink(missing_ok=True)

    def _submit(self, case: Case) -> None:
        key = f"medcolorize-{case.key}-{self._name}-{next(self._number)}"
        places = str(self._store.folder.resolve()), str(self._stop.resolve())
        future = self._client.submit(task, case.to_dict(), *places, self._threads, key=key, pure=False)
        self._open[key] = future, case
        future.add_done_callback(self._ends.put)

    def _collect(self) -> Case | None:
        """Take one answer, if there is one; returns the case if it must be asked for again."""
        try:
            future = self._ends.get(timeout=0.3)
        except queue.Empty:
            if self._client.status not in ("running", "connecting"):
                raise self._lost() from None
            if self._on_running:
                self._on_running(min(len(self._open), self._slots()))
            return None
        if future.key not in self._open:
            return None
        _, case = self._open.pop(future.key)
        if future.status == "finished":
            result = Result(**future.result())
        elif future.status != "error":
            # A worker died with the answer in its memory. The record has it: ask again, which colours nothing twice.
            if self._client.status not in ("running", "connecting"):
                raise self._lost()
            return case
        else:
            result = self._explain(case, future.exception())
        future.release()
        if result.state == "busy":
            return case
        self._tell(case, result)
        return None

    def _slots(self) -> int:
        workers = self._client.scheduler_info(n_workers=-1).get("workers", {})
        return sum(worker.get("nthreads", 1) for worker in workers.values())

    def _explain(self, case: Case, error: Any) -> Result:
        if type(error).__name__ == "KilledWorker":  # the case ended several Dask workers
            return give_up(self._store, case, why_dead(None))
        reason = f"The Dask worker could not do it ({type(error).__name__}). Is the same MedColorize installed there?"
        return give_up(self._store, case, reason)

    def _lost(self) -> ResourceError:
        return ResourceError("The Dask scheduler is gone. Nothing is lost: start it again and go on with --resume.")

    def _end_early(self) -> None:
        """Cases that wait are withdrawn; those at work are asked to stop, and leave nothing half-made."""
        self._stop.touch()
        self._client.cancel([future for future, _ in self._open.values()])
        deadline = time.monotonic() + 20
        for _, case in self._open.values():
            # Whoever holds a case lets go of it when it has stopped.
            while time.monotonic() < deadline:
                with self._store.claim(case.key) as free:
                    if free:
                        break
                time.sleep(0.2)
