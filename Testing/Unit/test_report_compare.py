"""Several results side by side, and the commands `report` and `compare` as a person calls them."""

from __future__ import annotations

import csv
import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from report_subject import subject

from MedColorizeLib.app.cli import main
from MedColorizeLib.errors import UsageError
from MedColorizeLib.evaluation.compare import Result, make_comparison
from MedColorizeLib.evaluation.compare_metrics import METRICS, best
from MedColorizeLib.evaluation.report import gray_codes_for, make_report
from MedColorizeLib.imaging.volume import ColorVolume, Volume
from MedColorizeLib.imaging.write import write_color, write_volume


@pytest.mark.parametrize(
    ("values", "better", "winners"),
    [
        ([3, 1, 2], "low", {1}),
        ([3, 1, 2], "high", {0}),
        ([0.5, 1.2, 3], "one", {1}),
        ([1, 1, 2], "low", {0, 1}),
        ([1, 1, 1], "low", set()),
        ([1, 2], "", set()),
        ([math.inf, 40], "high", {0}),
        ([math.inf, math.inf], "high", set()),
        ([math.nan, 2, 1], "low", {2}),
        ([math.nan, 2], "low", set()),
        ([1.0000001, 1.0], "low", set()),
    ],
)
def test_best_is_marked_where_there_is_one(values: list[float], better: str, winners: set[int]) -> None:
    assert best(values, better) == winners  # type: ignore[arg-type]


def results() -> list[Result]:
    out = []
    for name, jitter in (("steady", {}), ("restless", {k: 12.0 * (-1) ** k for k in range(28)})):
        volume, color, _ = subject(jitter=jitter)
        out.append(Result(name, gray_codes_for(volume, color), color))
    return out


def test_comparison_finds_the_steadier_result(tmp_path: Path) -> None:
    content = make_comparison(iter(results()), tmp_path / "c")
    assert sorted(path.name for path in (tmp_path / "c").iterdir()) == ["compare.csv", "compare.html", "compare.json"]
    assert content["best"]["shift_per_mm"] == ["steady"]
    assert content["best"]["jitter"] == ["steady"]
    assert content["best"]["luma_psnr"] in ([], ["steady"], ["restless"])
    assert json.loads((tmp_path / "c" / "compare.json").read_text()) == content
    rows = {row["metric"]: row for row in csv.DictReader((tmp_path / "c" / "compare.csv").open())}
    assert set(rows) == {metric.key for metric in METRICS}
    for one in content["results"]:
        value = one["metrics"]["shift_per_mm"]
        assert float(rows["shift_per_mm"][one["name"]]) == value
    page = (tmp_path / "c" / "compare.html").read_text()
    assert page.index("steady (") < page.index("restless (")
    assert "★" in page
    assert "/home" not in page + (tmp_path / "c" / "compare.json").read_text()


def test_results_that_begin_at_different_slices_share_an_axis(tmp_path: Path) -> None:
    volume, color, _ = subject()
    codes = gray_codes_for(volume, color)
    cut = codes.codes.copy()
    cut[:8] = 0
    rgb = color.array.copy()
    rgb[:8] = 0
    other = Result("shorter", type(codes)(cut, codes.window), ColorVolume(rgb, color.affine))
    content = make_comparison([Result("whole", codes, color), other], tmp_path / "c")
    assert len(content["results"]) == 2


def test_too_few_or_unlike_results_are_refused(tmp_path: Path) -> None:
    first = results()[0]
    with pytest.raises(UsageError, match="2 to"):
        make_comparison([first], tmp_path / "c")
    volume, color, _ = subject(shape=(20, 44, 40))
    with pytest.raises(UsageError, match="differ in size"):
        make_comparison([first, Result("other", gray_codes_for(volume, color), color)], tmp_path / "c")
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def files(tmp_path: Path) -> Path:
    volume, color, _ = subject()
    write_volume(tmp_path / "gray.nii.gz", volume)
    write_color(tmp_path / "a.nrrd", color)
    _, other, _ = subject(jitter={10: 25.0})
    write_color(tmp_path / "b.nrrd", other)
    return tmp_path


def test_report_command(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["report", f"{files}/b.nrrd", "--gray", f"{files}/gray.nii.gz", "-o", f"{files}/r", "--no-rendering"]
    assert main([*words, "--json"]) == 0
    outcome = json.loads(capsys.readouterr().out)
    assert outcome["report"] == f"{files}/r"
    assert all((files / "r" / name).is_file() for name in outcome["files"])
    assert 10 in outcome["outlier_slices"]
    assert main(words) == 6  # it is there already
    assert "--overwrite" in capsys.readouterr().err
    assert main([*words, "--overwrite"]) == 0
    assert outcome["verdict"] in capsys.readouterr().out


def test_report_command_refuses_what_does_not_fit(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    volume, _, _ = subject(shape=(20, 44, 40))
    write_volume(files / "other.nii.gz", volume)
    assert main(["report", f"{files}/a.nrrd", "--gray", f"{files}/other.nii.gz", "-o", f"{files}/r"]) == 3
    assert "Give the gray volume" in capsys.readouterr().err
    assert not (files / "r").exists()


def test_report_command_with_truth_and_reference(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    from PIL import Image

    (files / "set").mkdir()
    rng = np.random.default_rng(0)
    for n in range(30):
        Image.fromarray(rng.integers(0, 255, (30, 40, 3), dtype=np.uint8)).save(files / "set" / f"{n}.png")
    words = ["report", f"{files}/b.nrrd", "--gray", f"{files}/gray.nii.gz", "-o", f"{files}/r", "--no-rendering"]
    _, truth, _ = subject(jitter=dict.fromkeys(range(28), 9.0))
    write_color(files / "truth.nrrd", truth)
    assert main([*words, "--truth", f"{files}/truth.nrrd", "--reference", f"{files}/set", "--json"]) == 0
    content = json.loads((files / "r" / "report.json").read_text())
    assert content["truth"]["chroma_mean"] > 0
    assert content["distance"]["pictures"][1] == 30
    assert "FID" not in content["distance"]["name"]
    assert main([*words, "--reference", f"{files}/r", "--overwrite"]) == 3
    assert "holds no pictures" in capsys.readouterr().err


def test_distances_are_named_after_the_network_that_was_given(
    files: Path, data: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    from PIL import Image

    pytest.importorskip("torch")
    weights = data / "weights" / "squeezenet11_features.mat"
    if not weights.is_file():
        pytest.skip("no weights of SqueezeNet here")
    (files / "set").mkdir()
    rng = np.random.default_rng(0)
    for n in range(6):
        Image.fromarray(rng.integers(0, 255, (40, 40, 3), dtype=np.uint8)).save(files / "set" / f"{n}.png")
    more = ["--reference", f"{files}/set", "--features", str(weights)]
    words = ["report", f"{files}/a.nrrd", "--gray", f"{files}/gray.nii.gz", "-o", f"{files}/r", "--no-rendering"]
    assert main([*words, *more]) == 0
    distance = json.loads((files / "r" / "report.json").read_text())["distance"]
    assert distance["name"] == "Frechet distance (SqueezeNet 1.1, mean of fire9)"
    assert distance["dimensions"] == 512
    words = ["compare", f"{files}/a.nrrd", f"{files}/b.nrrd", "--gray", f"{files}/gray.nii.gz", "-o", f"{files}/c"]
    assert main([*words, *more]) == 0
    content = json.loads((files / "c" / "compare.json").read_text())
    assert next(m["title"] for m in content["metrics"] if m["key"] == "distance") == distance["name"]
    assert all(one["metrics"]["distance"] > 0 for one in content["results"])
    assert distance["name"] in (files / "c" / "compare.html").read_text()
    assert main([*words, *more[:3], str(files / "a.nrrd"), "--overwrite"]) == 4  # no weights at all


def test_lpips_is_shown_where_it_was_computed(tmp_path: Path) -> None:
    class Half:
        name = "LPIPS (SqueezeNet 1.1)"

        def __call__(self, first: NDArray[np.uint8], second: NDArray[np.uint8]) -> float:
            return float(np.abs(first.astype(float) - second).mean() > 0) / 2

    volume, color, _ = subject()
    _, truth, _ = subject(jitter=dict.fromkeys(range(28), 9.0))
    gray = gray_codes_for(volume, color)
    make_report(gray, color, tmp_path / "with", reference=truth, perceptual=Half())
    make_report(gray, color, tmp_path / "without", reference=truth)
    assert json.loads((tmp_path / "with" / "report.json").read_text())["truth"]["lpips"] == 0.5
    assert "Against true colour: LPIPS" in (tmp_path / "with" / "report.html").read_text()
    page = (tmp_path / "without" / "report.html").read_text()
    assert "Against true colour: LPIPS" not in page
    assert "LPIPS was not computed" in page


def test_compare_command(files: Path, capsys: pytest.CaptureFixture[str]) -> None:
    words = ["compare", f"{files}/a.nrrd", f"{files}/b.nrrd", "--gray", f"{files}/gray.nii.gz", "-o", f"{files}/c"]
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [one["name"] for one in content["results"]] == ["A · test", "B · test"]
    assert main([*words, "--names", "one"]) == 2
    assert main([*words[:2], *words[3:]]) == 2
    assert main([*words, "--names", "calm", "wild", "--overwrite"]) == 0
    assert "calm" in (files / "c" / "compare.html").read_text()


def test_volume_and_color_of_the_subject_agree() -> None:
    """The tests above rest on this: the subject's luma is its input's, within rounding."""
    from MedColorizeLib.imaging.colorspaces import luma_codes

    volume, color, _ = subject()
    assert isinstance(volume, Volume)
    difference = luma_codes(color.rgb).astype(int) - gray_codes_for(volume, color).codes
    assert np.abs(difference).max() <= 3
