"""The papers' tables: what is written down, how runs are averaged, and one table run end to end."""

from __future__ import annotations

import csv
import io
import json
import math
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from MedColorizeLib.app.cli import main
from MedColorizeLib.errors import UsageError
from MedColorizeLib.evaluation.papers import Budget, Table, budget_of, find_table, table_names
from MedColorizeLib.evaluation.papers_output import markdown, score_text, to_csv, to_document
from MedColorizeLib.evaluation.papers_scores import (
    RunScores,
    against_gray,
    against_proposal,
    against_truth,
    average,
    between_runs,
    order_of_rows,
)


@pytest.mark.parametrize("name", table_names())
def test_tables_are_consistent(name: str) -> None:
    table = find_table(name)
    keys = [row.key for row in table.rows]
    assert len(set(keys)) == len(keys)
    assert not keys or table.proposal in keys
    columns = {column.key for column in table.columns}
    for finding in table.findings:
        assert {finding.above, finding.below} <= set(keys)
        assert finding.column in columns
    for row in table.rows:
        assert bool(row.recipe) == table.trains == (not row.transfer)
        assert set(row.published) == (columns if table.trains else set())  # Zeng's numbers are not at hand
        assert all(set(run) == columns for run in row.published_runs)
        assert not row.published_runs or len(row.published_runs) == table.runs


@pytest.mark.parametrize("name", [name for name in table_names() if name.startswith("liang")])
def test_printed_averages_are_those_of_the_printed_runs(name: str) -> None:
    """A slip of the copying hand would show here: the papers' averages of means and of deviations come out."""
    for row in find_table(name).rows:
        for key, (mean, deviation) in row.published.items():
            if not row.published_runs:
                continue
            means, deviations = zip(*(run[key] for run in row.published_runs), strict=True)
            assert np.mean(means) == pytest.approx(mean, abs=1.01e-4)
            assert np.mean([d for d in deviations if d is not None]) == pytest.approx(deviation, abs=1.01e-4)


def test_rows_name_recipes_that_exist(repository: Path) -> None:
    known = {path.stem for path in (repository / "Resources" / "Recipes").glob("*.toml")}
    if not known:
        pytest.skip("this copy has no recipes")
    wanted = {row.recipe for name in table_names() for row in find_table(name).rows if row.recipe}
    assert wanted <= known


def test_unknown_tables_and_budgets_are_refused() -> None:
    with pytest.raises(UsageError, match="liang-2"):
        find_table("liang2")
    table = find_table("liang-2")
    with pytest.raises(UsageError, match="Budgets"):
        budget_of("huge", table)
    assert budget_of("paper", table) == Budget("paper", 4000, 256)
    assert budget_of("tiny", table).size == 64
    assert budget_of("700", table) == Budget("700 steps", 700, 256)


def scores(row: str, run: int, values: list[float], **of_set: float) -> RunScores:
    return RunScores(row, run, {"psnr": values, "nrmse": values, "ssim": values}, of_set)


def test_averages_are_of_means_and_of_deviations() -> None:
    runs = [scores("a", 0, [1, 2, 3]), scores("a", 1, [4, 8, 12])]
    assert runs[0].score("psnr") == (2.0, 1.0)
    assert average(runs, "psnr") == (5.0, 2.5)
    assert between_runs(runs, "psnr") == pytest.approx(np.std([2, 8], ddof=1))
    assert math.isnan(between_runs(runs[:1], "psnr"))
    assert scores("a", 0, [1.0], distance=7.5).score("distance") == (7.5, None)
    assert math.isnan(average([scores("a", 0, [math.nan])], "psnr")[0])


def test_paired_test_sees_a_small_steady_gain_and_no_gain() -> None:
    rng = np.random.default_rng(0)
    base = rng.normal(25, 3, 20)
    better = [scores("p", 0, list(base + 0.2 + rng.normal(0, 0.05, 20)))]
    row = [scores("r", 0, list(base))]
    assert against_proposal(row, better, "psnr") < 0.001
    assert math.isnan(against_proposal(row, row, "psnr"))
    assert math.isnan(against_proposal(row, [scores("p", 0, [1.0, 2.0])], "psnr"))
    noise = [scores("p", 0, list(base + rng.normal(0, 0.5, 20)))]
    assert against_proposal(row, noise, "psnr") > 0.01


def test_scores_of_pictures_against_truth_and_gray() -> None:
    rng = np.random.default_rng(1)
    truth = rng.integers(0, 255, (3, 32, 32, 3), dtype=np.uint8)
    same = against_truth("r", 0, truth, truth, {"steps": 1})
    assert same.per_picture["ssim"] == [1.0, 1.0, 1.0]
    assert same.per_picture["nrmse"] == [0.0, 0.0, 0.0]
    gray = truth[..., 0]
    copy = np.repeat(gray[..., None], 3, axis=3)
    judged = against_gray("r", 0, copy, gray, list(truth), {})
    assert judged.score("luma_ssim")[0] == pytest.approx(1.0)
    assert judged.of_set["distance"] > 0
    assert "FID" not in judged.facts["distance"]
    assert RunScores.from_dict(json.loads(json.dumps(judged.to_dict()))).of_set == judged.of_set


def finished() -> dict[str, list[RunScores]]:
    rng = np.random.default_rng(2)
    out: dict[str, list[RunScores]] = {}
    for place, row in enumerate(find_table("liang-2").rows):
        out[row.key] = [scores(row.key, run, list(20 + 2 * place + rng.normal(0, 1, 20))) for run in range(2)]
    return out


def test_outputs_put_published_beside_ours() -> None:
    table = find_table("liang-2")
    budget = Budget("small", 200, 128)
    assert "nothing about the systems" in markdown(table, Budget("tiny", 4, 64), finished(), [], 2)
    text = markdown(table, budget, finished(), ["Data note."], 2)
    assert "nothing about the systems" not in text
    assert "5.00% of the published training" in text
    assert "| **CycleGAN** | **0.2045 ± 0.1032** |" in text
    assert text.count("not run") == 3 * 3  # the third run of each row
    assert "Data note." in text
    published, ours = order_of_rows(table, finished(), "psnr")
    assert published == ours == ["proposal", "perceptual", "cyclegan"]
    assert "the same order as published" in text
    assert "p = " in text
    rows = list(csv.DictReader(io.StringIO(to_csv(table, finished()))))
    assert len(rows) == 3 * 3 * 4
    mean = next(r for r in rows if r["row"] == "proposal" and r["run"] == "average" and r["metric"] == "psnr")
    assert float(mean["published_mean"]) == 26.9733
    assert float(mean["mean"]) == pytest.approx(average(finished()["proposal"], "psnr")[0], rel=1e-5)
    json.dumps(to_document(table, budget, finished(), [], 2), allow_nan=False)


def table_5(*, named: bool) -> tuple[Table, dict[str, list[RunScores]]]:
    table = find_table("colormedgan-5")
    called = {"distance": "FID"} if named else {}
    values = {"luma_ssim": [0.5, 0.6, 0.7], "luma_psnr": [20.0, 21.0, 22.0]}
    return table, {
        row.key: [RunScores(row.key, 0, values, {"distance": 100.0 + n}, called=called)]
        for n, row in enumerate(table.rows)
    }


def test_a_distance_in_another_space_is_never_called_fid_and_the_fid_is() -> None:
    budget = Budget("tiny", 4, 64)
    table, other = table_5(named=False)
    text = markdown(table, budget, other, [], 1)
    header = next(line for line in text.splitlines() if line.startswith("| Row"))
    cells = [cell.strip() for cell in header.strip("|").split("|")]
    assert cells[-2] == "FID ↓, published"
    assert cells[-1] == "Frechet distance (Lab statistics, 23 numbers a picture) ↓, ours"
    for line in text.splitlines():  # every sentence on our figures names the space
        assert "FID" not in line or "ublished" in line or "be compared" in line or "paper is not consistent" in line
    assert "- Frechet distance (Lab statistics, 23 numbers a picture), best first" in text
    content = to_document(table, budget, other, [], 1)
    assert content["metrics"]["distance"]["ours"].startswith("Frechet distance")
    assert content["metrics"]["luma_ssim"] == {"published": "SSIM", "ours": "SSIM"}
    table, same = table_5(named=True)
    text = markdown(table, budget, same, [], 1)
    assert "FID ↓, published | ours |" in text
    assert "Lab statistics" not in text


def test_inception_s_space_gives_the_fid_and_says_so() -> None:
    class Space:
        name = "Inception-v3 pool3"

        def __call__(self, pictures: NDArray[np.uint8]) -> NDArray[np.float64]:
            return pictures.reshape(len(pictures), -1)[:, :3].astype(float)

    rng = np.random.default_rng(3)
    pictures = rng.integers(0, 255, (4, 16, 16, 3), dtype=np.uint8)
    plain = against_gray("r", 0, pictures, pictures[..., 0], list(pictures), {})
    judged = against_gray("r", 0, pictures, pictures[..., 0], list(pictures), {}, features=Space())
    assert plain.called["distance"] == "Frechet distance (Lab statistics, 23 numbers a picture)"
    assert plain.called["distance"] == find_table("colormedgan-1").columns[-1].stand_in
    assert judged.called["distance"] == "FID"
    assert RunScores.from_dict(json.loads(json.dumps(judged.to_dict()))).called == judged.called


def test_a_page_is_assembled_from_result_folders(
    tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(str(repository / "Testing" / "Benchmarks"))
    import papers_page

    _, runs = table_5(named=False)
    for name, chosen in (("colormedgan-5", runs), ("liang-2", finished()), ("zeng-1", {})):
        folder = tmp_path / "results" / name
        (folder / "runs").mkdir(parents=True)
        (folder / "bench.json").write_text(json.dumps({"table": name, "budget": [50, 64], "data": []}))
        for one in (one for key, each in chosen.items() if key != "perceptual" for one in each):
            (folder / "runs" / f"{one.row}-{one.run + 1}.json").write_text(json.dumps(one.to_dict()))
    papers_page.main([str(tmp_path / "results"), "-o", str(tmp_path / "page.md")])
    text = (tmp_path / "page.md").read_text()
    assert text.index("## liang-2: Table 2") < text.index("## colormedgan-5: Table 5")
    assert "--table liang-2 --budget 50 --size 64 --runs 2 -o liang-2/" in text
    assert "**2 of 3 rows were run.**" in text
    assert "1.25% of the published training" in text
    assert text.count("What can be read out of it") == 2
    assert "| FID ↓, published | Frechet distance" in text
    last = text.strip().splitlines()[-1]
    assert last.startswith("Not run for this page:")
    assert {"zeng-1", "liang-3"} <= set(last.removesuffix(".").replace(",", "").split())


def test_score_texts() -> None:
    assert score_text((0.12345, 0.5), 3) == "0.123 ± 0.500"
    assert score_text((math.inf, None), 2) == "∞"
    assert score_text(None, 2) == score_text((math.nan, None), 2) == "–"


def test_command_lists_and_refuses(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["bench", "papers", "--list", "--json"]) == 0
    assert set(json.loads(capsys.readouterr().out)) == set(table_names())
    assert main(["bench", "papers", "--table", "liang-2"]) == 2
    assert main(["bench", "papers", "--table", "zeng-3", "-o", str(tmp_path / "z"), "--data", str(tmp_path)]) == 3
    assert "lacks the MR scans" in capsys.readouterr().err
    assert main(["bench", "papers", "--table", "zeng-3", "-o", str(tmp_path / "z"), "--pictures", "0"]) == 2
    assert main(["bench", "papers", "--table", "zeng-3", "-o", str(tmp_path / "z"), "--size", "8"]) == 2
    assert main(["bench", "papers", "--table", "liang-2", "-o", str(tmp_path / "x"), "--data", str(tmp_path)]) == 3
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "thing.txt").touch()
    assert main(["bench", "papers", "--table", "liang-2", "-o", str(tmp_path / "full")]) == 6


def test_retina_splits_keep_the_judged_pictures_apart(tmp_path: Path) -> None:
    from PIL import Image

    from MedColorizeLib.app.papers_data import Sources, make_task

    folder = tmp_path / "photographs"
    folder.mkdir()
    for n in range(12):
        Image.fromarray(np.full((40, 50, 3), 20 * n, np.uint8)).save(folder / f"{n:02d}.png")
    sources = Sources(tmp_path, color=folder)
    messidor = make_task(find_table("liang-3"), sources, Budget("t", 4, 32), 0, tmp_path / "work")

    def values(path: Path) -> set[int]:
        return {int(np.asarray(Image.open(file)).flat[0]) for file in path.iterdir()}

    test = {int(picture.flat[0]) for picture in messidor.test_gray}
    parts = [values(messidor.gray), values(messidor.color), test]
    assert [len(part) for part in parts] == [4, 4, 4]
    assert len(set.union(*parts)) == 12
    other = make_task(find_table("liang-3"), sources, Budget("t", 4, 32), 1, tmp_path / "work")
    assert {int(picture.flat[0]) for picture in other.test_gray} != test
    drive = make_task(find_table("liang-2"), sources, Budget("t", 4, 32), 0, tmp_path / "drive")
    assert {int(picture.flat[0]) for picture in drive.test_gray} == values(drive.gray)  # as the paper does
    assert not values(drive.gray) & values(drive.color)
    assert drive.test_gray.shape == (6, 32, 32)
    assert drive.truth is not None


@pytest.mark.slow
def test_a_table_runs_end_to_end_and_resumes(tmp_path: Path, data: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "liang-2"
    words = [
        "bench",
        "papers",
        "--table",
        "liang-2",
        "--budget",
        "tiny",
        "--runs",
        "1",
        "-o",
        str(out),
        "--data",
        str(data),
    ]
    assert main([*words, "--json"]) == 0
    content = json.loads(capsys.readouterr().out)
    assert [row["key"] for row in content["rows"]] == ["cyclegan", "perceptual", "proposal"]
    assert all(np.isfinite(row["ours"]["psnr"][0]) for row in content["rows"])
    assert main(words) == 6
    (out / "runs" / "perceptual-1.json").unlink()
    before = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    assert main([*words, "--resume"]) == 0
    after = {path.name: path.stat().st_mtime_ns for path in (out / "runs").iterdir()}
    assert set(after) - set(before) == {"perceptual-1.json"}
    assert all(after[name] == before[name] for name in before)
    again = json.loads((out / "table.json").read_text())
    assert again["rows"][1]["ours"] == content["rows"][1]["ours"]  # the same seed, the same numbers
    assert main([*words[:5], "3", *words[6:], "--resume"]) == 2
    assert not (out / "work").exists()
