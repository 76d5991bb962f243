"""Which slices meet in a batch, and how they are varied. A batch is a function of the seed and its number alone.

So the order of the data needs no saving, a resumed run sees what an unbroken one would, and several processes share a
batch without talking. Not for: reading or framing (`prepare`).
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.nn.functional import affine_grid, grid_sample

from ..errors import InputError
from ..imaging.colorspaces import luma_codes
from ..methods.base import Batch
from .prepare import Prepared
from .settings import DataSettings

_Place = tuple[int, int]
"""Number of the prepared source, number of the slice in it."""


@dataclass
class Domain:
    """The usable slices of one domain, by level of the body."""

    prepared: list[Prepared]
    by_level: dict[int, list[_Place]]

    @property
    def places(self) -> list[_Place]:
        """Every usable slice, from the first level to the last."""
        return [place for level in sorted(self.by_level) for place in self.by_level[level]]


def levels_of(prepared: Prepared, settings: DataSettings, offset: float) -> NDArray[np.int64]:
    """The level of each slice: how far below the top of the foreground it lies, in steps of `level_width`."""
    inside = np.flatnonzero(prepared.fractions >= min(0.005, settings.least_foreground))
    if settings.levels == "none" or not len(inside):
        return np.zeros(len(prepared.positions), np.int64)
    first, last = prepared.positions[inside[0]], prepared.positions[inside[-1]]
    if settings.levels == "top":
        along = prepared.positions - first + offset
    else:
        along = 100 * (prepared.positions - first) / max(last - first, 1e-6)
    return np.floor(along / settings.level_width).astype(np.int64)


def make_domain(prepared: Sequence[Prepared], settings: DataSettings, offset: float = 0.0) -> Domain:
    """Slices with enough foreground, sorted into levels."""
    by_level: dict[int, list[_Place]] = defaultdict(list)
    for number, source in enumerate(prepared):
        for n, level in enumerate(levels_of(source, settings, offset)):
            if source.fractions[n] >= settings.least_foreground:
                by_level[int(level)].append((number, n))
    return Domain(list(prepared), dict(by_level))


class Pairs:
    """Batches of gray and colour slices of like anatomy."""

    def __init__(
        self, gray: Sequence[Prepared], color: Sequence[Prepared], settings: DataSettings, *, paired: bool, seed: int
    ) -> None:
        self.settings, self.paired, self.seed = settings, paired, seed
        self.notes: list[str] = []
        if not any(len(source.positions) > 1 for source in [*gray, *color]) and settings.levels != "none":
            self.notes.append("Single pictures have no place along a body: levels are not matched.")
            settings = DataSettings(**{**settings.to_mapping(), "levels": "none"})
        self.color = make_domain(color, settings)
        own = settings.gray_from == "folder"
        self.gray = make_domain(gray, settings, settings.gray_top) if own else make_domain(gray, settings)
        needed = [("gray", self.gray)] if not color else [("color", self.color), ("gray", self.gray)]
        for name, domain in needed[: 1 if paired and color else 2]:
            if not domain.by_level:
                raise InputError(
                    f"No {name} slice has a foreground of {settings.least_foreground:.0%} or more. Lower "
                    f"data.least_foreground, or set data.{name}_background to none if the pictures have no background."
                )
        self.levels = self._common_levels()

    def _common_levels(self) -> list[int]:
        if self.paired or not self.color.prepared:
            return sorted((self.color if self.color.by_level else self.gray).by_level)
        common = sorted(set(self.gray.by_level) & set(self.color.by_level))
        if not common:
            raise InputError(
                "The gray and the colour slices share no level of the body. Check the order of the pictures, or "
                "turn matching off with --set data.levels=none."
            )
        for name, domain in (("gray", self.gray), ("color", self.color)):
            left_out = sum(len(domain.by_level[level]) for level in set(domain.by_level) - set(common))
            if left_out:
                self.notes.append(f"{left_out} of {len(domain.places)} {name} slices have no partner at their level.")
        return common

    def batch(self, number: int, indices: Sequence[int]) -> Batch:
        """Items `indices` of batch `number`. (Several processes ask for different items of the same batch.)"""
        return collate([self.item(number, index) for index in indices])

    def item(self, number: int, index: int) -> dict[str, Tensor]:
        """One gray and one colour slice, chosen and varied by a generator made from (seed, number, index)."""
        random = np.random.default_rng([self.seed, number, index])
        level = self.levels[random.integers(len(self.levels))]
        out: dict[str, Tensor] = {}
        if self.color.by_level:
            out |= self._color(_pick(self.color, level, random), random)
        if self.paired and self.color.by_level:
            out |= {"gray": out["color_gray"], "mask": out["color_mask"]}
            if "color_labels" in out:
                out["labels"] = out["color_labels"]
        else:
            out |= self._gray(_pick(self.gray, level, random), random)
        return out

    def _gray(self, place: _Place, random: np.random.Generator | None) -> dict[str, Tensor]:
        source = self.gray.prepared[place[0]]
        chosen = _neighbours(source, place[1], self.settings.slices)
        stack = source.pictures[chosen]
        if stack.ndim == 4:
            stack = luma_codes(stack)
        pictures = {"gray": stack, **_maps(source, place[1], "")}
        if source.labels is not None and len(chosen) > 1:
            pictures["label_stack"] = source.labels[chosen]
        return _vary(pictures, random, self.settings)

    def _color(self, place: _Place, random: np.random.Generator | None) -> dict[str, Tensor]:
        source = self.color.prepared[place[0]]
        stack = source.pictures[_neighbours(source, place[1], self.settings.slices)]
        pictures = {
            "color": np.moveaxis(stack[self.settings.slices // 2], -1, 0),
            "color_gray": luma_codes(stack),
            **_maps(source, place[1], "color_"),
        }
        if len(stack) > 1:
            pictures["color_stack"] = np.moveaxis(stack, -1, 1).reshape(-1, *stack.shape[1:3])
        return _vary(pictures, random, self.settings)

    def plain(self, gray: _Place | None, color: _Place | None) -> Batch:
        """Chosen slices, not varied: for validation and sample sheets."""
        out = self._color(color, None) if color else {}
        if gray:
            out |= self._gray(gray, None)
        else:
            out |= {"gray": out["color_gray"], "mask": out["color_mask"]}
        return collate([out])


def spread(places: Sequence[_Place], count: int) -> list[_Place]:
    """`count` of them, evenly spread."""
    if len(places) <= count:
        return list(places)
    return [places[int(n)] for n in np.linspace(0, len(places) - 1, count)]


def collate(items: Sequence[dict[str, Tensor]]) -> Batch:
    """Items to a batch; a domain that is not there is stood in for by the other's luma."""
    stacked: dict[str, Any] = {
        key: torch.stack([item[key] for item in items]) for key in items[0] if all(key in item for item in items)
    }
    if "color" not in stacked:
        middle = stacked["gray"].shape[1] // 2
        stacked["color"] = stacked["gray"][:, middle : middle + 1].expand(-1, 3, -1, -1).contiguous()
        stacked["color_gray"] = stacked["gray"]
    return Batch(**stacked)


def _pick(domain: Domain, level: int, random: np.random.Generator) -> _Place:
    """A patient first, then a slice of that patient: long scans don't drown short ones."""
    by_source: dict[int, list[_Place]] = defaultdict(list)
    for place in domain.by_level[level]:
        by_source[place[0]].append(place)
    source = sorted(by_source)[random.integers(len(by_source))]
    places = by_source[source]
    return places[random.integers(len(places))]


def _neighbours(source: Prepared, n: int, count: int) -> list[int]:
    """The slice among its neighbours, by number; where one is missing (an end, a gap), the nearest stands in."""
    chosen = [n] * count
    half = count // 2
    for side in (-1, 1):
        last = n
        for distance in range(1, half + 1):
            near = last + side
            inside = 0 <= near < len(source.positions) and last == n + side * (distance - 1)
            if inside and abs(source.positions[near] - source.positions[last]) <= 2.5 * source.step:
                last = near
            chosen[half + side * distance] = last
    return chosen


def _maps(source: Prepared, n: int, prefix: str) -> dict[str, NDArray[Any]]:
    out: dict[str, NDArray[Any]] = {f"{prefix}mask": np.asarray(source.mask[n])[None]}
    if source.labels is not None:
        out[f"{prefix}labels"] = np.asarray(source.labels[n])[None]
    return out


def _vary(pictures: dict[str, NDArray[Any]], random: np.random.Generator | None, s: DataSettings) -> dict[str, Tensor]:
    """Codes to [-1, 1]; the same random movement for everything that belongs together."""
    out = {}
    grid = _movement(next(iter(pictures.values())).shape[-2:], random, s) if random is not None else None
    mirror = random is not None and s.flip and random.random() < 0.5
    exponent = 1.0 + random.uniform(-s.gamma, s.gamma) if random is not None and s.gamma else 1.0
    for name, array in pictures.items():
        exact = name.endswith(("labels", "label_stack", "mask"))
        tensor = torch.from_numpy(np.array(array)).to(torch.float32)
        if not exact:
            tensor = tensor / 255
            if exponent != 1.0 and name not in ("color", "color_stack"):
                tensor = tensor**exponent
        if mirror:
            tensor = tensor.flip(-1)
        if grid is not None:
            mode = "nearest" if exact else "bilinear"
            tensor = grid_sample(tensor[None], grid, mode=mode, padding_mode="zeros", align_corners=False)[0]
        if name.endswith(("labels", "label_stack")):
            out[name] = (tensor[0] if name.endswith("labels") else tensor).round().long()
        else:
            out[name] = tensor if exact else tensor * 2 - 1
    return out


def _movement(shape: Sequence[int], random: np.random.Generator | None, s: DataSettings) -> Tensor | None:
    if random is None or not (s.rotate or s.zoom or s.shift):
        return None
    angle = math.radians(random.uniform(-s.rotate, s.rotate))
    scale = 1.0 + random.uniform(-s.zoom, s.zoom)
    x, y = (2 * random.uniform(-s.shift, s.shift) for _ in range(2))
    cos, sin = math.cos(angle) / scale, math.sin(angle) / scale
    return affine_grid(torch.tensor([[[cos, -sin, x], [sin, cos, y]]]), [1, 1, *shape], align_corners=False)
