"""Every writer's file, read back by this library and by SimpleITK or nibabel: the same voxels in the same places."""

from __future__ import annotations

from pathlib import Path

import nibabel
import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from MedColorizeLib import ColorVolume, Volume, read_color, read_volume, write_color, write_volume
from MedColorizeLib.errors import InputError, OutputError, UsageError
from MedColorizeLib.imaging.scan import ColorHeader
from MedColorizeLib.imaging.write import open_color_writer

ENDINGS = [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd", ".png"]
PROVENANCE = {"method": "palette", "model": 'odd "quotes" \\ and ü', "window": [-1.5, 2e3], "input_sha256": "0" * 64}


def tolerance(ending: str) -> dict[str, float]:
    """NIfTI keeps geometry in 32 bits, ITK's formats as direction and spacing; a picture stack keeps doubles."""
    if ending.startswith(".nii"):
        return {"rtol": 2e-7, "atol": 1e-5}
    return {"rtol": 0, "atol": 0} if ending == ".png" else {"rtol": 1e-14, "atol": 1e-13}


def colored(affine: np.ndarray, channels: int, shape: tuple[int, int, int] = (5, 4, 7)) -> ColorVolume:
    rng = np.random.default_rng(channels)
    return ColorVolume(rng.integers(0, 256, (*shape, channels), dtype=np.uint8), affine, PROVENANCE)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("channels", [3, 4])
def test_read_back_by_this_library(tmp_path: Path, oblique: np.ndarray, ending: str, channels: int) -> None:
    color = colored(oblique, channels)
    path = write_color(tmp_path / f"ütf {channels}{ending}", color)
    back = read_color(path)
    np.testing.assert_array_equal(back.array, color.array)
    np.testing.assert_allclose(back.affine, oblique, **tolerance(ending))
    assert back.provenance == PROVENANCE
    with pytest.raises(InputError, match="gray"):
        read_volume(path)


@pytest.mark.parametrize("ending", [".nrrd", ".nhdr", ".nii", ".nii.gz", ".mha", ".mhd"])
@pytest.mark.parametrize("channels", [3, 4])
def test_read_back_by_simpleitk(tmp_path: Path, oblique: np.ndarray, ending: str, channels: int) -> None:
    color = colored(oblique, channels)
    image = sitk.ReadImage(str(write_color(tmp_path / f"c{ending}", color)))
    np.testing.assert_array_equal(sitk.GetArrayFromImage(image), color.array)
    lps = np.diag([-1.0, -1.0, 1.0])
    matrix = np.array(image.GetDirection()).reshape(3, 3) * np.array(image.GetSpacing())
    np.testing.assert_allclose(lps @ matrix, oblique[:3, :3], rtol=1e-6, atol=1e-5)
    np.testing.assert_allclose(lps @ np.array(image.GetOrigin()), oblique[:3, 3], rtol=1e-6, atol=1e-5)


@pytest.mark.parametrize("ending", [".nii", ".nii.gz"])
def test_read_back_by_nibabel(tmp_path: Path, oblique: np.ndarray, ending: str) -> None:
    color = colored(oblique, 3)
    image = nibabel.load(write_color(tmp_path / f"c{ending}", color))
    assert int(image.header["datatype"]) == 128
    stored = np.asarray(image.dataobj)
    np.testing.assert_array_equal(np.stack([stored[c] for c in "RGB"], -1).transpose(2, 1, 0, 3), color.array)
    np.testing.assert_allclose(image.affine, oblique, rtol=2e-7, atol=1e-5)
    np.testing.assert_allclose(image.header.get_qform(), oblique, atol=1e-4)


@settings(deadline=None, max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4), st.integers(1, 5), st.integers(1, 6), st.sampled_from(ENDINGS), st.integers(0, 2**32 - 1))
def test_any_shape_survives(tmp_path: Path, k: int, j: int, i: int, ending: str, seed: int) -> None:
    rng = np.random.default_rng(seed)
    affine = np.diag([*rng.uniform(0.1, 5, 3), 1.0])
    affine[:3, 3] = rng.uniform(-500, 500, 3)
    color = ColorVolume(rng.integers(0, 256, (k, j, i, 3), dtype=np.uint8), affine)
    if ending == ".png" and k == 1:
        return  # one slice is a single picture, which has no place for geometry
    back = read_color(write_color(tmp_path / f"{seed}{ending}", color, overwrite=True))
    np.testing.assert_array_equal(back.array, color.array)
    np.testing.assert_allclose(back.affine, affine, rtol=1e-6, atol=1e-4)


def test_colors_are_typed_as_colors(tmp_path: Path) -> None:
    text = write_color(tmp_path / "c.nrrd", colored(np.eye(4), 3)).read_bytes()
    assert b"kinds: RGB-color domain domain domain" in text
    text = write_color(tmp_path / "a.nrrd", colored(np.eye(4), 4)).read_bytes()
    assert b"kinds: RGBA-color domain domain domain" in text


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz"])
def test_frames_of_a_sequence(tmp_path: Path, oblique: np.ndarray, ending: str) -> None:
    frames = [colored(oblique, 3).array ^ np.uint8(n * 37) for n in range(3)]
    header = ColorHeader(frames[0].shape[:3], 3, oblique, frames=3)
    path = tmp_path / f"sequence{ending}"
    with open_color_writer(path, header) as writer:
        for frame in frames:
            writer.write(frame[:2])
            writer.write(frame[2:])
        writer.commit()
    for number, frame in enumerate(frames):
        np.testing.assert_array_equal(read_color(path, frame=number).array, frame)
    with pytest.raises(InputError, match="no frame 3"):
        read_color(path, frame=3)


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_interrupted_writer_leaves_nothing(tmp_path: Path, ending: str) -> None:
    header = ColorHeader((4, 5, 6), 3, np.eye(4))
    with pytest.raises(RuntimeError), open_color_writer(tmp_path / f"c{ending}", header) as writer:
        writer.write(np.zeros((2, 5, 6, 3), np.uint8))
        raise RuntimeError("stopped")
    with pytest.raises(OutputError, match="2 of 4"), open_color_writer(tmp_path / f"c{ending}", header) as writer:
        writer.write(np.zeros((2, 5, 6, 3), np.uint8))
        writer.commit()
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_existing_output_is_kept_unless_allowed(tmp_path: Path, ending: str) -> None:
    first, second = colored(np.eye(4), 3), ColorVolume(np.zeros((5, 4, 7, 3), np.uint8), np.eye(4))
    path = write_color(tmp_path / f"c{ending}", first)
    with pytest.raises(OutputError, match="--overwrite"):
        write_color(path, second)
    np.testing.assert_array_equal(read_color(path).array, first.array)
    write_color(path, second, overwrite=True)
    assert not read_color(path).array.any()
    assert not [p for p in tmp_path.iterdir() if ".tmp" in p.name]


def test_voxels_of_another_header_are_not_replaced(tmp_path: Path) -> None:
    (tmp_path / "scan.raw").write_bytes(b"measured")
    with pytest.raises(OutputError, match=r"scan.raw exists"):
        write_color(tmp_path / "scan.mhd", colored(np.eye(4), 3), overwrite=True)
    assert (tmp_path / "scan.raw").read_bytes() == b"measured"


def test_shear_is_kept_by_nrrd_and_nifti_and_refused_elsewhere(tmp_path: Path) -> None:
    sheared = np.eye(4)
    sheared[0, 1] = 0.3
    color = ColorVolume(np.zeros((3, 3, 3, 3), np.uint8), sheared)
    for ending in (".mha", ".mhd", ".dcm"):
        with pytest.raises(OutputError, match="perpendicular"):
            write_color(tmp_path / f"c{ending}", color)
    back = read_color(write_color(tmp_path / "c.nii", color))
    np.testing.assert_allclose(back.affine, sheared, atol=1e-6)


def test_alpha_is_not_lost_silently_in_dicom(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="no transparency"):
        write_color(tmp_path / "c.dcm", colored(np.eye(4), 4))


def test_a_full_disk_is_told(tmp_path: Path) -> None:
    full = Path("/dev/full")
    if not full.exists():
        pytest.skip("this system has no /dev/full")
    header = ColorHeader((40, 400, 400), 3, np.eye(4))
    with pytest.raises(OutputError, match="space"), open_color_writer(tmp_path / "c.mha", header) as writer:
        writer._stream.close()
        writer._stream = full.open("wb", buffering=0)
        writer._body.sink = writer._stream
        writer.write(np.zeros((40, 400, 400, 3), np.uint8))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("ending", [".nii.gz", ".nii", ".nrrd", ".mha"])
@pytest.mark.parametrize("dtype", [np.uint8, np.int16, np.uint16, np.int32, np.float32, np.float64])
def test_gray_volumes_survive(tmp_path: Path, oblique: np.ndarray, ending: str, dtype: type) -> None:
    array = np.random.default_rng(0).normal(100, 30, (3, 4, 5)).astype(dtype)
    back = read_volume(write_volume(tmp_path / f"g{ending}", Volume(array, oblique)))
    np.testing.assert_array_equal(back.array, array)
    assert back.array.dtype == dtype
    np.testing.assert_allclose(back.affine, oblique, rtol=1e-6, atol=1e-5)
