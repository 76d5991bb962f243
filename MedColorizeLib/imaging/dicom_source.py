"""What a coloured DICOM series is derived from: the gray files, and the grid in DICOM's own terms."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from numpy.typing import NDArray
from pydicom.dataset import Dataset
from pydicom.valuerep import DSfloat

from ..errors import OutputError
from .dicom_files import has_dicom_start, numbers
from .dicom_geometry import LPS_TO_RAS
from .volume import Origin


@dataclass(frozen=True, eq=False)
class Source:
    """The gray DICOM files that were coloured."""

    data: Dataset
    """The whole header of the first."""
    classes: list[str]
    instances: list[str]
    positions: NDArray[np.float64] | None
    """(n, 3), LPS; None where files hold several planes or none that has a place."""

    @staticmethod
    def of(origin: Origin | None) -> Source | None:
        """The source an origin names; None if that is no DICOM."""
        if origin is None or not origin.files:
            return None
        if not origin.series_uid and not has_dicom_start(origin.files[0]):
            return None
        try:
            headers = [_brief(path) for path in origin.files]
            data = pydicom.dcmread(origin.files[0], stop_before_pixels=True, force=True)
        except Exception as error:  # pydicom raises nearly anything on damaged files
            raise OutputError(
                f"The DICOM files of {origin.path} can't be read any more, so patient and study are unknown. "
                "Put them back, or write another format (.nrrd, .nii.gz)."
            ) from error
        found = [numbers(header, "ImagePositionPatient", 3) for header in headers]
        places = [place for place in found if place]
        return Source(
            data,
            [str(header.get("SOPClassUID", "")) for header in headers],
            [str(header.get("SOPInstanceUID", "")) for header in headers],
            np.array(places) if len(places) == len(headers) else None,
        )

    def near(self, place: NDArray[np.float64], normal: NDArray[np.float64], step: float) -> list[int]:
        """Which files a slice at `place` was computed from: the one measured there, or those on either side."""
        if self.positions is None:
            return list(range(len(self.instances)))
        away = np.abs((self.positions - place) @ normal)
        order = np.argsort(away, kind="stable")
        return sorted(int(n) for n in (order[:1] if away[order[0]] < 0.05 * step else order[:2]))


def _brief(path: Path) -> Dataset:
    tags = ["SOPClassUID", "SOPInstanceUID", "ImagePositionPatient", "NumberOfFrames"]
    return pydicom.dcmread(path, stop_before_pixels=True, force=True, specific_tags=list(tags))


@dataclass(frozen=True, eq=False)
class Grid:
    """A colour volume's geometry in DICOM's terms."""

    orientation: tuple[float, ...]
    spacing: tuple[float, float]
    """Millimetres between rows, between columns."""
    step: NDArray[np.float64]
    first: NDArray[np.float64]

    @staticmethod
    def of(affine: NDArray[np.float64]) -> Grid:
        lps = LPS_TO_RAS @ affine
        columns, rows = float(np.linalg.norm(lps[:3, 0])), float(np.linalg.norm(lps[:3, 1]))
        return Grid((*(lps[:3, 0] / columns), *(lps[:3, 1] / rows)), (rows, columns), lps[:3, 2], lps[:3, 3])

    @property
    def between(self) -> float:
        return float(np.linalg.norm(self.step))

    def place(self, k: int) -> NDArray[np.float64]:
        return self.first + k * self.step


def ds(values: Any) -> Any:
    """Numbers as DICOM's decimal strings, with all the digits that fit."""
    if np.ndim(values):
        return [DSfloat(float(value), auto_format=True) for value in values]
    return DSfloat(float(values), auto_format=True)


def references(source: Source | None, chosen: Sequence[int]) -> list[Dataset]:
    """Items of a Source Image Sequence."""
    if source is None:
        return []
    items = []
    for n in chosen:
        item, purpose = Dataset(), Dataset()
        item.ReferencedSOPClassUID, item.ReferencedSOPInstanceUID = source.classes[n], source.instances[n]
        item.SpatialLocationsPreserved = "YES"
        purpose.CodeValue, purpose.CodingSchemeDesignator = "121322", "DCM"
        purpose.CodeMeaning = "Source image for image processing operation"
        item.PurposeOfReferenceCodeSequence = [purpose]
        items.append(item)
    return items
