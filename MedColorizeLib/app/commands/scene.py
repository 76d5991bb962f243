"""`medcolorize scene`: coloured volumes, scans and label maps as a Slicer scene, ready to open."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...imaging.volume import ColorVolume, LabelVolume, Volume
    from ..console import Console

_PRESETS = ("head-mr", "brain-mr", "ct-soft-tissue", "ct-vessels", "ct-bone", "translucent", "plain")

_EPILOG = """\
examples:
  medcolorize scene color.nrrd -o head.mrb
  medcolorize scene scan.nii.gz color.nrrd labels.nii.gz -o head.mrb

In Slicer the slice views show the colours; fade in the scan with the foreground slider, the labels with theirs.
Nodes have neutral names, because file names may name patients.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "scene",
        help="make a Slicer scene",
        description="Make a Slicer scene of coloured volumes, scans and label maps, given in any order.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path, nargs="+", metavar="INPUT", help="coloured volumes, scans, label maps")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .mrb (one file) or .mrml (with a folder)")
    parser.add_argument("--preset", choices=_PRESETS, help="the look in 3D; by default what suits the volume")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...errors import OutputError, UsageError
    from ...imaging.volume import ColorVolume, LabelVolume, Volume
    from ...mrml.host import close_scene, new_scene
    from ...mrml.rendering import Look
    from ...mrml.scene import fill, save_scene
    from ...progress import track

    if args.output.suffix.lower() not in (".mrb", ".mrml"):
        raise UsageError(f"{args.output} should end in .mrb or .mrml.")
    if args.output.exists() and not args.overwrite:
        raise OutputError(f"{args.output} exists already. Choose another name, or allow overwriting (--overwrite).")
    inputs = track(args.input, "read", len(args.input), console.progress, console.cancel)
    volumes = [_read(path) for path in inputs]
    colors = [v for v in volumes if isinstance(v, ColorVolume)]
    grays = [v for v in volumes if isinstance(v, Volume)]
    labels = [v for v in volumes if isinstance(v, LabelVolume)]
    scene = new_scene()
    try:
        look = Look(args.preset) if args.preset else None
        fill(scene, colors, grays, labels, look=look)
        console.cancel.check()
        save_scene(scene, args.output, overwrite=args.overwrite)
    finally:
        close_scene(scene)
    counts = {"coloured": len(colors), "scans": len(grays), "label maps": len(labels)}
    console.say(f"{args.output} written ({', '.join(f'{n} {what}' for what, n in counts.items() if n)}).")
    console.result({"output": str(args.output), **{what.replace(" ", "_"): n for what, n in counts.items()}})
    return 0


def _read(path: Path) -> ColorVolume | Volume | LabelVolume:
    """What a file holds: colours, a scan, or labels, judged by its content."""
    from ...errors import InputError
    from ...imaging.read import read_color, read_labels, read_volume

    reasons: list[InputError] = []
    for reader in (read_color, read_volume, read_labels):
        try:
            return reader(path)
        except InputError as error:
            reasons.append(error)
    # Why it is no scan tells most: it also names colours and labels.
    raise reasons[1]
