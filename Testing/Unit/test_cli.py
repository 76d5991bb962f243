"""The command line as a person or a script uses it: words in, files, text and exit codes out."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import nibabel
import numpy as np
import pytest

from MedColorizeLib import read_color, read_volume
from MedColorizeLib.app import cores
from MedColorizeLib.app.cli import COMMANDS, main
from MedColorizeLib.app.cores import ONE_THREAD, SPINS, share_cores
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.windows import Window, codes


@pytest.fixture
def scan(tmp_path: Path, oblique: np.ndarray) -> Path:
    """A small gray volume on disk."""
    rng = np.random.default_rng(5)
    array = np.abs(rng.normal(20, 8, (16, 14, 12)))
    array[3:13, 3:11, 3:10] = rng.normal(500, 120, (10, 8, 7))
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), oblique), path)
    return path


@pytest.mark.parametrize("ending", [".nrrd", ".nii.gz", ".mha", ".png", ".dcm", ""])
def test_colorize_to_every_format(scan: Path, tmp_path: Path, ending: str) -> None:
    out = tmp_path / "out" / f"color{ending}"
    assert main(["colorize", str(scan), "-o", str(out), "--palette", "head-mr"]) == 0
    color, gray = read_color(out), read_volume(scan)
    record = json.loads((out.parent / "provenance.json").read_text())["outputs"][out.name]
    np.testing.assert_array_equal(luma_codes(color.rgb), codes(gray.array, Window(*record["window"])))
    np.testing.assert_allclose(color.affine, gray.affine, atol=1e-4)
    assert record["input_sha256"] == gray.sha256
    assert record["method"] == "palette"


def test_json_is_one_document_and_nothing_else(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "c.nrrd"
    assert main(["colorize", str(scan), "-o", str(out), "--palette", "head-mr", "--alpha", "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["output"] == str(out)
    assert document["provenance"]["synthetic_color"] is True
    assert read_color(out).array.shape[-1] == 4


def test_errors_with_json_are_documents_too(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["colorize", str(tmp_path / "no.nii"), "-o", str(tmp_path / "c.nrrd"), "--json"]) == 3
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["exit_code"] == 3
    assert "does not exist" in captured.err


def test_exit_codes(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = str(tmp_path / "c.nrrd")
    palette = ["--palette", "head-mr"]
    assert main(["colorize", str(scan), "-o", out, "--palette", "no-such"]) == 2
    assert main(["colorize", str(scan), "-o", out, *palette, "--window", "9", "1"]) == 2
    assert main(["colorize", str(scan), "-o", out, *palette, "--window", "a", "b"]) == 2
    assert main(["colorize", str(scan), "-o", out, *palette, "--frames", "4"]) == 2
    assert main(["colorize", str(scan), "-o", str(scan), *palette, "--overwrite"]) == 2
    assert main(["colorize", str(scan), "-o", str(tmp_path / "c.docx"), *palette]) == 2
    assert main(["colorize", str(scan), "-o", out, "--model", "no-such-model"]) == 4
    assert main(["colorize", str(scan), "-o", out, *palette]) == 0
    assert main(["colorize", str(scan), "-o", out, *palette]) == 6
    assert "--overwrite" in capsys.readouterr().err
    assert main(["colorize", out, "-o", str(tmp_path / "d.nrrd"), *palette]) == 3
    assert not (tmp_path / "d.nrrd").exists()
    with pytest.raises(SystemExit) as wrong:
        main(["colorize", str(scan)])
    assert wrong.value.code == 2


@pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
def test_a_read_only_folder_is_told(scan: Path, tmp_path: Path) -> None:
    locked = tmp_path / "locked"
    locked.mkdir(mode=0o500)
    assert main(["colorize", str(scan), "-o", str(locked / "c.nrrd"), "--palette", "head-mr"]) == 6


def test_labels_and_frames(tmp_path: Path) -> None:
    array = np.random.default_rng(0).integers(0, 900, (8, 9, 10, 3)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "f.nii.gz")
    labels = np.zeros((8, 9, 10), np.uint8)
    labels[2:6, 2:6, 2:6] = 1
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "l.nii.gz")
    words = ["colorize", str(tmp_path / "f.nii.gz"), "--palette", "colorblind", "--labels", str(tmp_path / "l.nii.gz")]
    assert main([*words, "-o", str(tmp_path / "all.nrrd")]) == 0
    assert main([*words, "-o", str(tmp_path / "one.nrrd"), "--frames", "2", "--window", "0", "899"]) == 0
    third = read_volume(tmp_path / "f.nii.gz", frame=2)
    np.testing.assert_array_equal(luma_codes(read_color(tmp_path / "one.nrrd").rgb), codes(third.array, Window(0, 899)))
    record = json.loads((tmp_path / "provenance.json").read_text())["outputs"]
    assert record["all.nrrd"]["frames"] == 3
    low, high = record["all.nrrd"]["window"]
    np.testing.assert_array_equal(
        luma_codes(read_color(tmp_path / "all.nrrd", frame=2).rgb), codes(third.array, Window(low, high))
    )


def test_the_report_of_a_sequence_judges_its_frames_too(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    array = np.abs(rng.normal(10, 5, (30, 30, 20, 3)))
    array[5:25, 5:25, 4:16] = rng.normal(600, 30, (20, 20, 12, 3))
    nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), np.eye(4)), tmp_path / "f.nii.gz")
    words = ["colorize", str(tmp_path / "f.nii.gz"), "-o", str(tmp_path / "c.nrrd"), "--palette", "head-mr"]
    assert main([*words, "--report", str(tmp_path / "report")]) == 0
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    assert report["frames"]["frames"] == 3
    assert report["trust"]["luma_error_max"] == 0
    assert "frame" in (tmp_path / "report" / "report.html").read_text()


def test_info_and_convert(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    color = tmp_path / "c.nrrd"
    main(["colorize", str(scan), "-o", str(color), "--palette", "head-mr"])
    assert main(["convert", str(color), str(tmp_path / "d.nii.gz")]) == 0
    np.testing.assert_array_equal(read_color(tmp_path / "d.nii.gz").array, read_color(color).array)
    assert main(["convert", str(scan), str(tmp_path / "gray.mha")]) == 0
    np.testing.assert_array_equal(read_volume(tmp_path / "gray.mha").array, read_volume(scan).array)
    capsys.readouterr()
    assert main(["info", str(tmp_path / "d.nii.gz"), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["kind"] == "color"
    assert document["provenance"]["model"] == "head-mr"
    assert main(["info", str(scan)]) == 0
    assert "16x14x12 voxels of 0.7x0.8x3.3 mm" in capsys.readouterr().out


def test_every_command_has_help_with_examples(capsys: pytest.CaptureFixture[str]) -> None:
    from importlib.util import find_spec

    for command in COMMANDS:
        if find_spec(f"MedColorizeLib.app.commands.{command}") is None:
            continue
        with pytest.raises(SystemExit) as done:
            main([command, "--help"])
        assert done.value.code == 0
        assert "example" in capsys.readouterr().out, command


def test_ctrl_c_leaves_nothing(tmp_path: Path, repository: Path) -> None:
    array = np.random.default_rng(0).integers(-1000, 1000, (256, 256, 300), dtype=np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "big.nii")
    out = tmp_path / "out"
    words = ["colorize", str(tmp_path / "big.nii"), "-o", str(out / "c.nrrd"), "--palette", "body-ct"]
    process = subprocess.Popen(
        [sys.executable, "-m", "MedColorizeLib", *words], cwd=repository, stderr=subprocess.PIPE, text=True
    )
    deadline = time.monotonic() + 60
    while not (out.exists() and any(out.iterdir())) and process.poll() is None and time.monotonic() < deadline:
        time.sleep(0.005)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=60)
    assert process.returncode == 130, errors
    assert "Cancelled" in errors
    assert list(out.iterdir()) == []


def test_info_of_a_dicom_folder(data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = str(data / "dicom" / "brainix_flair")
    assert main(["info", folder, "--json"]) == 0
    (series,) = json.loads(capsys.readouterr().out)["series"]
    assert series["size"] == [288, 288, 22]
    assert main(["info", folder]) == 0
    assert series["uid"] in capsys.readouterr().out


def test_a_folder_that_holds_the_scan_is_never_replaced(data: Path, tmp_path: Path) -> None:
    import shutil

    folder = tmp_path / "ct"
    shutil.copytree(data / "dicom" / "brainix_flair", folder)
    before = sorted(p.name for p in folder.iterdir())
    slice_ = str(folder / before[0])
    assert main(["colorize", slice_, "-o", str(folder), "--palette", "head-mr", "--overwrite"]) == 2
    assert main(["convert", slice_, str(folder), "--overwrite"]) == 2
    assert sorted(p.name for p in folder.iterdir()) == before


def test_a_report_never_replaces_the_folder_of_its_volume(scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "out"
    words = ["colorize", str(scan), "-o", str(out / "c.nrrd"), "--palette", "head-mr", "--report"]
    assert main([*words, str(out)]) == 2
    out.mkdir()
    assert main([*words, str(out), "--overwrite"]) == 2
    (tmp_path / "report").mkdir()
    assert main([*words, str(tmp_path / "report")]) == 6
    assert list(out.iterdir()) == []  # told before the work, not after it


@pytest.mark.parametrize("ending", ["", ".png"])
def test_overwriting_spares_folders_that_hold_other_things(scan: Path, tmp_path: Path, ending: str) -> None:
    folder = tmp_path / f"documents{ending}"
    words = ["colorize", str(scan), "-o", str(folder), "--palette", "head-mr", "--overwrite"]
    assert main(words) == 0
    assert main(words) == 0
    (folder / "thesis.txt").write_text("years of work")
    assert main(words) == 6
    assert (folder / "thesis.txt").read_text() == "years of work"


def test_convert_keeps_label_maps_and_picture_stacks(tmp_path: Path) -> None:
    from PIL import Image

    from MedColorizeLib import read_labels

    labels = np.zeros((20, 22, 18), np.uint8)
    labels[5:10, 5:10, 5:10] = 1
    labels[10:14, 5:10, 5:10] = 2
    nibabel.save(nibabel.Nifti1Image(labels, np.eye(4)), tmp_path / "l.nii.gz")
    assert main(["convert", str(tmp_path / "l.nii.gz"), str(tmp_path / "l.nrrd")]) == 0
    np.testing.assert_array_equal(read_labels(tmp_path / "l.nrrd").array, labels.T)
    (tmp_path / "stack").mkdir()
    pictures = np.random.default_rng(0).integers(0, 255, (3, 16, 16)).astype(np.uint8)
    for number, picture in enumerate(pictures):
        Image.fromarray(picture).save(tmp_path / "stack" / f"{number}.png")
    assert main(["convert", str(tmp_path / "stack"), str(tmp_path / "s.nii.gz")]) == 0
    np.testing.assert_array_equal(read_volume(tmp_path / "s.nii.gz").array, pictures)


def test_every_frame_counts(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    array = np.random.default_rng(0).integers(0, 900, (8, 9, 10, 3)).astype(np.float32)
    array[2, 2, 2, 2] = np.nan
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "f.nii.gz")
    words = ["colorize", str(tmp_path / "f.nii.gz"), "--palette", "head-mr", "--json", "-o"]
    assert main([*words, str(tmp_path / "all.nrrd")]) == 0
    assert any("1 voxels are NaN" in note for note in json.loads(capsys.readouterr().out)["notes"])
    assert main([*words, str(tmp_path / "one.nrrd"), "--frames", "2"]) == 0
    record = json.loads((tmp_path / "provenance.json").read_text())["outputs"]
    assert (record["one.nrrd"]["frame"], record["all.nrrd"]["frame"]) == (2, "all")
    assert main(["convert", str(tmp_path / "all.nrrd"), str(tmp_path / "lost.nii.gz")]) == 2
    assert not (tmp_path / "lost.nii.gz").exists()


def test_wrong_use_with_json_is_a_document_too(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as wrong:
        main(["colorize", "--json", "head.nii"])
    assert wrong.value.code == 2
    assert json.loads(capsys.readouterr().out)["error"]["exit_code"] == 2


def test_impossible_names_are_told(scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    long = "x" * 300
    assert main(["colorize", str(scan), "-o", str(tmp_path / f"{long}.nrrd"), "--palette", "head-mr"]) == 6
    assert main(["info", str(tmp_path / f"{long}.nii")]) == 3
    assert "too long" in capsys.readouterr().err


def test_negative_numbers_may_have_exponents(scan: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.nrrd"
    command = ["colorize", str(scan), "-o", str(out), "--palette", "head-mr", "--window", "-1e2", "7.5e2"]
    assert main(command) == 0
    record = json.loads((tmp_path / "provenance.json").read_text())["outputs"][out.name]
    assert record["window"] == [-100.0, 750.0]


def test_names_that_lie_about_compression_get_a_hint(
    scan: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    packed, plain = tmp_path / "packed.nii", tmp_path / "plain.nii.gz"
    packed.write_bytes(scan.read_bytes())
    nibabel.save(nibabel.load(scan), tmp_path / "good.nii")
    plain.write_bytes((tmp_path / "good.nii").read_bytes())
    assert main(["info", str(packed)]) == 3
    assert "Rename it to packed.nii.gz" in capsys.readouterr().err
    assert main(["info", str(plain)]) == 3
    assert "Rename it to plain.nii," in capsys.readouterr().err
    plain.write_bytes(b"\x1f\x8b" + bytes(50))
    assert main(["info", str(plain)]) == 3
    assert "damaged" in capsys.readouterr().err


def test_a_reader_that_leaves_is_no_error(repository: Path) -> None:
    read, write = os.pipe()
    os.close(read)
    done = subprocess.run(
        [sys.executable, "-m", "MedColorizeLib", "methods"],
        cwd=repository,
        stdout=write,
        stderr=subprocess.PIPE,
        text=True,
        check=False,
    )
    os.close(write)
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.parametrize(
    ("given", "loaded", "found"),
    [
        ({}, (), {"GOMP_SPINCOUNT": str(SPINS), **ONE_THREAD}),
        ({"OMP_WAIT_POLICY": "ACTIVE"}, (), {"OMP_WAIT_POLICY": "ACTIVE", **ONE_THREAD}),
        (
            {"GOMP_SPINCOUNT": "7", "OPENBLAS_NUM_THREADS": "4"},
            (),
            {"GOMP_SPINCOUNT": "7", "OPENBLAS_NUM_THREADS": "4"},
        ),
        ({}, ("numpy",), {"GOMP_SPINCOUNT": str(SPINS)}),  # it has its threads already
    ],
)
def test_threads_share_the_cores_unless_the_person_chose(
    given: dict[str, str], loaded: tuple[str, ...], found: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(os, "environ", dict(given))
    monkeypatch.setattr(cores, "sys", SimpleNamespace(modules=dict.fromkeys(loaded)))
    share_cores()
    assert os.environ == found


@pytest.mark.parametrize("words", [["-m", "MedColorizeLib", "--version"], ["-c", "import MedColorizeLib.app.cli"]])
def test_the_command_line_has_not_loaded_numpy_when_it_says_how_many_threads(
    words: list[str], repository: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", *words], cwd=repository, capture_output=True, text=True, check=True
    )
    assert "MedColorizeLib.app.cores" in done.stderr
    assert "| numpy" not in done.stderr.replace(" ", "").replace("|", "| ")


def test_processes_that_load_numpy_at_once_are_handed_its_threads(monkeypatch: pytest.MonkeyPatch) -> None:
    from MedColorizeLib.app.batch_pool import environment

    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    assert environment(2).items() >= {**ONE_THREAD, "OMP_NUM_THREADS": "2"}.items()
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "3")
    assert environment(2)["OPENBLAS_NUM_THREADS"] == "3"
