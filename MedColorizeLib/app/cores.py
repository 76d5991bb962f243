"""How this program's processes behave towards whatever else runs on the computer."""

from __future__ import annotations

import os

SPINS = 2000
"""Turns (some microseconds) that a thread waits awake: as long as the others take when each has a core of its own."""


def wait_briefly() -> None:
    """Let the threads of a network spin but briefly while they wait for one another; call it before torch is loaded.

    Where another program holds a core, a spinning thread uses up the time that the one it waits for needs: beside two
    busy programs on two cores colouring took nearly five times as long (`Testing/Benchmarks/busy_cores.py`). Sleeping
    at once costs a tenth on an idle computer. A choice that the person has made in OpenMP's own variables stays.
    """
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
