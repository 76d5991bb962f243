"""A trained model as a folder: safetensors, metadata, model card, SHA-256; finding, verifying and loading it.

Not for: executing anything found in a folder. A bundle is data.
"""

from __future__ import annotations

from typing import Any


def installed() -> list[dict[str, Any]]:
    """What a chooser shows of every installed bundle; `problem` says what is wrong with a broken one. No torch."""
    from .store import installed as listed

    return [entry.to_mapping() for entry in listed()]
