"""This project's own network on NumPy: what torch computes, from the same bundle, without torch."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.torch import load_file, save_file

from MedColorizeLib.bundles.folder import METADATA, SUMS, WEIGHTS
from MedColorizeLib.bundles.load import load_network
from MedColorizeLib.bundles.write import write_bundle
from MedColorizeLib.errors import ModelError, ResourceError
from MedColorizeLib.inference import plain_net
from MedColorizeLib.inference.network import NetworkPainter, can_run, load_painter
from MedColorizeLib.inference.painter import Subject
from MedColorizeLib.inference.plain_net import PlainNet
from MedColorizeLib.methods.medcolorize import MedColorize, MedColorizeOptions
from MedColorizeLib.resources import resources_dir

from test_bundles_trust import altered, facts, resigned  # isort: skip
from test_network_painter import bundle as described  # isort: skip
from test_network_painter import scan, signed  # isort: skip

REPOSITORY = Path(__file__).resolve().parents[2]
SHIPPED = ("head-mr", "body-ct", "cryosections")


def by_torch(network: torch.nn.Module, stack: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return ((network(torch.from_numpy(stack)[None])[0].clamp(-1, 1) + 1) * 127.5).numpy()


def differs(one: np.ndarray, other: np.ndarray, stack: np.ndarray) -> float:
    """The largest difference of two colourings in the box around what is to be seen: nobody shows the air beyond."""
    assert one.shape == other.shape
    seen = stack.max(axis=0) > -1
    box = [slice(*np.flatnonzero(seen.any(axis=axis))[[0, -1]] + [0, 1]) if seen.any() else slice(0) for axis in (1, 0)]
    return float(np.abs(one - other)[:, *box].max(initial=0))


def stack_of(slices: int, rows: int, columns: int, seed: int = 0) -> np.ndarray:
    """Smooth places, noise and black, as slices have them."""
    rng = np.random.default_rng(seed)
    smooth = rng.standard_normal((slices, rows, columns)).cumsum(1).cumsum(2) / 30
    picture = np.clip(smooth + 0.1 * rng.standard_normal(smooth.shape), -1, 1)
    picture[:, : rows // 5] = -1
    return picture.astype(np.float32)


def made(folder: Path, slices: int, widths: tuple[int, ...], seed: int) -> Path:
    """A bundle of an untrained network whose norms are not the identity."""
    torch.manual_seed(seed)
    method = MedColorize(MedColorizeOptions(widths=widths), slices=slices)
    for module in method.g.modules():
        if isinstance(module, torch.nn.BatchNorm2d):
            module.running_mean.normal_(0, 0.3)
            module.running_var.uniform_(0.5, 2)
            module.weight.data.uniform_(0.5, 2)
            module.bias.data.normal_(0, 0.3)
    wanted = facts(
        "tiny",
        method="medcolorize",
        config=method.inference_config(),
        input=described(slices=slices, spacing=1.0, size=32, divisor=method.divisor).input,
    )
    return write_bundle(folder, method.inference_network(), wanted).folder


@pytest.fixture
def bundle(tmp_path: Path) -> Path:
    return made(tmp_path / "tiny", 3, (4, 6), 0)


@pytest.mark.parametrize("name", SHIPPED)
def test_the_models_that_come_with_it_give_what_they_give_in_torch(name: str) -> None:
    folder = resources_dir() / "Bundles" / name
    _, network = load_network(folder)
    _, net = PlainNet.load(folder)
    for rows, columns in ((192, 160), (64, 96)):
        stack = stack_of(3, rows, columns)
        expected = by_torch(network, stack)
        assert np.ptp(expected[0] - expected[2]) > 5
        assert differs(net(stack), expected, stack) < 1e-3


@settings(max_examples=15, deadline=None)
@given(
    st.sampled_from([1, 3, 5]),
    st.lists(st.integers(1, 9), min_size=1, max_size=4),
    st.integers(1, 5),
    st.integers(1, 5),
    st.integers(0, 99),
)
def test_any_of_its_networks_on_any_window(
    tmp_path_factory: pytest.TempPathFactory, slices: int, widths: list[int], high: int, wide: int, seed: int
) -> None:
    folder = made(tmp_path_factory.mktemp("nets") / "net", slices, tuple(widths), seed)
    _, network = load_network(folder)
    _, net = PlainNet.load(folder)
    side = 2 ** len(widths)
    for rows, columns in (
        (high * side, wide * side),
        (wide * side, high * side),
    ):  # its memory is of another shape then
        stack = stack_of(slices, rows, columns, seed)
        assert differs(net(stack), by_torch(network, stack), stack) < 2e-3


@settings(max_examples=40, deadline=None)
@given(
    st.lists(st.integers(3, 7), min_size=1, max_size=4),
    st.lists(st.tuples(st.integers(0, 95), st.integers(1, 40)), min_size=2, max_size=2),
    st.integers(0, 99),
)
def test_air_around_a_body_is_left_out_and_the_body_coloured_as_ever(
    tmp_path_factory: pytest.TempPathFactory, widths: list[int], places: list[tuple[int, int]], seed: int
) -> None:
    folder = made(tmp_path_factory.mktemp("nets") / "net", 3, tuple(widths), seed)
    _, network = load_network(folder)
    _, net = PlainNet.load(folder)
    for turn in (0, 1):  # the second time its memory holds another part
        stack = np.full((3, 96, 64), -1, np.float32)
        body = np.s_[:, *(slice(first, first + size) for first, size in (places, places[::-1])[turn])]
        stack[body] = np.random.default_rng(seed).uniform(-0.9, 1, stack[body].shape)
        assert differs(net(stack), by_torch(network, stack), stack) < 2e-3


def test_less_is_worked_out_where_there_is_more_air(monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = PlainNet.load(resources_dir() / "Bundles" / "body-ct")
    pixels: list[int] = []
    product = net._product
    monkeypatch.setattr(net, "_product", lambda *a: pixels.append(a[1].size * a[3] * a[4]) or product(*a))
    counts = []
    for size in (192, 64):
        stack = np.full((3, 192, 192), -1, np.float32)
        stack[:, :size, :size] = 0.2
        net(stack)  # the first time air is looked at too
        pixels.clear()
        net(stack)
        counts.append(sum(pixels))
    assert counts[1] < 0.7 * counts[0]


def test_parts_of_one_product_join(bundle: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    _, net = PlainNet.load(bundle)
    stack = stack_of(3, 64, 48)
    whole = net(stack)
    monkeypatch.setattr(plain_net, "_COPIED", 5000)
    assert np.abs(net(stack) - whole).max() < 1e-3


@pytest.mark.parametrize("plane", ["axial", "coronal"])
@pytest.mark.parametrize("every_mm", [0.0, 3.0])
@pytest.mark.parametrize("signs", [(-1, -1, 1), (-1, -1, -1)])
def test_slices_run_beside_the_painting_are_coloured_the_same(
    bundle: Path, plane: str, every_mm: float, signs: tuple[int, ...]
) -> None:
    subject = Subject(scan((12, 33, 35)), signed([0, 1, 2], signs))
    frame = described(slices=3, spacing=1.0, size=32, divisor=4, plane=plane, every_mm=every_mm, masked=True)
    painted = []
    for ahead in (0, 1, 5):
        _, net = PlainNet.load(bundle)
        net.ahead = ahead
        painter = NetworkPainter(frame, net)
        painter.figures(subject)
        painted.append(np.concatenate([painter.paint(subject, a, b) for a, b in ((0, 5), (5, 12))]))
        again = painter.paint(subject, 3, 4)
        assert np.array_equal(again, painted[-1][3:4])
    assert np.array_equal(painted[0], painted[1])
    assert np.array_equal(painted[0], painted[2])


def test_what_fails_beside_the_painting_is_told_and_leaves_nothing_behind(bundle: Path) -> None:
    _, net = PlainNet.load(bundle)
    net.ahead = 2

    def hungry(stack: np.ndarray) -> np.ndarray:
        raise MemoryError

    net._colors_of = hungry  # type: ignore[method-assign]
    with pytest.raises(ResourceError, match=r"Memory gave out while 'tiny'.*smaller model"):
        NetworkPainter(described(slices=3, spacing=1.0, size=32, divisor=4), net).paint(
            Subject(scan((6, 33, 35)), np.eye(4)), 0, 6
        )


@pytest.mark.parametrize(
    ("stated", "numpy_threads", "expected"),
    [("1", "1", 0), ("2", "1", 2), ("64", "1", 8), ("4", "4", 1), ("4", None, 1), ("many", "1", None)],
)
def test_slices_run_on_the_cores_that_openmp_may_use(
    stated: str, numpy_threads: str | None, expected: int | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OMP_NUM_THREADS", stated)
    monkeypatch.delenv("OPENBLAS_NUM_THREADS", raising=False)
    if numpy_threads:
        monkeypatch.setenv("OPENBLAS_NUM_THREADS", numpy_threads)
    found = plain_net._beside()
    if expected is None:  # what this computer has
        assert 0 <= found <= 8
        assert found != 1
        assert found <= (os.cpu_count() or 1)
    else:
        assert found == expected


#
# Without torch
#

BLOCKED = """
import sys
class No:
    def find_spec(self, name, *_):
        if name.split('.')[0] in ('torch', 'monai', 'safetensors', 'scipy'): raise ImportError(name + ' is blocked')
sys.meta_path.insert(0, No())
import importlib.util as util
real = util.find_spec
util.find_spec = lambda name, *rest: None if name.split('.')[0] in ('torch', 'monai') else real(name, *rest)
from MedColorizeLib.app.cli import main
sys.exit(main(sys.argv[1:]))
"""


def run_blocked(*words: str) -> subprocess.CompletedProcess[str]:
    environment = {**os.environ, "PYTHONPATH": str(REPOSITORY)}
    return subprocess.run(
        [sys.executable, "-c", BLOCKED, *words], env=environment, capture_output=True, text=True, check=False
    )


@pytest.fixture(scope="module")
def head(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import nibabel

    z, y, x = np.mgrid[-12:12, -40:40, -36:36]
    ball = np.clip(40 - np.hypot(np.hypot(z * 2, y), x), 0, None) * 5
    path = tmp_path_factory.mktemp("head") / "head.nii"
    nibabel.save(nibabel.Nifti1Image(ball.transpose(2, 1, 0).astype(np.int16), np.diag([2.0, 2, 4, 1])), path)
    return path


def test_the_best_model_for_a_head_colours_it_where_torch_is_missing(head: Path, tmp_path: Path) -> None:
    from MedColorizeLib import Colorizer, read_color, read_volume

    done = run_blocked("colorize", str(head), "-o", str(tmp_path / "color.nii"), "--json")
    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["provenance"]["model"] == "head-mr"
    there = read_color(tmp_path / "color.nii").array.astype(int)
    here = Colorizer().colorize(read_volume(head)).array
    assert np.ptp(there, axis=-1).max() > 20
    # A product on one thread and on several is rounded differently.
    assert np.abs(there - here).max() <= 1
    assert np.mean(there != here) < 1e-3


def test_models_of_torch_and_devices_of_torch_say_what_they_need(head: Path, tmp_path: Path) -> None:
    for words in (("--model", "colormedgan-head-mr"), ("--model", "head-mr", "--device", "cuda")):
        done = run_blocked("colorize", str(head), "-o", str(tmp_path / "color.nii"), *words)
        assert done.returncode == 4
        assert "not installed" in done.stderr


def test_only_what_can_be_run_is_chosen(monkeypatch: pytest.MonkeyPatch) -> None:
    from MedColorizeLib.bundles.folder import read_bundle
    from MedColorizeLib.inference import network

    own, published = (read_bundle(resources_dir() / "Bundles" / name) for name in ("head-mr", "colormedgan-head-mr"))
    assert (own.needs_torch, published.needs_torch) == (False, True)
    assert can_run(own)
    assert can_run(published)
    monkeypatch.setattr(network, "find_spec", lambda name: None)
    assert can_run(own)
    assert not can_run(published)


def test_asked_for_a_graphics_card_it_is_torch_s(bundle: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("there is a graphics card, so nothing is refused")
    with pytest.raises(ResourceError, match="CUDA"):
        load_painter(bundle, device="cuda")
    assert isinstance(load_painter(bundle, device="auto").net, PlainNet)


#
# Bundles that were tampered with
#


def drop_a_tensor(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors.pop("network.up.0.0.bias")
    save_file(tensors, folder / WEIGHTS)
    resigned(folder)


def widen(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["network.stem.0.weight"] = torch.zeros(5, 12, 3, 3)
    save_file(tensors, folder / WEIGHTS)
    resigned(folder)


def add_a_tensor(folder: Path) -> None:
    save_file({**load_file(folder / WEIGHTS), "network.more": torch.zeros(1)}, folder / WEIGHTS)
    resigned(folder)


def poison(folder: Path) -> None:
    tensors = load_file(folder / WEIGHTS)
    tensors["network.tissue.bias"][0] = float("nan")
    save_file(tensors, folder / WEIGHTS)
    resigned(folder)


def change(key: str, value: object) -> Callable[[Path], None]:
    return lambda folder: altered(folder, lambda m: m["medcolorize"]["config"]["options"].update({key: value}))


def more_slices(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["input"].update(slices=5))


def odd_windows(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["input"].update(divisor=2))


def no_colors(folder: Path) -> None:
    save_file({**load_file(folder / WEIGHTS), "network.colors": torch.tensor(1.0)}, folder / WEIGHTS)
    resigned(folder)


def no_options(folder: Path) -> None:
    altered(folder, lambda m: m["medcolorize"]["config"].pop("options"))


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (drop_a_tensor, "does not fit.*network.up.0.0.bias"),
        (widen, "does not fit.*network.stem.0.weight"),
        (add_a_tensor, "does not fit.*network.more"),
        (poison, "not finite"),
        (change("widths", [4, 7]), "does not fit"),
        (change("widths", [4, 6, 10**9]), "can't be built"),
        (change("widths", "wide"), "can't be built"),
        (change("widths", []), "can't be built"),
        (change("widths", [4, -6]), "can't be built"),
        (more_slices, "can't be built"),
        (odd_windows, "can't be built"),
        (no_colors, "does not fit.*network.colors"),
        (no_options, "can't be built"),
    ],
)
def test_what_does_not_fit_is_refused(bundle: Path, harm: Callable[[Path], None], message: str) -> None:
    harm(bundle)
    with pytest.raises(ModelError, match=message):
        load_painter(bundle)


def test_sums_and_metadata_are_checked_first(bundle: Path) -> None:
    (bundle / METADATA).write_text((bundle / METADATA).read_text().replace("medcolorize", "medcolorise", 1))
    with pytest.raises(ModelError):
        load_painter(bundle)
    (bundle / SUMS).unlink()
    with pytest.raises(ModelError):
        PlainNet.load(bundle)
