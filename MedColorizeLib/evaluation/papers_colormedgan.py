"""Tables 1 to 5 of ColorMedGAN (Chen et al. 2023), as printed: brains. See `papers` for what the fields mean."""

from __future__ import annotations

from .papers import Column, Row, Score, Table

_PAPER = "Chen et al. 2023 (ColorMedGAN), Applied Sciences 13(5):3168"

LUMA = (
    Column("luma_ssim", "SSIM", True, "luma against the gray input, Gaussian window 11, sigma 1.5", 3),
    Column("luma_psnr", "PSNR", True, "dB, luma against the gray input, peak 255", 3),
    Column(
        "distance",
        "FID",
        False,
        "of the coloured slices to the held-out cryosections",
        2,
        "Frechet distance (Lab statistics, 23 numbers a picture)",
    ),
)


def _chen(ssim: float, psnr: float, fid: float) -> dict[str, Score]:
    return {"luma_ssim": (ssim, None), "luma_psnr": (psnr, None), "distance": (fid, None)}


def _row(key: str, title: str, recipe: str, published: dict[str, Score], seg: bool = True, **options: object) -> Row:
    """`seg`: the system reads the segmentation network."""
    return Row(key, title, recipe, options, published, segmentation=seg)


_BRAIN_PROTOCOL = (
    "Gray: axial slices of skull-stripped T1 (OASIS); colour: cryosections of the Visible Human Male. The four "
    "held-out OASIS subjects and the held-out cryosections (with five frames on either side) are in no training set.",
    "Unpaired training, batch 1; the published run is 8 epochs of 1707 pairs.",
    "Luma SSIM and PSNR of the network's own output against its gray input, without a luminance lock, over slices of "
    "the held-out subjects. A copy of the gray input would score 1 and infinity: read them with the colour.",
    "FID needs Inception's weights, which don't come with MedColorize: where they are missing, another distance stands "
    "in under its own name, and must not be compared with FID.",
)
_CHEN_REMARKS = (
    "The paper is not consistent: FID 84.81 stands beside SSIM .901, .857 and .90, and 'without segmentation' of table "
    "3 has the SSIM and PSNR of 'with edge loss' of table 2 but another FID.",
    "The published code's edge loss has no gradient, so the gain in table 2 can't come from it.",
)

_ROWS = {
    1: (
        _row("concat", "Concat mode", "colormedgan-t1-concat", _chen(0.896, 33.325, 94.59)),
        _row("sigmoid", "Sigmoid mode", "colormedgan-t1-sigmoid", _chen(0.901, 33.224, 84.81)),
    ),
    # SSIM and PSNR "with edge loss" are those of "without segmentation" in table 3: both rows are without it.
    2: (
        _row("no-edge", "w/o edge loss", "colormedgan-t2-noedge", _chen(0.745, 20.735, 112.15), False, fusion="none"),
        _row("edge", "w edge loss", "colormedgan-t2-edge", _chen(0.757, 21.010, 110.32), False, fusion="none"),
    ),
    3: (
        _row("no-segmentation", "Without segmentation", "colormedgan-t3-noseg", _chen(0.757, 21.010, 105.23), False),
        _row("segmentation", "With segmentation", "colormedgan-t3-seg", _chen(0.857, 29.698, 84.81)),
    ),
    4: (
        _row("modal-1", "Multi modal: 1 (add)", "colormedgan-t4-modal1", _chen(0.885, 33.40, 223.14)),
        _row("modal-2", "Multi modal: 2 (concat)", "colormedgan-t4-modal2", _chen(0.884, 35.95, 102.84)),
        _row("modal-3", "Multi modal: 3 (multiply)", "colormedgan-t4-modal3", _chen(0.871, 28.34, 215.95)),
        _row("modal-none", "No multi modal", "colormedgan-t4-none", _chen(0.875, 28.01, 156.72)),
    ),
    5: (
        _row("colorcyclegan", "colorCycleGAN", "colorcyclegan", _chen(0.69, 19.86, 163.65), False),
        _row("cyclegan", "CycleGAN", "cyclegan-resnet9", _chen(0.28, 11.01, 266.58), False),
        _row("zhang", "Zhang et al.", "zhang", _chen(0.89, 32.45, 104.72), False),
        _row("chromagan", "ChromaGAN", "chromagan", _chen(0.89, 27.48, 125.65), False),
        _row("colormedgan", "ColorMedGAN", "colormedgan", _chen(0.90, 33.22, 84.81)),
    ),
}
_TITLES = {
    1: ("fusion of the segmentation's features", "sigmoid"),
    2: ("edge loss", "edge"),
    3: ("segmentation module", "segmentation"),
    4: ("multi-modal discriminator", "modal-2"),
    5: ("other systems", "colormedgan"),
}
"""Title, and the row that the paper proposes."""

TABLES: tuple[Table, ...] = tuple(
    Table(
        name=f"colormedgan-{number}",
        title=f"Table {number}: {title}",
        paper=_PAPER,
        data="brain",
        columns=LUMA,
        rows=_ROWS[number],
        runs=1,
        steps=13_656,
        batch=1,
        proposal=proposal,
        protocol=_BRAIN_PROTOCOL,
        remarks=_CHEN_REMARKS,
    )
    for number, (title, proposal) in _TITLES.items()
)
