"""`medcolorize bench`: every figure the project claims, measured anew."""

from __future__ import annotations

import argparse
import os
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

BENCHES: dict[str, str] = {
    "papers": "MedColorizeLib.app.commands.bench_papers",
    "road": "MedColorizeLib.app.commands.bench_road",
    "speed": "MedColorizeLib.app.commands.bench_speed",
    "truth": "MedColorizeLib.app.commands.bench_truth",
}
"""Name to module; a module has `add(subparsers)` and `run(args, console)`. One that is not installed is not offered."""

_EPILOG = """\
examples:
  medcolorize bench papers --table liang-2 --budget small -o liang-2/
  medcolorize bench papers --list
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command and its benches."""
    parser = subparsers.add_parser(
        "bench",
        help="measure what the project claims",
        description="Measure what the project claims: each bench writes its figures with how they were made.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    benches = parser.add_subparsers(dest="bench", metavar="BENCH", required=True)
    for module in BENCHES.values():
        if find_spec(module):
            import_module(module).add(benches)


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    return int(import_module(BENCHES[args.bench]).run(args, console))


def default_data() -> Path:
    """Where real images are: `MEDCOLORIZE_DATA`, else beside the checkout."""
    beside = Path(__file__).resolve().parents[4] / "shared" / "data"
    return Path(os.environ.get("MEDCOLORIZE_DATA", beside))
