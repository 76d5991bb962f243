"""The parts of an assessment: one class for each table or chart of the report. Numbers only, no computing.

The classes here are the contract between the numbers (the other modules of this room) and whoever shows them: the
report, `compare`, the tables and plots in a scene. They hold no pictures and nothing that identifies a patient.
Unit of every chroma difference: CIEDE2000 at equal lightness, in short "dE" (1 is just visible, 5 is plain to see).
A number that could not be had is NaN in memory and null in JSON; `Assessment.notes` say why.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

Light = Literal["green", "amber", "red", "none"]
Numbers = NDArray[np.float64]


@dataclass(frozen=True)
class Facts:
    """What was judged."""

    shape: tuple[int, int, int]
    """Voxels along (K, J, I)."""
    spacing_mm: tuple[float, float, float]
    """Along (K, J, I)."""
    planes: tuple[str, str, str]
    """Anatomical plane of the slices across K, J and I: `axial`, `coronal`, `sagittal`, with `oblique ` before it
    where the axis is more than 10 degrees off."""
    affine: tuple[tuple[float, ...], ...]
    sheared: bool
    foreground_voxels: int
    foreground_share: float
    distinct_colors: int
    """Different RGB triples in the sampled foreground; a palette has at most a few hundred."""


@dataclass(frozen=True)
class Fidelity:
    """The coloured volume's luma against the gray input it came from; 8-bit codes, whole slices across K.

    These reward leaving the picture gray, so they never stand alone. `luma_psnr` is infinite for identical luma
    (null in JSON, with `luma_identical` true).
    """

    luma_identical: bool
    luma_psnr: float
    luma_ssim: float
    """Gaussian window 11x11, sigma 1.5 (Wang 2004; ColorMedGAN's text)."""
    luma_ssim_101: float
    """Uniform window 101, as in ColorMedGAN's published code; NaN for slices smaller than that."""
    fsim: float
    """Zhang 2011, luma against gray; mean over `slices_used`."""
    entropy_gray: float
    entropy_luma: float
    mutual_information_bits: float
    normalized_mutual_information: float
    colorfulness: float
    """Hasler and Suesstrunk 2003 over the foreground: 0 gray, 15 slightly, 45 quite, 80 highly colourful."""
    slices_used: tuple[int, ...]
    """Slices across K on which SSIM and FSIM were computed."""


@dataclass(frozen=True)
class Distance:
    """A Frechet distance between sets of pictures, named after its features: only Inception pool3 earns "FID"."""

    name: str
    """`FID` or `Frechet distance (NAME OF THE FEATURES)`."""
    value: float
    dimensions: int
    pictures: tuple[int, int]
    """How many pictures of the result and of the reference."""
    note: str
    """What limits it, e.g. too few pictures for the features' dimensions."""


@dataclass(frozen=True)
class Truth:
    """Against the true colour on the same grid, where there is one. Conventions of Liang 2022 (scikit-image)."""

    psnr: float
    ssim: float
    nrmse: float
    fsim: float
    fsimc: float
    ciede2000_mean: float
    """Over the foreground, lightness included."""
    ciede2000_p95: float
    chroma_mean: float
    """The same at equal lightness: what the colouring alone got wrong."""
    lpips: float
    """NaN where no network was given: it needs weights that this project does not ship."""


@dataclass(frozen=True)
class OutlierSlice:
    """A slice whose colour does not belong between its neighbours."""

    index: int
    position_mm: float
    score: float
    """Robust z: how many scaled median absolute deviations from the volume's usual step."""
    size: float
    """dE by which it differs from the mean of its neighbours."""
    reasons: tuple[str, ...]
    """Sentences for a person."""


@dataclass(frozen=True)
class TissueCurve:
    """One tissue's mean colour, slice by slice along one axis. Arrays have one entry per slice; NaN where absent."""

    name: str
    label: int
    """Of the label volume; for intensity classes the class number from 1 (darkest)."""
    from_labels: bool
    gray_range: tuple[int, int]
    """5th and 95th percentile of the input's codes in this tissue."""
    voxels: int
    """In the sample; see `Assessment.sampling`."""
    lab: Numbers
    """(slices, 3): mean CIELAB."""
    smooth_ab: Numbers
    """(slices, 2): the slow part of a, b (smoothed over `AxisConsistency.smoothing_mm`)."""
    count: NDArray[np.int64]
    """(slices,): voxels behind each mean."""
    mean_rgb: tuple[int, int, int]
    """Swatch: mean colour over the volume."""
    drift: float
    """dE between the most different slow colours along the axis."""
    drift_per_mm: float
    jitter: float
    """Root mean square dE of slices about the slow curve."""
    spread: float
    """Mean chroma distance (dE) of this tissue's voxels to its mean colour, over the volume."""


@dataclass(frozen=True)
class AxisConsistency:
    """Slice-to-slice consistency across one axis of the array. Arrays have one entry per pair (k, k+1)."""

    axis: int
    """0, 1, 2 for K, J, I."""
    plane: str
    spacing_mm: float
    smoothing_mm: float
    pairs: NDArray[np.int64]
    """Index of the first slice of each pair that had enough matched tissue, or not: see `matched`."""
    matched: NDArray[np.int64]
    """Voxels compared; below `MIN_MATCHED` the medians are NaN."""
    flicker_median: Numbers
    flicker_p95: Numbers
    shift: Numbers
    """The part of each pair's difference that all voxels of similar intensity share: what an eye sees as a jump."""
    flicker: float
    """Mean over pairs of `flicker_median`: a median would not see that every third slice is off."""
    flicker_p95_of_pairs: float
    flicker_per_mm: float
    """Total variation: sum of `flicker_median` over the millimetres walked. The same tissue sampled twice as finely
    keeps it."""
    shift_per_mm: float
    """The same for `shift`. The headline."""
    drift: float
    """Mean over tissues, weighted by voxels."""
    jitter: float
    spread: float
    isotropy: float
    """Chroma variation across slices over that within slices at the same distance in mm; 1 is as it should be."""
    isotropy_distance_mm: float
    tissues: tuple[TissueCurve, ...]
    outliers: tuple[OutlierSlice, ...]


@dataclass(frozen=True)
class FramesConsistency:
    """The same over the frames of a 4-D acquisition; pair t is frames (t, t+1)."""

    frames: int
    flicker_median: Numbers
    flicker_p95: Numbers
    shift: Numbers
    flicker: float
    tissues: tuple[TissueCurve, ...]
    drift: float
    jitter: float
    outliers: tuple[OutlierSlice, ...]
    """`index` is the frame; `position_mm` is NaN."""


@dataclass(frozen=True)
class Trust:
    """What the colouring may have added or lost."""

    luma_error_max: int
    """8-bit codes, every voxel."""
    luma_error_mean: float
    luma_error_share: float
    """Share of voxels whose luma differs at all."""
    bleeding_share: float
    """Share of chroma edges in the foreground with no luma edge of the input within `bleeding_reach_mm`."""
    bleeding_reach_mm: float
    outside_share: float
    """Share of background voxels with visible colour (chroma over 5 dE)."""
    outside_chroma_mean: float
    clipped_share: float
    """Share of foreground voxels whose colour left the gamut and gave up chroma."""
    clipped_source: Literal["provenance", "voxels"]
    """Counted by the luminance lock, or estimated from channels at 0 or 255."""
    invented_share: float
    """Share of luma edges of the result that the input lacks."""
    lost_share: float
    """Share of luma edges of the input that the result lacks."""
    neutral_share: float
    """Share of foreground voxels left gray (chroma under 1 dE)."""


@dataclass(frozen=True)
class UncertaintySummary:
    """Disagreement between colourings of the same volume (say axial, coronal, sagittal); dE over the foreground."""

    names: tuple[str, ...]
    mean: float
    median: float
    p95: float
    maximum: float
    share_visible: float
    """Share of foreground voxels where they disagree by more than 5 dE."""
    per_slice: Numbers
    """(K,): mean per slice across K."""


@dataclass(frozen=True)
class SliceTable:
    """One entry per slice across K, over its foreground: the rows of `slices.csv`."""

    index: NDArray[np.int64]
    position_mm: Numbers
    foreground_share: Numbers
    luma_error_max: Numbers
    luma_error_mean: Numbers
    mean_l: Numbers
    mean_a: Numbers
    mean_b: Numbers
    chroma_mean: Numbers
    colorfulness: Numbers
    bleeding_share: Numbers
    invented_share: Numbers
    clipped_share: Numbers
    flicker_to_next: Numbers
    """`flicker_median` to slice + 1; NaN for the last."""
    shift_to_next: Numbers
    outlier_score: Numbers
    """NaN where the slice does not stand out."""


@dataclass(frozen=True)
class Band:
    """What nature itself scores: a range measured on real cryosections."""

    key: str
    """Which number: `shift_per_mm`, `flicker_per_mm`, `flicker`, `jitter`, `drift_per_mm`, `spread`, `isotropy`,
    `bleeding_share`, `colorfulness`."""
    low: float
    """5th percentile over the slabs measured."""
    median: float
    high: float
    """95th percentile."""
    source: str
    how: str


@dataclass(frozen=True)
class Grade:
    """One line of the verdict: a number, its light, and what it means in plain words."""

    key: str
    title: str
    value: float
    unit: str
    light: Light
    good: float
    """Green up to here (`higher_is_better`: from here up)."""
    fair: float
    """Amber up to here; red beyond."""
    higher_is_better: bool
    words: str
    """What this value says of this volume."""
    meaning: str
    """What the number is."""
    band: Band | None = None
