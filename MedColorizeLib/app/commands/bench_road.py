"""`medcolorize bench road`: what colouring from file to file costs, over reading and writing the file at all."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_CASES = ("mni-rgb", "mni-rgba", "ct-rgb", "ct-rgba")
_EPILOG = """\
examples:
  medcolorize bench road
  medcolorize bench road --case mni-rgb --runs 3 -o road.md
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the bench."""
    parser = subparsers.add_parser(
        "road",
        help="time colouring from file to file",
        description="Time 'colorize' with a palette against the least that any program would do with the same files.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--case", action="append", choices=_CASES, help="only this case; may be repeated")
    parser.add_argument("--runs", type=int, default=5, metavar="N", help="repetitions of each (default: 5)")
    parser.add_argument("-o", "--output", type=Path, metavar="FILE", help="also write the table as Markdown")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...errors import UsageError
    from ...imaging.atomic import write_atomically
    from ..bench_road import bench_road, to_dict, to_markdown

    if args.runs < 1:
        raise UsageError(f"--runs is {args.runs}; at least one run is needed.")
    rows = bench_road(args.case, args.runs, console.progress, console.cancel)
    text = to_markdown(rows)
    if args.output:
        write_atomically(args.output, text + "\n")
    console.say(text)
    console.result({"rows": to_dict(rows)})
    return 0
