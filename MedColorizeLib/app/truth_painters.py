"""Who colours in `medcolorize bench truth`: the gray picture itself, palettes and trained bundles, each with a name.

Bundles colour what they were made for (MR or CT; a bundle that names none colours both); cryosections, whose luma is
of no modality, are coloured by everybody. Not for: what is coloured (`truth_slabs`, `truth_scans`).
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from ..imaging.volume import ColorVolume, Volume
from ..imaging.windows import Window, codes
from ..inference.colorizer import Colorizer
from ..progress import CancelToken, OnProgress

GRAY = "gray"
ADVERSARIAL = ("chromagan", "colorcyclegan", "colormedgan", "cyclegan", "liang")
"""The papers' methods that learn against a discriminator."""


@dataclass(frozen=True)
class TruthPainter:
    """One row of every table."""

    name: str
    kind: str
    """`gray`, `palette` or `model`."""
    modality: str
    """What it was made for; empty: anything."""
    identity: str
    """Changes with the weights or the palette, so that a rerun colours anew."""
    source: str = ""
    """The bundle's folder or the palette's name."""
    method: str = ""
    trained: str = ""
    """How long, for the tables."""
    by_value: bool = False
    """A palette by Hounsfield units, which a photograph's luma has none of."""
    gan: bool = False
    """A generative adversarial network of the papers that sees one slice at a time."""

    def colors(self, modality: str) -> bool:
        """Whether this one was made for scans of this modality (empty: cryosections, which all may colour)."""
        return not modality or not self.modality or self.modality == modality

    def colorize(
        self,
        volume: Volume,
        window: Window,
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> ColorVolume:
        """The volume in colour, its luma kept exactly."""
        if self.kind == GRAY:
            gray = codes(volume.array, window)
            return ColorVolume(np.repeat(gray[..., None], 3, axis=-1), volume.affine)
        colorizer = Colorizer(palette=self.source) if self.kind == "palette" else Colorizer(self.source)
        return colorizer.colorize(volume, window=window, on_progress=on_progress, cancel=cancel)


def make_painters(models: Sequence[str], palettes: Sequence[str]) -> list[TruthPainter]:
    """Gray, the palettes and the bundles asked for (names or folders); none asked for: every installed bundle."""
    from ..bundles.store import find, installed
    from ..bundles.verify import verify
    from ..inference.palette import load_palette

    out = [TruthPainter(GRAY, GRAY, "", GRAY)]
    for name in palettes:
        palette = load_palette(name)
        by_value = palette.value_unit == "value"
        title = f"palette {palette.name}"
        out.append(TruthPainter(title, "palette", palette.modality, palette.sha256, name, by_value=by_value))
    if models:
        bundles = [verify(find(model)) for model in models]
    else:
        bundles = [entry.bundle for entry in installed() if entry.bundle is not None and entry.bundle.kind == "color"]
    for bundle in bundles:
        metadata = json.dumps([bundle.config, vars(bundle.input), bundle.precision], sort_keys=True, default=str)
        identity = hashlib.sha256((bundle.sha256 + metadata).encode()).hexdigest()
        steps = bundle.training.get("step")
        out.append(
            TruthPainter(
                _unused(bundle.name, out),
                "model",
                bundle.input.modality,
                identity,
                str(bundle.folder),
                bundle.method,
                f"{steps} steps" if steps else "",
                gan=bundle.method in ADVERSARIAL and bundle.input.slices == 1,
            )
        )
    return out


def _unused(name: str, painters: list[TruthPainter]) -> str:
    """Two bundles of one name (an export beside its installed copy) are told apart by a number."""
    taken = {painter.name for painter in painters}
    number = 2
    unique = name
    while unique in taken:
        unique, number = f"{name} ({number})", number + 1
    return unique
