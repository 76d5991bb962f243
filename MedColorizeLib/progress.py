"""Progress and cancelling: one source for the command line, the worker and the panel.

Long work takes `on_progress`, a function that receives `Progress` events, and a `CancelToken`
that it asks between two steps. Nothing here draws anything.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from typing import TypeVar

from .errors import Cancelled

T = TypeVar("T")


@dataclass(frozen=True)
class Progress:
    """One event: `done` of `total` steps of `stage` are finished."""

    stage: str
    done: int
    total: int
    message: str = ""
    figures: dict[str, float] = field(default_factory=dict)


OnProgress = Callable[[Progress], None]


class CancelToken:
    """A flag that may be raised from another thread; workers call `check` between two steps."""

    def __init__(self) -> None:
        self._event = threading.Event()

    def cancel(self) -> None:
        """Ask the work to stop at its next step."""
        self._event.set()

    @property
    def cancelled(self) -> bool:
        return self._event.is_set()

    def check(self) -> None:
        """Raise `Cancelled` if somebody asked to stop."""
        if self._event.is_set():
            raise Cancelled


def track(
    items: Iterable[T],
    stage: str,
    total: int,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    message: str = "",
) -> Iterator[T]:
    """Yield `items`, telling `on_progress` before the first and after each, and heeding `cancel`."""
    if on_progress:
        on_progress(Progress(stage, 0, total, message))
    for done, item in enumerate(items, 1):
        if cancel:
            cancel.check()
        yield item
        if on_progress:
            on_progress(Progress(stage, done, total, message))
