"""`medcolorize report`: one page that says whether to trust a coloured volume."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from ...imaging.volume import ColorVolume
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize report color.nrrd --gray head.nii.gz -o report/
  medcolorize report color.nrrd --gray head.nii.gz --labels tissues.nii.gz -o report/ --overwrite
  medcolorize report color.nrrd --gray gray.nrrd --truth photographs.nrrd -o report/   against the true colour
  medcolorize report color.nrrd --gray head.nii.gz --reference cryosections/ -o report/

Written: report.html (one file, no network needed), report.json, slices.csv.
"""

MOST_PICTURES = 200
LONGEST_SIDE = 256


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "report",
        help="judge a coloured volume",
        description="Judge a coloured volume against the gray one it was made from, and write a page a person reads.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("colored", type=Path, help="the coloured volume")
    parser.add_argument("--gray", type=Path, required=True, metavar="INPUT", help="the gray volume it was made from")
    parser.add_argument("-o", "--output", type=Path, required=True, metavar="DIR", help="folder for the report")
    parser.add_argument("--labels", type=Path, metavar="FILE", help="tissues on the same voxels, instead of brightness")
    parser.add_argument(
        "--truth", type=Path, metavar="FILE", help="the true colour on the same voxels, where it is known"
    )
    parser.add_argument(
        "--reference", type=Path, metavar="FOLDER", help="colour pictures to take the Frechet distance to"
    )
    parser.add_argument(
        "--features",
        metavar="FILE|download",
        help="weights for that distance: Inception-v3 (it is then the FID) or SqueezeNet 1.1; 'download' fetches "
        "Inception's (default: what torch's cache has, else colour statistics)",
    )
    parser.add_argument("--title", default="Colour report", help="headline of the page")
    parser.add_argument("--no-rendering", action="store_true", help="leave the picture in three dimensions out")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...evaluation.page import LIGHTS
    from ...evaluation.report import gray_codes_for, make_report
    from ...evaluation.report_numbers import graded
    from ...imaging.read import read_color, read_labels, read_volume
    from ..learned_metrics import feature_space, perceptual_distance

    color = read_color(args.colored)
    gray = gray_codes_for(read_volume(args.gray), color)
    outcome = make_report(
        gray,
        color,
        args.output,
        labels=read_labels(args.labels, onto=color) if args.labels else None,
        reference=read_color(args.truth) if args.truth else None,
        reference_set=reference_pictures(args.reference) if args.reference else None,
        features=feature_space(args.features) if args.reference else None,
        perceptual=perceptual_distance() if args.truth else None,
        title=args.title,
        rendering=None if args.no_rendering else picture_of(color),
        overwrite=args.overwrite,
        on_progress=console.progress,
        cancel=console.cancel,
    )
    console.say(f"{LIGHTS[outcome['overall']].capitalize()}. {outcome['verdict']}")
    for key, grade in outcome["grades"].items():
        value = graded(key, grade["value"], grade["unit"])
        console.say(f"  {LIGHTS[grade['light']]:12s} {grade['title']}: {value} {grade['unit']}".rstrip())
    console.say(f"The report is {args.output / 'report.html'}.")
    console.result({"report": str(args.output), "files": ["report.html", "report.json", "slices.csv"], **outcome})
    return 0


def picture_of(color: ColorVolume) -> bytes | None:
    """The volume in three dimensions, where the MRML classes are installed; a report is whole without it."""
    import io

    from PIL import Image

    from ...errors import MedColorizeError

    try:
        from ...mrml.pictures import Style, picture

        pixels = picture(color, style=Style(size=(720, 720)))
    except MedColorizeError:
        return None
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "PNG")
    return buffer.getvalue()


def reference_pictures(folder: Path) -> list[NDArray[np.uint8]]:
    """Colour pictures of a folder, evenly chosen and made small enough to hold them all."""
    import numpy as np
    from PIL import Image, UnidentifiedImageError

    from ...errors import InputError

    files = sorted(
        p for p in folder.glob("*") if p.suffix.lower() in (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
    )
    if not files:
        raise InputError(f"{folder} holds no pictures (JPEG, PNG, TIFF). Give the folder of colour pictures itself.")
    chosen = [files[n] for n in np.unique(np.linspace(0, len(files) - 1, MOST_PICTURES).astype(int))]
    pictures = []
    for file in chosen:
        try:
            with Image.open(file) as picture:
                picture.draft("RGB", (LONGEST_SIDE, LONGEST_SIDE))
                small = picture.convert("RGB")
                small.thumbnail((LONGEST_SIDE, LONGEST_SIDE), Image.Resampling.BOX)
                pictures.append(np.asarray(small))
        except (OSError, UnidentifiedImageError) as error:
            raise InputError(f"{file} can't be read as a picture. Remove it from the folder, or repair it.") from error
    return pictures
