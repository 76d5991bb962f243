"""The papers' metrics for pairs of pictures, and the same for a volume from its joint histogram.

Luma metrics compare the result's Rec.601 luma with the gray input. They are perfect for a picture left gray, so they
say what was kept, never that the colour is good.
"""

from __future__ import annotations

import math
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..imaging.colordiff import chroma_difference, ciede2000, lab
from ..imaging.colorspaces import luma_codes
from .fsim import fsim, fsimc
from .records import Fidelity, Truth
from .stack import mirrored

SSIM_SLICES = 8
FSIM_SLICES = 4
PUBLISHED_WINDOW = 101

Codes = NDArray[np.uint8]


def psnr(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    """Peak signal-to-noise ratio in dB, peak 255; infinite for identical pictures.

    On luma against the gray input it is ColorMedGAN's and Zeng's PSNR; on RGB against true colour Liang's.
    """
    error = float(np.mean((picture.astype(np.float64) - truth) ** 2))
    return 10 * math.log10(255.0**2 / error) if error else math.inf


def ssim(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    """SSIM with the Gaussian window 11x11, sigma 1.5, K 0.01 and 0.03 (Wang 2004; ColorMedGAN and Zeng, on gray).

    NaN for pictures smaller than the window.
    """
    from skimage.metrics import structural_similarity

    if min(picture.shape[:2]) < 11:
        return math.nan
    return float(
        structural_similarity(
            picture, truth, data_range=255, gaussian_weights=True, sigma=1.5, use_sample_covariance=False
        )
    )


def ssim_101(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    """SSIM with a uniform window of 101, as ColorMedGAN's published code computes it; NaN for smaller pictures."""
    from skimage.metrics import structural_similarity

    if min(picture.shape[:2]) < PUBLISHED_WINDOW:
        return math.nan
    return float(structural_similarity(picture, truth, data_range=255, win_size=PUBLISHED_WINDOW))


def ssim_rgb(picture: Codes, truth: Codes) -> float:
    """SSIM on RGB, uniform window 7, mean over channels: scikit-image's convention, taken for Liang's."""
    from skimage.metrics import structural_similarity

    if min(picture.shape[:2]) < 7:
        return math.nan
    return float(structural_similarity(truth, picture, data_range=255, win_size=7, channel_axis=-1))


def nrmse(picture: NDArray[Any], truth: NDArray[Any]) -> float:
    """Root mean square error over the truth's root mean square (Euclidean norm): scikit-image's, taken for Liang's."""
    scale = math.sqrt(float(np.mean(truth.astype(np.float64) ** 2)))
    error = math.sqrt(float(np.mean((picture.astype(np.float64) - truth) ** 2)))
    return error / scale if scale else math.nan


def entropy(counts: NDArray[Any]) -> float:
    """Shannon entropy in bits of a histogram (Zeng's, of a gray picture's 256 codes)."""
    share = counts[counts > 0] / counts.sum()
    return float(-(share * np.log2(share)).sum())


def mutual_information(joint: NDArray[Any]) -> tuple[float, float]:
    """Mutual information in bits, and normalised (Studholme: (H(A) + H(B)) / H(A, B), 1 to 2), of a joint histogram.

    One constant picture leaves nothing to inform about: (0, 1).
    """
    both = entropy(joint.ravel())
    single = entropy(joint.sum(axis=1)) + entropy(joint.sum(axis=0))
    return max(single - both, 0.0), single / both if both else 1.0


def joint_histogram(first: Codes, second: Codes) -> NDArray[np.int64]:
    """(256, 256) counts of pairs of codes."""
    return np.bincount((first.astype(np.int32) * 256 + second).ravel(), minlength=65536).reshape(256, 256)


def spread_slices(present: NDArray[np.bool_], most: int) -> list[int]:
    """About `most` of the slices that hold foreground, evenly spread and mirror-symmetric."""
    known = np.flatnonzero(present)
    return [int(k) for k in known[mirrored(len(known), most)]] if len(known) else []


def luma_fidelity(
    gray: Codes, rgb: Codes, joint: NDArray[np.int64], colorfulness: float, present: NDArray[np.bool_]
) -> Fidelity:
    """Luma of the result against the input: histogram metrics on every voxel, SSIM and FSIM on some slices."""
    codes = np.arange(256.0)
    error = float((joint * (codes[:, None] - codes) ** 2).sum() / max(joint.sum(), 1))
    information, normalized = mutual_information(joint)
    used = spread_slices(present, SSIM_SLICES)
    identical = error == 0
    scores = {"ssim": 1.0, "ssim_101": 1.0, "fsim": 1.0}
    if min(gray.shape[1:]) < 11:
        scores["ssim"] = math.nan
    if min(gray.shape[1:]) < PUBLISHED_WINDOW:
        scores["ssim_101"] = math.nan
    if not identical:
        pairs = [(luma_codes(rgb[k]), gray[k]) for k in used]
        scores["ssim"] = _mean([ssim(*pair) for pair in pairs])
        scores["ssim_101"] = _mean([ssim_101(*pair) for pair in pairs])
        scores["fsim"] = _mean([fsim(*pairs[n]) for n in mirrored(len(pairs), FSIM_SLICES)]) if pairs else math.nan
    return Fidelity(
        luma_identical=identical,
        luma_psnr=10 * math.log10(255.0**2 / error) if error else math.inf,
        luma_ssim=scores["ssim"],
        luma_ssim_101=scores["ssim_101"],
        fsim=scores["fsim"],
        entropy_gray=entropy(joint.sum(axis=1)),
        entropy_luma=entropy(joint.sum(axis=0)),
        mutual_information_bits=information,
        normalized_mutual_information=normalized,
        colorfulness=colorfulness,
        slices_used=tuple(used),
    )


class Perceptual(Protocol):
    """LPIPS, or another learned distance of two pictures; networks come in through here."""

    @property
    def name(self) -> str: ...

    def __call__(self, first: Codes, second: Codes) -> float:
        """Of two pictures (J, I, 3)."""
        ...


def against_truth(
    rgb: Codes, truth: Codes, foreground: NDArray[np.bool_], perceptual: Perceptual | None = None
) -> Truth:
    """The result against the true colour: Liang's three and FSIM(c) as means over slices, CIEDE2000 over the body."""
    used = spread_slices(np.asarray(foreground.any(axis=(1, 2))), SSIM_SLICES)
    pairs = [(np.ascontiguousarray(rgb[k]), np.ascontiguousarray(truth[k])) for k in used]
    some = [pairs[n] for n in mirrored(len(pairs), FSIM_SLICES)] if pairs else []
    full: NDArray[Any] = np.empty(0)
    chroma: NDArray[Any] = np.empty(0)
    if pairs:
        inside = [foreground[k] for k in used]
        one = np.concatenate([pair[0][mask][::4] for pair, mask in zip(pairs, inside, strict=True)])
        two = np.concatenate([pair[1][mask][::4] for pair, mask in zip(pairs, inside, strict=True)])
        full, chroma = ciede2000(one, two), chroma_difference(lab(one)[:, 1:], lab(two)[:, 1:])
    return Truth(
        psnr=_mean([psnr(*pair) for pair in pairs]),
        ssim=_mean([ssim_rgb(*pair) for pair in pairs]),
        nrmse=_mean([nrmse(*pair) for pair in pairs]),
        fsim=_mean([fsim(luma_codes(a), luma_codes(b)) for a, b in some]),
        fsimc=_mean([fsimc(*pair) for pair in some]),
        ciede2000_mean=float(full.mean()) if len(full) else math.nan,
        ciede2000_p95=float(np.percentile(full, 95)) if len(full) else math.nan,
        chroma_mean=float(chroma.mean(dtype=np.float64)) if len(chroma) else math.nan,
        lpips=_mean([perceptual(*pair) for pair in some]) if perceptual else math.nan,
    )


def _mean(values: list[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return float(np.mean(known)) if known else math.nan
