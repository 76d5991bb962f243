"""The images behind a row of a paper's table: what is trained on, what is judged, and what stands in for what.

Every split is made here, before training, and said in `notes`: no picture that is judged is trained on, except where
the paper itself does so. Not for: training or scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..evaluation.papers import Budget, Table
from ..imaging.atomic import AtomicTarget
from ..imaging.colorspaces import luma_codes
from ..progress import CancelToken, OnProgress

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp", ".ppm")
HELD_SUBJECTS = ("1017", "1018", "1019", "1023")
HELD_FRAMES = ((80, 105), (430, 455), (640, 665), (1100, 1125))
GAP = 5
HEAD_FRAMES = "1..250"

Codes = NDArray[np.uint8]


@dataclass(frozen=True)
class Sources:
    """Where the person's images are; what isn't given is looked for in `data`, laid out as the project's own."""

    data: Path
    gray: Path | None = None
    color: Path | None = None
    labels: Path | None = None


@dataclass(frozen=True)
class Task:
    """What one run of a row is trained and judged on."""

    gray: Path
    color: Path
    labels: Path | None
    settings: dict[str, Any]
    """The [data] table of the recipe."""
    test_gray: Codes
    """(n, size, size)."""
    truth: Codes | None
    """(n, size, size, 3) where the true colours are known."""
    reference: Sequence[Codes] = ()
    notes: tuple[str, ...] = ()
    segmentation: dict[str, Any] = field(default_factory=dict)
    """Changes to the segmentation network's recipe: its tables `data` and `options`."""


def make_task(
    table: Table,
    sources: Sources,
    budget: Budget,
    run: int,
    work: Path,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Task:
    """The images of run number `run`; what has to be written for training lies in `work`."""
    if table.data == "brain":
        return _brain(sources, budget, work / "cache", on_progress, cancel)
    return _retina(table, sources, budget, run, work)


def _retina(table: Table, sources: Sources, budget: Budget, run: int, work: Path) -> Task:
    """Photographs, cut square and made small; the gray ones are lumas of a set of their own."""
    wanted = sources.color or sources.data / "fundus" / table.data
    files = _pictures(wanted)
    notes = []
    if not files and sources.color is None and table.data == "messidor":
        files = _pictures(sources.data / "fundus" / "drive")
        notes.append(
            f"Messidor is not at hand: {len(files)} photographs of DRIVE stand in, in the same three disjoint parts. "
            "The numbers can't be compared with the published ones."
        )
    if len(files) < 9:
        raise InputError(
            f"{wanted} holds {len(files)} pictures; table {table.name} needs colour photographs of the retina there. "
            "Give their folder with --color, or the folder of all data with --data."
        )
    small = np.stack([_square(file, budget.size) for file in files])
    if table.data == "drive":
        half = len(small) // 2
        first, second, test = small[:half], small[half:], small[:half]
        notes.append(f"ColorA: {half} photographs (gray ones are trained on and judged); ColorB: {len(second)}.")
    else:
        order = np.random.default_rng(run).permutation(len(small))
        third = len(small) // 3
        first, second, test = (small[part] for part in (order[:third], order[third : 2 * third], order[2 * third :]))
        notes.append(
            f"TrainA {len(first)}, TrainB {len(second)}, Val {len(test)} photographs, shuffled anew in each run."
        )
    notes.append(f"Photographs are cut square in their middle and made {budget.size} x {budget.size}.")
    folder = work / f"data-{run + 1}"
    if not folder.is_dir():
        with AtomicTarget(folder, folder=True) as target:
            _save(target.temporary / "gray", [luma_codes(picture) for picture in first])
            _save(target.temporary / "color", list(second))
            target.commit()
    settings = {
        "size": budget.size,
        "spacing": 0.0,
        "batch": table.batch,
        "gray_from": "folder",
        "gray_background": "none",
        "color_background": "none",
        "levels": "none",
        "validation": 0.0,
        "modality": "XC",
    }
    gray = np.stack([luma_codes(picture) for picture in test])
    return Task(folder / "gray", folder / "color", None, settings, gray, test, notes=tuple(notes))


def _pictures(folder: Path) -> list[Path]:
    if not folder.is_dir():
        return []
    return sorted(path for path in folder.iterdir() if path.suffix.lower() in PICTURES)


def _square(file: Path, size: int) -> Codes:
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            picture = image.convert("RGB")
    except (OSError, UnidentifiedImageError) as error:
        raise InputError(f"{file} can't be read as a picture. Remove or repair it.") from error
    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    cut = picture.resize((size, size), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side))
    return np.asarray(cut)


def _save(folder: Path, pictures: Sequence[Codes]) -> None:
    from PIL import Image

    folder.mkdir()
    for number, picture in enumerate(pictures):
        # The letter keeps many numbered photographs from being taken for slices of one body.
        Image.fromarray(picture).save(folder / f"p{number:04d}.png")


def _brain(
    sources: Sources, budget: Budget, cache: Path, on_progress: OnProgress | None, cancel: CancelToken | None
) -> Task:
    """Slices of held-out heads are judged; the others, and cryosections away from the held-out ones, are trained on."""
    from ..training.prepare import prepare
    from ..training.settings import DataSettings
    from ..training.sources import find_sources, select

    gray = sources.gray or sources.data / "mr" / "oasis"
    color = sources.color or sources.data / "cryosections" / "vhm"
    own_gray, own_color = sources.gray is None, sources.color is None
    wanted = ["*_t1.nii.gz"] if own_gray else []
    subjects = sorted({source.subject for source in select(find_sources(gray), wanted, ())})
    held = [name for name in HELD_SUBJECTS if name in subjects] or subjects[:: max(2, len(subjects) // 3)]
    if len(subjects) - len(held) < 1:
        raise InputError(f"{gray} holds {len(subjects)} subject: at least two are needed, one of them to be judged.")
    settings: dict[str, Any] = {
        "size": budget.size,
        "spacing": 256.0 / budget.size,
        "batch": 1,
        "validation": 0.0,
        "modality": "MR",
        "gray_include": wanted,
        "gray_exclude": held,
    }
    held_color: list[str] = []
    if own_color:
        around = [f"{max(1, low - GAP)}..{high + GAP}" for low, high in HELD_FRAMES if high < 250]
        held_color = [f"{low}..{high}" for low, high in HELD_FRAMES if high < 250]
        settings |= {
            "color_include": [HEAD_FRAMES],
            "color_exclude": around,
            "picture_spacing": 0.528,
            "picture_flip": "rows",
            "gray_top": 12.0,
        }
    else:
        settings |= {"color_background": "foreground", "levels": "none"}
    plain = DataSettings.from_mapping(settings)
    stacks, places = [], []
    for source in select(find_sources(gray), wanted, ()):
        if source.subject in held:
            made = prepare(source, plain, "gray", cache=cache, on_progress=on_progress, cancel=cancel)
            usable = np.flatnonzero(made.fractions > 0.05)
            chosen = usable[np.unique(np.linspace(0, len(usable) - 1, _slices_per_subject(budget)).astype(int))]
            stacks.append(np.asarray(made.pictures[chosen]))
            places.append(len(chosen))
    reference: list[Codes] = []
    for source in select(find_sources(color), held_color, ()):
        made = prepare(source, plain, "color", cache=cache, on_progress=on_progress, cancel=cancel)
        reference += [np.asarray(made.pictures[n]) for n in np.flatnonzero(made.fractions > 0.05)]
    notes = (
        f"{len(subjects) - len(held)} subjects trained on, {len(held)} held out; "
        f"{sum(places)} of their axial slices judged.",
        f"{len(reference)} cryosections "
        + ("of the head, held out," if own_color else "(the ones trained on; none are held out)")
        + " are the reference of the Frechet distance.",
        f"Slices at {256 / budget.size:g} mm per pixel. The paper has 50 094 MR slices of 414 subjects and 1707 "
        "cryosections of two bodies; here there is one body.",
    )
    labels, segmentation = sources.labels, {}
    if labels is None and own_gray:
        # CSF, gray and white matter; without any label maps the network learns classes of brightness.
        labels, segmentation = gray, {"data": {"labels_include": ["*_tissues.nii.gz"]}, "options": {"classes": 4}}
    return Task(gray, color, labels, settings, np.concatenate(stacks), None, reference, notes, segmentation)


def _slices_per_subject(budget: Budget) -> int:
    return 8 if budget.size < 128 else 30
