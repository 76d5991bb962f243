"""Whole volumes after references: keys, tables between them, going on after a stop, and the command."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import nibabel
import numpy as np
import pytest
from PIL import Image

from MedColorizeLib import read_color, read_volume
from MedColorizeLib.app.cli import main
from MedColorizeLib.app.exemplar_job import axial
from MedColorizeLib.errors import Cancelled, InputError
from MedColorizeLib.exemplar.base import Transfer
from MedColorizeLib.exemplar.chroma_grid import ChromaGrid
from MedColorizeLib.exemplar.imaging_module import with_luma
from MedColorizeLib.exemplar.volume import ExemplarPainter, KeySlice, key_positions
from MedColorizeLib.imaging.colorspaces import luma, luma_codes, rgb_to_yuv
from MedColorizeLib.imaging.windows import Window, codes
from MedColorizeLib.progress import CancelToken


class Tint(Transfer):
    """Chroma in proportion to brightness, by an amount that the reference's first pixel says; counts its calls."""

    name = "tint"
    title = paper = "a test's"

    def __init__(self) -> None:
        super().__init__()
        self.calls = 0

    def transfer(self, gray: Any, reference: Any, cancel: Any = None, on_progress: Any = None) -> Any:
        self.calls += 1
        if cancel:
            cancel.check()
        amount = float(reference[0, 0, 0]) / 255
        chroma = np.stack([-0.1 * amount * gray.astype(float), 0.2 * amount * gray.astype(float)], axis=-1)
        return with_luma(chroma, gray)


def ball(slices: int = 12) -> np.ndarray:
    """Two tissues in a ball, 8-bit."""
    k, j, i = np.mgrid[:slices, :40, :44]
    radius = np.sqrt(((k - slices / 2) / slices * 40) ** 2 + (j - 20) ** 2 + (i - 22) ** 2)
    noise = np.random.default_rng(0).integers(-4, 5, radius.shape)
    return np.where(radius < 9, 190 + noise, np.where(radius < 17, 90 + noise, 0)).astype(np.uint8)


def keys_of(places: list[int], levels: list[int]) -> list[KeySlice]:
    return [
        KeySlice(k, np.full((20, 20, 3), level, np.uint8), {"picture": f"{level}.png", "sha256": str(level)})
        for k, level in zip(places, levels, strict=True)
    ]


def test_keys_are_spread_over_what_is_filled() -> None:
    gray = np.zeros((50, 20, 20), np.uint8)
    gray[10:41, 5:15, 5:15] = 100
    assert key_positions(gray, 6.0, keys=3) == [18, 25, 32]
    assert len(key_positions(gray, 1.0)) == 6  # 30 mm at one every 6 mm
    assert len(key_positions(gray, 20.0)) == 31
    with pytest.raises(InputError, match="nothing but background"):
        key_positions(np.zeros((4, 9, 9), np.uint8), 1.0)


def test_a_table_gives_a_slice_its_colors_back() -> None:
    gray = ball()[6]
    chroma = np.stack([np.where(gray > 140, 20.0, -15.0), np.where(gray > 140, -30.0, 10.0)], axis=-1)
    chroma[gray == 0] = 0
    grid = ChromaGrid.of(chroma, gray)
    inside = gray > 0
    np.testing.assert_allclose(grid.chroma(gray)[inside], chroma[inside], atol=4)
    assert np.abs(grid.chroma(gray)[inside] - chroma[inside]).mean() < 0.7
    # Brightness that the slice hasn't got takes the colour of the nearest it has; never something wild.
    everything = np.arange(256, dtype=np.uint8).repeat(40 * 44 // 256 + 1)[: 40 * 44].reshape(40, 44)
    assert np.abs(grid.chroma(everything)).max() <= 31
    assert grid.mixed(grid, 0.3).values == pytest.approx(grid.values)


def test_slices_between_keys_have_colors_between_theirs() -> None:
    gray = ball()
    painter = ExemplarPainter(Tint(), keys_of([2, 8], [0, 255]))
    out = painter.paint(SimpleNamespace(gray=gray), 0, 12)
    np.testing.assert_allclose(luma(out), gray, atol=0.01)
    core = gray[..., 16:28, 18:26] > 150
    v = [rgb_to_yuv(out[k, 16:28, 18:26])[..., 2][core[k]].mean() for k in range(4, 9)]
    steps = np.diff(v)
    assert (steps > 0).all()
    assert steps.max() < 1.5 * steps.min()
    np.testing.assert_array_equal(painter.paint(SimpleNamespace(gray=gray), 0, 0).shape, (0, 40, 44, 3))


def test_slabs_are_parts_of_the_whole_and_keys_are_done_once() -> None:
    subject = SimpleNamespace(gray=ball())
    transfer = Tint()
    painter = ExemplarPainter(transfer, keys_of([2, 5, 8], [200, 200, 200]))
    whole = painter.paint(subject, 0, 12)
    parts = [painter.paint(subject, start, start + 4) for start in (0, 4, 8)]
    np.testing.assert_array_equal(np.concatenate(parts), whole)
    assert transfer.calls == 3


@pytest.mark.parametrize("codes_of_axes", ["LPS", "RAI", "PSR", "SRA", "ASL", "SPR"])
def test_the_plane_is_the_same_however_the_scan_is_stored(codes_of_axes: str) -> None:
    gray = ball()
    # As it is stored in most files: i to the left, j to the back, k upwards.
    expected = ExemplarPainter(Tint(), keys_of([2, 8], [0, 255])).paint(SimpleNamespace(gray=gray), 0, len(gray))
    usual = nibabel.orientations.axcodes2ornt("LPS")
    image = nibabel.Nifti1Image(gray.transpose(2, 1, 0), np.diag([-1.0, -1.0, 1.0, 1.0]))
    wanted = nibabel.orientations.ornt_transform(usual, nibabel.orientations.axcodes2ornt(tuple(codes_of_axes)))
    stored = image.as_reoriented(wanted)
    array = np.asarray(stored.dataobj).transpose(2, 1, 0)
    turn = axial(stored.affine)
    view = turn.apply(array)
    assert len(view) == len(gray)
    places = [9, 3] if "I" in codes_of_axes else [2, 8]  # counted from the head there
    painter = ExemplarPainter(Tint(), keys_of(places, [0, 255]), turn=turn)
    slabs = [painter.paint(SimpleNamespace(gray=array), k, min(k + 7, len(array))) for k in range(0, len(array), 7)]
    back = nibabel.orientations.ornt_transform(nibabel.io_orientation(stored.affine), usual)
    rgb = np.stack(
        [
            nibabel.orientations.apply_orientation(np.concatenate(slabs)[..., n].transpose(2, 1, 0), back)
            for n in range(3)
        ],
        axis=-1,
    )
    np.testing.assert_allclose(rgb.transpose(2, 1, 0, 3), expected, atol=0.2)  # cells round the other way


def test_thin_pixels_are_no_plane_to_colour() -> None:
    coronal_stack = np.array([[-0.5, 0, 0, 0], [0, 0, 5.0, 0], [0, 0.5, 0, 0], [0, 0, 0, 1.0]])
    turn = axial(coronal_stack)
    assert turn.axes == (0, 1, 2)
    assert turn.mm == (5.0, 0.5, 0.5)
    assert axial(np.diag([-1.0, -1.0, 4.0, 1.0])).mm == (4.0, 1.0, 1.0)


def test_going_on_after_a_stop_gives_the_same(tmp_path: Path) -> None:
    subject = SimpleNamespace(gray=ball())
    keys = keys_of([2, 5, 8], [100, 200, 250])
    expected = ExemplarPainter(Tint(), keys).paint(subject, 0, 12)
    cancel = CancelToken()
    stopped = ExemplarPainter(
        Tint(), keys, work=tmp_path / "work", on_progress=lambda event: cancel.cancel() if event.done == 2 else None
    )
    with pytest.raises(Cancelled):
        stopped.paint(subject, 0, 12, cancel)
    kept = sorted(p.name for p in (tmp_path / "work").rglob("*") if p.is_file())
    assert kept == ["key-00002.npy", "key-00005.npy"]
    transfer = Tint()
    again = ExemplarPainter(transfer, keys, work=tmp_path / "work")
    np.testing.assert_array_equal(again.paint(subject, 0, 12), expected)
    assert (transfer.calls, again.resumed) == (1, 2)
    assert "2 of 3 key slices" in again.notes[-1]
    # Damaged work, another reference, another scan: nothing of it is used.
    next((tmp_path / "work").rglob("key-00002.npy")).write_bytes(b"\x93NUMPY broken")
    transfer = Tint()
    np.testing.assert_array_equal(
        ExemplarPainter(transfer, keys, work=tmp_path / "work").paint(subject, 0, 12), expected
    )
    assert transfer.calls == 1
    other = ExemplarPainter(Tint(), keys_of([2, 5, 8], [100, 200, 240]), work=tmp_path / "work")
    other.paint(subject, 0, 12)
    assert other.resumed == 0


@pytest.fixture
def scan(tmp_path: Path, oblique: np.ndarray) -> Path:
    """The ball on disk."""
    path = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(ball().transpose(2, 1, 0).astype(np.int16), oblique), path)
    return path


@pytest.fixture
def library(tmp_path: Path) -> Path:
    rng = np.random.default_rng(4)
    for n in range(3):
        picture = np.zeros((60, 60, 3), np.uint8)
        picture[8:52, 8:52] = [150, 60 + 20 * n, 50]
        picture[20:40, 20:40] = [230, 210, 150]
        picture[10:50, 10:50] += rng.integers(0, 20, (40, 40, 1), dtype=np.uint8)
        (tmp_path / "pictures").mkdir(exist_ok=True)
        Image.fromarray(picture).save(tmp_path / "pictures" / f"{n}.png")
    assert main(["exemplar", "index", str(tmp_path / "pictures"), "-o", str(tmp_path / "l.sqlite")]) == 0
    return tmp_path / "l.sqlite"


def test_the_command_from_folder_to_colored_volume(
    scan: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    out, sheet = tmp_path / "out" / "color.nii.gz", tmp_path / "sheet.png"
    words = ["exemplar", "colorize", str(scan), "--library", str(library), "-o", str(out), "--method", "welsh"]
    capsys.readouterr()
    assert main([*words, "--keys", "3", "--sheet", str(sheet), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    made = document["provenance"]
    assert made["method"] == "exemplar:welsh"
    assert made["references"][0]["chosen_by"] == "library"
    assert len(made["references"][0]["slices"]) == 3
    assert str(tmp_path) not in json.dumps(made)
    color, gray = read_color(out), read_volume(scan)
    np.testing.assert_array_equal(luma_codes(color.rgb), codes(gray.array, Window(*made["window"])))
    assert Image.open(sheet).size == (448, 672)
    assert main(words) == 6  # there already
    assert main([*words, "--reference", "x.png"]) == 2
    assert main(["exemplar", "colorize", str(scan), "-o", str(tmp_path / "n.nrrd")]) == 2
    assert main(["exemplar", "colorize", str(scan), "--library", "no.sqlite", "-o", str(tmp_path / "n.nrrd")]) == 3
    assert not (tmp_path / "n.nrrd").exists()


def test_the_person_may_choose_the_reference(
    scan: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    picture = tmp_path / "pictures" / "2.png"
    out = tmp_path / "c.nrrd"
    words = ["exemplar", "colorize", str(scan), "--reference", str(picture), "-o", str(out), "--method", "ctccs"]
    assert main([*words, "--keys", "2"]) == 0
    made = json.loads((tmp_path / "provenance.json").read_text())["outputs"]["c.nrrd"]
    assert made["references"][0]["chosen_by"] == "person"
    assert made["model"] == "2.png"
    assert main([*words, "--set", "no_such=1", "--overwrite"]) == 2


def test_finding_shows_the_nearest(
    scan: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    assert main(["exemplar", "find", str(scan), "--library", str(library), "--keys", "2", "--json"]) == 0
    slices = json.loads(capsys.readouterr().out)["slices"]
    assert len(slices) == 2
    distances = [reference["hash_distance"] for reference in slices[0]["references"]]
    assert distances == sorted(distances)
    assert len(distances) == 3


def test_the_ordinary_command_takes_transfers_as_methods(
    scan: Path, library: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    own, ordinary, report = tmp_path / "a" / "own.nrrd", tmp_path / "b" / "ordinary.nrrd", tmp_path / "report"
    picture = tmp_path / "pictures" / "1.png"
    words = [str(scan), "--reference", str(picture), "--method", "welsh", "--keys", "2"]
    assert main(["exemplar", "colorize", *words, "-o", str(own)]) == 0
    assert main(["colorize", *words, "-o", str(ordinary), "--report", str(report)]) == 0
    np.testing.assert_array_equal(read_color(own).rgb, read_color(ordinary).rgb)
    page = (report / "report.html").read_text(encoding="utf-8")
    assert "exemplar:welsh" in page
    capsys.readouterr()
    assert (
        main(["colorize", str(scan), "--library", str(library), "-o", str(tmp_path / "c.nrrd"), "--method", "ctccs"])
        == 0
    )
    assert "exemplar:ctccs" in capsys.readouterr().out
    none = ["colorize", str(scan), "-o", str(tmp_path / "n.nrrd")]
    for wrong in (
        ["--method", "welsh"],  # after what?
        ["--method", "cyclegan", "--reference", str(picture)],
        ["--method", "welsh", "--reference", str(picture), "--palette", "head-mr"],
        ["--reference", str(picture), "--labels", str(scan)],
        ["--reference", str(picture), "--model", "palette"],
    ):
        assert main([*none, *wrong]) == 2, wrong
    assert not (tmp_path / "n.nrrd").exists()
    assert main(["methods", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["transfers"][0]["name"] == "zeng"


def test_an_interrupted_command_leaves_whole_keys_and_goes_on(data: Path, scan: Path, tmp_path: Path) -> None:
    picture = np.zeros((60, 60, 3), np.uint8)
    picture[8:52, 8:52] = [150, 60, 50]
    picture[20:40, 20:40] = [230, 210, 150]
    Image.fromarray(picture).save(tmp_path / "reference.png")
    weights = data / "weights" / "vgg19_conv1_1_to_conv3_4.npz"
    work, out = tmp_path / "work", tmp_path / "out" / "c.nrrd"

    def words(to: Path) -> list[str]:
        # No plateau: each key takes its sixty iterations, long enough to be interrupted.
        chosen = ["size=40", f"weights_file={weights}", "iterations=60", "plateau=0"]
        options = [word for text in chosen for word in ("--set", text)]
        return ["colorize", str(scan), "-o", str(to), "--reference", str(tmp_path / "reference.png"), *options]

    command = [sys.executable, "-m", "MedColorizeLib", *words(out), "--keys", "4", "--work", str(work)]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE)
    try:
        deadline = time.monotonic() + 120
        while not list(work.rglob("key-*.npy")) and time.monotonic() < deadline and process.poll() is None:
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130, said
    kept = [path for path in work.rglob("*") if path.is_file()]
    assert 1 <= len(kept) < 4
    for path in kept:  # nothing half-written, and nothing else
        assert np.load(path).shape[-1] == 2
    assert not out.parent.exists() or not list(out.parent.iterdir())
    assert main([*words(out), "--keys", "4", "--work", str(work)]) == 0
    made = json.loads((out.parent / "provenance.json").read_text())["outputs"]["c.nrrd"]
    assert any(f"{len(kept)} of 4 key slices were taken" in note for note in made["notes"])
    assert main([*words(tmp_path / "whole.nrrd"), "--keys", "4"]) == 0
    np.testing.assert_array_equal(read_color(out).rgb, read_color(tmp_path / "whole.nrrd").rgb)


@pytest.mark.slow
def test_a_real_scan_by_the_papers_method(data: Path, tmp_path: Path) -> None:
    out = tmp_path / "c.nrrd"
    words = ["exemplar", "colorize", str(data / "mr" / "oasis" / "1017_t1.nii.gz"), "-o", str(out), "--keys", "2"]
    words += ["--reference", str(data / "cryosections" / "vhm" / "0100.jpg"), "--background", "cryosection"]
    weights = data / "weights" / "vgg19_conv1_1_to_conv3_4.npz"
    assert main([*words, "--set", f"weights_file={weights}", "--set", "size=96"]) == 0
    rgb = read_color(out).rgb.astype(int)
    inside = rgb.sum(axis=-1) > 240
    assert (rgb[..., 0] - rgb[..., 2])[inside].mean() > 10
    made = json.loads((tmp_path / "provenance.json").read_text())["outputs"]["c.nrrd"]
    assert any("relu4_2" in note for note in made["notes"])
