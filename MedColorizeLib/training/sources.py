"""What lies in a training folder: volumes, DICOM series and numbered pictures, each with the patient it belongs to.

Finds, selects and splits by names (and DICOM headers). Not for: pixels (`prepare`).
"""

from __future__ import annotations

import dataclasses
import fnmatch
import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from ..errors import InputError, UsageError

PICTURES = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")
VOLUMES = (".nii", ".nii.gz", ".nrrd", ".nhdr", ".mha", ".mhd", ".hdr")
_RANGE = re.compile(r"(\d+)\s*\.\.\s*(\d+)")


@dataclass(frozen=True)
class Source:
    """One volume, or one stack of pictures of the same subject, in order."""

    subject: str
    name: str
    """As the person sees it, relative to the folder given."""
    kind: Literal["volume", "pictures"]
    files: tuple[Path, ...]
    numbers: tuple[int, ...] = ()
    """Numbers of the pictures (from their names): their order, and their places along the body."""
    series: str = ""
    """Which DICOM series of the folder, if it holds several."""


def ending(path: Path) -> str:
    """`.nii.gz` as one ending; otherwise the last suffix; lower case."""
    name = path.name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else path.suffix.lower()


def find_sources(folder: Path, subject: Literal["auto", "name", "folder"] = "auto") -> list[Source]:
    """Everything under `folder` that can be trained on, in a fixed order."""
    folder = Path(folder)
    if not folder.exists():
        raise InputError(f"{folder} does not exist. Give the folder that holds the images.")
    if folder.is_file():
        return _from_files(folder.parent, folder.parent, [folder], subject)
    out: list[Source] = []
    for place in (folder, *sorted(path for path in folder.rglob("*") if path.is_dir())):
        files = sorted(path for path in place.iterdir() if path.is_file() and not path.name.startswith("."))
        out += _from_files(folder, place, files, subject)
    if not out:
        raise InputError(
            f"{folder} holds no image that can be trained on. Known: volumes ({', '.join(VOLUMES)}), DICOM, "
            f"pictures ({', '.join(PICTURES)})."
        )
    return out


def _from_files(root: Path, place: Path, files: list[Path], rule: str) -> list[Source]:
    relative = place.relative_to(root)
    volumes = [path for path in files if ending(path) in VOLUMES and not _belongs_to_header(path)]
    pictures = [path for path in files if ending(path) in PICTURES]
    dicom = [path for path in files if path not in volumes and path not in pictures and _is_dicom(path)]
    out = []
    for path in volumes:
        stem = path.name[: -len(ending(path))]
        by_folder = rule == "folder" or (rule == "auto" and relative.parts and "_" not in stem)
        subject = _folder_name(root, place) if by_folder else stem.partition("_")[0]
        out.append(Source(subject, str(relative / path.name), "volume", (path,)))
    if dicom:
        out += _from_dicom(root, place)
    if pictures:
        out += _from_pictures(root, place, pictures, rule)
    return out


def _from_dicom(root: Path, place: Path) -> list[Source]:
    """One source per series that can be read; a folder whose series can't be is refused when its voxels are wanted."""
    from ..imaging.dicom_series import list_series

    subject, name = _folder_name(root, place), str(place.relative_to(root))
    series = list_series(place)
    if len(series) == 1:
        return [Source(subject, name, "volume", (place,))]
    return [
        Source(subject, f"{name}#{number}", "volume", (place,), series=one.uid)
        for number, one in enumerate(series, 1)
        if one.can_read
    ]


def _from_pictures(root: Path, place: Path, pictures: list[Path], rule: str) -> list[Source]:
    """Numbered pictures are the slices of one body when the rule says so, or when there are many in sequence."""
    relative = place.relative_to(root)
    digits = [re.findall(r"\d+", path.stem) for path in pictures]
    numbered = all(digits)
    numbers = [int(found[-1]) for found in digits] if numbered else list(range(len(pictures)))
    plain = numbered and all(path.stem.isdigit() for path in pictures)
    series = rule == "folder" or (rule == "auto" and plain and len(pictures) >= 100)
    if series:
        order = np.argsort(numbers, kind="stable")
        files = tuple(pictures[n] for n in order)
        return [Source(_folder_name(root, place), str(relative), "pictures", files, tuple(numbers[n] for n in order))]
    return [
        Source(path.stem.partition("_")[0], str(relative / path.name), "pictures", (path,), (number,))
        for path, number in zip(pictures, numbers, strict=True)
    ]


def _folder_name(root: Path, place: Path) -> str:
    """The first folder below the root is the patient's; the root itself stands for one patient."""
    parts = place.relative_to(root).parts
    return parts[0] if parts else root.resolve().name


def _belongs_to_header(path: Path) -> bool:
    return path.suffix.lower() == ".hdr" and not path.with_suffix(".img").exists()


def _is_dicom(path: Path) -> bool:
    try:
        with path.open("rb") as file:
            file.seek(128)
            return file.read(4) == b"DICM"
    except OSError:
        return False


def select(sources: Sequence[Source], include: Sequence[str], exclude: Sequence[str]) -> list[Source]:
    """Keep what `include` names (all, if empty) and drop what `exclude` names; a pattern that matches nothing is
    refused, since a held-out list with a misspelt name would let its patients into training."""
    used: set[str] = set()
    out = []
    for source in sources:
        keep = []
        for n in range(len(source.files)):
            wanted = _matches(source, n, include, used) or not include
            unwanted = _matches(source, n, exclude, used)
            if wanted and not unwanted:
                keep.append(n)
        if keep:
            out.append(_subset(source, keep))
    for pattern in (*include, *exclude):
        if pattern not in used:
            raise UsageError(
                f"The pattern '{pattern}' matches nothing of what was found. Patterns are subjects, file names "
                "(with * and ?), or number ranges such as 80..105."
            )
    if not out:
        raise InputError("After the include and exclude lists nothing is left to train on.")
    return out


def _subset(source: Source, keep: Sequence[int]) -> Source:
    numbers = tuple(source.numbers[n] for n in keep) if source.numbers else ()
    return dataclasses.replace(source, files=tuple(source.files[n] for n in keep), numbers=numbers)


def _matches(source: Source, n: int, patterns: Sequence[str], used: set[str]) -> bool:
    hit = False
    for pattern in patterns:
        found = _RANGE.fullmatch(pattern.strip())
        if found:
            low, high = int(found[1]), int(found[2])
            number = source.numbers[n] if source.numbers else int(source.subject) if source.subject.isdigit() else None
            this = number is not None and low <= number <= high
        else:
            names = (source.subject, source.name, source.files[n].name, source.files[n].stem)
            this = any(fnmatch.fnmatchcase(name, pattern) for name in names)
        if this:
            used.add(pattern)
            hit = True
    return hit


@dataclass(frozen=True)
class Split:
    """Training and validation; a sentence about how they were parted."""

    train: list[Source]
    validate: list[Source]
    note: str


def split_by_patient(
    sources: Sequence[Source], validate: Sequence[str], fraction: float, seed: int, domain: str
) -> Split:
    """Part the sources so that no patient is on both sides.

    A single body (the cryosections) can't be parted by patient: a block of consecutive slices is kept instead, and
    the note says that this shows fit, not generalisation. An explicit list that parts one patient's volumes is refused.
    """
    if validate:
        return _explicit(sources, validate, domain)
    subjects = sorted({source.subject for source in sources})
    if fraction <= 0:
        return Split(list(sources), [], f"{domain}: no validation was asked for.")
    if len(subjects) == 1:
        return _one_body(sources, fraction, domain)
    order = np.random.default_rng([seed, len(subjects)]).permutation(len(subjects))
    held = {subjects[n] for n in order[: max(1, round(fraction * len(subjects)))]}
    return Split(
        [source for source in sources if source.subject not in held],
        [source for source in sources if source.subject in held],
        f"{domain}: {len(subjects) - len(held)} subjects train, {len(held)} validate.",
    )


def _explicit(sources: Sequence[Source], validate: Sequence[str], domain: str) -> Split:
    used: set[str] = set()
    train, held = [], []
    for source in sources:
        hits = [n for n in range(len(source.files)) if _matches(source, n, validate, used)]
        rest = [n for n in range(len(source.files)) if n not in set(hits)]
        if hits:
            held.append(_subset(source, hits))
        if rest:
            train.append(_subset(source, rest))
    missing = [pattern for pattern in validate if pattern not in used]
    if missing:
        raise UsageError(f"{domain}: the validation list names {', '.join(missing)}, which was not found.")
    if not train:
        raise UsageError(f"{domain}: the validation list takes everything; nothing is left to train on.")
    single = len({source.subject for source in sources}) == 1
    if not single:
        refuse_leakage(train, held, domain)
    note = "one body: slices of it validate, so this shows fit, not generalisation" if single else "parted by name"
    return Split(train, held, f"{domain}: {note}.")


def _one_body(sources: Sequence[Source], fraction: float, domain: str) -> Split:
    """Of a single stack, keep a block in the middle, with a gap of a fifth of it on either side out of both."""
    stack = max(sources, key=lambda source: len(source.files))
    count = len(stack.files)
    held = max(1, round(fraction * count))
    if count < 10:
        return Split(list(sources), [], f"{domain}: too few slices of one subject to keep any for validation.")
    gap, start = max(1, held // 5), (count - held) // 2
    train = [source for source in sources if source is not stack]
    train.append(_subset(stack, [n for n in range(count) if not start - gap <= n < start + held + gap]))
    return Split(
        train,
        [_subset(stack, range(start, start + held))],
        f"{domain}: one body, so {held} neighbouring slices of it validate: this shows fit, not generalisation.",
    )


def refuse_leakage(train: Sequence[Source], held: Sequence[Source], domain: str) -> None:
    """The same patient on both sides makes every validation figure a lie."""
    both = sorted({source.subject for source in train} & {source.subject for source in held})
    if both:
        raise UsageError(
            f"{domain}: {', '.join(both[:5])}{' and others' if len(both) > 5 else ''} would be both trained on and "
            "validated. Name every volume of a patient in the validation list, or none."
        )
