"""The frozen feature nets: torchvision's names and sizes, published weights against hand-run convolutions, consent."""

from __future__ import annotations

import hashlib
import threading
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from scipy.signal import correlate2d

from MedColorizeLib.errors import Cancelled, ModelError, UsageError
from MedColorizeLib.networks.feature_weights import KnownWeights, find_weights, read_tensors
from MedColorizeLib.networks.squeezenet import SqueezeNetFeatures, squeezenet_features
from MedColorizeLib.networks.vgg import VGG, VggFeatures, feature_stack, layer_names, vgg_features
from MedColorizeLib.progress import CancelToken


def parameters(module: torch.nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


@pytest.fixture(scope="module")
def npz(data: Path) -> Path:
    return data / "weights" / "vgg19_conv1_1_to_conv3_4.npz"


def picture(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3)).astype(np.float64)


def as_signed(codes: np.ndarray) -> torch.Tensor:
    return torch.from_numpy(codes / 127.5 - 1).float().permute(2, 0, 1)[None]


def test_sizes_are_torchvisions() -> None:
    with torch.device("meta"):
        assert parameters(feature_stack("vgg16")) == 14_714_688
        assert parameters(feature_stack("vgg19")) == 20_024_384
        assert parameters(VGG("vgg16")) == 138_357_544
        assert parameters(VGG("vgg19")) == 143_667_240
        assert parameters(SqueezeNetFeatures(["fire9"]).features) == 722_496


@pytest.mark.parametrize(("name", "layer", "index"), [("vgg16", "relu3_3", 15), ("vgg16", "conv4_3", 21),
                         ("vgg19", "relu3_1", 11), ("vgg19", "conv4_2", 21), ("vgg19", "relu5_1", 29)])  # fmt: skip
def test_layer_positions_are_torchvisions(name: str, layer: str, index: int) -> None:
    assert layer_names(name)[index] == layer


def test_only_what_is_needed_is_built_and_the_names_fit_the_published_files() -> None:
    stack = feature_stack("vgg16", "relu2_2")
    assert len(stack) == 9
    assert set(stack.state_dict()) == {f"{index}.{part}" for index in (0, 2, 5, 7) for part in ("weight", "bias")}


def test_squeezenets_names_fit_torchvisions_file() -> None:
    names = set(SqueezeNetFeatures(["fire9"]).features.state_dict())
    assert {"0.weight", "3.squeeze.weight", "4.expand1x1.bias", "6.expand3x3.weight", "12.squeeze.bias"} <= names
    assert {name.split(".")[0] for name in names} == {"0", "3", "4", "6", "7", "9", "10", "11", "12"}


def test_maps_of_published_weights_equal_convolutions_run_by_hand(npz: Path) -> None:
    """The BGR, 0..255, mean-subtracted definition in float64 with scipy, against the net fed [-1, 1] RGB."""
    arrays = np.load(npz)
    codes = picture(10, 12)
    value = (codes[..., ::-1] - np.array([103.939, 116.779, 123.68])).transpose(2, 0, 1)

    def convolve(value: np.ndarray, layer: str) -> np.ndarray:
        weight, bias = arrays[f"{layer}_w"].astype(np.float64), arrays[f"{layer}_b"]
        padded = np.pad(value, ((0, 0), (1, 1), (1, 1)))
        return np.stack(
            [sum(correlate2d(padded[c], kernel[c], "valid") for c in range(len(value))) for kernel in weight]
        ) + bias[:, None, None]  # fmt: skip

    conv1_1 = convolve(value, "conv1_1")
    conv1_2 = convolve(np.maximum(conv1_1, 0), "conv1_2")
    net = vgg_features("vgg19", ["conv1_2", "conv1_1", "relu1_1", "relu1_2", "pool1"], npz, units="codes")
    maps = net(as_signed(codes))
    assert list(maps) == ["conv1_2", "conv1_1", "relu1_1", "relu1_2", "pool1"]
    for layer, expected in (("conv1_1", conv1_1), ("relu1_1", np.maximum(conv1_1, 0)), ("conv1_2", conv1_2)):
        np.testing.assert_allclose(maps[layer][0].numpy(), expected, atol=1e-4 * np.abs(expected).max())
    pooled = np.maximum(conv1_2, 0).reshape(64, 5, 2, 6, 2).max((2, 4))
    np.testing.assert_allclose(maps["pool1"][0].numpy(), pooled, atol=0.05)


def test_units_and_ranges_mean_the_same_picture(npz: Path) -> None:
    codes = picture(16, 16)
    signed = vgg_features("vgg19", ["relu3_4"], npz)(as_signed(codes))["relu3_4"]
    unit = vgg_features("vgg19", ["relu3_4"], npz, input_range="unit")(as_signed(codes) / 2 + 0.5)["relu3_4"]
    large = vgg_features("vgg19", ["relu3_4"], npz, input_range="codes", units="codes")
    in_codes = large(torch.from_numpy(codes).float().permute(2, 0, 1)[None])["relu3_4"]
    torch.testing.assert_close(signed, unit, rtol=1e-4, atol=1e-4)
    torch.testing.assert_close(signed * 255 * 0.225, in_codes, rtol=1e-4, atol=1e-2)


def test_gray_is_repeated_and_the_gradient_reaches_the_image_only(npz: Path) -> None:
    net = vgg_features("vgg19", ["relu2_2"], npz)
    gray = torch.rand(1, 1, 16, 16, requires_grad=True)
    torch.testing.assert_close(net(gray)["relu2_2"], net(gray.expand(1, 3, 16, 16))["relu2_2"])
    net(gray)["relu2_2"].mean().backward()
    assert gray.grad is not None
    assert gray.grad.abs().sum() > 0
    assert all(parameter.grad is None and not parameter.requires_grad for parameter in net.parameters())
    assert not net.train().training


def test_what_ran_is_reported(npz: Path) -> None:
    about = vgg_features("vgg19", ["relu2_2"], npz).describe()
    assert about["network"] == "vgg19"
    assert about["origin"] == "given by path"
    assert about["convention"] == "caffe"
    assert about["sha256"] == hashlib.sha256(npz.read_bytes()).hexdigest()
    assert str(npz.parent) not in str(about)


def test_deeper_than_the_file_is_refused(npz: Path) -> None:
    with pytest.raises(ModelError, match="no weights for conv4_1 of vgg19"):
        vgg_features("vgg19", ["conv4_2"], npz)


def test_wrong_requests_say_what_is_right(npz: Path) -> None:
    with pytest.raises(UsageError, match="Its layers: conv1_1"):
        vgg_features("vgg19", ["relu9_1"], npz)
    with pytest.raises(UsageError, match="at least 4 pixels"):
        vgg_features("vgg19", ["relu3_1"], npz)(torch.zeros(1, 3, 3, 16))
    with pytest.raises(UsageError, match="images"):
        vgg_features("vgg19", ["relu1_1"], npz)(torch.zeros(1, 2, 16, 16))


@pytest.mark.parametrize("suffix", [".pth", ".safetensors"])
def test_a_file_with_torchvisions_names_gives_the_same_maps(tmp_path: Path, suffix: str) -> None:
    torch.manual_seed(0)
    whole = feature_stack("vgg16")
    tensors = {f"features.{key}": value for key, value in whole.state_dict().items()}
    file = tmp_path / f"weights{suffix}"
    if suffix == ".pth":
        torch.save(tensors, file)
    else:
        from safetensors.torch import save_file

        save_file(tensors, file)
    image = torch.rand(1, 3, 32, 32)
    mean, std = torch.tensor([0.485, 0.456, 0.406]), torch.tensor([0.229, 0.224, 0.225])
    net = vgg_features("vgg16", ["relu3_3"], file, input_range="unit")
    expected = whole[:16](((image.permute(0, 2, 3, 1) - mean) / std).permute(0, 3, 1, 2))
    torch.testing.assert_close(net(image)["relu3_3"], expected, rtol=1e-4, atol=1e-5)
    raw = vgg_features("vgg16", ["relu3_3"], file, normalise=False)
    torch.testing.assert_close(raw(image)["relu3_3"], whole[:16](image), rtol=1e-4, atol=1e-5)


def test_a_pickle_that_would_run_code_is_not_loaded(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> tuple:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"features.0.weight": Trap()}, tmp_path / "trap.pth")
    with pytest.raises(ModelError, match="wasn't loaded"):
        read_tensors(tmp_path / "trap.pth")
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize("suffix", [".pth", ".safetensors", ".npz", ".mat", ".bin"])
def test_rubbish_is_refused_by_name(tmp_path: Path, suffix: str) -> None:
    file = tmp_path / f"rubbish{suffix}"
    file.write_bytes(b"this is no weight file at all" * 40)
    with pytest.raises(ModelError, match="rubbish"):
        read_tensors(file)


def test_squeezenet_first_layers_equal_convolutions_run_by_hand(data: Path) -> None:
    from scipy.io import loadmat

    file = data / "weights" / "squeezenet11_features.mat"
    cells = loadmat(file)
    codes = picture(21, 23)
    value = (codes[..., ::-1] - np.array([103.939, 116.779, 123.68])).transpose(2, 0, 1)

    def convolve(value: np.ndarray, name: str, stride: int = 1, pad: int = 0) -> np.ndarray:
        weight, bias = cells[name][0]
        padded = np.pad(value, ((0, 0), (pad, pad), (pad, pad)))
        kernels = weight.astype(np.float64).transpose(3, 2, 0, 1)
        result = np.stack([sum(correlate2d(padded[c], k[c], "valid") for c in range(len(value))) for k in kernels])
        return np.maximum(result + bias.reshape(-1, 1, 1), 0)[:, ::stride, ::stride]

    relu1 = convolve(value, "conv1", stride=2)
    pool1 = np.empty((64, 5, 5))
    for row in range(5):
        for column in range(5):
            pool1[:, row, column] = relu1[:, 2 * row : 2 * row + 3, 2 * column : 2 * column + 3].max((1, 2))
    squeezed = convolve(pool1, "fire2/squeeze1x1")
    fire2 = np.concatenate([convolve(squeezed, "fire2/expand1x1"), convolve(squeezed, "fire2/expand3x3", pad=1)])
    maps = squeezenet_features(["relu1", "pool1", "fire2", "fire9"], file, units="codes")(as_signed(codes))
    np.testing.assert_allclose(maps["relu1"][0].numpy(), relu1, atol=1e-3 * relu1.max())
    np.testing.assert_allclose(maps["fire2"][0].numpy(), fire2, atol=1e-3 * fire2.max())
    assert maps["fire9"].shape[1] == 512


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *args: object) -> None:
        pass


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    """A real server with one published file, and an empty torch cache."""
    folder = tmp_path / "published"
    folder.mkdir()
    (folder / "net-0badc0de.pth").write_bytes(bytes(3_000_000))
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "cache"))
    server = ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(folder)))
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    digest = hashlib.sha256(bytes(3_000_000)).hexdigest()
    yield f"http://127.0.0.1:{server.server_port}", KnownWeights("net-0badc0de.pth", digest[:8]), digest
    server.shutdown()
    server.server_close()


def test_weights_are_fetched_only_with_consent_and_kept(server, tmp_path: Path) -> None:
    root, known, digest = server
    with pytest.raises(ModelError, match=r"aren't on this computer.*allow fetching"):
        find_weights("net", known=known, root=root)
    assert not (tmp_path / "cache").exists()
    told = []
    found = find_weights("net", known=known, root=root, download=True, on_progress=told.append)
    assert (found.origin, found.sha256) == ("downloaded", digest)
    assert told[-1].done == told[-1].total == 3_000_000
    assert find_weights("net", known=known, root="http://127.0.0.1:9").origin == "torch hub cache"


def test_a_recipe_can_consent_to_the_download(server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """`features_weights`: empty asks nobody, `download` fetches; what comes is looked at before it is used."""
    from MedColorizeLib.methods.frozen_features import feature_network
    from MedColorizeLib.networks import feature_weights

    root, known, _ = server
    monkeypatch.setitem(feature_weights.KNOWN, "vgg16", known)
    monkeypatch.setitem(find_weights.__kwdefaults__, "root", root)
    with pytest.raises(ModelError, match=r"aren't on this computer.*features_weights = 'download'"):
        feature_network("vgg16", "relu1_2", "")
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ModelError):  # three million zeros are no weights
        feature_network("vgg16", "relu1_2", "download")
    assert (tmp_path / "cache" / "hub" / "checkpoints" / known.file).stat().st_size == 3_000_000
    with pytest.raises(ModelError, match="medical-features"):
        feature_network("medical", "relu1_2", "download")


@pytest.mark.parametrize("method", ["zeng", "dpst"])
def test_a_transfer_fetches_only_with_consent(
    method: str, server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from MedColorizeLib.exemplar.registry import load_transfer
    from MedColorizeLib.networks import feature_weights

    root, known, _ = server
    monkeypatch.setitem(feature_weights.KNOWN, "vgg19", known)
    monkeypatch.setitem(find_weights.__kwdefaults__, "root", root)
    picture = np.random.default_rng(0).integers(0, 256, (40, 40, 3)).astype(np.uint8)
    kind = load_transfer(method)
    consenting = kind(kind.Options.from_mapping({"weights_file": "download"}))
    with pytest.raises(ModelError, match="weights_file=download"):
        kind().transfer(picture[..., 0], picture)
    assert not (tmp_path / "cache").exists()
    with pytest.raises(ModelError):  # three million zeros are no weights
        consenting.transfer(picture[..., 0], picture)
    assert (tmp_path / "cache" / "hub" / "checkpoints" / known.file).stat().st_size == 3_000_000


def test_a_download_with_another_hash_is_thrown_away(server, tmp_path: Path) -> None:
    root, known, _ = server
    with pytest.raises(ModelError, match="differs"):
        find_weights("net", known=KnownWeights(known.file, "ffffffff"), root=root, download=True)
    with pytest.raises(ModelError, match="can't be fetched"):
        find_weights("net", known=KnownWeights("other.pth", "ffffffff"), root=root, download=True)
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_cancelled_download_leaves_nothing(server, tmp_path: Path) -> None:
    root, known, _ = server
    cancel = CancelToken()
    with pytest.raises(Cancelled):
        find_weights(
            "net", known=known, root=root, download=True, cancel=cancel, on_progress=lambda progress: cancel.cancel()
        )
    assert [path for path in (tmp_path / "cache").rglob("*") if path.is_file()] == []


def test_a_damaged_cached_file_is_refused(server, tmp_path: Path) -> None:
    _, known, _ = server
    file = tmp_path / "cache" / "hub" / "checkpoints" / known.file
    file.parent.mkdir(parents=True)
    file.write_bytes(b"short")
    with pytest.raises(ModelError, match="damaged"):
        find_weights("net", known=known)


def test_an_untrained_net_says_so() -> None:
    assert "untrained" in VggFeatures("vgg16", ["relu1_1"]).describe()["origin"]
