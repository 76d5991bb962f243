"""Pictures of slice planes: axial, coronal and sagittal in the patient's own directions, gray beside colour.

Voxels may be anisotropic or oblique: a plane is cut through RAS space, so its aspect is right. Needs no OpenGL.
Not for 3D (`pictures.py`).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, UsageError
from ..imaging.volume import ColorVolume, LabelVolume, Volume
from ..imaging.windows import choose_window, codes
from .marks import beside, mark_picture
from .views import View, letters

Convention = Literal["radiological", "neurological"]
PLANES = ("axial", "coronal", "sagittal")
_MARGIN = 0.07

# The viewer of a radiological axial slice stands at the patient's feet, of a coronal one before the patient.
_SEEN_FROM: dict[tuple[str, str], View] = {
    ("axial", "radiological"): View("axial", (0, 0, -1), (0, 1, 0)),
    ("coronal", "radiological"): View("coronal", (0, 1, 0)),
    ("sagittal", "radiological"): View("sagittal", (-1, 0, 0)),
    ("axial", "neurological"): View("axial", (0, 0, 1), (0, 1, 0)),
    ("coronal", "neurological"): View("coronal", (0, -1, 0)),
    ("sagittal", "neurological"): View("sagittal", (-1, 0, 0)),
}


@dataclass(frozen=True)
class PlaneStyle:
    """How slice pictures look."""

    height: int = 480
    """Pixels of the tallest panel."""
    convention: Convention = "radiological"
    marks: bool = True
    notice: bool = True


def plane_pictures(
    color: ColorVolume,
    planes: Sequence[str] = PLANES,
    *,
    gray: Volume | None = None,
    at: Sequence[float] | None = None,
    style: PlaneStyle | None = None,
) -> NDArray[np.uint8]:
    """One picture `(height, width, 3)`: a column a plane; with `gray`, the measured slices above the coloured ones.

    `at` is the RAS position that all planes go through; by default the middle of what is visible.
    """
    style = style or PlaneStyle()
    for plane in planes:
        if plane not in PLANES:
            raise UsageError(f"There is no plane '{plane}'. Choose among {', '.join(PLANES)}.")
    point = np.array(at, dtype=float) if at is not None else middle_of(color)
    if style.convention not in ("radiological", "neurological"):
        raise UsageError(f"There is no convention '{style.convention}'. Choose radiological or neurological.")
    views = [_SEEN_FROM[plane, style.convention] for plane in planes]
    extents = [_extent(color, view, point) for view in views]
    # One scale for all panels, so that sizes can be compared.
    pixel = max(high[1] - low[1] for low, high in extents) / style.height
    rows = []
    if gray is not None:
        window = choose_window(gray, _window(color))
        rows.append([_codes_plane(gray, window, v, point, e, pixel) for v, e in zip(views, extents, strict=True)])
    rows.append([reslice(color, v, point, e, pixel) for v, e in zip(views, extents, strict=True)])
    if style.marks:
        rows = [
            [mark_picture(p, letters(v), notice=False, dark=True) for p, v in zip(row, views, strict=True)]
            for row in rows
        ]
    montage = beside([beside(row, axis=1) for row in rows], axis=0)
    if not style.notice:
        return montage
    strip = np.zeros((max(16, style.height // 16), montage.shape[1], 3), np.uint8)
    return beside([montage, mark_picture(strip, {}, dark=True)], axis=0)


def reslice(
    volume: ColorVolume | Volume | LabelVolume,
    view: View,
    point: NDArray[np.float64],
    extent: tuple[NDArray[np.float64], NDArray[np.float64]],
    pixel: float,
) -> NDArray[Any]:
    """The slice through `point`, seen as `view` says; `extent` are the low and high (right, up) in mm from `point`."""
    from scipy import ndimage

    low, high = extent
    right, up, _ = view.axes()
    across = low[0] + pixel * (np.arange(max(1, round((high[0] - low[0]) / pixel))) + 0.5)
    down = high[1] - pixel * (np.arange(max(1, round((high[1] - low[1]) / pixel))) + 0.5)
    ras = point + across[None, :, None] * right + down[:, None, None] * up
    inverse = np.linalg.inv(volume.affine)
    ijk = ras @ inverse[:3, :3].T + inverse[:3, 3]
    coordinates = np.moveaxis(ijk[..., ::-1], -1, 0)
    if isinstance(volume, ColorVolume):
        channels = [ndimage.map_coordinates(volume.array[..., c], coordinates, np.float32, 1) for c in range(3)]
        return np.rint(np.stack(channels, axis=-1)).astype(np.uint8)
    order = 0 if isinstance(volume, LabelVolume) else 1
    out: NDArray[Any] = ndimage.map_coordinates(volume.array, coordinates, np.float32, order, cval=float(np.nan))
    return out


def middle_of(color: ColorVolume) -> NDArray[np.float64]:
    """RAS of the middle of what is not black."""
    return (color.affine @ [*(sum(r) / 2 for r in _seen_ranges(color)), 1.0])[:3]


def _codes_plane(
    gray: Volume, window: Any, view: View, point: NDArray[np.float64], extent: Any, pixel: float
) -> NDArray[np.uint8]:
    if gray.array.ndim != 3:
        raise InputError("The gray volume has several values per voxel. Give the scan that was coloured.")
    plane = codes(reslice(gray, view, point, extent, pixel), window)
    return np.repeat(plane[..., None], 3, axis=-1)


def _window(color: ColorVolume) -> tuple[float, float] | None:
    """The window that the colours were made through: the gray beside them should be seen through the same one."""
    window = color.provenance.get("window")
    return (float(window[0]), float(window[1])) if isinstance(window, (list, tuple)) and len(window) == 2 else None


def _extent(
    color: ColorVolume, view: View, point: NDArray[np.float64]
) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Low and high corner (right, up) of what is visible around `point`, in mm, with a margin for the letters."""
    ranges = _seen_ranges(color)
    corners = np.array([[x, y, z, 1] for x in ranges[0] for y in ranges[1] for z in ranges[2]])
    flat = ((corners @ color.affine.T)[:, :3] - point) @ view.axes()[:2].T
    low, high = flat.min(axis=0), flat.max(axis=0)
    margin = _MARGIN * (high - low).max()
    return low - margin, high + margin


def _seen_ranges(color: ColorVolume) -> list[tuple[float, float]]:
    """From where to where something is not black, along I, J and K, in voxels with their halves."""
    seen = color.rgb.max(axis=-1) > 24
    ranges = []
    for axis in (2, 1, 0):
        line = np.flatnonzero(seen.any(axis=tuple(a for a in range(3) if a != axis)))
        first, last = (line[0], line[-1]) if line.size else (0, color.shape[axis] - 1)
        ranges.append((float(first) - 0.5, float(last) + 0.5))
    return ranges
