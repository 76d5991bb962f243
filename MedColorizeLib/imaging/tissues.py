"""The colour of tissues as photographs of a real body show it, and which labels of known label sets are which tissue.

    colors = tissue_colors()                    # Resources/Tissues/cryosections.toml, measured from cryosections
    colors["muscle"].chroma(luma)               # (..., 2): Cb - 128 and Cr - 128 at these luma codes (0..255)
    colors["muscle"].rgb(luma)                  # (..., 3): RGB 0..255 of that luma, within the gamut
    tissue_labels_of("neuromorphometrics")      # {44: "white matter", ...}: OASIS and IXI `structures`
    tissue_labels_of("totalsegmentator")        # {5: "liver", ...}: the 117 classes of TotalSegmentator, task "total"
    tissue_labels_of("tissues-3")               # {1: "csf", 2: "gray matter", 3: "white matter"}: OASIS `tissues`

Luma is locked, so a tissue's colour is its chroma as a function of luma. Between the measured knots it is interpolated;
darker than the darkest knot it is that knot's colour in less light (chroma falls with luma); brighter than the
brightest, that knot's colour in more light, its chroma growing by no more than `MOST_LIGHT`: MR shows as bright what
no lamp would. `measured` says which luma were really seen. `app.tissue_table` makes the file anew.
Not for: painting (palettes do that) or judging (`evaluation.tissue_match`).
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..resources import resources_dir
from .colorspaces import ycbcr_to_rgb
from .luma import fit_gamut

MOST_LIGHT = 1.5
"""How far chroma may grow above the brightest measured luma."""


@dataclass(frozen=True, eq=False)
class TissueColor:
    """One tissue's chroma at some luma codes, darkest first."""

    name: str
    luma: NDArray[np.float64]
    """(n,): the knots."""
    cbcr: NDArray[np.float64]
    """(n, 2): Cb - 128 and Cr - 128 at the knots."""
    spread: float
    """Mean CIEDE2000 at equal lightness of the measured pixels to this curve: what one tissue varies by itself."""
    regions: int
    """How many hand-placed regions were measured."""

    @property
    def measured(self) -> tuple[float, float]:
        """The luma codes between which the tissue was really seen."""
        return float(self.luma[0]), float(self.luma[-1])

    def chroma(self, luma: NDArray[Any] | float) -> NDArray[np.float64]:
        """Cb - 128 and Cr - 128 at these luma codes; see the module on what lies beyond the knots."""
        luma = np.asarray(luma, dtype=np.float64)
        out = np.stack([np.interp(luma, self.luma, self.cbcr[:, n]) for n in (0, 1)], axis=-1)
        low, high = self.measured
        light = np.where(luma < low, luma / low, np.clip(luma / high, 1.0, MOST_LIGHT))
        return np.asarray(out * light[..., None])

    def rgb(self, luma: NDArray[Any] | float) -> NDArray[np.uint8]:
        """8-bit colours whose luma is `luma`, rounded; chroma beyond the gamut is given up."""
        codes = np.clip(np.rint(np.asarray(luma, dtype=np.float64)), 0, 255).astype(np.uint8)
        flat = codes.reshape(-1)
        proposal = ycbcr_to_rgb(np.concatenate([flat[:, None], self.chroma(flat) + 128.0], axis=-1))
        return fit_gamut(proposal, flat)[0].reshape(*codes.shape, 3)


@cache
def tissue_colors(name: str = "cryosections") -> dict[str, TissueColor]:
    """The tissues of `Resources/Tissues/NAME.toml`."""
    return read_tissue_colors(resources_dir() / "Tissues" / f"{name}.toml")


def read_tissue_colors(path: Path) -> dict[str, TissueColor]:
    """The tissues of a file made by `app.tissue_table`."""
    out = {}
    for name, entry in _toml(path).get("tissue", {}).items():
        try:
            knots = np.array(entry["knots"], dtype=np.float64).reshape(-1, 3)
            color = TissueColor(name, knots[:, 0], knots[:, 1:], float(entry["spread"]), int(entry["regions"]))
        except (KeyError, ValueError, TypeError) as error:
            raise InputError(f"{path}: the tissue '{name}' needs knots [luma, cb, cr], spread and regions.") from error
        if not len(knots) or (np.diff(color.luma) <= 0).any() or color.luma[0] <= 0:
            raise InputError(f"{path}: the knots of '{name}' need rising, positive luma.")
        out[name] = color
    if not out:
        raise InputError(f"{path} holds no tissues.")
    return out


@cache
def tissue_labels_of(label_set: str) -> dict[int, str]:
    """Label value to tissue, for the label sets of `Resources/Tissues/labels.toml`; values of no known tissue lack."""
    path = resources_dir() / "Tissues" / "labels.toml"
    sets = _toml(path)
    if label_set not in sets:
        raise UsageError(f"There is no label set '{label_set}'. Known: {', '.join(sorted(sets))}.")
    out: dict[int, str] = {}
    for tissue, values in sets[label_set].items():
        for value in values:
            first, last = value if isinstance(value, list) else (value, value)
            out.update(dict.fromkeys(range(first, last + 1), tissue))
    return out


def tissue_map(labels: NDArray[Any], label_set: str, tissues: tuple[str, ...]) -> NDArray[np.uint8]:
    """Label values to 1 + position in `tissues`; 0 for everything else."""
    table = np.zeros(int(labels.max(initial=0)) + 1, dtype=np.uint8)
    for value, tissue in tissue_labels_of(label_set).items():
        if value < len(table) and tissue in tissues:
            table[value] = 1 + tissues.index(tissue)
    return table[labels.astype(np.intp)]


def _toml(path: Path) -> dict[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise InputError(f"{path} can't be read: {error.strerror}.") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InputError(f"{path} is damaged: {error}.") from error
