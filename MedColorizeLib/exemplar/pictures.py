"""Reference pictures as transfers and hashes see them: RGB, cropped to what they show, the rest black.

Not for: volumes, which have readers of their own (`imaging.read`).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any, Literal, get_args

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..imaging.colorspaces import luma_codes
from ..imaging.cryosection import body

ENDINGS = (".jpg", ".jpeg", ".png", ".tif", ".tiff", ".bmp")

Background = Literal["keep", "cryosection"]
"""What surrounds the tissue: nothing that matters, or the blue gelatine, rulers and labels of a frozen section."""

_DARK = 12
"""Codes up to this are background when a picture is cropped to what it shows."""
_MARGIN = 0.03
_GELATINE_SHARE = 0.25


def read_picture(path: Path, background: Background = "keep", longest: int | None = None) -> NDArray[np.uint8]:
    """The picture's tissue: RGB (H, W, 3), cropped to what it shows; `longest` side at most (default: full size)."""
    return cropped(tissue_only(read_rgb(path, longest), background))


def read_rgb(path: Path, longest: int | None = None) -> NDArray[np.uint8]:
    """A picture file as RGB; transparency becomes black. JPEG is decoded small where `longest` allows."""
    from PIL import Image, UnidentifiedImageError

    try:
        with Image.open(path) as file:
            if longest is not None:
                file.draft("RGB", (longest, longest))
            picture: Image.Image = file
            if file.mode.startswith(("I", "F")):
                raise InputError(f"{path} has more than 8 bits a channel. Convert it to an 8-bit colour picture.")
            if "A" in file.getbands() or "transparency" in file.info:
                layers = file.convert("RGBA")
                picture = Image.new("RGB", layers.size)
                picture.paste(layers, mask=layers.getchannel("A"))
            picture = picture.convert("RGB")
            if longest is not None:
                picture.thumbnail((longest, longest), Image.Resampling.BOX)
            rgb = np.asarray(picture)
    except (OSError, UnidentifiedImageError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        if isinstance(error, FileNotFoundError):
            raise InputError(f"{path}: there is no such picture.") from error
        raise InputError(f"{path} can't be read as a picture: it is damaged or of no known kind.") from error
    if min(rgb.shape[:2]) < 9:
        raise InputError(f"{path} is only {rgb.shape[1]} x {rgb.shape[0]} pixels: too small for a reference.")
    return rgb


def tissue_only(rgb: NDArray[np.uint8], background: Background) -> NDArray[np.uint8]:
    """The picture with everything that is no tissue black."""
    if background not in get_args(Background):
        raise UsageError(f"There is no background '{background}'. Choose one of {', '.join(get_args(Background))}.")
    if background == "keep":
        return rgb
    mask = body(rgb)
    if not mask.any():
        raise InputError("no tissue was found in it: is it a section in blue gelatine?")
    return np.where(mask[..., None], rgb, 0).astype(np.uint8)


def looks_embedded(rgb: NDArray[np.uint8]) -> bool:
    """True if so much of a picture is a mixed blue that it must be gelatine."""
    red, green, blue = (rgb[::4, ::4, channel].astype(np.int16) for channel in range(3))
    return float(np.mean((blue > red + 25) & (blue > 45) & (green > 10))) > _GELATINE_SHARE


def cropped(picture: NDArray[Any]) -> NDArray[Any]:
    """A gray or RGB picture without its dark surroundings, a little margin left; whole where all is dark."""
    gray = luma_codes(picture) if picture.ndim == 3 else picture
    rows, columns = box(gray)
    return picture[rows, columns]


def box(gray: NDArray[np.uint8]) -> tuple[slice, slice]:
    """Rows and columns that hold what a gray picture shows."""
    bright = gray > _DARK
    found = []
    for axis, size in ((1, gray.shape[0]), (0, gray.shape[1])):
        # A speck is no content: a line counts if more than half a percent of it is bright.
        lines = np.flatnonzero(bright.mean(axis=axis) > 0.005)
        if not len(lines):
            return slice(0, gray.shape[0]), slice(0, gray.shape[1])
        margin = round(_MARGIN * (lines[-1] - lines[0] + 1))
        found.append(slice(max(0, int(lines[0]) - margin), min(size, int(lines[-1]) + 1 + margin)))
    return found[0], found[1]


def fitted(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A gray or RGB picture resized into `shape` with its proportions kept, black beside it."""
    scale = min(shape[0] / picture.shape[0], shape[1] / picture.shape[1])
    rows, columns = (max(1, min(limit, round(n * scale))) for n, limit in zip(picture.shape, shape, strict=False))
    out = np.zeros((*shape, *picture.shape[2:]), np.uint8)
    top, left = (shape[0] - rows) // 2, (shape[1] - columns) // 2
    out[top : top + rows, left : left + columns] = resized(picture, (rows, columns))
    return out


def resized(picture: NDArray[np.uint8], shape: tuple[int, int]) -> NDArray[np.uint8]:
    """A gray or RGB picture at exactly this size, antialiased when it shrinks."""
    from PIL import Image

    if picture.shape[:2] == shape:
        return picture
    small = Image.fromarray(np.ascontiguousarray(picture)).resize((shape[1], shape[0]), Image.Resampling.BICUBIC)
    return np.asarray(small)
