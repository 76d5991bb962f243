"""Reference bands: what the cryosections of the Visible Human score in the report's own terms.

    python Testing/Benchmarks/cryosection_bands.py --data ../shared/data -o Resources/Bands/cryosections.json

The true colours are judged as if they were a result, their own luma as the gray input. Slabs of 26 frames, none across
a known camera or block jump or within five frames after one. Two groups: slabs held out from training, and the rest
(from which alone bounds are chosen).
"""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

import itertools

from MedColorizeLib.evaluation.assessment import Assessment, assess
from MedColorizeLib.imaging.atomic import write_atomically
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.cryosection import body
from MedColorizeLib.imaging.volume import ColorVolume

JUMPS_AFTER = (121, 361, 391, 417, 451, 505, 656, 1017, 1424)
HELD_OUT = ((80, 105), (430, 455), (640, 665), (1100, 1125))
MARGIN = 5
SETTLING = 5
"""Frames left out after a jump: the first cuts of a new block (506-507, 1018-1021) show gelatine over the tissue."""
SLAB = 26
FRAMES = (3, 1867)
SPACING = (1.0, 2 * 0.528, 2 * 0.528)
KEYS = {
    "shift_per_mm": "Common chroma shift of matched tissue, summed over pairs of neighbouring slices, per mm walked.",
    "flicker_per_mm": "The same for the median chroma difference of matched voxels.",
    "flicker": "Median chroma difference of matched voxels, mean over pairs of slices 1 mm apart.",
    "jitter": "Root mean square of tissue mean colours about their course smoothed over 10 mm; four intensity classes.",
    "drift_per_mm": "dE between the most different smoothed tissue colours over the slab's length.",
    "spread": "Mean dE of a tissue's voxels to its mean colour.",
    "isotropy": "Chroma variation across slices over that within slices at the same distance.",
    "bleeding_share": "Share of visible chroma edges without a luma edge within 2 mm.",
    "colorfulness": "Hasler and Suesstrunk, over the body.",
}


def load_slab(folder: Path, first: int, last: int) -> tuple[NDArray[np.uint8], NDArray[np.bool_]]:
    """Frames `first` to `last` at half resolution, (K, 360, 640, 3), and where the body is."""
    from PIL import Image
    from scipy import ndimage

    frames, masks = [], []
    for number in range(first, last + 1):
        with Image.open(folder / f"{number:04d}.jpg") as picture:
            full = picture.convert("RGB")
        frames.append(np.asarray(full.reduce(2)))
        # The rim of 3 mm is mixed with blue gelatine by the video's coarse chroma.
        masks.append(ndimage.binary_erosion(body(np.asarray(full))[::2, ::2], iterations=3))
    return np.stack(frames), np.stack(masks)


def slabs() -> list[tuple[str, int, int]]:
    """(`held out` or `rest`, first, last): all slabs of 26 frames; a held-out one is cut at a jump."""
    cuts = sorted({FRAMES[0] - 1, *JUMPS_AFTER, FRAMES[1]})
    out = []
    for before, last in itertools.pairwise(cuts):
        fresh = before + SETTLING if before in JUMPS_AFTER else before
        for start, stop in HELD_OUT:
            low, high = max(start, before + 1), min(stop, last)
            if high - low >= SLAB // 2:
                out.append(("held out", low, high))
        free = [n for n in range(fresh + 1, last + 1) if not any(a - MARGIN <= n <= b + MARGIN for a, b in HELD_OUT)]
        runs = np.split(free, np.flatnonzero(np.diff(free) > 1) + 1)
        for run in runs:
            out += [("rest", int(run[n]), int(run[n + SLAB - 1])) for n in range(0, len(run) - SLAB + 1, SLAB)]
    return sorted(out, key=lambda slab: slab[1])


def judge(rgb: NDArray[np.uint8], mask: NDArray[np.bool_]) -> Assessment:
    """The true colours as if they were a result."""
    affine = np.diag([SPACING[2], SPACING[1], -SPACING[0], 1.0])  # rows run from back to front, frames downwards
    gray = luma_codes(rgb)
    return assess(gray, ColorVolume(np.where(mask[..., None], rgb, gray[..., None]), affine), foreground=mask)


def numbers(result: Assessment) -> dict[str, float]:
    """The banded numbers of one slab, across its slices."""
    across = result.consistency[0]
    weights = np.array([t.voxels for t in across.tissues], dtype=float)
    drift = float(np.average([t.drift_per_mm for t in across.tissues], weights=weights))
    own = {"drift_per_mm": drift, "bleeding_share": result.trust.bleeding_share}
    own["colorfulness"] = result.fidelity.colorfulness
    return {key: own[key] if key in own else float(getattr(across, key)) for key in KEYS}


def main() -> None:
    """Measure all slabs and write the file."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="folder that holds cryosections/vhm/NNNN.jpg")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--every", type=int, default=1, help="only every n-th slab of the rest, for a quick look")
    options = parser.parse_args()
    rows: list[dict[str, object]] = []
    rest = 0
    for group, first, last in slabs():
        if group == "rest":
            rest += 1
            if (rest - 1) % options.every:
                continue
        rgb, mask = load_slab(options.data / "cryosections" / "vhm", first, last)
        if mask.mean() < 0.01:
            continue
        result = judge(rgb, mask)
        row = numbers(result)
        rows.append({"group": group, "frames": [first, last], "outliers": len(result.consistency[0].outliers), **row})
        print(f"{group:8s} {first:4d}-{last:4d} " + " ".join(f"{k} {v:.3f}" for k, v in row.items()), flush=True)
    document = {
        "schema": "medcolorize-bands/1",
        "source": 'Visible Human Male, colour cryosections ("Courtesy of the U.S. National Library of Medicine")',
        "how": __doc__.split("\n\n")[-1].replace("\n", " ").strip()
        + f" 1 mm between frames, {SPACING[1]:.3f} mm pixels (half resolution), tissue only: blue gelatine and latex, "
        "labels, cards and a rim of 3 mm masked. One donor, frames of a compressed video: photography and "
        "compression add to nature, so the bands are a little wide.",
        "bands": _bands(rows, "rest"),
        "held_out": _bands(rows, "held out"),
        "slabs": rows,
    }
    options.output.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(options.output, json.dumps(document, indent=1) + "\n")


def _bands(rows: list[dict[str, object]], group: str) -> dict[str, dict[str, object]]:
    out: dict[str, dict[str, object]] = {}
    for key, how in KEYS.items():
        values = np.array([row[key] for row in rows if row["group"] == group], dtype=float)
        values = values[np.isfinite(values)]
        low, middle, high = np.percentile(values, (5, 50, 95))
        out[key] = {
            "p05": round(float(low), 4),
            "median": round(float(middle), 4),
            "p95": round(float(high), 4),
            "slabs": len(values),
            "how": how,
        }
    return out


if __name__ == "__main__":
    main()
