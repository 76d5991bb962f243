"""What a model's training scans looked like, measured and put into its bundle: by that, other scans are judged."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import numpy as np

from ..bundles.amend import amend
from ..bundles.folder import read_bundle
from ..bundles.likeness import Figures, Likeness
from ..bundles.store import find
from ..errors import UsageError
from ..progress import CancelToken, OnProgress, track

_SLICES = 240
"""Slices that are measured in all, at least: few training scans are looked at more closely."""


def measure_model(
    model: str | Path,
    scans: Sequence[Path],
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Likeness:
    """Measure the training scans as the model sees them, and write what was found into its bundle."""
    from ..imaging.read import read_volume
    from ..imaging.windows import choose_window, codes
    from ..inference.likeness import SLICES
    from ..inference.network import load_painter
    from ..inference.painter import Subject

    if not scans:
        raise UsageError("Say which scans the model was trained on: --on FILE..., or --data NAME --gray FOLDER.")
    folder = find(model)
    painter = load_painter(folder, device="cpu")
    each = max(SLICES, -(-_SLICES // len(scans)))
    found: list[list[Figures]] = []
    for path in track(list(scans), "measure", len(scans), on_progress, cancel):
        volume = read_volume(path)
        gray = np.ascontiguousarray(codes(volume.array, choose_window(volume, painter.bundle.input.window)))
        found.append(painter.figures(Subject(gray, volume.affine), each))
    likeness = Likeness.of(found)
    amend(folder, likeness=likeness)
    return likeness


def training_scans(model: str | Path, data: Sequence[Path], gray: Path) -> list[Path]:
    """The scans under `gray` that a data file (such as `heads`) gave the model's recipe to train on."""
    from ..training.recipe import load_recipe
    from ..training.sources import find_sources, select

    recipe = read_bundle(find(model)).training.get("recipe", "")
    if not isinstance(recipe, str) or not recipe:
        raise UsageError(f"'{model}' does not say by which recipe it was trained. List its scans: --on FILE...")
    settings = load_recipe(recipe, overlays=data).data
    chosen = select(
        find_sources(gray, settings.subject), settings.gray_include, (*settings.gray_exclude, *settings.gray_validate)
    )
    return [source.files[0] for source in chosen if source.kind == "volume"]
