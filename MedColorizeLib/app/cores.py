"""How this program's processes share the computer's cores, among their own threads and with other programs."""

from __future__ import annotations

import os

SPINS = 2000
"""Turns (some microseconds) that a thread waits awake: as long as the others take when each has a core of its own."""


def share_cores() -> None:
    """Call it before NumPy or torch is loaded. A choice that the person has made in these variables stays.

    NumPy keeps to one thread a product: slices run side by side instead (`inference.plain_net`), a fifth faster.

    Torch's threads spin but briefly while they wait for one another. Where another program holds a core, a spinning
    thread uses up the time that the one it waits for needs: beside two busy programs on two cores colouring took
    nearly five times as long (`Testing/Benchmarks/busy_cores.py`). Sleeping at once costs a tenth on an idle computer.
    """
    os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", str(SPINS))
