"""The 70x70 PatchGAN of pix2pix and CycleGAN, made from MONAI's `PatchDiscriminator`."""

from __future__ import annotations

from torch import Tensor, nn


class PatchGAN(nn.Module):
    """C64-C128-C256-C512-1, 4x4, LeakyReLU 0.2, instance norm on all but the first: 2.77 M parameters with 3 channels.

    Gives logits (N, 1, H/8 - 2, W/8 - 2), each of which sees 70x70 pixels.
    """

    def __init__(self, in_channels: int = 3, *, width: int = 64) -> None:
        super().__init__()
        from monai.networks.nets import PatchDiscriminator  # slow to load, and colouring needs no discriminator

        self.net = PatchDiscriminator(2, width, in_channels, num_layers_d=3, norm="INSTANCE", bias=True)

    def forward(self, image: Tensor) -> Tensor:
        logits: Tensor = self.net(image)[-1]  # MONAI gives the maps of every layer
        return logits
