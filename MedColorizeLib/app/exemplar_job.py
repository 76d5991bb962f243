"""Colouring a file after references: which slices are keys, which reference each gets, and who paints.

Not for: the optimisation (room `exemplar`) or writing (`pipeline.colorize_file`).
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.read import ChooseSeries, open_scan
from ..imaging.windows import choose_window, codes
from ..progress import OnProgress

if TYPE_CHECKING:
    from ..exemplar.base import Transfer
    from ..exemplar.library import DeepFeature, Match, ReferenceLibrary
    from ..exemplar.pictures import Background
    from ..exemplar.volume import ExemplarPainter, KeySlice
    from ..imaging.volume import Volume
    from ..training.frame import Orientation

_THIN = 2.0
References = Literal["one", "each"]
"""One reference for the whole scan, or for each key slice its own."""


@dataclass(frozen=True)
class ExemplarJob:
    """How a scan is to be coloured after references."""

    input: Path
    library: Path | None = None
    reference: Path | None = None
    """A picture of the person's choice, instead of what the library would find."""
    background: Background = "keep"
    """Of `reference`; the library knows its own."""
    method: str = "zeng"
    options: dict[str, Any] = field(default_factory=dict)
    references: References = "one"
    keys: int | None = None
    window: str | tuple[float, float] | None = None
    series: str | None = None
    frames: str = "all"
    work: Path | None = None
    features: Path | None = None


@dataclass(frozen=True, eq=False)
class KeyPlan:
    """The key slices of a scan as the transfer sees them."""

    positions: list[int]
    """Along the slices of `turn`."""
    slices: list[NDArray[np.uint8]]
    turn: Orientation | None = None
    """Which plane is coloured slice by slice; None: as stored."""


def plan_keys(job: ExemplarJob, choose: ChooseSeries | None = None) -> KeyPlan:
    """Read the scan and choose its key slices."""
    scan = open_scan(job.input, job.series, choose)
    frame = int(job.frames) if job.frames.isdigit() and int(job.frames) < scan.frames else 0
    volume = scan.read(frame)
    # The same window as `colorize_file` will use, so that the person sees the reference found for what is coloured.
    gray = codes(volume.array, choose_window(scan.read(0) if job.frames == "all" and frame else volume, job.window))
    return plan_of(volume, gray, job.keys)


def plan_of(volume: Volume, gray: NDArray[np.uint8], keys: int | None) -> KeyPlan:
    """Key slices of a windowed volume (`gray`, 8-bit), in the plane that references show."""
    from ..exemplar.volume import key_positions

    turn = axial(volume.affine)
    view = turn.apply(gray)
    positions = key_positions(view, turn.mm[0], keys)
    return KeyPlan(positions, [np.ascontiguousarray(view[k]) for k in positions], turn)


def axial(affine: NDArray[np.float64]) -> Orientation:
    """The axial plane of an array; its slices as stored where axial ones would have long, thin pixels.

    Nothing is flipped: a mirror changes nothing for a transfer, and slices keep the numbers the file gives them.
    """
    from ..training.frame import Orientation, orientation

    found = orientation(affine, "axial")
    if max(found.mm[1:]) > _THIN * min(found.mm[1:]):
        k, j, i = (float(length) for length in np.linalg.norm(affine[:3, 2::-1], axis=0))
        return Orientation((0, 1, 2), (False, False, False), (k, j, i))
    return replace(found, flips=(False, False, False))


def find_references(job: ExemplarJob, plan: KeyPlan, library: ReferenceLibrary) -> list[Match]:
    """For every key slice its reference from the library."""
    if job.references == "one":
        return [library.nearest_to_all(plan.slices)] * len(plan.positions)
    deep = deep_feature(job.features)
    return [library.nearest(gray, 1, deep)[0] for gray in plan.slices]


def make_transfer(job: ExemplarJob) -> Transfer:
    """The transfer by name, with its options."""
    from ..exemplar.registry import load_transfer

    kind = load_transfer(job.method)
    return kind(kind.Options.from_mapping(job.options))


def make_painter(
    job: ExemplarJob, plan: KeyPlan, matches: list[Match] | None, on_progress: OnProgress | None = None
) -> ExemplarPainter:
    """The painter of a scan: after `matches`, or after the job's own reference."""
    from ..exemplar.library import sha256_of
    from ..exemplar.pictures import read_picture
    from ..exemplar.volume import ExemplarPainter, KeySlice

    keys: list[KeySlice] = []
    if matches is None:
        if job.reference is None:
            raise UsageError("Say what to colour after: --library LIBRARY, or --reference PICTURE.")
        picture = read_picture(job.reference, job.background)
        described = {"picture": job.reference.name, "sha256": sha256_of(job.reference), "background": job.background}
        keys = [KeySlice(k, picture, {**described, "chosen_by": "person"}) for k in plan.positions]
    else:
        read: dict[tuple[int, int], NDArray[np.uint8]] = {}
        for k, match in zip(plan.positions, matches, strict=True):
            held = (match.reference.number, match.turn)
            if held not in read:
                read[held] = match.reference.read(match.turn)
            keys.append(KeySlice(k, read[held], describe_match(match)))
    return ExemplarPainter(make_transfer(job), keys, work=job.work, on_progress=on_progress, turn=plan.turn)


def describe_match(match: Match) -> dict[str, Any]:
    """For provenance, `--json` and tables."""
    from ..exemplar.hashing import TURNS

    found = {**match.reference.describe(), "chosen_by": "library", "held": TURNS[match.turn][0]}
    found["hash_distance"] = match.distance
    if match.similarity is not None:
        found["similarity"] = round(match.similarity, 4)
    return found


def deep_feature(weights: Path | None) -> DeepFeature | None:
    """SqueezeNet's pooled features from a weight file, if one is given."""
    if weights is None:
        return None
    from ..networks.picture_features import squeezenet_pooled

    return squeezenet_pooled(weights)
