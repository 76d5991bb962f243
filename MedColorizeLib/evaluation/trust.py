"""What the colouring may have added or lost, and where colourings of the same volume disagree."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.colordiff import mean_pairwise_difference
from ..imaging.volume import ColorVolume
from ..progress import CancelToken, OnProgress, track
from .planes import REACH_MM, Planes
from .records import Trust, UncertaintySummary
from .stack import Stack

GAMUT_KEY = "gamut_overflow_share"
"""Under this name the Colorizer's provenance tells how many voxels of the body, of all there are, gave up chroma."""
VISIBLE = 5.0
_NEUTRAL = 1.0


def trust_of(planes: Planes, stack: Stack, provenance: dict[str, Any], voxels: int) -> Trust:
    """Put together from the pass over the slices, the sample, and what the Colorizer counted itself."""
    codes = np.arange(256)
    error = np.abs(codes[:, None] - codes)
    total = max(int(planes.joint.sum()), 1)
    edges = planes.edges
    told = provenance.get(GAMUT_KEY)
    source: Literal["provenance", "voxels"] = "voxels"
    clipped = planes.bound / max(planes.counted, 1)
    if isinstance(told, int | float) and 0 <= told <= 1:
        source, clipped = "provenance", min(1.0, told * voxels / max(planes.foreground, 1))
    chroma = np.hypot(*np.moveaxis(stack.ab[stack.inside], -1, 0))
    return Trust(
        luma_error_max=int(error[planes.joint > 0].max(initial=0)),
        luma_error_mean=float((planes.joint * error).sum() / total),
        luma_error_share=float(1 - planes.joint.trace() / total),
        bleeding_share=edges.bled / edges.chroma if edges.chroma else 0.0,
        bleeding_reach_mm=REACH_MM,
        outside_share=planes.outside_colored / planes.outside if planes.outside else 0.0,
        outside_chroma_mean=planes.outside_chroma / planes.outside if planes.outside else 0.0,
        clipped_share=float(clipped),
        clipped_source=source,
        invented_share=edges.invented / edges.result if edges.result else 0.0,
        lost_share=edges.lost / edges.source if edges.source else 0.0,
        neutral_share=float(np.mean(chroma < _NEUTRAL)) if len(chroma) else 1.0,
    )


def disagreement(
    colorings: Sequence[ColorVolume | NDArray[np.uint8]],
    foreground: NDArray[np.bool_] | None = None,
    names: Sequence[str] | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[NDArray[np.float32], UncertaintySummary]:
    """How much colourings of one volume (axial, coronal and sagittal, say) disagree, voxel by voxel.

    The mean dE at equal lightness over all pairs of colourings, 0 outside `foreground`, (K, J, I); and its summary.
    """
    arrays = [c.rgb if isinstance(c, ColorVolume) else c[..., :3] for c in colorings]
    if len(arrays) < 2 or len({a.shape for a in arrays}) != 1:
        raise UsageError(
            "Uncertainty compares at least two colourings of the same volume, with equal numbers of voxels; "
            f"these are {', '.join(str(a.shape[:3]) for a in arrays) or 'none'}."
        )
    shape = arrays[0].shape[:3]
    names = tuple(names) if names else tuple(f"colouring {n}" for n in range(1, len(arrays) + 1))
    out = np.zeros(shape, dtype=np.float32)
    for k in track(range(shape[0]), "uncertainty", shape[0], on_progress, cancel):
        inside = foreground[k] if foreground is not None else np.ones(shape[1:], dtype=bool)
        out[k][inside] = mean_pairwise_difference([a[k][inside] for a in arrays])
    return out, summarize(out, foreground, names)


def summarize(
    uncertainty: NDArray[np.floating[Any]], foreground: NDArray[np.bool_] | None, names: Sequence[str] = ()
) -> UncertaintySummary:
    """Figures of an uncertainty volume (dE) over the foreground."""
    inside = foreground if foreground is not None else np.ones(uncertainty.shape, dtype=bool)
    values = uncertainty[inside]
    empty = not len(values)
    median, p95 = (np.nan, np.nan) if empty else np.percentile(values, (50, 95))
    rows = [
        float(uncertainty[k][inside[k]].mean(dtype=np.float64)) if inside[k].any() else np.nan
        for k in range(len(uncertainty))
    ]
    return UncertaintySummary(
        names=tuple(names),
        mean=np.nan if empty else float(values.mean(dtype=np.float64)),
        median=float(median),
        p95=float(p95),
        maximum=np.nan if empty else float(values.max()),
        share_visible=np.nan if empty else float(np.mean(values > VISIBLE)),
        per_slice=np.array(rows),
    )
