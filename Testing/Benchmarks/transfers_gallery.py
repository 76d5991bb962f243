"""The contact sheet of what colours a brain: every transfer after the same cryosection, the trained model, the palette.

    python Testing/Benchmarks/transfers_gallery.py Docs/Figures/exemplar-gallery.jpg --data DIR --work DIR

Each slice is one row: the measured slice, then its brightness with the chroma of each system, as MedColorize writes it;
the row below shows what the transfers give before that, with their own brightness (`zeng`: before its imaging module).
Finished pictures are kept in --work: run it again after a stop. No face is shown: the head has no skull.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from MedColorizeLib.app.papers_exemplar import budgeted, own_luma
from MedColorizeLib.evaluation.papers import Budget
from MedColorizeLib.exemplar.pictures import box, fitted, read_picture
from MedColorizeLib.exemplar.registry import load_transfer, transfer_names
from MedColorizeLib.imaging.luma import fit_gamut
from MedColorizeLib.imaging.read import read_volume
from MedColorizeLib.imaging.windows import choose_window, codes
from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.training.frame import orientation

VOLUME = "mr/oasis/1017_t1.nii.gz"
PLACES = (0.42, 0.62)
"""Of the slices, along the head from the top; held out from all training."""
REFERENCE = "cryosections/vhm/0072.jpg"
TRANSFERS = ("welsh", "ictede", "ctccs", "cpami", "mrf-cnn", "dpst", "adpst", "zeng")
"""As in Zeng's Table 3."""
MODELS = {"head-mr": {"model": "head-mr"}, "palette": {"palette": "head-mr"}}
GAP, CAPTION = 3, 20


class Slices:
    """Axial slices of the volume in radiological order, cropped to the head, and anything coloured cut alike."""

    def __init__(self, path: Path, size: int) -> None:
        self.volume = read_volume(path)
        self._turn, self._size = orientation(self.volume.affine, "axial"), size
        gray = self._turn.apply(codes(self.volume.array, choose_window(self.volume)))
        self._rows, self._columns = box(gray.max(axis=0))
        self.gray = [self._cut(gray[round(place * len(gray))]) for place in PLACES]

    def of(self, rgb: np.ndarray) -> list[np.ndarray]:
        """The same slices of the coloured volume."""
        turned = self._turn.apply(rgb)
        return [self._cut(turned[round(place * len(turned))]) for place in PLACES]

    def _cut(self, plane: np.ndarray) -> np.ndarray:
        return fitted(np.ascontiguousarray(plane[self._rows, self._columns]), (self._size, self._size))


def systems(slices: Slices, reference: np.ndarray, args: argparse.Namespace) -> Iterator[tuple[str, np.ndarray]]:
    """Name and pictures (slices, H, W, 3) of every system, before brightness is put back."""
    budget = Budget("gallery", args.iterations, args.size)
    weights = args.data / "weights" / "vgg19_conv1_1_to_conv3_4.npz"
    for name in (*TRANSFERS, *MODELS):
        kept = args.work / f"{name}-{args.size}-{args.iterations}.npy"
        if not kept.is_file():
            print(name, flush=True)
            if name in MODELS:
                made = np.stack(slices.of(Colorizer(**MODELS[name]).colorize(slices.volume).rgb)).astype(np.float32)
            else:
                options, _ = budgeted(name, budget, weights)
                transfer = load_transfer(name)(load_transfer(name).Options.from_mapping(options))
                made = np.stack([own_luma(transfer, transfer.transfer(gray, reference)) for gray in slices.gray])
            np.save(kept, made)
        yield name, np.load(kept)


def main() -> None:
    """Make what is missing, and draw the sheet."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("out", type=Path)
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--size", type=int, default=160)
    parser.add_argument("--iterations", type=int, default=60)
    args = parser.parse_args()
    assert set(TRANSFERS) == set(transfer_names())
    args.work.mkdir(parents=True, exist_ok=True)
    slices = Slices(args.data / VOLUME, args.size)
    # Frames are stored with the back at the top.
    reference = np.ascontiguousarray(read_picture(args.data / REFERENCE, "cryosection", 960)[::-1])
    font = ImageFont.load_default(size=13)
    cell = args.size + GAP
    sheet = Image.new(
        "RGB", (cell * (1 + len(TRANSFERS) + len(MODELS)) - GAP, CAPTION + 2 * cell * len(PLACES)), "white"
    )
    draw = ImageDraw.Draw(sheet)

    def put(picture: np.ndarray, column: int, row: int) -> None:
        shown = np.clip(np.rint(picture), 0, 255).astype(np.uint8)
        sheet.paste(Image.fromarray(shown), (column * cell, CAPTION + row * cell))

    draw.text((2, 2), "measured; reference", fill="black", font=font)
    for number, gray in enumerate(slices.gray):
        put(np.repeat(gray[..., None], 3, axis=2), 0, 2 * number)
        put(fitted(reference, gray.shape), 0, 2 * number + 1)
    for column, (name, pictures) in enumerate(systems(slices, reference, args), 1):
        draw.text((column * cell + 2, 2), name, fill="black", font=font)
        for number, (gray, picture) in enumerate(zip(slices.gray, pictures, strict=True)):
            put(picture if name in MODELS else fit_gamut(picture, gray)[0], column, 2 * number)
            if name not in MODELS:
                put(picture, column, 2 * number + 1)
    sheet.save(args.out, quality=85)
    print(f"{args.out}: {args.out.stat().st_size // 1024} kB")


if __name__ == "__main__":
    main()
