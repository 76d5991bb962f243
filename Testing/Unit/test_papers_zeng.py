"""Zeng's tables: what the paper says against what comes out, which slices are judged, and one table end to end."""

from __future__ import annotations

import json
import math
from pathlib import Path

import numpy as np
import pytest

from MedColorizeLib.app.cli import main
from MedColorizeLib.app.papers_data import Sources
from MedColorizeLib.app.papers_slices import find_slices, nearest, pseudo_color
from MedColorizeLib.evaluation.fidelity import entropy
from MedColorizeLib.evaluation.papers import Budget, Finding, Table, find_table
from MedColorizeLib.evaluation.papers_findings import try_findings
from MedColorizeLib.evaluation.papers_output import markdown, to_document
from MedColorizeLib.evaluation.papers_scores import RunScores, against_slices
from MedColorizeLib.imaging.colorspaces import luma_codes


def table(*findings: Finding) -> Table:
    return Table("t", "T", "P", "exemplar", (), (), 1, 10, 1, "a", (), findings=findings)


def scores(row: str, values: list[float], groups: list[str] | None = None) -> dict[str, list[RunScores]]:
    return {row: [RunScores(row, 0, {"psnr": values}, {}, {"groups": groups or [""] * len(values)})]}


def verdict(above: list[float], below: list[float], group: str = "", groups: list[str] | None = None) -> str:
    finding = Finding("a above b", "a", "b", "psnr", group)
    return try_findings(table(finding), scores("a", above, groups) | scores("b", below, groups))[0].verdict


def test_findings_are_confirmed_refuted_or_left_open() -> None:
    steady = [20.0 + n for n in range(8)]
    better = [value + 0.1 * (n + 1) for n, value in enumerate(steady)]
    assert verdict(better, steady) == "confirmed"
    assert verdict(steady, better) == "refuted"
    assert verdict(steady, steady) == "undecided"
    mixed = [value + (-1) ** n * 0.3 for n, value in enumerate(steady)]
    assert verdict(mixed, steady) == "undecided"
    # So few pictures that no test decides: all of them have to agree.
    assert verdict([3, 4], [1, 2]) == "confirmed"
    assert verdict([3, 1], [1, 2]) == "undecided"
    assert verdict([3, math.inf], [1, math.inf]) == "confirmed"


def test_findings_about_a_kind_look_at_that_kind_only() -> None:
    groups = ["CT", "CT", "MR", "MR"]
    assert verdict([2, 2, 0, 0], [1, 1, 9, 9], "CT", groups) == "confirmed"
    assert verdict([2, 2, 0, 0], [1, 1, 9, 9], "MR", groups) == "refuted"
    assert verdict([2, 2, 0, 0], [1, 1, 9, 9], "US", groups) == "not run"


def test_rows_that_were_not_run_decide_nothing() -> None:
    finding = Finding("a above b", "a", "b", "psnr")
    for finished in ({}, scores("a", [1.0]), scores("a", [1.0]) | scores("b", [1.0, 2.0])):
        outcome = try_findings(table(finding), finished)[0]
        assert outcome.verdict == "not run"
        assert outcome.sentence({"a": "A", "b": "B"}, 2) == "a above b: not run."


def test_scores_against_slices_are_those_of_luma() -> None:
    rng = np.random.default_rng(0)
    gray = rng.integers(0, 255, (2, 32, 32), dtype=np.uint8)
    same = np.repeat(gray[..., None], 3, axis=3)
    judged = against_slices("r", 0, same, gray, {"seconds": 1})
    assert judged.per_picture["luma_psnr"] == [math.inf, math.inf]
    assert judged.per_picture["luma_ssim"] == pytest.approx([1, 1])
    assert judged.per_picture["fsim"] == pytest.approx([1, 1])
    assert judged.per_picture["entropy_shift"] == [0, 0]
    assert judged.per_picture["colorfulness"] == [0, 0]
    flat = np.full_like(same, 90)
    flat[..., 0] = 120
    other = against_slices("r", 0, flat, gray, {})
    assert other.per_picture["entropy"] == [0, 0]
    expected = [entropy(np.bincount(plane.ravel(), minlength=256)) for plane in gray]
    assert other.per_picture["entropy_shift"] == pytest.approx(expected)
    assert other.facts["entropy of the gray input"] == round(float(np.mean(expected)), 3)
    assert min(other.per_picture["colorfulness"]) > 5
    assert RunScores.from_dict(json.loads(json.dumps(other.to_dict()))).per_picture == other.per_picture


def test_pages_say_the_budget_first_and_the_findings_in_words() -> None:
    one = find_table("zeng-1")
    finished = {}
    for place, row in enumerate(one.rows):
        values = {key: [30.0 - place + n for n in range(8)] for key in ("luma_psnr", "luma_ssim", "fsim")}
        finished[row.key] = [RunScores(row.key, 0, values, {}, {"groups": ["MR"] * 8})]
    text = markdown(one, Budget("60 steps", 60, 112), finished, ["Note."], 1)
    assert "60 iterations a picture" in text
    assert "3.00% of the published iterations" in text
    assert "γ = 10 | " not in text.partition("## What the paper says")[0].replace("**", "X")
    assert text.count("| **–** |") == 15
    assert "**confirmed here** (γ = 10 31.50, γ = 1000 29.50; 8 of 8 pictures agree" in text
    assert "γ = 1 scores above other values (0.1): **refuted here**" in text
    document = to_document(one, Budget("60 steps", 60, 112), finished, [], 1)
    assert {found["verdict"] for found in document["findings"]} == {"confirmed", "refuted"}
    json.dumps(document, allow_nan=False)


def test_pseudo_colour_keeps_the_order_of_brightness_and_black() -> None:
    ramp = pseudo_color(np.arange(256, dtype=np.uint8)[None])
    assert (np.diff(luma_codes(ramp)[0].astype(int)) >= 0).all()
    assert ramp[0, 0].tolist() == [0, 0, 0]
    assert ramp[0, 255].tolist() == [255, 255, 255]
    assert np.ptp(ramp[0, 80:200], axis=1).min() > 60


def test_the_reference_is_the_nearest_in_the_way_it_lies() -> None:
    rng = np.random.default_rng(1)
    from scipy.ndimage import gaussian_filter

    planes = [np.clip(gaussian_filter(rng.normal(128, 900, (60, 60)), 6), 20, 250).astype(np.uint8) for _ in range(5)]
    candidates = [pseudo_color(plane[::-1]) for plane in planes]
    found = nearest(planes[3], candidates)
    assert np.array_equal(found, candidates[3][::-1])


def test_no_slice_is_its_own_reference_and_heads_take_turns(data: Path, tmp_path: Path) -> None:
    found = find_slices(find_table("zeng-1"), Sources(data), 48, 2, tmp_path)
    assert [one.group for one in found.found] == ["MR", "MR", "CT", "CT", "US", "US"]
    for one in found.found:
        assert one.gray.shape == (48, 48)
        assert max(one.reference.shape[:2]) <= 48
        for turned in (one.reference, one.reference[::-1], one.reference[:, ::-1], one.reference[::-1, ::-1]):
            mine = pseudo_color(one.gray)
            assert turned.shape != mine.shape or not np.array_equal(turned, mine)
    assert not np.array_equal(found.found[0].gray, found.found[1].gray)
    assert any("pseudo-coloured slices that are not judged" in note for note in found.notes)


def test_a_persons_own_folders_are_judged(tmp_path: Path) -> None:
    from PIL import Image

    rng = np.random.default_rng(2)
    for name, shape in (("gray", (40, 40)), ("color", (50, 40, 3))):
        (tmp_path / name).mkdir()
        for n in range(4):
            picture = rng.integers(30, 250, shape, dtype=np.uint8)
            picture[..., 2:] //= 3  # not so blue as to be taken for gelatine
            Image.fromarray(picture).save(tmp_path / name / f"{n}.png")
    sources = Sources(tmp_path, gray=tmp_path / "gray", color=tmp_path / "color")
    found = find_slices(find_table("zeng-3"), sources, 32, 1, tmp_path / "cache")
    assert len(found.found) == 1
    assert found.found[0].gray.shape == (32, 32)
    assert found.notes == ("Folder given: 1 slices.", "References: 4 pictures of the folder given.")


@pytest.mark.slow
def test_a_table_of_transfers_runs_and_resumes(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "zeng-3"
    words = ["bench", "papers", "--table", "zeng-3", "--budget", "4", "--size", "48", "--pictures", "1", "-o", str(out)]
    words += ["--data", str(data)]
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert len(content["rows"]) == 8
    assert all(np.isfinite(row["ours"]["luma_ssim"][0]) for row in content["rows"])
    assert all(found["verdict"] != "not run" for found in content["findings"])
    assert (out / "samples" / "zeng-1.png").is_file()
    assert "relu3_4" in (out / "table.md").read_text() or "VGG-19" not in (out / "table.md").read_text()
    (out / "runs" / "ctccs-1.json").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    assert main([*words, "--resume"]) == 0
    after = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    assert set(after) - set(before) == {"ctccs-1.json"}
    assert all(after[name] == before[name] for name in before)
    assert main([*words[:8], "--pictures", "2", *words[10:], "--resume"]) == 2
