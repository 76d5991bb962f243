"""The Laplacian edge map, edge loss and multi-modal discriminator input of ColorMedGAN, eqs. 7 to 11.

The published edge operator ends in `.detach()`, so that its edge loss has no gradient; this one has.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor
from torch.nn import functional

from .gray import gray_of

Neighbours = Literal[4, 8]
Modal = Literal["none", "1", "2", "3"]

_KERNELS: dict[int, tuple[tuple[float, ...], ...]] = {
    4: ((0, 1, 0), (1, -4, 1), (0, 1, 0)),
    8: ((-1, -1, -1), (-1, 8, -1), (-1, -1, -1)),
}


def laplacian(image: Tensor, neighbours: Neighbours = 4) -> Tensor:
    """(N, 1 or 3, H, W) -> (N, 1, H, W), the Laplacian of the luma: eq. 9 (4) or the kernel of the published code (8).

    The border is repeated outwards: with zeros, which are mid-gray here, every black margin would be an edge.
    """
    kernel = torch.tensor(_KERNELS[neighbours], dtype=torch.float32, device=image.device)[None, None]
    padded = functional.pad(gray_of(image.float()), (1, 1, 1, 1), mode="replicate")
    with torch.autocast(image.device.type, enabled=False):  # differences of neighbours need the digits
        return functional.conv2d(padded, kernel)


def edge_loss(generated: Tensor, source: Tensor, neighbours: Neighbours = 4) -> Tensor:
    """Eq. 10 as it must read: |Lap(G(x)) - Lap(x)|_1, the mean over pixels (the paper prints |Lap(X) - X|)."""
    return functional.l1_loss(laplacian(generated, neighbours), laplacian(source, neighbours))


def modal_channels(modal: Modal, channels: int) -> int:
    """How many channels `modal_input` gives for images of `channels`."""
    return channels + 1 if modal == "2" else channels


def modal_input(image: Tensor, modal: Modal, *, neighbours: Neighbours = 4, raw: bool = False) -> Tensor:
    """What the multi-modal discriminator sees of an image (table 4; eq. 11), always with the image's own edges.

    `1`: x + x * sigmoid(Lap x); `2`: x and sigmoid(Lap x) side by side (`raw`: Lap x without the sigmoid, as the
    published code has it); `3`: x * sigmoid(Lap x); `none`: x.
    """
    if modal == "none":
        return image
    edges = laplacian(image, neighbours)
    if modal == "2":
        return torch.cat([image, (edges if raw else edges.sigmoid()).to(image.dtype)], dim=1)
    attended = image * edges.sigmoid().to(image.dtype)
    return image + attended if modal == "1" else attended
