"""`medcolorize convert`: a coloured or gray volume to another format, its voxels and geometry kept."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...imaging.scan import Scan
    from ...imaging.volume import Volume
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
    from ...errors import InputError, OutputError, UsageError
    from ...imaging.formats import input_format, output_format
    from ...imaging.read import open_scan, read_color
    from ...imaging.write import write_color, write_volume
    from ..pipeline import refuse_around

    output_format(args.output)
    if args.output.exists() and args.input.exists() and args.output.samefile(args.input):
        raise UsageError(f"{args.output} is the input itself. Choose another output.")
    refuse_around(args.output, args.input)
    if args.output.exists() and not args.overwrite:
        raise OutputError(f"{args.output} exists already. Choose another name, or allow overwriting (--overwrite).")
    if input_format(args.input) != "dicom":
        _one_frame(args.input, open_scan(args.input, args.series))
    try:
        color = read_color(args.input, series=args.series)
    except InputError as not_color:
        try:
            volume = _gray_or_labels(_one_frame(args.input, open_scan(args.input, args.series)))
        except InputError as error:
            raise error from not_color
        output, kind = write_volume(args.output, volume, overwrite=args.overwrite), "gray"
    else:
        output, kind = write_color(args.output, color, overwrite=args.overwrite), "color"
    console.say(f"{output} written ({kind}).")
    console.result({"output": str(output), "kind": kind})
    return 0


def _one_frame(path: Path, scan: Scan) -> Scan:
    from ...errors import UsageError

    if scan.frames > 1:
        raise UsageError(f"{path} has {scan.frames} frames: convert writes one volume only.")
    return scan


def _gray_or_labels(scan: Scan) -> Volume:
    """The scan; label maps, which reading a scan refuses, as their numbers."""
    from ...errors import InputError
    from ...imaging.volume import Volume

    try:
        return scan.read()
    except InputError as refused:
        if scan.format == "dicom":
            raise
        try:
            labels = scan.read_labels()  # type: ignore[attr-defined]
        except InputError:
            raise refused from None
        return Volume(labels.array, labels.affine)
