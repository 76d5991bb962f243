"""What a report costs, over reading the volume it is about: time and memory, both as ratios from one run.

    python Testing/Benchmarks/report_speed.py [--runs 5] [--case changed] [--cpu] [--profile] [-o FILE.md]

The volume: the MNI head resampled to 256 x 256 x 180, 16 bit, with noise in the air as a scanner has it, `.nii.gz`;
coloured by a palette whose hue wanders and jumps, so that there is something to find. Two cases: the luma kept (what
`colorize` makes unless told otherwise) and the luma changed (SSIM and FSIM then have to be computed).
Time: reading the gray file and `make_report` (everything but the rendering and Frechet distances), in turn, in one
process. Memory: the peak resident size of a fresh process during its first report of this size, above what it was
before, when both volumes and the libraries were in memory (Linux). `--cpu` takes processor time instead of the clock's,
for a computer that others use too, and leaves memory out.
"""

from __future__ import annotations

import argparse
import cProfile
import pstats
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MedColorizeLib import Colorizer, Volume, read_color, read_volume, write_color, write_volume
from MedColorizeLib.evaluation.report import gray_codes_for, make_report
from MedColorizeLib.imaging.luma import fit_gamut
from MedColorizeLib.imaging.volume import ColorVolume

SHAPE = (180, 256, 256)
CASES = ("kept", "changed")


def make_files(folder: Path) -> Path:
    """Gray and coloured volumes of the size the goal names; returns the gray one."""
    from nilearn.datasets import load_mni152_template
    from scipy.ndimage import affine_transform

    template = load_mni152_template(resolution=1)
    head = np.asarray(template.dataobj, dtype=np.float32).transpose(2, 1, 0)
    scale = np.array(head.shape) / np.array(SHAPE)
    resampled = affine_transform(head, scale, output_shape=SHAPE, order=1)
    noise = np.random.default_rng(0).rayleigh(0.008, SHAPE)
    array = np.hypot(resampled / head.max(), noise)
    volume = Volume(np.rint(array * 1800).astype(np.int16), np.diag([0.9, 0.9, 1.0, 1.0]), "MR")
    color = Colorizer(palette="head-mr").colorize(volume)
    codes = gray_codes_for(volume, color).codes
    wander = 6 * np.sin(np.arange(SHAPE[0]) / 20)
    wander[[70, 110]] += 14
    kept, changed = np.empty_like(color.rgb), np.empty_like(color.rgb)
    for k in range(SHAPE[0]):
        rgb = color.rgb[k].astype(np.float32)
        inside = (rgb.max(axis=2) != rgb.min(axis=2)).astype(np.float32)
        rgb += inside[..., None] * np.float32(wander[k]) * np.array([1, 0, -1], np.float32)
        kept[k] = fit_gamut(rgb, codes[k], "exact")[0]
        changed[k] = rgb.clip(0, 255)
    write_volume(folder / "gray.nii.gz", volume)
    for case, array in zip(CASES, (kept, changed), strict=True):
        write_color(folder / f"{case}.nrrd", ColorVolume(array, color.affine, color.provenance))
    return folder / "gray.nii.gz"


def peak_of(gray_file: Path, color_file: Path) -> int:
    """Run in a process of its own: bytes by which the resident size rose at most during its first large report."""
    volume, color = read_volume(gray_file), read_color(color_file)
    gray = gray_codes_for(volume, color)
    small = ColorVolume(np.ascontiguousarray(color.array[80:92, ::4, ::4]), color.affine, color.provenance)
    with tempfile.TemporaryDirectory() as name:
        make_report(np.ascontiguousarray(gray.codes[80:92, ::4, ::4]), small, Path(name) / "small")
        Path("/proc/self/clear_refs").write_text("5")
        before = _status("VmRSS")
        make_report(gray, color, Path(name) / "large")
        return _status("VmHWM") - before


def _status(name: str) -> int:
    line = next(line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(name))
    return int(line.split()[1]) * 1024


def measure(folder: Path, gray_file: Path, case: str, runs: int, profile: bool, cpu: bool) -> list[str]:
    """The lines of one case."""
    color_file = folder / f"{case}.nrrd"
    volume, color = read_volume(gray_file), read_color(color_file)
    make_report(gray_codes_for(volume, color), color, folder / f"{case}-first")  # imports are not the report's cost
    now = time.process_time if cpu else time.perf_counter
    reading, both, reporting = [], [], []
    for n in range(runs):
        start = now()
        volume = read_volume(gray_file)
        middle = now()
        color = read_color(color_file)
        end = now()
        reading.append(middle - start)
        both.append(end - start)
        gray = gray_codes_for(volume, color)
        start = now()
        make_report(gray, color, folder / f"{case}-{n}")
        reporting.append(now() - start)
    ratios = [one / other for one, other in zip(reporting, reading, strict=True)]
    against_both = [one / other for one, other in zip(reporting, both, strict=True)]
    command = [sys.executable, __file__, "--peak", str(gray_file), str(color_file)]
    rose = 0 if cpu else int(subprocess.run(command, check=True, capture_output=True, text=True).stdout)
    page = (folder / f"{case}-0" / "report.html").stat().st_size
    if profile:
        profiler = cProfile.Profile()
        profiler.runcall(make_report, gray, color, folder / f"{case}-profiled")
        pstats.Stats(profiler, stream=sys.stderr).sort_stats("cumulative").print_stats(45)
    return [
        f"| {case} | {statistics.median(reading):.2f} | {statistics.median(reporting):.2f} "
        f"| **{statistics.median(ratios):.1f}** | {statistics.median(against_both):.1f} | "
        + (
            "– | – | –"
            if cpu
            else f"{rose / 2**20:.0f} | **{rose / volume.array.nbytes:.2f}** | {rose / color.array.nbytes:.2f}"
        )
        + f" | {page / 2**20:.2f} |"
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--runs", type=int, default=5)
    parser.add_argument("--case", action="append", choices=CASES, help="only this one; may be repeated")
    parser.add_argument("--cpu", action="store_true", help="processor time instead of the clock's, and no memory")
    parser.add_argument("--profile", action="store_true", help="say where the time goes")
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--peak", type=Path, nargs=2, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.peak:
        print(peak_of(*args.peak))
        return
    with tempfile.TemporaryDirectory(prefix="medcolorize-report-") as name:
        folder = Path(name)
        gray_file = make_files(folder)
        lines = [
            "| luma | read gray, s | report, s | ratio (goal: 10) | over reading both | memory it adds, MiB "
            "| over the gray volume (goal: 3) | over the coloured volume | page, MiB |",
            "|---|---:|---:|---:|---:|---:|---:|---:|---:|",
        ]
        for case in args.case or CASES:
            lines += measure(folder, gray_file, case, args.runs, args.profile, args.cpu)
        text = "\n".join(lines) + "\n"
        print(text)
        if args.output:
            args.output.write_text(text)


if __name__ == "__main__":
    main()
