"""Segmentation networks whose features are fused into ColorMedGAN's generator: its U-Net, and MONAI's by name.

Contract: `net(gray)` gives `(logits, shallow, deep)`, the two maps at half size from the way down and the way up;
`net.features(gray)` gives the two maps alone, without the layers that only the logits need. Gray slices come in
[-1, 1], exactly as the colouriser gets them: a segmentation net trained with another normalisation than it is used
with, as in the published code, sees images it never learned.
Not for: training (methods/segmentation.py) or fusing (fusion.py).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any, Literal

import torch
from monai.networks import nets
from monai.networks.blocks import Convolution
from torch import Tensor, nn

from ..errors import UsageError

NormName = Literal["batch", "instance"]
RELU = ("RELU", {"inplace": True})


class SegmentationNet(nn.Module):
    """What the fusion expects of a segmentation net."""

    divisor: int = 1
    feature_channels: tuple[int, int] = (0, 0)
    """Channels of the shallow and the deep map; (0, 0): the net has no maps at half size."""

    def features(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        """The shallow and the deep map at half size."""
        raise NotImplementedError


class _Double(nn.Sequential):
    """Two 3x3 convolutions, each with norm and ReLU."""

    def __init__(self, inward: int, outward: int, norm: NormName) -> None:
        super().__init__(
            Convolution(2, inward, outward, act=RELU, norm=norm), Convolution(2, outward, outward, act=RELU, norm=norm)
        )


class _Up(nn.Module):
    """Bilinear x2, then a 3x3 convolution with norm and ReLU."""

    def __init__(self, inward: int, outward: int, norm: NormName) -> None:
        super().__init__()
        self.conv = Convolution(2, inward, outward, act=RELU, norm=norm)

    def forward(self, value: Tensor) -> Tensor:
        return self.conv(nn.functional.interpolate(value, scale_factor=2.0, mode="bilinear", align_corners=False))


class UNetSeg(SegmentationNet):
    """The U-Net of ColorMedGAN's S: levels of `widths` channels, maps of the second level given out (34.5 M)."""

    def __init__(
        self,
        in_channels: int = 1,
        classes: int = 5,
        *,
        widths: Sequence[int] = (64, 128, 256, 512, 1024),
        norm: NormName = "batch",
    ) -> None:
        super().__init__()
        if len(widths) < 3:
            raise UsageError("The segmentation U-Net needs at least three levels: fusion takes the second one's maps.")
        self.divisor = 2 ** (len(widths) - 1)
        self.feature_channels = (widths[1], widths[1])
        self.down = nn.ModuleList(
            _Double(inward, outward, norm) for inward, outward in zip((in_channels, *widths), widths, strict=False)
        )
        self.up = nn.ModuleList(_Up(below, here, norm) for here, below in pairwise(widths))
        self.merge = nn.ModuleList(_Double(2 * here, here, norm) for here in widths[:-1])
        self.logits = nn.Conv2d(widths[0], classes, 1)

    def _to_second_level(self, gray: Tensor) -> tuple[list[Tensor], Tensor]:
        """Maps of the way down, and the second level's map of the way up."""
        maps: list[Tensor] = []
        value = gray
        for level, block in enumerate(self.down):
            value = block(nn.functional.max_pool2d(value, 2) if level else value)
            maps.append(value)
        for level in range(len(self.up) - 1, 0, -1):
            value = self.merge[level](torch.cat([maps[level], self.up[level](value)], 1))
        return maps, value

    def features(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        maps, deep = self._to_second_level(gray)
        return maps[1], deep

    def forward(self, gray: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        maps, deep = self._to_second_level(gray)
        top = self.merge[0](torch.cat([maps[0], self.up[0](deep)], 1))
        return self.logits(top), maps[1], deep


def _strided(name: str) -> Callable[..., nn.Module]:
    def make(inward: int, classes: int, widths: Sequence[int], norm: str) -> nn.Module:
        own: dict[str, Any] = {"num_res_units": 2, "norm": norm} if name == "UNet" else {}
        return getattr(nets, name)(2, inward, classes, channels=widths, strides=[2] * (len(widths) - 1), **own)

    return make


def _basic(name: str) -> Callable[..., nn.Module]:
    def make(inward: int, classes: int, widths: Sequence[int], norm: str) -> nn.Module:
        if len(widths) != 5:
            raise UsageError(f"{name} has five levels: give five widths, not {len(widths)}.")
        return getattr(nets, name)(2, inward, classes, features=(*widths, widths[0]), norm=norm)

    return make


def _dyn(inward: int, classes: int, widths: Sequence[int], norm: str) -> nn.Module:
    n = len(widths)
    return nets.DynUNet(2, inward, classes, [3] * n, [1] + [2] * (n - 1), [2] * (n - 1), filters=widths, norm_name=norm)


# Names are looked up here and nowhere else: a recipe or a bundle chooses among these, it can't name other code.
MONAI_NETS: dict[str, tuple[Callable[..., nn.Module], int]] = {
    "UNet": (_strided("UNet"), 16),
    "AttentionUnet": (_strided("AttentionUnet"), 16),
    "BasicUNet": (_basic("BasicUNet"), 16),
    "BasicUNetPlusPlus": (_basic("BasicUNetPlusPlus"), 16),
    "DynUNet": (_dyn, 16),
    "SegResNet": (lambda i, c, w, norm: nets.SegResNet(2, w[0], i, c, norm=norm), 8),
    "FlexibleUNet": (lambda i, c, w, norm: nets.FlexibleUNet(i, c, "efficientnet-b0", spatial_dims=2, norm=norm), 32),
    "MedNeXt": (lambda i, c, w, norm: nets.MedNeXt(2, w[0], i, c, kernel_size=3), 16),
    "HighResNet": (lambda i, c, w, norm: nets.HighResNet(2, i, c, norm_type=norm), 1),
}


class MonaiSeg(SegmentationNet):
    """One of MONAI's networks; the maps to fuse are found by watching which layers work at half size.

    Shallow: the last map at half size before anything smaller appears. Deep: the last one on the way back,
    with as many channels as the shallow one where there is such (sigmoid fusion multiplies maps of one width).
    A net without such maps (HighResNet) segments but can't be fused.
    """

    def __init__(
        self, name: str, in_channels: int = 1, classes: int = 5, *, widths: Sequence[int], norm: NormName = "batch"
    ) -> None:
        super().__init__()
        if name not in MONAI_NETS:
            raise UsageError(f"There is no MONAI segmentation network {name!r} here. Known: {', '.join(MONAI_NETS)}.")
        make, divisor = MONAI_NETS[name]
        self.name = name
        self.divisor = max(divisor, 2 ** (len(widths) - 1)) if name in ("UNet", "AttentionUnet", "DynUNet") else divisor
        self.net = make(in_channels, classes, tuple(widths), norm)
        self._shallow, self._deep = self._find_maps(in_channels)

    def _find_maps(self, in_channels: int) -> tuple[str, str]:
        side = 4 * max(self.divisor, 4)
        seen: list[tuple[str, Tensor]] = []
        handles = [
            module.register_forward_hook(lambda _, __, out, name=name: seen.append((name, out)))
            for name, module in self.net.named_modules()
            if name
        ]
        with torch.no_grad():
            self.net.eval()(torch.zeros(1, in_channels, side, side))
        self.net.train()
        for handle in handles:
            handle.remove()
        calls = Counter(name for name, _ in seen)  # a layer that runs twice has no one map
        maps = [(n, out) for n, out in seen if calls[n] == 1 and isinstance(out, Tensor) and out.ndim == 4]
        half = [i for i, (_, out) in enumerate(maps) if out.shape[-1] == side // 2]
        smaller = [i for i, (_, out) in enumerate(maps) if out.shape[-1] < side // 2]
        if not half or not smaller or min(half) > min(smaller):
            return "", ""
        shallow = max(i for i in half if i < min(smaller))
        like = [i for i in half if i > min(smaller) and maps[i][1].shape[1] == maps[shallow][1].shape[1]]
        deep = max(like or half)
        self.feature_channels = (maps[shallow][1].shape[1], maps[deep][1].shape[1])
        return maps[shallow][0], maps[deep][0]

    def _logits(self, gray: Tensor) -> Tensor:
        result = self.net(gray)
        return result[0] if isinstance(result, (list, tuple)) else result

    def forward(self, gray: Tensor) -> tuple[Tensor, Tensor | None, Tensor | None]:
        if not self._shallow:
            return self._logits(gray), None, None
        found: dict[str, Tensor] = {}
        handles = [
            self.net.get_submodule(name).register_forward_hook(lambda _, __, out, name=name: found.update({name: out}))
            for name in (self._shallow, self._deep)
        ]
        try:
            logits = self._logits(gray)
        finally:
            for handle in handles:
                handle.remove()
        return logits, found[self._shallow], found[self._deep]

    def features(self, gray: Tensor) -> tuple[Tensor, Tensor]:
        _, shallow, deep = self(gray)
        if shallow is None or deep is None:
            raise UsageError(f"{self.name} has no maps at half size, so it can't be fused. Choose a U-shaped network.")
        return shallow, deep


def segmentation_net(
    name: str,
    in_channels: int,
    classes: int,
    *,
    widths: Sequence[int] = (64, 128, 256, 512, 1024),
    norm: NormName = "batch",
) -> SegmentationNet:
    """`unet` (ColorMedGAN's), or one of MONAI's by its class name."""
    if name == "unet":
        return UNetSeg(in_channels, classes, widths=widths, norm=norm)
    return MonaiSeg(name, in_channels, classes, widths=widths, norm=norm)
