"""Where the files of `Resources/` are: in a source checkout, a Slicer install or a wheel."""

from __future__ import annotations

from pathlib import Path

from .errors import MedColorizeError

_PACKAGE = Path(__file__).resolve().parent


def resources_dir() -> Path:
    """The `Resources` folder that came with this copy of the library."""
    for candidate in (_PACKAGE / "_resources", _PACKAGE.parent / "Resources"):
        if (candidate / "Palettes").is_dir():
            return candidate
    raise MedColorizeError(
        f"The Resources folder is missing beside {_PACKAGE}. "
        "Reinstall MedColorize: without it there are no palettes or models."
    )
