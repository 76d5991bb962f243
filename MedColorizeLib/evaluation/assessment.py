"""What the report says about one coloured volume: every number, its grade, and `assess`, which fills them in.

The parts are in `records`; this module is what report, training and the Slicer module import.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.volume import ColorVolume, LabelVolume
from ..progress import CancelToken, OnProgress
from .records import (
    AxisConsistency,
    Band,
    Distance,
    Facts,
    Fidelity,
    FramesConsistency,
    Grade,
    Light,
    OutlierSlice,
    SliceTable,
    TissueCurve,
    Trust,
    Truth,
    UncertaintySummary,
)

if TYPE_CHECKING:
    from .fidelity import Perceptual
    from .frechet import Features

SCHEMA = "medcolorize-report/1"

__all__ = [
    "SCHEMA",
    "Assessment",
    "AxisConsistency",
    "Band",
    "Distance",
    "Facts",
    "Fidelity",
    "FramesConsistency",
    "Grade",
    "Light",
    "OutlierSlice",
    "SliceTable",
    "TissueCurve",
    "Trust",
    "Truth",
    "UncertaintySummary",
    "assess",
]


@dataclass(frozen=True)
class Assessment:
    """Everything the report shows about one coloured volume."""

    facts: Facts
    fidelity: Fidelity
    consistency: tuple[AxisConsistency, AxisConsistency, AxisConsistency]
    """Across K, J, I. An axis of one slice has empty arrays and NaN scores."""
    trust: Trust
    slices: SliceTable
    grades: tuple[Grade, ...]
    overall: Light
    verdict: str
    """One or two sentences."""
    sampling: tuple[str, ...]
    """Sentences: what was computed on a sample rather than on every voxel, and which."""
    notes: tuple[str, ...] = ()
    """Sentences: what could not be computed and why."""
    bands: tuple[Band, ...] = ()
    truth: Truth | None = None
    distance: Distance | None = None
    """To a set of reference pictures, where one was given."""
    frames: FramesConsistency | None = None
    uncertainty: UncertaintySummary | None = None
    provenance: dict[str, Any] = field(default_factory=dict)
    """The coloured volume's own, as it came."""

    def to_dict(self) -> dict[str, Any]:
        """JSON-able, schema `medcolorize-report/1`: the fields as named here, arrays as lists, NaN and inf as None."""
        return {"schema": SCHEMA, **_plain(self)}


def _plain(value: Any) -> Any:
    """`value` as what JSON can hold."""
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in dataclasses.fields(value)}
    if isinstance(value, np.ndarray):
        # Most of an assessment: not a call per number.
        return _plain_floats(value.tolist()) if value.dtype.kind == "f" and value.ndim else _plain(value.tolist())
    if isinstance(value, np.generic):
        return _plain(value.item())
    if isinstance(value, dict):
        return {str(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, float):
        return _plain_floats([value])[0]
    if value is None or isinstance(value, str | bool | int):
        return value
    return str(value)


def _plain_floats(values: list[Any]) -> list[Any]:
    """Floats, nested or not, to six figures; what is not finite becomes None."""
    if values and isinstance(values[0], list):
        return [_plain_floats(each) for each in values]
    return [float(f"{value:.6g}") if math.isfinite(value) else None for value in values]


def assess(
    gray_codes: NDArray[np.uint8],
    color: ColorVolume,
    *,
    labels: LabelVolume | None = None,
    foreground: NDArray[np.bool_] | None = None,
    reference: ColorVolume | None = None,
    reference_set: Sequence[NDArray[np.uint8]] | None = None,
    features: Features | None = None,
    perceptual: Perceptual | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Assessment:
    """Judge `color` against the windowed 8-bit input `gray_codes` (K, J, I) that it was made from.

    `labels`: tissues by name (same grid); without them the foreground is cut into intensity classes.
    `foreground`: where the body is; without it, `imaging.foreground` finds it in `gray_codes`.
    `reference`: the true colour on the same grid. `reference_set`: pictures (J, I, 3) to take the Frechet distance to,
    in the space of `features` (without them: Lab statistics, which need no weights and are not FID).
    `perceptual`: a learned distance to `reference`, such as `networks.lpips`.
    """
    from .assessing import run

    return run(
        gray_codes,
        color,
        labels=labels,
        foreground=foreground,
        reference=reference,
        reference_set=reference_set,
        features=features,
        perceptual=perceptual,
        on_progress=on_progress,
        cancel=cancel,
    )
