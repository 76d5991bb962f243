"""Initial weights from a normal distribution, as `monai.networks.utils.normal_init` draws them.

Written again because loading MONAI takes longer than colouring a volume, and colouring needs nothing else of it in the
networks that start so. Not for: weights that were trained (`bundles.load`).
"""

from __future__ import annotations

from torch import nn


def normal_init(module: nn.Module) -> None:
    """For `Module.apply`: convolutions N(0, 0.02) without bias, batch norms N(1, 0.02), as in CycleGAN and Pix2Pix."""
    kind = type(module).__name__
    if "Conv" in kind or "Linear" in kind:
        mean = 0.0
    elif "BatchNorm" in kind:
        mean = 1.0
    else:
        return
    for name, values in module.named_parameters(recurse=False):
        if name == "weight":
            nn.init.normal_(values.data, mean, 0.02)
        elif name == "bias":
            nn.init.zeros_(values.data)
