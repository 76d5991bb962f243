"""How this program's processes behave towards whatever else runs on the computer."""

from __future__ import annotations

import os


def wait_asleep() -> None:
    """Let the threads of a network sleep, not spin, while they wait for one another; call it before torch is loaded.

    Where another program holds a core, a spinning thread uses up the time that the one it waits for needs: colouring
    beside two busy programs on two cores took twice as long (`Testing/Benchmarks/busy_cores.py`). A choice that the
    person has made in OpenMP's own variables stays.
    """
    if "GOMP_SPINCOUNT" not in os.environ:
        os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
