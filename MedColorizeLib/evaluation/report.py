"""The report: one folder with `report.html`, `report.json` and `slices.csv`, put in place as a whole.

`make_report` judges a coloured volume and writes; `write_report` writes an assessment that is already there.
Not for: computing the numbers (assessment), reading volumes (imaging) or rendering (mrml; a picture may be handed in).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from html import escape
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..imaging.atomic import AtomicTarget
from ..imaging.volume import ColorVolume, LabelVolume, Volume, same_grid
from ..imaging.windows import Window, auto_window, codes
from ..progress import CancelToken, OnProgress, Progress
from . import page, report_sections
from .assessing import assess_frames, with_uncertainty
from .assessment import Assessment, UncertaintySummary, assess
from .report_document import WARNING, document, public, slices_csv, summary, to_json

if TYPE_CHECKING:
    from .fidelity import Perceptual
    from .frechet import Features

__all__ = ["Gray", "gray_codes_for", "make_report", "summary", "write_report"]

_STAGE = "report"


@dataclass(frozen=True)
class Gray:
    """The 8-bit windowed input, and where its window comes from."""

    codes: NDArray[np.uint8]
    window: tuple[float, float] | None = None
    note: str = ""


def gray_codes_for(volume: Volume, color: ColorVolume) -> Gray:
    """The codes that `color` was made from: `volume` in the window its provenance names, else in the automatic one."""
    if not same_grid(volume, color):
        raise InputError(
            f"The gray input has {_size(volume.shape)} voxels and the coloured volume {_size(color.shape)}, or they "
            "lie in different places. Give the gray volume from which this one was coloured."
        )
    stated = window_of(color.provenance)
    if stated is not None:
        return Gray(codes(volume.array, Window(*stated)), stated, "as the coloured volume states")
    window = auto_window(volume)
    note = "chosen automatically, because the coloured volume does not state its own; luma numbers depend on it"
    return Gray(codes(volume.array, window), (window.low, window.high), note)


def window_of(provenance: dict[str, Any]) -> tuple[float, float] | None:
    """The window (low, high) that a provenance states, if it does."""
    stated: Any = provenance.get("window")
    if isinstance(stated, dict):
        stated = (stated.get("low"), stated.get("high"))
    try:
        low, high = (float(v) for v in stated or ())
    except (TypeError, ValueError):
        return None
    return (low, high) if low < high else None


def make_report(
    gray_codes: NDArray[np.uint8] | Gray,
    color: ColorVolume,
    directory: Path | str,
    *,
    labels: LabelVolume | None = None,
    foreground: NDArray[np.bool_] | None = None,
    reference: ColorVolume | None = None,
    reference_set: Sequence[NDArray[np.uint8]] | None = None,
    features: Features | None = None,
    perceptual: Perceptual | None = None,
    uncertainty: UncertaintySummary | None = None,
    frames: Sequence[tuple[NDArray[np.uint8], ColorVolume]] = (),
    title: str = "Colour report",
    provenance: dict[str, Any] | None = None,
    rendering: bytes | None = None,
    overwrite: bool = False,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, Any]:
    """Judge `color` against the 8-bit input it was made from and write the report folder; returns its summary.

    `frames`: all frames of a 4-D acquisition, codes and colours, of which `color` is the first. `provenance`
    replaces that of `color`; `rendering` is a PNG or JPEG picture of the coloured volume.
    """
    gray = gray_codes if isinstance(gray_codes, Gray) else Gray(gray_codes, window_of(color.provenance))
    if gray.codes.shape != color.shape:
        raise InputError(
            f"The gray input has {_size(gray.codes.shape)} voxels and the coloured volume {_size(color.shape)}. "
            "Give the gray volume from which this one was coloured."
        )
    target = AtomicTarget(directory, folder=True, overwrite=overwrite)
    with target:
        assessment = assess(
            gray.codes,
            color,
            labels=labels,
            foreground=foreground,
            reference=reference,
            reference_set=reference_set,
            features=features,
            perceptual=perceptual,
            on_progress=on_progress,
            cancel=cancel,
        )
        if uncertainty is not None:
            assessment = with_uncertainty(assessment, uncertainty)
        if len(frames) > 1:
            assessment = replace(assessment, frames=assess_frames(frames, foreground, labels))
        if provenance is not None:
            assessment = replace(assessment, provenance=provenance)
        if cancel:
            cancel.check()
        if on_progress:
            on_progress(Progress(_STAGE, 0, 1, "drawing"))
        _fill(target.temporary, gray, color, assessment, title, rendering)
        if cancel:
            cancel.check()
        target.commit()
        if on_progress:
            on_progress(Progress(_STAGE, 1, 1, "written"))
    return summary(assessment)


def write_report(
    directory: Path | str,
    gray: Gray | NDArray[np.uint8] | Volume,
    color: ColorVolume,
    assessment: Assessment,
    *,
    title: str = "Colour report",
    rendering: bytes | None = None,
    overwrite: bool = False,
) -> Path:
    """Write the folder of an assessment that is already there."""
    if isinstance(gray, Volume):
        gray = gray_codes_for(gray, color)
    elif not isinstance(gray, Gray):
        gray = Gray(gray, window_of(color.provenance))
    with AtomicTarget(directory, folder=True, overwrite=overwrite) as target:
        _fill(target.temporary, gray, color, assessment, title, rendering)
        return target.commit()


def _fill(
    folder: Path, gray: Gray, color: ColorVolume, assessment: Assessment, title: str, rendering: bytes | None
) -> None:
    content = document(
        assessment, title=title, window=gray.window, window_note=gray.note, has_rendering=rendering is not None
    )
    (folder / "report.json").write_text(to_json(content), encoding="utf-8")
    (folder / "slices.csv").write_text(slices_csv(assessment), encoding="utf-8")
    html = _html(gray, color, assessment, title, rendering, content["created"])
    (folder / "report.html").write_text(html, encoding="utf-8")


def _html(
    gray: Gray, color: ColorVolume, assessment: Assessment, title: str, rendering: bytes | None, created: str
) -> str:
    facts = assessment.facts
    k, j, i = facts.shape
    subtitle = f"{i} × {j} × {k} voxels, {escape(facts.planes[0])} slices {facts.spacing_mm[0]:.3g} mm apart"
    worst = report_sections.worst_slices(gray.codes, color.rgb, assessment)
    outliers = sum(len(axis.outliers) for axis in assessment.consistency)
    body = [
        page.verdict(assessment.overall, assessment.verdict),
        report_sections.grade_cards(assessment.grades),
        page.section(
            "The middle of the body",
            report_sections.middle_slices(gray.codes, color.rgb, assessment),
            "Gray input beside the result, unenhanced. Flicker across the slices shows as stripes in the other planes.",
        ),
    ]
    if worst:
        body.append(
            page.section(
                "Look at these slices first",
                worst,
                f"{outliers or 'No'} outlier slice{'' if outliers == 1 else 's'} found. Each row: the gray input, then "
                "the slice (outlined) between its coloured neighbours.",
            )
        )
    body += [
        page.section(
            "Colour from slice to slice",
            report_sections.consistency(assessment),
            "Chroma only: brightness changes are anatomy, not flicker. dE is CIEDE2000 at equal lightness: 1 is just "
            "visible, 5 is plain to see.",
        ),
        page.section(
            "Colour of each tissue",
            report_sections.tissues(assessment),
            "Strips show a tissue's mean colour, slice by slice, at one lightness: the same tissue should keep its "
            "colour.",
        ),
    ]
    if rendering is not None:
        picture = page.image(rendering, "the coloured volume in three dimensions")
        body.append(page.section("In three dimensions", f'<figure class="rendering">{picture}</figure>'))
    body.append(page.section("All numbers", report_sections.numbers(assessment)))
    window = f"{gray.window[0]:g} to {gray.window[1]:g}" if gray.window else "the 8-bit codes that were handed in"
    window += f" ({gray.note})" if gray.note else ""
    made = report_sections.provenance(public(assessment.provenance), assessment, window)
    remarks = page.notes(public([*assessment.sampling, *assessment.notes, *color.notes]))
    body.append(page.section("How it was made and measured", made + remarks))
    footer = f"{WARNING} Slice numbers count from 0 in the order of the file. Report made {escape(created)} UTC."
    return page.page(title, subtitle, "".join(body), footer)


def _size(shape: tuple[int, ...]) -> str:
    return " x ".join(str(n) for n in reversed(shape[:3]))
