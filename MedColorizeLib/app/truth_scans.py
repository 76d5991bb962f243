"""MR and CT for `bench truth`: which scans, which of their voxels are which tissue, and the part of each that is used.

Tissues come from label maps where a scan has one, else from rules on Hounsfield units, stated in `Scan.rules`; MR
intensities mean nothing by themselves, so without labels an MR scan has none. Not for: judging (`truth_colors`).
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..imaging.foreground import foreground
from ..imaging.read import read_labels, read_volume
from ..imaging.tissues import tissue_map
from ..imaging.volume import Volume
from ..imaging.windows import Window, choose_window, codes
from ..training.frame import orientation

TISSUES = (
    "white matter", "gray matter", "csf", "fat", "muscle", "bone", "vessels", "lung", "liver", "kidney", "spleen",
    "heart", "bowel", "cartilage",
)  # fmt: skip
FAT = ("fat", -120.0, -60.0)
LUNG = ("lung", -950.0, -600.0)
BONE = ("bone", 300.0, 3000.0)
SLICES = 32
_CLOSING = 3
"""Voxels by which gaps in the outline of the body are closed before the air inside is looked for."""
_BRAINS, _BODIES = "neuromorphometrics", "totalsegmentator"


@dataclass(frozen=True)
class Scan:
    """One scan of the data at hand."""

    name: str
    modality: str
    file: str
    held_out: bool
    """False: models may have been trained on it, so it shows fit, not generalisation."""
    labels: str = ""
    label_set: str = ""
    rules: tuple[tuple[str, float, float], ...] = ()
    """(tissue, lowest, highest) in the scan's units, inside the body, where no label says otherwise."""
    window: str | tuple[float, float] = "auto"
    """A preset or bounds for what the automatic window does not show."""
    whole: bool = False
    """All of its slices are used, since they are few or the organs lie apart."""
    note: str = ""


SCANS = (
    *(
        Scan(f"{group}-{n}", "MR", f"mr/{group}/{n}_t1.nii.gz", True, f"mr/{group}/{n}_structures.nii.gz", _BRAINS)
        for group, numbers in (("oasis", (1017, 1018, 1019, 1023)), ("ixi", (17, 18, 19, 20)))
        for n in numbers
    ),
    *(Scan(f"stroke-{kind}", "MR", f"mr/brain/stroke_{kind}.nii.gz", True) for kind in ("t1", "t2", "flair")),
    Scan(
        "cta", "CT", "ct/head_cta_avm.nii.gz", True, rules=(("vessels", 80.0, 3000.0),), whole=True,
        window=(0.0, 500.0), note="a subtracted angiogram: nothing but vessels",
    ),
    Scan(
        "abdomen", "CT", "ct/abdomen_3mm.nii.gz", False, "ct/abdomen_3mm_labels.nii.gz", _BODIES, (FAT,), whole=True
    ),
    Scan("thorax", "CT", "ct/thorax_1p4mm.nii.gz", False, rules=(FAT, BONE)),
    Scan("lungs", "CT", "ct/thorax_1p4mm.nii.gz", False, rules=(LUNG,), window="lung", note="in the lung window"),
)  # fmt: skip


@dataclass(frozen=True, eq=False)
class Loaded:
    """The part of a scan that is coloured."""

    scan: Scan
    volume: Volume
    window: Window
    gray: NDArray[np.uint8]
    body: NDArray[np.bool_]
    tissues: NDArray[np.uint8] | None
    """1 + position in `TISSUES`; None where nothing tells them apart."""


def present(data: Path, scans: tuple[Scan, ...] = SCANS) -> list[Scan]:
    """Those whose files are there."""
    return [
        scan for scan in scans if (data / scan.file).is_file() and (not scan.labels or (data / scan.labels).is_file())
    ]


def load_scan(data: Path, scan: Scan, slices: int = SLICES) -> Loaded:
    """The scan, cut to `slices` axial slices about the middle of the body (0: all); its window is the whole scan's."""
    whole = read_volume(data / scan.file)
    whole = Volume(whole.array, whole.affine, scan.modality, whole.facts, whole.notes)
    window = choose_window(whole, scan.window)
    turn = orientation(whole.affine, "axial")
    gray = codes(whole.array, window)
    body = foreground(gray, whole.spacing)
    keep = _middle(body, turn.axes[0], 0 if scan.whole else slices)
    start = np.array([cut.start or 0 for cut in keep])[::-1]
    affine = whole.affine.copy()
    affine[:3, 3] += affine[:3, :3] @ start
    volume = Volume(np.ascontiguousarray(whole.array[keep]), affine, scan.modality, whole.facts)
    tissues = None
    if scan.labels or scan.rules:
        labels = read_labels(data / scan.labels, like=whole).array[keep] if scan.labels else None
        tissues = tissues_of(scan, volume.array, body[keep], labels)
    return Loaded(scan, volume, window, gray[keep], body[keep], tissues)


def tissues_of(
    scan: Scan, array: NDArray[np.generic], body: NDArray[np.bool_], labels: NDArray[np.generic] | None
) -> NDArray[np.uint8]:
    """1 + position in `TISSUES` of every voxel that a label or a rule knows."""
    out = np.zeros(array.shape, np.uint8)
    free = body
    if labels is not None:
        out = tissue_map(labels, scan.label_set, TISSUES)
        free = body & (labels == 0)
    values = np.asarray(array, dtype=np.float32)
    for tissue, low, high in scan.rules:
        # The lungs' air is cut out of what a threshold calls body, so they are looked for within its outline.
        inside = _filled(body) if tissue == "lung" else free
        out[inside & (values >= low) & (values <= high) & (out == 0)] = 1 + TISSUES.index(tissue)
    return out


def axial_pictures(array: NDArray[Any], affine: NDArray[np.float64]) -> NDArray[Any]:
    """A volume's axial slices as pictures with the nose up, (n, H, W[, 3])."""
    return orientation(affine, "axial").apply(array)


def square(picture: NDArray[np.uint8], side: int = 160) -> NDArray[np.uint8]:
    """A picture cut to what is not black and fitted into a black square: all sizes of body become one."""
    from PIL import Image

    lit = picture.max(axis=-1) > 8
    out = Image.new("RGB", (side, side))
    if lit.any():
        rows, columns = np.flatnonzero(lit.any(axis=1)), np.flatnonzero(lit.any(axis=0))
        part = Image.fromarray(np.ascontiguousarray(picture[rows[0] : rows[-1] + 1, columns[0] : columns[-1] + 1]))
        factor = side / max(part.size)
        size = (max(1, round(part.width * factor)), max(1, round(part.height * factor)))
        part = part.resize(size, Image.Resampling.BOX if factor < 1 else Image.Resampling.BICUBIC)
        out.paste(part, ((side - part.width) // 2, (side - part.height) // 2))
    return np.asarray(out)


def _middle(body: NDArray[np.bool_], axis: int, slices: int) -> tuple[slice, slice, slice]:
    """The box of `slices` slices across an axis, about the middle of the body."""
    keep = [slice(None)] * 3
    found = np.flatnonzero(body.any(axis=tuple(a for a in range(3) if a != axis)))
    if slices and len(found):
        middle = (found[0] + found[-1] + 1) // 2
        start = int(np.clip(middle - slices // 2, 0, max(body.shape[axis] - slices, 0)))
        keep[axis] = slice(start, min(start + slices, body.shape[axis]))
    return keep[0], keep[1], keep[2]


def _filled(body: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """The body with the air inside it, slice by slice."""
    from scipy import ndimage

    out = np.zeros_like(body)
    for k, plane in enumerate(body):
        padded = np.pad(plane, _CLOSING + 1)
        closed = ndimage.binary_closing(padded, iterations=_CLOSING)
        out[k] = ndimage.binary_fill_holes(closed)[_CLOSING + 1 : -_CLOSING - 1, _CLOSING + 1 : -_CLOSING - 1]
    return out
