"""`medcolorize convert`: a coloured or gray volume to another format, its voxels and geometry kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize convert color.nrrd color.nii.gz
  medcolorize convert color.nii.gz color.dcm
  medcolorize convert dicom-folder/ scan.nii.gz
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "convert",
        help="change the format of a volume",
        description="Change the format of a coloured, gray or label volume. Voxels and geometry are kept.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("input", type=Path)
    parser.add_argument("output", type=Path)
    parser.add_argument("--series", metavar="UID", help="which DICOM series of a folder")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...errors import InputError, UsageError
    from ...imaging.formats import output_format
    from ...imaging.read import open_scan, read_color
    from ...imaging.volume import Volume
    from ...imaging.write import write_color, write_volume

    output_format(args.output)
    if args.output.exists() and args.input.exists() and args.output.samefile(args.input):
        raise UsageError(f"{args.output} is the input itself. Choose another output.")
    try:
        color = read_color(args.input, series=args.series)
    except InputError as not_color:
        try:
            scan = open_scan(args.input, args.series)
            if scan.frames > 1:
                raise UsageError(f"{args.input} has {scan.frames} frames: convert writes one volume only.") from None
            if scan.format != "dicom" and scan.is_labels:  # type: ignore[attr-defined]
                labels = scan.read_labels()  # type: ignore[attr-defined]
                volume = Volume(labels.array, labels.affine)
            else:
                volume = scan.read()
        except InputError as error:
            raise error from not_color
        output, kind = write_volume(args.output, volume, overwrite=args.overwrite), "gray"
    else:
        output, kind = write_color(args.output, color, overwrite=args.overwrite), "color"
    console.say(f"{output} written ({kind}).")
    console.result({"output": str(output), "kind": kind})
    return 0
