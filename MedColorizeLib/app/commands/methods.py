"""`medcolorize methods`: the published systems, and the recipes that train them. Needs no torch."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize methods
  medcolorize methods --recipes
  medcolorize methods --json
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "methods",
        help="list the published systems and their recipes",
        description="List the published systems that can be trained here, and those that colour after a reference.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--recipes", action="store_true", help="list the recipes too")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...exemplar.registry import describe as transfer
    from ...exemplar.registry import transfer_names
    from ...methods.registry import describe, method_names

    methods = [
        {"name": name, "title": e.title, "paper": e.paper, "summary": e.summary, "paired": e.paired, "kind": e.kind}
        for name, e in ((name, describe(name)) for name in method_names())
    ]
    recipes = _recipes()
    transfers = [
        {"name": name, "title": e.title, "paper": e.paper, "summary": e.summary}
        for name, e in ((name, transfer(name)) for name in transfer_names())
    ]
    console.result({"methods": methods, "recipes": recipes, "transfers": transfers})
    if args.json:
        return 0
    for method in methods:
        pairs = "pairs" if method["paired"] else "unpaired"
        console.say(f"{method['name']:18s} {method['title']} ({method['paper']}; {pairs}): {method['summary']}")
    console.say("\nColouring after a reference picture, without training (colorize --method NAME --reference PICTURE):")
    for entry in transfers:
        console.say(f"{entry['name']:18s} {entry['title']} ({entry['paper']}): {entry['summary']}")
    if args.recipes:
        console.say("")
        for recipe in recipes:
            console.say(f"{recipe['name']:32s} {recipe['title']}")
    return 0


def _recipes() -> list[dict[str, str]]:
    """Names and titles, straight from the files: validating them would need torch."""
    import tomllib

    from ...resources import resources_dir

    out = []
    for path in sorted((resources_dir() / "Recipes").glob("*.toml")):
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        out.append({"name": path.stem, "title": str(raw.get("title", "")), "about": str(raw.get("about", ""))})
    return out
