"""From headers to planes: one picture each, with its place in space and the scale of its values.

A plane is one file of an ordinary series or one frame of a multi-frame file; from here on both are the same.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from pydicom.datadict import keyword_for_tag
from pydicom.dataset import Dataset

from .dicom_files import Header, number, numbers, whole

# What may tell pictures at one position apart, in the order in which it is asked, and how a person calls it.
KEYS = {
    "TemporalPositionIdentifier": "time",
    "TemporalPositionIndex": "time",
    "FrameReferenceTime": "time",
    "TriggerTime": "heart phase",
    "NominalCardiacTriggerDelayTime": "heart phase",
    "EchoNumbers": "echo",
    "EchoTime": "echo time",
    "EffectiveEchoTime": "echo time",
    "InversionTime": "inversion time",
    "FlipAngle": "flip angle",
    "DiffusionBValue": "b-value",
    "ImageType": "kind of picture",
    "FrameType": "kind of picture",
    "AcquisitionNumber": "acquisition",
    "FrameAcquisitionNumber": "acquisition",
    "AcquisitionTime": "time of acquisition",
    "ContentTime": "time",
}
_PLACE = {"StackID", "InStackPositionNumber", "ImagePositionPatient", "PlanePositionSequence", "ImagePositionVolume"}


@dataclass(frozen=True, eq=False)
class Plane:
    """One picture. Positions and directions are the file's own (LPS, mm)."""

    header: Header
    index: int
    """Frame within the file, from 0."""
    spacing: tuple[float, float] | None
    """Millimetres between rows, between columns."""
    position: tuple[float, ...] | None = None
    orientation: tuple[float, ...] | None = None
    thickness: float | None = None
    """Distance of neighbouring slices as far as the header tells; only believed where one slice stands alone."""
    slope: float = 1.0
    intercept: float = 0.0
    window: tuple[float, float] | None = None
    keys: dict[str, Any] = field(default_factory=dict)
    stack: str = ""

    @property
    def path(self) -> Path:
        return self.header.path

    @property
    def size(self) -> tuple[int, int]:
        """(rows, columns)"""
        return whole(self.header.data, "Rows", 0), whole(self.header.data, "Columns", 0)

    @property
    def order(self) -> tuple[int, int]:
        """Where the scanner's own numbering puts it."""
        return whole(self.header.data, "InstanceNumber", 0), self.index

    @property
    def instance(self) -> str:
        return str(self.header.data.get("SOPInstanceUID", ""))


def planes_of(header: Header) -> list[Plane]:
    """The planes of one file that `refusal` lets pass."""
    data = header.data
    if "PerFrameFunctionalGroupsSequence" in data and len(data.PerFrameFunctionalGroupsSequence) == header.frames:
        return _enhanced(header)
    if header.frames > 1:
        return _legacy(header)
    return [_plane(header, 0, numbers(data, "ImagePositionPatient", 3), numbers(data, "ImageOrientationPatient", 6))]


def _plane(
    header: Header, index: int, position: tuple[float, ...] | None, orientation: tuple[float, ...] | None
) -> Plane:
    """A plane described by the top of its header."""
    data = header.data
    spacing = next(
        (
            found
            for keyword in ("PixelSpacing", "ImagerPixelSpacing", "NominalScannedPixelSpacing")
            if (found := numbers(data, keyword, 2)) and min(found) > 0
        ),
        None,
    )
    slope, intercept = _scale(data)
    return Plane(
        header,
        index,
        (spacing[0], spacing[1]) if spacing else None,
        position,
        orientation if position else None,
        _positive(number(data, "SpacingBetweenSlices")) or _positive(number(data, "SliceThickness")),
        slope,
        intercept,
        window_of(data),
        {keyword: _plain(data.get(keyword)) for keyword in KEYS if data.get(keyword) not in (None, "")},
    )


def _legacy(header: Header) -> list[Plane]:
    """Frames of a file without functional groups: a tomographic stack if it says so, otherwise pictures in time."""
    data = header.data
    place = data
    if "DetectorInformationSequence" in data and len(data.DetectorInformationSequence):
        place = data.DetectorInformationSequence[0]  # where nuclear medicine keeps it
    position = numbers(place, "ImagePositionPatient", 3)
    orientation = numbers(place, "ImageOrientationPatient", 6)
    step = _positive(abs(number(data, "SpacingBetweenSlices") or 0.0))
    tomographic = position and orientation and step and str(data.get("Modality")) not in ("US", "XA", "RF")
    if not tomographic:
        return [_plane(header, index, None, None) for index in range(header.frames)]
    assert position
    assert orientation
    assert step
    row, column = orientation[:3], orientation[3:]
    normal = (
        row[1] * column[2] - row[2] * column[1],
        row[2] * column[0] - row[0] * column[2],
        row[0] * column[1] - row[1] * column[0],
    )
    return [
        _plane(header, n, tuple(p + n * step * d for p, d in zip(position, normal, strict=True)), orientation)
        for n in range(header.frames)
    ]


def _enhanced(header: Header) -> list[Plane]:
    """Frames of an enhanced multi-frame file, each with its own functional groups."""
    data = header.data
    shared = data.SharedFunctionalGroupsSequence[0] if data.get("SharedFunctionalGroupsSequence") else Dataset()
    dimensions = [
        keyword_for_tag(item.DimensionIndexPointer) or str(item.DimensionIndexPointer)
        for item in data.get("DimensionIndexSequence") or []
        if "DimensionIndexPointer" in item
    ]
    return [
        _enhanced_plane(header, index, frame, shared, dimensions)
        for index, frame in enumerate(data.PerFrameFunctionalGroupsSequence)
    ]


def _enhanced_plane(header: Header, index: int, frame: Dataset, shared: Dataset, dimensions: list[str]) -> Plane:
    def group(name: str) -> Dataset:
        for place in frame, shared:
            if place.get(name):
                return place[name][0]
        return Dataset()

    content, measures = group("FrameContentSequence"), group("PixelMeasuresSequence")
    spacing = numbers(measures, "PixelSpacing", 2)
    position = numbers(group("PlanePositionSequence"), "ImagePositionPatient", 3)
    slope, intercept = _scale(group("PixelValueTransformationSequence"))
    keys: dict[str, Any] = {}
    for name in ("MREchoSequence", "MRDiffusionSequence", "CardiacSynchronizationSequence", "FrameContentSequence"):
        keys |= {k: _plain(v) for k in KEYS if (v := group(name).get(k)) not in (None, "")}
    for name in ("MRImageFrameTypeSequence", "CTImageFrameTypeSequence", "PETFrameTypeSequence"):
        if (kind := group(name).get("FrameType")) is not None:
            keys["FrameType"] = _plain(kind)
    values = content.get("DimensionIndexValues")
    values = [values] if isinstance(values, int) else list(values or [])
    if len(values) == len(dimensions):
        # After the quantities that a person knows: a dimension's index only says "another one".
        keys |= {f"index {n}": v for n, v in zip(dimensions, values, strict=True) if n not in _PLACE}
    return Plane(
        header,
        index,
        (spacing[0], spacing[1]) if spacing else None,
        position,
        numbers(group("PlaneOrientationSequence"), "ImageOrientationPatient", 6) if position else None,
        _positive(number(measures, "SpacingBetweenSlices")) or _positive(number(measures, "SliceThickness")),
        slope,
        intercept,
        window_of(group("FrameVOILUTSequence")),
        keys,
        str(content.get("StackID", "")),
    )


def _scale(data: Dataset) -> tuple[float, float]:
    slope, intercept = number(data, "RescaleSlope"), number(data, "RescaleIntercept")
    return (slope if slope else 1.0), (intercept or 0.0)  # a slope of 0 is a known defect of some writers


def _positive(value: float | None) -> float | None:
    return value if value and value > 0 else None


def _plain(value: Any) -> Any:
    """A value that can be sorted and compared."""
    if isinstance(value, (list, tuple)) or hasattr(value, "append"):
        return tuple(str(v) for v in value)
    try:
        return float(value)
    except (TypeError, ValueError):
        return str(value)


def window_of(data: Dataset) -> tuple[float, float] | None:
    """The first window a header names, as (low, high) by the formula of PS3.3 C.11.2.1.2; None without one."""
    center, width = data.get("WindowCenter"), data.get("WindowWidth")
    if center in (None, "") or width in (None, ""):
        return None
    try:
        middle = float(center[0] if hasattr(center, "append") else center)
        span = float(width[0] if hasattr(width, "append") else width)
    except (TypeError, ValueError, IndexError):
        return None
    if str(data.get("VOILUTFunction") or "LINEAR") == "LINEAR":
        middle, span = middle - 0.5, span - 1
    return (middle - span / 2, middle + span / 2) if span > 0 else None
