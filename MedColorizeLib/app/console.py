"""What a command needs of its terminal: progress, cancelling, text for people or one JSON document for machines."""

from __future__ import annotations

import json
import signal
import sys
import time
from types import FrameType, TracebackType
from typing import Any, Self, TextIO

from ..progress import CancelToken, Progress

_QUIET_SECONDS = 1.0
"""Work that takes less shows no progress."""
_LINE_SECONDS = 10.0
"""Where the output is not a terminal, one line of progress at most this often."""


class Console:
    """Text goes to standard output, progress and notes to standard error; with `as_json` the output is JSON alone."""

    def __init__(self, *, as_json: bool = False, out: TextIO | None = None, err: TextIO | None = None) -> None:
        self.as_json = as_json
        self.cancel = CancelToken()
        self._out = out or sys.stdout
        self._err = err or sys.stderr
        self._started = time.monotonic()
        self._stage = ""
        self._last_line = self._started
        self._bar: Any = None
        self._task: Any = None
        self._old_handlers: dict[int, Any] = {}

    def __enter__(self) -> Self:
        for number in (signal.SIGINT, signal.SIGTERM):
            try:
                self._old_handlers[number] = signal.signal(number, self._on_signal)
            except ValueError:  # not in the main thread: cancelling is then the caller's business
                break
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close_bar()
        for number, handler in self._old_handlers.items():
            signal.signal(number, handler)

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self.cancel.cancelled:
            raise KeyboardInterrupt
        self.cancel.cancel()

    def say(self, text: str) -> None:
        """A line for a person."""
        self._close_bar()
        print(text, file=self._err if self.as_json else self._out)

    def note(self, text: str) -> None:
        """A line a person should read, apart from the result."""
        self._close_bar()
        print(f"note: {text}", file=self._err)

    def result(self, document: dict[str, Any]) -> None:
        """The command's outcome; printed with --json only."""
        if self.as_json:
            print(json.dumps(document, indent=2, ensure_ascii=False), file=self._out, flush=True)

    def progress(self, event: Progress) -> None:
        """Draw one event, unless the work is still too short to bother anybody."""
        now = time.monotonic()
        if event.stage != self._stage:
            self._stage = event.stage
            self._started = now
        if now - self._started < _QUIET_SECONDS:
            return
        if self._err.isatty():
            self._draw(event)
        elif now - self._last_line >= _LINE_SECONDS or (event.done == event.total and self._last_line > self._started):
            self._last_line = now
            self._err.write(f"{event.stage}: {event.done}/{event.total}{self._left(event, now)} {_figures(event)}\n")
            self._err.flush()

    def _left(self, event: Progress, now: float) -> str:
        if not 0 < event.done < event.total:
            return ""
        seconds = (now - self._started) / event.done * (event.total - event.done)
        return f", {seconds:.0f} s left" if seconds < 90 else f", {seconds / 60:.0f} min left"

    def _draw(self, event: Progress) -> None:
        if self._bar is None:
            from rich.console import Console as RichConsole
            from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
            from rich.progress import Progress as Bar

            self._bar = Bar(
                TextColumn("{task.description}"),
                BarColumn(),
                MofNCompleteColumn(),
                TimeRemainingColumn(),
                TextColumn("{task.fields[note]}"),
                console=RichConsole(file=self._err),
                transient=True,
            )
            self._bar.start()
            self._task = self._bar.add_task(event.stage, total=event.total, note="")
        note = " ".join(part for part in (event.message, _figures(event)) if part)
        self._bar.update(self._task, description=event.stage, completed=event.done, total=event.total, note=note)

    def _close_bar(self) -> None:
        if self._bar is not None:
            self._bar.stop()
            self._bar = None


def _figures(event: Progress) -> str:
    return " ".join(f"{name} {value:.4g}" for name, value in event.figures.items())
