"""The demo, whole: what `make demo` promises is there, and is right."""

from __future__ import annotations

import json
import zipfile
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("slicer", reason="slicer-core is not installed")
pytest.importorskip("nilearn", reason="nilearn, which carries the head, is not installed")

from MedColorizeLib import read_color, read_volume
from MedColorizeLib.app.cli import main
from MedColorizeLib.app.sample import mni_path, mni_tissues
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.windows import Window, codes


def test_tissues_of_the_sample_are_where_anatomy_has_them() -> None:
    head = read_volume(mni_path())
    tissues = mni_tissues(head)
    share = [np.mean(tissues.array[head.array > 0] == value) for value in (1, 2, 3)]
    assert 0.35 < share[0] < 0.65  # gray matter
    assert 0.2 < share[1] < 0.5  # white matter
    assert head.array[tissues.array == 2].mean() > head.array[tissues.array == 1].mean()


@pytest.mark.slow
def test_the_demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir(tmp_path)
    out = Path("demo")  # relative, as `make demo` has it
    assert main(["demo", "-o", str(out), "--json"]) == 0
    files = json.loads(capsys.readouterr().out)["files"]
    assert all((out / name).stat().st_size > 500 for name in files)
    head, color = read_volume(mni_path()), read_color(out / "head-color.nrrd")
    window = Window(*color.provenance["window"])
    np.testing.assert_array_equal(luma_codes(color.rgb), codes(head.array, window))
    np.testing.assert_array_equal(color.affine, head.affine)
    with zipfile.ZipFile(out / "head.mrb") as bundle:
        assert bundle.testzip() is None
    assert main(["demo", "-o", str(out)]) == 6  # nothing is replaced unasked
