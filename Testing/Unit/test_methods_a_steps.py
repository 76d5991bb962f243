"""Every option of the unpaired methods makes a step; gradients reach the networks they should, and no others."""

from __future__ import annotations

from typing import Any

import pytest
import torch
from method_phantoms import SMALL, HalfEngine, PlainEngine, batch_of, one_thread, small
from torch import nn

from MedColorizeLib.errors import UsageError
from MedColorizeLib.losses.edge import edge_loss, laplacian, modal_input
from MedColorizeLib.methods.base import middle
from MedColorizeLib.methods.colormedgan import ColorMedGAN
from MedColorizeLib.methods.cycle import CycleMethod

__all__ = ["one_thread"]

OPTIONS: list[tuple[str, dict[str, Any]]] = [
    ("cyclegan", {}),
    ("cyclegan", {"generator": "unet256"}),
    ("cyclegan", {"generator_input": "gray"}),
    ("cyclegan", {"adversarial": "log"}),
    ("cyclegan", {"adversarial": "lsgan-sigmoid"}),
    ("cyclegan", {"identity": 0.0}),
    ("cyclegan", {"pool": 0}),
    ("liang", {"perceptual": "none"}),
    ("liang", {"perceptual": "none", "tv": 0.0}),
    ("liang", {"perceptual": "asymmetric"}),
    ("liang", {"perceptual": "symmetric"}),
    ("liang", {"perceptual": "symmetric_2"}),
    ("liang", {"identity": 0.0}),
    ("liang", {"tv_reduction": "sum", "features": "vgg19", "features_layer": "relu1_2"}),
    ("colorcyclegan", {}),
    ("colorcyclegan", {"generator_input": "gray", "upsample": "nearest"}),
    ("colormedgan", {}),
    ("colormedgan", {"generator_input": "rgb"}),
    ("colormedgan", {"fusion": "concat"}),
    ("colormedgan", {"fusion": "none"}),
    ("colormedgan", {"upsample": "deconv"}),
    ("colormedgan", {"modal": "none"}),
    ("colormedgan", {"modal": "1"}),
    ("colormedgan", {"modal": "3", "adversarial": "lsgan-sigmoid"}),
    ("colormedgan", {"modal_raw": True, "edge_kernel": 8}),
    ("colormedgan", {"theta": 0.0, "gamma": 0.0}),
    ("colormedgan", {"beta": 0.0}),
    ("colormedgan", {"features_normalise": False}),
]


def weights(network: nn.Module) -> list[torch.Tensor]:
    return [p.detach().clone() for p in network.parameters()]


def gradients(network: nn.Module) -> float:
    return sum(float(p.grad.abs().sum()) for p in network.parameters() if p.grad is not None)


@pytest.mark.parametrize(("name", "options"), OPTIONS, ids=lambda value: str(value))
def test_every_option_trains_both_generators_and_both_discriminators(name: str, options: dict[str, Any]) -> None:
    method = small(name, **options)
    before = {key: weights(network) for key, network in method.networks().items()}
    figures = method.step(batch_of(), PlainEngine())
    assert all(abs(value) < 1e6 for value in figures.values())
    for key, network in method.networks().items():
        moved = [not torch.equal(a, b) for a, b in zip(before[key], network.parameters(), strict=True)]
        assert sum(moved) > len(moved) / 2, key
    assert not any(p.requires_grad for network in method.frozen().values() for p in network.parameters())
    assert all(p.requires_grad for network in method.networks().values() for p in network.parameters())


@pytest.mark.parametrize("name", SMALL)
def test_half_precision_steps(name: str) -> None:
    # Emulated on processors without bf16, and then very slow: a small picture and shallow features.
    options = {} if name == "cyclegan" else {"features_layer": "relu1_1"}
    figures = small(name, **options).step(batch_of(height=32, width=32), HalfEngine())
    assert all(abs(value) < 1e6 for value in figures.values())


@pytest.mark.parametrize("name", ["cyclegan", "liang", "colorcyclegan", "colormedgan"])
def test_two_and_a_half_dimensions_and_odd_sizes(name: str) -> None:
    method = small(name, slices=5, generator_input="gray")
    batch = batch_of(n=2, slices=5, height=48, width=80)
    method.step(batch, PlainEngine())
    assert method.generate(batch.gray).shape == (2, 3, 48, 80)
    for picture in method.samples(batch).values():
        assert picture.shape[0] == 2
        assert picture.shape[1] in (1, 3)
        assert picture.shape[2:] == (48, 80)


def test_neighbours_matter_in_two_and_a_half_dimensions() -> None:
    method = small("cyclegan", slices=3, generator_input="gray")
    gray = batch_of(slices=3).gray
    other = gray.clone()
    other[:, 0] = -other[:, 0]
    assert not torch.allclose(method.generate(gray), method.generate(other))


def test_the_generated_slice_stands_among_its_neighbours() -> None:
    method = small("cyclegan", slices=3, generator_input="gray")
    assert isinstance(method, CycleMethod)
    fake, luma = torch.full((1, 1, 4, 4), 9.0), torch.tensor([1.0, 2.0, 3.0]).view(1, 3, 1, 1).expand(1, 3, 4, 4)
    assert method.among_neighbours(fake, luma)[0, :, 0, 0].tolist() == [1, 9, 3]


def test_repeating_one_slice_thrice_is_refused_in_two_and_a_half_dimensions() -> None:
    with pytest.raises(UsageError, match="generator_input"):
        small("cyclegan", slices=3)


class Recorder(PlainEngine):
    """Notes, at each backward pass, which networks have received gradients so far."""

    def __init__(self, method: CycleMethod) -> None:
        super().__init__()
        self.method = method
        self.seen: list[dict[str, bool]] = []

    def backward(self, loss: torch.Tensor) -> None:
        super().backward(loss)
        self.seen.append({key: gradients(net) > 0 for key, net in self.method.networks().items()})


def test_discriminators_get_no_gradient_in_the_generators_step_nor_the_reverse() -> None:
    method = small("colormedgan")
    assert isinstance(method, CycleMethod)
    engine = Recorder(method)
    method.step(batch_of(), engine)
    *generators, d_y, d_x = engine.seen
    assert len(generators) == 4
    assert not any(each["D_X"] or each["D_Y"] for each in generators)
    assert generators[0]["G"]
    assert generators[0]["F"]
    assert d_y == {"G": False, "F": False, "D_X": False, "D_Y": True}
    assert d_x["D_X"]
    assert not d_x["G"]


def test_the_parts_give_the_gradients_of_the_sum() -> None:
    """Splitting the generators' loss into parts saves memory and changes nothing."""
    method = small("cyclegan")
    assert isinstance(method, CycleMethod)
    batch = batch_of()
    whole = sum(torch.stack(list(part().values())).sum() for part in method.parts(method.sides(batch)))
    assert isinstance(whole, torch.Tensor)
    expected = torch.autograd.grad(whole, list(method.g.parameters()))
    for part in method.parts(method.sides(batch)):
        torch.stack(list(part().values())).sum().backward()
    for parameter, gradient in zip(method.g.parameters(), expected, strict=True):
        torch.testing.assert_close(parameter.grad, gradient, atol=1e-6, rtol=1e-4)


def test_the_edge_loss_reaches_both_generators() -> None:
    """Eq. 10; in the published code this gradient is zero."""
    method = small("colormedgan")
    assert isinstance(method, ColorMedGAN)
    sides = method.sides(batch_of())
    edge_loss(method.g(sides.x, *sides.s_x), sides.x_middle).backward()
    assert gradients(method.g) > 0
    edge_loss(method.f(sides.y, *sides.s_y), sides.y).backward()
    assert gradients(method.f) > 0
    assert gradients(method.d_x) == gradients(method.d_y) == 0


def test_generators_can_answer_the_discriminators_view_of_their_edges() -> None:
    """The edge channel alone carries a gradient back to G (in the published code it is detached)."""
    method = small("colormedgan")
    assert isinstance(method, ColorMedGAN)
    sides = method.sides(batch_of())
    method.seen(method.g(sides.x, *sides.s_x))[:, 3].sum().backward()
    assert gradients(method.g) > 0


class Spy(nn.Module):
    """A discriminator that remembers what it was shown."""

    def __init__(self, inner: nn.Module) -> None:
        super().__init__()
        self.inner = inner
        self.shown: list[torch.Tensor] = []

    def forward(self, image: torch.Tensor) -> torch.Tensor:
        self.shown.append(image.detach().clone())
        return self.inner(image)


def test_discriminators_see_every_picture_with_its_own_edges() -> None:
    """Also a replayed one: the published code pairs it with the edges of the current one."""
    method = small("colormedgan", pool=1)
    assert isinstance(method, ColorMedGAN)
    method.d_y, method.d_x = Spy(method.d_y), Spy(method.d_x)
    replayed = 0
    for seed in range(8):
        method.d_y.shown.clear()
        batch = batch_of(seed=seed)
        method.step(batch, PlainEngine())
        fooling, real, fake = method.d_y.shown
        for seen in (fooling, real, fake):
            torch.testing.assert_close(seen[:, 3:], laplacian(seen[:, :3]).sigmoid(), atol=1e-5, rtol=1e-4)
        assert torch.equal(real, modal_input(batch.color, "2"))
        replayed += not torch.equal(fooling, fake)
    assert replayed > 0


def test_each_side_goes_with_its_own_semantics() -> None:
    """Everything made from x has S(x), everything made from y has S(Gray(y)); each is computed once a step."""
    method = small("colormedgan")
    assert isinstance(method, ColorMedGAN)
    batch = batch_of()
    s_x, s_y = method.semantics(batch.gray)[1], method.semantics(middle(batch.color_gray))[1]
    assert s_x is not None
    assert s_y is not None
    given: list[str] = []
    for name, generator in (("G", method.g), ("F", method.f)):
        generator.register_forward_pre_hook(
            lambda _, args, name=name: given.append(name + ("x" if torch.equal(args[2], s_x) else "y"))
        )
    calls: list[int] = []
    method.frozen()["segmentation"].down[0].register_forward_hook(lambda *_: calls.append(1))  # type: ignore[index, union-attr]
    method.step(batch, PlainEngine())
    assert given == ["Gx", "Fx", "Fy", "Gy", "Gy", "Fx"]
    assert len(calls) == 2


def test_identity_of_a_gray_generator_starts_from_the_luma() -> None:
    method = small("colormedgan", slices=3)
    assert isinstance(method, CycleMethod)
    sides = method.sides(batch_of(slices=3))
    assert torch.equal(method.as_target(sides), sides.y_gray)
    rgb = small("colormedgan", generator_input="rgb")
    assert isinstance(rgb, CycleMethod)
    assert torch.equal(rgb.as_target(rgb.sides(batch_of())), batch_of().color)


def test_weights_scale_their_terms() -> None:
    base = small("colormedgan").step(batch_of(), PlainEngine(frozen=True))
    scaled = small("colormedgan", alpha=20.0, beta=10.0, gamma=30.0, theta=5.0).step(
        batch_of(), PlainEngine(frozen=True)
    )
    for term, factor in (("cycle", 2), ("identity", 2), ("gray", 3), ("edge", 0.5)):
        for side in "XY":
            assert scaled[f"{term}_{side}"] == pytest.approx(factor * base[f"{term}_{side}"], rel=1e-3)
    assert scaled["G_adversarial"] == pytest.approx(base["G_adversarial"], rel=1e-3)


@pytest.mark.parametrize(
    ("perceptual", "expected"),
    [
        ("none", set()),
        ("asymmetric", {"perceptual_invert", "perceptual_cycle"}),
        ("symmetric", {"perceptual_cycle", "perceptual_cycle_Y"}),
        ("symmetric_2", {"perceptual_invert", "perceptual_cycle", "perceptual_cycle_Y"}),
    ],
)
def test_the_perceptual_terms_of_equations_5_8_and_9(perceptual: str, expected: set[str]) -> None:
    figures = small("liang", perceptual=perceptual).step(batch_of(), PlainEngine())
    assert {name for name in figures if name.startswith("perceptual")} == expected
    assert "tv" in figures


def test_training_moves_the_colours_towards_the_colour_domain() -> None:
    """A few steps on one pair: the loss of the generators goes down and the pictures turn red, as the domain is."""
    method = small("colorcyclegan", learning_rate=2e-3, gamma=0.0, beta=0.0, adversarial="log")
    batch = batch_of()
    red = torch.tensor([0.8, -0.6, -0.6]).view(1, 3, 1, 1).expand_as(batch.color).clone()
    batch = type(batch)(batch.gray, red, torch.full_like(batch.gray, -0.18))
    first = method.step(batch, PlainEngine())
    for _ in range(60):
        last = method.step(batch, PlainEngine())
    assert last["cycle_Y"] < 0.5 * first["cycle_Y"]
    picture = method.generate(batch.gray).mean((0, 2, 3))
    assert picture[0] > picture[1] + 0.3
    assert picture[0] > picture[2] + 0.3
