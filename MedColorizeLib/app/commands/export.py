"""`medcolorize export`: a trained run becomes a bundle that loads by name."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize export runs/head -o head-mr
  medcolorize export runs/head -o head-mr --half --terms "CC BY-NC (OASIS labels); courtesy of the NLM"
  medcolorize models add head-mr            then colour with --model head-mr
  medcolorize export runs/features -o features.safetensors     of 'medical-features': for --set features_weights=...
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "export",
        help="turn a training run into a model",
        description="Turn a training run into a bundle: a folder with weights, metadata, model card and sums.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("run", type=Path, help="the --out folder of a training")
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="the bundle folder (or .safetensors file) to make"
    )
    parser.add_argument("--name", help="the model's name (default: the output folder's)")
    parser.add_argument("--title", default="", help="a title for people")
    parser.add_argument(
        "--checkpoint", choices=("auto", "best", "last"), default="auto", help="auto: the best if there is one"
    )
    parser.add_argument(
        "--half",
        action="store_true",
        help="store 16-bit weights, if no output moves by a whole code on the run's probe",
    )
    parser.add_argument("--about", default="", help="what the model is for, in a line; lists of models show it")
    parser.add_argument("--terms", default="", help="terms of the training data and so of the weights, for the card")
    parser.add_argument("--data", default="", help="the training data in words, for the card")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing bundle")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ..exporting import export_features, export_run

    if args.output.suffix.lower() == ".safetensors":
        written = export_features(args.run, args.output, which=args.checkpoint, overwrite=args.overwrite)
        console.say(f"{written}: the feature net. Use it with --set features=medical --set features_weights={written}")
        console.result({"features": str(written)})
        return 0
    done = export_run(
        args.run,
        args.output,
        name=args.name or args.output.name,
        title=args.title,
        which=args.checkpoint,
        half=args.half,
        about=args.about,
        terms=args.terms,
        data=args.data,
        overwrite=args.overwrite,
    )
    for note in done.notes:
        console.note(note)
    console.result(
        {
            "bundle": str(args.output),
            "name": done.bundle.name,
            "step": done.step,
            "precision": done.bundle.precision,
            "largest_difference_codes": done.difference,
            "sha256": done.bundle.sha256,
            "notes": list(done.notes),
        }
    )
    if not args.json:
        console.say(f"{args.output}: '{done.bundle.name}' of step {done.step}, {done.bundle.precision}")
    return 0
