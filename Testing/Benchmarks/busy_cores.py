"""What colouring takes beside other busy programs, by how the threads of a network in torch wait for one another.

    python Testing/Benchmarks/busy_cores.py [--busy 2] [--rounds 3] [--model colormedgan-head-mr]

Whole `medcolorize colorize` commands on the MNI head, alone and beside so many counting loops: with threads that spin
while they wait (OpenMP's own way), that spin briefly (this program's, `MedColorizeLib/app/cores.py`) and that sleep, in
turn.
This project's own models run on NumPy, whose products keep to one thread each: they have nothing to wait for.
Needs a computer that does nothing else.
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MedColorizeLib.app.bench_road import python_process
from MedColorizeLib.app.sample import mni_path

WAYS = {"spin": {"GOMP_SPINCOUNT": "300000"}, "briefly": {}, "sleep": {"OMP_WAIT_POLICY": "PASSIVE"}}
"""GNU OpenMP's own number of turns where nothing is said; what this program says; no turns at all."""


def main() -> None:
    """Time every way, alone and beside others."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--busy", type=int, default=os.cpu_count() or 2, help="loops that run beside")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--model", default="colormedgan-head-mr")
    parser.add_argument("--threads", type=int, default=os.cpu_count() or 2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        command = ["-m", "MedColorizeLib", "colorize", str(mni_path()), "-o", str(Path(folder) / "color.nii")]
        command += ["--model", options.model, "--device", "cpu", "--overwrite"]
        for count in (0, options.busy):
            loops = [subprocess.Popen([sys.executable, "-c", "while True: pass"]) for _ in range(count)]
            try:
                times: dict[str, list[float]] = {way: [] for way in WAYS}
                for turn in range(options.rounds + 1):
                    for way, settings in WAYS.items():
                        seconds, _ = python_process(command, {**settings, "OMP_NUM_THREADS": str(options.threads)})
                        times[way] += [seconds] if turn else []  # the first turn warms the disk cache
            finally:
                for loop in loops:
                    loop.kill()
                    loop.wait()
            middle = {way: statistics.median(values) for way, values in times.items()}
            ratio = middle["spin"] / middle["briefly"]
            told = ", ".join(f"{way} {seconds:.2f} s" for way, seconds in middle.items())
            print(
                f"beside {count} busy loops: {told}; spinning on takes {ratio:.2f} times as long as spinning briefly",
                flush=True,
            )


if __name__ == "__main__":
    main()
