"""`medcolorize bench truth`: colourings against real colour, on images that no training saw."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .bench import default_data

if TYPE_CHECKING:
    from ..console import Console
    from ..truth_bench import Part

PARTS = ("slabs", "scans")
_EPILOG = """\
examples:
  medcolorize bench truth -o truth/                                every installed model, gray and the palettes
  medcolorize bench truth --model head-mr --model runs/gan -o truth/ --resume
  medcolorize bench truth --part slabs --scale native --frames 80 105 -o head/
  medcolorize bench truth --measure-tissues -o tissues/            the table of tissue colours, anew

Written: truth.md, truth.csv, truth.json, sheets/. Finished painters are kept: continue with --resume.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the bench."""
    parser = subparsers.add_parser(
        "truth",
        help="compare colourings with real colour",
        description="Colour held-out cryosections and scans, and compare with the photographs' true colour.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the results")
    parser.add_argument(
        "--model", action="append", default=[], metavar="NAME|FOLDER", help="a model; may be repeated (default: all)"
    )
    parser.add_argument("--palette", action="append", metavar="NAME", help="a palette; may be repeated")
    parser.add_argument("--part", action="append", choices=PARTS, help="only this part; may be repeated")
    parser.add_argument("--scale", default="1.056", metavar="MM|native", help="pixels of the frames (default: 1.056)")
    parser.add_argument(
        "--frames", nargs=2, type=int, action="append", metavar=("FIRST", "LAST"), help="a slab; may be repeated"
    )
    parser.add_argument(
        "--slices", type=int, default=32, metavar="N", help="axial slices of each scan (default: 32; 0: all)"
    )
    parser.add_argument("--data", type=Path, metavar="DIR", help="all images (or set MEDCOLORIZE_DATA)")
    parser.add_argument("--measure-tissues", action="store_true", help="write the table of tissue colours, and end")
    parser.add_argument("--resume", action="store_true", help="continue in DIR: finished painters are kept")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ..truth_bench import TruthBench
    from ..truth_painters import make_painters

    data = args.data or default_data()
    if args.measure_tissues:
        return _measure_tissues(data, args.output, console)
    chosen = args.part or PARTS
    parts: list[Part] = []
    if "slabs" in chosen:
        parts.append(_slabs(args, data))
    if "scans" in chosen:
        from ..truth_colors import ScanPart

        parts.append(ScanPart(data, max(args.slices, 0)))
    painters = make_painters(args.model, args.palette if args.palette is not None else ["head-mr", "body-ct"])
    bench = TruthBench(parts, painters, args.output)
    content = bench.run_all(resume=args.resume, on_progress=console.progress, cancel=console.cancel)
    console.say((args.output / "truth.md").read_text(encoding="utf-8").rstrip())
    console.say(f"The tables are {args.output / 'truth.md'}, the pictures {args.output / 'sheets'}.")
    console.result({"output": str(args.output), **content})
    return 0


def _slabs(args: argparse.Namespace, data: Path) -> Part:
    from ...errors import UsageError
    from ..truth_slabs import HELD_OUT, PIXEL_MM, SlabPart

    try:
        scale = PIXEL_MM if args.scale == "native" else float(args.scale)
    except ValueError:
        raise UsageError(f"--scale is mm per pixel or 'native', not '{args.scale}'.") from None
    ranges = [(first, last) for first, last in args.frames] if args.frames else HELD_OUT
    return SlabPart(data / "cryosections" / "vhm", ranges, scale)


def _measure_tissues(data: Path, out: Path, console: Console) -> int:
    from PIL import Image

    from ...imaging.atomic import write_atomically
    from ..tissue_table import find_regions, measure, read_seeds, regions_picture, to_toml

    regions = find_regions(data / "cryosections" / "vhm", read_seeds(), console.progress, console.cancel)
    colors = measure(regions)
    write_atomically(out / "cryosections.toml", to_toml(colors))
    Image.fromarray(regions_picture(regions)).save(out / "regions.png")
    for name, color in colors.items():
        low, high = color.measured
        console.say(f"{name:14s} {color.regions:3d} regions, luma {low:.0f} to {high:.0f}, spread {color.spread:.2f}")
    console.result({name: {"regions": color.regions, "spread": color.spread} for name, color in colors.items()})
    return 0
