"""`medcolorize batch`: many gray volumes in, as many coloured ones out, each exactly once."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..batch import BatchOutcome
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize batch scans/ -o color/                             every volume and DICOM series, at any depth
  medcolorize batch 'study-*/t1.nii.gz' -o color/ --workers 4 --palette head-mr
  medcolorize batch cases.csv -o color/ --report                 a manifest: input, and output, labels, window...
  medcolorize batch scans/ -o color/ --resume                    go on after a stop or a crash
  medcolorize batch scans/ -o color/ --scheduler tcp://host:8786 on an existing Dask cluster

A bad case does not stop the others. DIR/_batch/ tells of every case; DIR/_batch/summary.csv of all of them.
Exit code: 0 if all is done, else that of the failures (of several, the highest).
"""

_MOST_SHOWN = 20


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "batch",
        help="colour many volumes",
        description="Colour many volumes. A run that was stopped goes on with --resume: nothing is done twice.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "inputs", nargs="+", metavar="INPUT", help="folders, files, patterns such as 'a/*.nii.gz', .csv"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, metavar="DIR", help="the folder for everything made"
    )
    where = parser.add_mutually_exclusive_group()
    where.add_argument(
        "--workers", type=int, metavar="N", help="processes at work at once (default: half the cores, at most 4)"
    )
    parser.add_argument(
        "--threads", type=int, metavar="N", help="threads of each worker (default: the cores shared evenly; on Dask 1)"
    )
    where.add_argument("--scheduler", metavar="ADDRESS", help="an existing Dask scheduler, such as tcp://host:8786")
    parser.add_argument(
        "--resume", action="store_true", help="go on with the batch in DIR, or help a run at work there"
    )
    parser.add_argument(
        "--format",
        default=".nrrd",
        choices=(".nrrd", ".nii.gz", ".nii", ".mha", ".dcm", ".png", "dicom"),
        help="of the outputs (default: .nrrd); dicom and .png are folders of slices",
    )
    parser.add_argument("--model", metavar="NAME|FOLDER", help="an installed model, a bundle folder, or 'palette'")
    parser.add_argument("--method", metavar="NAME", help="the best installed model of this method (see 'methods')")
    parser.add_argument("--palette", metavar="NAME|FILE", help="colour by this tissue palette: a name or your own file")
    parser.add_argument(
        "--window",
        nargs="+",
        metavar="LOW HIGH|NAME",
        help="intensities shown as black and white, or a name: auto (default), header, or a CT preset such as bone",
    )
    parser.add_argument("--fidelity", choices=("exact", "balanced", "free"), default="exact", help="see 'colorize'")
    parser.add_argument("--alpha", action="store_true", help="write RGBA")
    parser.add_argument("--report", action="store_true", help="also write each case's quality report beside its output")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where networks run; auto: a graphics card if there is one, the processor for this project's own models",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ..batch import BatchJob, run_batch

    job = BatchJob(
        args.inputs,
        args.output,
        settings_of(args),
        args.format,
        workers=args.workers,
        scheduler=args.scheduler,
        resume=args.resume,
        threads=args.threads,
    )
    outcome = run_batch(job, console.progress, console.cancel)
    for line in outcome.skipped:
        console.note(f"passed over: {line}")
    for line in describe(outcome):
        console.say(line)
    console.result(outcome.to_dict())
    return outcome.exit_code


def settings_of(args: argparse.Namespace) -> dict[str, Any]:
    """The options that hold for every case, checked before the first one begins."""
    from ...errors import UsageError
    from ...imaging.windows import Window
    from .colorize import model_of, window_of

    window = window_of(args.window)
    if isinstance(window, tuple):
        Window(*window)
    if args.palette and args.model not in (None, "palette"):
        raise UsageError("--palette and --model exclude each other.")
    settings = {
        "model": _path_of(model_of(args), Path.is_dir),
        "palette": _path_of(args.palette, Path.is_file),
        "window": list(window) if isinstance(window, tuple) else window,
        "fidelity": args.fidelity,
        "alpha": args.alpha,
        "report": args.report,
        "device": args.device,
    }
    if settings["palette"]:
        from ...inference.palette import load_palette

        load_palette(settings["palette"])
    return settings


def _path_of(name: str | None, is_one: Callable[[Path], bool]) -> str | None:
    """A file or folder by its full path, since workers may be elsewhere; a name as it is."""
    return str(Path(name).resolve()) if name and is_one(Path(name)) else name


def describe(outcome: BatchOutcome) -> list[str]:
    """What came of it, in lines for a person."""
    done = [result for _, result in outcome.results if result.state == "done"]
    before = sum(not result.fresh for result in done)
    failures = outcome.failures
    lines = [f"{'FAILED':8s}{case.shown}\n        {result.reason}" for case, result in failures[:_MOST_SHOWN]]
    if len(failures) > _MOST_SHOWN:
        lines.append(f"... and {len(failures) - _MOST_SHOWN} more failures")
    told = f"{len(done)} of {outcome.planned} cases done"
    told += f" ({before} of them before)" if before else ""
    told += f", {len(failures)} failed" if failures else ""
    left = outcome.planned - len(outcome.results)
    told += f", {left} left: go on with --resume" if left else ""
    lines.append(f"{told}; {outcome.seconds:.1f} s. All cases: {outcome.summary}")
    if done:
        lines.append("The colour is synthetic: not for diagnosis.")
    return lines
