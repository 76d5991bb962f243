"""Worker processes on this machine: each does one case at a time, and its death costs nobody else anything.

A case whose worker dies is tried once more, then given up. A case that another program holds is asked for again later.
Not for: what a case is (`batch_case`) or other machines (`batch_dask`).
"""

from __future__ import annotations

import json
import os
import queue
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from pathlib import Path

from ..progress import CancelToken
from . import protocol
from .batch_case import Case, Result, give_up
from .batch_store import Store
from .cores import ONE_THREAD

Tell = Callable[[Case, Result], None]
OnRunning = Callable[[int], None]
"""Hears how many cases are being worked on."""
ATTEMPTS = 2
GRACE_SECONDS = 15.0
"""What a worker gets to end by itself after a cancel."""
BUSY_SECONDS = 1.0
"""How long to wait before asking again for a case that somebody else holds."""


class WorkerDied(Exception):  # noqa: N818  it happened; whether it is an error is decided elsewhere
    """The process ended in the middle of a case."""

    def __init__(self, code: int | None) -> None:
        super().__init__(f"exit code {code}")
        self.killed = code in (-9, 9, 137)


class Worker:
    """One worker process, started when first needed and again after it died."""

    def __init__(self, folder: Path, threads: int | None = None, python: Sequence[str] = ()) -> None:
        self.folder, self.threads = folder, threads
        self._command = [*(python or (sys.executable,)), "-m", "MedColorizeLib.app.batch_worker", str(folder)]
        self._process: subprocess.Popen[str] | None = None
        self._answers: queue.Queue[Result | None] = queue.Queue()

    @property
    def pid(self) -> int | None:
        """Of the process, while there is one."""
        return self._process.pid if self._process else None

    def run(self, case: Case, cancelled: Callable[[], bool]) -> Result:
        """Have a case done. Raises `WorkerDied` if the process ends instead of answering."""
        process = self._process or self.start()
        told = 0.0
        try:
            self._send(process, {"case": case.to_dict()})
            while True:
                try:
                    answer = self._answers.get(timeout=0.2)
                except queue.Empty:
                    if cancelled() and not told:
                        told = time.monotonic()
                        self._send(process, {"cancel": True})
                    elif told and time.monotonic() - told > GRACE_SECONDS:
                        process.kill()
                        process.wait()
                        return Result(case.key, "cancelled", exit_code=130)
                    continue
                if answer is None:
                    raise WorkerDied(process.wait())
                return answer
        except (BrokenPipeError, WorkerDied) as error:
            self._process = None
            code = process.wait()
            _close(process)
            if cancelled():
                return Result(case.key, "cancelled", exit_code=130)
            raise WorkerDied(code) from error

    def close(self) -> None:
        """End the process."""
        if self._process is not None:
            process, self._process = self._process, None
            _close(process)  # it ends when its input does
            try:
                process.wait(GRACE_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self) -> subprocess.Popen[str]:
        """Start the process now, so that it loads what it needs while the cases are still being found."""
        answers: queue.Queue[Result | None] = queue.Queue()
        self._answers = answers
        # Standard error goes nowhere: libraries may quote there what is in a file.
        self._process = process = subprocess.Popen(
            self._command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            env=environment(self.threads),
            encoding="utf-8",
        )
        threading.Thread(target=_listen, args=(process, answers), daemon=True).start()
        return process

    def _send(self, process: subprocess.Popen[str], request: dict[str, object]) -> None:
        assert process.stdin is not None
        process.stdin.write(json.dumps(request) + "\n")
        process.stdin.flush()


def _close(process: subprocess.Popen[str]) -> None:
    try:
        if process.stdin is not None:
            process.stdin.close()
    except OSError:
        pass  # the other end is gone


def _listen(process: subprocess.Popen[str], answers: queue.Queue[Result | None]) -> None:
    assert process.stdout is not None
    with process.stdout:
        for line in process.stdout:
            event = protocol.decode(line)
            if event is not None and event["event"] == "result":
                answers.put(Result(**event["result"]))
    answers.put(None)


def environment(threads: int | None) -> dict[str, str]:
    """Of a worker: it finds the library, and keeps to its share of the cores."""
    root = str(Path(__file__).resolve().parents[2])
    found = {**ONE_THREAD, **os.environ, "PYTHONUNBUFFERED": "1"}
    found["PYTHONPATH"] = os.pathsep.join(filter(None, [root, os.environ.get("PYTHONPATH", "")]))
    if threads:
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS", "ITK_GLOBAL_DEFAULT_NUMBER_OF_THREADS")
        # The last one is what Python itself then takes for the number of cores (3.13).
        found.update(dict.fromkeys((*names, "PYTHON_CPU_COUNT"), str(threads)))
    return found


def hire(folder: Path, count: int, threads: int | None = None) -> list[Worker]:
    """So many workers, which share the cores; no more than there are cores begin before there is work for them."""
    cores = os.cpu_count() or 1
    crew = [Worker(folder, threads or max(1, cores // count)) for _ in range(count)]
    for worker in crew[:cores]:
        worker.start()
    return crew


def run_locally(
    store: Store,
    cases: Sequence[Case],
    workers: Sequence[Worker],
    tell: Tell,
    cancel: CancelToken,
    on_running: OnRunning | None = None,
) -> None:
    """Have all cases done by the workers, which end then; `tell` hears the end of each case, from this thread."""
    pool = _Pool(store, cases, cancel)
    crew = [threading.Thread(target=pool.work, args=(one,), name=f"worker {n}") for n, one in enumerate(workers)]
    for member in crew:
        member.start()
    ended = 0
    while ended < len(crew):
        try:
            message = pool.ends.get(timeout=0.2)
        except queue.Empty:
            if on_running:
                on_running(pool.running)
            continue
        if message is None:
            ended += 1
        elif isinstance(message, BaseException):
            pool.stop.cancel()
            for member in crew:
                member.join()
            raise message
        else:
            tell(*message)
    for member in crew:
        member.join()


class _Pool:
    """The cases that wait, shared by the threads that each mind one worker process."""

    def __init__(self, store: Store, cases: Sequence[Case], cancel: CancelToken) -> None:
        self._store, self._cancel = store, cancel
        self.stop = CancelToken()
        self.ends: queue.Queue[tuple[Case, Result] | BaseException | None] = queue.Queue()
        self._waiting = deque(cases)
        self._later: list[tuple[float, Case]] = []
        self._deaths: dict[str, int] = {}
        self._lock = threading.Lock()
        self.running = 0

    def work(self, worker: Worker) -> None:
        try:
            while not self._stopped():
                case = self._next()
                if case is None:
                    if self._over():
                        break
                    time.sleep(0.1)
                    continue
                try:
                    self._one(worker, case)
                finally:
                    with self._lock:
                        self.running -= 1
        except BaseException as error:
            self.ends.put(error)
        finally:
            worker.close()
            self.ends.put(None)

    def _one(self, worker: Worker, case: Case) -> None:
        try:
            result = worker.run(case, self._stopped)
        except WorkerDied as death:
            deaths = self._deaths[case.key] = self._deaths.get(case.key, 0) + 1
            self._store.journal("worker died", case.key, deaths=deaths)
            if deaths < ATTEMPTS:
                with self._lock:
                    self._waiting.append(case)
                return
            result = give_up(self._store, case, why_dead(death))
        if result.state == "busy":
            with self._lock:
                self._later.append((time.monotonic() + BUSY_SECONDS, case))
        else:
            self.ends.put((case, result))

    def _next(self) -> Case | None:
        with self._lock:
            now = time.monotonic()
            self._waiting.extend(case for when, case in self._later if when <= now)
            self._later = [(when, case) for when, case in self._later if when > now]
            if not self._waiting:
                return None
            self.running += 1
            return self._waiting.popleft()

    def _over(self) -> bool:
        """True when nothing waits and nothing runs that may have to be done again."""
        with self._lock:
            return not (self._waiting or self._later or self.running)

    def _stopped(self) -> bool:
        return self._cancel.cancelled or self.stop.cancelled


def why_dead(death: WorkerDied | None) -> str:
    """The reason of a case that was given up."""
    how = "was ended by the system, most likely because memory ran out," if death and death.killed else "crashed"
    return f"The worker process {how} twice on this case. Use fewer workers or more memory, then --resume."
