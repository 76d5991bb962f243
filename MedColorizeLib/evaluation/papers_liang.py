"""Tables 2 to 5 of Liang et al. 2021, as printed: retina photographs. See `papers` for what the fields mean."""

from __future__ import annotations

from .papers import Column, Row, Score, Table

_PAPER = "Liang et al. 2021, Multimedia Tools and Applications 80"

_TRUTH = (
    Column("nrmse", "NRMSE", False, "Euclidean, scikit-image's; the paper gives no definition"),
    Column("psnr", "PSNR", True, "dB, RGB, peak 255"),
    Column("ssim", "SSIM", True, "RGB, uniform window 7, mean over channels"),
)


def _triple(nrmse: Score, psnr: Score, ssim: Score) -> dict[str, Score]:
    return {"nrmse": nrmse, "psnr": psnr, "ssim": ssim}


_PROPOSAL_MESSIDOR = _triple((0.1895, 0.0932), (24.1719, 3.7804), (0.8209, 0.0547))
_PROPOSAL_RUNS = (
    _triple((0.1950, 0.1061), (24.0395, 3.7498), (0.8193, 0.0577)),
    _triple((0.1875, 0.0785), (24.0956, 3.7618), (0.8117, 0.0503)),
    _triple((0.1860, 0.0951), (24.3806, 3.8297), (0.8318, 0.0561)),
)

_DRIVE_PROTOCOL = (
    "DRIVE, 40 colour photographs: ColorA (01-20) and ColorB (21-40); GrayA is the luma of ColorA.",
    "Trained unpaired on GrayA and ColorB; GrayA coloured again and compared with ColorA (the paper tests on the "
    "inputs it trained on, and says so).",
    "Three runs with different seeds; mean and standard deviation over 20 pictures; the average row is the mean of the "
    "runs' means and of their deviations, as printed.",
    "The paper picks the best epoch by eye on these pictures; here the last step is taken.",
)
_MESSIDOR_PROTOCOL = (
    "Messidor, 1200 photographs, square crop, 256 x 256, shuffled into TrainA (gray), TrainB (colour) and Val, a third "
    "each; no picture is in two of them.",
    "Three runs with different seeds (and shuffles); mean and standard deviation over the pictures of Val.",
    "The paper picks the best epoch by eye on the pictures it evaluates; here the last step is taken.",
)
_LIANG_REMARKS = (
    "The paper prints the largest NRMSE in bold, though lower is better.",
    "The weights of the perceptual and TV losses and the layer of VGG are not published: see the method's text.",
)
TABLES: tuple[Table, ...] = (
    Table(
        name="liang-2",
        title="Table 2: DRIVE",
        paper=_PAPER,
        data="drive",
        columns=_TRUTH,
        runs=3,
        steps=4000,
        batch=1,
        proposal="proposal",
        protocol=_DRIVE_PROTOCOL,
        remarks=_LIANG_REMARKS,
        rows=(
            Row(
                "cyclegan",
                "CycleGAN",
                "liang-2-cyclegan",
                {},
                _triple((0.2045, 0.1032), (25.0383, 1.4308), (0.7062, 0.0346)),
                (
                    _triple((0.2535, 0.1278), (24.6306, 1.1259), (0.6966, 0.0368)),
                    _triple((0.1820, 0.0860), (24.6463, 1.4262), (0.7056, 0.0397)),
                    _triple((0.1781, 0.0957), (25.8381, 1.7402), (0.7164, 0.0272)),
                ),
            ),
            Row(
                "perceptual",
                "Perceptual",
                "liang-2-perceptual",
                {},
                _triple((0.2015, 0.1104), (25.9804, 1.3580), (0.7104, 0.0367)),
                (
                    _triple((0.1866, 0.1007), (25.7041, 1.5534), (0.7221, 0.0263)),
                    _triple((0.2115, 0.1077), (25.3563, 1.1254), (0.6942, 0.0309)),
                    _triple((0.2065, 0.1228), (26.8807, 1.3953), (0.7148, 0.0529)),
                ),
            ),
            Row(
                "proposal",
                "Perceptual + TV (proposal)",
                "liang-2-proposal",
                {},
                _triple((0.1911, 0.1109), (26.9733, 1.2330), (0.7517, 0.0391)),
                (
                    _triple((0.2043, 0.1137), (26.5571, 1.2251), (0.7452, 0.0387)),
                    _triple((0.1990, 0.1247), (27.6569, 1.2279), (0.7636, 0.0350)),
                    _triple((0.1700, 0.0943), (26.7060, 1.2459), (0.7464, 0.0436)),
                ),
            ),
        ),
    ),
    Table(
        name="liang-3",
        title="Table 3: Messidor",
        paper=_PAPER,
        data="messidor",
        columns=_TRUTH,
        runs=3,
        steps=10_000,
        batch=2,
        proposal="proposal",
        protocol=_MESSIDOR_PROTOCOL,
        remarks=_LIANG_REMARKS,
        rows=(
            Row(
                "cyclegan",
                "CycleGAN",
                "liang-3-cyclegan",
                {},
                _triple((0.2302, 0.0804), (22.1244, 3.4041), (0.7382, 0.0645)),
            ),
            Row(
                "perceptual",
                "Perceptual",
                "liang-3-perceptual",
                {},
                _triple((0.2204, 0.0732), (22.4707, 3.4396), (0.7994, 0.0497)),
            ),
            Row("proposal", "Perceptual + TV (proposal)", "liang-3-proposal", {}, _PROPOSAL_MESSIDOR, _PROPOSAL_RUNS),
        ),
    ),
    Table(
        name="liang-4",
        title="Table 4: identity loss, Messidor",
        paper=_PAPER,
        data="messidor",
        columns=_TRUTH,
        runs=3,
        steps=10_000,
        batch=2,
        proposal="proposal",
        protocol=_MESSIDOR_PROTOCOL,
        remarks=_LIANG_REMARKS,
        rows=(
            Row(
                "no-identity",
                "No identity loss",
                "liang-4-noidentity",
                {},
                _triple((0.2107, 0.0983), (23.2069, 3.5144), (0.8007, 0.0598)),
                (
                    _triple((0.2102, 0.1007), (23.2432, 3.4917), (0.8140, 0.0552)),
                    _triple((0.2105, 0.1113), (23.3458, 3.2989), (0.8010, 0.0556)),
                    _triple((0.2115, 0.0828), (23.0316, 3.7527), (0.7871, 0.0686)),
                ),
            ),
            Row(
                "proposal", "With identity loss (proposal)", "liang-4-identity", {}, _PROPOSAL_MESSIDOR, _PROPOSAL_RUNS
            ),
        ),
    ),
    Table(
        name="liang-5",
        title="Table 5: structure of the perceptual loss, Messidor",
        paper=_PAPER,
        data="messidor",
        columns=_TRUTH,
        runs=3,
        steps=10_000,
        batch=2,
        proposal="proposal",
        protocol=_MESSIDOR_PROTOCOL,
        remarks=_LIANG_REMARKS,
        rows=(
            Row(
                "symmetric",
                "Symmetric (eq. 8)",
                "liang-5-sym",
                {},
                _triple((0.2062, 0.0804), (23.1855, 3.6434), (0.8139, 0.0518)),
                (
                    _triple((0.2049, 0.0935), (23.3483, 3.4961), (0.8089, 0.0556)),
                    _triple((0.2214, 0.0741), (22.4469, 3.5212), (0.8036, 0.0518)),
                    _triple((0.1923, 0.0738), (23.7612, 3.9130), (0.8292, 0.0478)),
                ),
            ),
            Row(
                "symmetric-2",
                "Symmetric with invert (eq. 9)",
                "liang-5-sym2",
                {},
                _triple((0.1980, 0.0891), (23.7287, 3.8894), (0.8183, 0.0506)),
                (
                    _triple((0.1921, 0.0809), (23.9011, 3.8722), (0.8328, 0.0526)),
                    _triple((0.1968, 0.1094), (24.0546, 4.0310), (0.8278, 0.0527)),
                    _triple((0.2052, 0.0770), (23.2302, 3.7651), (0.7942, 0.0466)),
                ),
            ),
            Row("proposal", "Asymmetric (eq. 5, proposal)", "liang-5-proposal", {}, _PROPOSAL_MESSIDOR, _PROPOSAL_RUNS),
        ),
    ),
)
