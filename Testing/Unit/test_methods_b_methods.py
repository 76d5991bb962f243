"""Lohar, Tanjim & Liu, Zhang, ChromaGAN, segmentation, feature net: sizes, options, gradients, learning, bundles."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Any, get_args, get_type_hints

import pytest
import torch
from torch import Tensor, nn

from MedColorizeLib.errors import ModelError, UsageError
from MedColorizeLib.methods.base import Batch, Method
from MedColorizeLib.methods.feature_net import FeatureNet
from MedColorizeLib.methods.registry import load_method
from MedColorizeLib.methods.tanjim import ColorCode
from MedColorizeLib.methods.tissue import tissue_of
from MedColorizeLib.networks.chromagan import TRUNK, ChromaCritic, ChromaGenerator
from MedColorizeLib.networks.feature_net import LAYERS, medical_features, medical_stack
from MedColorizeLib.networks.lohar import LoharDiscriminator, LoharGenerator
from MedColorizeLib.networks.tanjim import FourLayers, ImageDiscriminator, TenLayers
from MedColorizeLib.networks.unet_seg import MONAI_NETS, UNetSeg, segmentation_net
from MedColorizeLib.networks.vgg import feature_stack
from MedColorizeLib.networks.zhang import ZhangNet

torch.set_num_threads(1)

SMALL: dict[str, dict[str, Any]] = {
    "lohar": {"width": 4},
    "lohar-adversarial": {"width": 4},
    "tanjim-4": {"width": 4},
    "tanjim-10": {"width": 4},
    "tanjim-cyclegan": {"width": 4, "discriminator_width": 4, "blocks": 1},
    "zhang": {"width": 4},
    "chromagan": {"width": 4, "critic_width": 4},
    "segmentation": {"widths": [4, 8, 12]},
    "medical-features": {},
}


class PlainEngine:
    """Gradients and updates, nothing else."""

    accumulating = False

    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        return contextlib.nullcontext()

    def backward(self, loss: Tensor) -> None:
        loss.backward()

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        optimizer.step()
        optimizer.zero_grad()


class Keeping(PlainEngine):
    """Holds the gradients still, and notes which parameters had one when their optimizer was to step."""

    def __init__(self) -> None:
        self.reached: list[set[int]] = []

    def step(self, optimizer: torch.optim.Optimizer) -> None:
        parameters = [p for group in optimizer.param_groups for p in group["params"]]
        self.reached.append({id(p) for p in parameters if p.grad is not None and p.grad.abs().sum() > 0})
        optimizer.zero_grad()


class HalfPrecision(PlainEngine):
    def autocast(self) -> contextlib.AbstractContextManager[Any]:
        return torch.autocast("cpu", torch.bfloat16)


def make(name: str, *, slices: int = 1, **options: Any) -> Method:
    torch.manual_seed(0)
    kind = FeatureNet if name == "medical-features" else load_method(name)
    return kind(kind.Options.from_mapping(SMALL[name] | options), slices=slices, seed=3).train()


def batch(n: int = 1, side: int = 64, slices: int = 1, seed: int = 5) -> Batch:
    """Pictures whose colour follows from their gray: red where bright, blue where dark."""
    torch.manual_seed(seed)
    value = nn.functional.interpolate(torch.rand(n, 1, 4, 4), size=side, mode="bilinear", align_corners=False)
    color = torch.cat([value, 0.6 * value, 0.8 - 0.7 * value], 1).clamp(0, 1) * 2 - 1
    gray = (color * torch.tensor([0.299, 0.587, 0.114]).view(1, 3, 1, 1)).sum(1, keepdim=True)
    gray = gray.expand(-1, slices, -1, -1).contiguous()
    middle = gray[:, slices // 2]
    labels = 1 + (middle > middle.mean()).long() + (middle > middle.mean() + 0.1).long()
    return Batch(gray, color, gray, labels, labels)


def parameters(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def shapes(module: nn.Module) -> dict[str, torch.Size]:
    return {name: value.shape for name, value in module.state_dict().items()}


# Sizes of the sheets


def test_sizes() -> None:
    with torch.device("meta"):
        assert parameters(LoharGenerator()) == 1_406_403
        assert parameters(FourLayers(1, 3, output="tanh")) == 25_027
        assert parameters(TenLayers(1, 3, output="tanh")) == pytest.approx(4.36e6, rel=0.002)
        assert parameters(ZhangNet(1, 313)) == pytest.approx(32.2e6, rel=0.002)
        assert parameters(UNetSeg()) == pytest.approx(34.5e6, rel=0.002)
        assert parameters(ChromaGenerator()) == pytest.approx(171e6, rel=0.002)
        assert parameters(medical_stack()) == 434_592


def test_shapes_inside() -> None:
    assert LoharGenerator(width=4)(torch.zeros(1, 1, 30, 34)).shape == (1, 3, 30, 34)
    assert LoharDiscriminator(width=4)(torch.zeros(2, 3, 40, 40)).shape == (2, 1)
    assert ImageDiscriminator(width=4)(torch.zeros(2, 3, 32, 48)).shape == (2, 1)
    ten = TenLayers(1, 3, output="tanh", widths=(2, 2, 2, 2, 2))
    value = torch.zeros(1, 1, 224, 224)
    sides = [value.shape[-1]] + [(value := layer(value)).shape[-1] for layer in ten if hasattr(layer, "stride")]
    assert sides == [224, 112, 56, 28, 14, 7, 14, 28, 56, 112, 224]
    assert ZhangNet(1, 7, width=2)(torch.zeros(1, 1, 32, 64)).shape == (1, 7, 8, 16)
    ab, classes = ChromaGenerator(classes=3, width=4)(torch.zeros(2, 1, 32, 40))
    assert (ab.shape, classes.shape) == ((2, 2, 32, 40), (2, 3))


@pytest.mark.parametrize(
    ("network", "channels", "side"),
    [(LoharGenerator(width=4), 1, 24), (ImageDiscriminator(width=4), 3, 31)],
    ids=["lohar", "tanjim"],
)
def test_pictures_that_are_too_small_are_refused_in_words(network: nn.Module, channels: int, side: int) -> None:
    with pytest.raises(UsageError, match="pixels a side"):
        network(torch.zeros(1, channels, side, 64))
    network(torch.zeros(1, channels, side + 1, 64))


def test_published_vgg_weights_fit_the_trunk() -> None:
    with torch.device("meta"):
        trunk = ChromaGenerator().trunk
        published = feature_stack("vgg16", TRUNK)
    assert {k: v.shape for k, v in trunk.state_dict().items()} == {
        k: v.shape for k, v in published.state_dict().items()
    }


# Every method, alike


@pytest.mark.parametrize("slices", [1, 3])
@pytest.mark.parametrize("name", SMALL)
def test_a_step_moves_every_network_and_says_finite_figures(name: str, slices: int) -> None:
    options = {"generator_input": "gray"} if name == "tanjim-cyclegan" else {}
    method = make(name, slices=slices, **options)
    before = {key: [p.detach().clone() for p in net.parameters()] for key, net in method.networks().items()}
    figures = method.step(batch(slices=slices), PlainEngine())
    assert figures
    assert all(torch.isfinite(torch.tensor(list(figures.values()))))
    for key, net in method.networks().items():
        assert any(not torch.equal(a, b) for a, b in zip(before[key], net.parameters(), strict=True)), key
        assert all(p.grad is None for p in net.parameters()), f"{key} keeps gradients of another's loss"


@pytest.mark.parametrize("name", SMALL)
def test_what_is_exported_colours_as_the_method_does(name: str) -> None:
    method = make(name)
    for _ in range(2):
        method.step(batch(), PlainEngine())
    given = batch(seed=9).gray
    expected = method.generate(given)
    config = method.inference_config()
    built = type(method).build_inference(config)
    built.load_state_dict(method.inference_network().state_dict())
    found = built.eval()(given)
    found = found[0] if isinstance(found, tuple) else found
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)
    if method.kind == "color":
        assert expected.shape == (1, 3, 64, 64)
        assert expected.abs().max() <= 1
    assert all(net.training for net in method.networks().values())


@pytest.mark.parametrize("name", SMALL)
def test_a_resumed_run_goes_on_as_if_nothing_had_been(name: str) -> None:
    straight, first = make(name), make(name)
    for seed in range(2):
        straight.step(batch(seed=seed), PlainEngine())
        first.step(batch(seed=seed), PlainEngine())
    second = make(name)
    for key, net in first.networks().items():
        second.networks()[key].load_state_dict(net.state_dict())
    for key, optimizer in first.optimizers().items():
        second.optimizers()[key].load_state_dict(optimizer.state_dict())
    second.load_state(first.state())
    assert straight.step(batch(seed=7), PlainEngine()) == second.step(batch(seed=7), PlainEngine())
    for key, net in straight.networks().items():
        assert all(
            torch.equal(a, b) for a, b in zip(net.parameters(), second.networks()[key].parameters(), strict=True)
        )


@pytest.mark.parametrize("name", SMALL)
def test_samples_are_pictures(name: str) -> None:
    for picture in make(name).samples(batch(n=2)).values():
        assert picture.ndim == 4
        assert picture.shape[0] == 2
        assert picture.shape[1] in (1, 3)
        assert picture.min() >= -1.001
        assert picture.max() <= 1.001


@pytest.mark.parametrize("name", SMALL)
def test_bf16_gives_nearly_the_same_figures(name: str) -> None:
    plain, half = make(name).step(batch(), PlainEngine()), make(name).step(batch(), HalfPrecision())
    for key, value in plain.items():
        assert half[key] == pytest.approx(value, rel=0.1, abs=0.05), key


def _variants() -> list[tuple[str, str, Any]]:
    """Every value of every option that is a choice or a switch."""
    found = []
    for name in SMALL:
        kind = FeatureNet if name == "medical-features" else load_method(name)
        for key, hint in get_type_hints(kind.Options).items():
            values = (True, False) if hint is bool else get_args(hint) if str(hint).startswith("typing.Literal") else ()
            found += [(name, key, value) for value in values]
    return found


@pytest.mark.parametrize(("name", "key", "value"), _variants())
def test_every_choice_works(name: str, key: str, value: Any) -> None:
    if value == "imagenet":
        pytest.skip("has a test of its own: the teacher is 138 M parameters")
    more = {"depth": 4} if value == "unet256" else {}
    method = make(name, **{key: value}, **more)
    figures = method.step(batch(), PlainEngine())
    assert all(torch.isfinite(torch.tensor(list(figures.values()))))
    assert method.generate(batch().gray).isfinite().all()


# Learning: a trivial picture is overfitted


@pytest.mark.parametrize(
    ("name", "figure", "steps", "options"),
    [
        ("lohar", "G_mse", 30, {"width": 8, "learning_rate": 5e-3}),
        ("lohar-adversarial", "G_mse", 30, {"width": 8, "learning_rate": 5e-3}),
        ("tanjim-4", "G_mse", 60, {"learning_rate": 1e-2}),
        ("tanjim-10", "G_mse", 60, {"learning_rate": 5e-3}),
        ("zhang", "G_classification", 40, {"width": 8, "learning_rate": 3e-3}),
        ("chromagan", "G_chroma", 60, {"width": 8, "learning_rate": 2e-3, "adversarial_weight": 0.0}),
        ("segmentation", "S_dice", 60, {"learning_rate": 3e-2, "classes": 4}),
        ("medical-features", "E_tissue", 40, {"tissues": 3}),
    ],
)
def test_a_single_picture_is_learned(name: str, figure: str, steps: int, options: dict[str, Any]) -> None:
    method, given = make(name, **options), batch()
    history = [method.step(given, PlainEngine())[figure] for _ in range(steps)]
    assert sum(history[-3:]) / 3 < 0.6 * history[0], history


def test_the_cycle_learns_to_come_back() -> None:
    method, given = make("tanjim-cyclegan", alignment="paired", learning_rate=2e-3), batch()
    history = [method.step(given, PlainEngine())["cycle_X"] for _ in range(25)]
    assert history[-1] < 0.7 * history[0]


# Lohar


@pytest.mark.parametrize(("name", "expected"), [("lohar", False), ("lohar-adversarial", True)])
def test_the_discriminator_moves_the_generator_only_in_the_adversarial_form(name: str, expected: bool) -> None:
    """The same generator step from two different discriminators: only the adversarial form can tell them apart."""
    given, grads = batch(), []
    for seed in (1, 2):
        method = make(name)
        torch.manual_seed(seed)
        for p in method.networks()["D"].parameters():
            nn.init.normal_(p, std=0.1)
        method.step(given, PlainEngine())
        grads.append(torch.cat([p.detach().flatten() for p in method.networks()["G"].parameters()]))
    assert torch.equal(*grads) is not expected


def test_the_generators_step_leaves_the_discriminator_alone() -> None:
    method, engine = make("lohar-adversarial"), Keeping()
    method.step(batch(), engine)
    generator, discriminator = method.networks()["G"], method.networks()["D"]
    assert engine.reached[0] == {id(p) for p in generator.parameters()}
    assert engine.reached[1] <= {id(p) for p in discriminator.parameters()}
    assert len(engine.reached[1]) > 0


def test_a_relu_output_stays_within_the_picture_in_use() -> None:
    method = make("lohar", output="relu")
    with torch.no_grad():
        method.networks()["G"].up1[-2].bias.fill_(5)
    assert method.generate(batch().gray).max() == 1


# Tanjim & Liu


@pytest.mark.parametrize("copied", [True, False])
@pytest.mark.parametrize("normalise", [True, False])
@pytest.mark.parametrize("space", ["rgb", "lab"])
def test_codes_come_back_as_pictures(space: Any, normalise: bool, copied: bool) -> None:
    """With L copied from a gray slice of the same L, the picture is the very same."""
    code = ColorCode(space, normalise, copied)
    picture = torch.rand(1, 3, 5, 6) * 2 - 1
    made = code.color(picture)
    assert made.shape[1] == code.channels == (2 if space == "lab" and copied else 3)
    low = -1 if normalise else 0
    assert made.min() >= low
    assert made.max() <= 1
    if code.copied:
        gray = torch.full((1, 1, 5, 6), 0.1)
        from MedColorizeLib.networks.lab import lab_of, lightness_of

        again = lab_of(code.picture(code.color(picture * 0.1), gray))
        torch.testing.assert_close(again[:, :1], lightness_of(gray), atol=0.5, rtol=0)
        torch.testing.assert_close(again[:, 1:], lab_of(picture * 0.1)[:, 1:], atol=0.5, rtol=0)
    else:
        torch.testing.assert_close(code.picture(made, picture[:, :1]), picture, atol=3e-3, rtol=0)


def test_paired_alignment_takes_the_colour_slices_own_gray() -> None:
    given = batch()
    given = Batch(batch(seed=8).gray, given.color, given.color_gray)
    shuffled, paired = make("tanjim-cyclegan"), make("tanjim-cyclegan", alignment="paired")
    assert torch.equal(shuffled.sides(given).x_middle, given.gray)
    assert torch.equal(paired.sides(given).x_middle, given.color_gray)


# Zhang


def test_the_prior_is_counted_and_used() -> None:
    method = make("zhang")
    method.step(batch(), PlainEngine())
    assert method.counts.sum().item() == pytest.approx(309 + 256, rel=1e-4)
    flat = make("zhang", rebalance=False)
    assert torch.equal(flat.weights(torch.rand(1, 309, 2, 2)), torch.ones(309))


def test_the_published_schedule() -> None:
    method = make("zhang")
    scheduler = method.schedulers(90)["generator"]
    rates = []
    for _ in range(90):
        rates.append(scheduler.get_last_lr()[0])
        method.optimizers()["generator"].step()
        scheduler.step()
    assert rates[0] == rates[39] == pytest.approx(3e-5)
    assert rates[41] == rates[73] == pytest.approx(1e-5)
    assert rates[76] == rates[89] == pytest.approx(3e-6)


# ChromaGAN


def test_the_class_branch_learns_from_what_was_asked() -> None:
    given = batch()
    by_labels = make("chromagan", classes_from="labels").class_distribution(given)
    torch.testing.assert_close(by_labels.sum(1), torch.ones(1))
    share = (given.labels == 2).float().mean()
    torch.testing.assert_close(by_labels[0, 2], share)
    with pytest.raises(UsageError, match="at least 4"):
        make("chromagan", classes_from="labels", classes=3).class_distribution(given)
    with pytest.raises(UsageError, match="needs label maps"):
        make("chromagan", classes_from="labels").step(Batch(given.gray, given.color, given.gray), PlainEngine())
    tissue = make("chromagan").class_distribution(given)
    assert tissue.shape == (1, 5)
    with pytest.raises(UsageError, match="vgg_weights"):
        make("chromagan", classes_from="imagenet")


@pytest.mark.slow
def test_imagenet_classes_teach() -> None:
    method = make("chromagan", classes_from="imagenet", vgg_weights="random")
    assert method.class_distribution(batch()).shape == (1, 1000)
    assert "G_class" in method.step(batch(), PlainEngine())
    assert "random weights" in " ".join(method.notes())


def test_the_critic_and_the_generator_pull_apart() -> None:
    """After critic steps alone D(real) - D(fake) grows; after generator steps alone D(fake) grows."""
    critic = make("chromagan", learning_rate=1e-3)
    generator_rate = critic.optimizers()["generator"].param_groups[0]
    generator_rate["lr"] = 0.0
    history = [critic.step(batch(), PlainEngine()) for _ in range(15)]
    assert history[-1]["D_difference"] > history[0]["D_difference"]
    generator = make("chromagan", learning_rate=1e-3, adversarial_weight=100.0)
    generator.optimizers()["critic"].param_groups[0]["lr"] = 0.0
    history = [generator.step(batch(), PlainEngine()) for _ in range(15)]
    assert history[-1]["G_adversarial"] < history[0]["G_adversarial"]


def test_the_critic_sees_no_batch_statistics() -> None:
    critic, pictures = ChromaCritic(width=4), torch.rand(2, 3, 32, 32)
    torch.testing.assert_close(critic(pictures)[:1], critic(pictures[:1]))


# Segmentation


@pytest.mark.parametrize("name", ["unet", *MONAI_NETS])
def test_segmentation_networks_give_logits_and_maps_to_fuse(name: str) -> None:
    torch.manual_seed(0)
    net = segmentation_net(name, 1, 4, widths=(4, 8, 12, 16, 20)).eval()
    side = 2 * max(net.divisor, 16)
    given = torch.rand(1, 1, side, side)
    logits, shallow, deep = net(given)
    assert logits.shape == (1, 4, side, side)
    if name == "HighResNet":
        with pytest.raises(UsageError, match="can't be fused"):
            net.features(given)
        return
    assert shallow.shape == (1, net.feature_channels[0], side // 2, side // 2)
    assert deep.shape == (1, net.feature_channels[1], side // 2, side // 2)
    for one, other in zip(net.features(given), (shallow, deep), strict=True):
        torch.testing.assert_close(one, other)
    assert not torch.equal(shallow, deep)


def test_names_are_data_and_not_code() -> None:
    for name in ("os.system", "Transchex", "monai.networks.nets.UNet"):
        with pytest.raises(UsageError, match="no segmentation network"):
            make("segmentation", network=name)


def test_label_values_become_classes_and_strange_ones_are_refused() -> None:
    given = batch()
    labels = torch.tensor([[0, 4, 11], [207, 4, 9]])[None]
    given = Batch(given.gray, given.color, given.gray, labels)
    chosen = make("segmentation", classes=3, label_values=[11, 4]).targets(given)
    assert chosen.tolist() == [[[0, 2, 1], [0, 2, 0]]]
    with pytest.raises(UsageError, match="from 0 to 207"):
        make("segmentation").targets(given)
    with pytest.raises(UsageError, match="label_values names 1"):
        make("segmentation", classes=3, label_values=[1])


def test_without_label_maps_it_learns_tissue_or_refuses() -> None:
    given = batch()
    bare = Batch(given.gray, given.color, given.gray)
    method = make("segmentation", classes=4)
    method.step(bare, PlainEngine())
    assert "unsupervised" in method.notes()[0]
    found = tissue_of(given.gray, 3)
    assert found.unique().tolist() == [1, 2, 3]
    with pytest.raises(UsageError, match="needs label maps"):
        make("segmentation", unlabelled="refuse").step(bare, PlainEngine())


def test_predictions_of_both_losses() -> None:
    from MedColorizeLib.methods.segmentation import classes_of

    logits = torch.tensor([9.0, -1.0, -2.0, 9.0, 0.5, -1.0]).view(2, 3).T.view(1, 3, 1, 2)
    assert classes_of(logits, "dice").tolist() == [[[0, 1]]]
    assert classes_of(logits, "dice_ce").tolist() == [[[0, 0]]]


# The feature net


def test_a_trained_feature_net_is_saved_and_frozen(tmp_path: Path) -> None:
    method = make("medical-features")
    method.step(batch(), PlainEngine())
    file = method.save(tmp_path / "features.safetensors")
    net = medical_features(["relu1_2", "relu3_3"], file)
    picture = batch().color
    maps = net(picture)
    torch.testing.assert_close(maps["relu3_3"], method.net.features(picture))
    assert maps["relu1_2"].shape == (1, 32, 64, 64)
    assert net.describe()["network"] == "medical"
    assert not any(p.requires_grad for p in net.parameters())
    assert LAYERS[-1] == "relu3_3"
    with pytest.raises(UsageError, match="Its layers"):
        medical_features(["relu5_1"], file)


def test_weights_of_another_net_are_refused(tmp_path: Path) -> None:
    torch.save({"features.0.weight": torch.zeros(3)}, tmp_path / "other.pth")
    with pytest.raises(ModelError, match="isn't a self-trained"):
        medical_features(["relu1_1"], tmp_path / "other.pth")


def test_what_is_hidden_is_hidden_in_cells() -> None:
    method = make("medical-features", hidden=0.5, cell=4)
    hidden = method.hidden_cells(torch.zeros(4, 3, 18, 20))
    assert hidden.shape == (4, 1, 18, 20)
    assert 0.3 < hidden.float().mean() < 0.7
    assert torch.equal(hidden[..., 0:4, 0:4].float().mean((1, 2, 3)), hidden[:, 0, 0, 0].float())
