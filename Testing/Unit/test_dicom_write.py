"""Writing coloured DICOM: what other readers make of it, whose it is, what it says about its colour."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pydicom
import pytest
import SimpleITK as sitk  # noqa: N813
from dicom_phantoms import SECRET, rotated, save_stack
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MedColorizeLib.errors import InputError, OutputError
from MedColorizeLib.imaging.dicom_read import open_dicom, read_color_dicom
from MedColorizeLib.imaging.dicom_write import DicomColorWriter
from MedColorizeLib.imaging.scan import ColorHeader
from MedColorizeLib.imaging.volume import Origin

FLIP = np.diag([-1.0, -1.0, 1.0, 1.0])
PROVENANCE = {
    "method": "palette",
    "model": "natural",
    "input_sha256": "ab" * 32,
    "window": [0, 80],
    "fidelity": "exact",
}
BOTH = pytest.mark.parametrize("name", ["out.dcm", "folder"])


def colors(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (*shape, 3), dtype=np.uint8)


def write(path: Path, array: np.ndarray, affine: np.ndarray, origin: Origin | None = None, frames: int = 1) -> Path:
    header = ColorHeader((len(array) // frames, *array.shape[1:3]), 3, affine, frames, PROVENANCE, origin)
    with DicomColorWriter(path, header) as writer:
        for start in range(0, len(array), 2):
            writer.write(array[start : start + 2])
        return writer.commit()


def first_file(path: Path) -> pydicom.Dataset:
    return pydicom.dcmread(path if path.is_file() else path / "00001.dcm")


def every_text(path: Path) -> bytes:
    return b"".join(p.read_bytes() for p in ([path] if path.is_file() else sorted(path.iterdir())))


@pytest.fixture
def gray(tmp_path: Path) -> Path:
    stored = np.random.default_rng(1).integers(-500, 500, (5, 6, 7)).astype(np.int16)
    where = np.array([3.0, -4.0, 5.0]) + np.arange(5)[:, None] * np.array([0, 0, 2.5])
    return save_stack(tmp_path / "gray", stored, where, spacing=(0.7, 0.8))


@BOTH
def test_simpleitk_reads_the_same_voxels_in_the_same_place(tmp_path: Path, oblique: np.ndarray, name: str) -> None:
    affine = oblique @ np.diag([1, 1, -1, 1])  # right-handed, as every series reader orders slices
    array = colors((5, 6, 7))
    path = write(tmp_path / name, array, affine)
    if path.is_file():
        image = sitk.ReadImage(str(path))
    else:
        reader = sitk.ImageSeriesReader()
        reader.SetFileNames(reader.GetGDCMSeriesFileNames(str(path)))
        image = reader.Execute()
    assert np.array_equal(sitk.GetArrayFromImage(image), array)
    found = np.eye(4)
    found[:3, :3] = np.array(image.GetDirection()).reshape(3, 3) * image.GetSpacing()
    found[:3, 3] = image.GetOrigin()
    assert np.abs(FLIP @ found - affine).max() < 1e-9


@BOTH
def test_pydicom_decodes_the_same_codes(tmp_path: Path, oblique: np.ndarray, name: str) -> None:
    array = colors((4, 5, 3))  # an odd number of bytes in a slice: padded to an even length
    path = write(tmp_path / name, array, oblique)
    if path.is_file():
        assert np.array_equal(pydicom.dcmread(path).pixel_array, array)
    else:
        assert np.array_equal(np.stack([pydicom.dcmread(p).pixel_array for p in sorted(path.iterdir())]), array)


@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(seed=st.integers(0, 2**32 - 1), left_handed=st.booleans(), slices=st.integers(1, 4), single=st.booleans())
def test_read_back_is_what_was_written(
    tmp_path_factory: pytest.TempPathFactory, seed: int, left_handed: bool, slices: int, single: bool
) -> None:
    rng = np.random.default_rng(seed)
    row, column, normal = rotated(rng)
    affine = np.eye(4)
    spacing = rng.uniform(0.1, 5, 3)
    affine[:3, :3] = np.stack([row, column, -normal if left_handed else normal], axis=1) * spacing
    affine[:3, 3] = rng.uniform(-500, 500, 3)
    array = colors((slices, 4, 3), seed)
    path = write(tmp_path_factory.mktemp("w") / ("a.dcm" if single else "a"), array, affine)
    back = read_color_dicom(path)
    if slices == 1 and left_handed:
        affine = affine @ np.diag([1, 1, -1, 1])  # one slice has no order to tell the two apart
    assert np.array_equal(back.array, array)
    assert np.abs(back.affine - affine).max() < 1e-7
    assert back.provenance["method"] == "palette"
    assert back.provenance["window"] == [0, 80]


@BOTH
def test_sequences_keep_their_frames(tmp_path: Path, oblique: np.ndarray, name: str) -> None:
    array = colors((6, 4, 4))
    path = write(tmp_path / name, array, oblique, frames=3)
    for frame in range(3):
        assert np.array_equal(read_color_dicom(path, frame=frame).array, array[2 * frame : 2 * frame + 2])


@BOTH
class TestHeader:
    def test_patient_and_study_stay_the_series_is_new(self, tmp_path: Path, gray: Path, name: str) -> None:
        volume = open_dicom(gray).read()
        path = write(tmp_path / name, colors(volume.shape), volume.affine, volume.origin)
        old, new = pydicom.dcmread(gray / "000.dcm"), first_file(path)
        for keyword in (
            *("PatientName", "PatientID", "PatientBirthDate", "PatientSex", "StudyInstanceUID", "StudyDate"),
            *("StudyID", "AccessionNumber", "StudyDescription", "FrameOfReferenceUID", "Modality"),
        ):
            assert new[keyword].value == old[keyword].value, keyword
        assert new.SeriesInstanceUID != old.SeriesInstanceUID
        assert new.SOPInstanceUID == new.file_meta.MediaStorageSOPInstanceUID
        assert new.SeriesNumber == 499
        # Free text and the maker of the source stay behind.
        assert "SECRET" not in str(new.get("InstitutionName", ""))
        assert new.SeriesDescription == "Synthetic colour: palette natural"
        assert new.Manufacturer == "MedColorize"

    def test_it_says_that_the_colour_is_synthetic(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        data = first_file(write(tmp_path / name, colors((2, 4, 4)), oblique))
        assert list(data.ImageType) == ["DERIVED", "SECONDARY"]
        assert data.DerivationDescription.startswith("Synthetic colour, not measured")
        assert json.loads(data.DerivationDescription[data.DerivationDescription.index("{") :]) == PROVENANCE
        assert data.DerivationCodeSequence[0].CodeValue == "SYNTHCOLOR"
        assert data.ContributingEquipmentSequence[0].Manufacturer == "MedColorize"
        assert (data.BurnedInAnnotation, data.ConversionType, data.LossyImageCompression) == ("NO", "WSD", "00")
        assert (data.PhotometricInterpretation, data.SamplesPerPixel, data.PlanarConfiguration) == ("RGB", 3, 0)
        assert (data.BitsAllocated, data.BitsStored, data.HighBit, data.PixelRepresentation) == (8, 8, 7, 0)

    def test_without_dicom_it_is_nobodys(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        origin = Origin(tmp_path / "Anna_Secretname.nii.gz")
        path = write(tmp_path / name, colors((2, 4, 4)), oblique, origin)
        data = first_file(path)
        assert data.PatientName == "Anonymous"
        assert not data.PatientID
        assert not data.PatientBirthDate
        assert data.Modality == "OT"
        assert SECRET.encode() not in every_text(path)

    def test_each_slice_names_its_source(self, tmp_path: Path, gray: Path, name: str) -> None:
        volume = open_dicom(gray).read()
        path = write(tmp_path / name, colors(volume.shape), volume.affine, volume.origin)
        sources = {float(d.ImagePositionPatient[2]): d.SOPInstanceUID for d in map(pydicom.dcmread, gray.iterdir())}
        if path.is_file():
            groups = pydicom.dcmread(path).PerFrameFunctionalGroupsSequence
            named = [
                (g.PlanePositionSequence[0].ImagePositionPatient, g.DerivationImageSequence[0].SourceImageSequence)
                for g in groups
            ]
        else:
            slices = [pydicom.dcmread(p) for p in sorted(path.iterdir())]
            named = [(d.ImagePositionPatient, d.SourceImageSequence) for d in slices]
            assert len({d.SOPInstanceUID for d in slices}) == 5
        for position, source in named:
            assert [item.ReferencedSOPInstanceUID for item in source] == [sources[float(position[2])]]

    def test_lossy_and_burned_in_stay_true(self, tmp_path: Path, name: str) -> None:
        stored = np.zeros((2, 3, 3), np.int16)
        more = {"LossyImageCompression": "01", "LossyImageCompressionRatio": "8", "BurnedInAnnotation": "YES"}
        save_stack(tmp_path / "gray", stored, [(0, 0, 0), (0, 0, 1)], **more)
        volume = open_dicom(tmp_path / "gray").read()
        data = first_file(write(tmp_path / name, colors(volume.shape), volume.affine, volume.origin))
        assert (data.LossyImageCompression, data.LossyImageCompressionRatio) == ("01", 8)
        assert data.BurnedInAnnotation == "YES"

    def test_models_folder_is_not_told(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        header = ColorHeader((1, 2, 2), 3, oblique, 1, {"method": "m", "model": f"/home/{SECRET}/best"})
        with DicomColorWriter(tmp_path / name, header) as writer:
            writer.write(colors((1, 2, 2)))
            path = writer.commit()
        assert SECRET.encode() not in every_text(path)
        assert read_color_dicom(path).provenance["model"] == "best"


@BOTH
class TestFailing:
    def test_no_commit_leaves_nothing(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        header = ColorHeader((3, 4, 4), 3, oblique)
        with pytest.raises(ZeroDivisionError), DicomColorWriter(tmp_path / "x" / name, header) as writer:
            writer.write(colors((2, 4, 4)))
            _ = 1 / 0
        assert list((tmp_path / "x").iterdir()) == []

    def test_too_few_and_too_many_slices(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        header = ColorHeader((3, 4, 4), 3, oblique)
        with pytest.raises(OutputError, match="2 of 3"), DicomColorWriter(tmp_path / name, header) as writer:
            writer.write(colors((2, 4, 4)))
            writer.commit()
        with pytest.raises(OutputError, match="more than"), DicomColorWriter(tmp_path / name, header) as writer:
            writer.write(colors((4, 4, 4)))
        assert list(tmp_path.iterdir()) == []

    def test_wrong_slab(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        header = ColorHeader((3, 4, 4), 3, oblique)
        with DicomColorWriter(tmp_path / name, header) as writer, pytest.raises(OutputError, match="does not fit"):
            writer.write(colors((1, 4, 5)))

    def test_existing_output_is_kept_unless_allowed(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        path = write(tmp_path / name, colors((1, 4, 4)), oblique)
        with pytest.raises(OutputError, match="exists"):
            write(path, colors((1, 4, 4)), oblique)
        with DicomColorWriter(path, ColorHeader((1, 4, 4), 3, oblique), overwrite=True) as writer:
            writer.write(colors((1, 4, 4), 5))
            writer.commit()
        assert np.array_equal(read_color_dicom(path).array, colors((1, 4, 4), 5))

    def test_what_dicom_cannot_hold(self, tmp_path: Path, oblique: np.ndarray, name: str) -> None:
        sheared = np.eye(4)
        sheared[0, 2] = 0.3
        with pytest.raises(OutputError, match="not perpendicular"):
            DicomColorWriter(tmp_path / name, ColorHeader((2, 4, 4), 3, sheared))
        with pytest.raises(OutputError, match="transparency"):
            DicomColorWriter(tmp_path / name, ColorHeader((2, 4, 4), 4, oblique))
        assert list(tmp_path.iterdir()) == []

    def test_sources_gone(self, tmp_path: Path, gray: Path, name: str) -> None:
        volume = open_dicom(gray).read()
        (gray / "000.dcm").unlink()
        with pytest.raises(OutputError, match="patient and study"):
            write(tmp_path / name, colors(volume.shape), volume.affine, volume.origin)


def test_more_than_a_file_can_hold_goes_to_a_folder(tmp_path: Path, oblique: np.ndarray) -> None:
    with pytest.raises(OutputError, match="Name a folder"):
        DicomColorWriter(tmp_path / "a.dcm", ColorHeader((3000, 512, 512), 3, oblique))


def test_colour_from_elsewhere_without_a_place(data: Path) -> None:
    path = data / "dicom" / "odd" / "SC_rgb_2frame.dcm"
    volume = read_color_dicom(path)
    assert np.array_equal(volume.array, pydicom.dcmread(path).pixel_array)
    assert "no position" in volume.notes[0]
    with pytest.raises(InputError, match="8 bits"):
        read_color_dicom(data / "dicom" / "odd" / "SC_rgb_16bit.dcm")


def test_ybr_comes_back_as_rgb(data: Path) -> None:
    ybr, rgb = (
        read_color_dicom(data / "dicom" / "odd" / name).array.astype(int)
        for name in ("SC_rgb_dcmtk_+eb+cy+n1.dcm", "SC_rgb_dcmtk_ebcyn1_dcmd.dcm")
    )
    assert np.abs(ybr - rgb).max() <= 4
