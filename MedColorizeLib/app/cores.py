"""How this program's processes share the computer's cores, among their own threads and with other programs."""

from __future__ import annotations

import os
import sys

ONE_THREAD = {"OPENBLAS_NUM_THREADS": "1"}
SPINS = 2000
"""Turns (some microseconds) that a thread waits awake: as long as the others take when each has a core of its own."""


def share_cores() -> None:
    """Call it before NumPy or torch is loaded. A choice that the person has made in these variables stays.

    NumPy keeps to one thread a product: slices run side by side instead (`inference.plain_net`), a fifth faster. Where
    NumPy is there already it has its threads, and to say otherwise would start as many again: fifteen times slower
    beside busy programs. So whoever starts a process that loads NumPy at once hands it `ONE_THREAD`.

    Torch's threads spin but briefly while they wait for one another. Where another program holds a core, a spinning
    thread uses up the time that the one it waits for needs: beside two busy programs on two cores colouring took
    nearly five times as long (`Testing/Benchmarks/busy_cores.py`). Sleeping at once costs a tenth on an idle computer.
    """
    if "numpy" not in sys.modules:
        for name, value in ONE_THREAD.items():
            os.environ.setdefault(name, value)
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
