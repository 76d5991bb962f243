"""Outputs appear whole or not at all, and every folder knows how its files were made."""

from __future__ import annotations

import json
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from MedColorizeLib.app.provenance import record
from MedColorizeLib.errors import OutputError
from MedColorizeLib.imaging.atomic import AtomicTarget, write_atomically


def test_a_file_appears_on_commit_only(tmp_path: Path) -> None:
    path = tmp_path / "new" / "out.nii.gz"
    with AtomicTarget(path) as target:
        assert target.temporary.name.endswith(".nii.gz")
        target.temporary.write_text("whole")
        assert not path.exists()
        target.commit()
    assert path.read_text() == "whole"
    assert [p.name for p in path.parent.iterdir()] == ["out.nii.gz"]
    assert path.stat().st_mode & 0o600 == 0o600


@pytest.mark.parametrize("folder", [False, True])
def test_failing_leaves_nothing(tmp_path: Path, folder: bool) -> None:
    with pytest.raises(KeyError), AtomicTarget(tmp_path / "out", folder=folder) as target:
        (target.temporary / "part" if folder else target.temporary).write_text("half")
        raise KeyError
    assert list(tmp_path.iterdir()) == []


def test_a_folder_is_replaced_in_one_step(tmp_path: Path) -> None:
    for content in ("first.txt", "second.txt"):
        with AtomicTarget(tmp_path / "out", folder=True, overwrite=True) as target:
            (target.temporary / content).write_text(content)
            target.commit()
    assert [p.name for p in (tmp_path / "out").iterdir()] == ["second.txt"]
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_a_folder_with_other_things_in_it_is_not_replaced(tmp_path: Path) -> None:
    mine = tmp_path / "out" / "thesis.docx"
    mine.parent.mkdir()
    mine.write_text("years of work")
    with (
        pytest.raises(OutputError, match="thesis"),
        AtomicTarget(tmp_path / "out", folder=True, overwrite=True) as target,
    ):
        (target.temporary / "report.html").write_text("new")
        target.commit()
    assert mine.read_text() == "years of work"
    assert [p.name for p in tmp_path.iterdir()] == ["out"]


def test_what_exists_is_not_replaced_unasked_nor_by_another_kind(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("mine")
    (tmp_path / "folder").mkdir()
    with pytest.raises(OutputError, match="--overwrite"):
        AtomicTarget(tmp_path / "file")
    with pytest.raises(OutputError, match="is a file"):
        AtomicTarget(tmp_path / "file", folder=True, overwrite=True)
    with pytest.raises(OutputError, match="is a folder"):
        AtomicTarget(tmp_path / "folder", overwrite=True)
    with pytest.raises(OutputError, match="can't be written"):
        AtomicTarget(tmp_path / "file" / "below", overwrite=True)
    assert (tmp_path / "file").read_text() == "mine"


def test_provenance_of_many_writers_at_once(tmp_path: Path, repository: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from MedColorizeLib.app.provenance import record\n"
        "for n in range(8): record(Path(sys.argv[1]) / f'{sys.argv[2]}-{n}.nrrd', {'n': n})"
    )
    processes = [
        subprocess.Popen([sys.executable, "-c", code, str(tmp_path), str(p)], cwd=repository) for p in range(3)
    ]
    threads = [threading.Thread(target=record, args=(tmp_path / f"t{n}.nrrd", {})) for n in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert [p.wait() for p in processes] == [0, 0, 0]
    outputs = json.loads((tmp_path / "provenance.json").read_text())["outputs"]
    assert len(outputs) == 3 * 8 + 8
    assert [p.name for p in tmp_path.iterdir()] == ["provenance.json"]


def test_a_damaged_provenance_is_not_thrown_away(tmp_path: Path) -> None:
    write_atomically(tmp_path / "provenance.json", "{half")
    with pytest.raises(OutputError, match="damaged"):
        record(tmp_path / "c.nrrd", {})
    assert (tmp_path / "provenance.json").read_text() == "{half"
