"""Colour shared from slice to slice: fewer runs of the network, less flicker, and colours that keep to their places."""

from __future__ import annotations

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from MedColorizeLib.bundles.folder import read_bundle
from MedColorizeLib.errors import ModelError
from MedColorizeLib.imaging.colorspaces import luma
from MedColorizeLib.inference.colorizer import Colorizer
from MedColorizeLib.inference.network import NetworkPainter
from MedColorizeLib.inference.painter import Subject
from MedColorizeLib.resources import resources_dir

from test_network_painter import Tint, Warm, bundle, scan  # isort: skip


class Restless(nn.Module):
    """Adds a chroma that depends on nothing but how often it was asked: pure flicker."""

    def __init__(self) -> None:
        super().__init__()
        self.rng = np.random.default_rng(5)

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        red = float(self.rng.normal(0, 0.1))
        middle = gray[:, gray.shape[1] // 2]
        return torch.stack([middle + red, middle - red * 0.299 / 0.587, middle], dim=1)


class TwoTissues(nn.Module):
    """Bright places red, dark ones blue, to the pixel."""

    def forward(self, gray: torch.Tensor) -> torch.Tensor:
        middle = gray[:, gray.shape[1] // 2]
        sign = torch.where(middle > 0, 1.0, -1.0)
        return torch.stack([middle + 0.2 * sign, middle, middle - 0.2 * sign], dim=1)


def spaced(mm: float) -> np.ndarray:
    return np.diag([1.0, 1.0, mm, 1.0])


def shared(every_mm: float = 3.0, **changes: object) -> object:
    return bundle(**{"spacing": 1.0, "size": 16, "every_mm": every_mm, **changes})


@pytest.mark.parametrize(("mm", "runs"), [(0.5, 6), (1.0, 11), (1.05, 11), (1.4, 16), (2.0, 30), (5.0, 30)])
def test_the_network_runs_every_few_millimetres_and_at_most_once_a_slice(mm: float, runs: int) -> None:
    network = Tint()
    alike = np.repeat(scan((1, 12, 12)), 30, axis=0)
    NetworkPainter(shared(), network).paint(Subject(alike, spaced(mm)), 0, 30)
    assert len(network.seen) == runs


def test_what_all_slices_share_stays_as_it_is() -> None:
    gray = (
        scan((12, 20, 22)) // 3 + 110
    )  # far from the ends and from the black around; a network cuts off what leaves the gamut
    alone = NetworkPainter(shared(0.0), Warm()).paint(Subject(gray, spaced(1.0)), 0, 12)
    together = NetworkPainter(shared(), Warm()).paint(Subject(gray, spaced(1.0)), 0, 12)
    assert np.abs((alone - luma(alone)[..., None]) - (together - luma(together)[..., None])).max() < 0.05


@settings(max_examples=20, deadline=None)
@given(st.permutations(range(11)), st.sampled_from(["axial", "coronal"]), st.sampled_from([1.0, 1.7, 4.0]))
def test_a_slice_gets_its_colour_whatever_was_painted_before(order: list[int], plane: str, mm: float) -> None:
    subject = Subject(scan((11, 11, 11)), spaced(mm))
    painter = NetworkPainter(shared(plane=plane), TwoTissues())
    whole = NetworkPainter(painter.bundle, TwoTissues()).paint(subject, 0, 11)
    for k in order[:4]:
        assert np.array_equal(painter.paint(subject, k, k + 1)[0], whole[k])


@pytest.mark.parametrize("mm", [1.0, 2.0, 3.0])
def test_flicker_falls(mm: float) -> None:
    gray = np.full((40, 16, 16), 120, np.uint8)

    def steps(every_mm: float) -> float:
        color = NetworkPainter(shared(every_mm), Restless()).paint(Subject(gray, spaced(mm)), 0, 40)
        red = color[:, 8, 8, 0] - luma(color[:, 8, 8])
        return float(np.abs(np.diff(red)).mean())

    assert steps(3.0) < 0.6 * steps(0.0)


def test_colour_keeps_to_the_edges_that_the_scan_shows() -> None:
    """A bright disk that grows from slice to slice: its red never reaches the dark around it, nor theirs the disk."""
    y, x = np.mgrid[-20:20, -20:20]
    gray = np.stack([np.where(np.hypot(y, x) < 6 + 0.7 * k, 220, 60) for k in range(15)]).astype(np.uint8)
    color = NetworkPainter(shared(size=64), TwoTissues()).paint(Subject(gray, spaced(1.0)), 0, 15)
    red = color[..., 0] - luma(color)
    assert red[gray > 128].min() > 20
    assert red[gray < 128].max() < -20


def test_the_fading_rim_of_a_body_is_coloured_like_what_it_surrounds() -> None:
    """There the network was shown black, and gives black no colour; a rendering shows the rim before all else."""

    class Body(nn.Module):
        def forward(self, gray: torch.Tensor) -> torch.Tensor:
            middle = gray[:, gray.shape[1] // 2]
            red = torch.where(middle > -0.99, 0.2, 0.0)
            return torch.stack([middle + red, middle - red * 0.299 / 0.587, middle], dim=1)

    y, x = np.mgrid[-20:20, -20:20]
    gray = np.repeat(np.where(np.hypot(y, x) < 12, 150, 30).astype(np.uint8)[None], 9, axis=0)
    painter = NetworkPainter(shared(masked=True, size=64), Body())
    subject = Subject(gray, spaced(1.0))
    color = painter.paint(subject, 0, 9)
    red = color[..., 0] - luma(color)
    inside = painter._scene(subject).body.slab(0, 9)
    rim = (inside > 30) & (inside <= 127)
    assert rim.any()
    assert red[rim].mean() > 10


def test_a_slice_like_none_around_it_is_not_coloured_by_them() -> None:
    """A bright plate, one slice thick, between two runs of the network on the dark around it."""
    gray = np.full((10, 16, 16), 60, np.uint8)
    gray[4, 4:12, 4:12] = 220
    subject = Subject(gray, spaced(1.0))
    alone, together = (NetworkPainter(shared(mm), TwoTissues()).paint(subject, 0, 10) for mm in (0.0, 3.0))
    red = [color[..., 0] - luma(color) for color in (alone, together)]
    assert red[0][4, 8, 8] > 20
    assert np.abs(red[0] - red[1])[:, 2:-2, 2:-2].max() < 3


def test_slices_are_framed_once_though_several_share(monkeypatch: pytest.MonkeyPatch) -> None:
    from MedColorizeLib.training import frame

    framed = []
    monkeypatch.setattr(frame, "crop_or_pad", lambda *given, real=frame.crop_or_pad: framed.append(1) or real(*given))
    gray = np.repeat(scan((1, 12, 12)), 30, axis=0)
    NetworkPainter(shared(slices=3), Tint(3)).paint(Subject(gray, spaced(1.0)), 0, 30)
    assert len(framed) == 30


def test_a_slice_between_two_of_air_is_coloured_by_itself() -> None:
    gray = np.zeros((21, 32, 32), np.uint8)
    gray[5:16, 6:26, 6:26] = 150
    frame = {"masked": True, "size": 32, "every_mm": 20.0}  # the network's turns would be the first and the last slice
    color = NetworkPainter(shared(**frame), Warm()).paint(Subject(gray, spaced(1.0)), 0, 21)
    assert (color[8:12, 16, 16, 0] - color[8:12, 16, 16, 2]).min() > 20
    assert not color[0].any()


def test_luma_is_the_scan_s_own() -> None:
    from MedColorizeLib.imaging.colorspaces import luma_codes
    from MedColorizeLib.imaging.volume import Volume

    gray = scan((8, 24, 24))
    painter = NetworkPainter(shared(), TwoTissues())
    proposal = painter.paint(Subject(gray, spaced(1.0)), 0, 8)
    assert np.abs(luma(proposal) - gray).max() < 0.01
    color = Colorizer(painter=painter).colorize(Volume(gray, spaced(1.0), "MR"), window=(0, 255))
    assert np.array_equal(luma_codes(color.array), gray)
    assert color.provenance["model_every_mm"] == 3.0


def test_our_bundles_share_and_the_published_system_does_not() -> None:
    folder = resources_dir() / "Bundles"
    every = {name: read_bundle(folder / name).input.every_mm for name in ("head-mr", "body-ct", "colormedgan-head-mr")}
    assert every == {"head-mr": 4.0, "body-ct": 4.0, "colormedgan-head-mr": 0.0}


@pytest.mark.parametrize("every_mm", [-1.0, 21.0, float("nan")])
def test_distances_that_make_no_sense_are_refused(every_mm: float) -> None:
    with pytest.raises(ModelError, match="no sense"):
        dataclasses.replace(bundle().input, every_mm=every_mm).check(Path("metadata.json"))
