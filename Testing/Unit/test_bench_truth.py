"""`bench truth`: slabs and their scores, resuming, tables, sheets, and the command on real frames."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from MedColorizeLib.app import cli
from MedColorizeLib.app.truth_bench import TruthBench
from MedColorizeLib.app.truth_output import document_text, to_csv
from MedColorizeLib.app.truth_painters import TruthPainter, make_painters
from MedColorizeLib.app.truth_slabs import (
    PIXEL_MM,
    SCALE_MM,
    Slab,
    SlabPart,
    judge,
    load_slabs,
    paint_and_judge,
    parts,
    psnr,
    summary,
)
from MedColorizeLib.errors import Cancelled, InputError, OutputError, UsageError
from MedColorizeLib.imaging.colorspaces import luma_codes, rgb_to_lab
from MedColorizeLib.imaging.volume import ColorVolume
from MedColorizeLib.progress import CancelToken, Progress

GRAY = TruthPainter("gray", "gray", "", "gray")


def _slab(frames: tuple[int, int] = (1, 10), name: str = "1-10", seed: int = 0) -> Slab:
    """Ten slices of two flat tissues with a little noise, in a black field."""
    count = frames[1] - frames[0] + 1
    noise = np.random.default_rng(seed).integers(-3, 4, (count, 40, 48, 1))
    rgb = np.zeros((count, 40, 48, 3), int)
    rgb[:, 8:32, 8:24] = (190, 140, 90)
    rgb[:, 8:32, 24:40] = (120, 60, 50)
    mask = rgb.any(axis=-1)
    rgb = np.where(mask[..., None], rgb + noise, 0).astype(np.uint8)
    return Slab(name, frames, rgb, mask, 1.0)


def test_slabs_are_cut_at_jumps() -> None:
    assert parts(80, 105) == [(80, 105)]
    assert parts(430, 455) == [(430, 451), (452, 455)]
    assert parts(640, 665) == [(640, 656), (657, 665)]
    assert parts(451, 451) == [(451, 451)]


def test_the_truth_scores_itself_perfect() -> None:
    slab = _slab()
    score = judge(slab, slab.truth)
    assert (score.ciede2000, score.squares, score.luma_error_max) == (0, 0, 0)
    found = summary([score])
    assert found["psnr"] == np.inf
    assert found["ciede2000"] == 0
    assert found["flicker_per_mm"][0] >= 0


def test_gray_scores_what_scikit_image_says() -> None:
    from skimage.color import deltaE_ciede2000
    from skimage.metrics import peak_signal_noise_ratio

    slab = _slab()
    scores, pictures = paint_and_judge(GRAY, [slab])
    found = summary(scores)
    gray = np.repeat(luma_codes(slab.rgb)[..., None], 3, axis=-1)
    truth, result = slab.rgb[slab.judged], gray[slab.judged]
    expected = deltaE_ciede2000(rgb_to_lab(truth), rgb_to_lab(result)).mean()
    assert found["ciede2000"] == pytest.approx(expected, abs=0.01)
    assert found["psnr"] == pytest.approx(peak_signal_noise_ratio(truth, result), abs=0.001)
    assert found["luma_error_max"] == 0
    assert np.array_equal(pictures["1-10"], gray[5])


def test_what_lies_outside_the_body_has_no_say() -> None:
    slab = _slab()
    wrong = slab.rgb.copy()
    wrong[~slab.judged] = (0, 0, 255)
    assert judge(slab, ColorVolume(wrong, slab.affine)).ciede2000 == 0


def test_parts_add_up_by_voxels_and_slabs_count_alike() -> None:
    long, short, other = _slab(), _slab((11, 14), "1-10", 1), _slab((20, 29), "20-29", 2)
    half = other.rgb.copy()
    half[..., 2] = 0
    scores = [judge(long, long.truth), *paint_and_judge(GRAY, [short])[0], judge(other, ColorVolume(half, long.affine))]
    found = summary(scores)
    assert set(found["slabs"]) == {"1-10", "20-29"}
    voxels = (scores[0].voxels, scores[1].voxels)
    assert found["slabs"]["1-10"]["ciede2000"] == pytest.approx(scores[1].ciede2000 / sum(voxels))
    assert found["ciede2000"] == pytest.approx(np.mean([s["ciede2000"] for s in found["slabs"].values()]))
    # Four frames say nothing about consistency, so the long part's figure stands.
    assert scores[1].steady == {}


def test_a_hue_that_shakes_from_slice_to_slice_flickers() -> None:
    slab = _slab()
    shaken = slab.rgb.astype(int)
    shaken[::2, ..., 0] -= 20
    color = ColorVolume(np.clip(shaken, 0, 255).astype(np.uint8), slab.affine)
    calm, wild = summary([judge(slab, slab.truth)]), summary([judge(slab, color)])
    assert wild["flicker_per_mm"][0] > calm["flicker_per_mm"][0] + 2
    assert wild["flicker_per_mm"][1] < calm["flicker_per_mm"][1] + 1


def test_decibels() -> None:
    assert psnr(0) == np.inf
    assert psnr(255**2) == pytest.approx(0)
    assert psnr(65.025) == pytest.approx(30)


class _Part(SlabPart):
    """Two small slabs instead of frames; counts how often it is asked to paint."""

    painted: list[str]

    def slabs(self, on_progress=None, cancel=None):  # type: ignore[no-untyped-def]
        return [_slab(), _slab((20, 29), "20-29", 2)]

    def run(self, painter, on_progress=None, cancel=None):  # type: ignore[no-untyped-def]
        self.painted.append(painter.name)
        return super().run(painter, on_progress, cancel)


def _part() -> _Part:
    part = _Part(Path("none"))
    part.painted = []
    return part


def test_finished_painters_are_kept_and_changed_ones_done_again(tmp_path: Path) -> None:
    part, out = _part(), tmp_path / "out"
    palette = TruthPainter("palette head-mr", "palette", "MR", "one", "head-mr")
    TruthBench([part], [GRAY], out).run_all(resume=False)
    with pytest.raises(OutputError, match="--resume"):
        TruthBench([part], [GRAY], out).run_all(resume=False)
    document = TruthBench([part], [GRAY, palette], out).run_all(resume=True)
    assert part.painted == ["gray", "palette head-mr"]
    other = TruthPainter("palette head-mr", "palette", "MR", "two", "body-ct")
    again = TruthBench([part], [GRAY, other], out).run_all(resume=True)
    assert part.painted == ["gray", "palette head-mr", "palette head-mr"]
    before, after = (d["parts"]["slabs"]["palette head-mr"]["ciede2000"] for d in (document, again))
    assert before != after
    text = (out / "truth.md").read_text()
    assert text.index("photographs") < text.index("palette head-mr") < text.index("| gray")
    assert json.loads((out / "truth.json").read_text()) == again
    assert again["parts"]["slabs"]["photographs"]["psnr"] is None  # infinite
    assert "slabs,gray,slabs/20-29/ciede2000," in (out / "truth.csv").read_text()
    with Image.open(out / "sheets" / "slabs.png") as sheet:
        assert sheet.width > 3 * 200


def test_other_settings_or_a_foreign_folder_are_refused(tmp_path: Path) -> None:
    TruthBench([_part()], [GRAY], tmp_path / "out").run_all(resume=False)
    part = _part()
    part.scale = 2.0
    with pytest.raises(UsageError, match="other settings"):
        TruthBench([part], [GRAY], tmp_path / "out").run_all(resume=True)
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "letter.txt").write_text("dear")
    with pytest.raises(OutputError, match="not empty"):
        TruthBench([_part()], [GRAY], tmp_path / "mine").run_all(resume=True)
    assert [p.name for p in (tmp_path / "mine").iterdir()] == ["letter.txt"]


def test_cancelling_keeps_what_is_finished(tmp_path: Path) -> None:
    token = CancelToken()

    def stop_at_the_second(event: Progress) -> None:
        if event.stage == "truth" and event.done == 1:
            token.cancel()

    part = _part()
    palette = TruthPainter("palette head-mr", "palette", "MR", "one", "head-mr")
    with pytest.raises(Cancelled):
        TruthBench([part], [GRAY, palette], tmp_path).run_all(
            resume=False, on_progress=stop_at_the_second, cancel=token
        )
    assert "| gray |" in (tmp_path / "truth.md").read_text()
    TruthBench([part], [GRAY, palette], tmp_path).run_all(resume=True)
    assert part.painted == ["gray", "palette head-mr"]


def test_unknown_figures_are_dashes() -> None:
    slab = {"ciede2000": float("nan"), "psnr": float("inf"), "slabs": {}, "flicker_per_mm": [1.0, float("nan"), None]}
    document = {"program": "p", "painters": {}, "settings": {}, "parts": {"slabs": {"x": slab}}}
    assert "| x | – | ∞ | 1.00 | – | – |" in document_text(document)
    assert "slabs,x,psnr,inf" in to_csv(document)


def test_painters_have_names_of_their_own() -> None:
    painters = make_painters([], ["head-mr", "body-ct"])
    assert [p.name for p in painters[:3]] == ["gray", "palette head-mr", "palette body-ct"]
    assert painters[1].colors("MR")
    assert not painters[1].colors("CT")
    assert painters[1].colors("")
    assert painters[0].colors("CT")
    # Hounsfield units mean nothing in a photograph's luma.
    assert [SlabPart(Path("none")).takes(p) for p in painters[:3]] == [True, True, False]


def test_frames_come_at_the_scale_asked_for(data: Path) -> None:
    folder = data / "cryosections" / "vhm"
    half, native, other = (load_slabs(folder, [(90, 91)], s)[0] for s in (SCALE_MM, PIXEL_MM, 2.0))
    assert half.rgb.shape == (2, 360, 640, 3)
    assert native.rgb.shape == (2, 720, 1280, 3)
    assert other.rgb.shape == (2, 190, 338, 3)
    area = [slab.judged.sum() * slab.scale**2 / 2 / 100 for slab in (half, native, other)]  # cm2
    assert 200 < area[0] < 330
    np.testing.assert_allclose(area, area[0], rtol=0.06)
    for slab in (half, native, other):
        rgb = slab.rgb[slab.judged]
        assert (rgb[:, 0].astype(int) - rgb[:, 2]).mean() > 30  # warm: tissue, not blue gelatine
    with pytest.raises(InputError, match="can't be read"):
        load_slabs(folder, [(5000, 5001)])
    with pytest.raises(UsageError, match="scale"):
        load_slabs(folder, [(90, 91)], 0)
    with pytest.raises(UsageError, match="rising"):
        load_slabs(folder, [(91, 90)])


def test_the_command(data: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    out = tmp_path / "truth"
    command = ["bench", "truth", "-o", str(out), "--palette", "head-mr", "--part", "slabs", "--frames", "90", "92"]
    assert cli.main([*command, "--scale", "2.112", "--data", str(data), "--json"]) == 0
    document = json.loads(capsys.readouterr().out)
    figures = document["parts"]["slabs"]
    assert figures["photographs"]["ciede2000"] == 0
    assert figures["palette head-mr"]["ciede2000"] < 8 < 15 < figures["gray"]["ciede2000"]
    assert figures["palette head-mr"]["luma_error_max"] == 0
    assert cli.main([*command, "--scale", "no", "--data", str(data), "--resume"]) == 2
