"""Three planes, one colour: a 2D network run along each anatomical axis, averaged, with where the three disagree.

Not for: networks that were trained in one plane only for a reason; a fused colour is as good as its worst plane.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.colordiff import mean_pairwise_difference
from ..imaging.luma import chroma_of, fit_chroma, with_luma
from ..progress import CancelToken, OnProgress, Progress
from .painter import ChromaPainter, SlabPainter, Subject

if TYPE_CHECKING:
    from ..bundles.likeness import Comparison
    from .network import NetworkPainter

PLANES = ("axial", "coronal", "sagittal")


class FusedPainter:
    """The mean of several painters' chroma, on the subject's own luma (`inference.painter.SlabPainter`)."""

    keeps_luma = True

    def __init__(self, painters: Sequence[SlabPainter], judge: NetworkPainter | None = None) -> None:
        """`judge`: which of them saw the plane that training showed most, and so tells likeness."""
        if len(painters) < 2:
            raise UsageError("Fusing needs at least two painters.")
        self.painters, self.judge = list(painters), judge
        self.name = self.painters[0].name

    def describe(self) -> dict[str, Any]:
        """For the provenance."""
        first = self.painters[0].describe()
        return {**first, "model_plane": "+".join(str(p.describe().get("model_plane", "")) for p in self.painters)}

    def likeness(self, subject: Subject) -> Comparison | None:
        """How far the subject is from what the network was trained on."""
        return None if self.judge is None else self.judge.likeness(subject)

    def across(self, subject: Subject) -> int:
        """How many slices lie across the array's slabs and so must be painted before the first slab."""
        return sum(painter.across(subject) for painter in self._networks())

    def prepare(self, subject: Subject, cancel: CancelToken | None, tell: Callable[[], None]) -> None:
        """Paint those slices now, calling `tell` after each."""
        for painter in self._networks():
            painter.prepare(subject, cancel, tell)

    def _networks(self) -> list[Any]:
        return [painter for painter in self.painters if hasattr(painter, "prepare")]

    def paint(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> NDArray[np.float32]:
        """RGB proposals (stop - start, J, I, 3) in 0..255."""
        return np.moveaxis(with_luma(self.chroma(subject, start, stop, cancel), subject.gray[start:stop]), 0, -1)

    def chroma(self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> NDArray[np.float32]:
        """Red and blue less luma, (2, stop - start, J, I)."""
        return self._mean(self._chromas(subject, start, stop, cancel))

    def chroma_unsure(
        self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None
    ) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """`chroma` and `disagreement` at once: every network runs once."""
        each = list(self._chromas(subject, start, stop, cancel))
        colors = [fit_chroma(chroma, subject.gray[start:stop])[0] for chroma in each]
        return self._mean(iter(each)), mean_pairwise_difference(colors)

    def _mean(self, each: Iterator[NDArray[np.float32]]) -> NDArray[np.float32]:
        """The mean of every painter's chroma, which need not be held at once."""
        total = next(each) + next(each)
        for chroma in each:
            total += chroma
        total /= len(self.painters)
        return total

    def disagreement(
        self, subject: Subject, start: int, stop: int, cancel: CancelToken | None = None
    ) -> NDArray[np.float32]:
        """How far the planes' colours lie apart, (stop - start, J, I): mean CIEDE2000 over their pairs, luma kept."""
        return self.chroma_unsure(subject, start, stop, cancel)[1]

    def map_disagreement(
        self, subject: Subject, on_progress: OnProgress | None = None, cancel: CancelToken | None = None
    ) -> NDArray[np.float32]:
        """`disagreement` of the whole volume, told slice by slice."""
        count = len(subject.gray)
        total, done = count + self.across(subject), 0

        def tell() -> None:
            nonlocal done
            done += 1
            if on_progress:
                on_progress(Progress("uncertainty", done, total))

        if on_progress:
            on_progress(Progress("uncertainty", 0, total))
        self.prepare(subject, cancel, tell)
        out = np.empty(subject.gray.shape, np.float32)
        for k in range(count):
            out[k] = self.disagreement(subject, k, k + 1, cancel)[0]
            tell()
        return out

    def _chromas(
        self, subject: Subject, start: int, stop: int, cancel: CancelToken | None
    ) -> Iterator[NDArray[np.float32]]:
        """The chroma of each painter's proposal, (2, slices, J, I), one after the other."""
        for painter in self.painters:
            if isinstance(painter, ChromaPainter):
                yield painter.chroma(subject, start, stop, cancel)
            else:
                yield chroma_of(np.moveaxis(painter.paint(subject, start, stop, cancel), -1, 0))


def three_planes(painter: NetworkPainter) -> FusedPainter:
    """The same network in all three planes. (One copy of the weights: the three share them.)"""
    from .network import NetworkPainter

    each = []
    for plane in PLANES:
        described = dataclasses.replace(painter.bundle, input=dataclasses.replace(painter.bundle.input, plane=plane))
        each.append(NetworkPainter(described, painter.net))
    return FusedPainter(each, each[PLANES.index(painter.bundle.input.plane)])
