"""What the shipped models make of real scans: slices and volume renderings, and the pictures of the model cards.

    python Testing/Benchmarks/model_gallery.py --data ../shared/data -o OUT               every scan, slices and 3D
    python Testing/Benchmarks/model_gallery.py --data ../shared/data -o OUT --only NAME   one of them (may be repeated)
    python Testing/Benchmarks/model_gallery.py --data ../shared/data -o OUT --cards [head-mr body-ct]
        good.jpg and bad.jpg of each model: drawn into OUT, and put into the bundle with --install

The captions of the cards (`CARDS`) tell what one model showed: look at the pictures of another, and change them.
No face is shown: whole heads are cut above the eyes, and seen from behind and from above.
"""

from __future__ import annotations

import argparse
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageDraw

from MedColorizeLib.bundles.amend import amend
from MedColorizeLib.bundles.store import find
from MedColorizeLib.imaging.read import read_volume
from MedColorizeLib.imaging.volume import ColorVolume, Volume
from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.mrml.marks import beside
from MedColorizeLib.mrml.movies import save_png
from MedColorizeLib.mrml.pictures import Scenery, Style
from MedColorizeLib.mrml.planes import PlaneStyle, plane_pictures
from MedColorizeLib.mrml.rendering import Look
from MedColorizeLib.training.frame import crop_or_pad, orientation

Picture = NDArray[np.uint8]
_LARGEST = 60_000
"""Bytes of a picture on a card."""
_TALL, _WIDE = 300, 1620
"""Pixels of a picture and of a row on the sheet."""


@dataclass(frozen=True)
class Subject:
    """One scan of the gallery."""

    file: str
    model: str
    title: str
    planes: tuple[str, ...] = ("axial", "coronal", "sagittal")
    views: tuple[tuple[str, str | None], ...] = ()
    """Sides and cuts of the renderings."""
    face: bool = False


SUBJECTS = {
    "oasis-t1": Subject("mr/oasis/1017_t1.nii.gz", "head-mr", "brain, T1 (OASIS 1017, held out)",
                        views=(("three-quarter", None), ("three-quarter", "corner"))),
    "ixi-t1": Subject("mr/ixi/17_t1.nii.gz", "head-mr", "head, T1, 2 mm (IXI 17, held out)", ("axial", "coronal"),
                      (("posterior", None), ("superior", "axial")), face=True),
    "ixi-flair": Subject("mr/ixi/18_flair.nii.gz", "head-mr", "head, FLAIR (IXI 18, held out)", ("axial", "coronal"),
                         face=True),
    "head-t2": Subject("mr/whole_head/t2w.nii.gz", "head-mr", "head, T2 (in training)", ("axial", "coronal"),
                       face=True),
    "head-pd": Subject("mr/whole_head/chris_pd.nii.gz", "head-mr", "head, PD (in training)", ("axial", "coronal"),
                       face=True),
    "head-t1-1mm": Subject("mr/whole_head/uih_t1_1mm.nii.gz", "head-mr", "head, T1, 1 mm (in training)",
                           ("axial", "coronal"), (("posterior", None), ("superior", "axial")), face=True),
    "stroke-t2": Subject("mr/brain/stroke_t2.nii.gz", "head-mr", "brain with stroke, T2 (held out)"),
    "stroke-flair": Subject("mr/brain/stroke_flair.nii.gz", "head-mr", "brain with stroke, FLAIR (held out)"),
    "thorax-ct": Subject("ct/thorax_1p4mm.nii.gz", "body-ct", "thorax CT (in training)",
                         views=(("anterior", None), ("anterior", "coronal"))),
    "abdomen-ct": Subject("ct/abdomen_3mm.nii.gz", "body-ct", "abdomen CT (in training)",
                          views=(("anterior", None), ("anterior", "coronal"))),
}  # fmt: skip

CARDS = {
    "head-mr": {
        "good.jpg": ("oasis-t1", "A brain it was not trained on (T1, OASIS): gray matter, white matter and the fluid "
                     "around them are told apart, in all three planes."),
        "bad.jpg": ("stroke-t2", "T2 of a brain with a stroke, of a scanner it was not trained on: fluid is bright "
                    "there and comes out cream like white matter in T1, and so does the lesion. Disease was never "
                    "taught."),
    },
    "body-ct": {
        "good.jpg": ("abdomen-ct", "Abdomen (in its training set): bone, muscle, organs and fat are told apart. Fat is "
                     "brown, not cream, because it is dark at this window and brightness is kept."),
        "bad.jpg": ("thorax-ct", "Thorax without labels (in its training set): liver and muscle get the same red, and "
                    "the heart's chambers that of its walls, since without contrast agent they are equally bright; fat "
                    "is brown."),
    },
}  # fmt: skip


def scan(data: Path, subject: Subject) -> Volume:
    """The scan; of whole heads the part above the eyes."""
    volume = read_volume(data / subject.file)
    if not subject.face:
        return volume
    up = int(np.abs(volume.affine[2, :3]).argmax())
    axis = 2 - up
    count = volume.array.shape[axis]
    rising = volume.affine[2, up] > 0
    bright = volume.array > np.percentile(volume.array, 60)
    held = np.flatnonzero(bright.mean(axis=tuple(n for n in range(3) if n != axis)) > 0.05)
    top = held[-1] if rising else held[0]
    keep = min(round(95 / float(np.linalg.norm(volume.affine[:3, up]))), count)
    low, high = (max(0, top - keep), count) if rising else (0, min(count, top + keep))
    part = [slice(None)] * 3
    part[axis] = slice(low, high)
    affine = volume.affine.copy()
    affine[:3, 3] += low * affine[:3, up]
    return Volume(np.ascontiguousarray(volume.array[tuple(part)]), affine, volume.modality)


def draw(data: Path, subject: Subject, out: Path, name: str, flat: bool) -> tuple[Volume, ColorVolume, list[str]]:
    """Slices, and unless `flat` renderings, of one scan."""
    gray = scan(data, subject)
    made = Colorizer(model=subject.model, device="cpu").colorize(gray, alpha=True)
    save_png(out / f"{name}-slices.png", plane_pictures(made, subject.planes, gray=gray, style=PlaneStyle(360)),
             made.provenance, overwrite=True)  # fmt: skip
    for view, cut in () if flat else subject.views:
        # Of a trunk cut open the organs are wanted, not the bones that are shown by default.
        look = Look("ct-soft-tissue") if cut and subject.model == "body-ct" else None
        with Scenery(made, Style(size=(520, 520), cut=cut, look=look), cut_from=view) as scenery:
            save_png(out / f"{name}-{view}{f'-{cut}' if cut else ''}.png", scenery.picture(view), made.provenance,
                     overwrite=True)  # fmt: skip
    return gray, made, [note for note in made.notes if "unlike" in note]


def sheet(out: Path, names: list[str]) -> None:
    """All pictures, as many scans in a row as fit."""
    strips = []
    for name in names:
        files = sorted(out.glob(f"{name}-*.png"), key=lambda file: (not file.name.endswith("slices.png"), file.name))
        pictures = [Image.open(file).convert("RGB") for file in files]
        shown = beside([np.asarray(p.resize((round(p.width * _TALL / p.height), _TALL))) for p in pictures])
        title = f"{SUBJECTS[name].title} - {SUBJECTS[name].model}"
        strip = Image.new("RGB", (max(shown.shape[1], 9 * len(title)) + 12, _TALL + 30))
        strip.paste(Image.fromarray(shown), (0, 24))
        ImageDraw.Draw(strip).text((6, 3), title, fill=(235, 235, 120), font_size=15)
        strips.append(np.asarray(strip))
    rows: list[list[Picture]] = [[]]
    for each in sorted(strips, key=lambda strip: -strip.shape[1]):  # the widest first, the narrow ones fill the rows
        free = (row for row in rows if sum(held.shape[1] for held in row) + each.shape[1] <= _WIDE)
        row = next(free, None)
        rows.append([each]) if row is None else row.append(each)
    lines = [np.concatenate(row, axis=1) for row in rows if row]
    widest = max(line.shape[1] for line in lines)
    padded = [np.pad(line, ((0, 0), (0, widest - line.shape[1]), (0, 0))) for line in lines]
    Image.fromarray(np.concatenate(padded)).save(out / "gallery.jpg", quality=85)


def small_jpeg(picture: Picture) -> bytes:
    """The picture as a JPEG that a bundle may hold."""
    image = Image.fromarray(picture)
    for width, quality in ((900, 85), (800, 80), (700, 72), (560, 65)):
        scaled = image.resize((width, round(image.height * width / image.width)), Image.Resampling.LANCZOS)
        buffer = BytesIO()
        scaled.save(buffer, "JPEG", quality=quality, optimize=True)
        if buffer.tell() <= _LARGEST:
            return buffer.getvalue()
    raise SystemExit(f"The picture does not fit into {_LARGEST} bytes.")


def small_png(color: ColorVolume) -> bytes:
    """The middle axial slice, square, as a thumbnail."""
    axial = orientation(color.affine, "axial").apply(color.array)
    slice_ = axial[len(axial) // 2]
    side = max(slice_.shape[:2])
    square = crop_or_pad(np.ascontiguousarray(slice_), (side, side), (slice_.shape[0] / 2, slice_.shape[1] / 2))
    buffer = BytesIO()
    Image.fromarray(square).resize((128, 128), Image.Resampling.LANCZOS).save(buffer, "PNG", optimize=True)
    return buffer.getvalue()


def cards(data: Path, out: Path, models: list[str], install: bool) -> None:
    """The good and the bad case of each model; into its bundle with `install`."""
    for model in models:
        pictures, thumbnail = {}, None
        for file, (name, caption) in CARDS[model].items():
            subject = SUBJECTS[name]
            gray = scan(data, subject)
            made = Colorizer(model=model, device="cpu").colorize(gray)
            pictures[file] = (small_jpeg(plane_pictures(made, gray=gray, style=PlaneStyle(360))), caption)
            thumbnail = thumbnail or small_png(made)
            (out / f"{model}-{file}").write_bytes(pictures[file][0])
            print(f"{model}/{file}: {len(pictures[file][0])} bytes. {caption}", flush=True)
        if install:
            amend(find(model), pictures=pictures, thumbnail=thumbnail)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, required=True, help="the folder of real images")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", action="append", choices=SUBJECTS, help="one scan; may be repeated")
    parser.add_argument("--flat", action="store_true", help="slices alone, no renderings")
    parser.add_argument("--cards", nargs="*", choices=CARDS, help="draw the pictures of the model cards")
    parser.add_argument("--install", action="store_true", help="with --cards: put them into the bundles")
    args = parser.parse_args()
    args.output.mkdir(parents=True, exist_ok=True)
    if args.cards is not None:
        cards(args.data, args.output, args.cards or list(CARDS), args.install)
        return
    names = args.only or list(SUBJECTS)
    for name in names:
        _, _, warned = draw(args.data, SUBJECTS[name], args.output, name, args.flat)
        print(f"{name}: drawn. {' '.join(warned)}", flush=True)
    sheet(args.output, names)


if __name__ == "__main__":
    main()
