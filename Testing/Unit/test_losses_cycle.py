"""The loss terms of CycleGAN, Liang 2021, colorCycleGAN and ColorMedGAN, against values worked out by hand."""

from __future__ import annotations

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from MedColorizeLib.losses.adversarial import Adversarial
from MedColorizeLib.losses.cycle import cycle_loss, identity_loss
from MedColorizeLib.losses.edge import edge_loss, laplacian, modal_channels, modal_input
from MedColorizeLib.losses.gray import gray_loss, gray_of
from MedColorizeLib.losses.perceptual import perceptual_loss, wanted_maps
from MedColorizeLib.losses.tv import EPSILON, total_variation


def image(*rows: list[float], channels: int = 1) -> torch.Tensor:
    return torch.tensor(rows, dtype=torch.float32).expand(1, channels, -1, -1).clone()


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


class TestAdversarial:
    real = torch.tensor([[[[0.5, 2.0]]]])
    fake = torch.tensor([[[[-1.0, 0.5]]]])

    def test_least_squares(self) -> None:
        loss = Adversarial("lsgan")
        assert loss.generator(self.fake).item() == pytest.approx((4 + 0.25) / 2)
        assert loss.discriminator(self.real, self.fake).item() == pytest.approx(0.5 * ((0.25 + 1) / 2 + (1 + 0.25) / 2))

    def test_least_squares_after_a_sigmoid(self) -> None:
        expected = ((sigmoid(-1) - 1) ** 2 + (sigmoid(0.5) - 1) ** 2) / 2
        assert Adversarial("lsgan-sigmoid").generator(self.fake).item() == pytest.approx(expected)

    def test_logarithmic(self) -> None:
        loss = Adversarial("log")
        assert loss.generator(self.fake).item() == pytest.approx(-(math.log(sigmoid(-1)) + math.log(sigmoid(0.5))) / 2)
        real = -(math.log(sigmoid(0.5)) + math.log(sigmoid(2))) / 2
        fake = -(math.log(1 - sigmoid(-1)) + math.log(1 - sigmoid(0.5))) / 2
        assert loss.discriminator(self.real, self.fake).item() == pytest.approx(0.5 * (real + fake))

    @pytest.mark.parametrize("form", ["lsgan", "lsgan-sigmoid", "log"])
    def test_a_discriminator_that_is_right_pays_less_than_one_that_is_wrong(self, form: str) -> None:
        sure, wrong = torch.full((1, 1, 2, 2), 1.0), torch.full((1, 1, 2, 2), 0.0)
        loss = Adversarial(form)  # type: ignore[arg-type]
        assert loss.discriminator(sure, wrong) < loss.discriminator(wrong, sure)

    def test_logarithmic_under_autocast(self) -> None:
        with torch.autocast("cpu", dtype=torch.bfloat16):
            assert torch.isfinite(Adversarial("log").generator(self.fake.bfloat16()))


class TestCycleAndIdentity:
    def test_mean_absolute_difference(self) -> None:
        a, b = image([1.0, -1.0], [0.5, 0.0]), image([0.0, -1.0], [1.0, 0.25])
        assert cycle_loss(a, b).item() == pytest.approx((1 + 0 + 0.5 + 0.25) / 4)
        assert identity_loss(a, b).item() == pytest.approx((1 + 0 + 0.5 + 0.25) / 4)

    def test_gray_is_compared_with_each_of_three_channels(self) -> None:
        recovered = torch.stack([torch.zeros(2, 2), torch.ones(2, 2), -torch.ones(2, 2)])[None]
        assert cycle_loss(recovered, torch.zeros(1, 1, 2, 2)).item() == pytest.approx(2 / 3)


class TestGray:
    def test_luma_of_the_primaries(self) -> None:
        primaries = torch.eye(3).view(1, 3, 1, 3)
        assert gray_of(primaries).flatten().tolist() == pytest.approx([0.299, 0.587, 0.114])

    def test_white_keeps_its_value(self) -> None:
        assert gray_of(torch.full((1, 3, 2, 2), 0.7)).flatten().tolist() == pytest.approx([0.7] * 4)

    def test_loss_by_hand(self) -> None:
        color = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)  # luma .299 - .114 = .185
        assert gray_loss(color, torch.full((1, 1, 1, 1), 0.5)).item() == pytest.approx(0.315)

    def test_the_other_direction_by_hand(self) -> None:
        color = torch.tensor([1.0, 0.0, -1.0]).view(1, 3, 1, 1)
        assert gray_loss(torch.zeros(1, 1, 1, 1), color).item() == pytest.approx(0.185)


class TestEdges:
    dot = image([0.0, 0, 0], [0, 1, 0], [0, 0, 0])

    def test_four_neighbours(self) -> None:
        assert laplacian(self.dot)[0, 0].tolist() == [[0, 1, 0], [1, -4, 1], [0, 1, 0]]

    def test_eight_neighbours(self) -> None:
        assert laplacian(self.dot, 8)[0, 0].tolist() == [[-1, -1, -1], [-1, 8, -1], [-1, -1, -1]]

    def test_a_black_picture_has_no_edges_at_its_border(self) -> None:
        assert laplacian(torch.full((1, 3, 4, 5), -1.0)).abs().max() < 1e-6

    def test_edge_loss_by_hand(self) -> None:
        shifted = image([0.0, 0, 0], [0, 0, 0], [0, 0, 0])
        assert edge_loss(self.dot, shifted).item() == pytest.approx((4 + 4 * 1) / 9)

    @given(st.floats(-0.5, 0.5))
    @settings(max_examples=20, deadline=None)
    def test_edges_ignore_brightness(self, offset: float) -> None:
        picture = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(3))
        assert edge_loss(picture + offset, picture).item() == pytest.approx(0, abs=1e-5)

    @pytest.mark.parametrize("neighbours", [4, 8])
    def test_turned_pictures_have_turned_edges(self, neighbours: int) -> None:
        picture = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(3))
        for turn in (lambda x: x.flip(-1), lambda x: x.flip(-2), lambda x: x.rot90(1, (-2, -1))):
            edges = laplacian(turn(picture), neighbours)  # type: ignore[arg-type]
            torch.testing.assert_close(edges, turn(laplacian(picture, neighbours)))  # type: ignore[arg-type]

    def test_edge_loss_has_a_gradient(self) -> None:
        generated = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
        edge_loss(generated, torch.zeros(1, 1, 6, 6)).backward()
        assert generated.grad is not None
        assert generated.grad.abs().min() >= 0
        assert (generated.grad.abs() > 0).float().mean() > 0.5

    def test_discriminator_input_has_a_gradient_through_the_edges(self) -> None:
        generated = torch.rand(1, 3, 6, 6, generator=torch.Generator().manual_seed(0)).requires_grad_()
        modal_input(generated, "2")[:, 3].sum().backward()
        assert generated.grad is not None
        assert generated.grad.abs().sum() > 0

    def test_modes_by_hand(self) -> None:
        attention = sigmoid(-4)
        assert modal_input(self.dot, "none")[0, 0, 1, 1].item() == 1
        assert modal_input(self.dot, "1")[0, 0, 1, 1].item() == pytest.approx(1 + attention)
        assert modal_input(self.dot, "3")[0, 0, 1, 1].item() == pytest.approx(attention)
        assert modal_input(self.dot, "2")[0, :, 1, 1].tolist() == pytest.approx([1, attention])
        assert modal_input(self.dot, "2", raw=True)[0, :, 1, 1].tolist() == pytest.approx([1, -4])
        assert modal_input(self.dot, "2", raw=True, neighbours=8)[0, :, 1, 1].tolist() == pytest.approx([1, 8])

    @pytest.mark.parametrize("modal", ["none", "1", "2", "3"])
    def test_channels(self, modal: str) -> None:
        picture = torch.zeros(1, 3, 4, 4)
        assert modal_input(picture, modal).shape[1] == modal_channels(modal, 3)  # type: ignore[arg-type]


class TestPerceptual:
    @staticmethod
    def features(picture: torch.Tensor) -> dict[str, torch.Tensor]:
        return {"double": 2 * picture, "sum": picture.sum(1, keepdim=True)}

    def test_features_are_compared_with_features(self) -> None:
        a, b = torch.full((1, 3, 2, 2), 1.0), torch.full((1, 3, 2, 2), 0.5)
        assert perceptual_loss(self.features, a, b).item() == pytest.approx(2 * 0.5 + 3 * 0.5)
        assert perceptual_loss(self.features, a, a).item() == 0

    def test_maps_computed_beforehand_give_the_same(self) -> None:
        a, b = torch.rand(1, 3, 2, 2), torch.rand(1, 3, 2, 2)
        once = perceptual_loss(self.features, a, wanted_maps(self.features, b))
        assert once == perceptual_loss(self.features, a, b)

    def test_only_the_generated_picture_gets_a_gradient(self) -> None:
        a, b = torch.rand(1, 3, 2, 2).requires_grad_(), torch.rand(1, 3, 2, 2).requires_grad_()
        perceptual_loss(self.features, a, b).backward()
        assert a.grad is not None
        assert b.grad is None


class TestTotalVariation:
    step = image([0.0, 3.0, 3.0], [4.0, 3.0, 3.0], [4.0, 3.0, 3.0])

    def test_by_hand(self) -> None:
        # At the four pixels with a lower and a right neighbour: sqrt(4^2 + 3^2), 0, sqrt(0 + 1), 0.
        assert total_variation(self.step, "sum").item() == pytest.approx(6, abs=1e-3)
        assert total_variation(self.step).item() == pytest.approx(1.5, abs=1e-3)

    def test_flat_pictures_have_a_finite_gradient(self) -> None:
        flat = torch.zeros(1, 3, 4, 4, requires_grad=True)
        loss = total_variation(flat)
        loss.backward()
        assert loss.item() == pytest.approx(math.sqrt(EPSILON))
        assert flat.grad is not None
        assert torch.isfinite(flat.grad).all()

    def test_sum_is_the_mean_over_images(self) -> None:
        twice = self.step.repeat(2, 1, 1, 1)
        assert total_variation(twice, "sum").item() == pytest.approx(total_variation(self.step, "sum").item())
