"""Reference bands: what photographs of a real body, sliced, score themselves.

Shipped as numbers in `Resources/Bands`, each file with how it was computed; `Testing/Benchmarks/cryosection_bands.py`
makes them anew. Not for: proof that a volume inside the band is right. It only is as steady as nature is.
"""

from __future__ import annotations

import json
from functools import cache
from typing import Any

from ..errors import MedColorizeError
from ..resources import resources_dir
from .records import Band

SCHEMA = "medcolorize-bands/1"
DEFAULT = "cryosections"


@cache
def load_bands(name: str = DEFAULT) -> tuple[Band, ...]:
    """The bands of `Resources/Bands/NAME.json`; none if this copy has no such file."""
    path = resources_dir() / "Bands" / f"{name}.json"
    if not path.is_file():
        return ()
    try:
        document: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
        if document["schema"] != SCHEMA:
            raise ValueError(f"schema {document['schema']!r}")
        return tuple(
            Band(key, row["p05"], row["median"], row["p95"], document["source"], row["how"])
            for key, row in document["bands"].items()
        )
    except (ValueError, KeyError, TypeError) as error:
        raise MedColorizeError(f"{path} is not a file of reference bands ({error}). Reinstall MedColorize.") from error
