"""Total variation, eq. 6 of Liang 2021."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

EPSILON = 1e-8
"""Under the root, whose slope is infinite at 0: flat background would give NaN."""


def total_variation(image: Tensor, reduction: Literal["mean", "sum"] = "mean") -> Tensor:
    """Sum over w, h of [(Z_{w,h+1} - Z_{w,h})^2 + (Z_{w+1,h} - Z_{w,h})^2]^(beta/2) with beta = 1, channel by channel.

    `sum` is what the paper prints (then the mean over images): at 256 x 256 some 10^3 times the other terms, which are
    means over pixels; `mean` puts it on their scale.
    """
    image = image.float()
    down = image[..., 1:, :-1] - image[..., :-1, :-1]
    right = image[..., :-1, 1:] - image[..., :-1, :-1]
    magnitude = (down.square() + right.square() + EPSILON).sqrt()
    return magnitude.mean() if reduction == "mean" else magnitude.sum() / len(image)
