"""The generator of this project's own method on NumPy: what `networks.chroma_net` computes as built, without torch.

Loading torch takes longer than colouring a head, and many installations (Slicer's) are without it. A convolution is one
matrix product over a copy of its input moved into all nine places; a slice takes one core, so slices run side by side.
What the two finest levels make of the air around a body is the same at every slice: it is worked out once.
Not for: training, GPUs, half precision or other networks, which stay torch's.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.lib.stride_tricks import as_strided
from numpy.typing import NDArray

from ..bundles.folder import PLAIN_METHOD, Bundle
from ..bundles.tensors import read_tensors
from ..bundles.verify import verify
from ..errors import ModelError
from .torch_net import out_of_memory

Array = NDArray[np.float32]
Part = tuple[slice, slice]
"""Rows and columns of a map."""
_COPIED = 800_000
"""Values copied for one matrix product: few enough to stay in a core's cache."""
_BICUBIC = -0.75
"""The slope of torch's bicubic kernel."""
_MOST = 8
"""Slices that are run at once; painting can't keep up with more."""
_SAY = 4
"""As many pixels of the half-size maps around a body are worked out with it: what lies beyond is air to the first two
levels, and has no say in the body's colours above them."""
_WORTH = 0.9
"""Larger parts of a window are not worth telling apart."""
_AIRS = 4
"""Shapes of windows whose air is kept."""
_COUNTS = hasattr(os, "sched_getaffinity")
_LARGEST = 4096
"""Channels beyond which metadata make no sense."""


class PlainNet:
    """(k, H, W) gray in [-1, 1] -> RGB (3, H, W) in 0..255, like `networks.chroma_net.ChromaColoring` once folded."""

    precision = "fp32"

    def __init__(self, name: str, tensors: Mapping[str, Array], widths: tuple[int, ...]) -> None:
        def layer(name: str) -> Array:
            return _flat(tensors[f"network.{name}.weight"], tensors[f"network.{name}.bias"])

        levels = range(len(widths) - 1)
        self._stem = layer("stem.0")
        self._down = [(layer(f"down.{n}.0.0"), layer(f"down.{n}.1.0")) for n in levels]
        self._lift = [layer(f"lift.{n}.0") for n in levels]
        self._up = []
        for n in levels:
            weight, bias = tensors[f"network.up.{n}.0.weight"], tensors[f"network.up.{n}.0.bias"]
            lifted, skip = np.split(weight.astype(np.float32), 2, axis=1)
            self._up.append((_flat(skip, bias), [_flat(each) for each in _of_enlarged(lifted)]))
        self._tissue, self._detail = layer("tissue"), layer("detail")
        self._colors = np.ascontiguousarray(tensors["network.colors"].T, np.float32)
        self._name = name
        self._space = threading.local()
        self._airs: dict[tuple[int, ...], dict[str, Array]] = {}
        self._lock = threading.Lock()
        self.notes: list[str] = []
        self.ahead = _beside()
        """A slice takes one core, so as many run beside the painting."""

    @classmethod
    def load(cls, folder: Path | str) -> tuple[Bundle, Self]:
        """Verify a bundle and take its weights. Raises `ModelError` if they aren't what its metadata describe."""
        bundle = verify(folder)
        tensors = read_tensors(bundle.weights)
        widths = _widths(bundle)
        tissues = getattr(tensors.get("network.colors"), "shape", ())[:1]
        expected = _shapes(widths, bundle.input.slices, *tissues or (0,))
        wrong = [name for name in {*expected, *tensors} if expected.get(name) != getattr(tensors.get(name), "shape", 0)]
        if wrong:
            raise ModelError(
                f"{bundle.weights} does not fit the network '{bundle.method}' that its metadata describes (missing, "
                f"too many or of another shape: {', '.join(sorted(wrong)[:3])}). The bundle is damaged or was altered; "
                "install it again."
            )
        return bundle, cls(bundle.name, tensors, widths)

    def __call__(self, stack: Array) -> Array:
        try:
            return self._colors_of(stack)
        except MemoryError as error:
            raise out_of_memory(self._name, stack) from error

    def _colors_of(self, stack: Array) -> Array:
        rows, columns = stack.shape[1:]
        part = self._part(stack)
        maps = self._encoded(stack, part)
        x = maps.pop()
        for n in reversed(range(len(self._up))):
            skip = maps.pop()
            lifted = self._lifted(n, x, _at(part, 2) if part and n == 1 else None)
            x = self._convolved(f"up {n}", skip, self._up[n][0], enlarged=(lifted, self._up[n][1]))
        chroma = self._chroma(_inner(x))
        down, across = part or (slice(0, rows // 2), slice(0, columns // 2))
        here = (slice(2 * down.start, 2 * down.stop), slice(2 * across.start, 2 * across.stop))
        # To full resolution as training did it, row by row and column by column.
        blue, red = np.matmul(np.matmul(_twice(rows)[here[0], down], chroma), _twice(columns)[here[1], across].T)
        out = np.empty((3, rows, columns), np.float32)
        out[:] = stack[len(stack) // 2]
        colored = out[:, *here]
        colored[0] += np.float32(1.402) * red
        colored[1] -= np.float32(0.344136) * blue + np.float32(0.714136) * red
        colored[2] += np.float32(1.772) * blue
        np.clip(out, -1, 1, out=out)
        out += 1
        out *= 127.5
        return out

    def _part(self, stack: Array) -> Part | None:
        """What of the half-size maps shows more than air, and as much around it as it has a say in; None for all.

        Multiples of 4, so that the next two levels have it too.
        """
        if len(self._up) < 2:
            return None
        seen = stack > -1
        part, share = [], 1.0
        for axis in (1, 2):
            found, size = np.flatnonzero(seen.any(axis=(0, 3 - axis))), stack.shape[axis] // 2
            if not len(found):
                return None
            low, high = int(found[0]) // 2 - _SAY, int(found[-1]) // 2 + 1 + _SAY
            part.append(slice(max(low // 4 * 4, 0), min(-(-high // 4) * 4, size)))
            share *= (part[-1].stop - part[-1].start) / size
        return (part[0], part[1]) if share < _WORTH else None

    def _encoded(self, stack: Array, part: Part | None) -> list[Array]:
        """The maps of all levels, the finest first, padded: of the first two levels only the part."""
        air = self._air(stack.shape) if part else {}
        fine = self._fine(stack, part, air)
        maps = [fine["stem"], *([fine["second 0"]] if self._down else [])]
        x = maps[-1]
        if part:
            whole = self._padded("whole", len(x), stack.shape[1] // 4, stack.shape[2] // 4)
            whole[:] = air["second 0"]
            _inner(whole)[:, *_at(part, 1)] = _inner(x)
            x = whole
        for n, (first, second) in enumerate(self._down[1:], 1):
            x = self._convolved(f"first {n}", x, first, stride=2)
            maps.append(x := self._convolved(f"second {n}", x, second))
        return maps

    def _fine(self, stack: Array, part: Part | None, air: Mapping[str, Array]) -> dict[str, Array]:
        """The maps of the first two levels by name; around a part they are those of air."""
        k, rows, columns = stack.shape
        down, across = part or (slice(0, rows // 2), slice(0, columns // 2))

        def around(name: str, level: int) -> Array | None:
            return _with_rim(air[name], _at(part, level)) if part else None

        x = self._padded("in", 4 * k, down.stop - down.start, across.stop - across.start, around("in", 0))
        for channel in range(4 * k):
            slice_, place = divmod(channel, 4)
            x[channel, 1:-1, 1:-1] = stack[slice_, place // 2 :: 2, place % 2 :: 2][down, across]
        out = {"in": x, "stem": self._convolved("stem", x, self._stem, around=around("stem", 0))}
        for first, second in self._down[:1]:
            x = self._convolved("first 0", out["stem"], first, stride=2, around=around("first 0", 1))
            out["first 0"] = x
            out["second 0"] = self._convolved("second 0", x, second, around=around("second 0", 1))
        return out

    def _air(self, shape: tuple[int, ...]) -> dict[str, Array]:
        """The first two levels' maps of nothing but air, which they show wherever no body is near."""
        with self._lock:
            if shape not in self._airs:
                if len(self._airs) >= _AIRS:
                    del self._airs[next(iter(self._airs))]
                air = self._fine(np.full(shape, -1, np.float32), None, {})
                self._airs[shape] = {name: each.copy() for name, each in air.items()}
            return self._airs[shape]

    def _lifted(self, n: int, x: Array, part: Part | None) -> Array:
        """A map, or that part of it, brought to the channels of the level above, padded: by what is beside the part."""
        if part is None:
            out = self._padded(f"lifted {n}", len(self._lift[n]), x.shape[1] - 2, x.shape[2] - 2)
            np.maximum(_each(self._lift[n], _inner(x)), 0, out=_inner(out))
            return out
        near = _with_rim(x, part)
        out = self._padded(f"lifted {n}", len(self._lift[n]), near.shape[1] - 2, near.shape[2] - 2)
        np.maximum(_each(self._lift[n], near), 0, out=out)
        for axis, along in enumerate(part, 1):
            edges = np.moveaxis(out, axis, 0)
            if along.start == 0:
                edges[0] = 0
            if along.stop == x.shape[axis] - 2:
                edges[-1] = 0
        return out

    def _chroma(self, x: Array) -> Array:
        """(2, h, w): the tissues' colours, each weighed by how likely it is, and what varies within a tissue."""
        likely = _each(self._tissue, x)
        likely -= likely.max(axis=0)
        np.exp(likely, out=likely)
        total = likely.sum(axis=0)
        mixed = (self._colors @ likely.reshape(len(likely), -1)).reshape(2, *total.shape)
        mixed /= total
        mixed += _each(self._detail, x)
        return np.asarray(mixed)

    def _convolved(
        self,
        name: str,
        x: Array,
        weight: Array,
        stride: int = 1,
        enlarged: tuple[Array, list[Array]] | None = None,
        around: Array | None = None,
    ) -> Array:
        """A 3x3 convolution of a padded map and what is above 0 of it, padded (`around`: by the outermost of that).

        `enlarged`: a map of half the size, and the kernels by which it, enlarged to nearest, adds to the sum.
        """
        rows, columns = (x.shape[1] - 2) // stride, (x.shape[2] - 2) // stride
        out = self._padded(name, len(weight), rows, columns, around)
        step = max(2, _COPIED // (weight.shape[1] * (columns + 2)) // 2 * 2)
        for first in range(0, rows, step):
            n = min(step, rows - first)
            product = self._product("product", weight, x[:, first * stride :], n, columns, 3, stride)
            if enlarged:
                low, kernels = enlarged
                for place, kernel in enumerate(kernels):
                    down, right = divmod(place, 2)
                    here = low[:, first // 2 + down :, right:]
                    product[:, down::2, right::2] += self._product("add", kernel, here, n // 2, columns // 2, 2, 1)
            np.maximum(product, 0, out=_inner(out)[:, first : first + n])
        return out

    def _product(self, name: str, weight: Array, x: Array, n: int, columns: int, kernel: int, stride: int) -> Array:
        """`n` rows of the convolution that begins at the first row of `x`, (O, n, columns)."""
        channels = len(x)
        plane, row, pixel = x.strides
        # With stride 1 whole rows and their padding are copied, which is fastest; the columns too many that come of
        # it are left out at the end.
        wide = row // pixel if stride == 1 else columns
        shape, strides = ((n * wide,), (pixel,)) if stride == 1 else ((n, wide), (stride * row, stride * pixel))
        size = kernel * kernel * channels
        moved = self._scratch("moved", weight.shape[1] * n * wide).reshape(-1, n * wide)
        moved[size:] = 1  # the bias, if there is one
        places = as_strided(x, (kernel, kernel, channels, *shape), (row, pixel, plane, *strides), writeable=False)
        np.copyto(moved[:size].reshape(places.shape), places)
        product = self._scratch(name, len(weight) * n * wide).reshape(len(weight), n * wide)
        np.matmul(weight, moved, out=product)
        return product.reshape(-1, n, wide)[..., :columns]

    def _padded(self, name: str, channels: int, rows: int, columns: int, around: Array | None = None) -> Array:
        """A map with one pixel around it, 0 or the outermost of `around`; the same memory at each slice."""
        shape = (channels, rows + 2, columns + 2)
        size = channels * (rows + 2) * (columns + 2)
        out = self._scratch(name, size + 2)[:size].reshape(shape)  # two more: the last row's copy reads beyond the end
        for edge in (np.s_[:, 0], np.s_[:, -1], np.s_[:, :, 0], np.s_[:, :, -1]):
            out[edge] = 0 if around is None else around[edge]
        return out

    def _scratch(self, name: str, size: int) -> Array:
        """Room for `size` numbers, whatever they were, for each thread."""
        if name not in self._held or self._held[name].size < size:
            self._held[name] = np.zeros(size, np.float32)
        return self._held[name][:size]

    @property
    def _held(self) -> dict[Any, Array]:
        held: dict[Any, Array] = self._space.__dict__
        return held


def _at(part: Part, level: int) -> Part:
    """The part at a level of half the size, again and again."""
    down, across = (slice(along.start >> level, along.stop >> level) for along in part)
    return down, across


def _with_rim(padded: Array, part: Part) -> Array:
    """A part of a padded map and one pixel around it."""
    down, across = part
    return padded[:, down.start : down.stop + 2, across.start : across.stop + 2]


def _inner(padded: Array) -> Array:
    return padded[:, 1:-1, 1:-1]


def _flat(weight: Array, bias: Array | None = None) -> Array:
    """The kernels as rows, place by place and then by channel, as they are multiplied; the bias comes last."""
    flat = weight.astype(np.float32).transpose(0, 2, 3, 1).reshape(len(weight), -1)
    return np.ascontiguousarray(flat if bias is None else np.hstack((flat, bias.astype(np.float32)[:, None])))


def _of_enlarged(weight: Array) -> list[Array]:
    """3x3 kernels after an enlargement to nearest, as 2x2 kernels before it: one for each pixel of four."""

    def pairs(kernel: Array, axis: int) -> list[Array]:
        a, b, c = np.split(kernel, 3, axis)
        return [np.concatenate((a, b + c), axis), np.concatenate((a + b, c), axis)]

    return [both for rows in pairs(weight, 2) for both in pairs(rows, 3)]


def _each(layer: Array, x: Array) -> Array:
    """A 1x1 convolution, (O, h, w)."""
    out = layer[:, :-1] @ x.reshape(len(x), -1)
    out += layer[:, -1:]
    return out.reshape(-1, *x.shape[1:])


@lru_cache(16)
def _twice(size: int) -> Array:
    """(size, size / 2): the bicubic enlargement to twice the size, along one axis, ends repeated."""
    place = (np.arange(size) + 0.5) / 2 - 0.5
    base = np.floor(place).astype(int)
    matrix = np.zeros((size, size // 2), np.float32)
    for tap in (-1, 0, 1, 2):
        away = np.abs(place - (base + tap))
        near = (_BICUBIC + 2) * away**3 - (_BICUBIC + 3) * away**2 + 1
        far = _BICUBIC * (away**3 - 5 * away**2 + 8 * away - 4)
        weight = np.where(away <= 1, near, far).astype(np.float32)
        np.add.at(matrix, (np.arange(size), np.clip(base + tap, 0, size // 2 - 1)), weight)
    return matrix


def _beside() -> int:
    """How many slices to run beside the caller's own work, if there is more than one core: OpenMP's variable says.

    NumPy's own threads, where nobody has kept them to one, take all cores for each product: then one beside is enough.
    """
    stated = os.environ.get("OMP_NUM_THREADS", "")
    cores = int(stated) if stated.isdecimal() else len(os.sched_getaffinity(0)) if _COUNTS else os.cpu_count() or 1
    return 0 if cores < 2 else min(cores, _MOST if os.environ.get("OPENBLAS_NUM_THREADS") == "1" else 1)


def _widths(bundle: Bundle) -> tuple[int, ...]:
    options = bundle.config.get("options")
    widths = options.get("widths") if isinstance(options, dict) else None
    whole = isinstance(widths, (list, tuple)) and all(type(w) is int and 0 < w <= _LARGEST for w in widths)
    same = (
        bundle.config.get("method") == bundle.method == PLAIN_METHOD
        and bundle.config.get("slices") == bundle.input.slices
    )
    if not (whole and widths and same and bundle.input.divisor % 2 ** len(widths) == 0):
        raise ModelError(f"{bundle.folder}: its network can't be built from its metadata. The bundle is damaged.")
    return tuple(widths)


def _shapes(widths: tuple[int, ...], slices: int, tissues: int) -> dict[str, tuple[int, ...]]:
    """What each tensor of the folded network is called, and its shape."""
    layers = {"stem.0": (widths[0], 4 * slices, 3), "tissue": (tissues, widths[0], 1), "detail": (2, widths[0], 1)}
    for n, (low, high) in enumerate(pairwise(widths)):
        layers[f"down.{n}.0.0"], layers[f"down.{n}.1.0"] = (high, low, 3), (high, high, 3)
        layers[f"lift.{n}.0"], layers[f"up.{n}.0"] = (low, high, 1), (low, 2 * low, 3)
    out: dict[str, tuple[int, ...]] = {"network.colors": (tissues, 2)}
    for name, (after, before, kernel) in layers.items():
        out[f"network.{name}.weight"] = (after, before, kernel, kernel)
        out[f"network.{name}.bias"] = (after,)
    return out
