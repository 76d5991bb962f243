"""Held-out cryosections: their luma, coloured, against their colour. The one place where the truth is known.

Frames become a volume of `scale` mm pixels and 1 mm slices, black outside the body, with no modality; it is cut at the
known jumps of camera or block, so that no painter sees neighbours that are none. Judged is the body less a rim of
3 mm, where the video's coarse chroma mixes blue gelatine in. A slab's figures are over all its voxels; the mean over
the slabs counts head, chest, belly and thigh alike. Not for: scans (`truth_scans`).
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..evaluation.assessment import assess
from ..imaging.colordiff import chroma_difference, ciede2000, lab
from ..imaging.colorspaces import luma_codes
from ..imaging.cryosection import body
from ..imaging.volume import ColorVolume, Volume
from ..imaging.windows import Window
from ..progress import CancelToken, OnProgress, track
from .truth_painters import TruthPainter

PIXEL_MM = 0.528
SCALE_MM = 2 * PIXEL_MM
HELD_OUT = ((80, 105), (430, 455), (640, 665), (1100, 1125))
JUMPS_AFTER = (121, 361, 391, 417, 451, 505, 656, 1017, 1424)
RIM_MM = 3.0
AS_IT_IS = Window(0.0, 255.0, "codes")
STEADY = 8
"""Parts of fewer frames say nothing about consistency."""


@dataclass(frozen=True, eq=False)
class Slab:
    """Neighbouring frames without a jump between them."""

    name: str
    """Of the slab it belongs to, `80-105`."""
    frames: tuple[int, int]
    rgb: NDArray[np.uint8]
    """(K, J, I, 3); black outside the body."""
    judged: NDArray[np.bool_]
    scale: float

    @cached_property
    def affine(self) -> NDArray[np.float64]:
        """Columns run from right to left, rows from back to front, frames from head to foot."""
        return np.diag([-self.scale, self.scale, -1.0, 1.0])

    @cached_property
    def volume(self) -> Volume:
        return Volume(luma_codes(self.rgb), self.affine)

    @property
    def truth(self) -> ColorVolume:
        return ColorVolume(self.rgb, self.affine)


def parts(first: int, last: int) -> list[tuple[int, int]]:
    """Frames `first` to `last` without the jumps."""
    cuts = [first - 1, *(jump for jump in JUMPS_AFTER if first <= jump < last), last]
    return [(before + 1, stop) for before, stop in itertools.pairwise(cuts)]


def load_slabs(
    frames: Path,
    ranges: Sequence[tuple[int, int]] = HELD_OUT,
    scale: float = SCALE_MM,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> list[Slab]:
    """The parts of all ranges of frames, from a folder of NNNN.jpg."""
    if not 0.1 <= scale <= 10:
        raise UsageError(f"A scale of {scale:g} mm per pixel makes no sense; give 0.1 to 10.")
    wanted = [(f"{first}-{last}", part) for first, last in ranges for part in parts(first, last)]
    if not wanted or any(first > last for first, last in ranges):
        raise UsageError("A slab is FIRST LAST, two numbers of frames in rising order.")
    out = []
    for name, part in track(wanted, "cryosections", len(wanted), on_progress, cancel):
        pictures, masks = zip(
            *(_frame(frames / f"{n:04d}.jpg", scale) for n in range(part[0], part[1] + 1)), strict=True
        )
        out.append(Slab(name, part, np.stack(pictures), np.stack(masks), scale))
    return out


def _frame(path: Path, scale: float) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """One frame at `scale`, black outside the body, and where it is judged."""
    from PIL import Image
    from scipy import ndimage

    try:
        with Image.open(path) as picture:
            full = picture.convert("RGB")
    except OSError as error:
        raise InputError(
            f"{path} can't be read: {error}. The bench needs frames NNNN.jpg of 0.528 mm pixels."
        ) from error
    factor = scale / PIXEL_MM
    inside = body(np.asarray(full))
    if factor == 1:
        rgb, mask = np.asarray(full), inside
    elif factor == int(factor):
        rgb = np.asarray(full.reduce(int(factor)))
        mask = np.asarray(Image.fromarray(inside).convert("L").reduce(int(factor))) > 127
    else:
        size = (round(full.width / factor), round(full.height / factor))
        rgb = np.asarray(full.resize(size, Image.Resampling.BOX if factor > 1 else Image.Resampling.BICUBIC))
        mask = np.asarray(Image.fromarray(inside).convert("L").resize(size, Image.Resampling.BOX)) > 127
    judged = ndimage.binary_erosion(mask, iterations=max(1, round(RIM_MM / scale)))
    return np.where(mask[..., None], rgb, 0).astype(np.uint8), judged


@dataclass
class SlabScore:
    """One part of a slab, judged; sums, so that parts can be added up."""

    name: str
    frames: tuple[int, int]
    voxels: int
    ciede2000: float
    """Sum over the judged voxels, lightness included."""
    chroma: float
    """The same at equal lightness."""
    squares: float
    """Sum of squared RGB errors over voxels, mean over channels."""
    luma_error_max: int
    steady: dict[str, list[float]]
    """Flicker per mm, common shift per mm and jitter, across K, J, I; empty for parts too short to tell."""


def judge(slab: Slab, color: ColorVolume) -> SlabScore:
    """A colouring of the slab's luma against its colour."""
    truth, result = slab.rgb[slab.judged], color.rgb[slab.judged]
    if not len(truth):
        raise InputError(f"Frames {slab.frames[0]} to {slab.frames[1]} show no body.")
    difference = chroma = squares = 0.0
    for start in range(0, len(truth), 1 << 18):
        some, other = truth[start : start + (1 << 18)], result[start : start + (1 << 18)]
        difference += float(ciede2000(some, other).sum())
        chroma += float(chroma_difference(lab(some)[:, 1:], lab(other)[:, 1:]).sum(dtype=np.float64))
        squares += float(np.square(some.astype(np.float32) - other).mean(axis=1).sum(dtype=np.float64))
    error = np.abs(slab.volume.array.astype(np.int16) - luma_codes(color.rgb))
    return SlabScore(
        slab.name,
        slab.frames,
        len(truth),
        difference,
        chroma,
        squares,
        int(error[slab.judged].max()),
        steadiness(slab.volume.array, color, slab.judged) if len(slab.rgb) >= STEADY else {},
    )


def steadiness(gray: NDArray[np.uint8], color: ColorVolume, mask: NDArray[np.bool_] | None) -> dict[str, list[float]]:
    """Flicker of matched tissue per mm (the report's measure), common shift per mm, and jitter, on the three axes."""
    axes = assess(gray, color, foreground=mask).consistency
    return {
        "flicker_per_mm": [a.flicker_per_mm for a in axes],
        "shift_per_mm": [a.shift_per_mm for a in axes],
        "jitter": [a.jitter for a in axes],
    }


def paint_and_judge(
    painter: TruthPainter,
    slabs: Sequence[Slab],
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[list[SlabScore], dict[str, NDArray[np.uint8]]]:
    """Every part's score, and of each slab the middle slice in colour for the sheet."""
    scores: list[SlabScore] = []
    pictures: dict[str, NDArray[np.uint8]] = {}
    for slab in track(slabs, f"truth: {painter.name}", len(slabs), on_progress, cancel):
        color = painter.colorize(slab.volume, AS_IT_IS, None, cancel)
        scores.append(judge(slab, color))
        pictures.setdefault(slab.name, color.rgb[len(color.rgb) // 2])
    return scores, pictures


def summary(scores: Sequence[SlabScore]) -> dict[str, Any]:
    """What the table shows: per slab, the mean of the slabs, and steadiness weighted by frames."""
    slabs: dict[str, Any] = {}
    for name in dict.fromkeys(score.name for score in scores):
        own = [score for score in scores if score.name == name]
        voxels = sum(score.voxels for score in own)
        squares = sum(score.squares for score in own)
        slabs[name] = {
            "voxels": voxels,
            "ciede2000": sum(score.ciede2000 for score in own) / voxels,
            "chroma": sum(score.chroma for score in own) / voxels,
            "psnr": psnr(squares / voxels),
        }
    out: dict[str, Any] = {key: _mean([s[key] for s in slabs.values()]) for key in ("ciede2000", "chroma", "psnr")}
    steady = [(score.frames[1] - score.frames[0] + 1, score.steady) for score in scores if score.steady]
    for key in ("flicker_per_mm", "shift_per_mm", "jitter"):
        rows = [(frames, found[key]) for frames, found in steady]
        out[key] = [_weighted([(frames, values[axis]) for frames, values in rows]) for axis in range(3)]
    return {**out, "luma_error_max": max(score.luma_error_max for score in scores), "slabs": slabs}


def psnr(mean_square: float) -> float:
    """In dB, of 8-bit codes; infinite for equal pictures."""
    return float("inf") if mean_square == 0 else float(10 * np.log10(255**2 / mean_square))


def _mean(values: Sequence[float]) -> float:
    return float(np.mean(values))


def _weighted(rows: Sequence[tuple[int, float]]) -> float:
    known = [(weight, value) for weight, value in rows if np.isfinite(value)]
    return float(np.average([v for _, v in known], weights=[w for w, _ in known])) if known else float("nan")


@dataclass
class SlabPart:
    """The bench's part `slabs`; see `truth_bench.Part`."""

    frames: Path
    ranges: Sequence[tuple[int, int]] = HELD_OUT
    scale: float = SCALE_MM
    name: str = "slabs"
    _slabs: list[Slab] | None = None

    def settings(self) -> dict[str, Any]:
        return {"scale": self.scale, "frames": [list(pair) for pair in self.ranges]}

    def takes(self, painter: TruthPainter) -> bool:
        return not painter.by_value

    def slabs(self, on_progress: OnProgress | None = None, cancel: CancelToken | None = None) -> list[Slab]:
        """Loaded once, when first needed."""
        if self._slabs is None:
            self._slabs = load_slabs(self.frames, self.ranges, self.scale, on_progress, cancel)
        return self._slabs

    def references(self) -> dict[str, NDArray[np.uint8]]:
        out: dict[str, NDArray[np.uint8]] = {}
        for slab in self.slabs():
            out.setdefault(slab.name, slab.rgb[len(slab.rgb) // 2])
        return out

    def controls(self, on_progress: OnProgress | None = None, cancel: CancelToken | None = None) -> dict[str, Any]:
        """The photographs themselves: how steady real colour is."""
        slabs = self.slabs(on_progress, cancel)
        scores = [judge(slab, slab.truth) for slab in track(slabs, "photographs", len(slabs), on_progress, cancel)]
        return {"photographs": summary(scores)}

    def run(
        self, painter: TruthPainter, on_progress: OnProgress | None = None, cancel: CancelToken | None = None
    ) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
        scores, pictures = paint_and_judge(painter, self.slabs(on_progress, cancel), on_progress, cancel)
        return summary(scores), pictures
