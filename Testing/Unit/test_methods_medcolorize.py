"""The project's own method: its terms, its simulated contrasts, and what it learns from whom."""

from __future__ import annotations

import copy
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from method_phantoms import PlainEngine, one_thread

from MedColorizeLib.imaging.tissues import tissue_colors
from MedColorizeLib.losses.tissue_color import balanced, bleeding, matched_tissue, relit, weighted_l1
from MedColorizeLib.methods import contrast
from MedColorizeLib.methods.base import Batch, middle
from MedColorizeLib.methods.medcolorize import TISSUES, MedColorize, MedColorizeOptions, tissue_table
from MedColorizeLib.methods.registry import build_inference
from MedColorizeLib.networks.chroma_net import ChromaNet, chroma_of, luma_of, rgb_of

__all__ = ["one_thread"]

SMALL: dict[str, Any] = {"widths": (4, 6, 8), "discriminator_width": 4}


def small(slices: int = 3, seed: int = 0, **options: Any) -> MedColorize:
    torch.manual_seed(seed)
    made = MedColorize(MedColorizeOptions.from_mapping({**SMALL, **options}), slices=slices, seed=seed)
    made.train()
    return made


def batch_of(n: int = 2, slices: int = 3, size: int = 64, seed: int = 0, labels: bool = True) -> Batch:
    random = torch.Generator().manual_seed(seed)
    gray = torch.rand(n, slices, size, size, generator=random) * 1.8 - 0.8
    colors = torch.rand(n, slices * 3, size, size, generator=random) * 1.6 - 0.8
    centre = colors[:, 3 * (slices // 2) :][:, :3]
    luma = torch.cat([luma_of(colors[:, 3 * s :][:, :3]) for s in range(slices)], 1)
    tissue = torch.randint(0, 5, (n, slices, size, size), generator=random)
    ones = torch.ones(n, 1, size, size)
    return Batch(
        gray, centre, luma, mask=ones, color_mask=ones, color_stack=colors if slices > 1 else None,
        labels=tissue[:, slices // 2] if labels else None, label_stack=tissue if labels else None,
    )  # fmt: skip


class TestLosses:
    def test_the_mean_counts_only_what_has_weight(self) -> None:
        chroma, target = torch.tensor([[[[1.0, 5.0]], [[2.0, 7.0]]]]), torch.zeros(1, 2, 1, 2)
        weight = torch.tensor([[[[1.0, 0.0]]]])
        assert weighted_l1(chroma, target, weight).item() == pytest.approx(1.5)
        assert weighted_l1(chroma, target, torch.zeros_like(weight)).item() == 0

    def test_other_tissue_may_have_another_colour(self) -> None:
        first, second = torch.zeros(1, 2, 1, 2), torch.tensor([[[[0.0, 1.0]], [[0.0, 1.0]]]])
        luma = torch.tensor([[[[0.0, 0.0]]]])
        mask = torch.ones_like(luma)
        same, other = torch.tensor([[[[0.0, 0.01]]]]), torch.tensor([[[[0.0, 0.5]]]])
        assert matched_tissue(first, second, luma, same, mask, 0.05).item() == pytest.approx(0.5)
        assert matched_tissue(first, second, luma, other, mask, 0.05).item() == 0
        assert matched_tissue(first, second, luma, same, torch.tensor([[[[1.0, 0.0]]]]), 0.05).item() == 0

    def test_rare_tissues_weigh_more_and_all_together_the_same(self) -> None:
        tissue = torch.tensor([[[1, 1, 1, 1, 2, 0]]])
        known = torch.tensor([[[[1.0, 1.0, 1.0, 1.0, 1.0, 0.0]]]])
        assert torch.equal(balanced(tissue, known, 0.0), known)
        as_much = balanced(tissue, known, 1.0)
        assert as_much[..., :4].sum().item() == pytest.approx(as_much[..., 4].sum().item())
        assert as_much.sum().item() == pytest.approx(5)
        half = balanced(tissue, known, 0.5)
        assert (half[..., 4] / half[..., 0]).item() == pytest.approx(2)
        assert half[..., 5].item() == 0
        assert torch.equal(balanced(tissue, torch.zeros_like(known), 0.5), torch.zeros_like(known))

    def test_a_chroma_edge_costs_unless_luma_has_one_there(self) -> None:
        chroma = torch.zeros(1, 2, 4, 4)
        chroma[..., 2:] = 1.0
        flat, edged = torch.zeros(1, 1, 4, 4), torch.zeros(1, 1, 4, 4)
        edged[..., 2:] = 1.0
        assert bleeding(chroma, flat).item() == pytest.approx(2 * 4 / 12)
        assert bleeding(chroma, edged).item() < 1e-6

    def test_less_light_takes_chroma_in_proportion_more_light_adds_its_root(self) -> None:
        chroma, at = torch.full((1, 2, 1, 1), 0.2), lambda luma: torch.full((1, 1, 1, 1), luma)
        assert relit(chroma, at(0.02), at(-0.5)).flatten()[0].item() == pytest.approx(0.2 * 0.5, rel=1e-4)
        assert relit(chroma, at(-0.34), at(0.02)).flatten()[0].item() == pytest.approx(0.2 * (1.04 / 0.68) ** 0.5)
        assert relit(chroma, at(-1.0), at(1.0)).flatten()[0].item() == pytest.approx(0.3)


class TestChroma:
    @given(st.lists(st.floats(-1, 1), min_size=3, max_size=3))
    @settings(max_examples=30, deadline=None)
    def test_luma_and_chroma_make_the_colour_again(self, rgb: list[float]) -> None:
        picture = torch.tensor(rgb)[None, :, None, None]
        assert torch.allclose(rgb_of(luma_of(picture), chroma_of(picture)), picture, atol=2e-6)

    def test_the_network_gives_half_the_size(self) -> None:
        chroma, logits = ChromaNet(3, 5, (4, 6, 8))(torch.zeros(2, 3, 32, 48))
        assert chroma.shape == (2, 2, 16, 24)
        assert logits.shape == (2, 5, 16, 24)

    @pytest.mark.parametrize("slices", [1, 3, 5])
    def test_the_coloured_slice_has_the_luma_of_the_middle_one(self, slices: int) -> None:
        method = small(slices)
        gray = torch.rand(1, slices, 32, 32) * 0.2 - 0.1
        with torch.no_grad():
            rgb = method.inference_network()(gray)  # not cut to the gamut, which untrained colours leave
        assert torch.allclose(luma_of(rgb), middle(gray), atol=2e-5)


class TestMethod:
    def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(self) -> None:
        whole = small()
        whole.step(batch_of(seed=1), PlainEngine())
        held = copy.deepcopy(
            (
                {name: net.state_dict() for name, net in whole.networks().items()},
                {name: each.state_dict() for name, each in whole.optimizers().items()},
                whole.state(),
            )
        )
        whole.step(batch_of(seed=2), PlainEngine())
        resumed = small(seed=9)
        for name, net in resumed.networks().items():
            net.load_state_dict(held[0][name])
        for name, each in resumed.optimizers().items():
            each.load_state_dict(held[1][name])
        resumed.load_state(held[2])
        resumed.step(batch_of(seed=2), PlainEngine())
        for name, net in whole.networks().items():
            for key, value in net.state_dict().items():
                assert torch.equal(value, resumed.networks()[name].state_dict()[key]), (name, key)

    def test_as_built_it_colours_as_in_training(self) -> None:
        method = small()
        for seed in range(3):
            method.step(batch_of(seed=seed), PlainEngine())
        gray = batch_of(seed=7).gray
        built = build_inference(method.inference_config())
        built.load_state_dict(method.inference_network().state_dict())
        with torch.no_grad():
            assert torch.allclose(built(gray).clamp(-1, 1), method.generate(gray), atol=1e-5)

    def test_a_labelled_place_is_taught_its_tissue_s_measured_colour_at_its_own_luma(self) -> None:
        method = small()
        muscle = 1 + TISSUES.index("muscle")
        luma = torch.tensor([[[[60 / 127.5 - 1, 90 / 127.5 - 1]]]])
        target, known = method.targets(torch.tensor([[[muscle, 0]]]), luma)
        expected = tissue_colors()["muscle"].chroma(60.0) / 127.5
        assert target[0, :, 0, 0].numpy() == pytest.approx(expected, abs=0.012)  # the table holds 8-bit colours
        assert known.flatten().tolist() == [1.0, 0.0]

    def test_scans_without_labels_teach_no_colour(self) -> None:
        method = small(adversarial=0.0)
        figures = method.step(batch_of(labels=False), PlainEngine())
        shown = method.scans(batch_of(labels=False))
        assert float(shown[0].weight.max()) == 0.0
        assert figures["G_scan"] == 0.0
        assert figures["G_consistency"] > 0.0
        assert "G_tissue" not in figures

    def test_a_batch_whose_labels_are_all_unknown_trains_on(self) -> None:
        method, batch = small(), batch_of()
        assert batch.labels is not None
        assert batch.label_stack is not None
        batch.labels.zero_()
        batch.label_stack.zero_()
        figures = method.step(batch, PlainEngine())
        assert figures["G_tissue"] == 0.0
        assert np.isfinite(list(figures.values())).all()
        assert all(bool(p.isfinite().all()) for p in method.g.parameters())

    def test_photographs_alone_suffice(self) -> None:
        method = small(scan=0.0)
        assert set(method.networks()) == {"G"}
        assert set(method.step(batch_of(labels=False), PlainEngine())) == {"G_photograph", "G_simulated"}
        method = small(scan=0.0, simulated=0.0)
        assert set(method.step(batch_of(labels=False), PlainEngine())) == {"G_photograph"}
        method = small(simulated=0.0)
        assert {"G_scan", "G_adversarial", "D"} < set(method.step(batch_of(), PlainEngine()))

    def test_it_learns_a_colour_from_photographs_and_another_from_labels(self) -> None:
        """Photographs are all red-brown; scans are labelled white matter: each gets its own in the end."""
        method = small(recontrast=0.0, strength=0.0, adversarial=0.0, flat=0.0, learning_rate=2e-2)
        n, size = 2, 16
        luma = torch.full((n, 3, size, size), -0.4)
        stripes = (torch.arange(size) % 2).float() * 0.6
        scan = torch.full((n, 3, size, size), 0.3) + stripes  # told apart by texture
        truth = rgb_of(luma[:, :1], torch.tensor([-0.1, 0.2])[None, :, None, None].expand(n, 2, size, size))
        ones, tissue = torch.ones(n, 1, size, size), torch.ones(n, size, size, dtype=torch.long)
        batch = Batch(
            scan, truth, luma, mask=ones, color_mask=ones, color_stack=truth.repeat(1, 3, 1, 1),
            labels=tissue, label_stack=tissue[:, None].expand(-1, 3, -1, -1),
        )  # fmt: skip
        for _ in range(120):
            figures = method.step(batch, PlainEngine())
        assert figures["G_photograph"] < 0.03
        assert figures["G_scan"] < 0.03
        assert chroma_of(method.generate(luma))[0, 1].mean() > 0.12  # red
        white = tissue_colors()["white matter"].chroma(200.0) / 127.5
        assert chroma_of(method.generate(scan))[0, 0].mean() == pytest.approx(float(white[0]), abs=0.06)

    def test_the_moved_on_stack_ends_like_a_volume(self) -> None:
        method = small(recontrast=0.0, strength=0.0, flat=0.0)
        batch = batch_of()
        here, beside = method.scans(batch)
        assert torch.equal(here.stack, batch.gray)
        assert torch.equal(beside.stack, batch.gray[:, [1, 2, 2]])

    def test_every_taught_tissue_has_a_measured_colour(self) -> None:
        table = tissue_table()
        measured = [bool(table[1 + n].isfinite().all()) for n in range(len(TISSUES))]
        assert dict(zip(TISSUES, measured, strict=True)) == {name: name in tissue_colors() for name in TISSUES}
        assert {"white matter", "gray matter", "csf", "fat", "muscle", "bone", "liver"} <= set(tissue_colors())


class TestContrast:
    def generator(self, seed: int = 0) -> torch.Generator:
        return torch.Generator().manual_seed(seed)

    def test_one_colour_gets_one_gray_and_others_get_others(self) -> None:
        stack = torch.full((1, 3, 8, 24), -0.5)
        stack[..., 8:16], stack[..., 16:] = 0.1, 0.7
        chroma = torch.zeros(1, 6, 8, 24)
        chroma[..., 8:16] = 0.2
        grays = contrast.of_photograph(stack, chroma, torch.ones(1, 1, 8, 24), self.generator(4), parts=12)
        parts = [grays[..., 2:6], grays[..., 10:14], grays[..., 18:22]]
        assert all(float(part.std()) < 1e-4 for part in parts)
        levels = [float(part.mean()) for part in parts]
        assert min(abs(a - b) for a, b in ((levels[0], levels[1]), (levels[1], levels[2]))) > 0.02

    def test_a_tissue_keeps_its_texture_and_moves_as_one(self) -> None:
        gray = torch.zeros(1, 3, 12, 24)
        gray[..., 12:] = 0.4
        labels = torch.ones(1, 3, 12, 24, dtype=torch.long)
        labels[..., 12:] = 2
        out = contrast.of_labels(gray, labels, 14, self.generator(1))
        left, right = out[..., 1:10], out[..., 14:23]
        assert float(left.std()) < 1e-5
        assert float(right.std()) < 1e-5
        assert abs(float(left.mean() - right.mean())) > 0.01

    @given(st.integers(0, 1000), st.floats(0, 1))
    @settings(max_examples=20, deadline=None)
    def test_a_scanner_stays_in_range_and_leaves_air_black(self, seed: int, strength: float) -> None:
        stack = torch.rand(2, 3, 16, 16, generator=self.generator(seed)) * 2 - 1
        stack[..., :4, :] = -1
        out = contrast.scanner(stack, self.generator(seed), strength)
        assert out.min() >= -1
        assert out.max() <= 1
        assert bool((out[..., :4, :] == -1).all())
        again = contrast.scanner(stack, self.generator(seed), strength)
        assert torch.equal(out, again)

    def test_an_empty_photograph_is_left_alone(self) -> None:
        stack, chroma = torch.full((1, 3, 8, 8), -1.0), torch.zeros(1, 6, 8, 8)
        assert torch.equal(contrast.of_photograph(stack, chroma, torch.zeros(1, 1, 8, 8), self.generator()), stack)
