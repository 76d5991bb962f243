"""TCGI: transferring colour to greyscale images (Welsh, Ashikhmin & Mueller 2002), its global matching.

As published: lαβ, luminance of the reference remapped to the slice's mean and deviation, about 200 samples of the
reference on a jittered grid, best match by luminance and 5x5 deviation at half each, α and β copied. Ours: black is
held at one code, where the logarithm of lαβ would be infinite. Left out: swatches, which a person has to draw.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...options import Options, option
from ...progress import CancelToken, OnProgress, track
from ..base import Transfer, checked

_LMS = np.array([[0.3811, 0.5783, 0.0402], [0.1967, 0.7244, 0.0782], [0.0241, 0.1288, 0.8444]])
_LAB = np.diag([3**-0.5, 6**-0.5, 2**-0.5]) @ np.array([[1, 1, 1], [1, 1, -2], [1, -1, 0]])
_ROWS = 64
"""Rows of the slice between two looks at the cancel token."""

Plane = NDArray[np.float64]


def to_decorrelated(rgb: NDArray[Any]) -> Plane:
    """lαβ (Ruderman 1998, with the numbers of Reinhard 2001) of RGB in 0..255."""
    cones = np.maximum(np.asarray(rgb, dtype=np.float64), 1.0) / 255 @ _LMS.T
    return np.log10(cones) @ _LAB.T


def from_decorrelated(lab: Plane) -> Plane:
    """The inverse of `to_decorrelated`, not clipped."""
    return 10 ** (lab @ np.linalg.inv(_LAB).T) @ np.linalg.inv(_LMS).T * 255


def local_deviation(plane: Plane, size: int) -> Plane:
    """Standard deviation of the (size, size) neighbourhood of every pixel; the border is mirrored."""
    from scipy.ndimage import uniform_filter

    mean = uniform_filter(plane, size, mode="reflect")
    return np.sqrt(np.maximum(uniform_filter((plane - plane.mean()) ** 2, size) - (mean - plane.mean()) ** 2, 0))


def jittered(shape: tuple[int, int], count: int, seed: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Rows and columns of about `count` pixels, one at a random place of each cell of a grid."""
    rng = np.random.default_rng(seed)
    rows = min(shape[0], max(1, round(math.sqrt(count * shape[0] / shape[1]))))
    columns = min(shape[1], max(1, round(count / rows)))
    y, x = np.meshgrid(np.arange(rows), np.arange(columns), indexing="ij")
    place_y = ((y + rng.random(y.shape)) / rows * shape[0]).astype(np.intp)
    place_x = ((x + rng.random(x.shape)) / columns * shape[1]).astype(np.intp)
    return place_y.ravel(), place_x.ravel()


def remapped(plane: Plane, like: Plane) -> Plane:
    """`plane` shifted and scaled to the mean and standard deviation of `like`."""
    spread = float(plane.std())
    scale = float(like.std()) / spread if spread > 0 else 0.0
    return np.asarray((plane - plane.mean()) * scale + like.mean())


@dataclass(frozen=True)
class WelshOptions(Options):
    """Names as in the paper's section 3.1."""

    samples: int = option(200, "samples of the reference, on a jittered grid", least=1, most=100_000)
    neighborhood: int = option(5, "side of the neighbourhood whose deviation is matched, pixels", least=1, most=101)
    deviation_weight: float = option(0.5, "weight of the deviation against the luminance", least=0, most=1)
    seed: int = option(0, "seed of the jitter", least=0)


class Welsh(Transfer):
    """Each pixel takes the chroma of the sample that looks most like it."""

    name = "welsh"
    title = "TCGI"
    paper = "Welsh et al. 2002, SIGGRAPH"
    Options = WelshOptions

    def transfer(
        self,
        gray: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        cancel: CancelToken | None = None,
        on_progress: OnProgress | None = None,
    ) -> NDArray[np.float32]:
        from scipy.spatial import cKDTree

        checked(gray, reference)
        options = self.options
        source = to_decorrelated(reference)
        target = to_decorrelated(np.repeat(gray[..., None], 3, axis=2))
        luminance = remapped(source[..., 0], target[..., 0])
        weights = np.array([1 - options.deviation_weight, options.deviation_weight])

        def features(plane: Plane) -> Plane:
            return np.stack([plane, local_deviation(plane, options.neighborhood)], axis=-1) * weights

        rows, columns = jittered(luminance.shape, options.samples, options.seed)
        tree = cKDTree(features(luminance)[rows, columns])
        chroma = source[rows, columns, 1:]
        wanted = features(target[..., 0])
        for top in track(range(0, len(gray), _ROWS), "match", -(-len(gray) // _ROWS), on_progress, cancel):
            band = slice(top, top + _ROWS)
            # p=1: the paper's weighted average of two absolute differences.
            target[band, :, 1:] = chroma[tree.query(wanted[band], p=1)[1]]
        return np.clip(from_decorrelated(target), 0, 255).astype(np.float32)
