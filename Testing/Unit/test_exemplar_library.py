"""The reference library: hashes by hand, what an update notices, what is refused; nothing is left half-done."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from MedColorizeLib.errors import Cancelled, InputError, UsageError
from MedColorizeLib.exemplar import hashing
from MedColorizeLib.exemplar.library import Match, ReferenceLibrary
from MedColorizeLib.exemplar.library_update import update
from MedColorizeLib.exemplar.pictures import fitted, read_picture, resized
from MedColorizeLib.imaging.colorspaces import luma_codes
from MedColorizeLib.progress import CancelToken


def write_picture(path: Path, seed: int, size: int = 64) -> np.ndarray:
    """A smooth random colour picture."""
    rng = np.random.default_rng(seed)
    coarse = rng.integers(30, 250, (6, 7, 3), dtype=np.uint8)
    picture = np.asarray(Image.fromarray(coarse).resize((size, size), Image.Resampling.BICUBIC))
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(picture).save(path)
    return picture


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Five pictures, one of them in a folder below."""
    for n in range(5):
        write_picture(tmp_path / "pictures" / ("below" if n == 4 else "") / f"{n}.png", n)
    return tmp_path / "pictures"


def test_the_hash_says_where_the_left_pixel_is_brighter() -> None:
    levels = np.zeros((8, 9), np.uint8)
    levels[0] = [9, 8, 8, 9, 0, 0, 0, 0, 1]  # left > right at 0 and 3
    levels[7] = [0, 0, 0, 0, 0, 0, 0, 5, 0]  # at 7
    assert f"{int(hashing.pack(levels)):064b}" == "10010000" + "0" * 48 + "00000001"


def test_the_hash_knows_64_levels_only() -> None:
    picture = np.tile(np.array([100, 103, 100, 99, 96, 100, 104, 100, 100], np.uint8), (8, 1))
    # 100..103 are one level (25), 99 and 96 another (24), 104 a third (26)
    assert f"{int(hashing.dhash(picture)):064b}" == "00100010" * 8


def test_turns_are_the_hashes_of_the_turned_picture() -> None:
    rng = np.random.default_rng(3)
    picture = rng.integers(0, 256, (8, 9), dtype=np.uint8)
    for value, (_, (rows, columns)) in zip(hashing.turned(picture), hashing.TURNS, strict=True):
        assert value == hashing.dhash(np.ascontiguousarray(picture[::rows, ::columns]))


def test_distances_count_bits() -> None:
    hashes = np.array([0, 1, 0b1011, 2**64 - 1], np.uint64)
    found = hashing.distances(hashes, np.array([0, 0b1000], np.uint64))
    assert found.tolist() == [[0, 1, 3, 64], [1, 2, 2, 63]]


def test_a_picture_finds_itself_however_it_is_held(folder: Path, tmp_path: Path) -> None:
    assert update(tmp_path / "l.sqlite", [folder]).added == 5
    library = ReferenceLibrary(tmp_path / "l.sqlite")
    gray = luma_codes(read_picture(folder / "3.png"))
    for turn, (_, (rows, columns)) in enumerate(hashing.TURNS):
        best = library.nearest(np.ascontiguousarray(gray[::rows, ::columns]), 2)[0]
        assert (best.reference.path.name, best.turn) == ("3.png", turn)
        assert best.distance <= 2  # cropping and resizing don't commute with turning to the last code
        np.testing.assert_array_equal(luma_codes(best.reference.read(best.turn)), gray[::rows, ::columns])
    both = library.nearest_to_all([gray, gray])
    assert both.reference.path.name == "3.png"


def test_a_volume_s_references_come_in_order_and_any_can_be_chosen(folder: Path, tmp_path: Path) -> None:
    update(tmp_path / "l.sqlite", [folder])
    library = ReferenceLibrary(tmp_path / "l.sqlite")
    slices = [luma_codes(read_picture(folder / f"{n}.png"))[::-1] for n in (3, 3, 1)]
    suited = library.suited(slices, 9)
    assert len(suited) == 5
    assert (suited[0].reference.path.name, suited[0].turn) == ("3.png", 1)
    sums = np.sum([[m.distance for m in sorted(library.nearest(gray, 5), key=_name)] for gray in slices], axis=0)
    assert sorted(m.distance for m in suited) == [m.distance for m in suited]
    # In one turn for all the slices, so at least what each slice has in the best of its own.
    assert all(m.distance >= round(s / 3) for m, s in zip(sorted(suited, key=_name), sums, strict=True))
    assert library.nearest_to_all(slices) == suited[0]
    for match in suited:
        assert library.chosen(match.reference.sha256, slices) == match
    with pytest.raises(InputError, match="no longer in"):
        library.chosen("0" * 64, slices)


def _name(match: Match) -> str:
    return match.reference.path.name


def test_updates_notice_what_is_new_changed_and_gone(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    update(path, [folder])
    before = {r.path.name: r.sha256 for r in ReferenceLibrary(path).references()}
    again = update(path)
    assert (again.unchanged, again.added, again.changed, again.removed) == (5, 0, 0, 0)
    write_picture(folder / "0.png", 77, size=70)
    write_picture(folder / "9.png", 9)
    (folder / "1.png").unlink()
    os.utime(folder / "2.png", (1, 1))  # touched, not changed
    changes = update(path)
    assert (changes.pictures, changes.unchanged, changes.added, changes.changed, changes.removed) == (5, 3, 1, 1, 1)
    after = {r.path.name: r.sha256 for r in ReferenceLibrary(path).references()}
    assert set(after) == {"0.png", "2.png", "3.png", "4.png", "9.png"}
    assert after["0.png"] != before["0.png"]
    assert after["2.png"] == before["2.png"]


def test_a_library_moves_with_its_folder(folder: Path, tmp_path: Path) -> None:
    update(tmp_path / "l.sqlite", [folder])
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    shutil.move(folder, moved / "pictures")
    shutil.move(tmp_path / "l.sqlite", moved / "l.sqlite")
    assert all(reference.path.is_file() for reference in ReferenceLibrary(moved / "l.sqlite").references())
    assert update(moved / "l.sqlite").unchanged == 5


def test_damaged_pictures_are_told_and_stop_nothing(folder: Path, tmp_path: Path) -> None:
    (folder / "broken.jpg").write_bytes(b"\xff\xd8\xff no more")
    whole = (folder / "0.png").read_bytes()
    (folder / "0.png").write_bytes(whole[: len(whole) // 2])
    changes = update(tmp_path / "l.sqlite", [folder])
    assert changes.added == 4
    assert sorted(Path(text.split(" can't")[0]).name for text in changes.refused) == ["0.png", "broken.jpg"]


def test_references_that_changed_or_went_are_refused(folder: Path, tmp_path: Path) -> None:
    update(tmp_path / "l.sqlite", [folder])
    references = {r.path.name: r for r in ReferenceLibrary(tmp_path / "l.sqlite").references()}
    write_picture(folder / "0.png", 50)
    (folder / "1.png").unlink()
    with pytest.raises(InputError, match="has changed"):
        references["0.png"].read()
    with pytest.raises(InputError, match="is gone"):
        references["1.png"].read()


@pytest.mark.parametrize("content", [b"", b"no database at all, but long enough to look at" * 20])
def test_files_that_are_no_library_are_refused_and_kept(folder: Path, tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "l.sqlite"
    path.write_bytes(content)
    with pytest.raises(InputError, match="no reference library, or it is damaged"):
        ReferenceLibrary(path)
    with pytest.raises(InputError):
        update(path, [folder])
    assert path.read_bytes() == content


def test_a_library_cut_short_is_refused(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    update(path, [folder])
    path.write_bytes(path.read_bytes()[:6000])
    with pytest.raises(InputError, match="damaged"):
        ReferenceLibrary(path).nearest(np.zeros((20, 20), np.uint8))


def test_a_cancelled_update_changes_nothing(folder: Path, tmp_path: Path) -> None:
    path = tmp_path / "l.sqlite"
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        update(path, [folder], cancel=cancel, on_progress=lambda event: cancel.cancel())
    assert sorted(p.name for p in tmp_path.iterdir()) == ["pictures"]
    update(path, [folder])
    before = path.read_bytes()
    write_picture(folder / "8.png", 8)
    with pytest.raises(Cancelled):
        update(path, cancel=cancel)
    assert path.read_bytes() == before


def test_deep_features_put_the_nearest_in_order(folder: Path, tmp_path: Path) -> None:
    class Corners:
        """Mean of the four quarters: a feature a test can follow."""

        name = "corners"

        def __call__(self, pictures: np.ndarray) -> np.ndarray:
            halves = pictures[..., 0].astype(float).reshape(len(pictures), 2, 112, 2, 112).mean(axis=(2, 4))
            return halves.reshape(len(pictures), 4) - 128

    update(tmp_path / "l.sqlite", [folder], deep=Corners())
    library = ReferenceLibrary(tmp_path / "l.sqlite")
    best = library.nearest(luma_codes(read_picture(folder / "2.png")), 5, Corners())
    assert best[0].reference.path.name == "2.png"
    assert best[0].similarity == pytest.approx(1, abs=1e-5)
    likeness = [match.similarity or 0 for match in best]
    assert likeness == sorted(likeness, reverse=True)
    update(tmp_path / "plain.sqlite", [folder])
    with pytest.raises(UsageError, match="without deep features"):
        ReferenceLibrary(tmp_path / "plain.sqlite").nearest(np.zeros((9, 9), np.uint8), 1, Corners())


def test_fitting_keeps_proportions() -> None:
    picture = np.full((20, 40, 3), 200, np.uint8)
    out = fitted(picture, (60, 60))
    assert out.shape == (60, 60, 3)
    assert (out[15:45] == 200).all()
    assert (out[:15] == 0).all()
    assert (out[45:] == 0).all()
    assert resized(picture, (10, 10)).shape == (10, 10, 3)


def test_only_the_tissue_of_a_cryosection_counts(data: Path) -> None:
    path = data / "cryosections" / "vhm" / "0100.jpg"
    whole, tissue = read_picture(path), read_picture(path, "cryosection")
    assert tissue.shape[0] < whole.shape[0]
    assert tissue.shape[1] < whole.shape[1] / 2
    red, blue = tissue[..., 0].astype(int), tissue[..., 2].astype(int)
    assert np.mean(blue > red + 12) < 0.01
