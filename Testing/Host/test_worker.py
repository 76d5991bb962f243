"""The worker process: its protocol, its endings, and that it never outlives who asked."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from MedColorizeLib.app import protocol, tasks, worker
from MedColorizeLib.errors import Cancelled, InputError, OutputError, ResourceError
from MedColorizeLib.imaging.volume import ColorVolume, LabelVolume, Volume
from MedColorizeLib.progress import CancelToken, Progress

ROOT = Path(__file__).resolve().parents[2]
COMMAND = [sys.executable, "-m", "MedColorizeLib.app.worker"]


def ball(size: int = 24) -> Volume:
    z, y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : size * 1j, -1 : 1 : size * 1j]
    array = (np.clip(1 - np.sqrt(x * x + y * y + z * z), 0, 1) * 900).astype(np.int16)
    return Volume(array, np.diag([1.0, 1.5, 2.0, 1.0]), "MR")


def request(folder: Path, task: str, volume: Volume | None = None, **content: Any) -> Path:
    if volume is not None:
        np.save(folder / "volume.npy", volume.array)
        content["volume"] = protocol.describe(volume, "volume.npy")
    protocol.write_request(folder, task, **content)
    return folder


def run(folder: Path | str, stdin: str = "", code: str = "", **options: Any) -> tuple[int, list[dict[str, Any]], str]:
    command = [sys.executable, "-c", code, str(folder)] if code else [*COMMAND, str(folder)]
    done = subprocess.run(command, cwd=ROOT, input=stdin, capture_output=True, text=True, timeout=60, **options)
    return done.returncode, [json.loads(line) for line in done.stdout.splitlines()], done.stderr


def gone(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not worker.alive(pid):
            return True
        time.sleep(0.05)
    return False


# A worker whose task is given here: slow, deaf, loud or broken. The process around the task is the real one.
TASK = """
import os, sys, time, subprocess
from MedColorizeLib.app import worker, tasks
from MedColorizeLib.progress import Progress
def task(request, folder, on_progress, cancel):
{body}
tasks.TASKS["own"] = task
code = worker.main(sys.argv[1:])
sys.stdout.flush()
os._exit(code)
"""


def own_task(body: str) -> str:
    return TASK.format(body="\n".join("    " + line for line in body.strip().splitlines()))


@pytest.fixture
def deaf(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    """A worker that is busy with its task for a minute, and hears its cancel token only at each step."""
    request(tmp_path, "own")
    body = "on_progress(Progress('work', 0, 600))\nfor step in range(600):\n    cancel.check()\n    time.sleep(0.1)"
    process = subprocess.Popen(
        [sys.executable, "-c", own_task(body), str(tmp_path)], cwd=ROOT, stdout=subprocess.PIPE, text=True
    )
    assert process.stdout is not None
    for line in process.stdout:
        if json.loads(line)["event"] == "progress":
            break
    yield process
    process.kill()
    process.wait()
    process.stdout.close()


def test_colours_as_the_library_does(tmp_path: Path) -> None:
    from MedColorizeLib.inference.colorizer import Colorizer

    volume = ball()
    folder = request(tmp_path, "colorize", volume, model={"kind": "palette", "name": "head-mr"}, alpha=True)
    code, events, _ = run(folder)
    assert code == 0
    assert events[0]["event"] == "hello"
    assert any(event["event"] == "progress" and event["stage"] == "colorize" for event in events)
    color = protocol.load_color(folder, events[-1]["result"])
    expected = Colorizer(palette="head-mr").colorize(volume, alpha=True)
    assert np.array_equal(color.array, expected.array)
    assert np.array_equal(color.affine, volume.affine)
    assert color.provenance["input_sha256"] == volume.sha256
    assert color.provenance["synthetic_color"] is True


def test_request_may_come_on_standard_input(tmp_path: Path) -> None:
    code, events, _ = run("-", stdin=json.dumps({"version": 1, "task": "catalogue", "folder": str(tmp_path)}))
    assert code == 0
    names = {model["name"] for model in events[-1]["result"]["models"]}
    assert {"head-mr", "body-ct"} <= names


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ("{", "not a request"),
        ('{"version": 99, "task": "colorize"}', "another version"),
        ('{"version": 1, "task": "nonsense"}', "no task 'nonsense'"),
    ],
)
def test_wrong_requests_are_told(tmp_path: Path, content: str, said: str) -> None:
    (tmp_path / "request.json").write_text(content)
    code, events, _ = run(tmp_path)
    assert code == InputError.exit_code
    assert events[-1]["event"] == "error"
    assert said in events[-1]["text"]


def test_files_outside_the_folder_are_refused(tmp_path: Path) -> None:
    secret = tmp_path / "secret.npy"
    np.save(secret, np.zeros((2, 2, 2)))
    folder = tmp_path / "request"
    folder.mkdir()
    with pytest.raises(InputError, match="outside"):
        protocol.load_array(folder, "../secret.npy")
    (folder / "pickled.npy").write_bytes(b"")
    np.save(folder / "pickled.npy", np.array([{"a": 1}], dtype=object), allow_pickle=True)
    with pytest.raises(InputError, match="can't be read"):
        protocol.load_array(folder, "pickled.npy")


def test_prints_of_libraries_do_not_reach_the_protocol(tmp_path: Path) -> None:
    body = """
print("a library says hello")
os.write(1, b"and C code, too\\n")
subprocess.run([sys.executable, "-c", "print('a child')"])
return {"fine": True}
"""
    code, events, errors = run(request(tmp_path, "own"), code=own_task(body))
    assert code == 0
    assert [event["event"] for event in events] == ["hello", "result"]
    for said in ("a library says hello", "and C code, too", "a child"):
        assert said in errors


@pytest.mark.parametrize(
    ("body", "code", "kind", "said"),
    [
        ("raise MemoryError", ResourceError.exit_code, "ResourceError", "Memory ran out"),
        ("raise RuntimeError('CUDA out of memory. Tried')", ResourceError.exit_code, "ResourceError", "Memory ran out"),
        ("import no_such_package", 5, "MissingPackage", "no_such_package"),
        ("raise ValueError('odd')", 1, "ValueError", "odd"),
        ("cancel.cancel(); cancel.check()", Cancelled.exit_code, "Cancelled", "nothing was written"),
    ],
)
def test_failures_have_a_kind_a_text_and_a_code(tmp_path: Path, body: str, code: int, kind: str, said: str) -> None:
    found, events, _ = run(request(tmp_path, "own"), code=own_task(body))
    assert found == code
    assert (events[-1]["event"], events[-1]["kind"]) == ("error", kind)
    assert said in events[-1]["text"]


def test_terminate_cancels(deaf: subprocess.Popen[str]) -> None:
    deaf.send_signal(signal.SIGTERM)
    assert deaf.wait(timeout=10) == Cancelled.exit_code
    assert json.loads(deaf.stdout.read().splitlines()[-1])["kind"] == "Cancelled"


def test_cancel_file_cancels(deaf: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / protocol.CANCEL).touch()
    assert deaf.wait(timeout=10) == Cancelled.exit_code


def test_folder_that_vanishes_ends_the_worker(deaf: subprocess.Popen[str], tmp_path: Path) -> None:
    (tmp_path / protocol.REQUEST).unlink()
    tmp_path.rmdir()
    assert deaf.wait(timeout=15) == Cancelled.exit_code


def test_dies_with_its_parent_and_takes_the_folder_along(tmp_path: Path) -> None:
    folder = tmp_path / "request"
    folder.mkdir()
    request(folder, "own")
    body = "(folder / 'pid').write_text(str(os.getpid()))\ntime.sleep(120)"
    starter = "import subprocess, sys, os, time; " + (
        f"subprocess.Popen([sys.executable, '-c', {own_task(body)!r}, {str(folder)!r}, '--parent', str(os.getpid())]); "
        "time.sleep(120)"
    )
    parent = subprocess.Popen([sys.executable, "-c", starter], cwd=ROOT, stdout=subprocess.DEVNULL)
    end = time.monotonic() + 20
    while not (folder / "pid").exists() or not (folder / "pid").read_text():
        assert time.monotonic() < end
        time.sleep(0.05)
    pid = int((folder / "pid").read_text())
    os.kill(parent.pid, signal.SIGKILL)
    # Not waited for on purpose: a killed application stays a zombie until its own parent looks.
    assert gone(pid, 15)
    assert not folder.exists()
    parent.wait()


def test_preview_is_the_slice_of_the_volume(tmp_path: Path) -> None:
    from PIL import Image

    volume = ball(40)
    folder = request(
        tmp_path, "preview", volume, slice=20, window=[0, 900], model={"kind": "palette", "name": "head-mr"}
    )
    result = tasks.preview(protocol.read_request(folder), folder, lambda progress: None, CancelToken())
    gray = np.asarray(Image.open(folder / result["gray"]).convert("L"))
    expected = np.clip(np.rint(volume.array[20] * 255.0 / 900), 0, 255).astype(np.uint8)
    turned = tasks.upright(expected, volume.affine)
    assert result["spacing"] == (1.5, 1.0)
    assert np.array_equal(gray, turned)


def test_a_preview_after_a_picture_says_that_a_slice_is_empty(tmp_path: Path) -> None:
    from PIL import Image

    Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3)).astype(np.uint8)).save(tmp_path / "a.png")
    volume = ball(40)
    volume.array[:10] = 0
    asked = {"window": [0, 900], "model": {"kind": "exemplar", "name": "welsh"}, "reference": str(tmp_path / "a.png")}
    with pytest.raises(InputError, match=r"Slice 5 .* nothing but background"):
        folder = request(tmp_path, "preview", volume, slice=4, **asked)
        tasks.preview(protocol.read_request(folder), folder, lambda progress: None, CancelToken())
    folder = request(tmp_path, "preview", volume, slice=20, **asked)
    assert tasks.preview(protocol.read_request(folder), folder, lambda progress: None, CancelToken())["slice"] == 20


@pytest.mark.parametrize(("columns", "k"), [((0, 1, 2), 20), ((0, 1, 2), 0), ((1, 2, 0), 17), ((2, 0, 1), 5)])
def test_a_model_s_preview_is_what_apply_will_give(columns: tuple[int, ...], k: int, tmp_path: Path) -> None:
    """Also where the model's axial slices lie across the volume's own, and with what only the whole volume tells."""
    pytest.importorskip("torch")
    pytest.importorskip("monai")
    from PIL import Image

    from MedColorizeLib.inference.colorizer import Colorizer

    affine = np.eye(4)
    affine[:3, :3] = np.diag([1.0, 1.5, 2.0])[:, list(columns)]
    volume = Volume(ball(40).array, affine, "MR")
    folder = request(tmp_path, "preview", volume, slice=k, window=[0, 900], model={"kind": "bundle", "name": "head-mr"})
    result = tasks.preview(protocol.read_request(folder), folder, lambda progress: None, CancelToken())
    whole = Colorizer(model="head-mr", device="cpu").colorize(volume, window=(0, 900))
    assert np.array_equal(np.asarray(Image.open(folder / result["color"])), tasks.upright(whole.array[k], affine))
    assert result["slice"] == k
    assert list(whole.notes) == result["notes"]


def test_upright_puts_right_to_the_left_and_front_or_head_up() -> None:
    picture = np.zeros((4, 6), np.uint8)
    for directions, corner in (
        (((1, 0, 0), (0, 1, 0)), (3, 5)),  # i to R, j to A: the right front corner is the last voxel
        (((-1, 0, 0), (0, -1, 0)), (0, 0)),
        (((1, 0, 0), (0, 0, 1)), (3, 5)),  # coronal: right, head
        (((0, 1, 0), (0, 0, 1)), (3, 5)),  # sagittal: front, head
    ):
        affine = np.eye(4)
        affine[:3, 0], affine[:3, 1] = directions
        marked = picture.copy()
        marked[corner] = 255
        assert tasks.upright(marked, affine)[0, 0] == 255


def test_a_full_disk_is_told_not_a_crash(tmp_path: Path) -> None:
    if not Path("/dev/full").exists():
        pytest.skip("no /dev/full here")
    with pytest.raises(OutputError, match="can't be written"):
        file = protocol.ArrayFile(Path("/dev/full"), (4, 512, 512), np.uint8)
        file.write(np.ones((4, 512, 512), np.uint8))
        file.close()


def test_volumes_survive_the_way(tmp_path: Path, oblique: np.ndarray) -> None:
    rng = np.random.default_rng(1)
    volume = Volume(rng.normal(size=(3, 4, 5)).astype(np.float32), oblique, "MR", {"window": (0, 5)}, ("a note",))
    labels = LabelVolume(rng.integers(0, 3, (3, 4, 5)).astype(np.uint8), oblique, {1: "gray matter"})
    color = ColorVolume(rng.integers(0, 255, (3, 4, 5, 4)).astype(np.uint8), oblique, {"method": "palette"}, ("n",))
    for name, grid in (("v.npy", volume), ("l.npy", labels), ("c.npy", color)):
        file = protocol.ArrayFile(tmp_path / name, grid.array.shape, grid.array.dtype)
        for k in range(3):
            file.write(grid.array[k : k + 1])
        file.close()
    protocol.write_request(
        tmp_path,
        "x",
        volume=protocol.describe(volume, "v.npy"),
        labels=protocol.describe(labels, "l.npy"),
        color=protocol.describe(color, "c.npy"),
    )
    got = protocol.read_request(tmp_path)
    back = protocol.load_volume(tmp_path, got["volume"])
    assert np.array_equal(back.array, volume.array)
    assert np.array_equal(back.affine, oblique)  # bit for bit
    assert (back.modality, back.notes) == ("MR", ("a note",))
    assert protocol.load_labels(tmp_path, got["labels"]).names == {1: "gray matter"}
    assert protocol.load_color(tmp_path, got["color"]).provenance == {"method": "palette"}


def test_lines_hold_what_json_cannot() -> None:
    line = protocol.encode_progress(Progress("train", 3, 9, "ü", {"loss": float("nan"), "rate": np.float32(0.5)}))
    event = protocol.decode(line)
    assert event is not None
    assert event["figures"] == {"loss": None, "rate": 0.5}
    assert line.isascii()
    for noise in ("", "WARNING: x", "{not json", "[1]", '{"other": 1}', '{"event": 3}'):
        assert protocol.decode(noise) is None


def test_devices_are_those_that_torch_computes_on(tmp_path: Path) -> None:
    torch = pytest.importorskip("torch")
    found = tasks.devices({}, tmp_path, lambda event: None, CancelToken())
    cards = torch.cuda.device_count() if torch.cuda.is_available() else 0
    assert [device["name"] for device in found["devices"]] == ["cpu", *(f"cuda:{n}" for n in range(cards))]
    assert all(0 < device["free"] <= device["total"] for device in found["devices"][1:])
    assert found["torch"] == torch.__version__
    if not cards and not tasks.graphics_driver():  # without a card the answer comes without torch, at once
        code = (
            "import sys; from pathlib import Path; from MedColorizeLib.app import tasks\n"
            "tasks.devices({}, Path(), None, None); sys.exit('torch' in sys.modules)"
        )
        assert subprocess.run([sys.executable, "-c", code], cwd=ROOT, timeout=60).returncode == 0
