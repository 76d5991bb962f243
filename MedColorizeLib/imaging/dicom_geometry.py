"""From planes to stacks: which pictures make one volume, in which order, and exactly where.

Everything here is arithmetic on positions; no file is opened. Positions are DICOM's (LPS, mm); the affine that
comes out is RAS. What can't be put on an even, perpendicular grid as it is gets a `Straightening` plan, and words
for the person; nothing is stretched in silence.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError
from .dicom_planes import KEYS, Plane

LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])

SAME_DIRECTION = 1e-3
"""Direction cosines that differ by less are the same: writers round them."""
DRIFT_PIXELS = 0.25
"""Slices that shift less than this across the whole stack are held to lie straight above each other."""
TOLD_DRIFT_PIXELS = 0.05
"""... but from here on the person is told."""
EVEN = 0.01
"""Slices out of step by less than this share of their spacing are even."""
NEARLY_EVEN = 0.05
"""... by less than this: even, but the person is told."""
WIDEST_BRIDGE = 4
"""Gaps wider than so many spacings are left empty, not bridged: nobody measured what is there."""


@dataclass(frozen=True, eq=False)
class Straightening:
    """How measured slices become a perpendicular, evenly spaced grid."""

    shifts: NDArray[np.float64]
    """(n, 2): how far each slice lies off the first one's axis, in mm along the row and the column direction."""
    depths: NDArray[np.float64]
    """(n,): where each slice lies along the normal, in mm from the first."""
    step: float
    """Millimetres between the slices of the grid."""
    count: int
    """Slices of the grid."""
    pixel: NDArray[np.float64]
    """Millimetres per pixel along the row and the column direction."""

    @property
    def before(self) -> NDArray[np.int64]:
        """Columns and rows that the picture gains before the first slice's corner, to hold all slices.

        Whole pixels, so that the first slice and all straight above it stay as measured.
        """
        return np.ceil(-self.shifts.min(axis=0) / self.pixel - 1e-3).clip(0).astype(np.int64)

    def size(self, columns: int, rows: int) -> tuple[int, int]:
        """Columns and rows of the picture that holds all slices."""
        after = np.ceil(self.shifts.max(axis=0) / self.pixel - 1e-3).clip(0).astype(np.int64)
        wider = self.before + after
        return columns + int(wider[0]), rows + int(wider[1])


@dataclass(frozen=True, eq=False)
class Stack:
    """One volume, or several at the same place (frames), found among the planes of a series."""

    frames: list[list[Plane]]
    """Planes of each frame, from first to last along the slice normal."""
    affine: NDArray[np.float64]
    """(i, j, k, 1) to RAS mm; of the straightened volume where there is a `straightening`."""
    shape: tuple[int, int, int]
    frame_key: str = ""
    frame_values: list[Any] = field(default_factory=list)
    straightening: Straightening | None = None
    notes: tuple[str, ...] = ()


def split_by_geometry(planes: list[Plane]) -> list[list[Plane]]:
    """Planes of the same size, spacing, direction and stack number, which may form a volume; in the order first met."""
    groups: list[list[Plane]] = []
    for plane in planes:
        for group in groups:
            if _alike(group[0], plane):
                group.append(plane)
                break
        else:
            groups.append([plane])
    return groups


def _alike(a: Plane, b: Plane) -> bool:
    if a.size != b.size or a.stack != b.stack or (a.orientation is None) != (b.orientation is None):
        return False
    if a.spacing and b.spacing and not np.allclose(a.spacing, b.spacing, rtol=1e-3):
        return False
    if a.orientation is None or b.orientation is None:
        return True
    return bool(np.abs(np.subtract(a.orientation, b.orientation)).max() < SAME_DIRECTION)


def build_stack(planes: list[Plane]) -> Stack:
    """The stack that planes of one geometry form; `InputError` says why they form none (without naming the file)."""
    if planes[0].orientation is None:
        return _without_place(planes)
    row, column, normal = _axes(planes[0])
    spacing = planes[0].spacing or (1.0, 1.0)
    notes = [] if planes[0].spacing else ["The header gives no pixel spacing; 1 mm is assumed."]
    positions = np.array([plane.position for plane in planes], dtype=np.float64)
    depths = positions @ normal
    slots = _slots(depths, tolerance=0.02 * min(spacing))
    frames, key, values, dropped = _split_frames(planes, slots)
    if dropped:
        notes.append(dropped)
    first = frames[0]
    where = np.array([plane.position for plane in first], dtype=np.float64)
    for number, frame in enumerate(frames):
        if np.abs(np.array([plane.position for plane in frame]) - where).max() > 0.5 * min(spacing):
            raise InputError(f"its frames do not lie at the same place (frame {number} differs from frame 0)")
    step, straightening, more = _along_normal(where, row, column, normal, spacing, first[0])
    affine = np.eye(4)
    affine[:3, 0], affine[:3, 1], affine[:3, 2] = row * spacing[1], column * spacing[0], step
    affine[:3, 3] = where[0]
    rows, columns = first[0].size
    count = len(first)
    if straightening:
        count = straightening.count
        affine[:3, 3] -= affine[:3, :2] @ straightening.before
        columns, rows = straightening.size(columns, rows)
    return Stack(frames, LPS_TO_RAS @ affine, (count, rows, columns), key, values, straightening, tuple(notes + more))


def _axes(plane: Plane) -> tuple[NDArray[np.float64], NDArray[np.float64], NDArray[np.float64]]:
    """Row, column and slice direction; refuses axes that are no right angle or no length."""
    assert plane.orientation
    row, column = np.array(plane.orientation[:3]), np.array(plane.orientation[3:])
    lengths = np.linalg.norm(row), np.linalg.norm(column)
    if min(lengths) < 0.5 or max(lengths) > 2 or abs(row @ column) > 0.01:
        raise InputError("its image orientation is damaged: the directions of rows and columns are not perpendicular")
    normal = np.cross(row, column)
    return row, column, normal / np.linalg.norm(normal)


def _without_place(planes: list[Plane]) -> Stack:
    """Pictures that don't say where they are: each is a frame of one slice, never a made-up volume."""
    ordered = sorted(planes, key=lambda plane: plane.order)
    spacing = ordered[0].spacing
    affine = np.diag([spacing[1] if spacing else 1.0, spacing[0] if spacing else 1.0, ordered[0].thickness or 1.0, 1.0])
    notes = ["The header gives no position in space: the picture is placed at the origin, as if axial."]
    if not spacing:
        notes.append("The header gives no pixel spacing; 1 mm is assumed.")
    rows, columns = ordered[0].size
    values = list(range(1, len(ordered) + 1))
    key = "picture" if len(ordered) > 1 else ""
    if key:
        notes.append(f"{len(ordered)} pictures without positions are taken as frames of one slice each.")
    return Stack([[p] for p in ordered], LPS_TO_RAS @ affine, (1, rows, columns), key, values, None, tuple(notes))


def _slots(depths: NDArray[np.float64], tolerance: float) -> NDArray[np.int64]:
    """For each plane the number of its position along the normal; positions closer than `tolerance` are one."""
    order = np.argsort(depths, kind="stable")
    slots = np.empty(len(depths), dtype=np.int64)
    slots[order] = np.concatenate([[0], np.cumsum(np.diff(depths[order]) > tolerance)])
    return slots


def _split_frames(planes: list[Plane], slots: NDArray[np.int64]) -> tuple[list[list[Plane]], str, list[Any], str]:
    """Frames (planes by slot), what tells them apart, its value per frame, and a sentence on what was left out."""
    count = int(slots.max()) + 1
    if len(planes) == count:
        return [[planes[n] for n in np.argsort(slots)]], "", [], ""
    partial: tuple[list[list[Plane]], str, list[Any], str] | None = None
    names = list(KEYS) + sorted({k for plane in planes for k in plane.keys} - set(KEYS))
    for name in names:
        by_value: dict[Any, dict[int, Plane]] = defaultdict(dict)
        clash = False
        for plane, slot in zip(planes, slots, strict=True):
            if name not in plane.keys or int(slot) in by_value[plane.keys[name]]:
                clash = True
                break
            by_value[plane.keys[name]][int(slot)] = plane
        if clash:
            continue
        try:
            whole = sorted(value for value, found in by_value.items() if len(found) == count)
        except TypeError:  # numbers beside words
            continue
        label = KEYS.get(name, "dimension")
        frames = [[by_value[value][slot] for slot in range(count)] for value in whole]
        if len(whole) == len(by_value):
            return frames, label, whole, ""
        if whole and partial is None:
            left = len(planes) - count * len(whole)
            text = f"{len(by_value) - len(whole)} incomplete frame(s) by {label} ({left} pictures) are left out."
            partial = frames, label, whole, text
    if partial:
        return partial
    return _frames_by_order(planes, slots, count)


def _frames_by_order(
    planes: list[Plane], slots: NDArray[np.int64], count: int
) -> tuple[list[list[Plane]], str, list[Any], str]:
    """When no single quantity tells repeated positions apart: the scanner's own numbering, if all repeat equally."""
    at: dict[int, list[Plane]] = defaultdict(list)
    for plane, slot in zip(planes, slots, strict=True):
        at[int(slot)].append(plane)
    repeats = Counter(len(found) for found in at.values())
    if len(repeats) > 1:
        told = ", ".join(f"{n} positions hold {r}" for r, n in sorted(repeats.items()))
        raise InputError(f"its positions repeat irregularly ({told} pictures), so it is not clear what one volume is")
    frames = repeats.popitem()[0]
    for found in at.values():
        found.sort(key=lambda plane: plane.order)
    order = [[at[slot][n] for slot in range(count)] for n in range(frames)]
    return order, "order in the series", list(range(1, frames + 1)), ""


def _along_normal(
    where: NDArray[np.float64],
    row: NDArray[np.float64],
    column: NDArray[np.float64],
    normal: NDArray[np.float64],
    spacing: tuple[float, float],
    first: Plane,
) -> tuple[NDArray[np.float64], Straightening | None, list[str]]:
    """The step from slice to slice, and what has to be done if there is no single one."""
    if len(where) == 1:
        if first.thickness:
            return normal * first.thickness, None, []
        return normal, None, ["One slice without a thickness; 1 mm is assumed."]
    depths = (where - where[0]) @ normal
    aside = (where - where[0]) - np.outer(depths, normal)
    shifts = np.stack([aside @ row, aside @ column], axis=1)
    notes: list[str] = []
    pixel = np.array([spacing[1], spacing[0]])
    drift = float(np.linalg.norm(shifts, axis=1).max())
    tilted = drift > DRIFT_PIXELS * min(spacing)
    if tilted:
        angle = float(np.degrees(np.arctan2(np.linalg.norm(shifts[-1]), depths[-1])))
        notes.append(
            f"The slices lean by {angle:.1f} degrees (gantry tilt): each was shifted in its own plane, by up to "
            f"{drift:.1f} mm (linear interpolation), onto perpendicular axes."
        )
    elif drift > TOLD_DRIFT_PIXELS * min(spacing):
        notes.append(f"The slices drift sideways by {drift:.3f} mm in all, less than a quarter of a pixel: left as is.")
    mean = depths[-1] / (len(depths) - 1)
    out_of_step = float(np.abs(depths - mean * np.arange(len(depths))).max())
    if out_of_step <= max(NEARLY_EVEN * mean, 1e-3):
        if out_of_step > max(EVEN * mean, 1e-3):
            notes.append(f"The slices are up to {out_of_step:.3f} mm out of step with their spacing of {mean:.3f} mm.")
        if tilted:
            return normal * mean, Straightening(shifts, depths, mean, len(depths), pixel), notes
        exact = (where[-1] - where[0]) / (len(where) - 1)
        # The tags' own step where it is perpendicular but for rounding; otherwise its part along the normal.
        lean = np.linalg.norm(exact - (exact @ normal) * normal) / mean
        return (exact if lean < 1e-5 else normal * mean), None, notes
    plan, more = _even_out(depths, shifts, pixel)
    return normal * plan.step, plan, notes + more


def _even_out(
    depths: NDArray[np.float64], shifts: NDArray[np.float64], pixel: NDArray[np.float64]
) -> tuple[Straightening, list[str]]:
    """A grid for uneven slices: their smallest common spacing, so that measured slices are kept where it can be."""
    gaps = np.diff(depths)
    step = _common_spacing(gaps)
    count = round(depths[-1] / step) + 1
    if count > 8 * len(depths) + 64:
        raise InputError(
            f"its slices are scattered: gaps from {gaps.min():.2f} to {gaps.max():.2f} mm form no volume that could "
            "be filled honestly"
        )
    notes = []
    kept = sum(bool(np.abs(depths - n * step).min() <= NEARLY_EVEN * step) for n in range(count))
    multiple = np.abs(gaps / step - np.round(gaps / step)).max() <= NEARLY_EVEN
    wide = [(n, gap) for n, gap in enumerate(gaps) if gap > (1 + NEARLY_EVEN) * step]
    if multiple:
        told = "; ".join(
            f"{round(gap / step) - 1} after slice {n + 1} ({depths[n]:.1f} to {depths[n + 1]:.1f} mm)"
            for n, gap in wide[:6]
        )
        more = f"; and {len(wide) - 6} more gaps" if len(wide) > 6 else ""
        notes.append(f"Slices are missing at a spacing of {step:.3f} mm: {told}{more}.")
    else:
        kinds = Counter(np.round(gaps, 2).tolist())
        told = ", ".join(f"{n} of {gap:g} mm" for gap, n in sorted(kinds.items())[:6])
        more = f" and {len(kinds) - 6} other widths" if len(kinds) > 6 else ""
        notes.append(f"The slices are unevenly spaced: gaps {told}{more}.")
    notes.append(
        f"The volume has {count} slices {step:.3f} mm apart: {kept} as measured, the others computed from their "
        "neighbours (linear interpolation)."
    )
    for n, gap in wide:
        if gap > WIDEST_BRIDGE * step:
            notes.append(
                f"Warning: nothing was measured for {gap:.1f} mm after slice {n + 1}; that gap is left empty "
                "(background), not filled with guesses."
            )
    return Straightening(shifts, depths, step, count, pixel), notes


def _common_spacing(gaps: NDArray[np.float64]) -> float:
    """The smallest gap that occurs often; the median if each gap is another."""
    for gap in np.sort(gaps):
        alike = gaps[np.abs(gaps - gap) <= NEARLY_EVEN * gap]
        if len(alike) >= max(2, 0.1 * len(gaps)):
            return float(np.median(alike))
    return float(np.median(gaps))
