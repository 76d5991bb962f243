"""`medcolorize compare`: several coloured versions of one gray volume side by side."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...evaluation.compare import Result
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize compare palette.nrrd gan.nrrd --gray head.nii.gz -o comparison/
  medcolorize compare a.nrrd b.nrrd c.nrrd --gray head.nii.gz --names palette CycleGAN ours -o comparison/

Written: compare.html (one file, no network needed), compare.json, compare.csv.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "compare",
        help="put coloured versions of one volume side by side",
        description="Judge several coloured versions of one gray volume and put them side by side.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("colored", type=Path, nargs="+", help="the coloured volumes, two or more")
    parser.add_argument("--gray", type=Path, required=True, metavar="INPUT", help="the gray volume they were made from")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the comparison")
    parser.add_argument(
        "--names", nargs="+", metavar="NAME", help="what to call them (default: A, B, ... and the model)"
    )
    parser.add_argument("--labels", type=Path, metavar="FILE", help="tissues on the same voxels, instead of brightness")
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="the true colour on the same voxels, where it is known"
    )
    parser.add_argument(
        "--reference", type=Path, metavar="FOLDER", help="colour pictures to take the Frechet distance to"
    )
    parser.add_argument(
        "--features", metavar="FILE|download", help="weights for that distance, as for 'medcolorize report'"
    )
    parser.add_argument("--title", default="Comparison of coloured volumes", help="headline of the page")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...errors import UsageError
    from ...evaluation.compare import make_comparison
    from ...evaluation.page import LIGHTS
    from ...imaging.read import read_color, read_labels, read_volume
    from ..learned_metrics import feature_space, perceptual_distance
    from .report import reference_pictures

    if len(args.colored) < 2:
        raise UsageError("A comparison needs two coloured volumes or more. For one, use 'medcolorize report'.")
    if args.names and (len(args.names) != len(args.colored) or len(set(args.names)) != len(args.names)):
        raise UsageError(f"--names must give {len(args.colored)} different names, one for each coloured volume.")
    gray = read_volume(args.gray)
    content = make_comparison(
        _results(args, gray),
        args.output,
        labels=read_labels(args.labels, onto=gray) if args.labels else None,
        reference=read_color(args.truth) if args.truth else None,
        reference_set=reference_pictures(args.reference) if args.reference else None,
        features=feature_space(args.features) if args.reference else None,
        perceptual=perceptual_distance() if args.truth else None,
        title=args.title,
        overwrite=args.overwrite,
        on_progress=console.progress,
        cancel=console.cancel,
    )
    for path, one in zip(args.colored, content["results"], strict=True):
        console.say(f"{one['name']} ({path}): {LIGHTS[one['overall']]}. {one['verdict']}")
    console.say(f"The comparison is {args.output / 'compare.html'}.")
    console.result({"comparison": str(args.output), **content})
    return 0


def _results(args: argparse.Namespace, gray: Any) -> Iterator[Result]:
    """Read one coloured volume at a time."""
    from ...evaluation.compare import Result
    from ...evaluation.report import gray_codes_for
    from ...imaging.read import read_color

    for n, path in enumerate(args.colored):
        color = read_color(path)
        model = color.provenance.get("model") or color.provenance.get("method")
        letter = chr(ord("A") + n)
        name = args.names[n] if args.names else f"{letter} · {model}" if model else letter
        yield Result(name, gray_codes_for(gray, color), color)
