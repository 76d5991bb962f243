"""MedColorize: truthful colour for grayscale medical volumes.

Importing this package is cheap on purpose (no torch, monai, vtk or slicer): the public names
below are fetched from their rooms when they are first used.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

_PUBLIC = {
    "Volume": "imaging.volume",
    "ColorVolume": "imaging.volume",
    "LabelVolume": "imaging.volume",
    "read_volume": "imaging.read",
    "read_color": "imaging.read",
    "read_labels": "imaging.read",
    "write_color": "imaging.write",
    "write_volume": "imaging.write",
    "Colorizer": "inference.colorizer",
    "Progress": "progress",
    "CancelToken": "progress",
    "MedColorizeError": "errors",
}

__all__ = ["__version__", *_PUBLIC]

if TYPE_CHECKING:
    from .errors import MedColorizeError as MedColorizeError
    from .imaging.read import read_color as read_color
    from .imaging.read import read_labels as read_labels
    from .imaging.read import read_volume as read_volume
    from .imaging.volume import ColorVolume as ColorVolume
    from .imaging.volume import LabelVolume as LabelVolume
    from .imaging.volume import Volume as Volume
    from .imaging.write import write_color as write_color
    from .imaging.write import write_volume as write_volume
    from .inference.colorizer import Colorizer as Colorizer
    from .progress import CancelToken as CancelToken
    from .progress import Progress as Progress


def __getattr__(name: str) -> Any:
    if name in _PUBLIC:
        value = getattr(import_module(f".{_PUBLIC[name]}", __name__), name)
        globals()[name] = value
        return value
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *_PUBLIC})
