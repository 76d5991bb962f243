"""Coloured MR and CT for `bench truth`: tissue by tissue against the photographs, as sets of pictures, and how steady.

No scan has a true colour, so three questions stand in: is each tissue coloured as the same tissue of a real body is
(`evaluation.tissue_match`), do the slices as a set look like photographs (a Frechet distance to held-out cryosections,
in stated features, on slices cut to the body and brought to one size), and is the colour steady from slice to slice.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, ModelError
from ..evaluation.assessment import assess
from ..evaluation.frechet import Features, LabStatistics, frechet_distance
from ..evaluation.tissue_match import match_tissues
from ..imaging.tissues import tissue_colors
from ..progress import CancelToken, OnProgress, track
from .truth_painters import TruthPainter
from .truth_scans import SCANS, SLICES, TISSUES, Loaded, Scan, axial_pictures, load_scan, present, square
from .truth_slabs import HELD_OUT, STEADY, Slab, load_slabs, steadiness

HEAD_LAST = 250
"""Frames up to this one are of the head and neck: what MR heads are compared with; CT with all the others."""
_EVERY = 2
"""Every second slice goes into the distances: neighbours are nearly the same picture."""


@dataclass
class ScanPart:
    """The bench's part `scans`; see `truth_bench.Part`."""

    data: Path
    slices: int = SLICES
    scans: tuple[Scan, ...] = SCANS
    frames: Sequence[tuple[int, int]] = HELD_OUT
    name: str = "scans"
    _loaded: dict[str, Loaded] | None = None
    _spaces: list[Features] | None = None
    _frames: dict[str, list[Slab]] | None = None
    _photographs: dict[str, list[NDArray[Any]]] | None = None

    def settings(self) -> dict[str, Any]:
        return {
            "slices": self.slices,
            "frames": [list(pair) for pair in self.frames],
            "scans": {
                scan.name: {
                    "modality": scan.modality,
                    "held_out": scan.held_out,
                    "note": scan.note,
                    "tissues": bool(scan.labels or scan.rules),
                }
                for scan in present(self.data, self.scans)
            },
        }

    def takes(self, painter: TruthPainter) -> bool:
        return any(painter.colors(scan.modality) for scan in present(self.data, self.scans))

    def references(self) -> dict[str, NDArray[np.uint8]]:
        """None: there is no true colour, and gray is a painter."""
        return {}

    def controls(self, on_progress: OnProgress | None = None, cancel: CancelToken | None = None) -> dict[str, Any]:
        """The photographs: how far one half of their slices is from the other, and how steady they are."""
        out: dict[str, Any] = {}
        vectors = self._vectors(on_progress, cancel)
        for modality, slabs in self._slabs(on_progress, cancel).items():
            steady = [steadiness(s.volume.array, s.truth, s.judged) for s in slabs if len(s.rgb) >= STEADY]
            keys = ("flicker_per_mm", "shift_per_mm", "jitter")
            out[modality] = {
                "frechet": {
                    space.name: frechet_distance(v[::2], v[1::2])
                    for space, v in zip(self._features(), vectors[modality], strict=True)
                },
                **{key: np.mean([s[key] for s in steady], axis=0).tolist() if steady else [None] * 3 for key in keys},
                "tissues": {},
            }
        return {"photographs": out}

    def run(
        self, painter: TruthPainter, on_progress: OnProgress | None = None, cancel: CancelToken | None = None
    ) -> tuple[dict[str, Any], dict[str, NDArray[np.uint8]]]:
        """All scans that this painter was made for, coloured once."""
        mine = [loaded for loaded in self._scans(on_progress, cancel).values() if painter.colors(loaded.scan.modality)]
        judged: dict[str, list[dict[str, Any]]] = {}
        shown: dict[str, list[NDArray[np.uint8]]] = {}
        pictures = {}
        for loaded in track(mine, f"scans: {painter.name}", len(mine), on_progress, cancel):
            color = painter.colorize(loaded.volume, loaded.window, None, cancel)
            found = assess(loaded.gray, color, foreground=loaded.body)
            row: dict[str, Any] = {
                "scan": loaded.scan.name,
                "flicker_per_mm": [a.flicker_per_mm for a in found.consistency],
                "shift_per_mm": [a.shift_per_mm for a in found.consistency],
                "jitter": [a.jitter for a in found.consistency],
                "luma_psnr": found.fidelity.luma_psnr,
                "luma_ssim": found.fidelity.luma_ssim,
                "tissues": {},
            }
            if loaded.tissues is not None:
                matches = match_tissues(color.rgb, loaded.tissues, TISSUES, tissue_colors())
                row["tissues"] = {name: match.to_dict() for name, match in matches.items()}
            judged.setdefault(loaded.scan.modality, []).append(row)
            slices = axial_pictures(color.rgb, color.affine)[::_EVERY]
            lit = axial_pictures(loaded.body, color.affine)[::_EVERY].mean(axis=(1, 2)) > 0.01
            shown.setdefault(loaded.scan.modality, []).extend(
                square(s) for s, show in zip(slices, lit, strict=True) if show
            )
            pictures[loaded.scan.name] = _middle_picture(color.rgb, loaded)
        figures = {
            modality: self._together(modality, rows, shown[modality], on_progress, cancel)
            for modality, rows in judged.items()
        }
        return figures, pictures

    def _together(
        self,
        modality: str,
        rows: list[dict[str, Any]],
        pictures: list[NDArray[np.uint8]],
        on_progress: OnProgress | None,
        cancel: CancelToken | None,
    ) -> dict[str, Any]:
        """Means over a modality's scans, each counting alike, and the distance of all their slices."""
        out: dict[str, Any] = {
            key: np.nanmean([row[key] for row in rows], axis=0).tolist()
            for key in ("flicker_per_mm", "shift_per_mm", "jitter", "luma_ssim")
        }
        out["luma_psnr"] = min(row["luma_psnr"] for row in rows)
        out["tissues"] = {}
        for tissue in TISSUES:
            own = [row["tissues"][tissue] for row in rows if tissue in row["tissues"]]
            if own:
                out["tissues"][tissue] = {
                    "scans": len(own),
                    **{key: np.mean([one[key] for one in own], axis=0).tolist() for key in own[0]},
                }
        photographs = self._vectors(on_progress, cancel)[modality]
        out["frechet"], out["pictures"] = {}, len(pictures)
        for space, theirs in zip(self._features(), photographs, strict=True):
            mine = [space(np.stack(pictures[n : n + 16])) for n in range(0, len(pictures), 16)]
            out["frechet"][space.name] = frechet_distance(np.concatenate(mine), theirs)
        out["scans"] = rows
        return out

    def _scans(self, on_progress: OnProgress | None = None, cancel: CancelToken | None = None) -> dict[str, Loaded]:
        if self._loaded is None:
            known = present(self.data, self.scans)
            if not known:
                raise InputError(f"{self.data} holds none of the scans of this bench. Say where with --data.")
            tracked = track(known, "scans", len(known), on_progress, cancel)
            self._loaded = {scan.name: load_scan(self.data, scan, self.slices) for scan in tracked}
        return self._loaded

    def _features(self) -> list[Features]:
        """Colour statistics always; SqueezeNet's (or Inception's) where weights are at hand."""
        if self._spaces is None:
            self._spaces = [LabStatistics()]
            try:
                from ..networks.picture_features import picture_features

                weights = self.data / "weights" / "squeezenet11_features.mat"
                network = picture_features(weights if weights.is_file() else None)
            except (ImportError, ModelError):
                network = None
            if network is not None:
                self._spaces.append(network)
        return self._spaces

    def _slabs(self, on_progress: OnProgress | None, cancel: CancelToken | None) -> dict[str, list[Slab]]:
        """The photographs, by the modality that is compared with them; read once."""
        if self._frames is None:
            self._frames = {}
            folder = self.data / "cryosections" / "vhm"
            for slab in load_slabs(folder, self.frames, on_progress=on_progress, cancel=cancel):
                self._frames.setdefault("MR" if slab.frames[1] <= HEAD_LAST else "CT", []).append(slab)
        return self._frames

    def _vectors(self, on_progress: OnProgress | None, cancel: CancelToken | None) -> dict[str, list[NDArray[Any]]]:
        """Of the photographs, by modality and feature space."""
        if self._photographs is None:
            self._photographs = {}
            for modality, slabs in self._slabs(on_progress, cancel).items():
                pictures = [square(picture) for slab in slabs for picture in axial_pictures(slab.rgb, slab.affine)]
                self._photographs[modality] = [
                    np.concatenate([space(np.stack(pictures[n : n + 16])) for n in range(0, len(pictures), 16)])
                    for space in self._features()
                ]
        return self._photographs


def _middle_picture(rgb: NDArray[np.uint8], loaded: Loaded) -> NDArray[np.uint8]:
    """The middle axial slice, with square pixels."""
    from PIL import Image

    from ..training.frame import orientation

    turn = orientation(loaded.volume.affine, "axial")
    pictures = turn.apply(rgb)
    picture = Image.fromarray(np.ascontiguousarray(pictures[len(pictures) // 2]))
    fine = min(turn.mm[1:])
    size = (round(picture.width * turn.mm[2] / fine), round(picture.height * turn.mm[1] / fine))
    return np.asarray(picture.resize(size, Image.Resampling.BICUBIC))
