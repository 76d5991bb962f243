"""Pictures: what is drawn is what the nodes say, from the side that was asked for."""

from __future__ import annotations

import json
import subprocess
import sys
from colorsys import rgb_to_hsv

import numpy as np
import pytest
from PIL import Image

pytest.importorskip("slicer")

from MedColorizeLib.errors import Cancelled, OutputError, UsageError
from MedColorizeLib.imaging.volume import ColorVolume, Volume
from MedColorizeLib.mrml import movies, nodes, pictures, presets, rendering
from MedColorizeLib.mrml.cuts import cut_open
from MedColorizeLib.mrml.host import close_scene, new_scene
from MedColorizeLib.mrml.opacity import lend_colors
from MedColorizeLib.mrml.planes import PlaneStyle, plane_pictures
from MedColorizeLib.mrml.rendering import Look
from MedColorizeLib.mrml.views import VIEWS, letters
from MedColorizeLib.progress import CancelToken

PLAIN = pictures.Style(size=(120, 120), background="white", look=Look("plain"), marks=False, notice=False)
BODY, MARK = (150, 150, 150), (230, 40, 40)


def marked_box(affine: np.ndarray, axis: int, side: int, voxels: int = 40) -> ColorVolume:
    """A gray ball with a red ball at one side of the patient (RAS axis and sign)."""
    inverse = np.linalg.inv(affine)
    centre = np.array([voxels / 2] * 3)
    direction = inverse[:3, :3] @ (np.eye(3)[axis] * side)
    k, j, i = np.indices((voxels,) * 3)
    ijk = np.stack([i, j, k], axis=-1) - centre
    millimetres = ijk @ affine[:3, :3].T
    reach = 0.42 * voxels * np.linalg.norm(affine[:3, :3], axis=0).min()
    body = np.linalg.norm(millimetres, axis=-1) < 0.55 * reach
    offset = (direction / np.linalg.norm(affine[:3, :3] @ direction)) @ affine[:3, :3].T * 0.7 * reach
    mark = np.linalg.norm(millimetres - offset, axis=-1) < 0.28 * reach
    array = np.zeros((voxels, voxels, voxels, 4), np.uint8)
    array[body] = (*BODY, 255)
    array[mark] = (*MARK, 255)
    return ColorVolume(array, affine)


def red_at(picture: np.ndarray) -> tuple[float, float]:
    """Where the red is, from the middle: right and up, -1 to 1."""
    rgb = picture.astype(int)
    rows, columns = np.nonzero((rgb[..., 0] > rgb[..., 1] + 60) & (rgb[..., 0] > rgb[..., 2] + 60))
    assert rows.size > 20
    height, width = rgb.shape[:2]
    return float(columns.mean() / width * 2 - 1), float(1 - rows.mean() / height * 2)


# Patient's side -> where it is in each view (right, up).
EXPECTED = {
    ("anterior", 0, -1): (1, 0),
    ("anterior", 2, 1): (0, 1),
    ("posterior", 0, -1): (-1, 0),
    ("left", 1, 1): (-1, 0),
    ("right", 1, 1): (1, 0),
    ("superior", 1, 1): (0, 1),
    ("superior", 0, 1): (1, 0),
    ("inferior", 0, 1): (-1, 0),
}


@pytest.mark.parametrize(("case", "where"), EXPECTED.items(), ids=lambda v: "-".join(map(str, v)))
def test_views_show_the_right_side(case, where, oblique):
    view, axis, side = case
    # Left-handed and rotated, but with even spacing, so that the ball is well sampled.
    affine = oblique.copy()
    affine[:3, :3] /= np.linalg.norm(affine[:3, :3], axis=0)
    right, up = red_at(pictures.picture(marked_box(affine, axis, side), view, PLAIN))
    assert abs(right - where[0] * abs(right)) < 0.25
    assert abs(up - where[1] * abs(up)) < 0.25
    assert max(abs(right), abs(up)) > 0.3
    letter = {0: "LR", 1: "PA", 2: "IS"}[axis][side > 0]
    place = {(1, 0): "right", (-1, 0): "left", (0, 1): "top"}[where]
    assert letters(VIEWS[view])[place] == letter


@pytest.mark.parametrize("rgb", [(220, 60, 50), (60, 180, 70), (70, 90, 220)])
def test_a_cube_shows_its_colour_and_fills_the_picture(rgb):
    array = np.zeros((32, 32, 32, 4), np.uint8)
    array[6:26, 6:26, 6:26] = (*rgb, 255)
    picture = pictures.picture(ColorVolume(array, np.eye(4)), "anterior", PLAIN).astype(int)
    middle = picture[50:70, 50:70].reshape(-1, 3).mean(axis=0)
    # Light makes it brighter or darker and a highlight paler, but the hue stays.
    assert rgb_to_hsv(*middle / 255)[0] == pytest.approx(rgb_to_hsv(*(c / 255 for c in rgb))[0], abs=0.02)
    assert rgb_to_hsv(*middle / 255)[1] > 0.4
    filled = np.abs(picture - 255).sum(axis=-1) > 60
    columns, rows = np.flatnonzero(filled.any(axis=0)), np.flatnonzero(filled.any(axis=1))
    for line in (columns, rows):
        assert 0.8 * 120 < line[-1] - line[0] + 1 < 0.98 * 120
        assert abs(line[0] + line[-1] - 119) < 8


def test_opacity_and_threshold_change_what_is_seen():
    box = np.zeros((32, 32, 32, 4), np.uint8)
    box[4:28, 4:28, 4:28] = (90, 160, 90, 90)
    box[12:20, 12:20, 12:20] = (230, 50, 50, 240)
    color = ColorVolume(box, np.eye(4))

    def middle(look: Look) -> np.ndarray:
        style = pictures.Style((60, 60), "white", look, marks=False, notice=False)
        return pictures.picture(color, "anterior", style)[25:35, 25:35].reshape(-1, 3).mean(axis=0)

    solid, inner, faint = middle(Look("plain")), middle(Look("plain", threshold=60)), middle(Look("plain", opacity=2))
    assert solid[1] > solid[0]
    assert inner[0] > inner[1] + 50
    assert faint.min() > solid.min() + 20


def test_the_sliders_keep_the_preset(tmp_path):
    scene = new_scene()
    color = ColorVolume(np.full((4, 4, 4, 4), 128, np.uint8), np.eye(4), {"modality": "CT", "window": [-350, 600]})
    _, rgba = nodes.color_nodes(scene, color)
    display = rendering.show(scene, rgba, color)
    assert rendering.look_of(display) == Look("ct-bone")
    curve = display.GetVolumePropertyNode().GetVolumeProperty().GetScalarOpacity()
    code = (215 + 350) / 950 * 255
    half = curve.GetValue(code)
    assert 0.3 < half < 0.7
    assert curve.GetValue(code - 30) == 0
    assert rendering.threshold_of(display) == pytest.approx((150 + 350) / 950 * 100, abs=0.1)
    rendering.set_opacity(display, 50)
    assert curve.GetValue(code) == pytest.approx(half / 2)
    rendering.set_threshold(display, 90)
    assert curve.GetValue(code) == 0
    rendering.set_threshold(display, None)
    rendering.set_opacity(display, 100)
    assert curve.GetValue(code) == pytest.approx(half)
    # Asking again changes the display that is there.
    assert rendering.show(scene, rgba, color, "translucent").GetID() == display.GetID()
    for wrong in ({"opacity": 201}, {"threshold": -1}):
        with pytest.raises(UsageError, match="percentage"):
            Look("plain", **wrong)
    with pytest.raises(UsageError, match="no preset"):
        rendering.show(scene, rgba, color, "vivid")
    close_scene(scene)


@pytest.mark.parametrize(
    ("modality", "millimetres", "window", "name"),
    [
        ("MR", 1.0, None, "brain-mr"),
        ("", 1.5, None, "head-mr"),
        ("CT", 1.0, [-350, 600], "ct-bone"),
        ("CT", 1.0, [0, 80], "ct-vessels"),
        ("US", 1.0, None, "plain"),
    ],
)
def test_the_preset_suits_the_volume(modality, millimetres, window, name):
    array = np.full((100, 100, 100, 4), 200, np.uint8)
    color = ColorVolume(array, np.diag([millimetres] * 3 + [1]), {"modality": modality, "window": window})
    assert presets.choose_preset(color).name == name


def test_cuts_take_away_the_near_side(oblique):
    affine = oblique.copy()
    color = ColorVolume(np.full((16, 40, 40, 4), 200, np.uint8), affine)
    ras = lambda k, j, i: (affine @ [i, j, k, 1])[:3]  # noqa: E731
    cut = cut_open(color, "sagittal", VIEWS["left"])
    gone = cut.array[..., 3] == 0
    assert 0.4 < gone.mean() < 0.6
    k, j, i = np.argwhere(gone).mean(axis=0)
    assert ras(k, j, i)[0] < ras(8, 20, 20)[0] - 4
    corner = cut_open(color, "corner", VIEWS["three-quarter"]).array[..., 3] == 0
    assert 0.05 < corner.mean() < 0.2
    np.testing.assert_array_equal(cut.rgb, color.rgb)
    assert (color.array == 200).all()
    with pytest.raises(UsageError, match="no cut"):
        cut_open(color, "diagonal", VIEWS["left"])


def test_lent_colours_change_only_what_is_not_seen():
    array = np.zeros((20, 24, 28, 4), np.uint8)
    array[5:15, 6:18, 7:21] = (200, 120, 80, 220)
    before = array.copy()
    lend_colors(array, 90, (1.0, 1.0, 1.0))
    np.testing.assert_array_equal(array[..., 3], before[..., 3])
    seen = before[..., 3] >= 90
    np.testing.assert_array_equal(array[seen], before[seen])
    np.testing.assert_array_equal(array[4, 10, 10, :3], (200, 120, 80))
    assert (array[0, 0, 0] == 0).all()
    # Slabs must not show.
    whole = np.random.default_rng(1).integers(0, 256, (40, 10, 10, 4)).astype(np.uint8)
    thick = whole.copy()
    lend_colors(thick, 90, (1.0, 1.0, 1.0))
    part = whole[10:40].copy()
    lend_colors(part, 90, (1.0, 1.0, 1.0))
    assert np.abs(part[8:].astype(int) - thick[18:]).max() <= 1


@pytest.mark.parametrize("convention", ["radiological", "neurological"])
def test_planes_have_the_right_sides_and_proportions(oblique, convention):
    affine = np.diag([-1.0, 1.0, 3.0, 1.0])
    array = np.zeros((20, 60, 60, 3), np.uint8)
    array[2:18, 10:50, 10:50] = (90, 90, 90)
    # High I is the patient's left, high J the front, high K the head.
    array[12:18, 40:50, 40:50] = MARK
    color = ColorVolume(array, affine)
    style = PlaneStyle(120, convention, marks=False, notice=False)
    left = 1 if convention == "radiological" else -1
    for plane, where in (("axial", (left, 1)), ("coronal", (left, 1)), ("sagittal", (-1, 1))):
        at = affine @ [45, 45, 15, 1]
        right, up = red_at(plane_pictures(color, [plane], at=at[:3], style=style))
        assert (np.sign(right), np.sign(up)) == where
        assert min(abs(right), abs(up)) > 0.3
    picture = plane_pictures(color, ["coronal"], style=style)
    seen = picture.max(axis=-1) > 45
    width = np.ptp(np.flatnonzero(seen.any(axis=0))) + 1
    height = np.ptp(np.flatnonzero(seen.any(axis=1))) + 1
    assert width / height == pytest.approx(40 / 48, abs=0.05)


def test_planes_show_exact_colours_and_the_gray_above():
    array = np.zeros((30, 30, 30, 3), np.uint8)
    array[5:25, 5:25, 5:25] = (200, 100, 50)
    gray = Volume(array.max(axis=-1).astype(np.int16), np.eye(4))
    style = PlaneStyle(100, marks=False, notice=False)
    color = ColorVolume(array, np.eye(4), {"window": [0, 255]})
    picture = plane_pictures(color, gray=gray, style=style)
    half = picture.shape[0] // 2
    column = picture.shape[1] // 6
    np.testing.assert_array_equal(picture[half // 2, column], (200, 200, 200))
    np.testing.assert_array_equal(picture[half + half // 2, column], (200, 100, 50))
    with pytest.raises(UsageError, match="no plane"):
        plane_pictures(color, ["oblique"])


def write_box(path):
    from MedColorizeLib.imaging.write import write_color

    color = marked_box(np.eye(4), 0, -1)
    return write_color(path, ColorVolume(color.array, color.affine, {"method": "palette", "model": "head-mr"}))


def test_the_commands_offer_what_there_is():
    from MedColorizeLib.app.commands import render, scene
    from MedColorizeLib.mrml import cuts, planes, views

    assert tuple(views.VIEWS) == render._VIEWS
    assert render._PLANES == planes.PLANES
    assert tuple(cuts.CUTS) == render._CUTS
    assert tuple(views.BACKGROUNDS) == render._BACKGROUNDS
    assert render._PRESETS == scene._PRESETS == tuple(presets.PRESETS)


def test_the_render_command_writes_pictures(tmp_path, capsys):
    from MedColorizeLib.app.cli import main

    source = str(write_box(tmp_path / "c.nrrd"))
    output = tmp_path / "out.png"
    size = ["--size", "90", "80"]
    assert main(["render", source, "-o", str(output), "--view", "anterior", "left", *size, "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["views"] == ["anterior", "left"]
    with Image.open(output) as image:
        assert image.size == (180, 80)
        assert "not for diagnosis" in image.info["Description"]
        assert json.loads(image.info["medcolorize"])["model"] == "head-mr"
        assert red_at(np.asarray(image.convert("RGB").crop((0, 0, 90, 80))))[0] > 0.3
    planes = tmp_path / "planes.png"
    assert main(["render", source, "-o", str(planes), "--view", "planes", *size]) == 0
    assert Image.open(planes).size[0] > 100
    assert main(["render", source, "-o", str(output), *size]) == OutputError.exit_code
    for wrong in (
        ["-o", str(tmp_path / "a.bmp")],
        ["-o", str(tmp_path / "a.gif"), "--view", "axial"],
        ["-o", str(tmp_path / "a.gif"), "--frames", "0"],
        ["-o", str(tmp_path / "b.png"), "--view", "axial", "left"],
        ["-o", str(tmp_path / "b.png"), "--at", "0", "0", "0"],
    ):
        assert main(["render", source, *wrong]) == UsageError.exit_code
    assert sorted(p.name for p in tmp_path.iterdir()) == ["c.nrrd", "out.png", "planes.png"]


@pytest.mark.parametrize("ending", [".gif", ".mp4"])
def test_turntables_turn(tmp_path, ending):
    if ending == ".mp4":
        pytest.importorskip("imageio_ffmpeg")
    from MedColorizeLib.app.cli import main

    source = str(write_box(tmp_path / "c.nrrd"))
    output = tmp_path / f"turn{ending}"
    words = ["--view", "anterior", "--frames", "4", "--size", "96", "96", "--no-marks", "--no-notice"]
    assert main(["render", source, "-o", str(output), *words]) == 0
    import imageio.v3

    frames = [np.asarray(f)[..., :3] for f in imageio.v3.imiter(output)]
    assert len(frames) == 4
    # The patient's left: on the right from the front, on the left from behind.
    assert red_at(frames[0])[0] > 0.3
    assert red_at(frames[2])[0] < -0.3


def test_cancelling_a_turntable_leaves_nothing(tmp_path):
    cancel = CancelToken()
    with pictures.Scenery(marked_box(np.eye(4), 0, 1), PLAIN) as scenery:
        frames = scenery.turntable(6, on_progress=lambda p: cancel.cancel() if p.done == 2 else None, cancel=cancel)
        with pytest.raises(Cancelled):
            movies.save_film(tmp_path / "a.gif", frames)
    assert not list(tmp_path.iterdir())


def test_without_slicer_slices_work_and_3d_says_what_to_install(tmp_path):
    source = str(write_box(tmp_path / "c.nrrd"))
    code = "import sys; sys.modules['slicer'] = None\n"
    code += "from MedColorizeLib.app.cli import main; sys.exit(main(sys.argv[1:]))"

    def run(*words: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)

    assert run("render", source, "-o", str(tmp_path / "a.png"), "--view", "planes").returncode == 0
    for words in (["render", source, "-o", str(tmp_path / "b.png")], ["scene", source, "-o", str(tmp_path / "b.mrb")]):
        refused = run(*words)
        assert refused.returncode == 1
        assert "pip install" in refused.stderr
        assert "Traceback" not in refused.stderr
