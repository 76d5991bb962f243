"""CTCCS: colour transfer in correlated colour space (Xiao & Ma 2006), its global processing.

The slice's RGB cloud is shifted, rotated and scaled so that its mean and covariance become the reference's: both
covariances are decomposed by SVD, U S U^T, and x -> U_r sqrt(S_r / S_t) U_t^T (x - mean_t) + mean_r. (The paper prints
the scaling without the root; only with it does the covariance come out.)

A gray slice has no chroma: its cloud is a line, with two singular values of zero, and the paper doesn't say what then.
Here an axis without spread gets none, so the coloured slice lies on the reference's main axis, bright where the slice
is bright. (Zeng 2020 finds "less colors" in it, too.) Left out: swatches, which a person has to draw.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ...progress import CancelToken, OnProgress
from ..base import Transfer, checked

Cloud = NDArray[np.float64]
_FLAT = 1e-6
"""Singular values below this share of the largest are rounding, no spread."""


def correlated_transfer(target: Cloud, source: Cloud) -> Cloud:
    """Points (n, 3) of `target` with the mean and the covariance of the points of `source`."""
    mean_t, mean_s = target.mean(axis=0), source.mean(axis=0)
    axes_t, spread_t, _ = np.linalg.svd(np.cov(target, rowvar=False))
    axes_s, spread_s, _ = np.linalg.svd(np.cov(source, rowvar=False))
    # SVD leaves the sign of an axis open; axes that look the same way keep bright bright.
    axes_s = axes_s * np.where(np.einsum("ij,ij->j", axes_t, axes_s) < 0, -1.0, 1.0)
    alive = spread_t > _FLAT * max(spread_t[0], 1e-12)
    scale = np.sqrt(np.divide(spread_s, spread_t, out=np.zeros(3), where=alive))
    return np.asarray((target - mean_t) @ (axes_s * scale @ axes_t.T).T + mean_s)


class CorrelatedColorSpace(Transfer):
    """One linear map for the whole slice."""

    name = "ctccs"
    title = "CTCCS"
    paper = "Xiao & Ma 2006, VRCIA"

    def transfer(
        self,
        gray: NDArray[np.uint8],
        reference: NDArray[np.uint8],
        cancel: CancelToken | None = None,
        on_progress: OnProgress | None = None,
    ) -> NDArray[np.float32]:
        checked(gray, reference)
        if cancel:
            cancel.check()
        target = np.repeat(gray.reshape(-1, 1), 3, axis=1).astype(np.float64)
        moved = correlated_transfer(target, reference.reshape(-1, 3).astype(np.float64))
        return np.clip(moved, 0, 255).astype(np.float32).reshape(*gray.shape, 3)
