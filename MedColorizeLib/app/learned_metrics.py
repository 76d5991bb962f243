"""Learned metrics for reports, where their weights are: a feature space for Frechet distances, and LPIPS.

Without weights (or torch) there is None, and the report says what stood in. Not for: the networks, or the arithmetic.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from ..errors import ModelError

if TYPE_CHECKING:
    from ..evaluation.fidelity import Perceptual
    from ..evaluation.frechet import Features


def feature_space(weights: str | None = None) -> Features | None:
    """Of the file `weights` (Inception-v3: the distance is the FID; or SqueezeNet 1.1), else of torch's cache.

    `download` is the consent to fetch Inception's weights into that cache.
    """
    try:
        from ..networks.feature_weights import asked_for
        from ..networks.picture_features import picture_features
    except ImportError as error:
        if weights is None:
            return None
        raise ModelError(f"{weights} needs torch, which is not installed. Install medcolorize[models].") from error
    file, consent = asked_for(weights or "")
    return picture_features(file, download=consent)


def perceptual_distance() -> Perceptual | None:
    """LPIPS, if both of its files are on this computer."""
    try:
        from ..networks.lpips import lpips

        return lpips()
    except (ImportError, ModelError):
        return None
