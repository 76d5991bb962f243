"""From files to pictures of one size, kept on disk: windowed, masked, in the frame, one folder per source.

A folder's name is a hash of the settings that shaped it and of its files' sizes and dates, so that a changed setting
or file is never served from old pictures. Arrays are memory-mapped: a body of 1866 photographs costs no memory.
Not for: choosing or pairing slices (`dataset`).
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from ..imaging.atomic import AtomicTarget
from ..progress import CancelToken, OnProgress, Progress
from . import frame
from .settings import DataSettings
from .sources import Source

Domain = Literal["gray", "color"]
_VERSION = 1
_SHAPING = (
    "plane", "size", "spacing", "window", "gray_background", "color_background", "picture_spacing", "picture_flip",
    "skip_unreadable", "tissues",
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Prepared:
    """The slices of one source, in order from the top (or front, or right)."""

    subject: str
    pictures: NDArray[np.uint8]
    """(n, size, size) codes, or (n, size, size, 3) RGB; 0 outside the foreground."""
    mask: NDArray[np.bool_]
    labels: NDArray[np.int16] | None
    positions: NDArray[np.float64]
    """Millimetres along the body, growing downwards; pictures without order are all at 0."""
    step: float
    modality: str = ""
    skipped: tuple[str, ...] = ()
    fractions: NDArray[np.float64] = field(default_factory=lambda: np.zeros(0))
    """Foreground of each slice, as a fraction of the picture."""


def cache_folder() -> Path:
    """Where prepared slices are kept: `MEDCOLORIZE_CACHE`, else the platform's cache folder."""
    if os.environ.get("MEDCOLORIZE_CACHE"):
        return Path(os.environ["MEDCOLORIZE_CACHE"])
    base = os.environ.get("LOCALAPPDATA") or os.environ.get("XDG_CACHE_HOME") or str(Path.home() / ".cache")
    return Path(base) / "medcolorize" / "slices"


def key_of(source: Source, settings: DataSettings, domain: Domain, labels: Path | None) -> str:
    """The name of a source's prepared pictures: another for every setting or file that would change them."""
    digest = hashlib.sha256(json.dumps([_VERSION, domain, source.numbers]).encode())
    digest.update(json.dumps([getattr(settings, name) for name in _SHAPING]).encode())
    # Tissue maps are made by rules of this program: their version belongs to the key.
    digest.update(b"tissues 2" if settings.tissues != "none" and domain == "gray" else b"")
    digest.update(source.series.encode())
    if source.kind == "pictures":
        digest.update(str(settings.picture_step).encode())
    for path in (*source.files, *([labels] if labels else [])):
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            state = file.stat()
            digest.update(f"{file.resolve()}\0{state.st_size}\0{state.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:32]


def prepare(
    source: Source,
    settings: DataSettings,
    domain: Domain,
    *,
    labels: Path | None = None,
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Prepared:
    """The source's pictures, from the cache or made now."""
    folder = (cache or cache_folder()) / key_of(source, settings, domain, labels)
    if not (folder / "facts.json").is_file():
        try:
            with AtomicTarget(folder, folder=True) as target:
                _make(target.temporary, source, settings, domain, labels, on_progress, cancel)
                target.commit()
        except OutputError:
            if not (folder / "facts.json").is_file():  # another process was quicker: its result is the same
                raise
    return _load(folder, source.subject)


def _load(folder: Path, subject: str) -> Prepared:
    facts = json.loads((folder / "facts.json").read_text())
    labels = folder / "labels.npy"
    return Prepared(
        subject=subject,
        pictures=np.load(folder / "pictures.npy", mmap_mode="r"),
        mask=np.load(folder / "mask.npy", mmap_mode="r"),
        labels=np.load(labels, mmap_mode="r") if labels.exists() else None,
        positions=np.array(facts["positions"]),
        step=facts["step"],
        modality=facts["modality"],
        skipped=tuple(facts["skipped"]),
        fractions=np.array(facts["fractions"]),
    )


def _make(
    folder: Path,
    source: Source,
    settings: DataSettings,
    domain: Domain,
    labels: Path | None,
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> None:
    reader = (
        _Volume(source, settings, domain, labels) if source.kind == "volume" else _Pictures(source, settings, domain)
    )
    channels = (3,) if domain == "color" else ()
    shape = (reader.count, settings.size, settings.size)
    pictures = np.lib.format.open_memmap(folder / "pictures.npy", "w+", np.uint8, (*shape, *channels))
    masks = np.lib.format.open_memmap(folder / "mask.npy", "w+", np.bool_, shape)
    label_map = np.lib.format.open_memmap(folder / "labels.npy", "w+", np.int16, shape) if reader.has_labels else None
    positions, fractions, kept = [], [], 0
    for done, (picture, mask, label, position) in enumerate(reader.slices(), 1):
        if cancel:
            cancel.check()
        if picture is not None and mask is not None:
            pictures[kept], masks[kept] = picture * mask.reshape(*mask.shape, *(1 for _ in channels)), mask
            if label_map is not None and label is not None:
                label_map[kept] = label
            positions.append(position)
            fractions.append(float(mask.mean()))
            kept += 1
        if on_progress:
            on_progress(Progress("prepare", done, reader.count, f"preparing {domain} slices"))
    if not kept:
        raise InputError(f"None of the pictures of {source.name} could be read.")
    for array in (pictures, masks, label_map):
        if array is not None:
            array.flush()
    if kept < reader.count:
        for name in ("pictures.npy", "mask.npy"):
            np.save(folder / name, np.load(folder / name)[:kept])
    facts = {
        "positions": positions, "fractions": fractions, "step": reader.step, "modality": reader.modality,
        "skipped": reader.skipped,
    }  # fmt: skip
    (folder / "facts.json").write_text(json.dumps(facts))


_Slice = tuple["NDArray[np.uint8] | None", "NDArray[np.bool_] | None", "NDArray[np.int16] | None", float]


class _Volume:
    """Slices of a gray or coloured volume in one plane, with its label map if there is one."""

    def __init__(self, source: Source, settings: DataSettings, domain: Domain, labels: Path | None) -> None:
        from ..imaging import colorspaces, foreground, read, windows

        self.settings, path = settings, source.files[0]
        self.skipped: list[str] = []
        if domain == "gray":
            volume = read.read_volume(path, series=source.series or None)
            self.modality = windows.modality_of(volume)
            self.array = windows.codes(volume.array, windows.choose_window(volume, _window(settings.window)))
            gray, grid = self.array, volume
            wanted = settings.gray_background != "none"
        else:
            color = read.read_color(path)
            self.modality, self.array = "", color.rgb
            gray, grid = colorspaces.luma_codes(color.rgb), color  # type: ignore[assignment]
            wanted = settings.color_background != "none"
        if domain == "color" and settings.color_background == "cryosection":
            from ..imaging.cryosection import body

            mask = np.stack([body(plane) for plane in self.array])
        else:
            mask = foreground.foreground(gray, grid.spacing) if wanted else np.ones(gray.shape, bool)
        label_map = _labels_of(labels, grid, settings) if labels else None
        if settings.tissues != "none" and domain == "gray":
            label_map = _tissues(settings, volume, self.array, mask, label_map)
        self.has_labels = label_map is not None
        turn = frame.orientation(grid.affine, settings.plane)
        self.array, self.mask = turn.apply(self.array), turn.apply(mask)
        self.labels = turn.apply(label_map) if label_map is not None else None
        self.step, self.count = turn.mm[0], self.array.shape[0]
        self.shape = _target_shape(self.array.shape[1:3], turn.mm[1:], settings)
        scale = (self.shape[0] / self.array.shape[1], self.shape[1] / self.array.shape[2])
        middle = frame.center_of(self.mask)
        self.center = (middle[0] * scale[0], middle[1] * scale[1])

    def slices(self) -> Iterator[_Slice]:
        for n in range(self.count):
            label = None
            if self.labels is not None:
                label = self._framed(self.labels[n].astype(np.int16), "nearest")
            mask = self._framed(self.mask[n].astype(np.uint8), "nearest").astype(bool)
            yield self._framed(self.array[n]), mask, label, n * self.step

    def _framed(self, plane: NDArray[Any], how: Literal["linear", "nearest"] = "linear") -> NDArray[Any]:
        size = self.settings.size
        return frame.crop_or_pad(frame.resize(plane, self.shape, how), (size, size), self.center)


def _labels_of(path: Path, grid: Any, settings: DataSettings) -> NDArray[Any]:
    from ..imaging import read

    if settings.tissues == "none":
        return read.read_labels(path, like=grid).array
    return read.read_labels(path, onto=grid).array  # a second sequence of the same head, on voxels of its own


def _tissues(
    settings: DataSettings, volume: Any, codes: NDArray[Any], mask: NDArray[np.bool_], labels: NDArray[Any] | None
) -> NDArray[np.uint8]:
    from . import anatomy

    mm = tuple(float(step) for step in volume.spacing)
    if settings.tissues == "head-mr":
        return anatomy.head_mr(codes, mask, labels, mm)  # type: ignore[arg-type]
    return anatomy.body_ct(volume.array, mask, labels, mm)  # type: ignore[arg-type]


class _Pictures:
    """Pictures from files; those of one body share the frame's middle, so that slices stay in register."""

    has_labels = False
    modality = ""

    def __init__(self, source: Source, settings: DataSettings, domain: Domain) -> None:
        self.source, self.settings, self.domain = source, settings, domain
        self.count, self.step = len(source.files), settings.picture_step
        self.skipped: list[str] = []
        self.center: tuple[float, float] | None = None

    def slices(self) -> Iterator[_Slice]:
        self.center = self._common_center() if self.count > 1 else None
        first = self.source.numbers[0] if self.source.numbers else 0
        for file, number in zip(self.source.files, self.source.numbers, strict=True):
            try:
                picture, mask = self._read(file)
            except InputError:
                if not self.settings.skip_unreadable:
                    raise
                self.skipped.append(file.name)
                yield None, None, None, 0.0
                continue
            size = (self.settings.size, self.settings.size)
            center = self.center or (
                frame.center_of(mask) if self._scaled() else (mask.shape[0] / 2, mask.shape[1] / 2)
            )
            yield (
                frame.crop_or_pad(picture, size, center),
                frame.crop_or_pad(mask.astype(np.uint8), size, center).astype(bool),
                None,
                (number - first) * self.step,
            )

    def _scaled(self) -> bool:
        return self.settings.spacing > 0 and self.settings.picture_spacing > 0

    def _common_center(self) -> tuple[float, float]:
        """The median of the middles of a few pictures spread over the stack."""
        middles = []
        for file in self.source.files[:: max(1, self.count // 12)]:
            try:
                _, mask = self._read(file)
            except InputError:
                continue
            if mask.any():
                middles.append(frame.center_of(mask))
        if not middles or not self._scaled():
            return self.settings.size / 2, self.settings.size / 2
        rows, columns = np.median(np.array(middles), axis=0)
        return float(rows), float(columns)

    def _read(self, file: Path) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
        from ..imaging import colorspaces

        rgb = read_picture(file)
        kind = self.settings.color_background if self.domain == "color" else self.settings.gray_background
        if kind == "cryosection":
            from ..imaging.cryosection import body

            mask = body(rgb)
        elif kind == "foreground":
            from ..imaging.foreground import foreground

            mask = foreground(colorspaces.luma_codes(rgb)[None], (1.0, 1.0, 1.0))[0]
        else:
            mask = np.ones(rgb.shape[:2], bool)
        picture = rgb if self.domain == "color" else colorspaces.luma_codes(rgb)
        flip = self.settings.picture_flip
        rows, columns = flip in ("rows", "both"), flip in ("columns", "both")
        turn = (slice(None, None, -1 if rows else None), slice(None, None, -1 if columns else None))
        mm = self.settings.picture_spacing if self._scaled() else 0.0
        shape = _target_shape(rgb.shape[:2], (mm, mm), self.settings)
        picture = np.where(mask.reshape(*mask.shape, *(1 for _ in picture.shape[2:])), picture, 0).astype(np.uint8)
        resized_mask = frame.resize(mask[turn].astype(np.uint8), shape, "nearest").astype(bool)
        return frame.resize(picture[turn], shape), resized_mask


def read_picture(file: Path) -> NDArray[np.uint8]:
    """A picture file as RGB codes; a broken one is named."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(file) as image:
            return np.asarray(image.convert("RGB"))
    except (OSError, UnidentifiedImageError, SyntaxError, Image.DecompressionBombError) as error:
        raise InputError(
            f"{file} can't be read as a picture ({error}). Repair or remove it, or leave unreadable files out with "
            "--set data.skip_unreadable=true."
        ) from error


def _target_shape(shape: Any, mm: Any, settings: DataSettings) -> tuple[int, int]:
    """At the frame's mm per pixel where the scale is known; else so that the longer side fills the frame."""
    if settings.spacing > 0 and mm[0] > 0:
        return frame.scaled_shape((shape[0], shape[1]), (mm[0], mm[1]), settings.spacing)
    ratio = (mm[0] / mm[1]) if mm[0] > 0 else 1.0
    longer = max(shape[0] * ratio, shape[1])
    return max(1, round(settings.size * shape[0] * ratio / longer)), max(1, round(settings.size * shape[1] / longer))


def _window(text: str) -> str | tuple[float, float]:
    parts = text.split()
    try:
        return (float(parts[0]), float(parts[1])) if len(parts) == 2 else text
    except ValueError:
        return text
