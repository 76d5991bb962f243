"""One scan as a network was trained to see it: plane, mm per pixel, black air, window; and the way back to its voxels.

Every slice is framed once, though each is looked at as often as the network takes neighbours.
Not for: running networks (`network`) or what training does to its pictures (`training.frame`).
"""

from __future__ import annotations

from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..bundles.folder import InputFrame
from ..imaging.foreground import SoftMask, soft_mask
from ..imaging.luma import chroma_of, with_luma
from ..imaging.windows import Window
from ..training import frame
from .painter import Subject

Pair = tuple[int, int]
_RIM_MM = 4.0
"""How far around the body colour may lie."""
_AROUND = 3
"""Pixels around that, so that what is there shares and is resized as in a larger picture."""
_VALUES = (np.arange(256) / 127.5 - 1).astype(np.float32)
"""Codes as networks take them."""


@dataclass(frozen=True)
class Framed:
    """One slice in the network's window."""

    codes: NDArray[np.uint8]
    values: NDArray[np.float32]
    """The same as the network takes it: -1 to 1."""
    shown: NDArray[np.uint8]
    """The codes of what of the window may get colour (`Scene.shown`)."""
    empty: bool


Plan = list[tuple[int, NDArray[np.float32]]]
"""Slices whose colour a slice shares (`steady`), and what each weighs, (H, W)."""


@dataclass
class Scene:
    """What is worked out once per subject."""

    turn: frame.Orientation
    gray: NDArray[np.uint8]
    """(slice, row, column) in the plane's order; a view."""
    body: SoftMask
    masked: bool
    slices: int
    shape: Pair
    """Rows and columns at the network's mm per pixel."""
    window: Pair
    center: tuple[float, float]
    colored: tuple[slice, slice]
    """Rows and columns of the slice's own pixels that may get colour."""
    shown: tuple[slice, slice]
    """Rows and columns of the window that these lie in, and a little around them."""
    whole: NDArray[Any] | None = None
    """All slices coloured, where the plane lies across the array's slabs."""
    file: Any = None
    kept: dict[int, Future[NDArray[np.float32] | None]] = field(default_factory=dict)
    """What the network makes of slices it is shown before they are wanted."""
    ahead: int = 0
    """Further slices that are looked at in one step, besides those that the network takes at once."""
    keys: dict[int, NDArray[np.float32]] = field(default_factory=dict)
    """The chroma of slices that the network was run on, while others may share it."""
    plans: dict[int, Plan] = field(default_factory=dict)
    """What the next slices will share."""
    _held: dict[int, Framed] = field(default_factory=dict)

    @classmethod
    def of(cls, subject: Subject, wanted: InputFrame) -> Scene:
        """The scene of a subject for a network."""
        turn = frame.orientation(subject.affine, wanted.plane)  # type: ignore[arg-type]
        gray = turn.apply(subject.gray)
        mask = soft_mask(gray, Window(0, 255), turn.mm)
        native = (gray.shape[1], gray.shape[2])
        shape = _network_shape(wanted, native, turn)
        box = _box(mask, native)
        scale = (shape[0] / native[0], shape[1] / native[1])
        extent = [(high - low) * factor for (low, high), factor in zip(box, scale, strict=True)]
        window = [-(-max(wanted.size, int(np.ceil(size))) // wanted.divisor) * wanted.divisor for size in extent]
        center = [(low + high) / 2 * factor for (low, high), factor in zip(box, scale, strict=True)]
        colored = [slice(0, n) for n in native]
        if wanted.masked:
            colored = [
                slice(max(part.start - round(_RIM_MM / mm), 0), min(part.stop + round(_RIM_MM / mm), n))
                for part, mm, n in zip(mask.box, turn.mm[1:], native, strict=True)
            ]
        middle = (center[0], center[1])
        shown = []
        for part, factor, length, middle in zip(colored, scale, window, center, strict=True):
            start = frame.window_start(length, middle)
            low = min(max(int(part.start * factor) - _AROUND - start, 0), length)
            high = min(int(np.ceil(part.stop * factor)) + _AROUND - start, length)
            shown.append(slice(low, max(high, low)))
        return cls(
            turn,
            gray,
            mask,
            wanted.masked,
            wanted.slices,
            shape,
            (window[0], window[1]),
            (center[0], center[1]),
            (colored[0], colored[1]),
            (shown[0], shown[1]),
        )

    def framed(self, n: int) -> Framed:
        """Slice `n` in the network's window; beyond the ends, the last one."""
        n = min(max(n, 0), len(self.gray) - 1)
        if n in self._held:
            return self._held[n]
        plane = self.gray[n]
        if self.masked:
            plane = np.where(self.inside(n), plane, np.uint8(0))
        codes = frame.crop_or_pad(frame.resize(plane, self.shape), self.window, self.center)
        made = Framed(codes, _VALUES[codes], np.ascontiguousarray(codes[self.shown]), not codes.any())
        while len(self._held) > self.slices + self.ahead:  # as many as one step to the next slice needs
            del self._held[next(iter(self._held))]
        self._held[n] = made
        return made

    def inside(self, n: int) -> NDArray[np.bool_]:
        """Where the body is in slice `n`, (row, column)."""
        return self.body.slab(n, n + 1)[0] > 127

    def seen(self, n: int) -> bool:
        """Whether the network would see more than air."""
        return not (self.masked and all(one.empty for one in self._around(n)))

    def stack(self, n: int) -> NDArray[np.float32] | None:
        """What the network is given to colour slice `n`, (k, H, W); None where it would see air alone."""
        return np.stack([one.values for one in self._around(n)]) if self.seen(n) else None

    def _around(self, n: int) -> list[Framed]:
        half = self.slices // 2
        return [self.framed(m) for m in range(n - half, n + half + 1)]

    def back(self, rgb: NDArray[np.float32] | None, n: int) -> NDArray[np.float32]:
        """The network's (3, H, W) in 0..255 on slice `n`'s own pixels; where there is none the slice stays gray.

        Where the network saw another pixel size, only its chroma comes back: the luma is the slice's own, which no
        resampling has softened.
        """
        own = self.gray[n]
        if rgb is None or self.shape != own.shape:
            return with_luma(self.chroma_back(None if rgb is None else chroma_of(rgb[:, *self.shown]), n), own)
        out = np.empty((3, *own.shape), np.float32)
        out[:] = own
        here, there = self._overlap((slice(0, self.window[0]), slice(0, self.window[1])))
        out[:, *here] = rgb[:, *there]
        return out

    def chroma_back(self, chroma: NDArray[np.float32] | None, n: int) -> NDArray[np.float32]:
        """Red and blue less luma of what is `shown`, (2, H, W), on slice `n`'s own pixels; bicubic is measured best."""
        out = np.zeros((2, *self.gray[n].shape), np.float32)
        if chroma is None:
            return out
        here, there = self._overlap(self.shown)
        if self.shape == out.shape[1:]:
            out[:, *here] = chroma[:, *there]
            return out
        seen = np.zeros(self.shape, np.float32)
        for one, resized in zip(chroma, out, strict=True):
            seen[*here] = one[there]
            resized[*self.colored] = frame.resize(seen, resized.shape, "cubic", self.colored)
        return out

    def _overlap(self, part: tuple[slice, slice]) -> tuple[tuple[slice, slice], tuple[slice, slice]]:
        """What the slice, at the network's pixel size, and a part of the window share: in the one, in the other."""
        here, there = [], []
        for axis in range(2):
            start = frame.window_start(self.window[axis], self.center[axis]) + part[axis].start
            low, high = max(start, 0), min(start + part[axis].stop - part[axis].start, self.shape[axis])
            here.append(slice(low, high))
            there.append(slice(low - start, high - start))
        return (here[0], here[1]), (there[0], there[1])

    def undo(self, picture: NDArray[np.float32]) -> NDArray[np.float32]:
        """One (C, rows, columns) slice in the array's own order of its two in-plane axes."""
        turned = picture[:, :: -1 if self.turn.flips[1] else 1, :: -1 if self.turn.flips[2] else 1]
        return turned if self.turn.axes[1] < self.turn.axes[2] else turned.transpose(0, 2, 1)


def box_mean(picture: NDArray[np.float32], size: int) -> NDArray[np.float32]:
    """The mean over `size` x `size` pixels around each, the picture mirrored at its ends.

    By hand, as SciPy's takes longer to load than a volume's slices take to average.
    """
    rows, columns = picture.shape
    padded = np.pad(picture, (size // 2, size - 1 - size // 2), mode="symmetric")
    down, out = np.zeros((rows, padded.shape[1]), np.float32), np.zeros((rows, columns), np.float32)
    for n in range(size):
        down += padded[n : n + rows]
    for n in range(size):
        out += down[:, n : n + columns]
    return np.asarray(out / np.float32(size * size))


def _network_shape(wanted: InputFrame, native: Pair, turn: frame.Orientation) -> Pair:
    """A slice's rows and columns as the network was trained on them: at its scale, or fitted into its frame."""
    mm = (turn.mm[1], turn.mm[2])
    if wanted.spacing:
        return frame.scaled_shape(native, mm, wanted.spacing)
    longer = max(native[0] * mm[0], native[1] * mm[1])
    return frame.scaled_shape(native, mm, longer / wanted.size)


def _box(mask: SoftMask, native: Pair) -> tuple[tuple[float, float], tuple[float, float]]:
    """Rows and columns between which the body lies, in native pixels, from the coarse mask."""
    inside = mask.coarse.max(axis=0) > 127
    box = []
    for axis, step in ((1, mask.steps[1]), (0, mask.steps[2])):
        found = np.flatnonzero(inside.any(axis=axis))
        limit = native[0] if axis == 1 else native[1]
        box.append((found[0] * step, min(limit, (found[-1] + 1) * step)) if len(found) else (0, limit))
    return box[0], box[1]
