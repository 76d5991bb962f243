"""The `Colorizer`: a gray volume in, a coloured one out, a slab of slices at a time.

It does what is common to every method: the window, the foreground, the luminance lock, alpha, provenance. What colour a
voxel gets is the painter's business. `stream` never holds the coloured volume; `colorize` collects it.
"""

from __future__ import annotations

import platform
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import numpy as np
from numpy.typing import NDArray

from .. import __version__
from ..errors import UsageError
from ..imaging.foreground import SoftMask, soft_mask
from ..imaging.label_grid import labels_on
from ..imaging.luma import FIDELITIES, Fidelity, fit_chroma, fit_gamut
from ..imaging.scan import ColorHeader
from ..imaging.volume import ColorVolume, LabelVolume, Volume
from ..imaging.windows import Window, choose_window, codes, count_non_finite, modality_of
from ..progress import CancelToken, OnProgress, Progress, track
from .painter import ChromaPainter, Painter, SlabPainter, Subject, TablePainter
from .palette import default_palette, load_palette
from .tables import ColorTable

if TYPE_CHECKING:
    from ..bundles.likeness import Comparison
    from .network import NetworkPainter
    from .planes import FusedPainter


@dataclass
class ColorStream:
    """A coloured volume being made: what a writer needs to begin, the slabs, and at the end the figures."""

    header: ColorHeader
    slabs: Iterator[NDArray[np.uint8]]
    notes: tuple[str, ...]
    figures: dict[str, Any] = field(default_factory=dict)
    """Filled as the slabs are made: `gamut_overflow_share`."""
    uncertainty: NDArray[np.float32] | None = None
    """Where three planes disagree (CIEDE2000 at equal lightness); filled as the slabs are made, if it was asked for."""


class Colorizer:
    """Colours gray volumes with one model.

    >>> color = Colorizer().colorize(read_volume("head.nii.gz"))   # the best there is for this scan
    >>> Colorizer(model="palette", palette="head-mr")               # a tissue palette
    >>> Colorizer(model="head-mr", device="cuda")                   # an installed or given bundle
    """

    def __init__(
        self,
        model: str | Path | None = None,
        *,
        palette: str | Path | None = None,
        device: str = "auto",
        painter: Painter | None = None,
    ) -> None:
        if palette is not None and model not in (None, "palette"):
            raise UsageError(f"A palette and the model '{model}' exclude each other. Give one of them.")
        self._model = "palette" if palette is not None else model
        self._palette = palette
        self._device = device
        self._painter = painter

    def painter_for(self, volume: Volume) -> Painter:
        """What will colour this volume: what was asked for, else the best installed model, else a palette."""
        return self._choose(volume)[0]

    def _choose(self, volume: Volume) -> tuple[Painter, str]:
        """The painter, and what a person should know of the choice, if anything."""
        if self._painter is not None:
            return self._painter, ""
        model: str | Path | None = self._model
        why = ""
        if model is None:
            from .network import choose_bundle

            model, why = choose_bundle(volume)
        if model in (None, "palette"):
            chosen = load_palette(self._palette) if self._palette else default_palette(modality_of(volume))
            return cast(Painter, chosen), why
        from .network import load_painter

        return load_painter(model, device=self._device), why

    def stream(
        self,
        volume: Volume,
        *,
        labels: LabelVolume | None = None,
        window: Window | str | tuple[float, float] | None = None,
        fidelity: Fidelity = "exact",
        alpha: bool = False,
        uncertainty: bool = False,
        part: tuple[int, int] | None = None,
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> ColorStream:
        """Begin colouring; the work happens as the slabs are taken.

        `part`: only slices from the first to before the second, coloured as they are in the whole volume.
        """
        first, last = part or (0, volume.shape[0])
        if not 0 <= first < last <= volume.shape[0]:
            raise UsageError(f"Slices {first} to {last} can't be coloured: the volume has {volume.shape[0]}.")
        if part and uncertainty:
            raise UsageError("The uncertainty is that of a whole volume. Leave it out, or colour all slices.")
        if fidelity not in FIDELITIES:
            raise UsageError(f"There is no fidelity '{fidelity}'. Choose one of {', '.join(FIDELITIES)}.")
        if labels is not None:
            labels = labels_on(labels, volume)
        painter, why = self._choose(volume)
        if uncertainty:
            painter = _in_three_planes(painter)
        chosen = choose_window(volume, window)
        notes = [*volume.notes, *(labels.notes if labels else ()), *_warnings(volume, chosen)]
        notes += [why] if why else []
        if on_progress:
            on_progress(Progress("prepare", 0, 1, "finding the body"))
        mask = soft_mask(volume.array, chosen, volume.spacing)
        provenance = {
            "synthetic_color": True,
            "notice": "The colour is synthetic, not measured. Not for diagnosis.",
            "program": f"MedColorize {__version__}",
            "python": platform.python_version(),
            "numpy": np.__version__,
            **painter.describe(),
            "input_sha256": volume.sha256,
            "modality": modality_of(volume),
            "window": [chosen.low, chosen.high],
            "window_name": chosen.name,
            "fidelity": fidelity,
            "labels": labels is not None,
        }
        work: _TableWork | _PaintWork
        if hasattr(painter, "paint"):
            work = _PaintWork(cast(SlabPainter, painter), volume, labels, chosen, fidelity, mask.box, cancel)
            if (like := work.likeness()) is not None:
                provenance["likeness"] = like.to_mapping()
                notes += [like.note] if like.unlike else []
        else:
            work = _TableWork(cast(TablePainter, painter), volume, labels, chosen, fidelity)
        affine = volume.affine.copy()
        if first:  # adding nothing would still turn -0 into 0
            affine[:3, 3] += first * affine[:3, 2]
        if part:
            provenance["slices"] = [first, last]
        shape = (last - first, *volume.shape[1:])
        header = ColorHeader(shape, 4 if alpha else 3, affine, 1, provenance, volume.origin)
        result = ColorStream(header, iter(()), tuple(notes))
        if uncertainty and isinstance(work, _PaintWork):
            result.uncertainty = work.uncertainty = np.zeros(volume.shape, np.float32)
        result.slabs = _slabs(result, work, mask, first, on_progress, cancel)
        return result

    def colorize(
        self,
        volume: Volume,
        *,
        labels: LabelVolume | None = None,
        window: Window | str | tuple[float, float] | None = None,
        fidelity: Fidelity = "exact",
        alpha: bool = False,
        part: tuple[int, int] | None = None,
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> ColorVolume:
        """Colour a volume, or a `part` of it, in memory; `stream` is the same for what should not be held twice."""
        stream = self.stream(
            volume,
            labels=labels,
            window=window,
            fidelity=fidelity,
            alpha=alpha,
            part=part,
            on_progress=on_progress,
            cancel=cancel,
        )
        out = np.empty((*stream.header.shape, stream.header.channels), dtype=np.uint8)
        at = 0
        for slab in stream.slabs:
            out[at : at + len(slab)] = slab
            at += len(slab)
        provenance = {**stream.header.provenance, **stream.figures}
        return ColorVolume(out, stream.header.affine, provenance, stream.notes)

    def uncertainty(
        self,
        volume: Volume,
        *,
        window: Window | str | tuple[float, float] | None = None,
        on_progress: OnProgress | None = None,
        cancel: CancelToken | None = None,
    ) -> NDArray[np.float32]:
        """Where a trained model is unsure: how far the colours of three slicing directions lie apart (CIEDE2000).

        The same as `stream(..., uncertainty=True)` fills in, without the coloured volume.
        """
        planes = _in_three_planes(self.painter_for(volume))
        chosen = choose_window(volume, window)
        subject = Subject(_gray(volume, chosen), volume.affine, modality_of(volume))
        return planes.map_disagreement(subject, on_progress, cancel)


class _TableWork:
    """Slabs by look-up."""

    slab_voxels = 2_000_000

    def __init__(
        self, painter: TablePainter, volume: Volume, labels: LabelVolume | None, window: Window, fidelity: Fidelity
    ) -> None:
        self._array = volume.array
        self._labels = None if labels is None else labels.array
        self._table = ColorTable(painter, window, volume.array.dtype, fidelity, labels)
        self.notes: tuple[str, ...] = ()
        if labels is not None and not self._table.known_labels.intersection(np.unique(labels.array).tolist()):
            self.notes = (
                f"'{painter.name}' knows none of the labels, by number or by name: they change nothing. Give labels "
                "with names (.seg.nrrd), or a palette or colour table with these numbers.",
            )

    def make(
        self, start: int, stop: int, out: NDArray[np.uint8], inside: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """Colour slices into `out`; returns their codes, and which voxels gave up chroma, if any did."""
        labels = None if self._labels is None else self._labels[start:stop]
        return self._table.apply(self._array[start:stop], out, labels)


class _PaintWork:
    """Slabs by a painter that computes, with the whole windowed volume as its context."""

    slab_voxels = 250_000

    def __init__(
        self,
        painter: SlabPainter,
        volume: Volume,
        labels: LabelVolume | None,
        window: Window,
        fidelity: Fidelity,
        box: tuple[slice, slice],
        cancel: CancelToken | None,
    ) -> None:
        self._subject = Subject(_gray(volume, window), volume.affine, modality_of(volume), labels)
        self._painter, self._fidelity, self._cancel = painter, fidelity, cancel
        self._box = box
        by_chroma = isinstance(painter, ChromaPainter) and (painter.keeps_luma or fidelity == "exact")
        self._chroma = cast(ChromaPainter, painter) if by_chroma else None
        self.uncertainty: NDArray[np.float32] | None = None

    def make(
        self, start: int, stop: int, out: NDArray[np.uint8], inside: NDArray[np.uint8]
    ) -> tuple[NDArray[np.uint8], NDArray[np.bool_] | None]:
        """Colour slices into `out`; returns their codes, and which voxels gave up chroma, if any did.

        What lies beyond the body stays gray, so it is not worked out.
        """
        gray = self._subject.gray[start:stop]
        for channel in range(3):
            out[..., channel] = gray
        overflowed = np.zeros(gray.shape, bool)
        if self.uncertainty is not None:
            held = slice(0, stop - start)
            planes = cast("FusedPainter", self._painter)
            proposal, self.uncertainty[start:stop] = planes.chroma_unsure(self._subject, start, stop, self._cancel)
        elif len(found := np.flatnonzero(inside.any(axis=(1, 2)))):
            held = slice(int(found[0]), int(found[-1]) + 1)
            propose = self._chroma.chroma if self._chroma else self._painter.paint
            proposal = propose(self._subject, start + held.start, start + held.stop, self._cancel)
        else:
            return gray, overflowed
        part = (held, *self._box)
        if self._chroma:
            out[part], overflowed[part] = fit_chroma(proposal[:, :, *self._box], gray[part], self._fidelity)
        else:
            out[part], overflowed[part] = fit_gamut(proposal[:, *self._box], gray[part], self._fidelity)
        return gray, overflowed

    def likeness(self) -> Comparison | None:
        """How far the scan is from what the painter was trained on, if it can tell."""
        tell = getattr(self._painter, "likeness", None)
        return tell(self._subject) if tell else None

    def prepare(self, on_progress: OnProgress | None) -> None:
        """What has to be done before the first slab, told step by step: all slices of a plane that lies across them."""
        across = getattr(self._painter, "across", None)
        total, done = across(self._subject) if across else 0, 0

        def tell() -> None:
            nonlocal done
            done += 1
            if on_progress:
                on_progress(Progress("prepare", done, total, "colouring across the volume's own slices"))

        if total:
            cast("NetworkPainter", self._painter).prepare(self._subject, self._cancel, tell)

    @property
    def notes(self) -> tuple[str, ...]:
        """What the painter found worth telling, e.g. that it fell back to the processor."""
        return tuple(getattr(self._painter, "notes", ()))


def _gray(volume: Volume, window: Window) -> NDArray[np.uint8]:
    """The windowed input as 8-bit codes."""
    gray = np.empty(volume.shape, dtype=np.uint8)
    for k in range(volume.shape[0]):
        gray[k] = codes(volume.array[k], window)
    return gray


def _in_three_planes(painter: Painter) -> FusedPainter:
    """The painter run along all three axes, which is what shows where it is unsure."""
    from .network import NetworkPainter
    from .planes import three_planes

    if not isinstance(painter, NetworkPainter):
        raise UsageError(
            f"'{painter.name}' colours every voxel by itself, so three planes can't disagree: there is no "
            "uncertainty to write. Choose a trained model, or leave the uncertainty out."
        )
    return three_planes(painter)


def _slabs(
    stream: ColorStream,
    work: _TableWork | _PaintWork,
    mask: SoftMask,
    first: int,
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> Iterator[NDArray[np.uint8]]:
    """The coloured slabs from slice `first` on: gray outside the body, alpha where it was asked for."""
    slices, rows, columns = stream.header.shape
    step = max(1, work.slab_voxels // (rows * columns))
    starts = range(first, first + slices, step)
    if isinstance(work, _PaintWork):
        work.prepare(on_progress)
    overflowed = 0
    for start in track(starts, "colorize", len(starts), on_progress, cancel):
        stop = min(start + step, first + slices)
        rgb = np.empty((stop - start, rows, columns, 3), dtype=np.uint8)
        inside = mask.slab(start, stop)
        gray, lost = work.make(start, stop, rgb, inside)
        if lost is not None:  # only where a body is: the black around it has no room for any chroma
            overflowed += int(np.count_nonzero(lost & (inside > 127)))
        outside = inside == 0
        for channel in range(3):  # one at a time: NumPy is many times slower at broadcasting over so short an axis
            np.copyto(rgb[..., channel], gray, where=outside)
        if stream.header.channels == 3:
            yield rgb
            continue
        rgba = np.empty((*gray.shape, 4), dtype=np.uint8)
        for channel in range(3):
            rgba[..., channel] = rgb[..., channel]
        rgba[..., 3] = (gray.astype(np.uint16) * inside + 127) // 255
        yield rgba
    stream.notes += work.notes
    stream.figures["gamut_overflow_share"] = round(overflowed / (slices * rows * columns), 6)


def _warnings(volume: Volume, window: Window) -> list[str]:
    """What a person should know before trusting the picture."""
    notes = []
    nans, infinities = count_non_finite(volume.array)
    if nans or infinities:
        notes.append(f"{nans} voxels are NaN and {infinities} infinite: they are shown black.")
    if window.invented:
        notes.append(f"The window {window.low:g} to {window.high:g} is arbitrary: {window.invented}.")
    return notes
