"""From folders to batches: who is who, what is held out, what the networks see."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
import SimpleITK as sitk  # noqa: N813 - its usual name
import torch
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from MedColorizeLib.errors import InputError, UsageError
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.imaging.cryosection import body
from MedColorizeLib.training import frame
from MedColorizeLib.training.collect import Folders, collect
from MedColorizeLib.training.dataset import Pairs, levels_of
from MedColorizeLib.training.prepare import Prepared, prepare
from MedColorizeLib.training.recipe import load_recipe
from MedColorizeLib.training.settings import DataSettings
from MedColorizeLib.training.sources import Source, find_sources, refuse_leakage, select, split_by_patient


def plain(**changes: object) -> DataSettings:
    base = {"size": 32, "spacing": 2.0, "gray_background": "none", "color_background": "none", "flip": False,
            "levels": "none", "least_foreground": 0.0}  # fmt: skip
    return DataSettings.from_mapping({**base, **changes})


def write_volume(path: Path, array: np.ndarray, spacing: tuple[float, float, float] = (2.0, 2.0, 2.0)) -> Path:
    image = sitk.GetImageFromArray(array)
    image.SetSpacing(spacing)
    path.parent.mkdir(parents=True, exist_ok=True)
    sitk.WriteImage(image, str(path))
    return path


def ball(size: int = 24) -> np.ndarray:
    grid = np.indices((size, size, size)) - (size - 1) / 2
    inside = (grid**2).sum(axis=0) < (0.4 * size) ** 2
    return np.where(inside, 100 + grid[0] * 3, 0).astype(np.int16)


def write_stack(folder: Path, count: int, size: int = 32, seed: int = 0) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    random = np.random.default_rng(seed)
    for n in range(1, count + 1):
        picture = random.integers(40, 250, (size, size, 3)).astype(np.uint8)
        Image.fromarray(picture).save(folder / f"{n:04d}.png")
    return folder


# Who is who


def test_subjects_are_names_up_to_the_first_underscore_or_folders(tmp_path: Path) -> None:
    for name in ("007_t1.nii.gz", "007_t2.nii.gz", "008_t1.nii.gz", "anna/scan.nii.gz"):
        write_volume(tmp_path / name, ball(8))
    assert sorted(s.subject for s in find_sources(tmp_path)) == ["007", "007", "008", "anna"]
    assert {s.subject for s in find_sources(tmp_path, "folder")} == {tmp_path.name, "anna"}


def test_many_numbered_pictures_are_one_body_few_are_many_patients(tmp_path: Path) -> None:
    write_stack(tmp_path / "many", 100, size=4)
    write_stack(tmp_path / "few", 5, size=4)
    [many] = find_sources(tmp_path / "many")
    assert len(many.files) == 100
    assert many.numbers == tuple(range(1, 101))
    assert len({s.subject for s in find_sources(tmp_path / "few")}) == 5
    [stack] = find_sources(tmp_path / "few", "folder")
    assert len(stack.files) == 5


def test_a_folder_without_images_says_what_would_be_one(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    with pytest.raises(InputError, match="no image"):
        find_sources(tmp_path)
    with pytest.raises(InputError, match="does not exist"):
        find_sources(tmp_path / "absent")


def test_each_dicom_series_is_a_scan_of_its_folder_s_patient(data: Path, tmp_path: Path) -> None:
    [single] = find_sources(data / "dicom" / "brainix_flair")
    assert prepare(single, plain(size=64), "gray", cache=tmp_path).modality == "MR"
    several = find_sources(data / "dicom" / "enhanced_multiframe")
    assert len(several) == 2
    assert {source.subject for source in several} == {"enhanced_multiframe"}
    shapes = [prepare(source, plain(size=64), "gray", cache=tmp_path).pictures.shape for source in several]
    assert sorted(shape[0] for shape in shapes) == [6, 32]


def stack_source(count: int = 200) -> Source:
    return Source(
        "vhm", "vhm", "pictures", tuple(Path(f"{n:04d}.jpg") for n in range(1, count + 1)), tuple(range(1, count + 1))
    )


def test_ranges_keep_and_drop_pictures_and_a_misspelt_pattern_is_refused() -> None:
    [kept] = select([stack_source()], ["1..100"], ["75..110"])
    assert kept.numbers == tuple(range(1, 75))
    assert [path.stem for path in kept.files] == [f"{n:04d}" for n in range(1, 75)]
    with pytest.raises(UsageError, match=r"'300\.\.310' matches nothing"):
        select([stack_source()], [], ["300..310"])


def test_no_patient_is_on_both_sides_of_a_split() -> None:
    sources = [Source(f"p{n // 2}", f"p{n // 2}_{n}", "volume", (Path(f"p{n // 2}_{n}.nii"),)) for n in range(20)]
    split = split_by_patient(sources, (), 0.3, seed=5, domain="gray")
    assert split.validate
    assert not {s.subject for s in split.train} & {s.subject for s in split.validate}
    assert len(split.train) + len(split.validate) == 20
    again = split_by_patient(list(reversed(sources)), (), 0.3, seed=5, domain="gray")
    assert {s.subject for s in again.validate} == {s.subject for s in split.validate}


def test_leakage_is_refused_with_the_patient_s_name() -> None:
    names = ("p1_a.nii", "p1_b.nii", "p2_a.nii")
    sources = [Source(name[:2], name, "volume", (Path(name),)) for name in names]
    with pytest.raises(UsageError, match="p1 would be both trained on and validated"):
        split_by_patient(sources, ["p1_b*"], 0.1, 0, "gray")
    with pytest.raises(UsageError, match="p1"):
        refuse_leakage(sources[:1], sources[1:2], "gray")


def test_one_body_is_parted_by_a_block_with_a_gap_and_says_so() -> None:
    split = split_by_patient([stack_source()], (), 0.1, 0, "color")
    held, train = split.validate[0].numbers, split.train[0].numbers
    assert held == tuple(range(held[0], held[0] + 20))
    assert min(abs(t - h) for t in train for h in held) > 4
    assert "not generalisation" in split.note


# The frame


@given(
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.sampled_from(["axial", "coronal", "sagittal"]),
)
def test_orienting_and_undoing_is_the_identity(order: list[int], signs: tuple[int, int, int], plane: str) -> None:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * np.array(signs) * [1.0, 2.0, 3.0]
    turn = frame.orientation(affine, plane)  # type: ignore[arg-type]
    array = np.arange(2 * 3 * 4).reshape(2, 3, 4)
    assert np.array_equal(turn.undo(turn.apply(array)), array)
    # In the plane's order, the RAS axis that slices run along decreases: superior, anterior, right come first.
    world = np.stack(np.meshgrid(*(np.arange(n) for n in (2, 3, 4)), indexing="ij"), -1)[..., ::-1]
    ras = world @ affine[:3, :3].T
    axis = {"axial": 2, "coronal": 1, "sagittal": 0}[plane]
    along = turn.apply(ras)[:, 0, 0, axis]
    assert (np.diff(along) < 0).all()


def test_an_axial_slice_has_anterior_at_the_top_and_the_right_side_at_the_left(oblique: np.ndarray) -> None:
    turn = frame.orientation(oblique, "axial")
    shape = (4, 5, 6)
    index = np.stack(np.meshgrid(*(np.arange(n) for n in shape), indexing="ij"), -1)[..., ::-1]
    ras = index @ oblique[:3, :3].T
    turned = turn.apply(ras)
    assert turned[-1, 0, 0, 2] < turned[0, 0, 0, 2]
    assert turned[0, -1, 0, 1] < turned[0, 0, 0, 1]
    assert turned[0, 0, -1, 0] < turned[0, 0, 0, 0]


@settings(max_examples=40, deadline=None)
@given(
    st.tuples(st.integers(8, 40), st.integers(8, 40)),
    st.tuples(st.integers(8, 60), st.integers(8, 60)),
    st.sampled_from([np.uint8, np.int16, np.float32]),
    st.sampled_from(["linear", "cubic", "nearest"]),
    st.sampled_from([(), (3,)]),
)
def test_pictures_are_resized_as_torch_resizes_them(
    old: tuple[int, int], new: tuple[int, int], kind: type, how: str, channels: tuple[int, ...]
) -> None:
    picture = np.random.default_rng(sum(old)).uniform(20, 230, (*old, *channels)).astype(kind)
    made = frame.resize(picture, new, how)
    assert made.dtype == kind
    assert made.shape == (*new, *channels)
    if how == "nearest":
        places = [(np.arange(n) + 0.5) * o / n for o, n in zip(old, new, strict=True)]
        assume(all(np.abs(each - np.rint(each)).min() > 1e-4 for each in places))  # as near to one pixel as to the next
        mode = {"mode": "nearest-exact"}
    else:
        mode = {"mode": {"linear": "bilinear", "cubic": "bicubic"}[how], "antialias": True, "align_corners": False}
    tensor = torch.from_numpy(np.atleast_3d(picture).astype(np.float32)).permute(2, 0, 1)[None]
    expected = torch.nn.functional.interpolate(tensor, new, **mode)[0].permute(1, 2, 0).numpy().reshape(made.shape)
    if kind is np.uint8:
        expected = expected.clip(0, 255)
    differs = np.abs(made - expected).max()
    assert differs <= (0 if how == "nearest" else 0.01 if kind is np.float32 else 0.51)  # integers are rounded


def test_a_cubic_that_overshoots_a_byte_stays_at_its_end() -> None:
    bright = np.repeat(np.array([0, 255], np.uint8), 8)[None].repeat(8, 0)
    made = frame.resize(bright, (8, 33), "cubic")
    assert np.array_equal(made[0, :16] > 128, [False] * 16)
    assert np.array_equal(made[0, -16:] > 128, [True] * 16)


@given(st.integers(1, 40), st.integers(1, 40), st.integers(1, 40))
def test_cropping_never_leaves_its_size_and_keeps_the_middle(rows: int, columns: int, size: int) -> None:
    picture = np.arange(1, rows * columns + 1).reshape(rows, columns)
    out = frame.crop_or_pad(picture, (size, size), (rows / 2, columns / 2))
    assert out.shape == (size, size)
    if size >= max(rows, columns):
        assert sorted(out[out > 0]) == sorted(picture.ravel())


def test_scale_is_the_same_for_both_domains(tmp_path: Path) -> None:
    """A disc of 40 mm is 20 pixels wide at 2 mm per pixel, whether it was scanned at 1 mm or photographed at 0.5."""
    yy, xx = np.indices((80, 80)) - 39.5
    disc = ((yy**2 + xx**2) < 20**2).astype(np.int16) * 200
    write_volume(tmp_path / "g" / "a_t1.nii.gz", np.stack([disc] * 3), (1.0, 1.0, 1.0))
    yy, xx = np.indices((160, 160)) - 79.5
    photo = (((yy**2 + xx**2) < 40**2)[..., None] * np.array([200, 120, 80])).astype(np.uint8)
    (tmp_path / "c").mkdir()
    Image.fromarray(photo).save(tmp_path / "c" / "b_1.png")
    s = plain(size=40, picture_spacing=0.5)
    gray = prepare(find_sources(tmp_path / "g")[0], s, "gray", cache=tmp_path / "cache")
    color = prepare(find_sources(tmp_path / "c")[0], s, "color", cache=tmp_path / "cache")
    wide = [(np.asarray(p).reshape(40, 40, -1)[20, :, 0] > 60).sum() for p in (gray.pictures[1], color.pictures[0])]
    assert wide[0] == wide[1] == 20


# The cache


def test_the_cache_serves_unless_a_setting_or_a_file_changed(tmp_path: Path) -> None:
    path = write_volume(tmp_path / "a_t1.nii.gz", ball())
    [source] = find_sources(tmp_path)
    cache = tmp_path / "cache"
    first = prepare(source, plain(), "gray", cache=cache)
    marked = next(cache.iterdir()) / "facts.json"
    before = marked.stat().st_mtime_ns
    again = prepare(source, plain(), "gray", cache=cache)
    assert marked.stat().st_mtime_ns == before
    assert np.array_equal(first.pictures, again.pictures)
    prepare(source, plain(batch=4), "gray", cache=cache)  # does not shape slices
    assert len(list(cache.iterdir())) == 1
    other = prepare(source, plain(size=24), "gray", cache=cache)
    assert other.pictures.shape[1:] == (24, 24)
    assert len(list(cache.iterdir())) == 2
    write_volume(path, 255 - ball())
    os.utime(path, ns=(1, 1))
    changed = prepare(source, plain(), "gray", cache=cache)
    assert not np.array_equal(first.pictures, changed.pictures)


def test_an_interrupted_preparation_leaves_nothing_that_is_taken_for_whole(tmp_path: Path) -> None:
    stack = write_stack(tmp_path / "s", 6)
    (stack / "0004.png").write_bytes(b"\x89PNG broken")
    [source] = find_sources(stack, "folder")
    with pytest.raises(InputError, match=r"0004\.png"):
        prepare(source, plain(), "color", cache=tmp_path / "cache")
    assert not any((tmp_path / "cache").iterdir())


def test_unreadable_pictures_are_left_out_and_counted_when_asked(tmp_path: Path) -> None:
    stack = write_stack(tmp_path / "s", 6)
    whole = (stack / "0004.png").read_bytes()
    (stack / "0004.png").write_bytes(whole[: len(whole) // 2])
    [source] = find_sources(stack, "folder")
    made = prepare(source, plain(skip_unreadable=True), "color", cache=tmp_path / "cache")
    assert made.skipped == ("0004.png",)
    assert len(made.pictures) == len(made.positions) == 5
    assert list(made.positions) == [0, 1, 2, 4, 5]


def test_no_name_of_a_patient_is_written_into_the_cache(tmp_path: Path) -> None:
    write_volume(tmp_path / "DOE^JANE_t1.nii.gz", ball())
    prepare(find_sources(tmp_path)[0], plain(), "gray", cache=tmp_path / "cache")
    for path in (tmp_path / "cache").rglob("*"):
        assert "DOE" not in path.name
        assert not path.is_file() or b"DOE" not in path.read_bytes()


# Batches


def made(
    subject: str, count: int, fractions: list[float] | None = None, step: float = 1.0, color: bool = False
) -> Prepared:
    random = np.random.default_rng(len(subject) + count)
    shape = (count, 16, 16, 3) if color else (count, 16, 16)
    return Prepared(
        subject, random.integers(0, 256, shape).astype(np.uint8), np.ones((count, 16, 16), bool), None,
        np.arange(count) * step, step, fractions=np.array(fractions or [0.5] * count),
    )  # fmt: skip


def test_heads_meet_heads() -> None:
    """Whatever their thickness and number, the slices of a pair lie within one level of each other."""
    s = plain(size=16, levels="top", level_width=10.0, gray_top=0.0, least_foreground=0.02)
    gray, color = made("g", 40, step=3.0), made("c", 200, [0.0] * 20 + [0.5] * 180, color=True)
    pairs = Pairs([gray], [color], s, paired=False, seed=1)
    assert levels_of(color, s, 0.0)[20] == 0
    for number in range(200):
        random = np.random.default_rng([1, number, 0])
        level = pairs.levels[random.integers(len(pairs.levels))]
        for domain in (pairs.gray, pairs.color):
            assert domain.by_level[level]
    for level in pairs.levels:
        low, high = 10.0 * level, 10.0 * (level + 1)
        for number, n in pairs.gray.by_level[level]:
            assert low <= pairs.gray.prepared[number].positions[n] < high
        for number, n in pairs.color.by_level[level]:
            assert low <= pairs.color.prepared[number].positions[n] - 20 < high


def test_no_common_level_is_an_error_not_a_silent_mismatch() -> None:
    s = plain(size=16, levels="top", level_width=5.0, gray_top=100.0)
    with pytest.raises(InputError, match="share no level"):
        Pairs([made("g", 10)], [made("c", 10, color=True)], s, paired=False, seed=0)


def test_a_batch_depends_on_its_number_alone_and_is_shared_by_processes() -> None:
    s = plain(size=16, batch=4, slices=3, rotate=10.0, zoom=0.1, shift=0.1, flip=True, gamma=0.2)
    pairs = Pairs([made("g", 9)], [made("c", 30, color=True)], s, paired=False, seed=7)
    whole = pairs.batch(3, range(4))
    halves = [pairs.batch(3, range(2)), pairs.batch(3, range(2, 4))]
    for name in ("gray", "color", "color_gray", "mask", "color_mask"):
        assert torch.equal(getattr(whole, name), torch.cat([getattr(half, name) for half in halves]))
    assert torch.equal(
        whole.gray, Pairs([made("g", 9)], [made("c", 30, color=True)], s, paired=False, seed=7).batch(3, range(4)).gray
    )
    assert not torch.equal(whole.gray, pairs.batch(4, range(4)).gray)
    assert whole.gray.shape == (4, 3, 16, 16)
    assert whole.color.shape == (4, 3, 16, 16)
    assert float(whole.gray.min()) >= -1
    assert float(whole.gray.max()) <= 1


def test_pairs_are_the_same_slice_twice_and_color_gray_is_its_luma() -> None:
    s = plain(size=16, flip=True)
    color = made("c", 30, color=True)
    pairs = Pairs([], [color], s, paired=True, seed=0)
    for number in range(5):
        batch = pairs.batch(number, [0])
        assert torch.equal(batch.gray, batch.color_gray)
        codes = ((batch.color[0] + 1) * 127.5).round().numpy().astype(np.uint8)
        luma = ((batch.color_gray[0, 0] + 1) * 127.5).round().numpy().astype(np.uint8)
        assert np.abs(luma_codes(np.moveaxis(codes, 0, -1)).astype(int) - luma).max() <= 1


def test_neighbours_stay_in_order_and_never_cross_a_gap() -> None:
    source = made("g", 6)
    source = Prepared(source.subject, source.pictures, source.mask, None, np.array([0.0, 1, 2, 40, 41, 42]), 1.0,
                      fractions=source.fractions)  # fmt: skip
    pairs = Pairs([source], [made("c", 6, color=True)], plain(size=16, slices=5), paired=False, seed=0)
    seen = {n: pairs.plain((0, n), (0, 0)).gray[0] for n in range(6)}
    codes = [((seen[n] + 1) * 127.5).round().numpy() for n in range(6)]
    for n, expected in {1: [0, 0, 1, 2, 2], 2: [0, 1, 2, 2, 2], 3: [3, 3, 3, 4, 5], 0: [0, 0, 0, 1, 2]}.items():
        for place, m in enumerate(expected):
            assert np.array_equal(codes[n][place], source.pictures[m]), (n, place)


def test_sets_of_unequal_size_train_and_long_scans_do_not_drown_short_ones() -> None:
    long, short = made("long", 90), made("sh", 10)
    pairs = Pairs([long, short], [made("c", 3, color=True)], plain(size=16), paired=False, seed=0)
    from MedColorizeLib.training.dataset import _pick

    random = np.random.default_rng(0)
    share = np.mean([_pick(pairs.gray, 0, random)[0] for _ in range(600)])
    assert 0.42 < share < 0.58


def test_labels_follow_their_scan_through_every_movement(tmp_path: Path) -> None:
    volume = ball()
    write_volume(tmp_path / "g" / "a_t1.nii.gz", volume)
    write_volume(tmp_path / "l" / "a_tissues.nii.gz", (volume > 0).astype(np.uint8))
    recipe = load_recipe(
        "segmentation-unet", changes=["size=32", "spacing=2.0", "gray_background=none", "rotate=30", "shift=0.2"]
    )
    material = collect(
        recipe, Folders(tmp_path / "g", None, tmp_path / "l"), paired=True, segmentation=True, cache=tmp_path / "c"
    )
    for number in range(6):
        batch = material.train.batch(number, range(2))
        assert batch.labels is not None
        inside = batch.gray[:, 0] > -0.6
        agree = (inside == (batch.labels > 0)).float().mean()
        assert agree > 0.97
    (tmp_path / "l" / "a_other.nii.gz").write_bytes((tmp_path / "l" / "a_tissues.nii.gz").read_bytes())
    with pytest.raises(UsageError, match="several label maps for a"):
        collect(
            recipe, Folders(tmp_path / "g", None, tmp_path / "l"), paired=True, segmentation=True, cache=tmp_path / "c"
        )


def test_facts_of_the_data_name_nobody(tmp_path: Path) -> None:
    for name in ("DOE_t1", "ROE_t1", "POE_t1"):
        write_volume(tmp_path / "g" / f"{name}.nii.gz", ball())
    write_stack(tmp_path / "c" / "MISSPIGGY", 12)
    common = ["size=32", "spacing=2", "levels=none", "color_background=none"]
    further = ["subject=folder", "validation=0.3", "gray_background=none"]
    recipe = load_recipe("cyclegan-resnet9", changes=[*common, *further])
    recipe_gray = load_recipe("cyclegan-resnet9", changes=common)
    for each in (recipe, recipe_gray):
        material = collect(each, Folders(tmp_path / "g", tmp_path / "c"), paired=False, cache=tmp_path / "cache")
        text = json.dumps(material.facts)
        assert not any(name in text for name in ("DOE", "ROE", "POE", "PIGGY"))


# Cryosections


def test_what_surrounds_the_body_in_cryosections_is_found_over_the_whole_of_it(data: Path) -> None:
    """Gelatine and latex out, tissue in: at thirteen levels from the crown to the toes."""
    # Shares of the picture, from masks that were looked at over the whole body.
    shares = {20: 0.027, 67: 0.088, 132: 0.096, 214: 0.091, 327: 0.344, 457: 0.429, 587: 0.356, 717: 0.352}
    shares |= {850: 0.343, 977: 0.336, 1107: 0.246, 1301: 0.11, 1627: 0.034}
    for number, share in shares.items():
        rgb = np.asarray(Image.open(data / "cryosections" / "vhm" / f"{number:04d}.jpg"))
        mask = body(rgb)
        assert 0.95 * share - 0.001 < mask.mean() < 1.05 * share + 0.001, number
        inside = rgb[mask].astype(int)
        blue = (inside[:, 2] > inside[:, 0] + 25).mean()
        assert blue < 0.005, number
        assert not mask[:100, 1120:].any(), "the emblem"
        assert not mask[int(0.9 * 720) :].any(), "rulers and labels"
    # Blue latex lies inside the outline of frame 717 and must be a hole.
    rgb = np.asarray(Image.open(data / "cryosections" / "vhm" / "0717.jpg"))
    latex = (rgb[..., 2] > 150) & (rgb[..., 0] < 60)
    assert latex.sum() > 2000
    assert (body(rgb) & latex).sum() < 0.01 * latex.sum()


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 2**31))
def test_empty_photographs_have_no_body(seed: int) -> None:
    random = np.random.default_rng(seed)
    gelatine = np.array([16, 74, 121]) + random.integers(-10, 10, (80, 120, 3))
    assert not body(np.clip(gelatine, 0, 255).astype(np.uint8)).any()
