"""The report as a folder: what is in it, what must never be in it, and when it is there at all."""

from __future__ import annotations

import csv
import dataclasses
import json
import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from report_subject import WINDOW, subject

from MedColorizeLib.errors import Cancelled, InputError, OutputError
from MedColorizeLib.evaluation import assessment as contract
from MedColorizeLib.evaluation import records
from MedColorizeLib.evaluation.assessment import UncertaintySummary
from MedColorizeLib.evaluation.report import gray_codes_for, make_report, window_of, write_report
from MedColorizeLib.imaging.volume import ColorVolume, Volume
from MedColorizeLib.progress import CancelToken, Progress

TYPES = {
    "object": dict,
    "array": list,
    "string": str,
    "integer": int,
    "number": (int, float),
    "boolean": bool,
    "null": type(None),
}


def problems(value: Any, schema: dict[str, Any], root: dict[str, Any], where: str = "$") -> list[str]:
    """What is wrong with `value`, for the part of JSON Schema that our schema uses."""
    if "$ref" in schema:
        return problems(value, root["$defs"][schema["$ref"].rsplit("/", 1)[1]], root, where)
    if "anyOf" in schema:
        branches = [problems(value, branch, root, where) for branch in schema["anyOf"]]
        return [] if any(not branch for branch in branches) else min(branches, key=len)
    if "const" in schema and value != schema["const"]:
        return [f"{where}: {value!r} is not {schema['const']!r}"]
    if "enum" in schema and value not in schema["enum"]:
        return [f"{where}: {value!r} is none of {schema['enum']}"]
    if "type" in schema:
        names = schema["type"] if isinstance(schema["type"], list) else [schema["type"]]
        fits = any(isinstance(value, TYPES[n]) and (n == "boolean" or not isinstance(value, bool)) for n in names)
        if not fits:
            return [f"{where}: {type(value).__name__} is not {names}"]
    found = []
    if isinstance(value, dict) and "properties" in schema:
        found += [f"{where}: {name} is missing" for name in schema.get("required", ()) if name not in value]
        if schema.get("additionalProperties") is False:
            found += [f"{where}: {name} is unknown" for name in value if name not in schema["properties"]]
        for name, part in schema["properties"].items():
            if name in value:
                found += problems(value[name], part, root, f"{where}.{name}")
    if isinstance(value, list) and "items" in schema:
        if not schema.get("minItems", 0) <= len(value) <= schema.get("maxItems", len(value)):
            found.append(f"{where}: {len(value)} items")
        for n, item in enumerate(value):
            found += problems(item, schema["items"], root, f"{where}[{n}]")
    return found


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    volume, color, labels = subject(jitter={13: 30.0})
    folder = tmp_path_factory.mktemp("report") / "out"
    outcome = make_report(gray_codes_for(volume, color), color, folder, labels=labels, title="A <b>title</b>")
    return folder, outcome


@pytest.fixture(scope="module")
def schema(repository: Path) -> dict[str, Any]:
    return json.loads((repository / "Resources" / "Schemas" / "report.schema.json").read_text())


def test_folder_holds_exactly_the_three_files(written: tuple[Path, dict[str, Any]]) -> None:
    folder, _ = written
    assert sorted(path.name for path in folder.iterdir()) == ["report.html", "report.json", "slices.csv"]
    assert [path.name for path in folder.parent.iterdir()] == ["out"]


def test_json_follows_its_schema(written: tuple[Path, dict[str, Any]], schema: dict[str, Any]) -> None:
    content = json.loads((written[0] / "report.json").read_text())
    assert problems(content, schema, schema) == []
    assert content["window"] == list(WINDOW)


def test_schema_check_would_notice(written: tuple[Path, dict[str, Any]], schema: dict[str, Any]) -> None:
    content = json.loads((written[0] / "report.json").read_text())
    wrong = {**content, "overall": "purple", "extra": 1, "trust": {**content["trust"], "lost_share": "much"}}
    del wrong["verdict"]
    assert len(problems(wrong, schema, schema)) == 4


@pytest.mark.parametrize(
    "kind",
    [kind for kind in vars(records).values() if dataclasses.is_dataclass(kind)],
    ids=lambda kind: kind.__name__,
)
def test_schema_names_every_field_of_the_contract(kind: type, schema: dict[str, Any]) -> None:
    assert set(schema["$defs"][kind.__name__]["properties"]) == {field.name for field in dataclasses.fields(kind)}


def test_schema_has_the_version_of_the_code(schema: dict[str, Any]) -> None:
    assert schema["properties"]["schema"]["const"] == contract.SCHEMA
    own = {"schema", "warning", "title", "created", "generator", "window", "window_note", "rendering", "slice_numbers"}
    assert set(schema["properties"]) - own == {field.name for field in dataclasses.fields(contract.Assessment)}


def test_csv_has_a_row_per_slice_and_marks_the_outlier(written: tuple[Path, dict[str, Any]]) -> None:
    folder, outcome = written
    rows = list(csv.DictReader((folder / "slices.csv").open()))
    assert [int(row["index"]) for row in rows] == list(range(28))
    assert [int(row["index"]) for row in rows if row["outlier"] == "1"] == outcome["outlier_slices"]
    assert 13 in outcome["outlier_slices"]
    assert all(row["reasons"] for row in rows if row["outlier"] == "1")
    assert rows[-1]["flicker_to_next"] == ""


class Collector(HTMLParser):
    """Tags and attributes of a page, and whether tags are balanced."""

    VOID = ("meta", "img", "br", "path", "rect", "circle", "line", "link", "input")

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.seen: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.seen.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        if tag not in self.VOID:
            assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)


@pytest.fixture(scope="module")
def html(written: tuple[Path, dict[str, Any]]) -> Collector:
    collector = Collector()
    collector.feed((written[0] / "report.html").read_text())
    return collector


def test_page_is_whole_and_stands_alone(html: Collector) -> None:
    assert html.open == []
    assert not any(tag in ("script", "link", "iframe", "object") for tag, _ in html.seen)
    for _, attributes in html.seen:
        for name in ("src", "href", "xlink:href", "action"):
            assert (attributes.get(name) or "data:").startswith("data:")


def test_page_says_what_a_reader_needs(html: Collector, written: tuple[Path, dict[str, Any]]) -> None:
    text = " ".join(html.text)
    assert written[1]["verdict"] in text
    assert "not for diagnosis" in text.lower()
    assert "A <b>title</b>" in text
    assert "gray <b>matter</b>" in text
    assert "A note." in text
    for grade in written[1]["grades"].values():
        assert grade["title"] in text
    pictures = [attributes for tag, attributes in html.seen if tag == "img"]
    assert len(pictures) >= 6 + 4  # three planes, and the outlier between its neighbours
    assert all(attributes.get("alt") for attributes in pictures)


@pytest.mark.parametrize("name", ["report.html", "report.json", "slices.csv"])
def test_nothing_names_a_patient_or_a_place(name: str, written: tuple[Path, dict[str, Any]]) -> None:
    text = (written[0] / name).read_text()
    for secret in ("Doe", "jane", "/home", str(written[0].parent)):
        assert secret not in text


def test_what_is_harmless_in_the_provenance_stays(written: tuple[Path, dict[str, Any]]) -> None:
    content = json.loads((written[0] / "report.json").read_text())
    assert content["provenance"]["model"] == "test"
    assert content["provenance"]["options"] == {"strength": 1.5}


def test_rendering_and_uncertainty_are_shown(tmp_path: Path) -> None:
    volume, color, _ = subject()
    unsure = UncertaintySummary(("axial", "coronal"), 1.0, 0.8, 3.0, 9.0, 0.07, np.ones(28))
    png = b"\x89PNG\r\n\x1a\n" + b"picture"
    make_report(gray_codes_for(volume, color), color, tmp_path / "r", rendering=png, uncertainty=unsure)
    text = (tmp_path / "r" / "report.html").read_text()
    assert "In three dimensions" in text
    assert text.count("axial / coronal") >= 2  # the chart and the table of numbers
    content = json.loads((tmp_path / "r" / "report.json").read_text())
    assert content["rendering"] is True
    assert content["uncertainty"]["share_visible"] == 0.07


def test_existing_folder_is_kept_unless_told(tmp_path: Path) -> None:
    volume, color, _ = subject()
    gray = gray_codes_for(volume, color)
    (tmp_path / "r").mkdir()
    (tmp_path / "r" / "mine.txt").write_text("kept")
    with pytest.raises(OutputError, match="exists already"):
        make_report(gray, color, tmp_path / "r")
    assert (tmp_path / "r" / "mine.txt").read_text() == "kept"
    with pytest.raises(OutputError, match="would delete"):
        make_report(gray, color, tmp_path / "r", overwrite=True)
    assert (tmp_path / "r" / "mine.txt").read_text() == "kept"
    (tmp_path / "r" / "mine.txt").unlink()
    (tmp_path / "r" / "report.html").write_text("an older report")
    make_report(gray, color, tmp_path / "r", overwrite=True)
    assert (tmp_path / "r" / "report.html").read_text() != "an older report"


def test_cancelled_report_leaves_nothing(tmp_path: Path) -> None:
    volume, color, _ = subject()
    token = CancelToken()
    seen: list[Progress] = []

    def on_progress(event: Progress) -> None:
        seen.append(event)
        if len(seen) == 3:
            token.cancel()

    with pytest.raises(Cancelled):
        make_report(gray_codes_for(volume, color), color, tmp_path / "r", on_progress=on_progress, cancel=token)
    assert list(tmp_path.iterdir()) == []


def test_write_report_takes_an_assessment_that_is_there(tmp_path: Path) -> None:
    volume, color, _ = subject()
    gray = gray_codes_for(volume, color)
    assessment = contract.assess(gray.codes, color)
    folder = write_report(tmp_path / "r", volume, color, assessment)
    assert folder == tmp_path / "r"
    assert json.loads((folder / "report.json").read_text())["verdict"] == assessment.verdict


def test_codes_come_from_the_stated_window() -> None:
    volume, color, _ = subject()
    gray = gray_codes_for(volume, color)
    low, high = WINDOW
    assert gray.window == WINDOW
    assert (gray.codes == np.clip(np.rint((volume.array - low) * 255 / (high - low)), 0, 255)).all()


def test_a_missing_window_is_chosen_and_said(tmp_path: Path) -> None:
    volume, color, _ = subject()
    plain = ColorVolume(color.array, color.affine)
    gray = gray_codes_for(volume, plain)
    assert "automatically" in gray.note
    make_report(gray, plain, tmp_path / "r")
    assert "chosen automatically" in (tmp_path / "r" / "report.html").read_text()


def test_another_volume_is_refused() -> None:
    volume, color, _ = subject()
    moved = volume.affine.copy()
    moved[0, 3] += 5
    with pytest.raises(InputError, match="different places"):
        gray_codes_for(Volume(volume.array, moved), color)
    with pytest.raises(InputError, match="Give the gray volume"):
        make_report(np.zeros((3, 3, 3), np.uint8), color, "unused")


@pytest.mark.parametrize("stated", [None, "auto", [5], [5, 5], [9, 1], ["a", "b"], {"low": 1}])
def test_unusable_windows_are_not_taken(stated: Any) -> None:
    assert window_of({"window": stated}) is None


def test_windows_are_read_as_lists_and_tables() -> None:
    assert window_of({"window": [0, 80]}) == (0.0, 80.0)
    assert window_of({"window": {"low": -5, "high": 80}}) == (-5.0, 80.0)


@pytest.mark.parametrize("shape", [(1, 30, 30), (2, 30, 30), (30, 1, 30), (3, 12, 5)])
def test_thin_volumes_have_a_report_too(shape: tuple[int, int, int], tmp_path: Path, schema: dict[str, Any]) -> None:
    volume, color, labels = subject(shape=shape)
    make_report(gray_codes_for(volume, color), color, tmp_path / "r", labels=labels)
    content = json.loads((tmp_path / "r" / "report.json").read_text())
    assert problems(content, schema, schema) == []


def test_oblique_volume_and_alpha(tmp_path: Path, oblique: np.ndarray) -> None:
    volume, color, _ = subject(affine=oblique)
    rgba = np.concatenate([color.array, np.full((*color.shape, 1), 255, np.uint8)], axis=3)
    make_report(gray_codes_for(volume, color), ColorVolume(rgba, oblique, color.provenance), tmp_path / "r")
    assert re.search(r"oblique", (tmp_path / "r" / "report.html").read_text())


def test_empty_volume_has_a_report(tmp_path: Path) -> None:
    color = ColorVolume(np.zeros((6, 8, 7, 3), np.uint8), np.eye(4))
    make_report(np.zeros((6, 8, 7), np.uint8), color, tmp_path / "r")
    assert (tmp_path / "r" / "report.html").is_file()


def test_the_disagreement_of_three_planes_enters_the_report_by_itself(tmp_path: Path) -> None:
    """`colorize --uncertainty --report`: what is written as a volume is graded on the page, in the same unit."""
    pytest.importorskip("monai")
    import nibabel
    from test_bundles_trust import facts, tiny_method

    from MedColorizeLib.app.pipeline import ColorizeJob, colorize_file
    from MedColorizeLib.bundles.write import write_bundle
    from MedColorizeLib.imaging.foreground import foreground

    write_bundle(tmp_path / "tiny", tiny_method().inference_network(), facts())
    y, x = np.mgrid[:24, :24]
    ball = (np.hypot(y - 12, x - 12)[None] < 10) * (40 + 4 * np.arange(10)[:, None, None] + 3 * x)
    source = tmp_path / "scan.nii.gz"
    nibabel.save(nibabel.Nifti1Image(ball.astype(np.uint8).transpose(2, 1, 0), np.eye(4)), source)
    job = ColorizeJob(
        source,
        tmp_path / "color.nii.gz",
        model=str(tmp_path / "tiny"),
        window=(0.0, 255.0),
        report=tmp_path / "report",
        uncertainty=tmp_path / "unsure.nii.gz",
    )
    colorize_file(job)
    report = json.loads((tmp_path / "report" / "report.json").read_text())
    told = report["uncertainty"]
    volume = np.asarray(nibabel.load(tmp_path / "unsure.nii.gz").dataobj).transpose(2, 1, 0)
    inside = volume[foreground(ball.astype(np.uint8), (1.0, 1.0, 1.0))]
    assert told["names"] == ["axial", "coronal", "sagittal"]
    assert told["mean"] == pytest.approx(float(inside.mean()), rel=1e-4)
    assert told["p95"] == pytest.approx(float(np.percentile(inside, 95)), rel=1e-3)
    assert inside.mean() > 0
    assert "uncertainty_p95" in {grade["key"] for grade in report["grades"]}
