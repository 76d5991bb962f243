"""Painting with a network: every voxel in its place, whatever the scan's axes, plane, spacing and slabs."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from MedColorizeLib.bundles.folder import Bundle, InputFrame
from MedColorizeLib.bundles.write import write_bundle
from MedColorizeLib.errors import Cancelled, ModelError, ResourceError, UsageError
from MedColorizeLib.imaging.colordiff import chroma_difference, lab
from MedColorizeLib.imaging.colorspaces import luma, luma_codes
from MedColorizeLib.imaging.luma import fit_gamut
from MedColorizeLib.imaging.volume import Volume
from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.inference.network import NetworkPainter, choose_bundle, load_painter
from MedColorizeLib.inference.painter import Subject
from MedColorizeLib.inference.planes import FusedPainter, three_planes
from MedColorizeLib.progress import CancelToken

from test_bundles_trust import facts, tiny_method  # isort: skip


class Tint(nn.Module):
    """A network whose answer is known: red is the middle slice, green the one above it, blue the one below."""

    def __init__(self, slices: int = 1) -> None:
        super().__init__()
        self.slices = slices
        self.seen: list[tuple[int, ...]] = []

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        self.seen.append(tuple(gray.shape))
        k = self.slices // 2
        return torch.stack([gray[:, k], gray[:, 0], gray[:, -1]], dim=1)


class Warm(nn.Module):
    """Adds a fixed chroma: what comes back must carry it everywhere inside."""

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        middle = gray[:, gray.shape[1] // 2]
        return torch.stack([middle + 0.2, middle, middle - 0.2], dim=1)


def bundle(**changes: Any) -> Bundle:
    frame = {"plane": "axial", "slices": 1, "size": 8, "divisor": 4, "spacing": 0.0, "masked": False, **changes}
    return Bundle(Path("."), "tint", "Tint", "tanjim-4", "color", {}, InputFrame(**frame), "fp32", {}, "0" * 64)


def scan(shape: tuple[int, int, int] = (5, 9, 11), seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(20, 256, shape).astype(np.uint8)


def signed(order: list[int], signs: tuple[int, ...], mm: tuple[float, ...] = (1.0, 1.0, 1.0)) -> np.ndarray:
    affine = np.eye(4)
    affine[:3, :3] = np.eye(3)[:, order] * np.array(signs) * mm
    return affine


@settings(max_examples=40, deadline=None)
@given(
    st.permutations(range(3)),
    st.tuples(*[st.sampled_from([-1, 1])] * 3),
    st.sampled_from(["axial", "coronal", "sagittal"]),
    st.integers(0, 4),
)
def test_every_voxel_comes_back_to_its_place(order: list[int], signs: tuple[int, ...], plane: str, start: int) -> None:
    """At the scan's own scale, a network that repeats its input gives the scan, from any axes in any plane."""
    gray = scan((5, 5, 5))
    subject = Subject(gray, signed(order, signs))
    painter = NetworkPainter(bundle(plane=plane, spacing=1.0), Tint())
    out = painter.paint(subject, start, 5)
    assert out.shape == (5 - start, 5, 5, 3)
    assert np.abs(out - gray[start:, ..., None]).max() < 1e-3


@pytest.mark.parametrize("plane", ["axial", "coronal", "sagittal"])
def test_slabs_are_cut_from_one_whole(plane: str, oblique: np.ndarray) -> None:
    gray = scan((6, 9, 11))
    painter = NetworkPainter(bundle(plane=plane, spacing=1.3, size=16, masked=True), Warm())
    subject = Subject(gray, oblique)
    whole = painter.paint(subject, 0, 6)
    parts = np.concatenate([painter.paint(subject, a, b) for a, b in ((0, 1), (1, 4), (4, 6))])
    assert np.array_equal(whole, parts)
    assert np.array_equal(whole, NetworkPainter(painter.bundle, Warm()).paint(Subject(gray, oblique), 0, 6))


def test_slices_framed_once_and_looked_at_before_are_painted_as_if_alone(oblique: np.ndarray) -> None:
    gray = np.zeros((9, 40, 44), np.uint8)
    gray[:, 6:34, 8:38] = scan((9, 28, 30))
    described = bundle(spacing=0.9, size=16, masked=True, slices=3)
    subject = Subject(gray, oblique)
    painter = NetworkPainter(described, Tint(3))
    assert painter.figures(subject)  # leaves what the network made of some slices to be painted
    whole = painter.paint(subject, 0, 9)
    assert not painter._scene(subject).kept
    for k in (8, 0, 4, 3):
        alone = NetworkPainter(described, Tint(3)).paint(Subject(gray, oblique), k, k + 1)
        assert np.array_equal(alone[0], whole[k])


def test_slices_across_the_volume_s_own_are_told_one_by_one() -> None:
    told: list[tuple[int, int]] = []
    painter = NetworkPainter(bundle(plane="coronal", spacing=1.0), Warm())
    Colorizer(painter=painter).colorize(
        Volume(scan((5, 9, 11)), np.eye(4), "MR"),
        on_progress=lambda event: told.append((event.done, event.total)) if event.stage == "prepare" else None,
    )
    assert told[-9:] == [(n, 9) for n in range(1, 10)]


def test_neighbours_come_from_the_body_s_order_and_are_repeated_at_the_ends() -> None:
    """Slices run from superior; with K towards superior, the slice above is the next one of the array."""
    gray = scan((4, 8, 8))
    up = NetworkPainter(bundle(slices=3, spacing=1.0), Tint(3)).paint(
        Subject(gray, signed([0, 1, 2], (-1, -1, 1))), 0, 4
    )
    down = NetworkPainter(bundle(slices=3, spacing=1.0), Tint(3)).paint(
        Subject(gray, signed([0, 1, 2], (-1, -1, -1))), 0, 4
    )
    for k in range(4):
        above, below = gray[min(k + 1, 3)], gray[max(k - 1, 0)]
        assert np.abs(up[k] - np.stack([gray[k], above, below], -1)).max() < 1e-3
        assert np.abs(down[k] - np.stack([gray[k], below, above], -1)).max() < 1e-3


def test_only_chroma_is_resampled() -> None:
    """At another mm per pixel the luma stays the scan's own, sharp; the chroma is the network's."""
    gray = scan((3, 24, 24))
    painter = NetworkPainter(bundle(spacing=2.0, size=16), Warm())
    out = painter.paint(Subject(gray, np.eye(4)), 0, 3)
    assert np.abs(luma(out) - gray).max() < 1e-3
    expected = np.array([0.2, 0.0, -0.2]) * 127.5
    expected = expected - expected @ [0.299, 0.587, 0.114]
    middle = (out - luma(out)[..., None])[1, 6:18, 6:18].reshape(-1, 3)
    assert np.abs(np.median(middle, axis=0) - expected).max() < 3


def test_pictures_are_padded_to_the_training_size_and_the_divisor() -> None:
    network = Tint()
    NetworkPainter(bundle(spacing=1.0, size=30, divisor=8), network).paint(Subject(scan((1, 9, 9)), np.eye(4)), 0, 1)
    assert network.seen[-1][-2:] == (32, 32)
    NetworkPainter(bundle(spacing=1.0, size=8, divisor=8), network).paint(Subject(scan((1, 50, 21)), np.eye(4)), 0, 1)
    assert network.seen[-1][-2] % 8 == network.seen[-1][-1] % 8 == 0
    assert network.seen[-1][-2] >= 50


def test_a_body_larger_than_the_training_picture_is_painted_to_its_rim() -> None:
    gray = scan((2, 40, 40))
    out = NetworkPainter(bundle(spacing=1.0, size=8), Warm()).paint(Subject(gray, np.eye(4)), 0, 2)
    chroma = np.abs(out - luma(out)[..., None]).sum(-1)
    assert (chroma > 10).mean() > 0.97


def test_a_masked_network_sees_black_air() -> None:
    gray = np.full((3, 40, 40), 4, np.uint8)
    gray[:, 12:28, 12:28] = 180
    network = Tint()
    painter = NetworkPainter(bundle(spacing=1.0, size=40, masked=True), network)
    out = painter.paint(Subject(gray, np.eye(4)), 1, 2)
    assert out[0, 2, 2].max() == 0
    assert abs(out[0, 20, 20, 0] - 180) < 1


def test_cancelling_is_heeded_between_slices() -> None:
    token = CancelToken()
    token.cancel()
    for plane in ("axial", "sagittal"):
        painter = NetworkPainter(bundle(plane=plane), Tint())
        with pytest.raises(Cancelled):
            painter.paint(Subject(scan(), np.eye(4)), 0, 5, token)


def test_a_large_coloured_volume_goes_to_a_file_and_is_the_same(monkeypatch: pytest.MonkeyPatch) -> None:
    from MedColorizeLib.inference import network as module

    gray = scan()
    inside = NetworkPainter(bundle(plane="sagittal"), Warm()).paint(Subject(gray, np.eye(4)), 1, 4)
    monkeypatch.setattr(module, "_IN_MEMORY", 10)
    painter = NetworkPainter(bundle(plane="sagittal"), Warm())
    subject = Subject(gray, np.eye(4))
    assert np.array_equal(inside, painter.paint(subject, 1, 4))
    assert isinstance(painter._scene(subject).whole, np.memmap)


class Hungry(nn.Module):
    """Fails as torch does when memory gives out."""

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        raise torch.OutOfMemoryError("CUDA out of memory")


def test_memory_that_gives_out_on_the_cpu_is_an_error_with_a_way_out() -> None:
    with pytest.raises(ResourceError, match="smaller model"):
        NetworkPainter(bundle(), Hungry()).paint(Subject(scan(), np.eye(4)), 0, 1)


def test_refusals() -> None:
    segmentation = Bundle(**{**bundle().__dict__, "kind": "segmentation"})
    with pytest.raises(ModelError, match="does not colour"):
        NetworkPainter(segmentation, Tint())
    with pytest.raises(UsageError, match="precision"):
        NetworkPainter(bundle(), Tint(), precision="fp8")
    with pytest.raises(ModelError, match="no model 'absent'"):
        load_painter("absent")


def test_three_planes_agree_where_the_network_sees_one_voxel_and_say_where_not() -> None:
    gray = scan((6, 8, 10))
    subject = Subject(gray, np.eye(4))
    fused = three_planes(NetworkPainter(bundle(spacing=1.0), Warm()))
    assert np.abs(luma(fused.paint(subject, 1, 4)) - gray[1:4]).max() < 0.01
    assert fused.disagreement(subject, 1, 4).max() < 1.5  # a code may be rounded otherwise

    class Fixed:
        name = "fixed"

        def __init__(self, color: tuple[float, float, float]) -> None:
            self.color = np.array(color, np.float32)

        def describe(self) -> dict[str, Any]:
            return {}

        def paint(self, s: Subject, start: int, stop: int, cancel: CancelToken | None = None) -> np.ndarray:
            return np.broadcast_to(self.color, (stop - start, *s.gray.shape[1:], 3)).astype(np.float32)

    two = FusedPainter([Fixed((120.0, 100.0, 100.0)), Fixed((100.0, 100.0, 120.0))])
    colors = np.array([[120.0, 100, 100], [100, 100, 120]])
    chroma = colors - (colors @ [0.299, 0.587, 0.114])[:, None]
    each = [fit_gamut(one + gray[:2, ..., None], gray[:2])[0] for one in chroma]
    expected = chroma_difference(*(lab(rgb)[..., 1:] for rgb in each))
    assert np.abs(two.disagreement(subject, 0, 2) - expected).max() < 1e-3
    assert expected.max() > 5
    assert np.abs(two.paint(subject, 0, 1)[0, 0, 0] - (chroma.mean(axis=0) + gray[0, 0, 0])).max() < 1e-3
    painted, unsure = two.chroma_unsure(subject, 0, 2)
    assert np.array_equal(painted, two.chroma(subject, 0, 2))
    assert np.array_equal(unsure, two.disagreement(subject, 0, 2))


def test_the_colorizer_keeps_luma_exactly_with_any_network(tmp_path: Path, oblique: np.ndarray) -> None:
    write_bundle(tmp_path / "tiny", tiny_method().inference_network(), facts())
    gray = np.zeros((6, 30, 34), np.uint8)
    gray[:, 5:25, 6:30] = scan((6, 20, 24))
    color = Colorizer(model=tmp_path / "tiny", device="cpu").colorize(Volume(gray, oblique), window=(0.0, 255.0))
    assert np.array_equal(luma_codes(color.rgb), gray)
    assert np.array_equal(color.affine, oblique)
    assert color.provenance["model"] == "tiny"
    assert len(color.provenance["model_sha256"]) == 64


def test_the_model_is_chosen_by_modality_and_size_of_the_body(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MEDCOLORIZE_MODELS", str(tmp_path / "models"))
    from MedColorizeLib.bundles import store

    monkeypatch.setattr(store, "folders", lambda: [store.user_folder()])
    head = Volume(scan((20, 40, 40)), np.diag([1.0, 1.0, 1.0, 1.0]), modality="MR")
    assert choose_bundle(head)[0] is None
    frame = InputFrame("axial", 1, 32, 1, 2.0, True, "MR", "auto")  # pictures of 64 mm
    write_bundle(tmp_path / "models" / "head", tiny_method().inference_network(), facts("head", input=frame))
    assert choose_bundle(head)[0] == "head"
    assert choose_bundle(Volume(head.array, head.affine))[0] == "head"
    assert choose_bundle(Volume(head.array, head.affine, modality="CT"))[0] is None
    assert choose_bundle(Volume(head.array, np.diag([3.0, 3.0, 3.0, 1.0]), modality="MR"))[0] is None
    longer = facts("longer", input=frame, training={"step": 99})
    write_bundle(tmp_path / "models" / "longer", tiny_method().inference_network(), longer)
    assert choose_bundle(head)[0] == "longer"
