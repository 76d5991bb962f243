"""The text that travels inside a coloured file: how its colour was made, as one JSON line.

NRRD and MetaImage keep it under the key `medcolorize`, NIfTI as a header extension, picture stacks in `geometry.json`.
"""

from __future__ import annotations

import json
from typing import Any

KEY = "medcolorize"


def to_text(provenance: dict[str, Any]) -> str:
    """One line of JSON, ASCII only, so that every format can hold it."""
    return json.dumps(provenance, sort_keys=True, separators=(",", ":"), ensure_ascii=True)


def from_text(text: str | bytes) -> dict[str, Any]:
    """What `to_text` wrote; anything else is nothing we know of."""
    if isinstance(text, bytes):
        text = text.decode("utf-8", errors="replace")
    try:
        value = json.loads(text.rstrip("\0 \r\n"))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}
