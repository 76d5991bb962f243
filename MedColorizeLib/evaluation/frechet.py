"""Frechet distance (and an unbiased kernel distance) between two sets of pictures, in a stated feature space.

Heusel 2017: d2 = |m1 - m2|^2 + trace(C1 + C2 - 2 (C1 C2)^(1/2)) of Gaussians fitted to feature vectors. Only with the
pool3 features of Inception-v3 is it called "FID", and its size depends on the number of pictures: compare values only
for equal numbers. Networks come in as `Features`; this room knows none. Without any, `LabStatistics` needs no weights.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Protocol

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..imaging.colordiff import lab
from ..progress import CancelToken, OnProgress, track
from .records import Distance

INCEPTION = "Inception-v3 pool3"
"""The one feature space whose distance is the FID; with other weights of that network, the name goes on and says so."""
_BATCH = 16


class Features(Protocol):
    """A feature space: what turns a batch of RGB pictures into vectors. Networks come in through here."""

    @property
    def name(self) -> str:
        """What to call the space in a report, e.g. `Inception-v3 pool3` or `SqueezeNet 1.1 fire9 mean`."""
        ...

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[Any]:
        """(n, H, W, 3) codes to (n, dimensions)."""
        ...


class LabStatistics:
    """Features without a network: means, deviations and correlations of CIELAB, and deciles of a and b. Colour only."""

    name = "Lab statistics, 23 numbers a picture"

    def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
        return np.stack([self._of(picture) for picture in pictures])

    @staticmethod
    def _of(picture: NDArray[np.uint8]) -> NDArray[np.float64]:
        values = lab(picture).reshape(-1, 3).astype(np.float64)
        # Black surroundings are no colour; a picture that is all black keeps its own.
        lit = values[values[:, 0] > 5]
        values = lit if len(lit) else values
        covariance = np.cov(values.T, bias=True)
        deviation = np.sqrt(np.diag(covariance))
        mixed = covariance[np.triu_indices(3, 1)] / np.maximum(
            np.outer(deviation, deviation)[np.triu_indices(3, 1)], 1e-6
        )
        deciles = np.percentile(values[:, 1:], (5, 10, 25, 50, 75, 90, 95), axis=0).T.ravel()
        return np.concatenate([values.mean(axis=0), deviation, 10 * mixed, deciles])


def frechet_distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Between the Gaussians of two sets of feature vectors (n, dimensions)."""
    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    one, two = np.atleast_2d(np.cov(first.T)), np.atleast_2d(np.cov(second.T))
    # trace((C1 C2)^(1/2)) by the symmetric C1^(1/2) C2 C1^(1/2), which stays real for covariances of low rank.
    values, vectors = np.linalg.eigh(one)
    root = (vectors * np.sqrt(np.maximum(values, 0))) @ vectors.T
    cross = np.sqrt(np.maximum(np.linalg.eigvalsh(root @ two @ root), 0)).sum()
    step = first.mean(axis=0) - second.mean(axis=0)
    return float(max(step @ step + np.trace(one) + np.trace(two) - 2 * cross, 0.0))


def kernel_distance(first: NDArray[Any], second: NDArray[Any]) -> float:
    """Squared maximum mean discrepancy, kernel (x.y / d + 1)^3, unbiased (Binkowski 2018): KID in its space."""

    def kernel(a: NDArray[np.float64], b: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.asarray((a @ b.T / a.shape[1] + 1) ** 3)

    first, second = np.asarray(first, np.float64), np.asarray(second, np.float64)
    n, m = len(first), len(second)
    own, other = kernel(first, first), kernel(second, second)
    return float(
        (own.sum() - np.trace(own)) / (n * (n - 1))
        + (other.sum() - np.trace(other)) / (m * (m - 1))
        - 2 * kernel(first, second).mean()
    )


def picture_distance(
    result: Sequence[NDArray[np.uint8]],
    reference: Sequence[NDArray[np.uint8]],
    features: Features | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Distance:
    """Frechet distance between two sets of RGB pictures (H, W, 3), which may differ in size."""
    if min(len(result), len(reference)) < 2:
        raise InputError(
            f"A Frechet distance needs at least two pictures on either side, not {len(result)} and {len(reference)}. "
            "Give a larger reference set."
        )
    space = features or LabStatistics()
    sides = []
    for what, side in (("result", result), ("reference", reference)):
        batches = track(_batches(side), f"features: {what}", -(-len(side) // _BATCH), on_progress, cancel)
        sides.append(np.concatenate([np.asarray(space(batch)) for batch in batches]))
    dimensions = sides[0].shape[1]
    named = f"Frechet distance ({space.name})"
    if space.name.startswith(INCEPTION):
        named = "FID" + space.name.removeprefix(INCEPTION)
    few = min(len(side) for side in sides)
    note = "Its size depends on the number of pictures: compare only values from equally many."
    if few <= dimensions:
        note = (
            f"Only {few} pictures for {dimensions} dimensions: the covariance has not full rank and the value is "
            "biased upwards. " + note
        )
    return Distance(
        name=named,
        value=frechet_distance(sides[0], sides[1]),
        dimensions=dimensions,
        pictures=(len(result), len(reference)),
        note=note,
    )


def _batches(pictures: Sequence[NDArray[np.uint8]]) -> Iterator[NDArray[np.uint8]]:
    """Batches of at most 16 pictures; a change of size starts a new one."""
    batch: list[NDArray[np.uint8]] = []
    for picture in pictures:
        if batch and (len(batch) == _BATCH or picture.shape != batch[0].shape):
            yield np.stack(batch)
            batch = []
        batch.append(np.ascontiguousarray(picture[..., :3]))
    if batch:
        yield np.stack(batch)
