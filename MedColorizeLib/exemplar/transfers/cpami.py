"""CPAMI: colour perception by hierarchical density-peak clustering (Zeng, Chen & Zhou 2019).

From the paper's description (there and in Zeng 2020): several features a pixel (luminance and Sobel gradients in four
directions); local density and neighbourhood choose pixels that represent a region; the representatives are clustered
again by density, level by level; colour is given to representatives, and every pixel takes its colour by its
similarity to them. Cost O(MN) for M representatives of N pixels.

Our reading, as no code is published: a pixel's parent is the most similar of its denser neighbours (3x3, density by a
Gaussian of the features' distance), who has none is a representative; upper levels use the nearest neighbours in
features and place; the top level is Rodriguez & Laio's (2014) density peaks. Clusters of slice and reference are
paired by the order of their lightness, and a representative takes the colour of the region most like it in the paired
cluster. Pixels blend the colours of similar representatives wholly, brightness too: that regional look is the published
method's ("focuses on regional significance ignore texture details").
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ...imaging.colorspaces import luma
from ...options import Options, option
from ...progress import CancelToken, OnProgress, Progress
from ..base import Transfer, checked

Plane = NDArray[np.float64]
Index = NDArray[np.intp]
_SOBEL = (
    ((-1, 0, 1), (-2, 0, 2), (-1, 0, 1)),
    ((0, 1, 2), (-1, 0, 1), (-2, -1, 0)),
    ((-1, -2, -1), (0, 0, 0), (1, 2, 1)),
    ((-2, -1, 0), (-1, 0, 1), (0, 1, 2)),
)
_ROWS = 64


def features(plane: NDArray[Any], gradient_weight: float) -> Plane:
    """(H, W, 5): luminance and the size of the four gradients, of a picture in 0..255, each in about 0..1."""
    from scipy.ndimage import correlate

    values = np.asarray(plane, dtype=np.float64) / 255
    sides = [np.abs(correlate(values, np.array(kernel), mode="nearest")) / 4 for kernel in _SOBEL]
    return np.stack([values, *(gradient_weight * side for side in sides)], axis=-1)


def roots(parents: Index) -> Index:
    """The representative at the end of every chain of parents."""
    while True:
        further = parents[parents]
        if np.array_equal(further, parents):
            return parents
        parents = further


def representatives(described: Plane, bandwidth: float) -> Index:
    """(H * W,) the representative of each pixel: the local density maximum that its chain of parents leads to."""
    height, width, _ = described.shape
    padded = np.pad(described, ((1, 1), (1, 1), (0, 0)), mode="constant", constant_values=np.inf)
    shifts = [(dy, dx) for dy in (-1, 0, 1) for dx in (-1, 0, 1) if dy or dx]

    def neighbor(array: NDArray[Any], shift: tuple[int, int]) -> NDArray[Any]:
        return array[1 + shift[0] : 1 + shift[0] + height, 1 + shift[1] : 1 + shift[1] + width]

    apart = [((neighbor(padded, shift) - described) ** 2).sum(axis=-1) for shift in shifts]
    density = np.sum([np.exp(-each / bandwidth**2) for each in apart], axis=0)
    # A rank breaks ties by place, so that a flat region has one maximum and chains have an end.
    rank = np.empty(height * width, dtype=np.intp)
    rank[np.argsort(density, axis=None, kind="stable")] = np.arange(height * width)
    ranks = np.pad(rank.reshape(height, width), 1, constant_values=-1)
    places = np.pad(np.arange(height * width).reshape(height, width), 1)
    parent = np.arange(height * width).reshape(height, width)
    nearest = np.full((height, width), np.inf)
    for shift, distance in zip(shifts, apart, strict=True):
        closer = (neighbor(ranks, shift) > neighbor(ranks, (0, 0))) & (distance < nearest)
        parent[closer] = neighbor(places, shift)[closer]
        nearest[closer] = distance[closer]
    return roots(parent.ravel())


def coarser(points: Plane, masses: NDArray[Any], neighbors: int = 8) -> Index:
    """The next level up: (n,) the representative of each point among the points."""
    from scipy.spatial import cKDTree

    distance, near = cKDTree(points).query(points, k=min(neighbors + 1, len(points)))
    scale = max(float(np.median(distance[:, -1])), 1e-9)
    density = (masses[near] * np.exp(-((distance / scale) ** 2))).sum(axis=1)
    rank = np.empty(len(points), dtype=np.intp)
    rank[np.argsort(density, kind="stable")] = np.arange(len(points))
    denser = rank[near] > rank[:, None]
    first = np.argmax(denser, axis=1)
    return roots(np.where(denser.any(axis=1), near[np.arange(len(points)), first], np.arange(len(points))))


def density_peaks(points: Plane, masses: NDArray[Any], clusters: int, least: float = 0.0) -> Index:
    """(n,) cluster of each point, 0..clusters-1: density and distance to the next denser point choose the centres.

    A centre whose cluster holds less than the share `least` of all mass makes way for the next candidate.
    """
    from scipy.spatial.distance import pdist, squareform

    if len(points) <= clusters:
        return np.arange(len(points))
    pairs = pdist(points)
    cutoff = max(float(np.quantile(pairs, 0.02)), 1e-9)
    distance = squareform(pairs)
    density = np.exp(-((distance / cutoff) ** 2)) @ masses
    order = np.argsort(-density, kind="stable")
    parent = np.zeros(len(points), dtype=np.intp)
    gap = np.zeros(len(points))
    gap[order[0]] = distance[order[0]].max()
    for place, point in enumerate(order[1:], 1):
        denser = order[:place]
        parent[point] = denser[np.argmin(distance[point, denser])]
        gap[point] = distance[point, parent[point]]
    worth = density * gap
    worth[order[0]] = np.inf
    candidates = list(np.argsort(-worth, kind="stable"))
    while True:
        labels = np.full(len(points), -1, dtype=np.intp)
        labels[candidates[:clusters]] = np.arange(min(clusters, len(candidates)))
        for point in order:
            if labels[point] < 0:
                labels[point] = labels[parent[point]]
        lightest = int(np.argmin(mass := np.bincount(labels, weights=masses)))
        if mass[lightest] >= least * masses.sum() or lightest == 0:
            return labels
        del candidates[lightest]


@dataclass(frozen=True)
class DensityPeaksOptions(Options):
    """The paper's numbers aren't at hand: ours."""

    clusters: int = option(5, "clusters at the top of the hierarchy", least=1, most=32)
    least: float = option(0.002, "share of the pixels below which there is no cluster", least=0, most=1)
    gradient_weight: float = option(0.2, "weight of a gradient beside the luminance", least=0)
    bandwidth: float = option(0.05, "distance of features within which pixels add to each other's density", above=0)
    place_weight: float = option(0.3, "weight of the place (0..1) beside the luminance", least=0)
    top: int = option(1500, "representatives from which the top level is made", least=32, most=5000)
    neighbors: int = option(4, "representatives from which a pixel blends its colour", least=1, most=64)


@dataclass(frozen=True)
class Regions:
    """A picture's first-level representatives: where they are (features and place), their masses and clusters."""

    points: Plane
    masses: NDArray[np.float64]
    clusters: Index
    """Darkest cluster first."""
    owner: Index
    """(H, W): the representative of each pixel."""


def find_regions(plane: NDArray[Any], options: DensityPeaksOptions, cancel: CancelToken | None = None) -> Regions:
    """The hierarchy of one picture, from its luminance (H, W) in 0..255."""
    described = features(plane, options.gradient_weight)
    chosen, owner = np.unique(representatives(described, options.bandwidth), return_inverse=True)
    masses = np.bincount(owner).astype(np.float64)
    points = _placed(described, options.place_weight)[chosen]
    level = np.arange(len(points))
    while len(np.unique(level)) > options.top:
        if cancel:
            cancel.check()
        kept, inverse = np.unique(level, return_inverse=True)
        gathered = np.bincount(inverse, weights=masses)
        level = kept[coarser(points[kept], gathered)][inverse]
    kept, inverse = np.unique(level, return_inverse=True)
    # At the top it's tissue that counts, not where it lies: two lungs are one cluster.
    content = points[kept][:, : described.shape[2]]
    labels = density_peaks(content, np.bincount(inverse, weights=masses), options.clusters, options.least)[inverse]
    names, labels = np.unique(labels, return_inverse=True)
    brightness = [np.average(points[labels == name, 0], weights=masses[labels == name]) for name in range(len(names))]
    rank = np.argsort(np.argsort(brightness))
    return Regions(points, masses, rank[labels], owner.reshape(plane.shape))


def _placed(described: Plane, weight: float) -> Plane:
    """(H * W, 7): features, then the place in shares of the longer side."""
    height, width, count = described.shape
    y, x = np.meshgrid(np.arange(height), np.arange(width), indexing="ij")
    place = np.stack([y, x], axis=-1) * (weight / max(height, width))
    return np.concatenate([described.reshape(-1, count), place.reshape(-1, 2)], axis=1)


class DensityPeaks(Transfer):
    """Regions, not pixels, take colours from the reference."""

    name = "cpami"
    title = "CPAMI"
    paper = "Zeng et al. 2019, Biomedical Signal Processing and Control 48"
    Options = DensityPeaksOptions

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
        target = find_regions(gray, options, cancel)
        if on_progress:
            on_progress(Progress("clusters", 1, 2))
        source = find_regions(luma(reference), options, cancel)
        colors = _embed(target, source, reference)
        if on_progress:
            on_progress(Progress("clusters", 2, 2))
        described = features(gray, options.gradient_weight)
        pixels, owner = _placed(described, options.place_weight), target.owner.ravel()
        content = described.shape[2]
        tree = cKDTree(target.points)
        out = np.empty((gray.size, 3), dtype=np.float32)
        step = _ROWS * gray.shape[1]
        for first in range(0, gray.size, step):
            if cancel:
                cancel.check()
            some = pixels[first : first + step]
            _, near = tree.query(some, k=range(1, min(options.neighbors, len(colors)) + 1))
            # Its own representative always counts, however far away it lies in a large flat region.
            near = np.concatenate([owner[first : first + step, None], near], axis=1)
            apart = ((target.points[near, :content] - some[:, None, :content]) ** 2).sum(axis=2)
            similar = np.exp(-apart / options.bandwidth**2) + 1e-12
            blend = np.einsum("nk,nkc->nc", similar / similar.sum(axis=1, keepdims=True), colors[near])
            out[first : first + step] = blend
        return out.reshape(*gray.shape, 3)


def _embed(target: Regions, source: Regions, reference: NDArray[np.uint8]) -> Plane:
    """A colour for each of the slice's representatives: that of the region most like it in the paired cluster."""
    from scipy.spatial import cKDTree

    owner = source.owner.ravel()
    pixels = reference.reshape(-1, 3)
    means = np.stack([np.bincount(owner, weights=pixels[:, c]) for c in range(3)], axis=1) / source.masses[:, None]
    colors = np.zeros((len(target.points), 3))
    last, last_source = target.clusters.max(), source.clusters.max()
    for cluster in range(last + 1):
        own = np.flatnonzero(target.clusters == cluster)
        paired = np.flatnonzero(source.clusters == round(cluster * last_source / max(last, 1)))
        ours, theirs = target.points[own], source.points[paired]
        # Paired clusters may lie at different brightness: they are laid over each other by their means.
        shift = np.zeros(ours.shape[1])
        shift[0] = np.average(theirs[:, 0], weights=source.masses[paired]) - np.average(
            ours[:, 0], weights=target.masses[own]
        )
        colors[own] = means[paired][cKDTree(theirs).query(ours + shift)[1]]
    return colors
