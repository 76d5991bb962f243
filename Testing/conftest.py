"""Fixtures shared by all tests: the real data beside the checkout, and small volumes with awkward geometry."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

REPOSITORY = Path(__file__).resolve().parents[1]


@pytest.fixture(scope="session")
def repository() -> Path:
    """The root of the checkout."""
    return REPOSITORY


@pytest.fixture(scope="session")
def data() -> Path:
    """The folder of real images; tests that need it are skipped where it is absent."""
    folder = Path(os.environ.get("MEDCOLORIZE_DATA", REPOSITORY.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip(f"the real images are not at {folder} (set MEDCOLORIZE_DATA to their folder)")
    return folder


@pytest.fixture
def oblique() -> np.ndarray:
    """A left-handed, rotated affine with three different spacings, as scanners really write them."""
    angle = np.deg2rad(17.3)
    rotation = np.array([[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]])
    tilt = np.array([[1, 0, 0], [0, np.cos(0.2), -np.sin(0.2)], [0, np.sin(0.2), np.cos(0.2)]])
    affine = np.eye(4)
    affine[:3, :3] = tilt @ rotation @ np.diag([-0.7, 0.8, 3.3])
    affine[:3, 3] = [91.25, -126.5, -72.125]
    return affine
