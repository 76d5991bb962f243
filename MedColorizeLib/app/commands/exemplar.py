"""`medcolorize exemplar`: colouring after reference pictures. Indexing and finding need no torch."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ...exemplar.library import Match
    from ..console import Console
    from ..exemplar_job import ExemplarJob, KeyPlan

_EPILOG = """\
examples:
  medcolorize exemplar index sections/ -o references.sqlite --background cryosection
  medcolorize exemplar index -o references.sqlite                    bring it up to date
  medcolorize exemplar find head.nii.gz --library references.sqlite --sheet found.png
  medcolorize exemplar colorize head.nii.gz --library references.sqlite -o color.nrrd --work work/
  medcolorize exemplar colorize head.nii.gz --reference section.jpg -o color.nrrd --method welsh
  medcolorize exemplar colorize head.nii.gz --library references.sqlite -o c.nrrd --set weights_file=vgg19.npz

Methods: zeng (the paper), welsh, ctccs, ictede, cpami, mrf-cnn, dpst, adpst.
"""

_KEYS = "key slices (default: one every 6 mm)"
_FEATURES: dict[str, Any] = {
    "type": Path,
    "metavar": "FILE",
    "help": "weights of SqueezeNet 1.1: compare deep features as well",
}
_BACKGROUND: dict[str, Any] = {
    "choices": ("keep", "cryosection"),
    "default": "keep",
    "help": "cryosection: of frozen sections in blue gelatine only the tissue counts (default: keep)",
}


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "exemplar",
        help="colour after reference pictures",
        description="Colour a volume after the nearest picture of a library, or after one of your choice (Zeng 2020).",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    actions = parser.add_subparsers(dest="action", metavar="ACTION", required=True)

    index = actions.add_parser("index", help="make a library, or bring it up to date")
    index.add_argument("folders", type=Path, nargs="*", metavar="FOLDER", help="colour pictures, at any depth")
    index.add_argument("-o", "--output", type=Path, required=True, metavar="LIBRARY", help="the library's file")
    index.add_argument("--background", **_BACKGROUND)
    index.add_argument("--features", **_FEATURES)
    index.add_argument("--json", action="store_true", help="print one JSON document on standard output")

    find = actions.add_parser("find", help="show the references nearest to a scan's key slices")
    find.add_argument("--count", type=int, default=3, metavar="N", help="how many for each slice (default: 3)")
    find.add_argument("--sheet", type=Path, metavar="PNG", help="also write them as one picture")
    find.add_argument("--library", type=Path, required=True, metavar="LIBRARY", help="made by `exemplar index`")
    find.add_argument("--keys", type=int, metavar="N", help=_KEYS)
    find.add_argument("--features", **_FEATURES)

    color = actions.add_parser("colorize", help="colour a scan")
    color.add_argument("-o", "--output", type=Path, required=True, help="the ending chooses the format")
    color.add_argument("--method", metavar="NAME", help="which transfer (default: zeng)")
    add_reference_options(color)
    color.add_argument(
        "--fidelity",
        choices=("exact", "balanced", "free"),
        default="exact",
        help="how far luma may leave the input (default: exact)",
    )
    color.add_argument("--alpha", action="store_true", help="write RGBA, for 3D")
    color.add_argument("--report", type=Path, metavar="DIR", help="also write the quality report there")
    color.add_argument("--overwrite", action="store_true", help="replace an existing output")
    for each in (find, color):
        each.add_argument("input", type=Path, help="the scan: as for `colorize`")
        each.add_argument("--window", nargs="+", metavar="LOW HIGH|NAME", help="as for `colorize`")
        each.add_argument("--series", metavar="UID", help="which DICOM series of the folder")
        each.add_argument("--frames", default="all", metavar="all|N", help="frames of a 4-D input (default: all)")
        each.add_argument("--json", action="store_true", help="print one JSON document on standard output")


def add_reference_options(parser: argparse.ArgumentParser | argparse._ArgumentGroup) -> None:
    """What colouring after a reference can be told: the same here and in `medcolorize colorize`."""
    parser.add_argument("--library", type=Path, metavar="LIBRARY", help="made by `exemplar index`")
    parser.add_argument("--reference", type=Path, metavar="PICTURE", help="this one instead of what a library finds")
    parser.add_argument("--background", **_BACKGROUND)
    parser.add_argument(
        "--references",
        choices=("one", "each"),
        default="one",
        help="one reference for the whole scan, or the nearest for each key slice (default: one)",
    )
    parser.add_argument("--keys", type=int, metavar="N", help=_KEYS)
    parser.add_argument(
        "--work", type=Path, metavar="DIR", help="keep finished key slices there, to go on after a stop"
    )
    parser.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="OPTION=VALUE",
        help="an option of the method, e.g. size=160 (see Docs/Exemplar.md); may be repeated",
    )
    parser.add_argument("--sheet", type=Path, metavar="PNG", help="also write key slices and references as one picture")
    parser.add_argument("--features", **_FEATURES)


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    if args.action == "index":
        return _index(args, console)
    return _find(args, console) if args.action == "find" else color_after_reference(args, console)


def _index(args: argparse.Namespace, console: Console) -> int:
    import dataclasses

    from ...errors import UsageError
    from ...exemplar.library_update import update
    from ..exemplar_job import deep_feature

    if not args.folders and not args.output.exists():
        raise UsageError("Give at least one folder of colour pictures to make a library of.")
    changes = update(
        args.output,
        args.folders,
        background=args.background,
        deep=deep_feature(args.features),
        on_progress=console.progress,
        cancel=console.cancel,
    )
    for text in changes.refused:
        console.note(f"left out: {text}")
    if changes.embedded:
        console.note(
            f"{changes.embedded} pictures look like sections in blue gelatine, which would be taken for tissue: "
            "index their folder with --background cryosection."
        )
    console.say(
        f"{args.output} holds {changes.pictures} pictures: {changes.added} new, {changes.changed} changed, "
        f"{changes.removed} removed, {changes.unchanged} as before."
    )
    console.result({"library": str(args.output), **dataclasses.asdict(changes)})
    return 0


def _find(args: argparse.Namespace, console: Console) -> int:
    from ...exemplar.hashing import TURNS
    from ...exemplar.library import ReferenceLibrary
    from ..exemplar_job import deep_feature, describe_match, plan_keys

    library = ReferenceLibrary(args.library)
    plan = plan_keys(_job(args))
    deep = deep_feature(args.features)
    found = [library.nearest(gray, args.count, deep) for gray in plan.slices]
    console.say(f"{'slice':>5s}  {'bits':>4s}  {'held':12s}  picture")
    for k, matches in zip(plan.positions, found, strict=True):
        for rank, match in enumerate(matches):
            like = "" if match.similarity is None else f"  (likeness {match.similarity:.3f})"
            console.say(
                f"{k if rank == 0 else '':>5}  {match.distance:4d}  {TURNS[match.turn][0]:12s}  "
                f"{match.reference.path.name}{like}"
            )
    if args.sheet:
        _write_sheet(args.sheet, plan, found)
        console.say(f"The sheet is {args.sheet}.")
    slices = [
        {"slice": k, "references": [{**describe_match(m), "path": str(m.reference.path)} for m in matches]}
        for k, matches in zip(plan.positions, found, strict=True)
    ]
    console.result({"library": str(args.library), "slices": slices})
    return 0


def color_after_reference(args: argparse.Namespace, console: Console) -> int:
    """`exemplar colorize`, and `colorize` with a transfer's name as its method."""
    from ...errors import UsageError
    from ...exemplar.library import ReferenceLibrary
    from ..exemplar_job import find_references, make_painter, plan_keys
    from ..pipeline import check_output, colorize_file
    from .colorize import chooser, job_of, tell

    if (args.library is None) == (args.reference is None):
        raise UsageError("Say what to colour after: either --library LIBRARY or --reference PICTURE.")
    job = _job(args)
    written = job_of(args)
    check_output(written)
    choose = chooser(args)
    plan = plan_keys(job, choose)
    matches = None
    if args.library:
        matches = find_references(job, plan, ReferenceLibrary(args.library))
        for match in dict.fromkeys(matches):
            console.say(f"Reference: {match.reference.path} ({match.distance} of 64 bits differ).")
        if args.sheet:
            _write_sheet(args.sheet, plan, [[match] for match in matches])
    painter = make_painter(job, plan, matches, console.progress)
    outcome = colorize_file(written, console.progress, console.cancel, choose=choose, painter=painter)
    made = outcome.provenance
    return tell(outcome, args, console, f"{made['method']} after {made['model']}, {len(plan.positions)} key slices")


def _job(args: argparse.Namespace) -> ExemplarJob:
    from ...errors import UsageError
    from ..exemplar_job import ExemplarJob
    from .colorize import window_of

    if args.keys is not None and args.keys < 1:
        raise UsageError(f"--keys is {args.keys}; there must be at least one key slice.")
    common = {
        "input": args.input,
        "library": args.library,
        "keys": args.keys,
        "window": window_of(args.window),
        "series": args.series,
        "frames": args.frames,
        "features": args.features,
    }
    if getattr(args, "action", "") == "find":
        return ExemplarJob(**common)
    return ExemplarJob(
        **common,
        reference=args.reference,
        background=args.background,
        method=args.method or "zeng",
        options=dict(_option(text) for text in args.set),
        references=args.references,
        work=args.work,
    )


def _option(text: str) -> tuple[str, Any]:
    """`NAME=VALUE`: a number, true or false, a list with commas, or a word; the method checks the rest."""
    import json

    from ...errors import UsageError

    name, equals, value = text.partition("=")
    if not equals or not name:
        raise UsageError(f"--set takes OPTION=VALUE, not '{text}'.")
    if name.endswith("_layers"):
        return name, [word for word in value.split(",") if word]
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _write_sheet(path: Path, plan: KeyPlan, found: list[list[Match]]) -> None:
    """Each key slice beside its references, held as they will be used."""
    import io

    import numpy as np
    from PIL import Image

    from ...exemplar.pictures import cropped, fitted
    from ...imaging.atomic import write_atomically

    rows = []
    for gray, matches in zip(plan.slices, found, strict=True):
        shown = np.repeat(cropped(gray)[..., None], 3, axis=2)
        pictures = [shown, *(match.reference.read(match.turn) for match in matches)]
        rows.append(np.hstack([fitted(picture, (224, 224)) for picture in pictures]))
    buffer = io.BytesIO()
    Image.fromarray(np.vstack(rows)).save(buffer, "PNG")
    write_atomically(path, buffer.getvalue())
