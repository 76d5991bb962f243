"""The little pictures of models: the sample head where it fits, else the grays; never the training images."""

from __future__ import annotations

from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch

from MedColorizeLib.app import thumbnails
from MedColorizeLib.bundles.folder import InputFrame
from MedColorizeLib.bundles.write import Facts


class Warm(torch.nn.Module):
    """Adds a fixed chroma."""

    def forward(self, gray: Any) -> Any:
        middle = gray[:, gray.shape[1] // 2]
        return torch.stack([middle + 0.3, middle, middle - 0.3], dim=1)


def facts(modality: str, plane: str = "axial", slices: int = 1) -> Facts:
    frame = InputFrame(plane, slices, 64, 4, 2.0, True, modality, "auto")
    return Facts("warm", "Warm", "tanjim-4", "a paper", "color", {}, frame, {})


def opened(png: bytes) -> np.ndarray:
    from PIL import Image

    return np.asarray(Image.open(BytesIO(png)).convert("RGB")).astype(int)


NOISE = np.random.default_rng(0).integers(0, 256, (4, 32, 32)).astype(np.uint8)


def warm_pictures() -> tuple[np.ndarray, np.ndarray]:
    with torch.no_grad():
        out = Warm()(torch.from_numpy(NOISE)[:, None].float() / 127.5 - 1)
    return NOISE, ((out.clamp(-1, 1) + 1) * 127.5).byte().movedim(1, -1).numpy()


@pytest.mark.parametrize(("plane", "slices"), [("axial", 3), ("coronal", 1), ("sagittal", 5)])
def test_an_mr_model_shows_the_sample_head_upright_in_its_own_plane(plane: str, slices: int) -> None:
    pytest.importorskip("nilearn")
    picture = opened(thumbnails.draw_thumbnail(facts("MR", plane, slices), Warm(), *warm_pictures()))
    assert picture.shape == (thumbnails.SIZE, thumbnails.SIZE, 3)
    gray = picture.sum(-1) > 60
    assert 0.2 < gray.mean() < 0.9
    assert (picture[gray][:, 0] - picture[gray][:, 2]).mean() > 20  # the network's warmth
    rows = np.flatnonzero(gray.any(axis=1))
    if plane != "axial":
        # Upright: the cerebrum, which is wide, lies above the stem, which is narrow.
        assert gray[rows[len(rows) // 3]].sum() > 1.5 * gray[rows[-4]].sum()


def test_other_models_show_what_becomes_of_the_grays() -> None:
    grays, colors = warm_pictures()
    picture = opened(thumbnails.draw_thumbnail(facts("CT"), Warm(), grays, colors))
    top, bottom = picture[5], picture[-5]
    assert np.array_equal(top[:, 0], top[:, 2])
    assert (np.diff(top[:, 0]) >= 0).all()
    middle = slice(30, 100)
    assert (bottom[middle, 0] > bottom[middle, 2] + 20).all()
    luma = bottom @ [0.299, 0.587, 0.114]
    assert np.abs(luma - top[:, 0]).max() <= 1  # the brightness is the gray's


def test_a_model_without_a_single_known_gray_still_has_a_picture() -> None:
    empty = np.zeros((0, 8, 8), np.uint8)
    picture = opened(thumbnails.draw_thumbnail(facts("CT"), Warm(), empty, np.zeros((0, 8, 8, 3), np.uint8)))
    assert np.array_equal(picture[..., 0], picture[..., 2])
