"""One case of a batch, from claim to done. Runs in a worker process, which may be killed between any two steps.

The output is made in a private folder, its hash is written down, then it is moved to its place; whoever finds the case
next can tell from the status and the hash how far it got, and finishes that without colouring again.
Not for: processes (`batch_worker`, `batch_pool`) or schedulers (`batch_dask`).
"""

from __future__ import annotations

import os
import shutil
import time
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ..errors import Cancelled, MedColorizeError, OutputError, ResourceError
from ..progress import CancelToken
from .batch_store import Status, Store, hash_output, now


@dataclass(frozen=True)
class Case:
    """What is to be coloured, by what, and where it goes."""

    key: str
    input: str
    """Absolute, so that a worker elsewhere finds it."""
    shown: str
    """As the person gave it."""
    output: str
    """Relative to the batch's folder."""
    series: str = ""
    settings: dict[str, Any] = field(default_factory=dict)
    """Options of `ColorizeJob`, and `report` (true or false)."""

    def to_dict(self) -> dict[str, Any]:
        """As JSON carries it to a worker."""
        return asdict(self)


@dataclass(frozen=True)
class Result:
    """What a worker answers."""

    key: str
    state: str
    """done, failed, cancelled, or busy (another process holds the case)."""
    reason: str = ""
    exit_code: int = 0
    seconds: float = 0.0
    fresh: bool = False
    """True if it was done now, False if it had been done before."""


def perform(store: Store, case: Case, cancel: CancelToken | None = None) -> Result:
    """Colour the case unless that is done already. Never raises for what is wrong with a case."""
    with store.claim(case.key) as held:
        if not held:
            return Result(case.key, "busy")
        status = store.load(case.key)
        try:
            return _go_on(store, case, status, cancel)
        except Cancelled:
            store.journal("cancelled", case.key)
            status.state, status.started = "queued", ""
            store.save(status)
            shutil.rmtree(store.staging(case.key), ignore_errors=True)
            return Result(case.key, "cancelled", exit_code=Cancelled.exit_code)
        except Exception as error:
            return _failed(store, case, status, error)


def give_up(store: Store, case: Case, reason: str) -> Result:
    """Mark a case as failed whose workers died."""
    with store.claim(case.key, wait=True):
        status = store.load(case.key)
        if status.state == "done":
            return Result(case.key, "done")
        return _failed(store, case, status, ResourceError(reason))


def _go_on(store: Store, case: Case, status: Status, cancel: CancelToken | None) -> Result:
    output, staged = store.output(status), _staged(store, status)
    if status.state == "done":
        if output.exists() and hash_output(output) == status.output_sha256:
            return Result(case.key, "done", seconds=status.seconds)
        status.notes = ["Its output was missing or had been changed, so the case was done again."]
    elif status.state == "finishing":
        there = staged if staged.exists() else output
        if there.exists() and hash_output(there) == status.output_sha256:
            return _finish(store, status, found=True)
    elif output.exists() and not status.output_sha256:
        raise OutputError(
            f"{status.output} exists already and was not made by this batch. Move it away, or "
            "choose another folder (-o)."
        )
    if status.state != "done":
        status.notes = []
    _color(store, case, status, cancel)
    return _finish(store, status)


def _color(store: Store, case: Case, status: Status, cancel: CancelToken | None) -> None:
    from .pipeline import ColorizeJob, colorize_file

    begun = time.monotonic()
    folder = store.staging(case.key)
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    status.state, status.reason, status.exit_code = "running", "", 0
    status.attempts += 1
    status.started, status.finished = now(), ""
    store.save(status)
    store.journal("started", case.key, attempt=status.attempts)
    if cancel:
        cancel.check()
    options = {name: value for name, value in case.settings.items() if value is not None}
    report = folder / "report" if options.pop("report", False) else None
    if isinstance(options.get("window"), list):
        options["window"] = tuple(options["window"])
    if "labels" in options:
        options["labels"] = Path(options["labels"])
    staged = _staged(store, status)
    job = ColorizeJob(Path(case.input), staged, series=case.series or None, report=report, **options)
    outcome = colorize_file(job, None, cancel)
    status.notes += outcome.notes
    status.input_sha256 = str(outcome.provenance.get("input_sha256", ""))
    status.output_sha256 = hash_output(staged)
    status.seconds = round(time.monotonic() - begun, 3)
    status.state = "finishing"
    store.save(status)


def _finish(store: Store, status: Status, *, found: bool = False) -> Result:
    """Move what was made to its place. Found so, any step may be done already: a worker may die after each of them."""
    from .provenance import NAME, record

    output, staged, folder = store.output(status), _staged(store, status), store.staging(status.key)
    output.parent.mkdir(parents=True, exist_ok=True)
    report = folder / "report"
    if report.exists():
        _move(report, output.parent / report_name(output))
    if staged.exists():
        _move(staged, output)
    if (folder / NAME).exists():
        record(output, _made_how(folder / NAME, output.name))
    if not (found and store.told(status.key, "done", status.attempts)):
        store.journal("done", status.key, attempt=status.attempts, sha256=status.output_sha256)
    status.state, status.finished, status.reason, status.exit_code = "done", now(), "", 0
    store.save(status)
    shutil.rmtree(folder, ignore_errors=True)
    return Result(status.key, "done", seconds=status.seconds, fresh=True)


def _made_how(file: Path, name: str) -> dict[str, Any]:
    import json

    entry: dict[str, Any] = json.loads(file.read_text())["outputs"][name]
    return entry


def _staged(store: Store, status: Status) -> Path:
    return store.staging(status.key) / Path(status.output).name


def report_name(output: Path) -> str:
    """The folder of a case's report, beside its output."""
    from ..imaging.formats import base_name

    return f"{base_name(output)}-report"


def _move(source: Path, target: Path) -> None:
    """Replace `target`; a folder can't be replaced in one step, so the old one is moved out of the way first."""
    old = source.with_name(source.name + ".old")
    if target.is_dir():
        os.replace(target, old)
    os.replace(source, target)
    shutil.rmtree(old, ignore_errors=True)


def _failed(store: Store, case: Case, status: Status, error: Exception) -> Result:
    text, code = explain(error)
    # A UID names a patient's study, and the full path says more than the person typed.
    if case.series:
        text = text.replace(case.series, "(the case's)")
    text = text.replace(str(store.staging(case.key)) + os.sep, "").replace(case.input, case.shown)
    text = text.partition("\n")[0].rstrip(":")
    store.journal("failed", case.key, attempt=status.attempts, exit_code=code)
    status.state, status.reason, status.exit_code, status.finished = "failed", text, code, now()
    store.save(status)
    shutil.rmtree(store.staging(case.key), ignore_errors=True)
    return Result(case.key, "failed", text, code)


def explain(error: Exception) -> tuple[str, int]:
    """What to tell of a failure, and its exit code."""
    if isinstance(error, MedColorizeError):
        return str(error), error.exit_code
    if isinstance(error, MemoryError) or (isinstance(error, RuntimeError) and "out of memory" in str(error).lower()):
        return "Memory ran out. Use fewer workers (--workers), or a machine with more memory.", ResourceError.exit_code
    if isinstance(error, ImportError) and (error.name or "MedColorizeLib").partition(".")[0] != "MedColorizeLib":
        return f"The Python package '{error.name}' is missing. Install it where the workers run.", 5
    if isinstance(error, OSError):
        return f"The output can't be written: {error.strerror or type(error).__name__}.", OutputError.exit_code
    # What a library says of its own failure may quote the file's contents.
    return (
        f"Something unexpected went wrong ({type(error).__name__}). `medcolorize colorize` on this input says more.",
        1,
    )
