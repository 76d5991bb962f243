"""`medcolorize bench speed`: what colouring by a network costs."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

PARTS = ("networks", "files", "planes")
_EPILOG = """\
examples:
  medcolorize bench speed -o speed.md                              every installed model
  medcolorize bench speed --model head-mr --part networks --rounds 5
  medcolorize bench speed --size 128 128 64 --rounds 1             a quick look
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the bench."""
    parser = subparsers.add_parser(
        "speed",
        help="time colouring by a network",
        description="Time models per slice against the papers' networks, from file to file, and in three planes.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--model", action="append", metavar="NAME|FOLDER", help="a model; may be repeated (default: all installed)"
    )
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument(
        "--size", nargs=3, type=int, default=(256, 256, 180), metavar="N", help="voxels (default: 256 256 180)"
    )
    parser.add_argument("--threads", type=int, default=2, metavar="N", help="processor threads (default: 2)")
    parser.add_argument("--rounds", type=int, default=3, metavar="N", help="repetitions of each (default: 3)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write the tables as Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...errors import ModelError, UsageError
    from ...imaging.atomic import write_atomically

    if args.rounds < 1 or args.threads < 1 or min(args.size) < 16:
        raise UsageError("--rounds and --threads are at least 1, and --size at least 16 voxels each way.")
    try:
        import torch  # noqa: F401
    except ImportError:
        raise ModelError("Models need torch, which is not installed. Install medcolorize[models].") from None
    from ..bench_speed import Settings, bench_speed, installed_models, to_markdown

    columns, rows, slices = args.size
    settings = Settings((slices, rows, columns), args.threads, args.rounds)
    models = args.model or installed_models()
    tables = bench_speed(models, settings, args.part or PARTS, console.progress, console.cancel)
    text = to_markdown(tables, settings)
    if args.output:
        write_atomically(args.output, text + "\n")
    console.say(text)
    console.result({"size": list(args.size), "threads": args.threads, "rounds": args.rounds, **tables})
    return 0
