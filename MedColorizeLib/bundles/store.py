"""Where bundles are kept: those that came with the library, and the user's own. Finding, adding, removing, listing.

Needs no torch. Not for: what is in a bundle (`folder`) or whether it can be trusted (`verify`).
"""

from __future__ import annotations

import difflib
import os
import shutil
import sys
import zipfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ..errors import MedColorizeError, ModelError, UsageError
from ..imaging.atomic import AtomicTarget
from ..resources import resources_dir
from .folder import KNOWN, METADATA, Bundle, read_bundle
from .verify import thumbnail_of, verify

_LARGEST_ZIP = 4 << 30


def user_folder() -> Path:
    """Where the user's models are: `MEDCOLORIZE_MODELS`, else the platform's place for data."""
    if os.environ.get("MEDCOLORIZE_MODELS"):
        return Path(os.environ["MEDCOLORIZE_MODELS"])
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA") or Path.home() / "AppData" / "Local")
        return base / "MedColorize" / "models"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "MedColorize" / "models"
    return Path(os.environ.get("XDG_DATA_HOME") or Path.home() / ".local" / "share") / "medcolorize" / "models"


def folders() -> list[Path]:
    """The user's models, then those that came with the library."""
    return [user_folder(), resources_dir() / "Bundles"]


@dataclass(frozen=True)
class Entry:
    """An installed bundle, or a folder that should be one and isn't."""

    folder: Path
    own: bool
    """True if the user added it (and may remove it)."""
    bundle: Bundle | None
    problem: str = ""

    @property
    def name(self) -> str:
        return self.bundle.name if self.bundle else self.folder.name

    def to_mapping(self) -> dict[str, Any]:
        """For lists: plain data."""
        b = self.bundle
        size = sum(path.stat().st_size for path in self.folder.iterdir() if path.is_file())
        thumbnail = thumbnail_of(self.folder) if b else None
        return {
            "kind": "bundle",
            "name": self.name,
            "title": b.title if b else self.name,
            "method": b.method if b else "",
            "modality": b.input.modality if b else "",
            "plane": b.input.plane if b else "",
            "description": b.description if b else "",
            "card": b.card() if b else "",
            "thumbnail": str(thumbnail or ""),
            "needs_torch": b.needs_torch if b else False,
            "own": self.own,
            "bytes": size,
            "problem": self.problem,
        }


def installed() -> list[Entry]:
    """Every installed bundle by name; broken ones too, with the reason. Weights are not hashed here (`verify` does)."""
    out: dict[str, Entry] = {}
    for number, place in enumerate(folders()):
        if not place.is_dir():
            continue
        for folder in sorted(path for path in place.iterdir() if path.is_dir() and not path.name.startswith(".")):
            try:
                entry = Entry(folder, number == 0, read_bundle(folder))
            except ModelError as error:
                entry = Entry(folder, number == 0, None, str(error))
            out.setdefault(entry.name, entry)
    return [out[name] for name in sorted(out)]


def find(name_or_folder: str | Path) -> Path:
    """The folder of a bundle: an installed one by name, or any by its path."""
    direct = Path(name_or_folder)
    if (direct / METADATA).is_file():
        return direct
    entries = {entry.name: entry for entry in installed()}
    if str(name_or_folder) in entries:
        return entries[str(name_or_folder)].folder
    near = difflib.get_close_matches(str(name_or_folder), entries, n=1)
    known = ", ".join(entries) or "none"
    hint = f"Did you mean '{near[0]}'?" if near else f"Installed: {known}. `medcolorize models add` installs more."
    raise ModelError(f"There is no model '{name_or_folder}', neither installed nor as a folder. {hint}")


def add(source: Path | str, *, overwrite: bool = False) -> Bundle:
    """Install a bundle from a folder or a .zip: verified first, then put in place in one step."""
    source = Path(source)
    if not source.exists():
        raise ModelError(f"{source} does not exist. Give a bundle folder or a .zip of one.")
    place = user_folder()
    place.mkdir(parents=True, exist_ok=True)
    with AtomicTarget(place / f".adding-{os.getpid()}", folder=True) as scratch:
        if source.is_dir():
            verify(source)
            for path in source.iterdir():  # which are known ones: it was verified
                shutil.copyfile(path, scratch.temporary / path.name)
        else:
            _unzip(source, scratch.temporary)
        bundle = verify(scratch.temporary)
        _try_to_build(scratch.temporary)
        if any(path.name == bundle.name for path in _shipped()):
            raise UsageError(
                f"The name '{bundle.name}' belongs to a model that came with MedColorize. Export under another."
            )
        target = place / bundle.name
        if target.exists() and not overwrite:
            raise UsageError(
                f"A model named '{bundle.name}' is installed already. Remove it first, or use --overwrite."
            )
        with AtomicTarget(target, folder=True, overwrite=overwrite) as final:
            for path in list(scratch.temporary.iterdir()):
                os.replace(path, final.temporary / path.name)
            final.commit()
    return read_bundle(place / bundle.name)


def remove(name: str) -> Path:
    """Delete one of the user's own models."""
    entries = {entry.name: entry for entry in installed()}
    entry = entries.get(name)
    if entry is None:
        near = difflib.get_close_matches(name, entries, n=1)
        raise ModelError(f"There is no model '{name}' to remove." + (f" Did you mean '{near[0]}'?" if near else ""))
    if not entry.own:
        raise UsageError(f"'{name}' came with MedColorize and can't be removed; only added models can.")
    if entry.folder.is_symlink():
        entry.folder.unlink()
    else:
        doomed = entry.folder.with_name(f".removing-{entry.folder.name}")
        os.replace(entry.folder, doomed)
        shutil.rmtree(doomed)
    return entry.folder


def _shipped() -> list[Path]:
    place = resources_dir() / "Bundles"
    return [path for path in place.iterdir() if path.is_dir()] if place.is_dir() else []


def _try_to_build(folder: Path) -> None:
    """Where torch is at hand, a bundle whose network can't be built is refused now rather than at its first use."""
    from importlib.util import find_spec

    if find_spec("torch") is None or find_spec("monai") is None:
        return
    from .load import load_network

    load_network(folder)


def _unzip(source: Path, folder: Path) -> None:
    """Take the files of a bundle out of a .zip, by their known names; anything else in it is a reason to refuse."""
    try:
        with zipfile.ZipFile(source) as archive:
            members = [member for member in archive.infolist() if not member.is_dir()]
            roots = {member.filename.rpartition("/")[0] for member in members}
            if len(roots) != 1 or any(part in ("..", "") for part in next(iter(roots)).split("/") if next(iter(roots))):
                raise ModelError(
                    f"{source}: a bundle's files must lie together in one folder of the .zip. It is refused."
                )
            for member in members:
                name = member.filename.rpartition("/")[2]
                link = (member.external_attr >> 16) & 0o170000 == 0o120000
                if name not in KNOWN or link or "\\" in member.filename or member.filename.startswith("/"):
                    raise ModelError(f"{source} holds '{member.filename[:120]}', which no bundle has. It is refused.")
            if sum(member.file_size for member in members) > _LARGEST_ZIP:
                raise ModelError(f"{source} would unpack to more than 4 GB. It is refused.")
            for member in members:
                name = member.filename.rpartition("/")[2]
                with archive.open(member) as packed, (folder / name).open("xb") as out:
                    _copy_at_most(packed, out, member.file_size, source)
    except (zipfile.BadZipFile, EOFError, NotImplementedError, FileExistsError, RuntimeError) as error:
        if isinstance(error, MedColorizeError):
            raise
        raise ModelError(f"{source} is not a whole .zip of a bundle: {error}. Download it again.") from error


def _copy_at_most(packed: Any, out: Any, size: int, source: Path) -> None:
    """Copy; stop at the announced size (a bomb announces less than it holds)."""
    left = size
    while chunk := packed.read(1 << 20):
        left -= len(chunk)
        if left < 0:
            raise ModelError(f"{source} holds more than it announces. It is refused.")
        out.write(chunk)
