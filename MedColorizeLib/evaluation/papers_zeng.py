"""Tables 1 to 3 of Zeng et al. 2020, its choice of norm (Fig. 8) and its ablation (Figs. 11 to 14).

The text at hand has the captions of the tables, not their numbers: what it says about them in words is tried instead.
See `papers` for what the fields mean.
"""

from __future__ import annotations

from .papers import Column, Data, Finding, Row, Table

_PAPER = "Zeng et al. 2020, IEEE Access 8:56559"

_PSNR = Column("luma_psnr", "PSNR", True, "dB, luma of the 8-bit result against the gray input, peak 255", 2)
_SSIM = Column("luma_ssim", "SSIM", True, "luma against the gray input, Gaussian window 11, sigma 1.5", 3)
_FSIM = Column("fsim", "FSIM", True, "luma against the gray input (Zhang 2011)", 3)
_FSIMC = Column("fsimc", "FSIMc", True, "the result against the gray input as a colour picture (Zhang 2011)", 3)
_ENTROPY = Column(
    "entropy", "Entropy", True, "bits, of the result's luma; the gray inputs' stands below, with each row", 3
)
_SHIFT = Column("entropy_shift", "Entropy off", False, "bits, from the gray input's entropy, either way", 3)
_COLOR = Column(
    "colorfulness",
    "Colour",
    True,
    "colourfulness (Hasler 2003), not in the paper: gray pictures score best elsewhere",
    1,
)

_NO_NUMBERS = (
    "The table's numbers are not in the text at hand: '–'. What the text says about them is listed with the findings."
)
_ITERATIONS = (
    "One optimisation a picture: 1000 iterations of L-BFGS for the start and 1000 for the result, 224 x 224. Below the "
    "paper's budget: at most the budget's iterations of the fast schedule, which has one stage."
)
_MODULE = (
    "Judged is what the optimisation gives, with its own brightness. (The imaging module puts the slice's own Y back, "
    "after which PSNR and SSIM say nothing.)"
)
_PSEUDO = (
    "References as in the paper's section IV-B: pseudo-colour pictures, the nearest by D-hash. Ours are other slices "
    "of the same kind through a colour map; the paper's came from a stock-picture site."
)
_VGG = (
    "Weights: torchvision's VGG-19 where it is at hand, else what the rows' notes say. The paper's was fine-tuned on "
    "medical pictures and never published."
)


def _zeng(key: str, title: str, **options: object) -> Row:
    return Row(key, title, transfer="zeng", options=options)


def _table(
    name: str,
    title: str,
    data: Data,
    columns: tuple[Column, ...],
    rows: tuple[Row, ...],
    proposal: str,
    protocol: tuple[str, ...],
    findings: tuple[Finding, ...],
    remarks: tuple[str, ...] = (),
) -> Table:
    return Table(
        name=name,
        title=title,
        paper=_PAPER,
        data=data,
        columns=columns,
        rows=rows,
        runs=1,
        steps=2000,
        batch=1,
        proposal=proposal,
        protocol=protocol,
        remarks=remarks,
        size=224,
        findings=findings,
    )


_GAMMAS = (0.1, 1.0, 10.0, 100.0, 1000.0)
_RATIOS = (1e-1, 1.0, 1e1, 1e2, 1e3, 1e4, 1e5)
_ALPHAS = (0.0, 0.5, 1.0)
_METHODS = (
    ("welsh", "TCGI (Welsh)"),
    ("ictede", "ICTEDE (He)"),
    ("ctccs", "CTCCS (Xiao & Ma)"),
    ("cpami", "CPAMI (Zeng 2019)"),
    ("mrf-cnn", "MRF-CNN (Li & Wand)"),
    ("dpst", "DPST (Luan)"),
    ("adpst", "ADPST (Penhouet)"),
    ("zeng", "Zeng 2020"),
)

TABLES: tuple[Table, ...] = (
    _table(
        "zeng-1",
        "Table 1: weight gamma of the local feature mapping",
        "exemplar-pseudo",
        (_PSNR, _SSIM, _FSIM),
        tuple(_zeng(f"gamma-{g:g}", f"γ = {g:g}", gamma=g, lambda_y=1e4, alpha_y=0.0) for g in _GAMMAS),
        "gamma-10",
        (
            "γ is changed, λ held at 1e4; MR, CT and ultrasound; mean and standard deviation over all pictures.",
            *(_ITERATIONS, _MODULE, _PSEUDO, _VGG),
        ),
        (
            Finding("γ = 10 scores above a γ that is too large (1000)", "gamma-10", "gamma-1000", "luma_psnr"),
            Finding("γ = 10 scores above a γ that is too large (1000)", "gamma-10", "gamma-1000", "luma_ssim"),
            Finding("γ = 10 scores above a γ that is too large (1000)", "gamma-10", "gamma-1000", "fsim"),
            Finding("γ = 100 scores above γ = 1000", "gamma-100", "gamma-1000", "luma_ssim"),
            Finding("γ = 1 scores above other values (0.1)", "gamma-1", "gamma-0.1", "luma_ssim"),
            Finding("the higher γ, the lower the SSIM: 10 above 100", "gamma-10", "gamma-100", "luma_ssim"),
            Finding("the higher γ, the lower the PSNR: 10 above 100", "gamma-10", "gamma-100", "luma_psnr"),
        ),
        (
            _NO_NUMBERS,
            "The text says that γ = 1, 10 and 100 score higher than other values, and that the higher γ, the lower "
            "SSIM and PSNR: below γ = 1 the two can't both hold. It takes γ = 10 by eye, for even colour.",
        ),
    ),
    _table(
        "zeng-2",
        "Table 2: rate lambda / gamma",
        "exemplar-pseudo",
        (_PSNR, _SSIM, _FSIM),
        tuple(_zeng(f"rate-{r:g}", f"λ/γ = {r:g}", gamma=10.0, lambda_y=10.0 * r, alpha_y=0.0) for r in _RATIOS),
        "rate-10000",
        (
            "λ is changed, γ held at 10; 100 pictures in the paper; mean and standard deviation over all pictures.",
            *(_ITERATIONS, _MODULE, _PSEUDO, _VGG),
        ),
        (
            *(
                Finding(f"SSIM grows with the rate: 1e4 above {r:g}", "rate-10000", f"rate-{r:g}", "luma_ssim")
                for r in _RATIOS[:-2]
            ),
            Finding("FSIM grows with the rate: 1e4 above 0.1", "rate-10000", "rate-0.1", "fsim"),
            Finding("SSIM is lowest at the rate 0.1: 1 above it", "rate-1", "rate-0.1", "luma_ssim"),
        ),
        (
            _NO_NUMBERS,
            "From 1e4 to 1e5 the paper sees the means change but slightly, and takes 1e4 for its smaller spread.",
        ),
    ),
    _table(
        "zeng-3",
        "Table 3: other systems",
        "exemplar",
        (_PSNR, _SSIM, _FSIM, _FSIMC, _ENTROPY, _SHIFT, _COLOR),
        tuple(Row(key, title, transfer=key) for key, title in _METHODS),
        "zeng",
        (
            "The same reference for all systems: pseudo-colour pictures for CT and ultrasound, cryosections for MR.",
            "The systems that optimise share the budget's iterations; the other four have none.",
            *(_MODULE, _VGG),
        ),
        (
            Finding("more PSNR than DPST (+47 % or +24 %: text and abstract differ)", "zeng", "dpst", "luma_psnr"),
            Finding("more SSIM than DPST (+29 % or +47 %)", "zeng", "dpst", "luma_ssim"),
            Finding("more SSIM than MRF-CNN, which blurs detail", "zeng", "mrf-cnn", "luma_ssim"),
            Finding("more SSIM than CPAMI", "zeng", "cpami", "luma_ssim"),
            Finding("more PSNR than CPAMI", "zeng", "cpami", "luma_psnr"),
            Finding("CPAMI has more entropy", "cpami", "zeng", "entropy"),
            Finding("CPAMI's entropy is farther from the target's", "cpami", "zeng", "entropy_shift"),
            *(
                Finding(f"the best SSIM of all: more than {title}", "zeng", key, "luma_ssim")
                for key, title in _METHODS
                if key in ("welsh", "ictede", "ctccs", "adpst")
            ),
        ),
        (
            _NO_NUMBERS,
            "ADPST's masks come from PSPNet in its paper; here from the same k-means as the other systems' masks.",
        ),
    ),
    _table(
        "zeng-alpha-y",
        "Fig. 8: norm of the Y-loss",
        "exemplar-pseudo",
        (_PSNR, _SSIM),
        tuple(_zeng(f"alpha-{a:g}", f"α_Y = {a:g}", alpha_y=a) for a in _ALPHAS),
        "alpha-0",
        ("100 pictures each of CT, MR and ultrasound in the paper.", _ITERATIONS, _MODULE, _PSEUDO, _VGG),
        (
            Finding("on CT, l2 has the better SSIM", "alpha-0", "alpha-1", "luma_ssim", "CT"),
            Finding("on MR, l2 has the better SSIM", "alpha-0", "alpha-1", "luma_ssim", "MR"),
            Finding(
                "on ultrasound, l1 has the better SSIM (in the paper its lowest)",
                "alpha-1",
                "alpha-0",
                "luma_ssim",
                "US",
            ),
        ),
        ("A box plot in the paper, without numbers. Fig. 7 shows three values between 0 and 1 that it doesn't name.",),
    ),
    _table(
        "zeng-ablation",
        "Figs. 11 to 14: terms of the loss",
        "exemplar-brain",
        (_PSNR, _SSIM),
        (
            _zeng("color-y", "colour + Y", alpha=0.0, gamma=0.0),
            _zeng("color-y-swap", "colour + Y + swap", alpha=0.0),
            _zeng("all", "colour + Y + swap + content"),
        ),
        "all",
        (
            "30 slices of ADNI and 30 of gliomas in the paper; here of OASIS and of a stroke.",
            _ITERATIONS,
            _MODULE,
            _VGG,
        ),
        (
            Finding("the swap loss can change the content: less PSNR with it", "color-y", "color-y-swap", "luma_psnr"),
            Finding("the swap loss can change the content: less SSIM with it", "color-y", "color-y-swap", "luma_ssim"),
            Finding("the content loss preserves it: more PSNR with it", "all", "color-y-swap", "luma_psnr"),
            Finding("the content loss preserves it: more SSIM with it", "all", "color-y-swap", "luma_ssim"),
        ),
        ("Curves over 60 slices in the paper, without numbers.",),
    ),
)
