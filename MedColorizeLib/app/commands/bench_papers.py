"""`medcolorize bench papers`: the tables of the papers, run again as far as data and budget allow."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bench import default_data

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize bench papers --list
  medcolorize bench papers --table liang-2 --budget tiny -o liang-2/        a few steps: does it run?
  medcolorize bench papers --table liang-2 --budget small -o liang-2/ --resume
  medcolorize bench papers --table liang-3 --budget paper --color messidor/ -o liang-3/
  medcolorize bench papers --table colormedgan-5 --budget 2000 --data my-data/ -o colormedgan-5/
  medcolorize bench papers --table zeng-3 --budget small -o zeng-3/         colours slices from references
  medcolorize bench papers --table zeng-1 --budget 60 --size 112 --pictures 3 -o zeng-1/

Budgets: tiny (4 steps at 64 pixels), small (200 at 128), medium (1000 at 256), paper, or a number of steps.
Steps are training steps of a row; in the zeng tables, which train nothing, iterations a picture.
Written: table.md with the published values beside ours, table.csv, table.json, samples/.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the bench."""
    parser = subparsers.add_parser(
        "papers",
        help="run the tables of the papers",
        description="Make and judge the rows of a paper's table, with its protocol, and print its values beside ours.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--table", metavar="NAME", help="which table; see --list")
    parser.add_argument("--list", action="store_true", help="name the tables and end")
    parser.add_argument("-o", "--output", type=Path, metavar="DIR", help="folder for the results")
    parser.add_argument("--budget", default="tiny", metavar="NAME|STEPS", help="training of each row (default: tiny)")
    parser.add_argument("--size", type=int, metavar="PIXELS", help="side of a picture, instead of the budget's")
    parser.add_argument("--pictures", type=int, metavar="N", help="zeng tables: slices of each kind that are judged")
    parser.add_argument("--runs", type=int, metavar="N", help="runs with different seeds (default: as published)")
    parser.add_argument("--data", type=Path, metavar="DIR", help="all images (or set MEDCOLORIZE_DATA)")
    parser.add_argument("--gray", type=Path, metavar="DIR", help="gray volumes, instead of those in --data")
    parser.add_argument("--color", type=Path, metavar="DIR", help="colour pictures, instead of those in --data")
    parser.add_argument("--labels", type=Path, metavar="DIR", help="label maps, instead of those in --data")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where networks run")
    parser.add_argument("--resume", action="store_true", help="continue in DIR: finished runs are kept")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...errors import UsageError
    from ...evaluation.papers import budget_of, find_table, table_names

    if args.list:
        tables = {name: find_table(name) for name in table_names()}
        for name, table in tables.items():
            unit = "a row" if table.trains else "a picture"
            console.say(f"{name:15s} {table.paper}. {table.title}; {table.runs} run(s) of {table.steps} steps {unit}")
        console.result({name: {"paper": t.paper, "title": t.title, "runs": t.runs} for name, t in tables.items()})
        return 0
    if not args.table or not args.output:
        raise UsageError("Say which table (--table NAME, see --list) and where the results go (-o DIR).")
    if args.runs is not None and args.runs < 1:
        raise UsageError(f"--runs is {args.runs}; at least one run is needed.")
    if args.pictures is not None and args.pictures < 1:
        raise UsageError(f"--pictures is {args.pictures}; at least one slice of each kind is needed.")
    if args.size is not None and not 32 <= args.size <= 1024:
        raise UsageError(f"--size is {args.size}; 32 to 1024 pixels make sense.")
    table = find_table(args.table)
    budget = budget_of(args.budget, table)
    from ..papers_bench import Bench
    from ..papers_data import Sources

    bench = Bench(
        table=table,
        sources=Sources(args.data or default_data(), args.gray, args.color, args.labels),
        budget=replace(budget, size=args.size or budget.size),
        runs=args.runs or table.runs,
        out=args.output,
        device=args.device,
        pictures=args.pictures,
    )
    content = bench.run_all(resume=args.resume, on_progress=console.progress, cancel=console.cancel)
    console.say((args.output / "table.md").read_text(encoding="utf-8").partition("## Protocol")[0].rstrip())
    console.say(f"The table is {args.output / 'table.md'}.")
    console.result({"output": str(args.output), **content})
    return 0
