"""How much faster two workers do a batch than one: whole `medcolorize batch` commands, in turn, in one run.

    python Testing/Benchmarks/batch_throughput.py [--cases 20] [--rounds 5] [--workers 2] [--format .nii] [--model NAME]

Two ratios: against one worker with as many threads as each of the two has (what the engine gains by a second one), and
against one worker with the whole machine (networks and compression use several threads by themselves, so this one is
lower). Each round also times two plain counting loops one after the other and side by side: what the machine itself
gives two processes at that moment is the ceiling, and on a busy machine it is below 2.
Not for: quality, or the speed of one volume (`bench`).
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT))

from MedColorizeLib.app.sample import mni_path  # noqa: E402

LOOP = "n = 0\nfor i in range(40_000_000): n += i"


def main() -> int:
    """Measure, print, and write JSON if asked to."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--input", type=Path, help="a folder of volumes (default: copies of the MNI head)")
    parser.add_argument("--cases", type=int, default=20)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--workers", type=int, default=2)
    parser.add_argument("--format", default=".nrrd")
    parser.add_argument("--model", default="palette")
    parser.add_argument("--json", type=Path, help="also write the figures there")
    options = parser.parse_args()
    rows = []
    with tempfile.TemporaryDirectory(prefix="medcolorize-batch-") as name:
        folder = Path(name)
        inputs = options.input or copies(folder / "in", options.cases)
        batch(inputs, folder, options, 1, 1)  # warms the disk cache
        for number in range(options.rounds):
            load = os.getloadavg()[0]
            share = max(1, (os.cpu_count() or 1) // options.workers)
            ways = {"several": (options.workers, share), "one": (1, share), "whole": (1, os.cpu_count() or 1)}
            order = list(ways) if number % 2 else list(reversed(ways))
            seconds = {way: batch(inputs, folder, options, *ways[way]) for way in order}
            ceiling = loops(options.workers, side_by_side=False) / loops(options.workers, side_by_side=True)
            row = {
                **{f"{way}_s": round(spent, 2) for way, (spent, _) in seconds.items()},
                "cases": seconds["one"][1],
                "ratio": round(seconds["one"][0] / seconds["several"][0], 3),
                "ratio_whole": round(seconds["whole"][0] / seconds["several"][0], 3),
                "ceiling": round(ceiling, 3),
                "load_before": round(load, 2),
            }
            rows.append(row)
            print(json.dumps(row), flush=True)
    result = {
        "workers": options.workers,
        "cores": os.cpu_count(),
        "format": options.format,
        "model": options.model,
        "ratio": statistics.median(row["ratio"] for row in rows),
        "ratio_whole": statistics.median(row["ratio_whole"] for row in rows),
        "ceiling": statistics.median(row["ceiling"] for row in rows),
        "rounds": rows,
    }
    print(
        f"{options.workers} workers: {result['ratio']:.2f} x one of their size, "
        f"{result['ratio_whole']:.2f} x one with all cores (this machine's ceiling {result['ceiling']:.2f})"
    )
    if options.json:
        options.json.write_text(json.dumps(result, indent=1) + "\n")
    return 0


def copies(folder: Path, count: int) -> Path:
    """The MNI head so many times."""
    folder.mkdir()
    for number in range(count):
        shutil.copy(mni_path(), folder / f"head{number:02d}.nii.gz")
    return folder


def batch(inputs: Path, folder: Path, options: argparse.Namespace, workers: int, threads: int) -> tuple[float, int]:
    """Wall seconds of a whole command, start-up and summary included, and how many cases it did."""
    out = folder / "out"
    command = [sys.executable, "-m", "MedColorizeLib", "batch", str(inputs), "-o", str(out), "--workers", str(workers)]
    command += ["--threads", str(threads), "--format", options.format, "--model", options.model, "--json"]
    started = time.monotonic()
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, check=True)
    seconds = time.monotonic() - started
    shutil.rmtree(out)
    return seconds, int(json.loads(done.stdout)["done"])


def loops(count: int, *, side_by_side: bool) -> float:
    """Seconds that so many counting loops take."""
    started = time.monotonic()
    if side_by_side:
        processes = [subprocess.Popen([sys.executable, "-c", LOOP]) for _ in range(count)]
        for process in processes:
            process.wait()
    else:
        for _ in range(count):
            subprocess.run([sys.executable, "-c", LOOP], check=True)
    return time.monotonic() - started


if __name__ == "__main__":
    sys.exit(main())
