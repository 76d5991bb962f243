"""Whether a bundle folder may be trusted: only the files that belong there, whole, unchanged, and finite numbers.

No file is opened by anything that could run it: JSON and safetensors are data. Not for: building networks (`load`).
"""

from __future__ import annotations

import hashlib
import stat
from pathlib import Path

from ..errors import ModelError
from .folder import CARD, FILES, KNOWN, METADATA, PICTURES, SUMS, THUMBNAIL, WEIGHTS, Bundle, read_bundle
from .tensors import read_tensors

_LARGEST_WEIGHTS = 4 << 30
_LARGEST_THUMBNAIL = 256 << 10
_WIDEST_THUMBNAIL = 512
_LARGEST_PICTURE = 60_000
_WIDEST_PICTURE = 2048


def verify(folder: Path | str) -> Bundle:
    """Everything that can be checked without building the network. Raises `ModelError`."""
    folder = Path(folder)
    check_files(folder)
    bundle = read_bundle(folder)
    check_sums(folder, bundle)
    check_tensors(bundle)
    return bundle


def check_files(folder: Path) -> None:
    """Exactly the files of a bundle, as plain files; thumbnail and pictures may be missing."""
    if folder.is_symlink() or not folder.is_dir():
        raise ModelError(f"{folder} is not a model bundle: a folder (not a link) is expected.")
    for path in sorted(folder.iterdir()):
        mode = path.lstat().st_mode
        if stat.S_ISLNK(mode) or not stat.S_ISREG(mode):
            raise ModelError(f"{path} is a link or no plain file. A bundle holds plain files only; it is refused.")
        if path.name not in KNOWN:
            why = "may hold code" if path.suffix in (".pt", ".pth", ".pkl", ".ckpt", ".bin", ".py") else "is unknown"
            raise ModelError(f"{path} does not belong into a bundle: such a file {why}. The bundle is refused.")
    for name in FILES:
        if not (folder / name).is_file():
            raise ModelError(f"{folder} is not a whole model bundle: {name} is missing. Install it again.")
    size = (folder / WEIGHTS).stat().st_size
    if not 8 < size <= _LARGEST_WEIGHTS:
        raise ModelError(f"{folder / WEIGHTS} is {size} bytes: not a model's size. Install the bundle again.")
    if (folder / THUMBNAIL).exists():
        check_thumbnail(folder / THUMBNAIL)
    for name in PICTURES:
        if (folder / name).exists():
            check_picture(folder / name)


def check_picture(path: Path) -> None:
    """A plain JPEG, small in every way, whose size is read without decoding it."""
    content = path.read_bytes() if path.stat().st_size <= _LARGEST_PICTURE else b""
    if not all(0 < side <= _WIDEST_PICTURE for side in _jpeg_size(content)):
        raise ModelError(
            f"{path} is no JPEG picture of at most {_WIDEST_PICTURE} pixels a side and {_LARGEST_PICTURE // 1000} kB. "
            "The bundle is refused; without that file and its line in SHA256SUMS it may be good."
        )


def _jpeg_size(content: bytes) -> tuple[int, int]:
    """Rows and columns from the frame header; 0 where there is none."""
    at = 2
    while content[:2] == b"\xff\xd8" and at + 9 <= len(content) and content[at] == 0xFF:
        marker, length = content[at + 1], int.from_bytes(content[at + 2 : at + 4], "big")
        if 0xC0 <= marker <= 0xCF and marker not in (0xC4, 0xC8, 0xCC):
            return int.from_bytes(content[at + 5 : at + 7], "big"), int.from_bytes(content[at + 7 : at + 9], "big")
        if length < 2:
            break
        at += 2 + length
    return 0, 0


def check_thumbnail(path: Path) -> None:
    """A PNG picture that is small in every way, by its first bytes: so small that showing it can do no harm."""
    with path.open("rb") as file:
        head = file.read(24)
    sides = [int.from_bytes(head[at : at + 4], "big") for at in (16, 20)]
    is_png = len(head) == 24 and head[:8] == b"\x89PNG\r\n\x1a\n" and head[12:16] == b"IHDR"
    small = path.stat().st_size <= _LARGEST_THUMBNAIL and all(0 < side <= _WIDEST_THUMBNAIL for side in sides)
    if not (is_png and small):
        raise ModelError(
            f"{path} is no PNG picture of at most {_WIDEST_THUMBNAIL} pixels a side and "
            f"{_LARGEST_THUMBNAIL >> 10} KB. The bundle is refused; without that file it may be good."
        )


def thumbnail_of(folder: Path) -> Path | None:
    """The bundle's thumbnail if it has one that is what it was when the bundle was made."""
    path = folder / THUMBNAIL
    try:
        check_thumbnail(path)
        same = _sums(folder).get(THUMBNAIL, "").lower() == hashlib.sha256(path.read_bytes()).hexdigest()
    except (OSError, ModelError):
        return None
    return path if same and not path.is_symlink() else None


def check_sums(folder: Path, bundle: Bundle) -> None:
    """SHA256SUMS names the other files with their hashes; the metadata repeats that of the weights."""
    sums = _sums(folder)
    extra = [name for name in (THUMBNAIL, *PICTURES) if (folder / name).exists() or name in sums]
    for name in (METADATA, WEIGHTS, CARD, *extra):
        if name not in sums:
            raise ModelError(f"{folder / SUMS} does not name {name}. Install the bundle again.")
        if not (folder / name).is_file() or sha256_of(folder / name) != sums[name].lower():
            raise ModelError(
                f"{folder / name} is not what it was when the bundle was made: its SHA-256 differs. Install it again."
            )
    if bundle.sha256.lower() != sums[WEIGHTS].lower():
        raise ModelError(f"{folder}: metadata and SHA256SUMS disagree about the weights. Install the bundle again.")


def _sums(folder: Path) -> dict[str, str]:
    """SHA256SUMS: the hash of each file by its name."""
    try:
        lines = [line.split(maxsplit=1) for line in (folder / SUMS).read_text().splitlines() if line.strip()]
        return {name.strip().lstrip("*"): digest for digest, name in lines}
    except (OSError, ValueError) as error:
        raise ModelError(f"{folder / SUMS} can't be read: {error}. Install the bundle again.") from error


def check_tensors(bundle: Bundle) -> None:
    """Numbers of plain types, all finite."""
    import numpy as np

    for name, array in read_tensors(bundle.weights).items():
        if array.dtype.kind == "f" and not bool(np.isfinite(array).all()):
            raise ModelError(f"{bundle.weights}: {name} holds numbers that are not finite. The model is broken.")


def sha256_of(path: Path) -> str:
    """Hash of a file's bytes."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
