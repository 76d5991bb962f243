"""The comparators that optimise a picture: their energies by hand, and all eight transfers on real slices."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

torch = pytest.importorskip("torch")

from MedColorizeLib.errors import Cancelled, ModelError, UsageError  # noqa: E402
from MedColorizeLib.exemplar.registry import load_transfer, transfer_names  # noqa: E402
from MedColorizeLib.exemplar.transfers import adpst, deep, dpst, mrf_cnn  # noqa: E402
from MedColorizeLib.exemplar.transfers.matting import matting_laplacian  # noqa: E402
from MedColorizeLib.exemplar.zeng_objective import picture_array, picture_tensor  # noqa: E402
from MedColorizeLib.imaging.colorspaces import luma, luma_codes  # noqa: E402
from MedColorizeLib.networks.vgg import VggFeatures  # noqa: E402
from MedColorizeLib.progress import CancelToken, Progress  # noqa: E402

DEEP = ("mrf-cnn", "dpst", "adpst")


@pytest.fixture(scope="module")
def gray() -> NDArray[np.uint8]:
    y, x = np.mgrid[:40, :48]
    plane = 20 + 120 * ((y - 20) ** 2 + (x - 24) ** 2 < 200) + 60 * ((y - 20) ** 2 + (x - 30) ** 2 < 40)
    return np.clip(plane + np.random.default_rng(0).normal(0, 3, plane.shape), 0, 255).astype(np.uint8)


@pytest.fixture(scope="module")
def reference(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    return np.stack([gray, gray // 2, gray // 3], axis=-1)[::-1]


def net(*layers: str) -> VggFeatures:
    torch.manual_seed(0)
    return VggFeatures("vgg19", layers, input_range="codes", units="codes", convention="caffe")


def made(name: str, **options: object) -> deep.DeepTransfer:
    kind = load_transfer(name)
    torch.manual_seed(0)
    short = {"start_iterations": 2} if name == "dpst" else {}
    transfer = kind(kind.Options.from_mapping({"weights_file": "random", "size": 48, **short, **options}))
    assert isinstance(transfer, deep.DeepTransfer)
    return transfer


# Patches


def test_patches_are_cut_row_by_row() -> None:
    maps = torch.arange(2 * 4 * 5, dtype=torch.float32).view(1, 2, 4, 5)
    cut = mrf_cnn.patches(maps)
    assert cut.shape == (2 * 3, 18)
    assert torch.equal(cut[4].view(2, 3, 3), maps[0, :, 1:4, 1:4])


def test_a_patch_is_matched_by_direction_not_by_size() -> None:
    theirs = torch.tensor([[1.0, 0.0], [0.0, 9.0], [3.0, 3.0]])
    own = torch.tensor([[5.0, 0.1], [0.1, 0.2], [2.0, 2.1], [0.0, 1.0]])
    assert mrf_cnn.best_matches(own, theirs).tolist() == [0, 2, 2, 1]


def test_every_patch_of_a_picture_finds_itself_and_costs_nothing(reference: NDArray[np.uint8]) -> None:
    features = net("relu1_2", "relu2_1")
    gray = luma_codes(reference)
    objective = mrf_cnn.PatchObjective(features, "relu1_2", ("relu2_1",), gray, reference)
    same = picture_tensor(reference)
    objective.match(same)
    assert float(objective(same, 0.0, 0.0)) == pytest.approx(0, abs=1e-9)
    assert float(objective(same + 20, 0.0, 0.0)) > 0
    # The content energy alone is that of the slice's features.
    assert float(objective(picture_tensor(np.repeat(gray[..., None], 3, axis=2)), 1.0, 0.0)) > 0


# Photo style


def test_matting_term_is_the_quadratic_form_and_its_gradient(gray: NDArray[np.uint8], reference: NDArray) -> None:
    objective = dpst.PhotoObjective(net("relu1_1", "relu2_1"), "relu2_1", ("relu1_1",), gray, reference, 3)
    colors = np.random.default_rng(1).random((*gray.shape, 3)) * 255
    picture = picture_tensor(colors).requires_grad_(True)
    value = objective.matting_term(picture)
    matrix = matting_laplacian(gray / 255)
    flat = colors.reshape(-1, 3).astype(np.float32).astype(np.float64) / 255
    assert float(value.detach()) == pytest.approx(float(np.sum(flat * (matrix @ flat))), rel=1e-5)
    (gradient,) = torch.autograd.grad(value, picture)
    expected = 2 * (matrix @ flat).reshape(*gray.shape, 3) / 255
    assert np.allclose(picture_array(gradient), expected, rtol=1e-3, atol=1e-6)
    # A tinted slice is an affine function of the slice: free.
    tinted = picture_tensor(gray[..., None] * np.array([1.0, 0.8, 0.5]))
    assert float(objective.matting_term(tinted)) < 1e-3 * float(value.detach())


def test_style_term_is_zero_for_the_reference_and_sees_each_class_apart(reference: NDArray[np.uint8]) -> None:
    features = net("relu1_1", "relu2_1")
    own = luma_codes(reference)
    objective = dpst.PhotoObjective(features, "relu2_1", ("relu1_1", "relu2_1"), own, reference, 3)
    same = objective.style_term(objective.maps(picture_tensor(reference)))
    assert float(same) == pytest.approx(0, abs=1e-8)
    swapped = reference.copy()
    swapped[own > 100] = swapped[own > 100][:, ::-1]  # only the bright class changes its colour
    assert float(objective.style_term(objective.maps(picture_tensor(swapped)))) > 1e-4


def test_automated_style_is_its_published_formula(gray: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
    """|G[O] - G[S]|^2 / (2 N^2 D^2), a mean over N x N, with Gram matrices not divided by the class's pixels."""
    features = net("relu1_1")
    objective = dpst.PhotoObjective(features, "relu1_1", ("relu1_1",), gray, reference, 1, shares="whole")
    picture = picture_tensor(np.repeat(gray[..., None], 3, axis=2))
    own, theirs = (features(each)["relu1_1"][0].flatten(1) for each in (picture, picture_tensor(reference)))
    apart = (own @ own.T - theirs @ theirs.T).square().mean() / (2 * own.shape[0] ** 2 * own.shape[1] ** 2)
    assert float(objective.style_term(objective.maps(picture))) == pytest.approx(float(apart), rel=1e-4)


def test_published_start_is_the_mean_colour() -> None:
    start = dpst.noise_like(np.zeros((20, 30), np.uint8), 3)
    assert start.shape == (1, 3, 20, 30)
    assert np.allclose(start.mean(dim=(0, 2, 3)), (123.68, 116.779, 103.939), atol=1e-3)
    assert 0 < float(start.std(dim=(2, 3)).max()) < 2e-4


# The optimiser and the sizes


def test_minimiser_finds_a_minimum_in_the_iterations_given() -> None:
    goal = torch.rand(1, 3, 6, 7, generator=torch.Generator().manual_seed(0)) * 255
    weights = torch.linspace(0.5, 3, 7)
    events: list[Progress] = []

    def bowl(picture: torch.Tensor) -> torch.Tensor:
        return ((picture - goal).square() * weights).sum()

    found = deep.minimised(bowl, torch.zeros_like(goal), 30, "bowl", events.append)
    assert torch.allclose(found, goal, atol=0.05)
    assert events[-1].done <= 30
    few = deep.minimised(bowl, torch.zeros_like(goal), 1, "bowl")
    assert 0 < float(bowl(few)) < float(bowl(torch.zeros_like(goal)))


def test_sizes_keep_proportions() -> None:
    plane = np.zeros((300, 100), np.uint8)
    assert deep.limited(plane, 150).shape == (150, 50)
    assert deep.limited(plane, 400) is plane
    small = np.random.default_rng(2).random((10, 20, 3)).astype(np.float32)
    assert deep.enlarged(small, (10, 20)) is small
    assert deep.enlarged(small, (25, 50)).shape == (25, 50, 3)


def test_classes_of_both_pictures_are_darkest_first(gray: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
    own, theirs, count = deep.class_maps(gray, reference, 3)
    assert count == 3
    for labels, plane in ((own, gray), (theirs, luma_codes(reference))):
        means = [plane[labels == value].mean() for value in range(3)]
        assert means == sorted(means)
    assert deep.class_maps(np.full((9, 9), 7, np.uint8), reference, 3)[2] == 3


@pytest.mark.parametrize("name", DEEP)
def test_they_are_repeatable_and_bring_the_size_back(
    name: str, gray: NDArray[np.uint8], reference: NDArray[np.uint8]
) -> None:
    events: list[Progress] = []
    options = {"iterations": 3, "content": "relu2_2", "style": ["relu1_1", "relu2_1"], "size": 32}
    first = made(name, **options).transfer(gray, reference, on_progress=events.append)
    assert first.shape == (*gray.shape, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 255
    assert events
    assert np.array_equal(first, made(name, **options).transfer(gray, reference))


@pytest.mark.parametrize("name", DEEP)
def test_they_can_be_cancelled_on_the_way(name: str, gray: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
    token = CancelToken()

    def stop(event: Progress) -> None:
        if event.done == 2:
            token.cancel()

    options = {"iterations": 500, "content": "relu1_2", "style": ["relu1_1"]}
    with pytest.raises(Cancelled):
        made(name, **options).transfer(gray, reference, cancel=token, on_progress=stop)


def test_weights_that_end_early_are_said_aloud(data: Path, gray: NDArray[np.uint8], reference: NDArray) -> None:
    weights = str(data / "weights" / "vgg19_conv1_1_to_conv3_4.npz")
    for name in DEEP:
        transfer = made(name, weights_file=weights, iterations=1)
        assert transfer.notes() == ()
        transfer.transfer(gray, reference)
        said = " ".join(transfer.notes())
        assert "relu3_4, not relu4_2" in said
        assert "relu4_1" in said
        assert ("PSPNet" in said) == (name == "adpst")
    with pytest.raises(ModelError, match="before every layer"):
        made("dpst", weights_file=weights).features(["relu5_1"])


def test_unknown_options_and_layers_are_refused(gray: NDArray[np.uint8], reference: NDArray[np.uint8]) -> None:
    with pytest.raises(UsageError, match="Did you mean"):
        adpst.AutomatedDeepPhotoStyleOptions.from_mapping({"iteration": 3})
    with pytest.raises(UsageError, match="no layer"):
        made("dpst", style=["relu9_1"]).transfer(gray, reference)


# All eight, on real slices


@pytest.mark.parametrize("kind", ["ct", "mr"])
def test_all_eight_colour_a_real_slice(kind: str, data: Path) -> None:
    from MedColorizeLib.exemplar.pictures import fitted, read_picture
    from MedColorizeLib.imaging.read import read_volume
    from MedColorizeLib.imaging.windows import choose_window, codes

    path, frame = {"ct": ("ct/thorax_1p4mm.nii.gz", 420), "mr": ("mr/oasis/1017_t1.nii.gz", 100)}[kind]
    volume = read_volume(data / path)
    plane = codes(volume.array[len(volume.array) // 2], choose_window(volume))
    gray = fitted(np.ascontiguousarray(plane), (48, 48))
    reference = fitted(read_picture(data / f"cryosections/vhm/{frame:04d}.jpg", "cryosection", 320), (48, 56))
    weights = str(data / "weights" / "vgg19_conv1_1_to_conv3_4.npz")
    for name in transfer_names():
        options = load_transfer(name).Options
        known = {"weights_file": weights, "size": 48, "iterations": 4, "start": "slice", "start_iterations": 2}
        fitting = {key: value for key, value in known.items() if key in options.__dataclass_fields__}
        # EM's iterations are no optimisation of the picture.
        chosen = options.from_mapping({} if name == "ictede" else fitting)
        found = load_transfer(name)(chosen).transfer(gray, reference)
        assert found.shape == (48, 48, 3), name
        assert np.isfinite(found).all(), name
        assert np.corrcoef(luma(found).ravel(), gray.ravel())[0, 1] > 0.8, name
        inside = gray > 60
        chroma = np.ptp(found[inside], axis=1).mean()
        assert chroma > (0.3 if name in DEEP else 5), (name, chroma)  # four iterations only begin to colour
