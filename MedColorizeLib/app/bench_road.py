"""`medcolorize bench road`: what colouring a volume from file to file costs, over reading and writing it at all.

The floor is a process of its own that reads the same file, looks every voxel up in a NumPy table and writes as many
bytes; both are timed as whole processes, in turn, so that a busy machine disturbs both alike. Memory is the largest
resident size of the process. Not for: quality (`bench truth`), networks (`bench speed`).
"""

from __future__ import annotations

import json
import os
import statistics
import subprocess
import sys
import tempfile
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from ..errors import MedColorizeError
from ..progress import CancelToken, OnProgress, track
from .sample import mni_path

FLOOR = """
import sys, zlib
import nibabel, numpy as np
array = np.asarray(nibabel.load(sys.argv[1]).dataobj).transpose(2, 1, 0)
table = np.zeros((2 ** (8 * array.itemsize), int(sys.argv[3])), np.uint8)
colors = np.take(table, array.view("u%d" % array.itemsize), axis=0)
with open(sys.argv[2], "wb") as file:
    file.write(bytes(352))
    file.write(colors.data)
"""
"""Read, one look-up, write the same bytes: nobody colours a file in less."""

WATCH = """
import json, resource, subprocess, sys, time
started = time.monotonic()
done = subprocess.run([sys.executable, *sys.argv[1:]], stdout=subprocess.DEVNULL)
seconds = time.monotonic() - started
print(json.dumps([seconds, resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss]))
sys.exit(done.returncode)
"""
"""Starts the process from a small one: Linux counts what the starting process holds as the started one's peak."""

CT_SHAPE = (600, 512, 512)


@dataclass(frozen=True)
class RoadRow:
    """One line of the table."""

    case: str
    seconds: float
    floor_seconds: float
    ratio: float
    peak_mib: float
    floor_peak_mib: float


def bench_road(
    cases: list[str] | None = None,
    runs: int = 5,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> list[RoadRow]:
    """Time `colorize` with a palette on the MNI head and on a 512x512x600 CT, RGB and RGBA."""
    chosen = cases or ["mni-rgb", "mni-rgba", "ct-rgb", "ct-rgba"]
    rows = []
    with tempfile.TemporaryDirectory(prefix="medcolorize-road-") as folder:
        inputs: dict[str, Path] = {}
        for case in track(chosen, "bench road", len(chosen), on_progress, cancel):
            subject, _, kind = case.partition("-")
            if subject not in inputs:
                inputs[subject] = mni_path() if subject == "mni" else _synthetic_ct(Path(folder) / "ct.nii")
            rows.append(_measure(case, inputs[subject], Path(folder), kind == "rgba", subject, runs))
    return rows


def to_markdown(rows: list[RoadRow]) -> str:
    """The table as Docs show it."""
    lines = [
        "| case | colorize, s | floor, s | ratio | peak memory, MiB | floor, MiB |",
        "|---|---|---|---|---|---|",
    ]
    lines += [
        f"| {r.case} | {r.seconds:.2f} | {r.floor_seconds:.2f} | {r.ratio:.2f} "
        f"| {r.peak_mib:.0f} | {r.floor_peak_mib:.0f} |"
        for r in rows
    ]
    return "\n".join(lines)


def to_dict(rows: list[RoadRow]) -> list[dict[str, object]]:
    """For `--json`."""
    return [asdict(row) for row in rows]


def _measure(case: str, source: Path, folder: Path, alpha: bool, subject: str, runs: int) -> RoadRow:
    output = folder / "out" / "color.nii"
    palette = "head-mr" if subject == "mni" else "body-ct"
    ours = ["-m", "MedColorizeLib", "colorize", str(source), "-o", str(output)]
    ours += ["--palette", palette, "--overwrite", *(["--alpha"] if alpha else [])]
    floor = ["-c", FLOOR, str(source), str(folder / "floor.nii"), "4" if alpha else "3"]
    times: list[tuple[float, float]] = []
    peaks = [0.0, 0.0]
    for run in range(runs + 1):
        pair = []
        for which, command in enumerate((ours, floor)):
            seconds, peak = python_process(command)
            pair.append(seconds)
            peaks[which] = max(peaks[which], peak)
        if run:  # the first pair warms the disk cache
            times.append((pair[0], pair[1]))
    return RoadRow(
        case,
        statistics.median(a for a, _ in times),
        statistics.median(b for _, b in times),
        statistics.median(a / b for a, b in times),
        peaks[0],
        peaks[1],
    )


def python_process(arguments: list[str], settings: dict[str, str] | None = None) -> tuple[float, float]:
    """Wall seconds and peak resident MiB of a Python process with these arguments and environment variables."""
    package_root = str(Path(__file__).resolve().parents[2])
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([package_root, os.environ.get("PYTHONPATH", "")])}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)  # where it is installed, it is compiled once
    environment.update(settings or {})
    command = [sys.executable, "-I", "-S", "-c", WATCH, *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        raise MedColorizeError(f"The benchmark's command failed: {done.stderr.strip()[-500:]}")
    seconds, kib = json.loads(done.stdout)
    return float(seconds), kib / 1024


def _synthetic_ct(path: Path) -> Path:
    """A body-like CT of 512x512x600 voxels: an ellipse of soft tissue with fat, lungs, bone and noise."""
    import nibabel

    slices, rows, columns = CT_SHAPE
    rng = np.random.default_rng(0)
    y, x = np.mgrid[-1 : 1 : rows * 1j, -1 : 1 : columns * 1j]
    header = nibabel.Nifti1Header()
    header.set_data_dtype(np.int16)
    header.set_data_shape((columns, rows, slices))
    header.set_sform(np.diag([0.8, 0.8, 1.0, 1.0]), code=1)
    header["vox_offset"] = 352
    header["magic"] = b"n+1"
    noise = rng.normal(0, 12, (8, rows, columns)).astype(np.int16)
    with path.open("wb") as file:
        header.write_to(file)
        file.write(bytes(352 - file.tell()))
        for k in range(slices):
            size = 0.75 + 0.1 * np.sin(k / 60)
            radius = np.hypot(x, y * 1.3) / size
            plane = np.full((rows, columns), -1000, np.int16)
            plane[radius < 1] = -100
            plane[radius < 0.9] = 45
            plane[np.hypot(np.abs(x) - 0.3, y) < 0.22 * np.sin(np.pi * k / slices)] = -800
            plane[np.hypot(x, y - 0.35) < 0.08] = 500
            file.write((plane + noise[k % 8]).astype("<i2").tobytes())
    return path
