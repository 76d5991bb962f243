"""`medcolorize models`: what is installed; adding, removing, looking closer. Listing needs no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize models                      what is installed
  medcolorize models info head-mr         its card, and whether its files are whole
  medcolorize models add head-mr.zip      verified first: hashes, sizes, no code, finite numbers, fitting network
  medcolorize models remove head-mr
  medcolorize models measure head-mr --data heads --gray DATA/mr     what its training scans look like: goes into the
                                          bundle, so that scans unlike them get a warning
  medcolorize models measure my-model --on scans/*.nii.gz
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "models",
        help="list, add, remove or measure models",
        description="List, look at, add, remove or measure trained models.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("action", nargs="?", choices=("list", "info", "add", "remove", "measure"), default="list")
    parser.add_argument("model", nargs="?", help="a name; for info also a folder; for add a folder or a .zip")
    parser.add_argument("--overwrite", action="store_true", help="add: replace a model of the same name")
    parser.add_argument("--on", type=Path, nargs="+", default=[], metavar="FILE", help="measure: the training scans")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FILE",
                        help="measure: the data file that training used, with --gray")  # fmt: skip
    parser.add_argument("--gray", type=Path, metavar="DIR", help="measure: the folder of gray scans of the training")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...bundles import store
    from ...errors import UsageError

    if args.action != "list" and not args.model:
        raise UsageError(f"medcolorize models {args.action}: say which model.")
    if args.action == "list":
        return _list(console, args.json)
    if args.action == "add":
        bundle = store.add(Path(args.model), overwrite=args.overwrite)
        console.result({"added": bundle.name, "folder": str(bundle.folder)})
        if not args.json:
            console.say(f"'{bundle.name}' is installed: {bundle.title}")
        return 0
    if args.action == "remove":
        folder = store.remove(args.model)
        console.result({"removed": args.model, "folder": str(folder)})
        if not args.json:
            console.say(f"'{args.model}' is removed.")
        return 0
    if args.action == "measure":
        return _measure(args, console)
    return _info(args.model, console, args.json)


def _list(console: Console, as_json: bool) -> int:
    from ... import bundles
    from ...bundles import store

    entries = bundles.installed()
    console.result({"models": entries, "folder": str(store.user_folder())})
    if as_json:
        return 0
    if not entries:
        console.say(
            "No trained model is installed; palettes work without one. `medcolorize models add` installs models."
        )
    for entry in entries:
        about = f"BROKEN: {entry['problem']}" if entry["problem"] else f"{entry['title']} ({entry['method']})"
        console.say(f"{entry['name']:24s} {entry['modality'] or 'any':4s} {entry['bytes'] / 1e6:7.1f} MB  {about}")
    return 0


def _measure(args: argparse.Namespace, console: Console) -> int:
    from ..measuring import measure_model, training_scans

    scans = [*args.on, *(training_scans(args.model, args.data, args.gray) if args.gray else [])]
    likeness = measure_model(args.model, scans, console.progress, console.cancel)
    console.result({"model": args.model, **likeness.to_mapping()})
    if not args.json:
        console.say(f"'{args.model}': {likeness.slices} slices of {likeness.volumes} scans were measured.")
    return 0


def _info(model: str, console: Console, as_json: bool) -> int:
    from ...bundles import store
    from ...bundles.folder import read_json
    from ...bundles.verify import verify

    folder = store.find(model)
    bundle = verify(folder)
    console.result({"folder": str(folder), "verified": True, "metadata": read_json(folder / "metadata.json")})
    if not as_json:
        console.say(bundle.card())
        console.say(f"Verified: files whole, SHA-256 {bundle.sha256[:16]}..., numbers finite.")
    return 0
