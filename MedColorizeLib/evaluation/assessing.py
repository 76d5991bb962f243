"""How an assessment is put together: foreground, samples, one pass over the slices, three axes, grades."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from ..imaging.colordiff import lab
from ..imaging.foreground import foreground as find_foreground
from ..imaging.volume import ColorVolume, LabelVolume, same_grid
from ..progress import CancelToken, OnProgress, Progress
from .assessment import Assessment
from .bands import load_bands
from .consistency import axis_consistency, frames_consistency, isotropy
from .curves import tissue_spread
from .fidelity import FSIM_SLICES, SSIM_SLICES, against_truth, luma_fidelity
from .frechet import picture_distance
from .grades import grade, grade_likeness, grade_uncertainty, overall_light, verdict_of
from .planes import Planes, measure_planes
from .records import AxisConsistency, Facts, FramesConsistency, SliceTable, UncertaintySummary
from .stack import (
    MAX_TISSUES,
    SIDE,
    IntensityClasses,
    LabelClasses,
    Stack,
    bounding_box,
    intensity_classes,
    mirrored,
    take_stack,
)
from .trust import trust_of

if TYPE_CHECKING:
    from .fidelity import Perceptual
    from .frechet import Features

Codes = NDArray[np.uint8]
Mask = NDArray[np.bool_]


def run(
    gray_codes: Codes,
    color: ColorVolume,
    *,
    labels: LabelVolume | None,
    foreground: Mask | None,
    reference: ColorVolume | None,
    reference_set: Sequence[Codes] | None,
    features: Features | None,
    perceptual: Perceptual | None,
    on_progress: OnProgress | None,
    cancel: CancelToken | None,
) -> Assessment:
    """See `assessment.assess`."""
    _check(gray_codes, color, labels, foreground, reference)
    notes = [note for note in (labels.notes if labels else ()) if note not in color.notes]
    mask = find_foreground(gray_codes, color.spacing) if foreground is None else foreground
    if not mask.any():
        notes.append("No foreground was found, so every voxel was taken for tissue.")
        mask = np.ones(color.shape, dtype=bool)
    planes = measure_planes(gray_codes, color.rgb, mask, color.spacing, on_progress, cancel)
    present = np.asarray(mask.any(axis=(1, 2)))
    fidelity = luma_fidelity(gray_codes, color.rgb, planes.joint, planes.colorfulness, present)
    box = bounding_box(mask)
    classes = _classes(gray_codes, mask, labels, box, notes)
    stacks = []
    for axis in range(3):
        _tell(on_progress, cancel, "report: consistency", axis, 3)
        stacks.append(take_stack(axis, gray_codes[box], color.rgb[box], mask[box], color.spacing, classes))
    triple = (stacks[0], stacks[1], stacks[2])
    spread, names, direction = tissue_spread(stacks[0]), planes_of(color.affine), isotropy(triple)
    axes = []
    for axis in range(3):
        axes.append(axis_consistency(axis, names[axis], stacks[axis], box[axis].start or 0, spread, direction))
        _tell(on_progress, cancel, "report: consistency", axis + 1, 3)
    if color.shape[0] < 3:
        notes.append("Fewer than three slices: what changes from slice to slice can't be judged.")
    trust = trust_of(planes, stacks[0], color.provenance, gray_codes.size)
    truth = distance = None
    if reference is not None:
        truth = against_truth(color.rgb, reference.rgb, mask, perceptual)
        if perceptual is None:
            notes.append("LPIPS was not computed: it needs weights that do not come with MedColorize.")
    if reference_set is not None:
        pictures = [color.rgb[k] for k in np.flatnonzero(present)]
        distance = picture_distance(pictures, reference_set, features, on_progress, cancel)
    bands = load_bands()
    consistency = (axes[0], axes[1], axes[2])
    grades = grade(trust, fidelity, consistency, color.shape, bands)
    if (likeness := grade_likeness(color.provenance)) is not None:
        grades = (likeness, *grades)  # first: what else is graded presumes it
    overall = overall_light(grades)
    return Assessment(
        facts=_facts(color, mask, names, stacks[0]),
        fidelity=fidelity,
        consistency=consistency,
        trust=trust,
        slices=_slice_table(planes, stacks[0], axes[0], mask, color.spacing[0], box[0].start or 0),
        grades=grades,
        overall=overall,
        verdict=verdict_of(grades, consistency),
        sampling=_sampling(color.shape, mask, fidelity.luma_identical),
        notes=tuple(notes),
        bands=bands,
        truth=truth,
        distance=distance,
        provenance=dict(color.provenance),
    )


def with_uncertainty(assessment: Assessment, summary: UncertaintySummary) -> Assessment:
    """The assessment of a volume that was coloured along several planes: their disagreement is graded too."""
    grades = (*assessment.grades, grade_uncertainty(summary))
    return replace(
        assessment,
        uncertainty=summary,
        grades=grades,
        overall=overall_light(grades),
        verdict=verdict_of(grades, assessment.consistency),
    )


def assess_frames(
    frames: Sequence[tuple[Codes, ColorVolume]], foreground: Mask | None = None, labels: LabelVolume | None = None
) -> FramesConsistency:
    """Consistency over the frames of a 4-D acquisition: the same places in every frame, frame against next frame."""
    if len(frames) < 2:
        raise InputError(f"Consistency over frames needs at least two frames, not {len(frames)}.")
    first_gray = frames[0][0]
    for gray, color in frames:
        _check(gray, color, labels, foreground, None)
        if gray.shape != first_gray.shape:
            raise InputError(f"The frames differ in size: {first_gray.shape} and {gray.shape}.")
    masks = [find_foreground(gray, color.spacing) if foreground is None else foreground for gray, color in frames]
    either = np.logical_or.reduce(masks)
    box = bounding_box(either)
    counts = sum(np.bincount(gray[mask], minlength=256) for (gray, _), mask in zip(frames, masks, strict=True))
    classes = label_classes(labels, either, box)[0] if labels is not None else intensity_classes(np.asarray(counts))
    grid = np.ix_(*(mirrored(n, 32) for n in either[box].shape))
    chosen = classes.array[grid].ravel() if isinstance(classes, LabelClasses) else None
    codes, colors, inside, tissue = [], [], [], []
    for (gray, color), mask in zip(frames, masks, strict=True):
        codes.append(gray[box][grid].ravel())
        colors.append(lab(color.rgb[box][grid].reshape(-1, 3)))
        inside.append(mask[box][grid].ravel())
        tissue.append(np.where(inside[-1], classes.of(codes[-1], chosen), 0).astype(np.uint8))
    stack = Stack(np.stack(codes), np.stack(colors), np.stack(inside), np.stack(tissue), classes.tissues, 1.0)
    return frames_consistency(stack, tissue_spread(stack))


def _check(
    gray: Codes,
    color: ColorVolume,
    labels: LabelVolume | None,
    foreground: Mask | None,
    reference: ColorVolume | None,
) -> None:
    if gray.dtype != np.uint8 or gray.shape != color.shape:
        raise InputError(
            f"The gray input is {gray.shape} of {gray.dtype} and the coloured volume {color.shape}: the report "
            "compares 8-bit codes voxel by voxel. Give the gray volume from which this one was coloured."
        )
    for other, what in ((labels, "label volume"), (reference, "true-colour volume")):
        if other is not None and not same_grid(other, color):
            raise InputError(f"The {what} is not on the grid of the coloured volume. Resample it there first.")
    if foreground is not None and (foreground.shape != color.shape or foreground.dtype != np.bool_):
        raise InputError(f"The foreground mask is {foreground.shape} of {foreground.dtype}, not {color.shape} of bool.")


def _tell(on_progress: OnProgress | None, cancel: CancelToken | None, stage: str, done: int, total: int) -> None:
    if cancel:
        cancel.check()
    if on_progress:
        on_progress(Progress(stage, done, total))


def planes_of(affine: NDArray[np.float64]) -> tuple[str, str, str]:
    """Anatomical plane of the slices across K, J and I."""
    names = []
    for column in (2, 1, 0):
        direction = affine[:3, column] / np.linalg.norm(affine[:3, column])
        main = int(np.abs(direction).argmax())
        oblique = math.degrees(math.acos(min(1.0, abs(float(direction[main]))))) > 10
        names.append(("oblique " if oblique else "") + ("sagittal", "coronal", "axial")[main])
    return names[0], names[1], names[2]


def _classes(
    gray: Codes, mask: Mask, labels: LabelVolume | None, box: tuple[slice, slice, slice], notes: list[str]
) -> IntensityClasses | LabelClasses:
    if labels is not None:
        classes, left_out = label_classes(labels, mask, box)
        if classes.values:
            if left_out:
                notes.append(
                    f"Tissue curves show the {MAX_TISSUES} largest labels; {left_out} smaller ones were left out."
                )
            return classes
        notes.append("The label volume has no label inside the foreground; intensity classes were used instead.")
    counts = np.zeros(256, dtype=np.int64)
    for k in range(gray.shape[0]):
        counts += np.bincount(gray[k][mask[k]], minlength=256)
    return intensity_classes(counts)


def label_classes(labels: LabelVolume, mask: Mask, box: tuple[slice, slice, slice]) -> tuple[LabelClasses, int]:
    """The largest labels inside the foreground, and how many smaller ones that leaves out."""
    array = labels.array[box]
    values, counts = np.unique(array[mask[box]], return_counts=True)
    values, counts = values[values != 0], counts[values != 0]
    chosen = np.sort(values[np.argsort(-counts, kind="stable")[:MAX_TISSUES]])
    names = tuple(labels.names.get(int(v), f"label {int(v)}") for v in chosen)
    return LabelClasses(array, tuple(int(v) for v in chosen), names), len(values) - len(chosen)


def _facts(color: ColorVolume, mask: Mask, planes: tuple[str, str, str], stack: Stack) -> Facts:
    inside = np.count_nonzero(mask)
    values = np.rint(stack.lab[stack.inside] * 4).astype(np.int32)
    return Facts(
        shape=color.shape,
        spacing_mm=color.spacing,
        planes=planes,
        affine=tuple(tuple(float(v) for v in row) for row in color.affine),
        sheared=color.sheared,
        foreground_voxels=int(inside),
        foreground_share=float(inside / mask.size),
        distinct_colors=len(np.unique((values[:, 0] * 2048 + values[:, 1]) * 2048 + values[:, 2])),
    )


def _slice_table(
    planes: Planes, stack: Stack, axis: AxisConsistency, mask: Mask, spacing: float, start: int
) -> SliceTable:
    slices = mask.shape[0]
    means = np.full((slices, 4), np.nan)
    for n in range(len(stack.gray)):
        weight = stack.inside[n].astype(np.float32)
        if weight.any():
            means[start + n, :3] = weight @ stack.lab[n] / weight.sum()
            means[start + n, 3] = weight @ np.hypot(stack.lab[n, :, 1], stack.lab[n, :, 2]) / weight.sum()
    to_next = {name: np.full(slices, np.nan) for name in ("flicker", "shift", "score")}
    to_next["flicker"][axis.pairs] = axis.flicker_median
    to_next["shift"][axis.pairs] = axis.shift
    for outlier in axis.outliers:
        to_next["score"][outlier.index] = outlier.score
    return SliceTable(
        index=np.arange(slices),
        position_mm=np.arange(slices, dtype=np.float64) * spacing,
        foreground_share=np.asarray(mask.mean(axis=(1, 2))),
        luma_error_max=planes.rows["luma_error_max"],
        luma_error_mean=planes.rows["luma_error_mean"],
        mean_l=means[:, 0],
        mean_a=means[:, 1],
        mean_b=means[:, 2],
        chroma_mean=means[:, 3],
        colorfulness=planes.colorful,
        bleeding_share=planes.rows["bleeding_share"],
        invented_share=planes.rows["invented_share"],
        clipped_share=planes.rows["clipped_share"],
        flicker_to_next=to_next["flicker"],
        shift_to_next=to_next["shift"],
        outlier_score=to_next["score"],
    )


def _sampling(shape: tuple[int, int, int], mask: Mask, identical: bool) -> tuple[str, ...]:
    said = [
        f"Consistency: every slice across each axis, in each slice about {SIDE} x {SIDE} evenly spread, "
        "mirror-symmetric places within the foreground's bounding box. "
        "No chance is involved: the same volume gives the same numbers.",
        "Colour outside the body: every other row and column of every slice.",
        "Luma error, edges, entropy and mutual information: every voxel; colourfulness and gamut: evenly spread rows.",
    ]
    if not identical:
        said.append(f"SSIM: about {SSIM_SLICES} evenly spread slices; FSIM: about {FSIM_SLICES} of these.")
    return tuple(said)
