"""Measures the colour of tissues in cryosections: hand-placed seeds, grown by colour, averaged by luma.

    medcolorize bench truth --measure-tissues -o DIR      writes DIR/cryosections.toml and DIR/regions.png

Seeds (`Resources/Tissues/cryosection-seeds.toml`) lie in frames that training may see, so the table may serve as a
training target too. A seed grows over connected pixels whose colour is near the median about the seed, within
`REACH_MM`; lightness counts half, because light varies across a tissue. Regions lose their rim, and every region counts
alike, however large. Per tissue the pixels are averaged in classes of luma.
"""

from __future__ import annotations

import tomllib
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..imaging.colordiff import chroma_difference, lab
from ..imaging.colorspaces import luma, rgb_to_ycbcr
from ..imaging.tissues import TissueColor
from ..progress import CancelToken, OnProgress, track
from ..resources import resources_dir

PIXEL_MM = 0.528
REACH_MM = 20.0
SEED_PIXELS = 2
"""Radius of the place whose median colour is the seed's."""
STEP = 12
"""Luma codes taken together."""
LEAST_SHARE = 0.02
"""Classes of luma with less of a tissue than this say too little."""
LEAST_PIXELS = 25


@dataclass(frozen=True, eq=False)
class Region:
    """What one seed grew into."""

    tissue: str
    frame: int
    seed: tuple[int, int]
    box: tuple[slice, slice]
    mask: NDArray[np.bool_]
    rgb: NDArray[np.uint8]
    """The picture within the box."""

    @property
    def pixels(self) -> NDArray[np.uint8]:
        return self.rgb[self.mask]


@dataclass(frozen=True)
class Seed:
    """A place of known tissue."""

    tissue: str
    frame: int
    x: int
    y: int
    tolerance: float


def read_seeds(path: Path | None = None) -> list[Seed]:
    """The places in a seed file, by default the one that came with the program."""
    path = path or resources_dir() / "Tissues" / "cryosection-seeds.toml"
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
        tolerance = content["tolerance"]
        return [
            Seed(name, int(frame), int(x), int(y), float(tolerance.get(name, tolerance["default"])))
            for name, places in content["tissue"].items()
            for frame, x, y in places
        ]
    except (OSError, KeyError, ValueError, TypeError) as error:
        raise InputError(
            f"{path} holds no seeds: it needs [tolerance] and [tissue], lists of [frame, x, y]."
        ) from error


def grow(
    rgb: NDArray[np.uint8], x: int, y: int, tolerance: float, reach: int = round(REACH_MM / PIXEL_MM)
) -> tuple[tuple[slice, slice], NDArray[np.bool_]]:
    """The connected pixels of like colour about (x, y), without their rim: a box of the picture and a mask within."""
    from scipy import ndimage

    box = (slice(max(y - reach, 0), y + reach + 1), slice(max(x - reach, 0), x + reach + 1))
    part = lab(rgb[box]).astype(np.float32)
    smooth = np.stack([ndimage.gaussian_filter(part[..., c], 1.0) for c in range(3)], axis=-1)
    row, column = y - box[0].start, x - box[1].start
    rows, columns = np.ogrid[: part.shape[0], : part.shape[1]]
    away = np.hypot(rows - row, columns - column)
    step = smooth - np.median(smooth[away <= SEED_PIXELS], axis=0)
    step[..., 0] /= 2
    like = (np.linalg.norm(step, axis=-1) <= tolerance) & (away <= reach)
    pieces, _ = ndimage.label(like)
    number = pieces[row, column]
    mask = (pieces == number) & (number > 0)
    return box, ndimage.binary_erosion(mask)


def find_regions(
    frames: Path,
    seeds: list[Seed],
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> list[Region]:
    """What every seed grows into in the frames (NNNN.jpg) of a folder, tissue by tissue."""
    from PIL import Image

    out = []
    numbers = sorted({seed.frame for seed in seeds})
    for number in track(numbers, "tissue regions", len(numbers), on_progress, cancel):
        path = frames / f"{number:04d}.jpg"
        if not path.is_file():
            raise InputError(f"{path} is missing: the seeds lie in numbered frames of 1280x720 pixels.")
        with Image.open(path) as picture:
            rgb = np.asarray(picture.convert("RGB"))
        for seed in seeds:
            if seed.frame == number:
                box, mask = grow(rgb, seed.x, seed.y, seed.tolerance)
                out.append(Region(seed.tissue, number, (seed.x, seed.y), box, mask, rgb[box]))
    order = list(dict.fromkeys(seed.tissue for seed in seeds))
    return sorted(out, key=lambda region: order.index(region.tissue))


def measure(regions: list[Region]) -> dict[str, TissueColor]:
    """Each tissue's chroma by luma, over all its regions alike."""
    out = {}
    for tissue in dict.fromkeys(region.tissue for region in regions):
        own = [r.pixels for r in regions if r.tissue == tissue and np.count_nonzero(r.mask) >= LEAST_PIXELS]
        if not own:
            raise InputError(f"No seed of '{tissue}' grew into a region. Place its seeds anew.")
        out[tissue] = _curve(tissue, own)
    return out


def _curve(tissue: str, regions: list[NDArray[np.uint8]]) -> TissueColor:
    pixels = np.concatenate(regions)
    weight = np.concatenate([np.full(len(r), 1 / len(r)) for r in regions]) / len(regions)
    y = luma(pixels)
    chroma = rgb_to_ycbcr(pixels)[:, 1:] - 128
    level = (y // STEP).astype(np.intp)
    share = np.bincount(level, weight)
    used = np.flatnonzero(share >= LEAST_SHARE)
    sums = [np.bincount(level, weight * v, len(share))[used] / share[used] for v in (y, chroma[:, 0], chroma[:, 1])]
    draft = TissueColor(tissue, sums[0], np.stack(sums[1:], axis=-1), 0.0, len(regions))
    codes = np.rint(y).astype(np.uint8)
    difference = chroma_difference(lab(pixels)[:, 1:], lab(draft.rgb(codes))[:, 1:])
    spread = float(np.average(difference, weights=weight))
    return TissueColor(tissue, draft.luma, draft.cbcr, spread, len(regions))


SOURCE = "Visible Human Male, colour cryosections (courtesy of the U.S. National Library of Medicine)."


def to_toml(colors: dict[str, TissueColor]) -> str:
    """The file that `imaging.tissues` reads."""
    lines = [
        "# Colour of tissues in photographs of a real body: chroma by luma. Made by app/tissue_table.py; don't edit.",
        f"# {SOURCE}",
        "# knots: [luma, Cb - 128, Cr - 128], Rec.601 codes; spread: mean CIEDE2000 (equal lightness) of the measured",
        "# pixels to the curve; regions: hand-placed regions measured (cryosection-seeds.toml).",
    ]
    for name, color in colors.items():
        knots = np.column_stack([color.luma, color.cbcr])
        lines += ["", f'[tissue."{name}"]', f"regions = {color.regions}", f"spread = {color.spread:.2f}", "knots = ["]
        lines += ["  [" + ", ".join(f"{v:.1f}" for v in knot) + "]," for knot in knots]
        lines += ["]"]
    return "\n".join(lines) + "\n"


def regions_picture(regions: list[Region], scale: int = 2) -> NDArray[np.uint8]:
    """Every region outlined in its surroundings, a line per tissue: to be looked at before the table is believed."""
    from PIL import Image, ImageDraw
    from scipy import ndimage

    tissues = list(dict.fromkeys(r.tissue for r in regions))
    side = (2 * round(REACH_MM / PIXEL_MM) + 1) * scale
    most = max(sum(r.tissue == t for r in regions) for t in tissues)
    columns = min(most, 10)
    lines = [(t, [r for r in regions if r.tissue == t]) for t in tissues]
    rows = [(t, own[n : n + columns]) for t, own in lines for n in range(0, len(own), columns)]
    sheet = Image.new("RGB", (columns * (side + 4), len(rows) * (side + 22)), (20, 20, 20))
    draw = ImageDraw.Draw(sheet)
    for line, (tissue, own) in enumerate(rows):
        for column, region in enumerate(own):
            picture = region.rgb.copy()
            picture[region.mask & ~ndimage.binary_erosion(region.mask)] = (0, 255, 255)
            tile = Image.fromarray(picture).resize((picture.shape[1] * scale, picture.shape[0] * scale), 0)
            at = (column * (side + 4), line * (side + 22) + 20)
            sheet.paste(tile, at)
            note = f"{tissue} {region.frame} ({region.seed[0]}, {region.seed[1]})"
            draw.text((at[0] + 2, at[1] - 16), note, fill=(255, 255, 255), font_size=11)
    return np.asarray(sheet)
