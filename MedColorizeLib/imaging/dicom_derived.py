"""The header of a coloured DICOM series: whose patient and study it is, and how it says that its colour is synthetic.

highdicom's `SCImage` makes the skeleton (patient, study, equipment, secondary capture, pixel format). What it has no
part for is added here with pydicom: place in space, derivation, source images, and the functional groups of the
multi-frame class, which highdicom doesn't write. Not for pixels; see `dicom_write`.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
from pydicom.dataset import Dataset
from pydicom.uid import MultiFrameTrueColorSecondaryCaptureImageStorage, generate_uid

from .. import __version__
from ..errors import OutputError
from .dicom_files import whole
from .dicom_source import Grid, Source, ds, references
from .scan import ColorHeader

MAKER = "MedColorize"
_STATED = (
    *("synthetic_color", "method", "model", "input_sha256", "program", "window", "window_name", "fidelity"),
    *("modality", "labels", "version", "notice"),
)
_WHO = (
    *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "AccessionNumber", "StudyID", "StudyDate"),
    *("StudyTime", "ReferringPhysicianName", "StudyDescription"),
)


def skeleton(header: ColorHeader, grid: Grid, source: Source | None) -> Dataset:
    """All that every slice of the coloured series has in common, as the first slice's dataset without pixels."""
    try:
        import highdicom as hd
    except ImportError as error:
        raise OutputError(
            "Writing DICOM needs the package highdicom. Install it, or write another format (.nrrd, .nii.gz)."
        ) from error
    from pydicom.sr.codedict import codes

    given = source.data if source else Dataset()
    equipment = hd.ContributingEquipment(
        MAKER,
        codes.DCM.ProcessingEquipment,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        contribution_description="Added synthetic colour to gray images",
    )
    data = hd.sc.SCImage(
        np.zeros((header.shape[1], header.shape[2], 3), np.uint8),
        photometric_interpretation="RGB",
        bits_allocated=8,
        coordinate_system="PATIENT",
        study_instance_uid=str(given.get("StudyInstanceUID") or generate_uid(prefix=None)),
        series_instance_uid=generate_uid(prefix=None),
        series_number=max(1, whole(given, "SeriesNumber", 8)) * 100 + 99,
        sop_instance_uid=generate_uid(prefix=None),
        instance_number=1,
        manufacturer=MAKER,
        manufacturer_model_name=MAKER,
        software_versions=__version__,
        patient_orientation=(_letter(grid.orientation[:3]), _letter(grid.orientation[3:])),
        contributing_equipment=[equipment],
        series_description=_short(header.provenance),
    )
    del data.PixelData
    _identify(data, given)
    _say_synthetic(data, header.provenance)
    _inherit(data, given)
    data.FrameOfReferenceUID = str(given.get("FrameOfReferenceUID") or generate_uid(prefix=None))
    data.PositionReferenceIndicator = str(given.get("PositionReferenceIndicator") or "")
    return data


def _identify(data: Any, given: Dataset) -> None:
    """Patient and study of the source; without one, nobody."""
    if not given:
        data.PatientName, data.PatientID = "Anonymous", ""
        return
    if "SpecificCharacterSet" in given:
        data.SpecificCharacterSet = given.SpecificCharacterSet
    try:
        data.copy_patient_and_study_information(given)
    except KeyError:  # a SOP class unknown to highdicom: the modules' required attributes at least
        for keyword in _WHO:
            if keyword in given:
                data[keyword] = given[keyword]


def _say_synthetic(data: Dataset, provenance: dict[str, Any]) -> None:
    data.ImageType = ["DERIVED", "SECONDARY"]
    data.ConversionType = "WSD"
    data.DerivationDescription = derivation_text(provenance)
    code = Dataset()
    # The standard's list of derivations (CID 7203, extensible) has none for colour that nobody measured.
    code.CodeValue, code.CodingSchemeDesignator = "SYNTHCOLOR", "99MEDCOLORIZE"
    code.CodeMeaning = "Synthetic colour computed from gray images"
    data.DerivationCodeSequence = [code]


def _inherit(data: Dataset, given: Dataset) -> None:
    """What stays true of the pixels whatever colour they get."""
    # SC Equipment module: the modality is that of the equipment the pictures come from.
    data.Modality = str(given.get("Modality") or "OT")
    data.BurnedInAnnotation = "YES" if given.get("BurnedInAnnotation") == "YES" else "NO"
    data.LossyImageCompression = "01" if given.get("LossyImageCompression") == "01" else "00"
    if given.get("Laterality") or not given.get("BodyPartExamined"):
        data.Laterality = str(given.get("Laterality") or "")  # empty: it is unknown which part of the body this is
    for keyword in (
        "RecognizableVisualFeatures",
        "BodyPartExamined",
        "LossyImageCompressionRatio",
        "LossyImageCompressionMethod",
    ):
        if given.get(keyword):
            data[keyword] = given[keyword]


def derivation_text(provenance: dict[str, Any]) -> str:
    """A sentence for people, then what was used as JSON; at most the 1024 characters the attribute may hold."""
    sentence = (
        f"Synthetic colour, not measured: computed from gray images by {MAKER} {__version__}. Not for diagnosis. "
    )
    stated = {key: _public(provenance[key]) for key in _STATED if provenance.get(key) is not None}
    while len(text := sentence + json.dumps(stated)) > 1024:
        stated.popitem()
    return text


def read_derivation(text: str) -> dict[str, Any]:
    """The provenance that `derivation_text` wrote; for other programs' files the text itself."""
    start = text.find("{")
    try:
        found = json.loads(text[start:]) if start >= 0 else None
    except ValueError:
        found = None
    if isinstance(found, dict):
        return found
    return {"derivation": text} if text else {}


def _public(value: Any) -> Any:
    """Names without the folders they lie in, which may say whose data it is."""
    if isinstance(value, str):
        return value if len(value) > 200 else value.replace("\\", "/").rsplit("/", 1)[-1]
    return value if isinstance(value, (int, float, bool, list)) else str(value)[:100]


def _short(provenance: dict[str, Any]) -> str:
    told = " ".join(str(_public(provenance[key])) for key in ("method", "model") if provenance.get(key))
    return f"Synthetic colour: {told}"[:64].encode("ascii", "replace").decode() if told else "Synthetic colour"


def _letter(direction: Sequence[float]) -> str:
    """The side of the body to which a direction points most."""
    axis = int(np.argmax(np.abs(direction)))
    return ("LPH" if direction[axis] > 0 else "RAF")[axis]


def place_slice(data: Dataset, grid: Grid, k: int) -> None:
    """The Image Plane attributes of slice `k` (single-frame files)."""
    data.ImagePositionPatient = ds(grid.place(k))
    data.ImageOrientationPatient = ds(grid.orientation)
    data.PixelSpacing = ds(grid.spacing)
    data.SliceThickness = data.SpacingBetweenSlices = ds(grid.between)


def make_multi_frame(data: Dataset, header: ColorHeader, grid: Grid, source: Source | None) -> None:
    """Turn the skeleton of a single slice into a Multi-frame True Color Secondary Capture."""
    data.SOPClassUID = data.file_meta.MediaStorageSOPClassUID = MultiFrameTrueColorSecondaryCaptureImageStorage
    data.NumberOfFrames = header.shape[0] * header.frames
    data.FrameIncrementPointer = 0x52009230  # the per-frame functional groups order the frames
    organization = Dataset()
    organization.DimensionOrganizationUID = generate_uid(prefix=None)
    data.DimensionOrganizationSequence = [organization]
    data.DimensionIndexSequence = []
    for pointer in (0x00209056, 0x00209057, 0x00209128)[: 3 if header.frames > 1 else 2]:
        index = Dataset()
        index.DimensionOrganizationUID = organization.DimensionOrganizationUID
        index.DimensionIndexPointer, index.FunctionalGroupPointer = pointer, 0x00209111
        data.DimensionIndexSequence.append(index)
    shared, measures, direction = Dataset(), Dataset(), Dataset()
    measures.PixelSpacing = ds(grid.spacing)
    measures.SliceThickness = measures.SpacingBetweenSlices = ds(grid.between)
    direction.ImageOrientationPatient = ds(grid.orientation)
    shared.PixelMeasuresSequence, shared.PlaneOrientationSequence = [measures], [direction]
    data.SharedFunctionalGroupsSequence = [shared]
    data.PerFrameFunctionalGroupsSequence = [
        _frame(data, header, grid, source, k, time) for time in range(header.frames) for k in range(header.shape[0])
    ]


def _frame(data: Dataset, header: ColorHeader, grid: Grid, source: Source | None, k: int, time: int) -> Dataset:
    frame, content, position = Dataset(), Dataset(), Dataset()
    content.StackID, content.InStackPositionNumber = "1", k + 1
    content.DimensionIndexValues = [1, k + 1]
    if header.frames > 1:
        content.TemporalPositionIndex = time + 1
        content.DimensionIndexValues = [1, k + 1, time + 1]
    position.ImagePositionPatient = ds(grid.place(k))
    frame.FrameContentSequence, frame.PlanePositionSequence = [content], [position]
    if source:
        derivation = Dataset()
        derivation.DerivationDescription = data.DerivationDescription
        derivation.DerivationCodeSequence = data.DerivationCodeSequence
        derivation.SourceImageSequence = references(
            source, source.near(grid.place(k), grid.step / grid.between, grid.between)
        )
        frame.DerivationImageSequence = [derivation]
    return frame
