"""What a file or folder holds, series by series, and the choice of one. No voxel is read here."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from pydicom.uid import UID

from ..errors import InputError, UsageError
from .dicom_files import ENDINGS, Header, find_files, has_dicom_start, quiet, read_header, refusal
from .dicom_geometry import Stack, build_stack, split_by_geometry
from .dicom_planes import Plane, planes_of


@dataclass(frozen=True)
class SeriesInfo:
    """One series, or one of several stacks in it (then `uid` ends in `:1`, `:2`, ...)."""

    uid: str
    """What `--series` takes; empty where the file has none."""
    description: str
    """The scanner's own words, for the screen of the person who asks; never for an output."""
    modality: str
    images: int
    """Pictures: files, or frames of multi-frame files."""
    size: tuple[int, int, int]
    """Voxels (K, J, I) of one frame; zeros where it can't be read."""
    frames: int
    sop_class: str
    can_read: bool
    reason: str = ""
    """Why it can't be read."""

    def __str__(self) -> str:
        size = " x ".join(str(n) for n in reversed(self.size)) if self.can_read else f"not readable: it {self.reason}"
        many = f", {self.frames} frames" if self.frames > 1 else ""
        return (
            f"{self.uid or '(no UID)'}  {self.modality or '?'}  {self.description or '(no description)'}  {size}{many}"
        )


Choose = Callable[[list[SeriesInfo]], str]


@dataclass(frozen=True, eq=False)
class FoundSeries:
    """A series with what is needed to read it."""

    info: SeriesInfo
    planes: list[Plane] = field(default_factory=list)
    stack: Stack | None = None
    notes: tuple[str, ...] = ()


def looks_like_dicom(path: Path) -> bool:
    """True for a DICOM file (by its first bytes, or by an ending of its own) and for a folder that holds one."""
    path = Path(path)
    if path.is_dir():
        return next(find_files(path), None) is not None or (path / "DICOMDIR").is_file()
    if not path.is_file():
        return False
    return path.suffix.lower() in ENDINGS or path.name.upper() == "DICOMDIR" or has_dicom_start(path)


def list_series(path: Path) -> list[SeriesInfo]:
    """Every series in a folder (and those below) or in one file; also those that can't be read, with the reason."""
    return [found.info for found in find_series(Path(path))]


@quiet()
def find_series(path: Path, *, color: bool = False) -> list[FoundSeries]:
    """As `list_series`, ready for reading; with `color`, RGB series are what can be read."""
    if not path.exists():
        raise InputError(f"{path} does not exist.")
    headers: list[Header] = []
    unreadable: list[FoundSeries] = []
    for file in find_files(path) if path.is_dir() else [path]:
        try:
            headers.append(read_header(file))
        except InputError as error:
            reason = str(error).removeprefix(f"{file} ").rstrip(".")
            unreadable.append(FoundSeries(SeriesInfo("", file.name, "", 1, (0, 0, 0), 1, "", False, reason)))
    by_uid: dict[tuple[str, str], list[_Examined]] = defaultdict(list)
    for header in headers:
        one = _examine(header, color)
        uid, kind = str(header.data.get("SeriesInstanceUID", "")), str(header.data.get("SOPClassUID", ""))
        by_uid[uid, kind if one.reason and not header.truncated else ""].append(one)
    lost: tuple[str, ...] = ()
    if unreadable:
        lost = (f"{len(unreadable)} damaged or empty DICOM file(s) in this folder could not be read.",)
    found = [one for (uid, _), members in by_uid.items() for one in _series(uid, members, lost)]
    return found + unreadable


@dataclass(frozen=True, eq=False)
class _Examined:
    """One file: its planes, or why it has none that can be used."""

    header: Header
    reason: str
    planes: list[Plane]


def _examine(header: Header, color: bool) -> _Examined:
    try:
        reason = refusal(header, color=color)
        return _Examined(header, reason, [] if reason else planes_of(header))
    except Exception:  # pydicom converts values when they are asked for, and raises nearly anything
        return _Examined(header, "is damaged: its header makes no sense. Copy it again from its source", [])


def _series(uid: str, members: list[_Examined], notes: tuple[str, ...]) -> list[FoundSeries]:
    refused = [one for one in members if one.reason]
    if refused:
        header, reason = refused[0].header, refused[0].reason
        if len(members) > 1 and header.truncated:
            # One bad slice must not turn into a hole that nobody asked for.
            reason = f"can't be used: {header.path.name} in it {reason}, or move that file away"
        return [FoundSeries(_info(uid, header, len(members), None, reason))]
    planes, copies = _without_copies([plane for one in members for plane in one.planes])
    if copies:
        notes = (f"{copies} picture(s) with the identity of another one in the series were passed over.", *notes)
    groups = split_by_geometry(planes)
    found = []
    for number, group in enumerate(groups, 1):
        name = uid if len(groups) == 1 else f"{uid}:{number}"
        try:
            stack = build_stack(group)
        except InputError as error:
            found.append(FoundSeries(_info(name, group[0].header, len(group), None, f"can't be used: {error}")))
            continue
        found.append(FoundSeries(_info(name, group[0].header, len(group), stack), group, stack, notes + stack.notes))
    return found


def _without_copies(planes: list[Plane]) -> tuple[list[Plane], int]:
    """The planes with each SOP instance once: folders often hold the same file twice."""
    seen: dict[tuple[str, int, tuple[int, int]], Plane] = {}
    for plane in planes:
        seen.setdefault((plane.instance or str(plane.path), plane.index, plane.size), plane)
    return list(seen.values()), len(planes) - len(seen)


def _info(uid: str, header: Header, images: int, stack: Stack | None, reason: str = "") -> SeriesInfo:
    data = header.data
    return SeriesInfo(
        uid,
        str(data.get("SeriesDescription") or ""),
        str(data.get("Modality") or ""),
        images,
        stack.shape if stack else (0, 0, 0),
        len(stack.frames) if stack else 1,
        UID(str(data.get("SOPClassUID", ""))).name,
        stack is not None,
        reason,
    )


def choose_series(path: Path, series: str | None, choose: Choose | None, *, color: bool = False) -> FoundSeries:
    """The one series that can be meant; an `InputError` that lists what there is when it isn't clear."""
    found = find_series(path, color=color)
    if series is None:
        readable = [one for one in found if one.info.can_read]
        if not readable:
            raise InputError(_nothing(path, found))
        if len(readable) == 1:
            return readable[0]
        if choose is None:
            raise InputError(
                f"{path} holds {len(readable)} series. Choose one with --series UID:\n" + _listing(readable)
            )
        series = choose([one.info for one in readable])
    matching = [one for one in found if one.info.uid == series] or [
        one for one in found if one.info.uid.rpartition(":")[0] == series
    ]
    readable = [one for one in matching if one.info.can_read]
    if len(readable) == 1:
        return readable[0]
    if not matching:
        raise UsageError(f"{path} holds no series {series}. It holds:\n" + _listing(found))
    if not readable:
        raise InputError(f"{path}: series {series} {matching[0].info.reason}.")
    raise InputError(
        f"{path}: series {series} holds {len(readable)} stacks of slices. Choose one with --series:\n"
        + _listing(readable)
    )


def _nothing(path: Path, found: list[FoundSeries]) -> str:
    if not found:
        hint = " The DICOMDIR alone is a table of contents; its pictures are not here." if path.is_dir() else ""
        return f"{path} holds no DICOM pictures.{hint if (path / 'DICOMDIR').exists() else ''}"
    if path.is_file():
        return f"{path} {found[0].info.reason}."
    if len(found) == 1:
        return f"{path}: the only series {found[0].info.reason}."
    return f"{path} holds no series that can be read:\n" + _listing(found)


def _listing(found: list[FoundSeries], most: int = 30) -> str:
    lines = [f"  {one.info}" for one in found[:most]]
    if len(found) > most:
        lines.append(f"  ... and {len(found) - most} more (medcolorize info lists them all)")
    return "\n".join(lines)
