"""From what a person names to cases: folders, files, globs and manifests; each gets an output of its own.

Not for: opening scans (only DICOM headers are read, to tell series apart) or the record of a batch (`batch_store`).
"""

from __future__ import annotations

import hashlib
import json
import os
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath
from typing import Any

from ..errors import InputError, UsageError
from ..imaging.formats import ENDINGS, base_name, ending_of
from .batch_case import Case
from .batch_store import FOLDER, Status

FORMATS = (".nrrd", ".nii.gz", ".nii", ".mha", ".dcm", ".png", "dicom")
"""What `--format` takes; `dicom` and `.png` are folders of slices."""
VOLUMES = frozenset(ending for ending, kind in ENDINGS.items() if kind in ("nifti", "nrrd", "meta"))


@dataclass(frozen=True)
class Found:
    """An input, before it has a key and an output."""

    path: Path
    shown: str
    name: str
    """What its output is called, relative to the batch's folder, without an ending."""
    series: str = ""
    output: str = ""
    """What a manifest asks for, with its ending."""
    settings: dict[str, Any] = field(default_factory=dict)
    """What a manifest asks for in this case only."""

    @property
    def key(self) -> str:
        """The same for the same request, in every run."""
        request = [str(self.path.resolve()), self.series, self.output, sorted(self.settings.items())]
        return hashlib.sha256(json.dumps(request).encode()).hexdigest()[:16]


@dataclass
class Plan:
    """What is to be done, and what was passed over."""

    cases: list[Case]
    skipped: list[str]
    """DICOM series that are no gray pictures (reports, contours, colour pictures), in words."""


def find(inputs: Sequence[str], folder: Path, *, dicom_output: bool = False) -> tuple[list[Found], list[str]]:
    """Every input once, in a lasting order, and what was passed over. `folder` is never searched."""
    from .batch_manifest import read_manifest

    found: list[Found] = []
    skipped: list[str] = []
    named = [(word, path) for word in inputs for path in _expand(word)]
    plain = [path for _, path in named if path.suffix.lower() != ".csv"]
    base = _common([path if path.is_dir() else path.parent for path in plain])
    for word, path in named:
        if path.suffix.lower() == ".csv":
            found += read_manifest(path)
        elif path.is_dir():
            found += _volumes(word, path, base, folder)
            series, passed = _series(word, path, base, folder, dicom_output)
            found += series
            skipped += passed
        else:
            found.append(Found(path, word if path == Path(word) else _shown(word, path), _name(path, base)))
    _refuse_slices(found)
    unique = {one.key: one for one in found}
    if not unique:
        raise InputError(
            f"No volumes in {', '.join(inputs)}. Readable: {', '.join(sorted(VOLUMES))} and DICOM, "
            "in folders at any depth."
        )
    return list(unique.values()), skipped


def _expand(word: str) -> list[Path]:
    path = Path(word)
    if path.exists():
        return [path]
    if not any(sign in word for sign in "*?["):
        raise InputError(f"{word} does not exist. Check the spelling, and whether the disk is connected.")
    from glob import glob

    matches = [Path(match) for match in sorted(glob(word, recursive=True))]
    wanted = [m for m in matches if m.is_dir() or ending_of(m) in VOLUMES | {".csv"} or _is_dicom(m)]
    if "**" in word:  # it matches every folder as well, whose files it matches too
        wanted = [m for m in wanted if not m.is_dir()]
    if not wanted:
        raise InputError(f"{word} matches no volume, folder or manifest. Check the pattern.")
    return wanted


def _is_dicom(path: Path) -> bool:
    from ..imaging.dicom_series import looks_like_dicom

    return ENDINGS.get(ending_of(path)) != "picture" and looks_like_dicom(path)


def _common(folders: Iterable[Path]) -> Path | None:
    try:
        return Path(os.path.commonpath([folder.resolve() for folder in folders]))
    except ValueError:  # none, or on several drives
        return None


def _name(path: Path, base: Path | None) -> str:
    """The input's place below the folder that all inputs share, as the output's name."""
    whole = path.resolve()
    inside = whole.relative_to(base) if base and whole.is_relative_to(base) else Path(whole.name)
    name = base_name(inside) if path.is_file() else inside.name
    parts = [*inside.parts[:-1], name or whole.name]
    if parts[0].lower() == FOLDER:
        parts[0] += "_"
    return PurePosixPath(*parts).as_posix()


def _shown(word: str, path: Path) -> str:
    return path.as_posix() if not Path(word).is_absolute() else str(path)


def _volumes(word: str, root: Path, base: Path | None, folder: Path) -> list[Found]:
    avoid = folder.resolve()
    found = []
    for where, folders, names in os.walk(root):
        folders[:] = sorted(f for f in folders if not f.startswith(".") and Path(where, f).resolve() != avoid)
        for name in sorted(names):
            path = Path(where, name)
            if not name.startswith(".") and ending_of(path) in VOLUMES:
                found.append(Found(path, _shown(word, path), _name(path, base)))
    return found


def _series(
    word: str, root: Path, base: Path | None, folder: Path, dicom_output: bool
) -> tuple[list[Found], list[str]]:
    """Each DICOM series below `root`. One whose files lie in several folders is still one."""
    from ..imaging.dicom_files import find_files
    from ..imaging.dicom_series import FoundSeries, find_series

    avoid = folder.resolve()
    files = [f for f in find_files(root) if avoid not in f.resolve().parents and ending_of(f) not in VOLUMES]
    tops = _outermost({file.parent for file in files})
    while True:
        if dicom_output and any(avoid.is_relative_to(top.resolve()) for top in tops):
            raise UsageError(
                f"{folder} lies among the DICOM files of {word}, so its outputs would be found as inputs. "
                "Choose a folder outside (-o)."
            )
        listed: list[tuple[Path, FoundSeries]] = [(top, one) for top in tops for one in find_series(top)]
        homes: dict[str, set[Path]] = {}
        for top, one in listed:
            if one.info.uid:
                homes.setdefault(one.info.uid.rpartition(":")[0] or one.info.uid, set()).add(top)
        scattered = [Path(os.path.commonpath(several)) for several in homes.values() if len(several) > 1]
        if not scattered:
            break
        tops = _outermost({*tops, *scattered})
    found, skipped = [], []
    for top, one in listed:
        info = one.info
        if not info.uid:  # a file that can't be read: its case will say so
            broken = [f for f in files if f.name == info.description and f.is_relative_to(top)]
            found += [Found(file, _shown(word, file), _name(file, base)) for file in broken]
            continue
        if not info.can_read and _is_something_else(info.modality, info.reason):
            skipped.append(f"{_shown(word, top)}: a series that {info.reason}")
            continue
        own = [plane.header.path.parent for plane in one.planes]
        home = Path(os.path.commonpath(own)) if own else top
        alone = sum(1 for other, _ in listed if other == top) == 1
        name = _name(home, base)
        found.append(
            Found(home, _shown(word, home), name if alone and name != "." else _numbered(name, info.uid), info.uid)
        )
    return found, skipped


def _numbered(name: str, uid: str) -> str:
    """A name that tells series of one folder apart without their UIDs, which belong to a patient."""
    mark = f"series-{short_hash(uid)}"
    return mark if name in (".", "") else f"{name}/{mark}"


def short_hash(text: str) -> str:
    """A few letters that stand for a text."""
    return hashlib.sha256(text.encode()).hexdigest()[:8]


def _outermost(folders: set[Path]) -> list[Path]:
    return sorted(f for f in folders if not any(parent in folders for parent in f.parents))


_ELSE = ("is a colour picture", "holds ", "is a structured report", "is a presentation state")
_ELSE_KINDS = {"RTSTRUCT", "RTPLAN", "RTDOSE", "SEG", "SR", "PR", "KO", "REG", "DOC"}


def _is_something_else(modality: str, reason: str) -> bool:
    """True for series that nobody expects to be coloured; a damaged one is a failure, not something else."""
    return "damaged" not in reason and (modality in _ELSE_KINDS or reason.startswith(_ELSE))


def _refuse_slices(found: list[Found]) -> None:
    slices: dict[Path, int] = {}
    for one in found:
        if not one.series and one.path.is_file() and ending_of(one.path) not in VOLUMES and not one.output:
            slices[one.path.parent] = slices.get(one.path.parent, 0) + 1
            if slices[one.path.parent] == 2 and _is_dicom(one.path) and _same_series(one.path, found):
                raise UsageError(
                    f"Several DICOM files of one series in {one.path.parent} are named one by one. "
                    "Name their folder: a series is one case."
                )


def _same_series(path: Path, found: list[Found]) -> bool:
    from ..imaging.dicom_files import read_header

    def uid(file: Path) -> str:
        try:
            return str(read_header(file).data.get("SeriesInstanceUID", ""))
        except InputError:
            return ""

    mine = uid(path)
    others = (one.path for one in found if one.path.parent == path.parent and one.path != path and one.path.is_file())
    return bool(mine) and any(uid(other) == mine for other in others)


def assign(found: Sequence[Found], known: dict[str, Status], ending: str, settings: dict[str, Any]) -> list[Case]:
    """Give every input its output. One that has a status keeps what it had; no two ever get the same."""
    ending = "" if ending == "dicom" else ending
    taken = {_fold(status.output) for status in known.values()}
    wanted: dict[str, str] = {one.key: one.output or f"{one.name}{ending}" for one in found}
    times: dict[str, int] = {}
    for one in found:
        if one.key not in known:
            times[_fold(wanted[one.key])] = times.get(_fold(wanted[one.key]), 0) + 1
    cases = []
    for one in found:
        output = known[one.key].output if one.key in known else wanted[one.key]
        if one.key not in known:
            if times[_fold(output)] > 1 or _fold(output) in taken:
                if one.output:
                    raise UsageError(f"{output} is the output of several cases. Give each row an output of its own.")
                output = f"{one.name}-{one.key[:8]}{ending}"
            taken.add(_fold(output))
        cases.append(
            Case(
                one.key,
                str(one.path.resolve()),
                one.shown,
                output,
                one.series,
                {**settings, **one.settings},
            )
        )
    return cases


def _fold(name: str) -> str:
    """Names that some disks take for the same one are the same one."""
    return unicodedata.normalize("NFC", name).casefold()
