"""The contract of `methods.base` as the unpaired methods keep it, the options, and the registry."""

from __future__ import annotations

import copy
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from method_phantoms import SMALL, PlainEngine, batch_of, one_thread, small

from MedColorizeLib.bundles.folder import InputFrame
from MedColorizeLib.bundles.write import Facts, write_bundle
from MedColorizeLib.errors import ModelError, UsageError
from MedColorizeLib.methods.base import Batch, Method, middle, without_gradient
from MedColorizeLib.methods.colormedgan import ColorMedGAN, ColorMedGANOptions
from MedColorizeLib.methods.cyclegan import CycleGANOptions
from MedColorizeLib.methods.liang import LiangOptions
from MedColorizeLib.methods.registry import build_inference, describe, load_method, method_names
from MedColorizeLib.methods.segmentation import Segmentation, SegmentationOptions

__all__ = ["one_thread"]


def everything(method: Method) -> dict[str, Any]:
    """What a checkpoint holds."""
    return copy.deepcopy(
        {
            "networks": {name: network.state_dict() for name, network in method.networks().items()},
            "optimizers": {name: optimizer.state_dict() for name, optimizer in method.optimizers().items()},
            "method": method.state(),
        }
    )


def restore(method: Method, state: dict[str, Any]) -> None:
    for name, network in method.networks().items():
        network.load_state_dict(state["networks"][name])
    for name, optimizer in method.optimizers().items():
        optimizer.load_state_dict(state["optimizers"][name])
    method.load_state(state["method"])


@pytest.mark.parametrize("name", SMALL)
def test_a_resumed_run_ends_with_the_same_weights_bit_for_bit(name: str) -> None:
    whole = small(name, pool=1)
    for seed in range(3):
        whole.step(batch_of(height=32, width=32, seed=seed), PlainEngine())
    halfway = everything(whole)
    for seed in range(3, 6):
        whole.step(batch_of(height=32, width=32, seed=seed), PlainEngine())
    resumed = small(name, pool=1, seed=5)
    restore(resumed, halfway)
    for seed in range(3, 6):
        resumed.step(batch_of(height=32, width=32, seed=seed), PlainEngine())
    for key, network in whole.networks().items():
        for one, other in zip(
            network.state_dict().values(), resumed.networks()[key].state_dict().values(), strict=True
        ):
            assert torch.equal(one, other)


@pytest.mark.parametrize("name", SMALL)
def test_the_inference_network_gives_what_generate_gives(name: str) -> None:
    method = small(name)
    method.step(batch_of(), PlainEngine())
    gray = batch_of(n=2, seed=3).gray
    network = method.inference_network()
    torch.testing.assert_close(network(gray), method.generate(gray), atol=1e-5, rtol=0)
    assert not any(p.requires_grad for p in network.parameters())
    again = build_inference(json.loads(json.dumps(method.inference_config())))
    again.load_state_dict(network.state_dict())
    assert torch.equal(again(gray), network(gray))


@pytest.mark.parametrize("name", SMALL)
def test_the_inference_network_can_be_sized_without_memory(name: str) -> None:
    """Bundles build it on the meta device first, to refuse metadata that would exhaust memory."""
    method = small(name)
    with torch.device("meta"):
        network = build_inference(method.inference_config())
    sizes = {key: value.shape for key, value in method.inference_network().state_dict().items()}
    assert {key: value.shape for key, value in network.state_dict().items()} == sizes


@pytest.mark.parametrize("name", SMALL)
def test_making_the_inference_network_leaves_training_as_it_was(name: str) -> None:
    one, other = small(name), small(name)
    one.inference_network()
    one.generate(batch_of().gray)
    assert all(network.training for network in one.networks().values())
    for method in (one, other):
        method.step(batch_of(), PlainEngine())
    for a, b in zip(one.networks()["G"].parameters(), other.networks()["G"].parameters(), strict=True):
        assert torch.equal(a, b)


def test_generate_keeps_the_slices_of_a_batch_apart() -> None:
    method = small("colormedgan")
    gray = batch_of(n=3).gray
    together = method.generate(gray)
    for n in range(3):
        torch.testing.assert_close(method.generate(gray[n : n + 1]), together[n : n + 1], atol=1e-5, rtol=0)


def test_accumulating_changes_no_weight() -> None:
    method = small("cyclegan")
    before = copy.deepcopy(method.networks()["G"].state_dict())
    method.step(batch_of(), PlainEngine(frozen=True))
    assert all(torch.equal(before[key], value) for key, value in method.networks()["G"].state_dict().items())
    assert any(p.grad is not None for p in method.networks()["G"].parameters())


def test_notes_say_which_features_and_which_segmentation() -> None:
    notes = " ".join(small("colormedgan").notes())
    assert "vgg16" in notes
    assert "relu3_3" in notes
    assert "random" in notes
    assert small("cyclegan").notes() == []


class TestSegmentationWeights:
    """What `medcolorize export` makes of a segmentation run is what fusion reads."""

    @staticmethod
    def export(folder: Path, slices: int = 1, **options: Any) -> Segmentation:
        torch.manual_seed(3)
        method = Segmentation(SegmentationOptions(**{"widths": (4, 8, 16), **options}), slices=slices)
        frame = InputFrame("axial", slices, 64, method.divisor, 1.0, True)
        facts = Facts("s", "S", method.name, method.paper, method.kind, method.inference_config(), frame, {})
        write_bundle(folder, method.inference_network(), facts)
        return method

    @pytest.mark.parametrize("network", ["unet", "BasicUNet"])
    def test_an_exported_network_is_used(self, tmp_path: Path, network: str) -> None:
        widths = (4, 8, 16) if network == "unet" else (4, 8, 16, 32, 64)
        trained = self.export(tmp_path / "s", network=network, widths=widths)
        method = small("colormedgan", segmentation_weights=str(tmp_path / "s"), fusion="concat")
        assert isinstance(method, ColorMedGAN)
        gray = batch_of().gray
        expected = trained.s.eval().features(gray)
        for one, other in zip(method.semantics(gray), expected, strict=True):
            torch.testing.assert_close(one, other, atol=1e-4, rtol=1e-3)
        network_as_built = method.inference_network()
        torch.testing.assert_close(network_as_built(gray), method.generate(gray), atol=1e-5, rtol=0)
        again = build_inference(json.loads(json.dumps(method.inference_config())))
        again.load_state_dict(network_as_built.state_dict())
        assert torch.equal(again(gray), network_as_built(gray))
        assert "s, SHA-256" in " ".join(method.notes())

    def test_none_given(self) -> None:
        with pytest.raises(ModelError, match="fusion = 'none'"):
            small("colormedgan", segmentation_weights="")

    def test_no_such_folder(self, tmp_path: Path) -> None:
        with pytest.raises(ModelError, match=r"metadata.json can't be read"):
            small("colormedgan", segmentation_weights=str(tmp_path / "nowhere"))

    def test_altered_weights(self, tmp_path: Path) -> None:
        self.export(tmp_path / "s")
        with (tmp_path / "s" / "model.safetensors").open("r+b") as file:
            file.seek(-1, 2)
            file.write(b"x")
        with pytest.raises(ModelError, match="isn't the file"):
            small("colormedgan", segmentation_weights=str(tmp_path / "s"))

    def test_other_kinds_of_models(self, tmp_path: Path) -> None:
        self.export(tmp_path / "s", slices=3)
        with pytest.raises(ModelError, match="single slices"):
            small("colormedgan", segmentation_weights=str(tmp_path / "s"))
        (tmp_path / "s" / "metadata.json").write_text("{}")
        with pytest.raises(ModelError, match="doesn't describe"):
            small("colormedgan", segmentation_weights=str(tmp_path / "s"))

    def test_a_network_without_maps_at_half_size(self, tmp_path: Path) -> None:
        self.export(tmp_path / "s", network="HighResNet")
        with pytest.raises(ModelError, match="half size"):
            small("colormedgan", segmentation_weights=str(tmp_path / "s"), fusion="concat")


def test_self_trained_features_need_their_file() -> None:
    with pytest.raises(ModelError, match="medical-features"):
        small("liang", features="medical", features_weights="")
    assert "medical" in " ".join(small("liang", features="medical", features_layer="relu2_2").notes())


class TestOptions:
    def test_unknown_option_names_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="Did you mean 'fusion'"):
            ColorMedGANOptions.from_mapping({"fusoin": "none"})

    @pytest.mark.parametrize(
        ("values", "text"),
        [
            ({"fusion": "sum"}, "'sigmoid', 'concat', 'none'"),
            ({"width": 0}, "width"),
            ({"width": 2.5}, "int"),
            ({"width": True}, "int"),
            ({"learning_rate": 0.0}, "greater than 0"),
            ({"alpha": -1.0}, "alpha"),
            ({"alpha": float("nan")}, "alpha"),
            ({"beta1": 1.5}, "beta1"),
            ({"edge_kernel": 6}, "4, 8"),
            ({"modal_raw": 1}, "bool"),
            ({"features_layer": 3}, "str"),
        ],
    )
    def test_wrong_values_are_refused_by_name(self, values: dict[str, Any], text: str) -> None:
        with pytest.raises(UsageError, match=text):
            ColorMedGANOptions.from_mapping(values)

    def test_whole_numbers_serve_as_floats(self) -> None:
        alpha = ColorMedGANOptions.from_mapping({"alpha": 3}).alpha
        assert alpha == 3
        assert isinstance(alpha, float)

    @pytest.mark.parametrize("options", [CycleGANOptions(), LiangOptions(tv=0.5), ColorMedGANOptions(fusion="concat")])
    def test_to_and_from_plain_data(self, options: Any) -> None:
        assert type(options).from_mapping(json.loads(json.dumps(options.to_mapping()))) == options

    def test_colorcyclegan_has_none_of_what_colormedgan_added(self) -> None:
        for values in ({"fusion": "sigmoid"}, {"modal": "2"}, {"theta": 10.0}):
            with pytest.raises(UsageError):
                load_method("colorcyclegan").Options.from_mapping(values)

    def test_every_option_has_a_line_of_help(self) -> None:
        for name in SMALL:
            for field in load_method(name).Options.__dataclass_fields__.values():
                assert len(field.metadata["help"]) > 5


class TestRegistry:
    def test_listing_and_describing_import_no_torch(self) -> None:
        code = (
            "import sys; from MedColorizeLib.methods.registry import method_names, describe; "
            "[describe(n) for n in method_names()]; assert not {'torch', 'monai'} & set(sys.modules)"
        )
        subprocess.run([sys.executable, "-c", code], check=True)

    def test_unknown_name_gets_the_nearest(self) -> None:
        with pytest.raises(UsageError, match="Did you mean 'colormedgan'"):
            describe("ColorMedGun")

    @pytest.mark.parametrize("name", SMALL)
    def test_entries_agree_with_their_classes(self, name: str) -> None:
        method, entry = load_method(name), describe(name)
        assert (method.name, method.title, method.paired, method.kind) == (name, entry.title, entry.paired, entry.kind)

    def test_kinds(self) -> None:
        assert method_names("segmentation")[0] == "segmentation"
        assert [*method_names("color"), *method_names("segmentation")] == method_names()


def test_even_numbers_of_slices_have_no_middle() -> None:
    with pytest.raises(UsageError, match="odd"):
        small("cyclegan", slices=2, generator_input="gray")


def test_middle_of_five() -> None:
    slices = torch.arange(5.0).view(1, 5, 1, 1)
    assert middle(slices).item() == 2


def test_without_gradient_gives_back_what_it_held() -> None:
    layer, frozen = torch.nn.Linear(1, 1), torch.nn.Linear(1, 1).requires_grad_(False)
    with without_gradient(layer, frozen):
        assert not any(p.requires_grad for p in layer.parameters())
    assert all(p.requires_grad for p in layer.parameters())
    assert not any(p.requires_grad for p in frozen.parameters())


def test_batches_move_whole() -> None:
    batch = batch_of()
    moved = Batch(batch.gray, batch.color, batch.color_gray, labels=torch.zeros(1, 64, 64).long()).to("meta")
    assert moved.gray.device.type == moved.labels.device.type == "meta"  # type: ignore[union-attr]
    assert moved.mask is None
