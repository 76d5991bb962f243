"""Stacks of PNG, JPEG or TIFF pictures as volumes, one picture a slice; `geometry.json` says where they lie."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .formats import pictures_in
from .labels import refuse_labels
from .scan import ColorHeader
from .volume import ColorVolume, LabelVolume, Origin, Volume

GEOMETRY = "geometry.json"
_NO_GEOMETRY = "The pictures say nothing about millimetres: 1 mm voxels are assumed, and left and right are unknown."


class PictureStack:
    """A folder of pictures of one size, or a single (possibly many-paged) picture."""

    format = "stack"
    frames = 1

    def __init__(self, path: Path) -> None:
        self.path = path
        self._pictures = pictures_in(path) if path.is_dir() else [path]
        if not self._pictures:
            raise InputError(f"{path} holds no pictures (PNG, JPEG or TIFF).")
        self._geometry: dict[str, Any] = {}
        sidecar = (path if path.is_dir() else path.parent) / GEOMETRY
        if path.is_dir() and sidecar.is_file():
            try:
                self._geometry = json.loads(sidecar.read_text())
                self.affine = np.array(self._geometry["affine"], dtype=np.float64).reshape(4, 4)
            except (ValueError, KeyError, TypeError) as error:
                raise InputError(
                    f"{sidecar} is damaged: {error}. Remove it to read the pictures without geometry."
                ) from error
        else:
            self.affine = np.eye(4)
        self._array: NDArray[Any] | None = None

    def voxels(self) -> NDArray[Any]:
        """`(K, J, I)` or `(K, J, I, 3 or 4)`, all pictures."""
        if self._array is None:
            slices: list[NDArray[Any]] = []
            for picture in self._pictures:
                slices.extend(_pages(picture))
                if slices[-1].shape != slices[0].shape:
                    raise InputError(
                        f"{picture} is {_size(slices[-1])}, but {self._pictures[0].name} is {_size(slices[0])}. "
                        "All pictures of a stack must have one size and one kind."
                    )
            self._array = np.stack(slices)
        return self._array

    @property
    def notes(self) -> tuple[str, ...]:
        return () if self._geometry else (_NO_GEOMETRY,)

    def read(self, frame: int = 0) -> Volume:
        """The stack as a gray volume. Pictures stored as RGB without any colour count as gray."""
        array = self.voxels()
        if array.ndim == 4:
            if (array[..., 0] != array[..., 1]).any() or (array[..., 1] != array[..., 2]).any():
                raise InputError(f"{self.path} holds colour pictures, and only gray ones can be coloured.")
            array = np.ascontiguousarray(array[..., 0])
        refuse_labels(self.path, array)
        return Volume(array, self.affine, "", {"format": "stack"}, self.notes, Origin(self.path))

    def read_color(self, frame: int = 0) -> ColorVolume:
        """The stack as a colour volume."""
        array = self.voxels()
        if array.ndim != 4 or array.dtype != np.uint8:
            raise InputError(f"{self.path} holds gray pictures or more than 8 bits a channel, not 8-bit colour.")
        return ColorVolume(array, self.affine, self._geometry.get("provenance", {}), self.notes)

    def read_labels(self) -> LabelVolume:
        """The stack as a label map."""
        array = self.voxels()
        if array.ndim != 3:
            raise InputError(f"{self.path} holds colour pictures; a label map has one number a pixel.")
        return LabelVolume(array, self.affine)

    def info(self) -> dict[str, Any]:
        first = _pages(self._pictures[0])[0]
        pages = len(_pages(self._pictures[0])) if len(self._pictures) == 1 else len(self._pictures)
        return {
            "stored_type": str(first.dtype),
            "size": [first.shape[1], first.shape[0], pages],
            "kind": "color" if first.ndim == 3 else "gray",
        }


def _pages(path: Path) -> list[NDArray[Any]]:
    """Every page of a picture as gray `(J, I)` or colour `(J, I, 3 or 4)`."""
    from PIL import Image, ImageSequence, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            pages = []
            for page in ImageSequence.Iterator(picture):
                if page.mode in ("P", "CMYK", "YCbCr", "LAB", "HSV"):
                    page = page.convert("RGB")
                elif page.mode in ("LA", "1", "PA"):
                    page = page.convert("L")
                pages.append(np.array(page))
            return pages
    except (UnidentifiedImageError, OSError, ValueError, SyntaxError) as error:
        raise InputError(f"{path} can't be read as a picture: {error}. The file may be damaged.") from error


def _size(array: NDArray[Any]) -> str:
    kind = "gray" if array.ndim == 2 else f"{array.shape[2]} channels"
    return f"{array.shape[1]}x{array.shape[0]}, {kind}, {array.dtype}"


def write_slice(path: Path, plane: NDArray[np.uint8]) -> None:
    """One slice as PNG."""
    from PIL import Image

    Image.fromarray(plane).save(path, format="PNG", compress_level=3)


def geometry_text(header: ColorHeader) -> str:
    """What `geometry.json` says."""
    return json.dumps(
        {"affine": header.affine.tolist(), "axes": "IJK to RAS mm", "provenance": header.provenance}, indent=2
    )
