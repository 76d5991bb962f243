"""Reading: one door for every format. Which reader a path goes to is `formats.input_format`'s business."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from ..errors import InputError
from .formats import input_format
from .label_grid import describe_grid, labels_on
from .scan import Scan
from .volume import ColorVolume, LabelVolume, Volume, same_grid

if TYPE_CHECKING:
    from .dicom_series import SeriesInfo

ChooseSeries = Callable[[list["SeriesInfo"]], str]


def open_scan(path: Path | str, series: str | None = None, choose: ChooseSeries | None = None) -> Scan:
    """Open a file or folder; `series` (a UID) or `choose` picks among several DICOM series."""
    path = Path(path)
    kind = input_format(path)
    if kind == "dicom":
        from .dicom_read import open_dicom

        return open_dicom(path, series=series, choose=choose)
    if series:
        raise InputError(f"{path} is not DICOM, so it has no series to choose from. Leave --series out.")
    if kind == "nifti":
        from .nifti import NiftiFile

        return NiftiFile(path)
    if kind == "stack":
        from .stack import PictureStack

        return PictureStack(path)
    from .itk import ItkFile

    return ItkFile(path, kind)


def read_volume(path: Path | str, *, series: str | None = None, frame: int = 0) -> Volume:
    """Read a gray volume. Colour volumes and label maps are refused with the reason."""
    return open_scan(path, series).read(frame)


def read_color(path: Path | str, *, series: str | None = None, frame: int = 0) -> ColorVolume:
    """Read a coloured volume: this program's own outputs, and RGB(A) volumes from elsewhere."""
    path = Path(path)
    if input_format(path) == "dicom":
        from .dicom_read import read_color_dicom

        return read_color_dicom(path, series=series)
    scan = open_scan(path, series)
    return scan.read_color(frame)  # type: ignore[attr-defined]


def read_labels(
    path: Path | str, like: Volume | ColorVolume | None = None, onto: Volume | ColorVolume | None = None
) -> LabelVolume:
    """Read a label map. It must lie on the voxels of `like`; it is brought onto those of `onto` (see `label_grid`)."""
    path = Path(path)
    if input_format(path) == "dicom":
        raise InputError(
            f"{path} is DICOM. Convert the segmentation to NIfTI or NRRD first (Slicer: Segmentations, Export)."
        )
    scan = open_scan(path)
    labels: LabelVolume = scan.read_labels()  # type: ignore[attr-defined]
    if like is not None and not same_grid(labels, like):
        raise InputError(
            f"{path} does not lie on the scan's voxels: it is {describe_grid(labels)}, the scan {describe_grid(like)}. "
            "Resample the labels onto the scan (Slicer: Resample Scalar/Vector/DWI Volume, nearest neighbour)."
        )
    return labels if onto is None else labels_on(labels, onto, str(path))
