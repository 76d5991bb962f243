"""`medcolorize colorize`: one gray volume in, one coloured volume out."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from .exemplar import add_reference_options, color_after_reference

if TYPE_CHECKING:
    from ...imaging.dicom_series import SeriesInfo
    from ..console import Console
    from ..pipeline import ColorizeJob, Outcome

_EPILOG = """\
examples:
  medcolorize colorize head.nii.gz -o head-color.nrrd
  medcolorize colorize head.nii.gz -o head-color.nii.gz --labels tissues.nii.gz --report report/
  medcolorize colorize ct/ -o ct-color/ --window soft-tissue         a DICOM folder in, a DICOM folder out
  medcolorize colorize ct.nrrd -o ct.nrrd.png --palette colorblind   a folder of PNG slices
  medcolorize colorize pet.nii.gz -o pet.nrrd --window 0 12000 --alpha
  medcolorize colorize head.nii.gz -o head.nrrd --method zeng --reference section.jpg --background cryosection

Formats by ending: .nrrd .nhdr .nii .nii.gz .mha .mhd .dcm .png, or none (a DICOM folder).
Luma is kept exactly unless --fidelity says otherwise: the output, made gray, is the windowed input.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "colorize",
        help="colour a gray volume",
        description="Colour a gray MR or CT volume. The geometry is kept bit for bit, and so is the brightness.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "input", type=Path, help="NIfTI, NRRD, MHA/MHD, a DICOM file or folder, or a folder of pictures"
    )
    parser.add_argument(
        "-o", "--output", type=Path, required=True, help="where to write; the ending chooses the format"
    )
    parser.add_argument("--model", metavar="NAME|FOLDER", help="an installed model, a bundle folder, or 'palette'")
    parser.add_argument(
        "--method",
        metavar="NAME",
        help="the best installed model of this method, or one that colours after a reference (see 'methods')",
    )
    parser.add_argument("--palette", metavar="NAME|FILE", help="colour by this tissue palette: a name or your own file")
    parser.add_argument(
        "--labels", type=Path, metavar="FILE", help="a label map on the same voxels, for tissue colours"
    )
    parser.add_argument(
        "--window",
        nargs="+",
        metavar="LOW HIGH|NAME",
        help="intensities shown as black and white, or a name: auto (default), header, or a CT preset such as bone",
    )
    parser.add_argument(
        "--fidelity",
        choices=("exact", "balanced", "free"),
        default="exact",
        help="how far luma may leave the input: not at all, up to 8 codes, as the model likes (default: exact)",
    )
    parser.add_argument(
        "--alpha", action="store_true", help="write RGBA: alpha is the measured intensity inside the body, for 3D"
    )
    parser.add_argument("--series", metavar="UID", help="which DICOM series of the folder (see 'info')")
    parser.add_argument("--frames", default="all", metavar="all|N", help="frames of a 4-D input (default: all)")
    parser.add_argument("--report", type=Path, metavar="DIR", help="also write the quality report there")
    parser.add_argument("--uncertainty", type=Path, metavar="FILE", help="also write where three planes disagree")
    parser.add_argument(
        "--device",
        choices=("auto", "cpu", "cuda"),
        default="auto",
        help="where networks run; auto: a graphics card if there is one, the processor for this project's own models",
    )
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing output")
    after = parser.add_argument_group("colouring after a reference picture (--method zeng, welsh, ...)")
    add_reference_options(after)


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    if _after_reference(args):
        return color_after_reference(args, console)
    from ..pipeline import colorize_file

    job = job_of(args, model=model_of(args), palette=args.palette, labels=args.labels,
                 uncertainty=args.uncertainty, device=args.device)  # fmt: skip
    outcome = colorize_file(job, console.progress, console.cancel, choose=chooser(args))
    made = outcome.provenance
    by = f"{made['method']} '{made['model']}', window {made['window'][0]:g} to {made['window'][1]:g}"
    return tell(outcome, args, console, by)


def job_of(args: argparse.Namespace, **more: Any) -> ColorizeJob:
    """What both ways of colouring a file are asked for in the same words."""
    from ..pipeline import ColorizeJob

    return ColorizeJob(
        input=args.input,
        output=args.output,
        window=window_of(args.window),
        fidelity=args.fidelity,
        alpha=args.alpha,
        series=args.series,
        frames=args.frames,
        report=args.report,
        overwrite=args.overwrite,
        **more,
    )


def chooser(args: argparse.Namespace) -> Callable[..., Any] | None:
    """Who chooses among several series: a person, if there is one at the terminal."""
    return choose_series if sys.stdin.isatty() and not args.json else None


def tell(outcome: Outcome, args: argparse.Namespace, console: Console, by: str) -> int:
    """Say what was made, and by whom."""
    for note in outcome.notes:
        console.note(note)
    console.say(
        f"{outcome.output} written in {outcome.seconds:.1f} s: coloured by {by}."
        " The colour is synthetic: not for diagnosis."
    )
    if outcome.report is not None:
        console.say(f"The report is in {args.report}.")
    console.result(outcome.to_dict())
    return 0


def _after_reference(args: argparse.Namespace) -> bool:
    """True if a transfer is to colour: by its name, or because a reference or a library is given."""
    from ...errors import UsageError
    from ...exemplar.registry import transfer_names

    given = args.reference is not None or args.library is not None
    if args.method not in transfer_names() and not (given and args.method is None):
        if given:
            raise UsageError(
                f"--reference and --library are for methods that colour after a picture, not for '{args.method}'. "
                f"Those are: {', '.join(transfer_names())}."
            )
        return False
    for name in ("model", "palette", "labels", "uncertainty"):
        if getattr(args, name) is not None:
            raise UsageError(f"--{name} has no meaning where colours come from a reference picture. Leave it out.")
    if args.device == "cuda":
        raise UsageError("Colouring after a reference runs on the processor only. Leave --device out.")
    return True


def window_of(words: list[str] | None) -> str | tuple[float, float] | None:
    """What `--window` means: two numbers, or a name."""
    from ...errors import UsageError

    if not words:
        return None
    if len(words) == 1:
        return words[0]
    try:
        low, high = (float(word) for word in words)
    except ValueError as error:
        raise UsageError(f"--window takes two numbers or one name, not '{' '.join(words)}'.") from error
    return low, high


def model_of(args: argparse.Namespace) -> str | None:
    """The model that `--model` or `--method` asks for."""
    from ...errors import ModelError, UsageError

    if args.method and args.model:
        raise UsageError("--model and --method exclude each other: a model has its method.")
    if args.method in (None, "palette"):
        return args.method or args.model
    from ...bundles.store import installed

    for entry in installed():
        if entry.bundle is not None and entry.bundle.method == args.method and entry.bundle.kind == "color":
            return entry.name
    raise ModelError(
        f"No installed model was made by the method '{args.method}'. `medcolorize models` lists what is installed; "
        "`medcolorize train` and `medcolorize export` make one."
    )


def choose_series(series: list[SeriesInfo]) -> str:
    """Ask the person at the terminal which series they mean."""
    from ...errors import UsageError

    for number, one in enumerate(series, 1):
        print(
            f"{number:3d}  {one.modality:4s} {one.description:40s} {one.images:5d} images  {one.uid}", file=sys.stderr
        )
    answer = input(f"Which series (1 to {len(series)})? ")
    if not answer.isdigit() or not 1 <= int(answer) <= len(series):
        raise UsageError(f"'{answer}' is none of the series 1 to {len(series)}.")
    return series[int(answer) - 1].uid
