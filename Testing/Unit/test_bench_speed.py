"""`bench speed`: peak memory of a process, the three tables on a tiny model, refusals."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("torch")

from MedColorizeLib.app import cli
from MedColorizeLib.app.bench_road import python_process
from MedColorizeLib.app.bench_speed import Settings, head, networks, to_markdown
from MedColorizeLib.bundles.write import write_bundle
from MedColorizeLib.errors import MedColorizeError

sys.path.insert(0, str(Path(__file__).parent))
from test_bundles_trust import facts, tiny_method  # isort: skip

SMALL = Settings((12, 32, 32), 1, 1, 3)


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "tiny"
    write_bundle(folder, tiny_method().inference_network(), facts())
    return folder


def test_memory_is_that_of_the_process_and_not_of_who_started_it() -> None:
    held = np.ones(400 << 20, np.uint8)  # would count as the started process's peak
    seconds, small = python_process(["-c", "pass"])
    _, large = python_process(["-c", "held = b'x' * (200 << 20)"])
    assert held[-1]
    assert 0 < seconds < 20
    assert small < 60
    assert 190 < large - small < 230


def test_processes_get_the_variables_and_their_failure_is_told() -> None:
    python_process(["-c", "import os; assert os.environ['WANTED'] == 'yes'"], {"WANTED": "yes"})
    with pytest.raises(MedColorizeError, match="ValueError: of this kind"):
        python_process(["-c", "raise ValueError('of this kind')"])


def test_the_head_has_the_size_asked_for_and_stays_in_place() -> None:
    pytest.importorskip("nilearn")
    from MedColorizeLib.app.sample import mni_path
    from MedColorizeLib.imaging.read import read_volume

    whole, small = read_volume(mni_path()), head((24, 40, 32))
    assert small.array.shape == (24, 40, 32)
    assert small.array.dtype == np.int16
    extents = [np.multiply(v.array.shape, v.spacing) for v in (whole, small)]
    np.testing.assert_allclose(*extents)


def test_networks_are_set_against_both_baselines(model: Path) -> None:
    rows = networks([str(model)], head(SMALL.shape), SMALL)
    by_name = {row["network"]: row for row in rows}
    assert len(rows) == 3
    resnet, published = by_name["ResNet-9 CycleGAN generator"], by_name["ColorMedGAN as published"]
    assert resnet["resnet_over_it"] == 1
    assert published["published_over_it"] == 1
    assert rows[2]["network_ms"] > 0
    assert rows[2]["slice_ms"] >= rows[2]["network_ms"]
    assert rows[2]["resnet_over_it"] == pytest.approx(resnet["network_ms"] / rows[2]["network_ms"])
    assert "| ResNet-9 CycleGAN generator |" in to_markdown({"networks": rows}, SMALL)


@pytest.mark.slow
def test_the_command(model: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["bench", "speed", "--model", str(model), "--size", "32", "32", "16", "--rounds", "1", "--threads", "1"]
    out = tmp_path / "speed.md"
    assert cli.main([*command, "--part", "planes", "--part", "files", "-o", str(out), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    assert document["planes"][0]["ratio"] > 1
    assert document["files"][0]["seconds"] > document["files"][0]["floor_seconds"]
    assert "32x32x16 voxels, 1 threads" in out.read_text()
    assert cli.main([*command[:-2], "--threads", "0"]) == 2
