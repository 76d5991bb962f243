"""LPIPS by its equation, and its honest absence."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from eval_phantoms import anatomy, painted, volume

from MedColorizeLib.errors import ModelError
from MedColorizeLib.evaluation.assessment import assess
from MedColorizeLib.networks.lpips import CHANNELS, LAYERS, Lpips, lpips
from MedColorizeLib.networks.squeezenet import SqueezeNetFeatures

PAIR = [np.random.default_rng(seed).integers(0, 256, (40, 44, 3), dtype=np.uint8) for seed in (0, 1)]


@pytest.fixture(scope="module")
def metric() -> Lpips:
    torch.manual_seed(0)
    net = SqueezeNetFeatures(LAYERS, input_range="codes")
    return Lpips(net, [torch.rand(n) for n in CHANNELS])


def test_the_equation(metric: Lpips) -> None:
    maps = [metric._net(torch.from_numpy(p).permute(2, 0, 1)[None].float()) for p in PAIR]
    expected = 0.0
    for layer, head in zip(LAYERS, metric._heads, strict=True):
        one, two = (m[layer][0].numpy() for m in maps)
        step = one / np.sqrt((one**2).sum(0)) - two / np.sqrt((two**2).sum(0))
        expected += (head.numpy()[:, None, None] * step**2).sum(0).mean()
    assert metric(*PAIR) == pytest.approx(expected, rel=1e-3)
    assert metric(PAIR[0], PAIR[0]) == 0
    assert metric(*PAIR) == pytest.approx(metric(*PAIR[::-1]), rel=1e-5)


def test_without_weights_it_says_what_to_get(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setattr("importlib.util.find_spec", lambda _name: None)
    with pytest.raises(ModelError, match="Install torchmetrics or lpips"):
        lpips()
    torch.save({"lin0.model.1.weight": torch.zeros(1, 3, 1, 1)}, tmp_path / "heads.pth")
    with pytest.raises(ModelError, match="don't fit"):
        lpips(heads=tmp_path / "heads.pth")


def test_the_assessment_takes_it_or_says_that_it_is_missing(metric: Lpips) -> None:
    gray, mask = anatomy((3, 40, 44))
    result, truth = volume(painted(gray, 40)), volume(painted(gray))
    with_it = assess(gray, result, foreground=mask, reference=truth, perceptual=metric)
    assert with_it.truth is not None
    assert with_it.truth.lpips == pytest.approx(
        np.mean([metric(result.rgb[k], truth.rgb[k]) for k in range(3)]), rel=1e-5
    )
    without = assess(gray, result, foreground=mask, reference=truth)
    assert without.truth is not None
    assert np.isnan(without.truth.lpips)
    assert any("LPIPS" in note for note in without.notes)
