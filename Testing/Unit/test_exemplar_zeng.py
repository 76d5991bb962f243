"""Zeng 2020: its losses against numbers worked out by hand, gradients against differences, schedules, the slice."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

torch = pytest.importorskip("torch")

from MedColorizeLib.errors import Cancelled  # noqa: E402
from MedColorizeLib.exemplar import imaging_module, zeng_schedule, zeng_start  # noqa: E402
from MedColorizeLib.exemplar import zeng_losses as losses  # noqa: E402
from MedColorizeLib.exemplar.zeng import Zeng, ZengOptions, reachable  # noqa: E402
from MedColorizeLib.exemplar.zeng_objective import Layers, Objective, Weights  # noqa: E402
from MedColorizeLib.imaging.colorspaces import luma, rgb_to_yuv  # noqa: E402
from MedColorizeLib.networks.vgg import VggFeatures, layer_names, plan  # noqa: E402
from MedColorizeLib.progress import CancelToken  # noqa: E402


def test_content_loss_is_half_the_mean_square() -> None:
    a, b = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]]), torch.tensor([[[[1.0, 0.0]], [[0.0, 4.0]]]])
    assert losses.content_loss(a, b).item() == pytest.approx((4 + 9) / (2 * 2 * 2))
    assert losses.swap_loss(a, b).item() == pytest.approx((4 + 9) / 8)


def test_y_loss_weighs_red_green_and_blue_in_that_order() -> None:
    picture = torch.tensor([[[[100.0, 0.0]], [[50.0, 10.0]], [[0.0, 20.0]]]])
    y = [0.299 * 100 + 0.587 * 50, 0.587 * 10 + 0.114 * 20]
    difference = np.array([y[0] - 60, y[1] - 9])
    gray = torch.tensor([[60.0, 9.0]])
    l1, l2 = np.abs(difference).sum(), (difference**2).sum()
    for alpha_y in (0.0, 0.25, 1.0):
        expected = (alpha_y * l1 + (1 - alpha_y) * l2) / (2 * 2)
        assert losses.y_loss(picture, gray, alpha_y).item() == pytest.approx(expected, rel=1e-6)


def test_grams_and_color_loss_by_hand() -> None:
    maps = torch.tensor([[[[1.0, 2.0]], [[3.0, 4.0]]]])  # N = 2, pixels (1, 3) and (2, 4)
    own = losses.LayerMasks(torch.tensor([[[1.0, 0.0]], [[0.0, 0.5]]]), torch.tensor([0.5, 0.25]))
    grams = losses.gram(maps, own)
    np.testing.assert_allclose(grams[0], np.array([[1, 3], [3, 9]]) / (4 * 0.5))
    np.testing.assert_allclose(grams[1], 0.25 * np.array([[4, 8], [8, 16]]) / (4 * 0.25))
    reference = torch.zeros(2, 2, 2)
    first, second = (0.5 * (g.numpy() ** 2).mean() for g in grams)
    value = losses.color_loss(maps, own, reference, torch.ones(2))
    assert value.item() == pytest.approx(0.5 * first + 0.25 * second)
    alone = losses.color_loss(maps, own, reference, torch.tensor([1.0, 0.0]))
    assert alone.item() == pytest.approx(0.5 * first)


def test_the_fast_gram_is_the_plain_one_with_its_gradient() -> None:
    generator = torch.Generator().manual_seed(2)
    maps = torch.rand(1, 3, 4, 5, dtype=torch.float64, generator=generator, requires_grad=True)
    masks = torch.rand(2, 4, 5, dtype=torch.float64, generator=generator)
    masks[0, :2] = 0
    own = losses.LayerMasks(masks, masks.mean(dim=(1, 2)))
    flat = maps[0].flatten(1)
    plain = torch.stack([(flat * m.flatten()) @ (flat * m.flatten()).T for m in masks])
    plain = plain / (flat.numel() * own.shares)[:, None, None]
    torch.testing.assert_close(losses.gram(maps, own), plain)
    assert torch.autograd.gradcheck(lambda value: losses.gram(value, own), (maps,))


def test_swapping_puts_the_reference_where_it_fits() -> None:
    generator = torch.Generator().manual_seed(0)
    target = torch.rand(1, 8, 9, 9, generator=generator)
    # A reference made of the target's own cells: every cell's best match is itself.
    mapped = losses.swapped(target, target)
    centers = mapped[..., 1::3, 1::3]
    assert (centers - target[..., 1::3, 1::3]).abs().mean() < (target.mean() - target).abs().mean()
    flat = torch.full((1, 2, 6, 6), 3.0)
    torch.testing.assert_close(losses.swapped(flat, flat), flat)  # the rim too


def test_variation_by_hand() -> None:
    picture = torch.tensor([[[[1.0, 3.0], [0.0, 3.0]]]])
    assert losses.variation_loss(picture).item() == 0.5 * (1 + 4)


def test_masks_follow_the_maps() -> None:
    labels = torch.zeros(8, 8, dtype=torch.uint8)
    labels[:, 4:] = 1
    found = losses.masks_at(labels, 2, ("relu1_1", "relu2_1"), layer_names("vgg19"))
    assert found["relu1_1"].masks.shape == (2, 8, 8)
    assert found["relu2_1"].masks.shape == (2, 4, 4)
    np.testing.assert_allclose(found["relu1_1"].masks[0, 4], [1, 1, 1, 2 / 3, 1 / 3, 0, 0, 0], atol=1e-6)
    for layer in found.values():
        np.testing.assert_allclose(layer.masks.sum(dim=0), 1, atol=1e-6)


LAYERS = Layers("relu2_1", ("relu1_1", "relu2_1"), ("relu2_1",))
WEIGHTS = Weights(alpha=1, lambda_y=1e5, alpha_y=0.3, color=1e2, beta=1, gamma=10, tv=1e-3)


def small_objective(seed: int = 0, weights: Weights = WEIGHTS) -> tuple[Objective, np.ndarray, np.ndarray]:
    """A random (untrained) net on random smooth pictures of 24 x 24."""
    torch.manual_seed(seed)
    net = VggFeatures("vgg19", LAYERS.all, input_range="codes", units="codes")
    rng = np.random.default_rng(seed)
    gray = np.kron(rng.integers(20, 230, (6, 6)), np.ones((4, 4))).astype(np.uint8)
    style = np.kron(rng.integers(20, 230, (6, 6, 3)), np.ones((4, 4, 1))).astype(np.uint8)
    labels = (gray > 120).astype(np.uint8)
    theirs = (luma(style) > 120).astype(np.uint8)
    return Objective(net, LAYERS, weights, gray, labels, style, theirs, 2), gray, style


def test_the_gradient_is_the_slope_of_the_objective() -> None:
    objective, gray, _ = small_objective()
    objective.features.double()
    for name, value in vars(objective).items():  # in double precision, or differences drown
        if isinstance(value, torch.Tensor):
            setattr(objective, name, value.double())
    objective._mapped = {k: v.double() for k, v in objective._mapped.items()}
    objective._grams = {k: v.double() for k, v in objective._grams.items()}
    objective._own = {k: losses.LayerMasks(v.masks.double(), v.shares.double()) for k, v in objective._own.items()}
    picture = torch.from_numpy(np.repeat(gray[None, None], 3, axis=1).astype(np.float64)) + 3.3
    generator = torch.Generator().manual_seed(1)
    _, gradient = objective.value_and_gradient(picture, "full")
    for _ in range(3):
        direction = torch.randn(picture.shape, generator=generator, dtype=torch.float64)
        step = 1e-5
        ahead, behind = (objective.value_and_gradient(picture + s * direction, "full")[0] for s in (step, -step))
        assert (ahead - behind) / (2 * step) == pytest.approx(float((gradient * direction).sum()), rel=1e-4)


def test_terms_sum_up_and_a_stage_leaves_terms_out() -> None:
    objective, gray, _ = small_objective()
    picture = torch.from_numpy(np.repeat(gray[None, None], 3, axis=1).astype(np.float32))
    report = objective.report(picture)
    assert report["total"] == pytest.approx(objective.value_and_gradient(picture, "full")[0], rel=1e-5)
    assert report["content"] == pytest.approx(0, abs=1e-6)
    assert report["y"] == pytest.approx(0, abs=1)  # the rounding of 32 bits, times 1e5
    assert set(objective.terms(picture, "style")) == {"content", "color", "variation"}


def test_stretched_coordinates_come_back_and_carry_gradients() -> None:
    coordinates = zeng_schedule.Coordinates(10.0, unit=4.0)
    picture = torch.rand(1, 3, 4, 5, dtype=torch.float64) * 255
    variables = coordinates.of(picture)
    torch.testing.assert_close(coordinates.picture(variables), picture)
    yuv = rgb_to_yuv(picture[0].permute(1, 2, 0).numpy())
    np.testing.assert_allclose(variables[0, 0], 10 * yuv[..., 0] / 4)
    np.testing.assert_allclose(variables[0, 1], yuv[..., 1] / 4, atol=1e-9)
    leaf = variables.clone().requires_grad_(True)
    weight = torch.rand_like(picture)
    (coordinates.picture(leaf) * weight).sum().backward()
    torch.testing.assert_close(coordinates.gradient(weight), leaf.grad)


def test_the_fast_schedule_gets_as_low_with_less() -> None:
    objective, gray, style = small_objective(weights=Weights(1, 1e5, 0.0, 1e2, 1, 10, 1e-3))
    noise = zeng_start.noise(gray.shape, 0)
    first, second = zeng_schedule.published(objective, noise, iterations=25)
    labels, theirs = (gray > 120).astype(np.uint8), (luma(style) > 120).astype(np.uint8)
    start = zeng_start.ranked(gray, labels, style, theirs, 2)
    fast = zeng_schedule.minimise(
        objective,
        torch.from_numpy(start).permute(2, 0, 1)[None].contiguous(),
        iterations=25,
        coordinates=zeng_schedule.Coordinates.of_weight(1e5, gray.size),
        plateau=1e-3,
    )
    assert fast.trace[-1][1] <= 1.01 * second.trace[-1][1]
    assert fast.evaluations < 0.6 * (first.evaluations + second.evaluations)


def test_the_start_takes_the_chroma_of_the_same_rank() -> None:
    gray = np.array([[10, 20, 200, 220]], np.uint8).repeat(4, axis=0)
    style = np.zeros((4, 4, 3), np.uint8)
    style[:, :2] = [60, 10, 10]
    style[:, 2:] = [220, 200, 150]
    labels = np.array([[0, 0, 1, 1]], np.uint8).repeat(4, axis=0)
    start = zeng_start.ranked(gray, labels, style, labels, 3)  # a third class that neither has
    np.testing.assert_allclose(luma(start), gray, atol=1e-3)
    np.testing.assert_allclose(rgb_to_yuv(start)[0, 0, 1:], rgb_to_yuv(style.astype(float))[0, 0, 1:], atol=1e-3)
    np.testing.assert_allclose(rgb_to_yuv(start)[0, 3, 1:], rgb_to_yuv(style.astype(float))[0, 3, 1:], atol=1e-3)


def test_smoothing_keeps_what_follows_the_gray_and_drops_noise() -> None:
    rng = np.random.default_rng(0)
    gray = np.repeat(np.array([40, 200], np.uint8), 20)[None].repeat(40, axis=0)
    gray = np.clip(gray + rng.integers(-3, 4, gray.shape), 0, 255).astype(np.uint8)
    clean = np.where(gray[..., None] > 120, [20.0, -30.0], [-10.0, 5.0]).astype(np.float32)
    noisy = clean + rng.normal(0, 6, clean.shape).astype(np.float32)
    out = imaging_module.smoothed(noisy, gray, radius=7)
    assert np.abs(out - clean)[3:-3, 3:-3].mean() < 0.5 * np.abs(noisy - clean).mean()
    flat = imaging_module.smoothed(np.full((12, 12, 2), 7.0, np.float32), np.full((12, 12), 90, np.uint8), radius=3)
    np.testing.assert_allclose(flat, 7, atol=1e-3)


def test_the_bilateral_filter_is_its_definition() -> None:
    rng = np.random.default_rng(1)
    gray = rng.integers(0, 256, (7, 9), dtype=np.uint8)
    plane = rng.normal(size=(1, 7, 9)).astype(np.float32)
    out = imaging_module.joint_bilateral(plane, gray, radius=3, sigma=0.2)
    j, i = 2, 4
    total = weight = 0.0
    for y in range(max(0, j - 3), min(7, j + 4)):
        for x in range(max(0, i - 3), min(9, i + 4)):
            near = np.exp(-0.5 * ((y - j) ** 2 + (x - i) ** 2) / 1.0**2)
            if near < 1e-4:
                continue
            w = near * np.exp(-0.5 * ((float(gray[y, x]) - float(gray[j, i])) / (255 * 0.2)) ** 2)
            total, weight = total + w * plane[0, y, x], weight + w
    assert out[0, j, i] == pytest.approx(total / weight, rel=1e-4)


def test_layers_that_the_weights_lack_are_told() -> None:
    names = layer_names("vgg19")
    layers, notes = reachable(ZengOptions(), names)
    assert (layers.content, len(layers.color), len(layers.swap)) == ("relu4_2", 5, 3)
    assert notes == ()
    layers, notes = reachable(ZengOptions(), names[: names.index("pool3") + 1])
    assert layers == Layers("relu3_4", ("relu1_1", "relu2_1", "relu3_1"), ("relu3_1",))
    for word in ("relu3_4 instead of relu4_2", "relu4_1, relu5_1", "pool3"):
        assert word in notes[0]


@pytest.fixture
def weights(data: Path) -> str:
    return str(data / "weights" / "vgg19_conv1_1_to_conv3_4.npz")


def test_the_whole_net_runs_every_layer_of_the_paper(tmp_path: Path) -> None:
    """Random weights under torchvision's names and of its shapes: what is computed, not how well."""
    torch.manual_seed(0)
    state = {}
    for place, (layer, inward, outward) in enumerate(plan("vgg19")):
        if inward:
            spread = (2 / (9 * inward)) ** 0.5  # of He, so that the deepest maps are no smaller than the first
            state[f"features.{place}.weight"] = torch.randn(outward, inward, 3, 3) * spread
            state[f"features.{place}.bias"] = torch.zeros(outward)
        if layer == "relu5_1":
            break
    torch.save(state, tmp_path / "vgg19.pth")
    gray = np.kron(np.arange(20, 236, 24).reshape(3, 3), np.ones((16, 16))).astype(np.uint8)
    reference = np.stack([gray, gray // 2, gray // 3], axis=-1)
    zeng = Zeng(ZengOptions(weights_file=str(tmp_path / "vgg19.pth"), size=48, iterations=4))
    out = zeng.transfer(gray, reference)
    np.testing.assert_allclose(luma(out), gray, atol=0.01)
    assert zeng.notes() == ()
    used = zeng.describe()["layers_used"]
    assert used["content"] == "relu4_2"
    assert used["color"] == ["relu1_1", "relu2_1", "relu3_1", "relu4_1", "relu5_1"]
    assert used["swap"] == ["relu3_1", "relu4_1", "relu5_1"]
    # Each term is alive, those of the deepest maps too.
    objective = zeng.objective(gray, reference)
    picture = torch.from_numpy(out).permute(2, 0, 1)[None].contiguous()
    assert all(value > 0 for value in objective.report(picture + 5).values())
    _, gradient = objective.value_and_gradient(picture, "full")
    assert torch.isfinite(gradient).all()


def test_a_real_slice_gets_the_references_colors(data: Path, weights: str) -> None:
    from MedColorizeLib.exemplar.pictures import read_picture

    gray = np.zeros((60, 72), np.uint8)
    gray[8:52, 8:64] = 120
    gray[20:40, 20:50] = 210
    reference = read_picture(data / "cryosections" / "vhm" / "1110.jpg", "cryosection", 640)
    zeng = Zeng(ZengOptions(weights_file=weights, size=48, iterations=12))
    out = zeng.transfer(gray, reference)
    np.testing.assert_allclose(luma(out), gray, atol=0.01)
    red_minus_blue = (out[..., 0] - out[..., 2])[gray == 120]
    assert red_minus_blue.mean() > 15  # muscle and fat are warm
    again = zeng.transfer(gray, reference)
    np.testing.assert_array_equal(out, again)
    described = zeng.describe()
    assert described["layers_used"]["content"] == "relu3_4"
    assert str(data) not in str(described)
    assert "relu4_2" in zeng.notes()[0]


def test_cancelling_stops_the_optimisation(weights: str) -> None:
    cancel = CancelToken()
    gray = np.full((40, 40), 90, np.uint8)
    gray[10:30, 10:30] = 180
    with pytest.raises(Cancelled):
        Zeng(ZengOptions(weights_file=weights, size=40)).transfer(
            gray, np.dstack([gray] * 3), cancel, lambda event: cancel.cancel()
        )
