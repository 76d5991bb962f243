"""Every figure of a step, worked out again from the networks alone, straight from the papers' equations."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from method_phantoms import PlainEngine, batch_of, one_thread, small
from torch import Tensor

from MedColorizeLib.methods.base import Method

__all__ = ["one_thread"]


def l1(a: Tensor, b: Tensor) -> float:
    return float((a - b).abs().mean())


def gray(image: Tensor) -> Tensor:
    return 0.299 * image[:, :1] + 0.587 * image[:, 1:2] + 0.114 * image[:, 2:]


def lap(image: Tensor) -> Tensor:
    """Eq. 9, f(x+1,y) + f(x-1,y) + f(x,y+1) + f(x,y-1) - 4 f(x,y)."""
    f = gray(image) if image.shape[1] == 3 else image
    p = torch.nn.functional.pad(f, (1, 1, 1, 1), mode="replicate")
    return p[..., 2:, 1:-1] + p[..., :-2, 1:-1] + p[..., 1:-1, 2:] + p[..., 1:-1, :-2] - 4 * f


def with_edges(image: Tensor) -> Tensor:
    """Eq. 11."""
    return torch.cat([image, torch.sigmoid(lap(image))], 1)


def compare(method: Method, expected: dict[str, float]) -> None:
    figures = method.step(batch_of(), PlainEngine(frozen=True))
    assert figures.keys() == expected.keys()
    for name, value in expected.items():
        assert figures[name] == pytest.approx(value, rel=1e-4, abs=1e-6), name


@torch.no_grad()
def test_colormedgan() -> None:
    """Eqs. 2 to 12."""
    method: Any = small("colormedgan", alpha=2.0, beta=3.0, gamma=5.0, theta=7.0).train(False)
    batch = batch_of()
    x, y, luma = batch.gray, batch.color, batch.color_gray
    s_x, s_y = method.semantic.network.features(x), method.semantic.network.features(luma)
    g, f, d_x, d_y = (method.networks()[name] for name in ("G", "F", "D_X", "D_Y"))
    fake_y, fake_x = g(x, *s_x), f(y, *s_y)

    def vgg(image: Tensor) -> Tensor:
        return method.vgg(image)["relu3_3"]

    expected = {
        "G_adversarial": float((d_y(with_edges(fake_y)) - 1).square().mean()),
        "cycle_X": 2 * l1(f(fake_y, *s_x), x),
        "gray_X": 5 * l1(gray(fake_y), x),
        "edge_X": 7 * l1(lap(fake_y), lap(x)),
        "F_adversarial": float((d_x(with_edges(fake_x)) - 1).square().mean()),
        "cycle_Y": 2 * l1(g(fake_x, *s_y), y),
        "gray_Y": 5 * l1(fake_x, gray(y)),
        "edge_Y": 7 * l1(lap(fake_x), lap(y)),
        "identity_Y": 3 * l1(vgg(g(luma, *s_y)), vgg(y)),
        "identity_X": 3 * l1(vgg(f(x.expand(-1, 3, -1, -1), *s_x)), vgg(x)),
        "D_Y": float((d_y(with_edges(y)) - 1).square().mean() + d_y(with_edges(fake_y)).square().mean()) / 2,
        "D_X": float((d_x(with_edges(x)) - 1).square().mean() + d_x(with_edges(fake_x)).square().mean()) / 2,
    }
    with torch.enable_grad():
        compare(method, expected)


@torch.no_grad()
def test_liang() -> None:
    """Eqs. 2 to 9, with CycleGAN's identity loss and least squares."""
    options = {"perceptual": "symmetric_2", "perceptual_weight": 2.0, "tv": 3.0, "cycle": 5.0, "identity": 7.0}
    method: Any = small("liang", **options).train(False)
    batch = batch_of()
    x, y = batch.gray.expand(-1, 3, -1, -1), batch.color
    g, f, d_x, d_y = (method.networks()[name] for name in ("G", "F", "D_X", "D_Y"))
    fake_y, fake_x = g(x), f(y)
    recovered_x, recovered_y = f(fake_y), g(fake_x)

    def phi(image: Tensor) -> Tensor:
        return method.phi(image)["relu2_2"]

    h, w = fake_y[..., 1:, :-1] - fake_y[..., :-1, :-1], fake_y[..., :-1, 1:] - fake_y[..., :-1, :-1]
    expected = {
        "G_adversarial": float((d_y(fake_y) - 1).square().mean()),
        "cycle_X": 5 * l1(recovered_x, x),
        "perceptual_invert": 2 * l1(phi(fake_y), phi(x)),
        "perceptual_cycle": 2 * l1(phi(recovered_x), phi(x)),
        "tv": 3 * float((h**2 + w**2 + 1e-8).sqrt().mean()),
        "F_adversarial": float((d_x(fake_x) - 1).square().mean()),
        "cycle_Y": 5 * l1(recovered_y, y),
        "perceptual_cycle_Y": 2 * l1(phi(recovered_y), phi(y)),
        "identity_Y": 7 * l1(g(y), y),
        "identity_X": 7 * l1(f(x), x),
        "D_Y": float((d_y(y) - 1).square().mean() + d_y(fake_y).square().mean()) / 2,
        "D_X": float((d_x(x) - 1).square().mean() + d_x(fake_x).square().mean()) / 2,
    }
    with torch.enable_grad():
        compare(method, expected)
