"""What is read, how, and what is refused with which words."""

from __future__ import annotations

import gzip
from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from PIL import Image

from MedColorizeLib import Volume, read_color, read_labels, read_volume
from MedColorizeLib.errors import InputError
from MedColorizeLib.imaging.read import open_scan
from MedColorizeLib.imaging.write import write_volume


def noise(shape: tuple[int, ...] = (6, 5, 4), dtype: type = np.int16) -> np.ndarray:
    return np.random.default_rng(3).integers(0, 250, shape).astype(dtype)


def nifti(path: Path, array: np.ndarray, affine: np.ndarray | None = None, **header: float) -> Path:
    image = nibabel.Nifti1Image(array, np.eye(4) if affine is None else affine, dtype=array.dtype)
    for key, value in header.items():
        image.header[key] = value
    nibabel.save(image, path)
    return path


def test_nifti_axes_and_affine(tmp_path: Path, oblique: np.ndarray) -> None:
    array = noise()
    volume = read_volume(nifti(tmp_path / "a.nii.gz", array, oblique))
    assert volume.shape == (4, 5, 6)
    np.testing.assert_array_equal(volume.array, array.transpose(2, 1, 0))
    np.testing.assert_allclose(volume.affine, oblique, rtol=1e-6)
    np.testing.assert_allclose(volume.spacing, (3.3, 0.8, 0.7), rtol=1e-5)


def test_nifti_scaling_stays_integer_where_it_is_whole(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(noise(), np.eye(4))
    image.header.set_slope_inter(2, -1024)
    nibabel.save(image, tmp_path / "a.nii")
    raw = (tmp_path / "a.nii").read_bytes()
    volume = read_volume(tmp_path / "a.nii")
    assert raw
    assert volume.array.dtype == np.int16
    np.testing.assert_array_equal(volume.array.transpose(2, 1, 0), np.asarray(nibabel.load(tmp_path / "a.nii").dataobj))


def test_nifti_without_a_place_in_space_says_so(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(noise(), None)
    nibabel.save(image, tmp_path / "a.nii")
    assert "left and right" in " ".join(read_volume(tmp_path / "a.nii").notes)


def test_two_geometries_in_one_file_are_told(tmp_path: Path, oblique: np.ndarray) -> None:
    image = nibabel.Nifti1Image(noise(), oblique)
    image.set_qform(np.eye(4), code=1)
    image.set_sform(oblique, code=1)
    nibabel.save(image, tmp_path / "a.nii")
    volume = read_volume(tmp_path / "a.nii")
    np.testing.assert_allclose(volume.affine, oblique, rtol=1e-6)
    assert "two different geometries" in " ".join(volume.notes)


def test_frames_of_4d_nifti_and_nrrd(tmp_path: Path) -> None:
    array = noise((5, 4, 3, 7))
    nifti(tmp_path / "a.nii.gz", array)
    image = sitk.GetImageFromArray(array.transpose(3, 2, 1, 0), isVector=False)
    sitk.WriteImage(image, str(tmp_path / "b.nrrd"))
    for name in ("a.nii.gz", "b.nrrd"):
        scan = open_scan(tmp_path / name)
        assert scan.frames == 7
        for frame in (0, 6):
            np.testing.assert_array_equal(scan.read(frame).array, array[..., frame].transpose(2, 1, 0))
        with pytest.raises(InputError, match="no frame 7"):
            scan.read(7)


def test_slicers_frame_list_is_not_taken_for_colour(tmp_path: Path) -> None:
    frames = noise((4, 5, 6, 3))
    header = (
        "NRRD0005\ntype: int16\ndimension: 4\nspace: left-posterior-superior\nsizes: 3 6 5 4\n"
        "space directions: none (1,0,0) (0,1,0) (0,0,2)\nkinds: list domain domain domain\nendian: little\n"
        "encoding: raw\nspace origin: (0,0,0)\n\n"
    )
    (tmp_path / "a.seq.nrrd").write_bytes(header.encode() + frames.astype("<i2").tobytes())
    scan = open_scan(tmp_path / "a.seq.nrrd")
    assert scan.frames == 3
    np.testing.assert_array_equal(scan.read(2).array, frames[..., 2])


def test_5d_vector_nifti_is_colour(tmp_path: Path) -> None:
    array = noise((4, 5, 6, 1, 3), np.uint8)
    image = nibabel.Nifti1Image(array, np.eye(4))
    image.header.set_intent("vector")
    nibabel.save(image, tmp_path / "v.nii.gz")
    color = read_color(tmp_path / "v.nii.gz")
    np.testing.assert_array_equal(color.array, array[:, :, :, 0].transpose(2, 1, 0, 3))


@pytest.mark.parametrize("name", ["c.nrrd", "c.nii", "c.mha"])
def test_simpleitks_vector_files_are_colour(tmp_path: Path, name: str) -> None:
    array = noise((4, 5, 6, 3), np.uint8)
    sitk.WriteImage(sitk.GetImageFromArray(array, isVector=True), str(tmp_path / name))
    np.testing.assert_array_equal(read_color(tmp_path / name).array, array)


def test_label_maps_are_refused_as_input(tmp_path: Path, data: Path) -> None:
    for path in [
        *data.glob("mr/*/*_structures.nii.gz"),
        *data.glob("mr/*/*_tissues.nii.gz"),
        *data.glob("ct/*_labels*"),
    ]:
        with pytest.raises(InputError, match="label map"):
            read_volume(path)
        assert read_labels(path).array.dtype.kind in "iu"
    image = nifti(tmp_path / "intent.nii", noise(), intent_code=1002)
    with pytest.raises(InputError, match="--labels"):
        read_volume(image)


def test_real_scans_are_not_taken_for_label_maps(data: Path) -> None:
    for path in [
        *sorted(data.glob("mr/*/*_t1*.nii.gz")),
        *sorted(data.glob("mr/*/*_flair.nii.gz")),
        *data.glob("ct/*m.nii.gz"),
    ]:
        read_volume(path)


def test_constant_and_blocky_phantoms_are_scans(tmp_path: Path) -> None:
    constant = np.full((8, 8, 8), 5, np.int16)
    read_volume(nifti(tmp_path / "constant.nii", constant))
    blocks = np.zeros((20, 20, 20), np.int16)
    blocks[5:15, 5:15, 5:15] = 500
    blocks[8:12, 8:12, 8:12] = 1200
    read_volume(nifti(tmp_path / "blocks.nii", blocks))


def test_labels_must_lie_on_the_scan(tmp_path: Path) -> None:
    scan = read_volume(nifti(tmp_path / "a.nii", noise()))
    moved = np.eye(4)
    moved[0, 3] = 5
    with pytest.raises(InputError, match="does not lie on the scan"):
        read_labels(nifti(tmp_path / "l.nii", noise(dtype=np.uint8), moved), like=scan)


def test_damaged_missing_and_foreign_files(tmp_path: Path) -> None:
    whole = nifti(tmp_path / "a.nii.gz", noise((60, 60, 60)))
    (tmp_path / "cut.nii.gz").write_bytes(whole.read_bytes()[: whole.stat().st_size // 2])
    (tmp_path / "empty.nii").touch()
    (tmp_path / "text.nii").write_text("no image at all" * 100)
    (tmp_path / "text.nrrd").write_text("no image at all" * 100)
    (tmp_path / "text.mha").write_text("no image at all" * 100)
    (tmp_path / "words.docx").write_text("words")
    (tmp_path / "DICOMDIR").write_bytes(b"\0" * 128 + b"DICM")
    for name, words in {
        "missing.nii": "does not exist",
        "empty.nii": "0 bytes",
        "text.nii": "can't be read",
        "text.nrrd": "can't be read",
        "text.mha": "can't be read",
        "words.docx": "no ending this program knows",
        "DICOMDIR": "folder that holds the images",
    }.items():
        with pytest.raises(InputError, match=words) as refusal:
            read_volume(tmp_path / name)
        assert name in str(refusal.value)
    with pytest.raises(InputError, match="breaks off"):
        read_volume(tmp_path / "cut.nii.gz")


def test_truncated_raw_nrrd(tmp_path: Path) -> None:
    sitk.WriteImage(sitk.GetImageFromArray(noise((20, 20, 20))), str(tmp_path / "a.nrrd"), useCompression=False)
    content = (tmp_path / "a.nrrd").read_bytes()
    (tmp_path / "a.nrrd").write_bytes(content[: len(content) // 2])
    with pytest.raises(InputError, match="a.nrrd"):
        read_volume(tmp_path / "a.nrrd")


def test_stacks_of_pictures(tmp_path: Path) -> None:
    array = noise((12, 9, 8), np.uint8)
    for number, plane in enumerate(array):
        Image.fromarray(plane).save(tmp_path / f"slice{number}.png")  # 10 must not come before 2
    volume = read_volume(tmp_path)
    np.testing.assert_array_equal(volume.array, array)
    assert "millimetres" in volume.notes[0]
    Image.fromarray(array[0, :4]).save(tmp_path / "slice99.png")
    with pytest.raises(InputError, match="slice99"):
        read_volume(tmp_path)


def test_many_paged_16_bit_tiff(tmp_path: Path) -> None:
    array = noise((3, 9, 8), np.uint16) * 200
    pages = [Image.fromarray(plane) for plane in array]
    pages[0].save(tmp_path / "a.tiff", save_all=True, append_images=pages[1:])
    np.testing.assert_array_equal(read_volume(tmp_path / "a.tiff").array, array)


def test_colour_pictures_are_refused_but_gray_ones_stored_as_rgb_are_not(tmp_path: Path) -> None:
    gray = noise((1, 9, 8), np.uint8)[0]
    Image.fromarray(np.repeat(gray[..., None], 3, -1)).save(tmp_path / "gray.png")
    np.testing.assert_array_equal(read_volume(tmp_path / "gray.png").array[0], gray)
    Image.fromarray(noise((9, 8, 3), np.uint8)).save(tmp_path / "color.png")
    with pytest.raises(InputError, match="colour pictures"):
        read_volume(tmp_path / "color.png")


def test_other_gzip_writers_are_understood(tmp_path: Path) -> None:
    plain = nifti(tmp_path / "a.nii", noise())
    parts = plain.read_bytes()
    (tmp_path / "b.nii.gz").write_bytes(gzip.compress(parts[:400]) + gzip.compress(parts[400:]))
    np.testing.assert_array_equal(read_volume(tmp_path / "b.nii.gz").array, read_volume(plain).array)


def test_nothing_personal_is_shown(tmp_path: Path) -> None:
    folder = tmp_path / "DOE^JOHN"
    folder.mkdir()
    volume = read_volume(nifti(folder / "a.nii", noise()))
    assert "DOE" not in repr(volume)


@pytest.mark.parametrize("name", ["SCAN.MHA", "SCAN.NRRD", "SCAN.NII.GZ"])
def test_endings_in_capitals(tmp_path: Path, name: str) -> None:
    volume = Volume(noise(), np.eye(4))
    write_volume(tmp_path / name, volume)
    np.testing.assert_array_equal(read_volume(tmp_path / name).array, volume.array)


def test_previews_beside_dicom_and_what_macos_leaves(data: Path, tmp_path: Path) -> None:
    from MedColorizeLib.imaging.formats import input_format, pictures_in

    folder = tmp_path / "export"
    folder.mkdir()
    (folder / "._0.png").write_bytes(b"\0\5\x16\7")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(folder / "0.png")
    assert input_format(folder) == "stack"
    assert [p.name for p in pictures_in(folder)] == ["0.png"]
    (folder / "1").write_bytes((data / "dicom" / "brainix_flair" / "0000.dcm").read_bytes())
    assert input_format(folder) == "dicom"


def test_a_singular_geometry_names_the_file(tmp_path: Path) -> None:
    image = nibabel.Nifti1Image(noise(), np.eye(4))
    image.header.set_sform(np.diag([1.0, 1.0, 0.0, 1.0]), 1)
    nibabel.Nifti1Image(noise(), None, image.header).to_filename(tmp_path / "flat.nii")
    with pytest.raises(InputError, match="flat.nii.*singular"):
        read_volume(tmp_path / "flat.nii")
