"""The assessment as a whole: its document, grades, bands, refusals and cost."""

from __future__ import annotations

import json
import math
import tracemalloc
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from eval_phantoms import SHAPE, anatomy, painted, volume

from MedColorizeLib.errors import Cancelled, InputError
from MedColorizeLib.evaluation.assessing import planes_of
from MedColorizeLib.evaluation.assessment import SCHEMA, assess
from MedColorizeLib.evaluation.bands import load_bands
from MedColorizeLib.evaluation.grades import light_of
from MedColorizeLib.imaging.foreground import foreground
from MedColorizeLib.imaging.volume import ColorVolume, LabelVolume
from MedColorizeLib.progress import CancelToken, Progress

GRAY, MASK = anatomy()


def test_the_document_is_json_with_a_schema() -> None:
    reference = list(painted(GRAY, 30)[:6])
    result = assess(GRAY, volume(painted(GRAY)), foreground=MASK, reference_set=reference)
    text = json.dumps(result.to_dict(), allow_nan=False)
    document = json.loads(text)
    assert document["schema"] == SCHEMA == "medcolorize-report/1"
    assert document["fidelity"]["luma_psnr"] is None
    assert document["fidelity"]["luma_identical"] is True
    assert len(document["consistency"][0]["shift"]) == SHAPE[0] - 1
    assert len(document["slices"]["mean_a"]) == SHAPE[0]
    assert document["distance"]["name"].startswith("Frechet distance (Lab statistics")
    assert document["facts"]["foreground_voxels"] == MASK.sum()
    assert {g["light"] for g in document["grades"]} <= {"green", "amber", "red", "none"}


def test_progress_is_told_and_cancel_heeded() -> None:
    events: list[Progress] = []
    assess(GRAY, volume(painted(GRAY)), foreground=MASK, on_progress=events.append)
    assert all(0 <= e.done <= e.total for e in events)
    assert {e.stage for e in events} == {"report: slices", "report: consistency"}
    assert events[-1].done == events[-1].total
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        assess(GRAY, volume(painted(GRAY)), foreground=MASK, cancel=token)


def test_without_a_mask_the_foreground_is_found() -> None:
    color = volume(painted(GRAY))
    found = assess(GRAY, color)
    assert found.facts.foreground_voxels == foreground(GRAY, color.spacing).sum()
    assert found.facts.foreground_share == pytest.approx(MASK.mean(), abs=0.1)


def test_wrong_inputs_are_refused_with_advice() -> None:
    color = volume(painted(GRAY))
    with pytest.raises(InputError, match="Give the gray volume"):
        assess(GRAY[:-1], color)
    with pytest.raises(InputError, match="8-bit"):
        assess(GRAY.astype(np.float32), color)  # type: ignore[arg-type]
    with pytest.raises(InputError, match="Resample"):
        assess(GRAY, color, labels=LabelVolume(np.ones(SHAPE, int), np.diag([2.0, 1, 1, 1])))
    with pytest.raises(InputError, match="mask"):
        assess(GRAY, color, foreground=MASK[1:])


def test_an_empty_volume_gets_no_verdict_it_cannot_have() -> None:
    result = assess(np.zeros(SHAPE, np.uint8), volume(np.zeros((*SHAPE, 3), np.uint8)))
    json.dumps(result.to_dict(), allow_nan=False)
    assert result.overall == "red"  # practically gray
    nothing = assess(GRAY, volume(painted(GRAY)), foreground=np.zeros(SHAPE, bool))
    assert any("every voxel" in note for note in nothing.notes)


@pytest.mark.parametrize("shape", [(1, 1, 1), (2, 1, 3), (1, 9, 1), (3, 300, 2)])
def test_thin_volumes_do_not_fail(shape: tuple[int, int, int]) -> None:
    gray = np.random.default_rng(0).integers(0, 255, shape, dtype=np.uint8)
    result = assess(gray, volume(painted(gray)), foreground=np.ones(shape, bool))
    json.dumps(result.to_dict(), allow_nan=False)


def test_rgba_is_judged_by_its_colour() -> None:
    rgb = painted(GRAY)
    with_alpha = np.concatenate([rgb, np.where(MASK, 255, 0)[..., None].astype(np.uint8)], axis=-1)
    one, two = (assess(GRAY, ColorVolume(a, np.eye(4)), foreground=MASK) for a in (rgb, with_alpha))
    assert one.to_dict() == two.to_dict()


def test_planes_are_named_by_the_affine(oblique: np.ndarray) -> None:
    assert planes_of(np.diag([1.0, 1, 3, 1])) == ("axial", "coronal", "sagittal")
    sagittal = np.eye(4)[[2, 0, 1, 3]].T
    assert planes_of(sagittal) == ("coronal", "sagittal", "axial")
    assert planes_of(oblique) == ("oblique axial", "oblique coronal", "oblique sagittal")


def test_lights() -> None:
    assert [light_of(v, 1, 3) for v in (0, 1, 1.1, 3, 3.1, math.nan)] == [
        "green", "green", "amber", "amber", "red", "none",
    ]  # fmt: skip
    assert [light_of(v, 8, 3, higher_is_better=True) for v in (9, 5, 1)] == ["green", "amber", "red"]


def test_verdict_names_the_worst_first_and_the_slices() -> None:
    degrees = np.zeros(SHAPE[0])
    degrees[[6, 17, 22]] = 60
    result = assess(GRAY, volume(painted(GRAY, degrees)), foreground=MASK)
    assert result.overall == "red"
    assert result.verdict.startswith("Look twice")
    assert "Slices to look at: 6, 17, 22." in result.verdict
    good = assess(GRAY, volume(np.where(MASK[..., None], painted(GRAY), GRAY[..., None])), foreground=MASK)
    assert good.overall == "green"
    assert good.verdict.startswith("Nothing speaks against")


def test_labels_beyond_the_largest_are_left_out_and_said_so() -> None:
    labels = np.where(MASK, np.arange(SHAPE[2]) // 2 + 1, 0)
    result = assess(GRAY, volume(painted(GRAY)), foreground=MASK, labels=LabelVolume(labels, np.eye(4)))
    assert len(result.consistency[0].tissues) <= 16
    assert any("smaller ones" in note for note in result.notes)


def test_reference_bands_are_shipped_with_how_they_came(repository: Path) -> None:
    bands = {band.key: band for band in load_bands()}
    assert {"shift_per_mm", "jitter", "isotropy", "bleeding_share", "flicker_per_mm"} <= set(bands)
    document = json.loads((repository / "Resources/Bands/cryosections.json").read_text())
    for band in bands.values():
        assert 0 <= band.low <= band.median <= band.high
        assert "Visible Human" in band.source
        assert len(band.how) > 20
    groups = {row["group"] for row in document["slabs"]}
    assert groups == {"rest", "held out"}
    # What is shipped can be recomputed from the slabs it lists.
    values = [row["shift_per_mm"] for row in document["slabs"] if row["group"] == "rest"]
    assert document["bands"]["shift_per_mm"]["p95"] == pytest.approx(np.percentile(values, 95), abs=1e-3)
    # Bounds chosen on the rest hold on what was held out.
    assert document["held_out"]["shift_per_mm"]["median"] <= document["bands"]["shift_per_mm"]["p95"]


def test_memory_stays_under_three_times_the_volume() -> None:
    gray, mask = anatomy((60, 160, 160))
    color = replace(volume(painted(gray)), provenance={})
    assess(gray[:4], volume(painted(gray[:4])), foreground=mask[:4])  # what is loaded once
    tracemalloc.start()
    assess(gray, color)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    fixed = 60e6  # samples have a fixed size per slice: they weigh on small volumes only
    assert peak < 3 * color.array.nbytes + fixed
