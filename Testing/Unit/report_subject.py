"""A small coloured volume for the tests of the report: an ellipsoid of two tissues, cheap to judge."""

from __future__ import annotations

import numpy as np

from MedColorizeLib.imaging.volume import ColorVolume, LabelVolume, Volume

WINDOW = (-20.0, 490.0)


def subject(
    affine: np.ndarray | None = None, jitter: dict[int, float] | None = None, shape: tuple[int, int, int] = (28, 44, 40)
) -> tuple[Volume, ColorVolume, LabelVolume]:
    """Gray input, coloured result and labels; `jitter` reddens single slices across K by so many codes."""
    affine = np.diag([-1.5, 1.5, 2.0, 1.0]) if affine is None else affine
    grid = np.meshgrid(*(np.linspace(-1, 1, n) for n in shape), indexing="ij")
    radius = np.sqrt(sum((axis / size) ** 2 for axis, size in zip(grid, (0.95, 0.8, 0.75), strict=True)))
    rng = np.random.default_rng(5)
    texture = rng.normal(0, 4, shape)
    labels = np.where(radius < 0.6, 2, np.where(radius < 1, 1, 0)).astype(np.int16)
    codes = np.select([labels == 2, labels == 1], [170 + texture, 90 + texture], 0).clip(0, 255).round()
    low, high = WINDOW
    array = (codes / 255 * (high - low) + low).round().astype(np.int16)
    push = np.zeros(shape[0])
    for k, amount in (jitter or {}).items():
        push[k] = amount
    warm = np.where(labels > 0, 14.0 + 4 * (labels == 2) + push[:, None, None], 0)
    gray = ((array - low) * 255 / (high - low)).round()
    # Along this direction Rec.601 luma stays what it is, but for rounding.
    rgb = gray[..., None] + warm[..., None] * np.array([1.0, -0.45, -0.308])
    provenance = {
        "synthetic_color": True,
        "method": "palette",
        "model": "test",
        "window": list(WINDOW),
        "input_sha256": "ab" * 32,
        "recipe_file": "/home/jane.doe/recipe.toml",
        "patient_name": "Doe^Jane",
        "options": {"weights": "/home/jane.doe/w.pth", "strength": 1.5},
    }
    color = ColorVolume(
        rgb.clip(0, 255).round().astype(np.uint8), affine, provenance, ("A note.", "Read from /home/jane.doe/x.nii.")
    )
    return Volume(array, affine, "MR"), color, LabelVolume(labels, affine, {1: "gray <b>matter</b>", 2: "white matter"})
