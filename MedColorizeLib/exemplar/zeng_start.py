"""Where the optimisation starts: the published noise, or the chroma of the reference's like-ranked pixels."""

from __future__ import annotations

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from ..imaging.colorspaces import rgb_to_yuv
from ..networks.features import CAFFE_MEAN
from .imaging_module import with_luma

_STEPS = 8
"""Ranks told apart within a class: enough for fat and marrow to differ, too few to copy single pixels."""


def noise(shape: tuple[int, int], seed: int) -> Tensor:
    """The published start: N(0, 1) * 1e-4 around the mean colour of VGG's training set."""
    random = torch.randn(1, 3, *shape, generator=torch.Generator().manual_seed(seed))
    return torch.tensor(CAFFE_MEAN).view(1, 3, 1, 1) * 255 + random * 1e-4


def ranked(
    gray: NDArray[np.uint8],
    labels: NDArray[np.uint8],
    reference: NDArray[np.uint8],
    reference_labels: NDArray[np.uint8],
    classes: int,
) -> NDArray[np.float32]:
    """The slice (H, W, 3) with, class by class, the mean chroma of the reference's pixels of the same brightness rank.

    A class that the reference hasn't got stays gray.
    """
    yuv = rgb_to_yuv(reference.astype(np.float64))
    chroma = np.zeros((*gray.shape, 2))
    for value in range(classes):
        here, there = labels == value, reference_labels == value
        if not here.any() or not there.any():
            continue
        order = np.argsort(yuv[there][:, 0], kind="stable")
        colors = yuv[there][order, 1:]
        groups = np.array_split(colors, min(_STEPS, len(colors)))
        means = np.array([group.mean(axis=0) for group in groups])
        centers = (np.arange(len(groups)) + 0.5) / len(groups)
        ranks = _ranks(gray[here])
        chroma[here] = np.stack([np.interp(ranks, centers, means[:, n]) for n in (0, 1)], axis=-1)
    return with_luma(chroma, gray)


def _ranks(codes: NDArray[np.uint8]) -> NDArray[np.float64]:
    """For each 8-bit value, the share of values below it (equal ones count half)."""
    counts = np.bincount(codes, minlength=256)
    return ((np.cumsum(counts) - counts / 2) / len(codes))[codes]
