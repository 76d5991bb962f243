"""The classical transfers of Zeng's Table 3: what each paper promises, on cases whose answer is known."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from MedColorizeLib.errors import Cancelled, InputError, UsageError
from MedColorizeLib.exemplar.registry import load_transfer
from MedColorizeLib.exemplar.transfers import cpami, ctccs, ictede, welsh
from MedColorizeLib.exemplar.transfers.matting import matting_laplacian
from MedColorizeLib.imaging.colorspaces import luma
from MedColorizeLib.progress import CancelToken

CLASSICAL = ("welsh", "ctccs", "ictede", "cpami")


def ramp() -> NDArray[np.uint8]:
    """Every code, as a smooth picture."""
    return np.tile(np.arange(256, dtype=np.uint8), (32, 1))


def warm(gray: NDArray[np.uint8]) -> NDArray[np.uint8]:
    """A picture whose colour is a function of its brightness: from black through red-brown to cream."""
    value = gray.astype(np.float64) / 255
    return np.rint(255 * np.stack([value**0.7, value, value**1.6], axis=-1)).astype(np.uint8)


@pytest.fixture(scope="module")
def tissue() -> NDArray[np.uint8]:
    """A slice with a dark surround, two organs and noise."""
    y, x = np.mgrid[:48, :56]
    plane = np.where((y - 24) ** 2 + (x - 28) ** 2 < 400, 90.0, 4.0)
    plane[(y - 20) ** 2 + (x - 34) ** 2 < 60] = 190
    noisy = plane + np.random.default_rng(0).normal(0, 4, plane.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


@pytest.mark.parametrize("name", CLASSICAL)
def test_every_transfer_gives_a_picture_of_the_slice_and_is_repeatable(name: str, tissue: NDArray[np.uint8]) -> None:
    reference = warm(tissue[::-1, :40])
    events: list[str] = []
    made = load_transfer(name)()
    first = made.transfer(tissue, reference, on_progress=lambda event: events.append(event.stage))
    assert first.shape == (*tissue.shape, 3)
    assert first.dtype == np.float32
    assert first.min() >= 0
    assert first.max() <= 255
    assert np.array_equal(first, load_transfer(name)().transfer(tissue, reference))
    assert np.ptp(first, axis=2).max() > 20  # it is coloured
    assert np.corrcoef(luma(first).ravel(), tissue.ravel())[0, 1] > 0.9  # and it is the slice
    assert made.describe()["method"] == name


@pytest.mark.parametrize("name", CLASSICAL)
def test_bad_input_is_refused_and_flat_input_is_not(name: str) -> None:
    made = load_transfer(name)()
    with pytest.raises(InputError):
        made.transfer(np.zeros((8, 8, 3), np.uint8), np.zeros((8, 8, 3), np.uint8))  # type: ignore[arg-type]
    with pytest.raises(InputError):
        made.transfer(np.zeros((8, 8), np.uint8), np.zeros((8, 8), np.uint8))
    flat = np.full((16, 16), 60, np.uint8)
    for reference in (np.full((16, 16, 3), (90, 40, 30), np.uint8), warm(ramp())):
        for gray in (flat, ramp()):
            assert np.isfinite(made.transfer(gray, reference)).all()


@pytest.mark.parametrize("name", CLASSICAL)
def test_a_cancelled_transfer_stops(name: str, tissue: NDArray[np.uint8]) -> None:
    token = CancelToken()
    token.cancel()
    with pytest.raises(Cancelled):
        load_transfer(name)().transfer(tissue, warm(tissue), cancel=token)


# Welsh


@given(st.tuples(*[st.integers(1, 255)] * 3))
@settings(max_examples=50, deadline=None)
def test_decorrelated_space_goes_there_and_back(color: tuple[int, int, int]) -> None:
    rgb = np.array(color, dtype=np.float64)
    assert np.allclose(welsh.from_decorrelated(welsh.to_decorrelated(rgb)), rgb, atol=1e-6)


def test_gray_has_almost_no_chroma_in_the_decorrelated_space() -> None:
    gray = np.repeat(np.arange(1, 256)[:, None], 3, axis=1)
    assert np.abs(welsh.to_decorrelated(gray)[:, 1:]).max() < 2e-3


def test_welsh_recovers_colour_that_is_a_function_of_luminance() -> None:
    reference = warm(ramp())
    own = welsh.to_decorrelated(reference)[..., 0]
    table = welsh.to_decorrelated(np.repeat(np.arange(256)[:, None], 3, axis=1))[:, 0]
    gray = np.abs(table - own[..., None]).argmin(axis=-1).astype(np.uint8)  # as bright as the reference, in l
    found = welsh.Welsh(welsh.WelshOptions(samples=8192)).transfer(gray, reference)
    bright = gray > 20  # below, one code is a large step of a logarithm
    assert np.abs(found - reference)[bright].mean() < 1.5
    assert np.abs(found - reference)[bright].max() < 12


def test_welsh_matches_texture_when_brightness_is_the_same() -> None:
    rng = np.random.default_rng(1)
    gray = np.full((40, 80), 120, np.uint8)
    gray[:, 40:] = np.clip(120 + rng.normal(0, 30, (40, 40)), 1, 255)
    reference = np.repeat(gray[..., None], 3, axis=2).astype(np.float64)
    reference[:, :40] *= (1.2, 0.95, 0.9)
    reference[:, 40:] *= (0.9, 0.95, 1.5)
    found = welsh.Welsh(welsh.WelshOptions(deviation_weight=0.9)).transfer(
        gray, np.clip(reference, 0, 255).astype(np.uint8)
    )
    smooth, rough = found[5:-5, 5:35], found[5:-5, 45:75]
    assert (smooth[..., 0] > smooth[..., 2]).mean() > 0.99
    assert (rough[..., 2] > rough[..., 0]).mean() > 0.95


def test_samples_are_spread_over_the_whole_reference() -> None:
    rows, columns = welsh.jittered((90, 160), 200, 0)
    assert 150 <= len(rows) <= 250
    counts, _, _ = np.histogram2d(rows, columns, bins=(3, 4), range=((0, 90), (0, 160)))
    assert counts.min() > 10
    assert rows.max() < 90
    assert columns.max() < 160
    assert len(welsh.jittered((3, 500), 200, 0)[0]) > 100


def test_deviation_of_a_window_is_that_of_numpy() -> None:
    plane = np.random.default_rng(2).random((9, 9))
    assert welsh.local_deviation(plane, 5)[4, 4] == pytest.approx(plane[2:7, 2:7].std())


# Correlated colour space


@given(st.integers(0, 1000))
@settings(max_examples=20, deadline=None)
def test_ctccs_gives_mean_and_covariance_of_the_reference(seed: int) -> None:
    rng = np.random.default_rng(seed)
    target = rng.normal(size=(200, 3)) @ rng.normal(size=(3, 3)) * 20 + 90
    source = rng.normal(size=(300, 3)) @ rng.normal(size=(3, 3)) * 30 + 120
    moved = ctccs.correlated_transfer(target, source)
    assert np.allclose(moved.mean(axis=0), source.mean(axis=0))
    assert np.allclose(np.cov(moved, rowvar=False), np.cov(source, rowvar=False), rtol=1e-6, atol=1e-6)


def test_ctccs_lays_a_gray_slice_on_the_main_axis_of_the_reference() -> None:
    reference = warm(ramp())
    gray = ramp()
    cloud = reference.reshape(-1, 3).astype(np.float64)
    target = np.repeat(gray.reshape(-1, 1), 3, axis=1).astype(np.float64)
    moved = ctccs.correlated_transfer(target, cloud)
    axes, spread, _ = np.linalg.svd(np.cov(cloud, rowvar=False))
    away = (moved - cloud.mean(axis=0)) @ axes
    assert np.allclose(away[:, 1:], 0, atol=1e-6)
    assert away[:, 0].var(ddof=1) == pytest.approx(spread[0])
    assert (np.diff(luma(moved).reshape(gray.shape)[0]) > 0).all()  # bright stays bright


# Colour combinations


def test_em_finds_planted_colours_and_shares() -> None:
    rng = np.random.default_rng(3)
    planted = np.array([[10.0, 0, 0], [50, 30, 20], [85, 5, 40]])
    counts = (3000, 2000, 1000)
    points = np.concatenate([rng.normal(mean, 3, (n, 3)) for mean, n in zip(planted, counts, strict=True)])
    means, shares = ictede.main_colors(rng.permutation(points), 3, 50)
    assert np.allclose(means, planted, atol=0.5)
    assert np.allclose(shares, np.array(counts) / 6000, atol=0.01)


def test_linear_map_goes_through_pairs_that_lie_on_a_line() -> None:
    main = np.array([10.0, 40.0, 90.0])
    scheme = main[:, None] * (0.8, 0.1, -0.2) + (5.0, 3.0, 20.0)
    slope, offset = ictede.linear_map(main, np.array([0.7, 0.2, 0.1]), scheme)
    assert np.allclose(slope, (0.8, 0.1, -0.2))
    assert np.allclose(offset, (5, 3, 20))


def test_ictede_takes_the_given_scheme_in_any_order() -> None:
    gray = np.repeat(np.array([20, 220], np.uint8), 450).reshape(30, 30)
    dark, bright = (60, 10, 10), (230, 200, 170)
    for scheme in ((*dark, *bright), (*bright, *dark)):
        options = ictede.ColorCombinationOptions(colors=2, scheme=scheme)
        found = ictede.ColorCombination(options).transfer(gray, warm(ramp()))
        assert np.abs(found[gray == 20] - dark).max() < 1
        assert np.abs(found[gray == 220] - bright).max() < 1
    with pytest.raises(UsageError, match="three each"):
        ictede.ColorCombinationOptions(scheme=(1, 2, 3))


# Density peaks


def test_density_peaks_find_planted_clusters() -> None:
    rng = np.random.default_rng(4)
    centers = np.array([[0, 0], [4, 0], [0, 5], [6, 6]])
    truth = np.repeat(np.arange(4), 60)
    points = centers[truth] + rng.normal(0, 0.5, (240, 2))
    labels = cpami.density_peaks(points, np.ones(240), 4)
    table = np.zeros((4, 4), int)
    np.add.at(table, (truth, labels), 1)
    assert sorted(table.argmax(axis=1)) == [0, 1, 2, 3]
    assert table.max(axis=1).sum() >= 238


def test_a_stray_point_is_no_cluster() -> None:
    rng = np.random.default_rng(5)
    points = np.concatenate([rng.normal(0, 0.3, (80, 2)), rng.normal(5, 0.3, (80, 2)), [[40.0, -40.0]]])
    assert set(np.bincount(cpami.density_peaks(points, np.ones(161), 2))) == {1, 160}
    kept = np.bincount(cpami.density_peaks(points, np.ones(161), 2, least=0.05))
    assert sorted(kept) == [80, 81]


def test_chains_of_parents_end_at_representatives() -> None:
    assert cpami.roots(np.array([0, 0, 1, 2, 4, 4])).tolist() == [0, 0, 0, 0, 4, 4]
    described = cpami.features(np.kron([[0, 255], [128, 60]], np.ones((12, 12))), 0.5)
    owner = cpami.representatives(described, 0.05)
    assert (owner[owner] == owner).all()
    values = described[..., 0].ravel()
    inner = np.zeros((24, 24), bool)
    for rows in (slice(2, 10), slice(14, 22)):
        for columns in (slice(2, 10), slice(14, 22)):
            inner[rows, columns] = True
            assert len(np.unique(owner.reshape(24, 24)[rows, columns])) == 1  # a flat region has one representative
    assert np.allclose(values[owner][inner.ravel()], values[inner.ravel()])


def test_regions_are_clustered_darkest_first_wherever_they_lie() -> None:
    plane = np.full((60, 60), 5.0)
    plane[5:25, 5:25] = plane[35:55, 35:55] = 200  # one tissue at two places
    plane[35:55, 5:25] = 100
    plane += np.random.default_rng(6).normal(0, 1, plane.shape)
    regions = cpami.find_regions(plane, cpami.DensityPeaksOptions(clusters=3))
    labels = regions.clusters[regions.owner]
    assert labels[0, 0] == 0
    assert (labels[38:52, 8:22] == 1).all()
    assert (labels[8:22, 8:22] == 2).all()
    assert (labels[38:52, 38:52] == 2).all()
    assert regions.masses.sum() == 3600


def test_upper_levels_get_smaller() -> None:
    points = np.random.default_rng(7).random((3000, 7))
    first = cpami.coarser(points, np.ones(3000))
    assert 20 < len(np.unique(first)) < 1500
    assert (first[first] == first).all()


def test_cpami_gives_each_cluster_the_colour_of_its_counterpart() -> None:
    gray = np.kron(np.array([[5, 90], [160, 240]]), np.ones((20, 20))).astype(np.uint8)
    colors = np.array([[10, 5, 5], [120, 40, 30], [200, 150, 60], [250, 240, 220]], np.uint8)
    reference = colors[np.kron([[3, 2], [1, 0]], np.ones((16, 16), int))]  # elsewhere, in another size
    found = cpami.DensityPeaks(cpami.DensityPeaksOptions(clusters=4)).transfer(gray, reference)
    for value, color in zip((5, 90, 160, 240), colors, strict=True):
        middle = np.median(found[gray == value], axis=0)
        assert np.abs(middle - color).max() < 3


# The matting Laplacian


@pytest.mark.parametrize("channels", [1, 3])
def test_matting_laplacian_is_a_laplacian(channels: int) -> None:
    picture = np.random.default_rng(8).random((9, 11, channels))
    matrix = matting_laplacian(picture)
    assert matrix.shape == (99, 99)
    assert np.abs(matrix.sum(axis=1)).max() < 1e-10
    assert abs(matrix - matrix.T).max() < 1e-10
    assert np.linalg.eigvalsh(matrix.toarray()).min() > -1e-9
    # A pixel meets only those within a window's reach.
    dense = matrix.toarray().reshape(9, 11, 9, 11)
    assert dense[4, 5, 4, 8] == 0
    assert dense[4, 5, 4, 7] != 0


def test_matting_laplacian_forgives_affine_recolouring_only() -> None:
    rng = np.random.default_rng(9)
    gray = rng.random((12, 12))
    matrix = matting_laplacian(gray)
    affine = (0.4 * gray + 0.3).ravel()
    other = rng.random(144)
    assert affine @ (matrix @ affine) < 1e-4
    assert other @ (matrix @ other) > 10
    # Affine in each window is enough: two halves recoloured each in its own way, apart by a flat band.
    gray[:, 4:8] = 0.5
    halves = np.where(np.arange(12) < 6, 0.9 * gray, 0.2 * gray + 0.35).ravel()
    matrix = matting_laplacian(gray)
    assert halves @ (matrix @ halves) < 1e-4


def test_matting_laplacian_by_hand() -> None:
    """One window of a flat picture: the affinity of any two pixels is 1/9."""
    matrix = matting_laplacian(np.full((3, 3), 0.5)).toarray()
    assert np.allclose(matrix, np.eye(9) - 1 / 9)
