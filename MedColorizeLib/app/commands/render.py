"""`medcolorize render`: pictures of a coloured volume, in 3D or as slices, and turntables."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_VIEWS = ("three-quarter", "anterior", "posterior", "left", "right", "superior", "inferior")
_PLANES = ("axial", "coronal", "sagittal")
_PRESETS = ("head-mr", "brain-mr", "ct-soft-tissue", "ct-vessels", "ct-bone", "translucent", "plain")
_CUTS = ("sagittal", "coronal", "axial", "corner")
_BACKGROUNDS = ("light", "white", "dark", "black", "slicer")

_EPILOG = """\
examples:
  medcolorize render color.nrrd -o head.png
  medcolorize render color.nrrd -o inside.png --cut corner
  medcolorize render color.nrrd -o sides.png --view left anterior superior --size 600 600
  medcolorize render color.nrrd -o turn.mp4 --background dark
  medcolorize render color.nrrd -o planes.png --view planes --gray scan.nii.gz

Opacity follows alpha (the measured intensity). A volume without alpha gets it from its luma.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "render",
        help="make a 3D picture, a turntable or slice pictures",
        description="Make pictures of a coloured volume: 3D views (PNG), a turntable (GIF, MP4) or slices (PNG).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path, metavar="COLORED", help="a coloured volume")
    parser.add_argument("-o", "--output", type=Path, required=True, help="a .png, .gif or .mp4")
    parser.add_argument(
        "--view",
        nargs="+",
        default=["three-quarter"],
        choices=(*_VIEWS, *_PLANES, "planes"),
        metavar="VIEW",
        help=f"one or more of {', '.join(_VIEWS)}; or slices: {', '.join(_PLANES)}, planes (default: three-quarter)",
    )
    parser.add_argument("--preset", choices=_PRESETS, help="the look; by default what suits the volume")
    parser.add_argument("--opacity", type=float, default=100.0, metavar="PERCENT", help="0 to 200 (default: 100)")
    parser.add_argument("--threshold", type=float, metavar="PERCENT", help="from which intensity on tissue is seen")
    parser.add_argument("--cut", choices=_CUTS, help="take away the near half or corner")
    parser.add_argument("--cut-at", type=float, default=0.5, metavar="SHARE", help="where: 0 to 1 (default: 0.5)")
    parser.add_argument("--size", type=int, nargs=2, default=None, metavar=("W", "H"), help="pixels of each view")
    parser.add_argument("--background", choices=_BACKGROUNDS, default="light")
    parser.add_argument("--frames", type=int, default=60, help="pictures of a turntable (default: 60)")
    parser.add_argument("--fps", type=float, default=20.0, help="turntable pictures a second (default: 20)")
    parser.add_argument("--gray", type=Path, metavar="SCAN", help="with slices: show the measured ones above")
    parser.add_argument(
        "--at", type=float, nargs=3, metavar=("R", "A", "S"), help="the point (mm) the slices go through"
    )
    parser.add_argument("--convention", choices=("radiological", "neurological"), default="radiological")
    parser.add_argument("--no-marks", action="store_true", help="leave the letters of the patient's sides out")
    parser.add_argument("--no-notice", action="store_true", help="leave 'Synthetic colour, not for diagnosis' out")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...errors import OutputError, UsageError
    from ...imaging.read import read_color
    from ...mrml import movies

    ending = movies.check_ending(args.output)
    if args.output.exists() and not args.overwrite:
        raise OutputError(f"{args.output} exists already. Choose another name, or allow overwriting (--overwrite).")
    views = list(dict.fromkeys(p for name in args.view for p in (_PLANES if name == "planes" else (name,))))
    flat = [name for name in views if name in _PLANES]
    if flat and len(flat) < len(views):
        raise UsageError("Slices and 3D views don't go into one picture. Render them one after the other.")
    if ending != ".png" and (flat or len(views) > 1):
        raise UsageError(f"A turntable starts from one 3D view. Give one --view, or write a .png instead of {ending}.")
    if (args.gray or args.at) and not flat:
        raise UsageError("--gray and --at are for slices: add --view planes.")
    if not (1 <= args.frames <= 3600 and 0 < args.fps <= 120):
        raise UsageError("A turntable has 1 to 3600 frames, and at most 120 of them a second.")
    color = read_color(args.input)
    document: dict[str, Any] = {"output": str(args.output), "views": views}
    if flat:
        _save_planes(args, color, flat)
    else:
        document["preset"] = _save_3d(args, console, color, views, ending)
    console.say(f"{args.output} written ({', '.join(views)}).")
    console.result(document)
    return 0


def _save_planes(args: argparse.Namespace, color: Any, planes: list[str]) -> None:
    from ...imaging.read import read_volume
    from ...mrml.movies import save_png
    from ...mrml.planes import PlaneStyle, plane_pictures

    gray = read_volume(args.gray) if args.gray else None
    height = args.size[1] if args.size else 480
    style = PlaneStyle(height, args.convention, not args.no_marks, not args.no_notice)
    picture = plane_pictures(color, planes, gray=gray, at=args.at, style=style)
    save_png(args.output, picture, color.provenance, overwrite=args.overwrite)


def _save_3d(args: argparse.Namespace, console: Console, color: Any, views: list[str], ending: str) -> str:
    from ...mrml.marks import beside
    from ...mrml.movies import save_film, save_png
    from ...mrml.opacity import with_alpha
    from ...mrml.pictures import Scenery, Style
    from ...mrml.presets import choose_preset
    from ...mrml.rendering import Look
    from ...progress import track

    color = with_alpha(color)
    look = Look(args.preset or choose_preset(color).name, args.opacity, args.threshold)
    style = Style(
        size=tuple(args.size or ((1000, 1000) if ending == ".png" else (600, 600))),
        background=args.background,
        look=look,
        cut=args.cut,
        cut_at=args.cut_at,
        marks=not args.no_marks,
        notice=not args.no_notice,
    )
    with Scenery(color, style, cut_from=views[0]) as scenery:
        if ending == ".png":
            steps = track(views, "render", len(views), console.progress, console.cancel)
            picture = beside([scenery.picture(view) for view in steps])
            console.cancel.check()
            save_png(args.output, picture, color.provenance, overwrite=args.overwrite)
        else:
            frames = scenery.turntable(args.frames, views[0], console.progress, console.cancel)
            save_film(args.output, frames, args.fps, overwrite=args.overwrite)
    return look.preset
