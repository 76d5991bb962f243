"""`medcolorize train`: teach a published system on your own images."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize train colormedgan --gray mr/ --color cryosections/ --out runs/head
  medcolorize train cyclegan-resnet9 --gray mr/ --color cryo/ --out runs/quick --set size=128 --set iterations=2000
  medcolorize train colormedgan --gray mr/ --color cryo/ --out runs/head --resume
  medcolorize train segmentation-unet --gray mr/ --labels labels/ --out runs/seg
  medcolorize train medcolorize-body-ct --data my.toml --gray ct/ --color cryo/ --out runs/mine --start runs/body
  torchrun --nproc-per-node 4 -m MedColorizeLib.app.cli train colormedgan ... --set batch=4

Images: volumes (NIfTI, NRRD, MHA, DICOM) and folders of pictures. `medcolorize methods --recipes` lists the recipes.
A stopped run (Ctrl-C, kill, power cut) goes on with --resume and ends as if it had never stopped.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "train",
        help="train a method on your own images",
        description="Train a published system on your own images.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("recipe", help="the name of a recipe, or a TOML file")
    parser.add_argument("--gray", type=Path, metavar="DIR", help="gray scans or pictures")
    parser.add_argument("--color", type=Path, metavar="DIR", help="colour pictures or volumes")
    parser.add_argument(
        "--labels", type=Path, metavar="DIR", help="label maps, matched to scans by name up to the first _"
    )
    parser.add_argument("--out", type=Path, metavar="RUN", required=True, help="the run folder to make or to resume")
    parser.add_argument("--data", type=Path, action="append", default=[], metavar="FILE",
                        help="a TOML file laid over the recipe: which images, which are held out")  # fmt: skip
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", dest="changes",
                        help="change one value of the recipe, e.g. --set data.batch=2 (may be repeated)")  # fmt: skip
    parser.add_argument("--start", type=Path, metavar="RUN",
                        help="begin with the weights of another run of the same method")  # fmt: skip
    parser.add_argument("--resume", action="store_true", help="go on from the newest checkpoint")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto", help="where to train")
    parser.add_argument("--cache", type=Path, metavar="DIR", help="where prepared slices are kept")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...training.collect import Folders
    from ...training.loop import note_of_budget, train
    from ...training.recipe import load_recipe
    from ...training.runs import read_run

    recipe = load_recipe(args.recipe, overlays=args.data, changes=args.changes)
    console.say(f"{recipe.title or recipe.name}: {note_of_budget(recipe)}")
    train(
        recipe,
        Folders(args.gray, args.color, args.labels),
        args.out,
        resume=args.resume,
        start=args.start,
        device=args.device,
        cache=args.cache,
        on_progress=console.progress,
        cancel=console.cancel,
    )
    done = read_run(args.out)
    for note in done.facts.get("notes", []):
        console.note(note)
    console.result(
        {
            "run": str(args.out),
            "recipe": recipe.name,
            "method": recipe.method,
            "step": done.checkpoint_facts["iteration"],
            "best": done.best,
            "notes": done.facts.get("notes", []) + done.facts.get("method_notes", []),
        }
    )
    if not args.json:
        best = f", best {done.best['figure']} {done.best['value']:.4g}" if done.best else ""
        console.say(
            f"{args.out}: step {done.checkpoint_facts['iteration']}{best}. Next: medcolorize export {args.out} -o NAME"
        )
    return 0
