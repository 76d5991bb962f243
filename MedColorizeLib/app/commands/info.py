"""`medcolorize info`: what a file or folder is, without reading its voxels."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize info head.nii.gz
  medcolorize info dicom-folder/          its series, with the UID that --series takes
  medcolorize info color.nrrd --json      how its colour was made
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "info",
        help="say what a file or folder is",
        description="Say what a file or folder is. Names and other personal data of a patient are never shown.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("path", type=Path)
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    document = describe(args.path)
    console.result(document)
    if not args.json:
        for line in _lines(document):
            console.say(line)
    return 0


def describe(path: Path) -> dict[str, Any]:
    """What is known of `path` from its headers."""
    from ...imaging.formats import input_format
    from ...imaging.read import open_scan

    kind = input_format(path)
    if kind == "dicom":
        from dataclasses import asdict

        from ...imaging.dicom_series import list_series

        # Sizes are told as I x J x K, as for every other format.
        series = [{**asdict(one), "size": list(one.size[::-1])} for one in list_series(path)]
        return {"path": str(path), "format": "dicom", "series": series}
    scan = open_scan(path)
    document: dict[str, Any] = {"path": str(path), "format": scan.format, "frames": scan.frames, **scan.info()}
    affine = scan.affine  # type: ignore[attr-defined]
    document["spacing_mm"] = [round(float((affine[:3, n] ** 2).sum() ** 0.5), 6) for n in range(3)]
    document["affine_ras"] = affine.tolist()
    if document["kind"] == "color" and not getattr(scan, "frames", 1) > 1:
        document["provenance"] = scan.read_color().provenance  # type: ignore[attr-defined]
    return document


def _lines(document: dict[str, Any]) -> list[str]:
    if document["format"] == "dicom":
        lines = [f"{document['path']}: DICOM, {len(document['series'])} series"]
        for one in document["series"]:
            size = "x".join(str(n) for n in one["size"]) if all(one["size"]) else "-"
            frames = f" x{one['frames']}" if one["frames"] > 1 else ""
            lines.append(f"  {one['modality']:4s} {one['description']:40s} {size + frames:>16s}  {one['uid']}")
            if not one["can_read"]:
                lines.append(f"       not readable: it {one['reason']}")
        return lines
    size = "x".join(str(n) for n in document["size"])
    spacing = "x".join(f"{s:g}" for s in document["spacing_mm"])
    frames = f", {document['frames']} frames" if document["frames"] > 1 else ""
    lines = [
        f"{document['path']}: {document['format']}, {document['kind']}, {document['stored_type']}, "
        f"{size} voxels of {spacing} mm{frames}"
    ]
    made = document.get("provenance")
    if made:
        lines.append(
            f"  synthetic colour by {made.get('method', '?')} '{made.get('model', '?')}' ({made.get('program', '?')}): "
            "not for diagnosis"
        )
    return lines
