"""Of which scans the shipped models warn: false alarms over scans of their kind, and misses over other things.

    python Testing/Benchmarks/likeness_table.py --data ../shared/data

Prints a Markdown table. `held out`: scans of the model's kind that it was not trained on; `in training`: those it was
(they should be like, by construction); `other`: what it was never made for. Takes about a second a scan.
"""

from __future__ import annotations

import argparse
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
from PIL import Image

from MedColorizeLib.imaging.foreground import foreground
from MedColorizeLib.imaging.read import read_volume
from MedColorizeLib.imaging.volume import Volume
from MedColorizeLib.imaging.windows import choose_window, codes, modality_of
from MedColorizeLib.inference.network import NetworkPainter, load_painter
from MedColorizeLib.inference.painter import Subject

HELD_OASIS, HELD_IXI = ("1017", "1018", "1019", "1023"), ("17", "18", "19", "20")
Row = tuple[str, str, str, Callable[[], Volume]]


def rows(data: Path) -> Iterator[Row]:
    """Model, kind, name and scan."""
    for path in sorted((data / "mr" / "oasis").glob("*_t1.nii.gz")):
        kind = "held out" if path.name.startswith(HELD_OASIS) else "in training"
        yield "head-mr", kind, f"brain T1 (OASIS {path.name[:4]})", lambda path=path: read_volume(path)  # type: ignore[misc]
    for path in sorted((data / "mr" / "ixi").glob("*_[tf]*.nii.gz")):
        if path.name.endswith(("t1.nii.gz", "flair.nii.gz")):
            kind = "held out" if path.name.startswith(HELD_IXI) else "in training"
            name = f"head {path.name.split('.')[0].replace('_', ' ')} (IXI)"
            yield "head-mr", kind, name, lambda path=path: read_volume(path)  # type: ignore[misc]
    for path in sorted((data / "mr" / "whole_head").iterdir()):
        yield "head-mr", "in training", f"head {path.name.split('.')[0]}", lambda path=path: read_volume(path)  # type: ignore[misc]
    for path in sorted((data / "mr" / "brain").iterdir()):
        yield "head-mr", "held out", f"brain {path.name.split('.')[0]}", lambda path=path: read_volume(path)  # type: ignore[misc]
    yield "head-mr", "held out", "head FLAIR, oblique, 5 mm (DICOM)", lambda: read_volume(data / "dicom/brainix_flair")
    for name in ("thorax_1p4mm", "abdomen_3mm"):
        yield "body-ct", "in training", f"CT {name}", lambda name=name: read_volume(data / f"ct/{name}.nii.gz")  # type: ignore[misc]
    for model in ("head-mr", "body-ct"):
        for name, scan in others(data).items():
            yield model, "other", name, scan
    yield "body-ct", "other", "brain T1 (OASIS 1017)", lambda: read_volume(data / "mr/oasis/1017_t1.nii.gz")


def others(data: Path) -> dict[str, Callable[[], Volume]]:
    """What neither model was made for (a head CT is body-ct's kind, but none was in its training)."""
    brain, head = data / "mr/oasis/1017_t1.nii.gz", data / "mr/ixi/17_t1.nii.gz"
    random = np.random.default_rng(0)
    return {
        "thorax CT, modality not stated, +1024": lambda: shifted(data / "ct/thorax_1p4mm.nii.gz"),
        "head CT (DICOM)": lambda: read_volume(data / "dicom/ct_gantry_tilt_uneven"),
        "vessels alone": lambda: read_volume(data / "ct/head_cta_avm.nii.gz"),
        "fundus photographs, stacked": lambda: stacked(data / "fundus/drive", "*.jpg", 24),
        "one fundus photograph, repeated": lambda: stacked(data / "fundus/drive", "*.jpg", 1),
        "ultrasound pictures, stacked": lambda: stacked(data / "ultrasound", "*.png", 24),
        "noise": lambda: Volume(random.integers(0, 256, (40, 128, 128)).astype(np.uint8), np.eye(4)),
        "brain inverted": lambda: inverted(brain, False),
        "brain inverted and upside down": lambda: inverted(brain, True),
        "whole head inverted": lambda: inverted(head, False),
        "whole head inverted and upside down": lambda: inverted(head, True),
        "brain at 0.3 of its size": lambda: scaled(brain, 0.3),
        "brain, right order of slices reversed": lambda: upside_down(brain),
    }


def shifted(path: Path) -> Volume:
    volume = read_volume(path)
    return Volume((volume.array.astype(np.int32) + 1024).astype(np.uint16), volume.affine)


def scaled(path: Path, factor: float) -> Volume:
    volume = read_volume(path)
    return Volume(volume.array, volume.affine @ np.diag([factor] * 3 + [1.0]))


def upside_down(path: Path) -> Volume:
    volume = read_volume(path)
    return Volume(np.ascontiguousarray(volume.array[::-1]), volume.affine)


def inverted(path: Path, turned: bool) -> Volume:
    """Dark where it was bright, the air left black."""
    volume = read_volume(path)
    gray = codes(volume.array, choose_window(volume))
    inside = foreground(gray, volume.spacing)
    made = np.where(inside, 255 - gray, 0).astype(np.uint8)
    return Volume(np.ascontiguousarray(made[::-1, ::-1]) if turned else made, volume.affine)


def stacked(folder: Path, ending: str, count: int) -> Volume:
    grays = [np.asarray(Image.open(file).convert("L")) for file in sorted(folder.glob(ending))[:count]]
    grays = grays * 24 if count == 1 else grays
    size = [min(gray.shape[axis] for gray in grays) for axis in range(2)]
    step = max(1, max(size) // 190)
    return Volume(np.stack([gray[: size[0] : step, : size[1] : step] for gray in grays]), np.diag([0.7, 0.7, 1, 1]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real images")
    parser.add_argument("--kind", action="append", help="only rows of this kind; may be repeated")
    args = parser.parse_args()
    painters: dict[str, NetworkPainter] = {}
    tally: dict[tuple[str, str], list[bool]] = {}
    print("| model | kind | scan | score (1: limit) | what is beyond training |\n|---|---|---|---:|---|", flush=True)
    for model, kind, name, scan in rows(args.data):
        if args.kind and kind not in args.kind:
            continue
        painter = painters.setdefault(model, load_painter(model, device="cpu"))
        volume = scan()
        gray = np.ascontiguousarray(codes(volume.array, choose_window(volume)))
        found = painter.likeness(Subject(gray, volume.affine, modality_of(volume)))
        if found is None:
            raise SystemExit(f"'{model}' was not measured: medcolorize models measure {model} ...")
        tally.setdefault((model, kind), []).append(found.unlike)
        print(f"| {model} | {kind} | {name} | {found.score:.2f} | {'; '.join(found.reasons)} |", flush=True)
    print()
    for (model, kind), warned in tally.items():
        print(f"{model}, {kind}: {sum(warned)} of {len(warned)} get the warning.")


if __name__ == "__main__":
    main()
