"""`medcolorize demo`: a real head, from the gray scan to a coloured scene with pictures and report."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from ..console import Console

_EPILOG = """\
examples:
  medcolorize demo
  medcolorize demo -o somewhere/else --overwrite

The head is the MNI152 average of 152 people (T1, 1 mm), which comes with nilearn: nothing is downloaded.
"""


def add(subparsers: argparse._SubParsersAction[Any]) -> None:
    """Declare the command."""
    parser = subparsers.add_parser(
        "demo",
        help="colour a real head MR, with scene, pictures and report",
        description="Colour the MNI152 head into a folder: volume, 3D Slicer scene, pictures and quality report.",
        epilog=_EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("-o", "--output", type=Path, default=Path("demo"), help="the folder to make (default: demo)")
    parser.add_argument("--json", action="store_true", help="print one JSON document on standard output")
    parser.add_argument("--overwrite", action="store_true", help="replace an existing folder")


def run(args: argparse.Namespace, console: Console) -> int:
    """Do it."""
    from ...imaging.atomic import AtomicTarget

    with AtomicTarget(args.output, folder=True, overwrite=args.overwrite) as target:
        made = _make(target.temporary, console)
        target.commit()
    for name, what in made.items():
        console.say(f"{args.output / name}: {what}")
    console.say("The colour is synthetic: not for diagnosis.")
    console.result({"output": str(args.output), "files": list(made)})
    return 0


def _make(folder: Path, console: Console) -> dict[str, str]:
    """Fill the folder; returns what each file is."""
    from ...evaluation.report import make_report
    from ...imaging.read import read_volume
    from ...imaging.windows import Window, codes
    from ...imaging.write import write_color
    from ...inference.colorizer import Colorizer
    from ...mrml.movies import save_film, save_png
    from ...mrml.pictures import Scenery, Style
    from ...mrml.planes import plane_pictures
    from ...progress import Progress
    from ..provenance import record
    from ..sample import mni_path, mni_tissues

    steps = ("read", "colorize", "slices", "outside", "inside", "turntable", "scene", "report")

    def step(name: str) -> None:
        console.cancel.check()
        console.progress(Progress("demo", steps.index(name), len(steps), name))

    step("read")
    head = read_volume(mni_path())
    tissues = mni_tissues(head)
    step("colorize")
    color = Colorizer().colorize(head, labels=tissues, alpha=True, cancel=console.cancel)
    record(write_color(folder / "head-color.nrrd", color), color.provenance)
    step("slices")
    save_png(folder / "slices.png", plane_pictures(color, gray=head), color.provenance)
    step("outside")
    with Scenery(color, Style(size=(900, 900))) as scenery:
        save_png(folder / "outside.png", scenery.picture(), color.provenance)
    step("inside")
    with Scenery(color, Style(size=(900, 900), cut="corner")) as scenery:
        save_png(folder / "inside.png", scenery.picture(), color.provenance)
    step("turntable")
    with Scenery(color, Style(size=(320, 320))) as scenery:
        frames = scenery.turntable(18, on_progress=console.progress, cancel=console.cancel)
        save_film(folder / "turntable.gif", frames, 9)
    step("scene")
    _save_scene(folder / "head.mrb", color, head, tissues)
    step("report")
    make_report(
        codes(head.array, Window(*color.provenance["window"])),
        color,
        folder / "report",
        labels=tissues,
        title="MNI152 head",
        rendering=(folder / "inside.png").read_bytes(),
        cancel=console.cancel,
    )
    return {
        "head-color.nrrd": "the coloured volume (RGBA)",
        "head.mrb": "the scene, to open in 3D Slicer",
        "slices.png": "measured and coloured slices",
        "outside.png": "3D view",
        "inside.png": "3D view with a corner cut away",
        "turntable.gif": "once around",
        "report/report.html": "can this colour be trusted?",
        "provenance.json": "how the colour was made",
    }


def _save_scene(path: Path, color: Any, head: Any, tissues: Any) -> None:
    from ...mrml.host import close_scene, new_scene
    from ...mrml.scene import fill, save_scene

    scene = new_scene()
    try:
        fill(scene, [color], [head], [tissues])
        save_scene(scene, path)
    finally:
        close_scene(scene)
