"""The matting Laplacian of a picture (Levin, Lischinski & Weiss 2008), eq. 4 of Zeng 2020 and eq. 2 of Luan 2017.

x^T M x is small where x is, in every little window, an affine function of the picture: colours may change, edges may
not move. Sparse: a pixel meets only those it shares a window with.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_matrix


def matting_laplacian(picture: NDArray[Any], radius: int = 1, epsilon: float = 1e-7) -> csr_matrix:
    """(H * W, H * W) float64, symmetric, of a picture (H, W) or (H, W, C) in 0..1; windows of 2 radius + 1 pixels.

    `epsilon` weighs how steep the affine functions may be: Luan's code has 1e-7.
    """
    from scipy.sparse import coo_matrix

    values = np.asarray(picture, dtype=np.float64)
    values = values.reshape(*values.shape[:2], -1)
    height, width, channels = values.shape
    side = 2 * radius + 1
    size = side * side
    places = np.arange(height * width).reshape(height, width)
    windows = np.lib.stride_tricks.sliding_window_view(places, (side, side)).reshape(-1, size)
    colors = values.reshape(-1, channels)[windows]  # (n, size, C)
    centred = colors - colors.mean(axis=1, keepdims=True)
    covariance = np.einsum("nic,nid->ncd", centred, centred) / size
    inverse = np.linalg.inv(covariance + epsilon / size * np.eye(channels))
    affinity = (1 + np.einsum("nic,ncd,njd->nij", centred, inverse, centred)) / size
    blocks = np.eye(size) - affinity
    rows, columns = np.repeat(windows, size, axis=1), np.tile(windows, (1, size))
    entries = (blocks.reshape(-1), (rows.reshape(-1), columns.reshape(-1)))
    return coo_matrix(entries, shape=(height * width, height * width)).tocsr()
