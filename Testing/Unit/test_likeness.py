"""Scans unlike the training scans get a warning and a lower grade; held-out scans of the model's kind get neither."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from MedColorizeLib.bundles.amend import amend
from MedColorizeLib.bundles.folder import METADATA, WEIGHTS, read_bundle
from MedColorizeLib.bundles.likeness import QUANTILES, Comparison, Likeness, of_other_modality
from MedColorizeLib.bundles.verify import sha256_of, verify
from MedColorizeLib.bundles.write import write_bundle
from MedColorizeLib.errors import ModelError
from MedColorizeLib.evaluation.grades import grade_likeness
from MedColorizeLib.imaging.read import read_volume
from MedColorizeLib.imaging.volume import Volume
from MedColorizeLib.imaging.windows import choose_window, codes, modality_of
from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.inference.network import NetworkPainter, load_painter
from MedColorizeLib.inference.painter import Subject

from test_bundles_trust import facts, tiny_method  # isort: skip

LIKE = Likeness.of([[{"size": 150.0 + n, "grain": 0.3 + 0.001 * n} for n in range(40)]])


def test_what_lies_within_the_range_is_like_and_farther_is_unlike() -> None:
    inside = [{"size": 170.0, "grain": 0.32}] * 9
    assert LIKE.compare(inside).score == 0
    assert LIKE.compare(inside).note == ""
    scores = [LIKE.compare([{"size": size, "grain": 0.32}] * 9).score for size in (189.0, 195.0, 210.0, 400.0)]
    assert scores == sorted(scores)
    far = LIKE.compare([{"size": 400.0, "grain": 0.32}] * 9)
    assert far.unlike
    assert "the body is larger (400 mm across; trained on 150 to 189)" in far.note
    small = LIKE.compare([{"size": 20.0, "grain": 0.9}] * 9)
    assert any("smaller" in reason for reason in small.reasons)
    assert any("noisier" in reason for reason in small.reasons)


def test_one_odd_slice_does_not_make_a_scan_unlike_and_few_slices_are_judged_mildly() -> None:
    good, odd = {"size": 170.0, "grain": 0.32}, {"size": 205.0, "grain": 0.32}
    assert not LIKE.compare([good] * 5 + [odd] * 4).unlike
    assert LIKE.compare([odd] * 9).score == pytest.approx(2 * LIKE.compare([odd]).score)
    assert LIKE.compare([]).score == 0
    assert LIKE.compare([{}] * 9).score == 0


@given(st.lists(st.lists(st.floats(0, 1), min_size=1, max_size=12), min_size=1, max_size=6))
def test_ranges_rise_hold_the_middle_and_survive_the_metadata(values: list[list[float]]) -> None:
    made = Likeness.of([[{"grain": value} for value in volume] for volume in values])
    quantiles = made.ranges["grain"]
    assert list(quantiles) == sorted(quantiles)
    every = [value for volume in values for value in volume]
    assert min(every) - 1e-4 <= quantiles[0] <= quantiles[-1] <= max(every) + 1e-4
    again = Likeness.from_mapping(json.loads(json.dumps(made.to_mapping())), Path("m"))
    assert again == made


def test_after_few_volumes_ranges_are_taken_less_strictly() -> None:
    values = [{"grain": 0.30}, {"grain": 0.31}]
    one, many = Likeness.of([values]), Likeness.of([values] * 30)
    far = [{"grain": 0.5}] * 9
    assert one.compare(far).score == pytest.approx(many.compare(far).score / 9, rel=0.02)


def test_every_volume_weighs_the_same() -> None:
    made = Likeness.of([[{"grain": 0.2}] * 1000, [{"grain": 0.6}] * 3])
    assert made.ranges["grain"][-1] == pytest.approx(0.6)
    assert made.ranges["grain"][2] == pytest.approx(0.4, abs=0.21)


@pytest.mark.parametrize(
    "raw",
    [
        None,
        {"volumes": 1, "slices": 1, "quantiles": list(QUANTILES)},
        {"volumes": 1, "slices": 1, "quantiles": [0, 1], "ranges": {}},
        {"volumes": 1, "slices": 1, "quantiles": list(QUANTILES), "ranges": {"charm": [0, 1, 2, 3, 4]}},
        {"volumes": 1, "slices": 1, "quantiles": list(QUANTILES), "ranges": {"grain": [0, 1, 2]}},
        {"volumes": 1, "slices": 1, "quantiles": list(QUANTILES), "ranges": {"grain": [4, 1, 2, 3, 4]}},
        {"volumes": 1, "slices": 1, "quantiles": list(QUANTILES), "ranges": {"grain": [0, 1, 2, 3, float("nan")]}},
        {"volumes": 1, "slices": 1, "quantiles": list(QUANTILES), "ranges": {"grain": "abcde"}},
    ],
)
def test_damaged_figures_are_refused(raw: object) -> None:
    with pytest.raises(ModelError, match="likeness"):
        Likeness.from_mapping(raw, Path("metadata.json"))


def jpeg(side: int = 64, noise: bool = False) -> bytes:
    from PIL import Image

    out = BytesIO()
    pixels = np.random.default_rng(0).integers(0, 256, (side, side, 3)) if noise else np.zeros((side, side, 3))
    Image.fromarray(pixels.astype(np.uint8)).save(out, "JPEG", quality=95)
    return out.getvalue()


def test_a_bundle_takes_figures_and_pictures_and_stays_whole(tmp_path: Path) -> None:
    write_bundle(tmp_path / "tiny", tiny_method().inference_network(), facts())
    before = sha256_of(tmp_path / "tiny" / WEIGHTS)
    assert read_bundle(tmp_path / "tiny").likeness is None
    amend(tmp_path / "tiny", likeness=LIKE)
    pictures = {"good.jpg": (jpeg(), "A good case."), "bad.jpg": (jpeg(), "A bad case.")}
    for _ in range(2):  # again: the same, not twice
        made = amend(tmp_path / "tiny", pictures=pictures)
    assert made.likeness == LIKE
    assert sha256_of(tmp_path / "tiny" / WEIGHTS) == before
    assert made.card().count("![A good case.](good.jpg)") == 1
    assert made.card().count("## Pictures") == 1
    assert verify(tmp_path / "tiny").name == made.name
    content = json.loads((tmp_path / "tiny" / METADATA).read_text())
    assert content["medcolorize"]["likeness"]["volumes"] == 1


@pytest.mark.parametrize("content", [b"", b"GIF89a", b"\xff\xd8\xff\xe0", jpeg(300, noise=True), jpeg(2100)])
def test_what_is_no_small_jpeg_is_refused_and_the_bundle_left_alone(tmp_path: Path, content: bytes) -> None:
    write_bundle(tmp_path / "tiny", tiny_method().inference_network(), facts())
    with pytest.raises(ModelError, match=r"bad\.jpg"):
        amend(tmp_path / "tiny", pictures={"bad.jpg": (content, "Too much.")})
    assert not (tmp_path / "tiny" / "bad.jpg").exists()
    verify(tmp_path / "tiny")


def test_the_grade_follows_the_score_and_names_the_reason() -> None:
    assert grade_likeness({}) is None
    assert grade_likeness({"likeness": {"score": None}}) is None
    lights = [grade_likeness({"likeness": {"score": score}}).light for score in (0.0, 1.0, 1.5, 2.5)]  # type: ignore[union-attr]
    assert lights == ["green", "green", "amber", "red"]
    graded = grade_likeness({"likeness": of_other_modality("CT", "MR").to_mapping()})
    assert graded is not None
    assert graded.light == "red"
    assert "it is CT, and the model was made for MR" in graded.words


@pytest.fixture(scope="module")
def head_mr(repository: Path) -> NetworkPainter:
    painter = load_painter(repository / "Resources" / "Bundles" / "head-mr", device="cpu")
    assert painter.bundle.likeness is not None, "run: medcolorize models measure head-mr --data heads --gray DATA/mr"
    return painter


def compared(painter: NetworkPainter, volume: Volume) -> Comparison:
    gray = np.ascontiguousarray(codes(volume.array, choose_window(volume)))
    found = painter.likeness(Subject(gray, volume.affine, modality_of(volume)))
    assert found is not None
    return found


@pytest.mark.parametrize(
    "scan",
    ["mr/oasis/1017_t1.nii.gz", "mr/ixi/17_t1.nii.gz", "mr/ixi/18_flair.nii.gz", "mr/brain/stroke_t2.nii.gz",
     "mr/brain/stroke_flair.nii.gz", "dicom/brainix_flair"],
)  # fmt: skip
def test_held_out_heads_and_brains_of_any_sequence_are_like(head_mr: NetworkPainter, data: Path, scan: str) -> None:
    found = compared(head_mr, read_volume(data / scan))
    assert not found.unlike, found


def pictures(folder: Path, ending: str, step: int) -> Volume:
    """Two dozen photographs stacked as if they were slices."""
    from PIL import Image

    grays = [np.asarray(Image.open(file).convert("L")) for file in sorted(folder.glob(ending))[:24]]
    rows, columns = (min(gray.shape[axis] for gray in grays) for axis in range(2))
    return Volume(np.stack([gray[:rows:step, :columns:step] for gray in grays]), np.eye(4))


def stripped_of_modality(data: Path) -> Volume:
    """A head CT that does not say that it is one: Hounsfield units give it away."""
    volume = read_volume(data / "dicom" / "ct_gantry_tilt_uneven")
    return Volume(volume.array[::2, ::2, ::2], volume.affine @ np.diag([2, 2, 2, 1]))


def inverted(data: Path) -> Volume:
    """A brain upside down, dark where it was bright."""
    volume = read_volume(data / "mr" / "oasis" / "1017_t1.nii.gz")
    inside = volume.array > 0
    return Volume(np.where(inside, 255 - volume.array, 0)[::-1, ::-1].astype(np.uint8), volume.affine)


def shrunk(data: Path) -> Volume:
    volume = read_volume(data / "mr" / "oasis" / "1018_t1.nii.gz")
    return Volume(volume.array, volume.affine @ np.diag([0.3, 0.3, 0.3, 1]))


UNLIKE: dict[str, Callable[[Path], Volume]] = {
    "abdomen CT": lambda data: read_volume(data / "ct" / "abdomen_3mm.nii.gz"),
    "head CT without modality": stripped_of_modality,
    "vessels alone": lambda data: read_volume(data / "ct" / "head_cta_avm.nii.gz"),
    "fundus photographs": lambda data: pictures(data / "fundus" / "drive", "*.jpg", 3),
    "one photograph repeated": lambda data: Volume(
        np.repeat(pictures(data / "fundus" / "drive", "*.jpg", 3).array[:1], 30, axis=0), np.diag([0.8, 0.8, 1.0, 1.0])
    ),
    "ultrasound": lambda data: pictures(data / "ultrasound", "*.png", 1),
    "noise": lambda _: Volume(np.random.default_rng(0).integers(0, 256, (40, 128, 128)).astype(np.uint8), np.eye(4)),
    "inverted brain": inverted,
    "brain of a third of the size": shrunk,
}


@pytest.mark.parametrize("name", UNLIKE)
def test_other_things_than_heads_are_unlike(head_mr: NetworkPainter, data: Path, name: str) -> None:
    found = compared(head_mr, UNLIKE[name](data))
    assert found.unlike, found
    assert found.reasons


def test_the_warning_reaches_notes_provenance_and_grade(head_mr: NetworkPainter, data: Path) -> None:
    whole = pictures(data / "ultrasound", "*.png", 2)
    made = Colorizer(painter=head_mr).colorize(whole)
    assert any("looks unlike those this model was trained on" in note for note in made.notes)
    assert made.provenance["likeness"]["score"] > 1
    graded = grade_likeness(made.provenance)
    assert graded is not None
    assert graded.light in ("amber", "red")
    brain = read_volume(data / "mr" / "oasis" / "1017_t1.nii.gz")
    part = Volume(brain.array[60:68], brain.affine)
    assert not [note for note in Colorizer(painter=head_mr).colorize(part).notes if "unlike" in note]
