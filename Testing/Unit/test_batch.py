"""Many cases: found, named, recorded, and done exactly once whatever is killed."""

from __future__ import annotations

import contextlib
import csv
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from collections import Counter
from pathlib import Path
from typing import Any

import nibabel
import numpy as np
import pytest
from dicom_phantoms import SECRET, save_stack
from hypothesis import given, settings
from hypothesis import strategies as st

from MedColorizeLib import read_color
from MedColorizeLib.app import batch_plan
from MedColorizeLib.app.batch import BatchJob, run_batch
from MedColorizeLib.app.batch_case import Case, perform
from MedColorizeLib.app.batch_plan import Found, assign, find
from MedColorizeLib.app.batch_store import Status, Store, hash_output
from MedColorizeLib.app.cli import main
from MedColorizeLib.errors import InputError, UsageError
from MedColorizeLib.progress import CancelToken, Progress

ROOT = Path(__file__).resolve().parents[2]
PALETTE = ["--palette", "head-mr"]
SETTINGS = {"palette": "head-mr"}
SCRIPT = ROOT / "MedColorize" / "Resources" / "Scripts" / "MedColorizeBatch.py"


def scan(path: Path, seed: int = 0, size: int = 12) -> Path:
    """A small gray volume on disk."""
    rng = np.random.default_rng(seed)
    array = np.abs(rng.normal(20, 8, (size, size, size)))
    array[3:-3, 3:-3, 3:-3] = rng.normal(500, 120, (size - 6,) * 3)
    path.parent.mkdir(parents=True, exist_ok=True)
    nibabel.save(nibabel.Nifti1Image(array.astype(np.int16), np.diag([1.0, 1.5, 2.0, 1.0])), path)
    return path


def folder_of(tmp_path: Path, count: int, size: int = 12) -> Path:
    for number in range(count):
        scan(tmp_path / "in" / f"case{number:02d}.nii.gz", number, size)
    return tmp_path / "in"


def statuses(out: Path) -> dict[str, dict[str, Any]]:
    read = [json.loads(file.read_text()) for file in (out / "_batch" / "cases").glob("[!.]*.json")]
    return {one["output"]: one for one in read}


def counts(out: Path, event: str) -> Counter[str]:
    return Counter(e["case"] for e in Store(out).events() if e["event"] == event)


def assert_each_once(out: Path, cases: int) -> None:
    """Every case is done, once by the journal, its output is whole, and nothing else is left behind."""
    done = counts(out, "done")
    assert len(done) == cases
    assert set(done.values()) == {1}
    for name, status in statuses(out).items():
        assert status["state"] == "done"
        assert hash_output(out / name) == status["output_sha256"]
        assert read_color(out / name).array.shape[-1] == 3
    made = {file.name for file in out.iterdir()}
    assert made == {*statuses(out), "_batch", "provenance.json"}
    assert set(json.loads((out / "provenance.json").read_text())["outputs"]) == set(statuses(out))
    assert not list((out / "_batch" / "staging").iterdir())


def start(inputs: Path, out: Path, *words: str) -> subprocess.Popen[str]:
    command = [sys.executable, "-m", "MedColorizeLib", "batch", str(inputs), "-o", str(out), *PALETTE, "--json", *words]
    return subprocess.Popen(
        command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True
    )


def wait_for(out: Path, event: str, count: int, seconds: float = 60) -> None:
    end = time.monotonic() + seconds
    while sum(counts(out, event).values()) < count:
        assert time.monotonic() < end, f"no {count} times '{event}' in time"
        time.sleep(0.01)


# Finding


def test_finds_volumes_at_any_depth_but_not_its_own_outputs(tmp_path: Path) -> None:
    for name in ("a.nii.gz", "sub/b.nii", "sub/deep/c.nii.gz", ".hidden/d.nii", "out/e.nii"):
        scan(tmp_path / name)
    (tmp_path / "notes.txt").write_text("no volume")
    found, skipped = find([str(tmp_path)], tmp_path / "out")
    assert sorted(one.name for one in found) == ["a", "sub/b", "sub/deep/c"]
    assert not skipped


def test_patterns_and_files_keep_the_folders_that_tell_them_apart(tmp_path: Path) -> None:
    for name in ("p1/t1.nii.gz", "p2/t1.nii.gz", "p2/t2.nii.gz"):
        scan(tmp_path / name)
    by_pattern, _ = find([str(tmp_path / "*" / "t1.nii.gz")], tmp_path / "out")
    by_name, _ = find([str(tmp_path / p / "t1.nii.gz") for p in ("p1", "p2")], tmp_path / "out")
    assert [one.name for one in by_pattern] == [one.name for one in by_name] == ["p1/t1", "p2/t1"]
    twice, _ = find([str(tmp_path), str(tmp_path / "**" / "*.nii.gz")], tmp_path / "out")
    assert len(twice) == 3


def test_refuses_what_is_not_there(tmp_path: Path) -> None:
    for word in ("nowhere", "*.nii", "empty"):
        (tmp_path / "empty").mkdir(exist_ok=True)
        with pytest.raises(InputError):
            find([str(tmp_path / word)], tmp_path / "out")


def test_every_dicom_series_is_a_case(data: Path, tmp_path: Path) -> None:
    sources = sorted(p.parent for p in (data / "dicom").rglob("*.dcm"))
    folders = list(dict.fromkeys(sources))
    assert folders
    shutil.copytree(folders[0], tmp_path / "in" / "one")
    found, _ = find([str(tmp_path / "in")], tmp_path / "out")
    uids = [one.series for one in found]
    assert uids
    assert len(set(uids)) == len(uids)
    assert not any(uid in one.name for uid, one in zip(uids, found, strict=True) if uid)


def dicom_series(folder: Path, uid: str, **more: Any) -> Path:
    stored = np.random.default_rng(3).integers(-100, 300, (8, 16, 16)).astype(np.int16)
    return save_stack(folder, stored, [(0, 0, 2.0 * k) for k in range(8)], series=uid, **more)


def test_a_series_in_several_folders_is_one_case(tmp_path: Path) -> None:
    dicom_series(tmp_path / "in" / "0", "1.2.826.0.4711.1")
    (tmp_path / "in" / "1").mkdir()
    for file in sorted((tmp_path / "in" / "0").iterdir())[:4]:
        file.rename(tmp_path / "in" / "1" / file.name)
    dicom_series(tmp_path / "in" / "other", "1.2.826.0.4711.2")
    found, _ = find([str(tmp_path / "in")], tmp_path / "out")
    assert {one.series: one.path.name for one in found} == {"1.2.826.0.4711.1": "in", "1.2.826.0.4711.2": "other"}
    assert run_batch(BatchJob([str(tmp_path / "in")], tmp_path / "out", SETTINGS, workers=1)).exit_code == 0
    assert {read_color(tmp_path / "out" / name).array.shape[0] for name in statuses(tmp_path / "out")} == {8}


def test_reports_and_contours_are_passed_over_and_damage_is_not(tmp_path: Path) -> None:
    dicom_series(tmp_path / "in" / "ct", "1.2.826.0.4711.1")
    dicom_series(tmp_path / "in" / "contours", "1.2.826.0.4711.2", modality="RTSTRUCT")
    cut = dicom_series(tmp_path / "in" / "cut", "1.2.826.0.4711.3") / "003.dcm"
    cut.write_bytes(cut.read_bytes()[:-100])
    (tmp_path / "in" / "ct" / "broken.dcm").write_bytes(b"nothing")
    found, skipped = find([str(tmp_path / "in")], tmp_path / "out")
    assert len(found) == 3
    assert len(skipped) == 1
    assert "RT structure set" in skipped[0]
    outcome = run_batch(BatchJob([str(tmp_path / "in")], tmp_path / "out", SETTINGS, workers=1))
    assert outcome.exit_code == 3
    assert {case.shown.rpartition("/")[2] for case, _ in outcome.failures} == {"broken.dcm", "cut"}


def test_an_output_folder_among_dicom_files(tmp_path: Path) -> None:
    folder = dicom_series(tmp_path / "in", "1.2.826.0.4711.1")
    job = BatchJob([str(folder)], folder / "out", SETTINGS, "dicom", workers=1)
    with pytest.raises(UsageError, match="outside"):
        run_batch(job)


NAMES = st.sampled_from(["a", "A", "a-1", "b/a", "\u00e9", "e\u0301", "B/A"])


@settings(max_examples=60, deadline=None)
@given(st.lists(st.lists(NAMES, min_size=1, max_size=6), min_size=1, max_size=3))
def test_outputs_never_collide_and_stay(rounds: list[list[str]]) -> None:
    """Whatever is named, in one run or one after the other, every case has an output of its own and keeps it."""
    known: dict[str, Status] = {}
    found: list[Found] = []
    for number, names in enumerate(rounds):
        found += [Found(Path(f"/in/{number}/{n}.nii"), "", name) for n, name in enumerate(names)]
        cases = assign(found, known, ".nrrd", {})
        outputs = [batch_plan._fold(case.output) for case in cases]
        assert len(set(outputs)) == len(cases) == len({case.key for case in cases})
        assert all(known[case.key].output == case.output for case in cases if case.key in known)
        known = {case.key: Status(case.key, "", case.output) for case in cases}


# Manifests


def manifest(tmp_path: Path, text: str) -> Path:
    path = tmp_path / "cases.csv"
    path.write_text(text, encoding="utf-8")
    return path


def test_manifest_says_how_each_case_is_done(tmp_path: Path) -> None:
    scan(tmp_path / "scans" / "a.nii.gz")
    scan(tmp_path / "b.nii.gz", 1)
    table = "\ufeffInput;window;output;alpha\nscans/a.nii.gz;0 700;x/first.nii.gz;yes\n\nb.nii.gz;;;\n"
    out = tmp_path / "out"
    assert main(["batch", str(manifest(tmp_path, table)), "-o", str(out), *PALETTE, "--workers", "1"]) == 0
    assert read_color(out / "x" / "first.nii.gz").array.shape[-1] == 4
    assert json.loads((out / "x" / "provenance.json").read_text())["outputs"]["first.nii.gz"]["window"] == [0, 700]
    assert read_color(out / "b.nrrd").array.shape[-1] == 3


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "no column 'input'"),
        ("input\n", "lists no case"),
        ("file,output\na,b\n", "no column 'input'"),
        ("input,colour\na.nii,red\n", "mean nothing here: colour"),
        ("input,input\na.nii,b.nii\n", "twice"),
        ("input,output\na.nii,../b.nrrd\n", "row 2 has the output"),
        ("input,output\na.nii,/b.nrrd\n", "row 2 has the output"),
        ("input,output\na.nii,b.docx\n", "row 2"),
        ("input,output\na.nii,_batch/b.nrrd\n", "row 2"),
        ("input,output\na.nii,x.nrrd\nb.nii,X.nrrd\n", "row 3 has the same output as row 2"),
        ("input\na.nii\na.nii\n", "row 3 is the same as row 2"),
        ("input,window\na.nii,5 1\n", "row 2"),
        ("input,window\na.nii,low high\n", "row 2"),
        ("input,alpha\na.nii,perhaps\n", "row 2"),
        ("input,fidelity\na.nii,very\n", "row 2"),
        ("input,output\n,b.nrrd\n", "row 2 names no input"),
        ("input\na.nii,b\n", "row 2 has 2 cells"),
    ],
)
def test_manifest_mistakes_are_told_before_anything_is_done(tmp_path: Path, text: str, said: str) -> None:
    with pytest.raises(UsageError, match=said):
        run_batch(BatchJob([str(manifest(tmp_path, text))], tmp_path / "out", SETTINGS))
    assert not (tmp_path / "out").exists()


def test_a_status_that_is_just_being_written_is_no_case(tmp_path: Path) -> None:
    store = Store(tmp_path)
    store.create()
    store.save(Status("k", "in", "out.nrrd"))
    (store.home / "cases" / ".k.json.abc.tmp.json").write_text('{"half')
    assert set(store.known()) == {"k"}


# Doing


def test_a_bad_case_among_good_ones(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    inputs, out = folder_of(tmp_path, 3), tmp_path / "out"
    (inputs / "bad.nii.gz").write_bytes(b"not a volume")
    (inputs / "empty.nrrd").touch()
    words = ["batch", str(inputs), "-o", str(out), *PALETTE, "--workers", "2"]
    assert main([*words, "--json"]) == 3
    document = json.loads(capsys.readouterr().out)
    assert (document["done"], document["failed"], document["exit_code"]) == (3, 2, 3)
    assert {c["input"] for c in document["cases"] if c["state"] == "failed"} == {
        str(inputs / "bad.nii.gz"),
        str(inputs / "empty.nrrd"),
    }
    rows = list(csv.DictReader((out / "_batch" / "summary.csv").open()))
    assert Counter(row["state"] for row in rows) == {"done": 3, "failed": 2}
    assert main(words) == 6
    assert "--resume" in capsys.readouterr().err
    before = counts(out, "started")
    scan(inputs / "bad.nii.gz")
    (inputs / "empty.nrrd").unlink()
    assert main([*words, "--resume"]) == 0
    assert "4 of 4 cases done (3 of them before)" in capsys.readouterr().out
    started_again = counts(out, "started") - before
    assert len(started_again) == 1


def test_resume_does_again_what_is_gone_or_changed_only(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 3), tmp_path / "out"
    job = BatchJob([str(inputs)], out, SETTINGS, workers=1, resume=True)
    assert run_batch(job).exit_code == 0
    (out / "case00.nrrd").unlink()
    (out / "case01.nrrd").write_bytes(b"changed")
    outcome = run_batch(job)
    assert {case.output for case, result in outcome.results if result.fresh} == {"case00.nrrd", "case01.nrrd"}
    assert sorted(counts(out, "done").values()) == [1, 2, 2]
    assert all(status["state"] == "done" for status in statuses(out).values())
    assert read_color(out / "case01.nrrd").array.shape == (12, 12, 12, 3)


def test_a_file_of_somebody_else_is_never_replaced(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 2), tmp_path / "out"
    out.mkdir()
    (out / "case00.nrrd").write_text("precious")
    outcome = run_batch(BatchJob([str(inputs)], out, SETTINGS, workers=1))
    assert outcome.exit_code == 6
    assert [case.output for case, _ in outcome.failures] == ["case00.nrrd"]
    assert (out / "case00.nrrd").read_text() == "precious"


def test_resume_with_other_options_is_refused(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 1), tmp_path / "out"
    run_batch(BatchJob([str(inputs)], out, SETTINGS, workers=1))
    with pytest.raises(UsageError, match="palette"):
        run_batch(BatchJob([str(inputs)], out, {"palette": "body-ct"}, workers=1, resume=True))


@pytest.mark.parametrize("form", [".nii.gz", ".mha", ".png", "dicom"])
def test_every_format_and_the_report(tmp_path: Path, form: str) -> None:
    inputs, out = folder_of(tmp_path, 1, size=16), tmp_path / "out"
    report = form == ".mha"
    outcome = run_batch(BatchJob([str(inputs)], out, {**SETTINGS, "report": report}, form, workers=1))
    assert outcome.exit_code == 0, outcome.failures
    (status,) = statuses(out).values()
    assert hash_output(out / status["output"]) == status["output_sha256"]
    assert read_color(out / status["output"]).array.shape[-1] == 3
    assert (out / "case00-report" / "report.html").is_file() == report


def test_statuses_hold_nothing_of_the_patient(tmp_path: Path) -> None:
    uids = ["1.2.826.0.4711.1", "1.2.826.0.4711.2", "1.2.826.0.4711.3"]
    dicom_series(tmp_path / "in" / "good", uids[0])
    dicom_series(tmp_path / "in" / "bad", uids[1], PixelRepresentation=5, SeriesDescription=SECRET)
    mixed = dicom_series(tmp_path / "in" / "good", uids[2], prefix="second", SeriesDescription=SECRET)
    out = tmp_path / "out"
    outcome = run_batch(BatchJob([str(tmp_path / "in")], out, SETTINGS, workers=1))
    assert sorted(result.state for _, result in outcome.results) == ["done", "done", "failed"]
    rows = manifest(tmp_path, f"input,series\n{mixed},\n{mixed},{uids[1]}\n")
    assert [r.state for _, r in run_batch(BatchJob([str(rows)], tmp_path / "two", SETTINGS)).results] == ["failed"] * 2
    for home in (out, tmp_path / "two"):
        for file in home.rglob("*"):
            text = file.read_text(errors="replace") if file.is_file() else ""
            assert not any(secret in text + file.name for secret in (SECRET, *uids)), file


# Killing


@pytest.mark.parametrize("moment", ["running", "hash", "output moved", "journal written"])
def test_a_case_cut_off_anywhere_is_finished_once(tmp_path: Path, moment: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A process that dies between any two steps leaves what the next one needs to finish, without doing it twice."""
    inputs, out = folder_of(tmp_path, 1), tmp_path / "out"
    store = Store(out)
    store.create()
    found, _ = find([str(inputs)], out)
    (case,) = assign(found, {}, ".nrrd", SETTINGS)
    store.save(Status(case.key, case.shown, case.output))
    fatal = {
        "running": ("MedColorizeLib.app.pipeline.colorize_file", 0),
        "hash": ("MedColorizeLib.app.batch_case._finish", 0),
        "output moved": ("MedColorizeLib.app.provenance.record", 1),
        "journal written": ("MedColorizeLib.app.batch_case.now", 1),
    }
    target, calls = fatal[moment]
    child = f"""
import os, sys
import MedColorizeLib.app.batch_case as module
from MedColorizeLib.app.batch_case import Case, perform
from MedColorizeLib.app.batch_store import Store
import importlib, pathlib
name, attribute = {target!r}.rsplit(".", 1)
where = importlib.import_module(name)
real, left = getattr(where, attribute), [{calls}]
def die(*args, **options):
    if left[0] == 0:
        os._exit(9)
    left[0] -= 1
    return real(*args, **options)
setattr(where, attribute, die)
perform(Store(pathlib.Path({str(out)!r})), Case(**{case.to_dict()!r}))
"""
    ended = subprocess.run([sys.executable, "-c", child], cwd=ROOT, check=False).returncode
    assert ended == 9
    assert store.load(case.key).state == ("running" if moment == "running" else "finishing")
    result = perform(store, case)
    assert (result.state, result.fresh) == ("done", True)
    assert_each_once(out, 1)
    assert sum(counts(out, "started").values()) == (2 if moment == "running" else 1)
    assert not perform(store, case).fresh


def test_kill_a_worker_and_lose_nothing(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 6, size=48), tmp_path / "out"
    run = start(inputs, out, "--workers", "2")
    wait_for(out, "started", 2)
    victim = Store(out).events()[-1]["pid"]
    os.kill(victim, signal.SIGKILL)
    answer, told = run.communicate(timeout=120)
    assert run.returncode == 0, told
    assert json.loads(answer)["done_now"] == 6
    assert sum(counts(out, "worker died").values()) == 1
    assert_each_once(out, 6)


def test_a_case_that_kills_its_workers_is_given_up(tmp_path: Path) -> None:
    """The other cases are done by fresh workers."""
    inputs, out = folder_of(tmp_path, 3), tmp_path / "out"
    scan(inputs / "monster.nii.gz", 9, 64)
    run = start(inputs, out, "--workers", "1")
    end = time.monotonic() + 60
    monster = None
    while run.poll() is None and time.monotonic() < end:
        events = Store(out).events()
        monster = monster or next((k["key"] for n, k in statuses(out).items() if n == "monster.nrrd"), None)
        if events and events[-1]["event"] == "started" and events[-1]["case"] == monster:
            with contextlib.suppress(ProcessLookupError):
                os.kill(events[-1]["pid"], signal.SIGKILL)
        time.sleep(0.002)
    answer, _ = run.communicate(timeout=60)
    assert run.returncode == 5
    (failed,) = [c for c in json.loads(answer)["cases"] if c["state"] == "failed"]
    assert failed["output"] == "monster.nrrd"
    assert "twice" in failed["reason"]
    assert statuses(out)["monster.nrrd"]["attempts"] == 2
    assert json.loads(answer)["done"] == 3
    shutil.rmtree(out / "_batch" / "staging")
    assert run_batch(BatchJob([str(inputs)], out, dict(FULL), workers=1, resume=True)).exit_code == 0
    assert_each_once(out, 4)


FULL = {
    "model": None,
    "palette": "head-mr",
    "window": None,
    "fidelity": "exact",
    "alpha": False,
    "report": False,
    "device": "auto",
}


def test_kill_the_whole_run_again_and_again_then_resume(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 8, size=40), tmp_path / "out"
    for number in range(2):
        run = start(inputs, out, "--workers", "2", "--resume")
        wait_for(out, "started", sum(counts(out, "started").values()) + 2)
        time.sleep(0.02 * number)
        os.killpg(run.pid, signal.SIGKILL)
        run.communicate()
    assert any(status["state"] != "done" for status in statuses(out).values())
    run = start(inputs, out, "--workers", "2", "--resume")
    _, told = run.communicate(timeout=120)
    assert run.returncode == 0, told
    assert_each_once(out, 8)


def test_workers_end_when_the_run_is_killed(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 6, size=40), tmp_path / "out"
    run = start(inputs, out, "--workers", "2")
    wait_for(out, "started", 2)
    pids = {event["pid"] for event in Store(out).events()}
    os.kill(run.pid, signal.SIGKILL)
    run.communicate()
    from MedColorizeLib.app.worker import alive

    end = time.monotonic() + 10
    while any(alive(pid) for pid in pids):
        assert time.monotonic() < end
        time.sleep(0.05)
    run = start(inputs, out, "--workers", "1", "--resume")
    assert run.communicate(timeout=120) is not None
    assert run.returncode == 0
    assert_each_once(out, 6)


def test_two_runs_at_once_share_the_work(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 8, size=32), tmp_path / "out"
    runs = [start(inputs, out, "--workers", "2", "--resume") for _ in range(2)]
    answers = [json.loads(run.communicate(timeout=120)[0]) for run in runs]
    assert [run.returncode for run in runs] == [0, 0]
    assert [answer["done"] for answer in answers] == [8, 8]
    assert sum(answer["done_now"] for answer in answers) == 8
    assert_each_once(out, 8)
    assert set(counts(out, "started").values()) == {1}


def test_cancel_leaves_nothing_half_made(tmp_path: Path) -> None:
    inputs, out = folder_of(tmp_path, 8, size=48), tmp_path / "out"
    run = start(inputs, out, "--workers", "2")
    wait_for(out, "started", 3)
    os.killpg(run.pid, signal.SIGINT)
    answer, _ = run.communicate(timeout=60)
    document = json.loads(answer)
    assert run.returncode == document["exit_code"] == 130
    assert document["done"] < 8
    assert not list((out / "_batch" / "staging").iterdir())
    assert {status["state"] for status in statuses(out).values()} <= {"done", "queued"}
    made = {file.name for file in out.iterdir()} - {"_batch", "provenance.json"}
    assert made == {name for name, status in statuses(out).items() if status["state"] == "done"}
    run = start(inputs, out, "--resume")
    run.communicate(timeout=120)
    assert run.returncode == 0
    assert_each_once(out, 8)


def test_progress_counts_cases(tmp_path: Path) -> None:
    events: list[Progress] = []
    run_batch(BatchJob([str(folder_of(tmp_path, 3))], tmp_path / "out", SETTINGS, workers=1), events.append)
    told = [event.done for event in events if event.stage == "batch"]
    assert told == sorted(told)
    assert (told[0], told[-1]) == (0, 3)


def test_cancelled_before_it_began(tmp_path: Path) -> None:
    cancel = CancelToken()
    store = Store(tmp_path / "out")
    store.create()
    (case,) = assign(find([str(folder_of(tmp_path, 1))], store.folder)[0], {}, ".nrrd", SETTINGS)
    store.save(Status(case.key, case.shown, case.output))
    cancel.cancel()
    assert perform(store, Case(**case.to_dict()), cancel).state == "cancelled"
    assert store.load(case.key).state == "queued"


# Other doors


@pytest.mark.parametrize("installed", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_the_headless_script(tmp_path: Path, installed: bool) -> None:
    """From a source checkout, and beside an installed module; with and without `--`."""
    script = SCRIPT
    if installed:
        script = tmp_path / "modules" / "Resources" / "Scripts" / SCRIPT.name
        script.parent.mkdir(parents=True)
        shutil.copy(SCRIPT, script)
        shutil.copytree(ROOT / "MedColorizeLib", tmp_path / "modules" / "MedColorizeLib")
        shutil.copytree(ROOT / "Resources", tmp_path / "modules" / "MedColorizeLib" / "_resources")
    inputs, out = folder_of(tmp_path, 2), tmp_path / "out"
    bare = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-P", str(script), *words], cwd=tmp_path, env=bare, capture_output=True, text=True
        )

    done = run("--", "--input", str(inputs), f"--output={out}", *PALETTE, "--workers", "1")
    assert done.returncode == 0, done.stderr
    assert_each_once(out, 2)
    (inputs / "bad.nii").write_bytes(b"nothing")
    assert run("--input", str(inputs), "--output", str(out), *PALETTE, "--workers", "1", "--resume").returncode == 3
    assert run("--output", str(out)).returncode == 2
    assert run("--input", str(inputs)).returncode == 2
    assert run("--input", str(tmp_path / "no"), "--output", str(out)).returncode == 3


@pytest.mark.slow
def test_on_a_dask_cluster_with_a_worker_killed(tmp_path: Path) -> None:
    """A real scheduler with real worker processes, one killed in the middle of a case."""
    pytest.importorskip("distributed")
    inputs, out = folder_of(tmp_path, 8, size=128), tmp_path / "out"
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    address_file = tmp_path / "scheduler.json"
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL, "env": environment, "cwd": tmp_path}
    dask = [sys.executable, "-m", "dask"]
    cluster = [
        subprocess.Popen(
            [*dask, "scheduler", "--port", "0", "--no-dashboard", "--scheduler-file", str(address_file)], **quiet
        )
    ]
    try:
        for _ in range(2):
            words = ["worker", "--scheduler-file", str(address_file), "--nthreads", "1", "--no-nanny", "--no-dashboard"]
            cluster.append(subprocess.Popen([*dask, *words], **quiet))
        end = time.monotonic() + 60
        while not address_file.exists():
            assert time.monotonic() < end
            time.sleep(0.1)
        address = json.loads(address_file.read_text())["address"]
        run = start(inputs, out, "--scheduler", address)
        wait_for(out, "started", 3)
        working = freeze_a_worker(out)
        victim = int(Path(f"/proc/{working}/stat").read_text().rpartition(")")[2].split()[1])
        (dask_worker,) = [process for process in cluster[1:] if process.pid == victim]
        dask_worker.kill()
        time.sleep(2)  # the scheduler gives the case to the other one, which finds it held
        with contextlib.suppress(ProcessLookupError):  # the system may have ended it: a stopped orphan is hung up
            os.kill(working, signal.SIGKILL)
        answer, told = run.communicate(timeout=300)
        assert run.returncode == 0, told
        assert json.loads(answer)["done"] == 8
        assert_each_once(out, 8)
        assert max(counts(out, "started").values()) == 2  # the killed worker's case was begun again elsewhere
    finally:
        for process in reversed(cluster):
            process.kill()
            process.wait()


def freeze_a_worker(out: Path) -> int:
    """Stop a process in the middle of its case; its id."""
    while True:
        event = next(e for e in reversed(Store(out).events()) if e["event"] == "started")
        os.kill(event["pid"], signal.SIGSTOP)
        if counts(out, "done")[event["case"]] == 0:
            return int(event["pid"])
        os.kill(event["pid"], signal.SIGCONT)
        time.sleep(0.02)


def test_no_scheduler_is_said(tmp_path: Path) -> None:
    pytest.importorskip("distributed")
    from MedColorizeLib.app import batch_dask

    job = BatchJob([str(folder_of(tmp_path, 1))], tmp_path / "out", SETTINGS, scheduler="nonsense://1:2")
    with pytest.raises(UsageError, match="scheduler"):
        run_batch(job)
    assert batch_dask.task(Case("k", "", "", "o").to_dict(), str(tmp_path / "not there"), "stop")["exit_code"] == 5
