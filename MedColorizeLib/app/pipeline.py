"""From a file to a coloured file: the one piece of work behind the command line, the worker and the batch."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, replace
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError, UsageError
from ..imaging.formats import output_format
from ..imaging.luma import Fidelity
from ..imaging.read import ChooseSeries, open_scan, read_labels
from ..imaging.scan import ColorHeader, Scan
from ..imaging.volume import ColorVolume, Volume
from ..imaging.windows import choose_window, codes
from ..imaging.write import open_color_writer, write_volume
from ..inference.colorizer import Colorizer, ColorStream
from ..inference.painter import Painter
from ..progress import CancelToken, OnProgress, Progress
from .provenance import record


@dataclass(frozen=True)
class ColorizeJob:
    """What is to be coloured, by what, and where it goes."""

    input: Path
    output: Path
    model: str | None = None
    palette: str | None = None
    labels: Path | None = None
    window: str | tuple[float, float] | None = None
    fidelity: Fidelity = "exact"
    alpha: bool = False
    series: str | None = None
    frames: str = "all"
    report: Path | None = None
    uncertainty: Path | None = None
    device: str = "auto"
    overwrite: bool = False


@dataclass
class Outcome:
    """What came of it."""

    output: Path
    notes: list[str]
    provenance: dict[str, Any]
    seconds: float
    report: dict[str, Any] | None = None

    def to_dict(self) -> dict[str, Any]:
        """For `--json` and the worker."""
        document: dict[str, Any] = {
            "output": str(self.output),
            "notes": self.notes,
            "provenance": self.provenance,
            "seconds": round(self.seconds, 3),
        }
        if self.report is not None:
            document["report"] = self.report
        return document


def colorize_file(
    job: ColorizeJob,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
    choose: ChooseSeries | None = None,
    painter: Painter | None = None,
) -> Outcome:
    """Colour one input into one output (and its report). Nothing is left half-written, whatever happens.

    `painter`: what colours, made by the caller, instead of the job's model or palette.
    """
    started = time.monotonic()
    # Needed soon for finding the body, and slow to load: meanwhile the scan is being read and decompressed.
    threading.Thread(target=import_module, args=("SimpleITK",), daemon=True).start()
    check_output(job)
    if on_progress:
        on_progress(Progress("read", 0, 1))
    scan = open_scan(job.input, job.series, choose)
    frames = _frames(job, scan)
    first = scan.read(frames[0])
    if cancel:
        cancel.check()
    labels = read_labels(job.labels, onto=first) if job.labels else None
    colorizer = Colorizer(model=job.model, palette=job.palette, device=job.device, painter=painter)
    # One window for all frames, or brightness would jump between them.
    window = choose_window(first, job.window)

    def begin(volume: Volume) -> ColorStream:
        return colorizer.stream(
            volume,
            labels=labels,
            window=window,
            fidelity=job.fidelity,
            alpha=job.alpha,
            uncertainty=job.uncertainty is not None,
            on_progress=on_progress,
            cancel=cancel,
        )

    stream = begin(first)
    header = ColorHeader(
        first.shape, stream.header.channels, first.affine, len(frames), stream.header.provenance, first.origin
    )
    notes: list[str] = []
    overflow: list[float] = []
    kept: list[ColorVolume] = []
    grays: list[NDArray[np.uint8]] = []
    with open_color_writer(job.output, header, overwrite=job.overwrite) as writer:
        for number, frame in enumerate(frames):
            volume = first if number == 0 else _same_place(scan.read(frame), first, job.input)
            part = stream if number == 0 else begin(volume)
            slabs = []
            for slab in part.slabs:
                writer.write(slab)
                if job.report:
                    slabs.append(slab)
            if job.report:
                made = {**part.header.provenance, **part.figures}
                kept.append(ColorVolume(np.concatenate(slabs), first.affine, made, part.notes))
                grays.append(codes(volume.array, window))
            overflow.append(float(part.figures["gamut_overflow_share"]))
            told = [note for note in part.notes if note not in notes]
            notes += [f"Frame {frame}: {note}" for note in told] if number else told
        if cancel:
            cancel.check()
        output = writer.commit()
    if job.uncertainty and stream.uncertainty is not None:
        write_volume(job.uncertainty, replace(first, array=stream.uncertainty), overwrite=job.overwrite)
    figures = {**stream.figures, "gamut_overflow_share": round(float(np.mean(overflow)), 6)}
    provenance = {**header.provenance, **figures}
    if scan.frames > 1:
        provenance["frame"] = frames[0] if len(frames) == 1 else "all"
    # Before the report: if that fails or is cancelled, the coloured volume is there and its making is told.
    record(output, {**provenance, "frames": len(frames), "notes": notes})
    outcome = Outcome(output, notes, provenance, 0.0)
    if job.report:
        from ..evaluation.report import make_report

        unsure = None
        if stream.uncertainty is not None:
            from ..evaluation.trust import summarize
            from ..imaging.foreground import foreground
            from ..inference.planes import PLANES

            unsure = summarize(stream.uncertainty, foreground(grays[0], first.spacing), PLANES)
        outcome.report = make_report(
            grays[0],
            kept[0],
            job.report,
            labels=labels,
            uncertainty=unsure,
            frames=list(zip(grays, kept, strict=True)),
            overwrite=job.overwrite,
            on_progress=on_progress,
            cancel=cancel,
        )
    outcome.seconds = time.monotonic() - started
    return outcome


def check_output(job: ColorizeJob) -> None:
    """Refuse outputs that could not be written, before any work is done."""
    output_format(job.output)
    if job.uncertainty and output_format(job.uncertainty) not in ("nifti", "nrrd", "meta"):
        raise UsageError(f"{job.uncertainty}: the uncertainty is written as .nii, .nii.gz, .nrrd or .mha.")
    if job.output.exists() and job.input.exists() and job.output.samefile(job.input):
        raise UsageError(f"{job.output} is the input itself. Choose another output: the scan is never overwritten.")
    refuse_around(job.output, job.input, job.labels)
    if job.report:
        refuse_around(job.report, job.input, job.labels, job.output, job.uncertainty)
    for path in (job.output, job.report, job.uncertainty):
        if path and path.exists() and not job.overwrite:
            raise OutputError(f"{path} exists already. Choose another name, or allow overwriting (--overwrite).")


def refuse_around(folder: Path, *files: Path | None) -> None:
    """Replacing a folder removes what is in it, so it must not hold what is read or written beside it."""
    for file in files:
        if file and folder.resolve() in (file.resolve(), *file.resolve().parents):
            raise UsageError(f"{folder} holds {file} and would replace it. Choose a folder of its own.")


def _frames(job: ColorizeJob, scan: Scan) -> list[int]:
    if job.frames == "all":
        return list(range(scan.frames))
    try:
        frame = int(job.frames)
    except ValueError as error:
        raise UsageError(f"--frames is 'all' or a number from 0, not '{job.frames}'.") from error
    if not 0 <= frame < scan.frames:
        raise UsageError(f"{job.input} has {scan.frames} frame(s), numbered from 0; there is no frame {frame}.")
    return [frame]


def _same_place(volume: Volume, first: Volume, path: Path) -> Volume:
    if volume.shape != first.shape or not np.array_equal(volume.affine, first.affine):
        raise UsageError(f"The frames of {path} lie in different places. Colour them one by one (--frames N).")
    return volume
