"""Inception's pool3 against an independent implementation, and the feature spaces built on frozen nets."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from MedColorizeLib.errors import ModelError
from MedColorizeLib.evaluation.frechet import picture_distance
from MedColorizeLib.networks.inception import InceptionPool3, inception_features, resize_like_tensorflow
from MedColorizeLib.networks.picture_features import picture_features, squeezenet_pooled


@pytest.fixture(scope="module")
def seeded() -> InceptionPool3:
    """The network with random weights that anyone can draw again."""
    net = InceptionPool3()
    random = np.random.RandomState(0)  # its numbers are promised never to change
    for name, value in net.state_dict().items():
        if name.endswith("conv.weight"):
            fan = value[0].numel()
            value.copy_(torch.from_numpy(random.standard_normal(tuple(value.shape)) * (2 / fan) ** 0.5))
        elif name.endswith("running_var"):
            value.copy_(torch.from_numpy(random.uniform(0.5, 1.5, tuple(value.shape))))
        elif name.endswith(("running_mean", "bn.bias")):
            value.copy_(torch.from_numpy(random.uniform(-0.1, 0.1, tuple(value.shape))))
    return net


def test_features_are_those_of_torch_fidelity(seeded: InceptionPool3) -> None:
    rows, columns = np.mgrid[0:80, 0:120]
    picture = np.stack([rows * 3, columns * 2, (rows + columns) % 256], -1).astype(np.uint8)
    features = seeded(picture[None])
    assert features.shape == (1, 2048)
    # Computed once with torch-fidelity 0.4.0 and the same weights.
    np.testing.assert_allclose(
        features[0, [1, 700, 1200, 2047]], [0.5786468, 0.004871469, 0.4661558, 4.499086], rtol=1e-3
    )


def test_names_are_the_published_ones(seeded: InceptionPool3) -> None:
    names = set(seeded.state_dict())
    assert {
        "Conv2d_1a_3x3.conv.weight",
        "Mixed_6c.branch7x7dbl_4.bn.running_mean",
        "Mixed_7c.branch3x3dbl_3b.conv.weight",
    } <= names
    assert sum(v.numel() for k, v in seeded.state_dict().items() if k.endswith("conv.weight")) == 21_751_136


def test_weights_are_read_by_family_and_strangers_refused(seeded: InceptionPool3, tmp_path: Path) -> None:
    state = dict(seeded.state_dict())
    torch.save({**state, "fc.weight": torch.zeros(1008, 2048)}, tmp_path / "a.pth")
    assert inception_features(tmp_path / "a.pth").name == "Inception-v3 pool3"
    torch.save({**state, "AuxLogits.conv0.conv.weight": torch.zeros(1)}, tmp_path / "b.pth")
    other = picture_features(tmp_path / "b.pth")
    assert other is not None
    assert other.name == "Inception-v3 pool3, torchvision's weights"
    del state["Mixed_5b.branch1x1.conv.weight"]
    torch.save(state, tmp_path / "c.pth")
    with pytest.raises(ModelError, match="isn't Inception-v3"):
        inception_features(tmp_path / "c.pth")


def test_resize_keeps_the_first_corner_as_tensorflow_did() -> None:
    codes = torch.arange(598, dtype=torch.float32).view(1, 1, 1, 598).expand(1, 1, 598, 598)
    assert torch.equal(resize_like_tensorflow(codes)[0, 0, 5], torch.arange(299) * 2.0)
    same = torch.rand(2, 3, 299, 299)
    assert torch.equal(resize_like_tensorflow(same), same)


def test_squeezenet_tells_tints_apart_and_is_not_called_fid(data: Path) -> None:
    weights = data / "weights" / "squeezenet11_features.mat"
    if not weights.is_file():
        pytest.skip("the SqueezeNet weights are not here")
    space = picture_features(weights)
    assert space is not None
    assert space.name == squeezenet_pooled(weights).name
    random = np.random.default_rng(0)

    def pictures(tint: int) -> list[np.ndarray]:
        base = np.kron(random.integers(60, 150, (8, 8, 8, 3)), np.ones((1, 8, 8, 1)))
        return list(np.clip(base + np.array([tint, 0, -tint]), 0, 255).astype(np.uint8))

    reference = pictures(0)
    values = [picture_distance(pictures(tint), reference, space) for tint in (0, 40, 80)]
    assert [v.value for v in values] == sorted(v.value for v in values)
    assert values[0].dimensions == 512
    assert values[0].name == "Frechet distance (SqueezeNet 1.1, mean of fire9)"
