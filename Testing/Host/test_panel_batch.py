"""The headless script inside the application: the panel's Python does the work, and its exit code comes back."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import nibabel
import numpy as np
import pytest

pytest.importorskip("slicer")
pytest.importorskip("PySide6")

ROOT = Path(__file__).resolve().parents[2]
SCRIPT = ROOT / "MedColorize" / "Resources" / "Scripts" / "MedColorizeBatch.py"

IN_THE_APPLICATION = """
import runpy, sys
from pathlib import Path
sys.path.insert(0, sys.argv.pop(1))
from panel_host import Host
host = Host(Path(sys.argv.pop(1)))
import slicer
assert slicer.app.slicerHome
runpy.run_path(sys.argv.pop(1), run_name="__main__")
"""


def test_headless_in_the_application(tmp_path: Path) -> None:
    (tmp_path / "in").mkdir()
    array = np.random.default_rng(1).integers(0, 900, (12, 12, 12)).astype(np.int16)
    nibabel.save(nibabel.Nifti1Image(array, np.eye(4)), tmp_path / "in" / "scan.nii.gz")

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, "-c", IN_THE_APPLICATION, str(ROOT / "Testing" / "Host"), str(tmp_path / "host")]
        return subprocess.run(
            [*command, str(SCRIPT), *words], cwd=tmp_path, capture_output=True, text=True, timeout=120
        )

    words = ["--", "--input", str(tmp_path / "in"), "--output", str(tmp_path / "out"), "--palette", "head-mr"]
    done = run(*words)
    assert done.returncode == 0, done.stderr
    assert "1 of 1 cases done" in done.stdout
    (status,) = (tmp_path / "out" / "_batch" / "cases").glob("*.json")
    assert json.loads(status.read_text())["state"] == "done"
    assert (tmp_path / "out" / "scan.nrrd").is_file()
    (tmp_path / "in" / "bad.nii.gz").write_bytes(b"nothing")
    assert run(*words, "--resume").returncode == 3
    assert run("--", "--input", str(tmp_path / "in")).returncode == 2
