"""Tables 1 to 5 of ColorMedGAN (Chen et al. 2023), as printed: brains. See `papers` for what the fields mean."""

from __future__ import annotations

from .papers import Column, Row, Score, Table

_PAPER = "Chen et al. 2023 (ColorMedGAN), Applied Sciences 13(5):3168"

LUMA = (
    Column("luma_ssim", "SSIM", True, "luma against the gray input, Gaussian window 11, sigma 1.5", 3),
    Column("luma_psnr", "PSNR", True, "dB, luma against the gray input, peak 255", 3),
    Column(
        "distance", "FID", False, "ours: a Frechet distance of Lab statistics to the held-out cryosections, not FID", 2
    ),
)


def _chen(ssim: float, psnr: float, fid: float) -> dict[str, Score]:
    return {"luma_ssim": (ssim, None), "luma_psnr": (psnr, None), "distance": (fid, None)}


def _mr(
    key: str, title: str, options: dict[str, object], published: dict[str, Score], method: str = "", seg: bool = True
) -> Row:
    """A row of ColorMedGAN's tables; `seg`: its system reads the segmentation network."""
    return Row(key, title, method or "colormedgan", options, published, segmentation=seg)


_BRAIN_PROTOCOL = (
    "Gray: axial slices of skull-stripped T1 (OASIS); colour: cryosections of the Visible Human Male. The four "
    "held-out OASIS subjects and the held-out cryosections (with five frames on either side) are in no training set.",
    "Unpaired training, batch 1; the published run is 8 epochs of 1707 pairs.",
    "Luma SSIM and PSNR of the network's own output against its gray input, without a luminance lock, over slices of "
    "the held-out subjects. A copy of the gray input would score 1 and infinity: read them with the colour.",
    "FID needs Inception weights; ours is a Frechet distance in another space and must not be compared with it.",
)
_CHEN_REMARKS = (
    "The paper is not consistent: FID 84.81 stands beside SSIM .901, .857 and .90, and 'without segmentation' of table "
    "3 has the SSIM and PSNR of 'with edge loss' of table 2 but another FID.",
    "The published code's edge loss has no gradient, so the gain in table 2 can't come from it.",
)

TABLES: tuple[Table, ...] = (
    *(
        Table(
            name=f"colormedgan-{number}",
            title=f"Table {number}: {title}",
            paper=_PAPER,
            data="brain",
            columns=LUMA,
            runs=1,
            steps=13_656,
            batch=1,
            proposal=proposal,
            protocol=_BRAIN_PROTOCOL,
            remarks=_CHEN_REMARKS,
            rows=rows,
        )
        for number, title, proposal, rows in (
            (
                1,
                "fusion of the segmentation's features",
                "sigmoid",
                (
                    _mr("concat", "Concat mode", {"fusion": "concat"}, _chen(0.896, 33.325, 94.59)),
                    _mr("sigmoid", "Sigmoid mode", {"fusion": "sigmoid"}, _chen(0.901, 33.224, 84.81)),
                ),
            ),
            (
                2,
                "edge loss",
                "edge",
                (
                    _mr(
                        "no-edge",
                        "Without edge loss",
                        {"fusion": "none", "theta": 0.0},
                        _chen(0.745, 20.735, 112.15),
                        seg=False,
                    ),
                    _mr("edge", "With edge loss", {"fusion": "none"}, _chen(0.757, 21.010, 110.32), seg=False),
                ),
            ),
            (
                3,
                "segmentation module",
                "segmentation",
                (
                    _mr(
                        "no-segmentation",
                        "Without segmentation",
                        {"fusion": "none"},
                        _chen(0.757, 21.010, 105.23),
                        seg=False,
                    ),
                    _mr("segmentation", "With segmentation", {}, _chen(0.857, 29.698, 84.81)),
                ),
            ),
            (
                4,
                "multi-modal discriminator",
                "modal-2",
                (
                    _mr("modal-1", "Multi modal: 1 (add)", {"modal": "1"}, _chen(0.885, 33.40, 223.14)),
                    _mr("modal-2", "Multi modal: 2 (concat)", {"modal": "2"}, _chen(0.884, 35.95, 102.84)),
                    _mr("modal-3", "Multi modal: 3 (multiply)", {"modal": "3"}, _chen(0.871, 28.34, 215.95)),
                    _mr("modal-none", "No multi modal", {"modal": "none"}, _chen(0.875, 28.01, 156.72)),
                ),
            ),
            (
                5,
                "other systems",
                "colormedgan",
                (
                    _mr("colorcyclegan", "colorCycleGAN", {}, _chen(0.69, 19.86, 163.65), "colorcyclegan", seg=False),
                    _mr("cyclegan", "CycleGAN", {}, _chen(0.28, 11.01, 266.58), "cyclegan", seg=False),
                    _mr("zhang", "Zhang et al.", {}, _chen(0.89, 32.45, 104.72), "zhang", seg=False),
                    _mr("chromagan", "ChromaGAN", {}, _chen(0.89, 27.48, 125.65), "chromagan", seg=False),
                    _mr("colormedgan", "ColorMedGAN", {}, _chen(0.90, 33.22, 84.81)),
                ),
            ),
        )
    ),
)
