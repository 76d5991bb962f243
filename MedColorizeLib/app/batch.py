"""Many cases: what is to be done is written down first, then worker processes do it, each case exactly once.

Whoever works on a case holds a lock that ends with its process: runs may be killed, resumed and started side by side.
Not for: one volume (`pipeline`), or what the terminal shows (`commands.batch`).
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Cancelled, InputError, OutputError, UsageError
from ..imaging.atomic import write_atomically
from ..progress import CancelToken, OnProgress, Progress
from .batch_case import Case, Result
from .batch_plan import FORMATS, assign, find
from .batch_pool import Worker, hire, run_locally
from .batch_store import SCHEMA, Status, Store, now

_MOST_BY_DEFAULT = 4


@dataclass(frozen=True)
class BatchJob:
    """What is to be coloured, how, where it goes and who does it."""

    inputs: Sequence[str]
    output: Path
    settings: dict[str, Any] = field(default_factory=dict)
    """Options of `ColorizeJob` that hold for all cases, and `report`."""
    format: str = ".nrrd"
    workers: int | None = None
    scheduler: str | None = None
    resume: bool = False
    threads: int | None = None
    """Of each worker; None: the cores, shared evenly."""


@dataclass
class BatchOutcome:
    """What came of it."""

    store: Store
    results: list[tuple[Case, Result]]
    skipped: list[str]
    planned: int
    seconds: float
    cancelled: bool
    summary: Path

    @property
    def failures(self) -> list[tuple[Case, Result]]:
        """The cases that came to nothing, by name."""
        return sorted((pair for pair in self.results if pair[1].state == "failed"), key=lambda pair: pair[0].output)

    @property
    def exit_code(self) -> int:
        """0 if all is done. Of several failures' codes the highest: trouble with a disk or with memory, which a resume
        may cure, outranks a bad input, which it can't."""
        if self.cancelled:
            return Cancelled.exit_code
        return max((result.exit_code for _, result in self.failures), default=0)

    def to_dict(self) -> dict[str, Any]:
        """For `--json`."""
        states = [result.state for _, result in self.results]
        return {
            "output": str(self.store.folder),
            "planned": self.planned,
            "done": states.count("done"),
            "done_now": sum(result.fresh for _, result in self.results),
            "failed": states.count("failed"),
            "cancelled": self.cancelled,
            "exit_code": self.exit_code,
            "seconds": round(self.seconds, 3),
            "skipped": self.skipped,
            "summary": str(self.summary),
            "cases": [
                {
                    "input": case.shown,
                    "output": case.output,
                    "state": result.state,
                    "reason": result.reason,
                    "exit_code": result.exit_code,
                    "seconds": result.seconds,
                }
                for case, result in sorted(self.results, key=lambda pair: pair[0].output)
            ],
        }


def run_batch(job: BatchJob, on_progress: OnProgress | None = None, cancel: CancelToken | None = None) -> BatchOutcome:
    """Do all cases that are not done. A bad case is a result like any other; only a bad request raises."""
    cancel = cancel or CancelToken()
    if job.workers is not None and job.workers < 1:
        raise UsageError(f"--workers is 1 or more, not {job.workers}.")
    if job.threads is not None and job.threads < 1:
        raise UsageError(f"--threads is 1 or more, not {job.threads}.")
    if job.format not in FORMATS:
        raise UsageError(f"--format is one of {', '.join(FORMATS)}, not '{job.format}'.")
    crew = [] if job.scheduler else hire(job.output, workers_for(job.workers), job.threads)
    try:
        return _run(job, Store(job.output), crew, on_progress, cancel)
    finally:
        for worker in crew:
            worker.close()


def _run(
    job: BatchJob, store: Store, crew: list[Worker], on_progress: OnProgress | None, cancel: CancelToken
) -> BatchOutcome:
    started = time.monotonic()
    if on_progress:
        on_progress(Progress("find cases", 0, 1))
    found, skipped = find(job.inputs, job.output, dicom_output=job.format in ("dicom", ".dcm"))
    cancel.check()
    store.create()
    with store.claim("plan", wait=True):
        _open(store, job)
        known = store.known()
        cases = assign(found, known, job.format, job.settings)
        for case in cases:
            if case.key not in known:
                store.save(_queued(case))
    results: list[tuple[Case, Result]] = []
    running, failed = 0, 0

    def show() -> None:
        if on_progress:
            message = f"{running} running" + (f", {failed} failed" if failed else "")
            on_progress(Progress("batch", len(results), len(cases), message))

    def tell(case: Case, result: Result) -> None:
        nonlocal failed
        if result.state != "cancelled":
            results.append((case, result))
            failed += result.state == "failed"
        show()

    def on_running(count: int) -> None:
        nonlocal running
        if count != running:
            running = count
            show()

    show()
    if job.scheduler:
        from .batch_dask import run_on_dask

        run_on_dask(store, cases, job.scheduler, tell, cancel, on_running, job.threads or 1)
    else:
        run_locally(store, cases, crew[: len(cases)], tell, cancel, on_running)
    summary = store.write_summary()
    unfinished = len(results) < len(cases)
    return BatchOutcome(
        store, results, skipped, len(cases), time.monotonic() - started, cancel.cancelled and unfinished, summary
    )


def workers_for(asked: int | None) -> int:
    """As many as asked for, else half the cores and at most four: each one holds a whole volume in memory."""
    return asked or min(_MOST_BY_DEFAULT, max(1, (os.cpu_count() or 1) // 2))


def _queued(case: Case) -> Status:
    from .batch_plan import short_hash

    series = short_hash(case.series) if case.series else ""
    return Status(case.key, case.shown, case.output, series, queued=now())


def _open(store: Store, job: BatchJob) -> None:
    """Begin the record, or go on with one that was made with the same options."""
    file = store.home / "settings.json"
    mine: dict[str, Any] = {"schema": SCHEMA, "format": job.format, "settings": _plain(job.settings)}
    if not file.exists():
        write_atomically(file, json.dumps(mine, indent=1, ensure_ascii=False) + "\n")
        return
    if not job.resume:
        raise OutputError(
            f"{store.folder} holds a batch already. Add --resume to go on with it (or to help a run that is at work), "
            "or choose another folder (-o)."
        )
    try:
        theirs = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{file} can't be read ({error}). Choose another folder (-o).") from error
    if theirs != mine:
        old, new = ({"format": d["format"], **d["settings"]} for d in (theirs, mine))
        changed = sorted(name for name in {*old, *new} if old.get(name) != new.get(name))
        raise UsageError(
            f"{store.folder} was begun with other options ({', '.join(changed) or 'another version'}), and half a "
            "batch one way and half another would mislead. Give the same options, or choose another folder (-o)."
        )


def _plain(settings: dict[str, Any]) -> dict[str, Any]:
    """As JSON gives it back."""
    plain: dict[str, Any] = json.loads(json.dumps(settings))
    return plain
