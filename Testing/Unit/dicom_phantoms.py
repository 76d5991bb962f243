"""Small DICOM files made to order: any geometry, any values, any defect. For the DICOM tests only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pydicom
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.uid import (
    CTImageStorage,
    EnhancedMRImageStorage,
    ExplicitVRLittleEndian,
    MRImageStorage,
    generate_uid,
)

SECRET = "Secretname"
"""Planted wherever a header names a person; must turn up in no text of ours."""


def slice_dataset(
    stored: np.ndarray,
    *,
    position: Sequence[float] | None = (0.0, 0.0, 0.0),
    orientation: Sequence[float] = (1.0, 0.0, 0.0, 0.0, 1.0, 0.0),
    spacing: Sequence[float] = (1.0, 1.0),
    series: str = "1.2.3.4",
    number: int = 1,
    modality: str = "CT",
    **more: Any,
) -> Dataset:
    """One single-frame image; `more` sets or (with None) removes attributes by keyword."""
    data = Dataset()
    data.file_meta = FileMetaDataset()
    data.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    data.SOPClassUID = MRImageStorage if modality == "MR" else CTImageStorage
    data.SOPInstanceUID = generate_uid()
    data.StudyInstanceUID, data.SeriesInstanceUID, data.FrameOfReferenceUID = "1.2.3", series, "1.2.3.9"
    data.PatientName, data.PatientID = f"{SECRET}^Anna", f"{SECRET}-17"
    data.PatientBirthDate, data.PatientSex, data.AccessionNumber = "19600229", "F", f"{SECRET}1"
    data.ReferringPhysicianName, data.InstitutionName = f"{SECRET}^Doctor", f"{SECRET} Hospital"
    data.StudyDate, data.StudyTime, data.StudyID, data.SeriesNumber = "20200102", "101112", "7", 4
    data.StudyDescription, data.SeriesDescription = f"{SECRET} study", "axial phantom"
    data.Modality, data.InstanceNumber = modality, number
    data.Rows, data.Columns = stored.shape[:2]
    data.SamplesPerPixel, data.PhotometricInterpretation = 1, "MONOCHROME2"
    data.BitsAllocated = data.BitsStored = stored.dtype.itemsize * 8
    data.HighBit = data.BitsStored - 1
    data.PixelRepresentation = int(stored.dtype.kind == "i")
    if position is not None:
        data.ImagePositionPatient = [f"{v:.10g}" for v in position]
        data.ImageOrientationPatient = [f"{v:.12g}" for v in orientation]
    data.PixelSpacing = [f"{v:.10g}" for v in spacing]
    for keyword, value in more.items():
        if value is None:
            delattr(data, keyword)
        else:
            setattr(data, keyword, value)
    data.PixelData = np.ascontiguousarray(stored).tobytes()
    data["PixelData"].VR = "OW"
    return data


def save(data: Dataset, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    data.file_meta.MediaStorageSOPClassUID = data.SOPClassUID
    data.file_meta.MediaStorageSOPInstanceUID = data.SOPInstanceUID
    pydicom.dcmwrite(path, data, enforce_file_format=True)
    return path


def save_stack(
    folder: Path,
    stored: np.ndarray,
    positions: Sequence[Sequence[float]],
    *,
    prefix: str = "",
    per_slice: Sequence[dict[str, Any]] | None = None,
    **more: Any,
) -> Path:
    """A series of `stored[k]` at `positions[k]`, written in an order that is not the spatial one."""
    shuffled = np.random.default_rng(5).permutation(len(stored))
    for n, k in enumerate(shuffled):
        own = per_slice[k] if per_slice else {}
        data = slice_dataset(stored[k], position=positions[k], **{"number": int(k) + 1, **more, **own})
        save(data, folder / f"{prefix}{n:03d}.dcm")
    return folder


def rotated(rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Row, column and normal direction of a random rotation, rounded as headers round them."""
    q, _ = np.linalg.qr(rng.normal(size=(3, 3)))
    row, column = np.round(q[:, 0], 10), np.round(q[:, 1], 10)
    return row, column, np.cross(row, column)


def enhanced_dataset(stored: np.ndarray, frames: Sequence[dict[str, Any]], **more: Any) -> Dataset:
    """An Enhanced MR with one frame per item: `position`, and optionally `orientation`, `stack`, `time`, `slope`."""
    data = slice_dataset(stored.reshape(-1, stored.shape[-1]), position=None, modality="MR", **more)
    data.SOPClassUID, data.Rows, data.NumberOfFrames = EnhancedMRImageStorage, stored.shape[1], len(frames)
    del data.PixelSpacing
    measures = _item(PixelSpacing=["0.5", "0.75"], SliceThickness="3")
    data.SharedFunctionalGroupsSequence = [_item(PixelMeasuresSequence=[measures])]
    data.DimensionIndexSequence = [
        _item(DimensionIndexPointer=pointer, FunctionalGroupPointer=0x00209111)
        for pointer in (0x00209056, 0x00209057, 0x00209128)
    ]
    data.PerFrameFunctionalGroupsSequence = [
        _item(
            PlanePositionSequence=[_item(ImagePositionPatient=[f"{v:.10g}" for v in frame["position"]])],
            PlaneOrientationSequence=[
                _item(ImageOrientationPatient=[f"{v}" for v in frame.get("orientation", (1, 0, 0, 0, 1, 0))])
            ],
            FrameContentSequence=[
                _item(
                    StackID=frame.get("stack", "1"),
                    InStackPositionNumber=n + 1,
                    TemporalPositionIndex=frame.get("time", 1),
                    DimensionIndexValues=[1, n + 1, frame.get("time", 1)],
                )
            ],
            PixelValueTransformationSequence=[
                _item(RescaleSlope=f"{frame.get('slope', 1)}", RescaleIntercept="0", RescaleType="US")
            ],
        )
        for n, frame in enumerate(frames)
    ]
    return data


def _item(**values: Any) -> Dataset:
    item = Dataset()
    for keyword, value in values.items():
        setattr(item, keyword, value)
    return item
