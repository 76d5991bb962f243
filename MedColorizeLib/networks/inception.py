"""Inception-v3 (Szegedy 2016) up to pool3: the feature space of the FID (Heusel 2017), with published parameter names.

Two published sets of weights differ, and so do the distances computed with them. `weights-inception-2015-12-05` is
TensorFlow's of 2015, used by every FID in the literature (torch-fidelity, torchmetrics); its blocks pool a little
differently. `inception_v3_google` is torchvision's. Both are read from the user's cache or a given file.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn
from torch.nn import functional as F  # noqa: N812  (torch's own convention)

from ..errors import ModelError
from ..progress import CancelToken, OnProgress
from .feature_weights import KnownWeights, WeightFile, find_weights, read_tensors

TENSORFLOW = KnownWeights("weights-inception-2015-12-05-6726825d.pth", "6726825d")
TENSORFLOW_ROOT = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0"
TORCHVISION = KnownWeights("inception_v3_google-0cc3c7bd.pth", "0cc3c7bd")
SIZE = 299
DIMENSIONS = 2048
_IGNORED = ("fc.", "AuxLogits.")

Pool = Callable[[Tensor], Tensor]


def _padded_mean(value: Tensor) -> Tensor:
    return F.avg_pool2d(value, 3, 1, 1)


def _mean(value: Tensor) -> Tensor:
    return F.avg_pool2d(value, 3, 1, 1, count_include_pad=False)


def _maximum(value: Tensor) -> Tensor:
    return F.max_pool2d(value, 3, 1, 1)


class Convolution(nn.Module):
    """Convolution without bias, batch normalisation (eps 0.001), ReLU."""

    def __init__(self, inward: int, outward: int, size: int | tuple[int, int], stride: int = 1) -> None:
        super().__init__()
        rows, columns = (size, size) if isinstance(size, int) else size
        # Valid at the stem and where the map shrinks; elsewhere the caller pads, see `_same`.
        self.conv = nn.Conv2d(inward, outward, (rows, columns), stride, bias=False)
        self.bn = nn.BatchNorm2d(outward, eps=0.001)

    def forward(self, value: Tensor) -> Tensor:
        return F.relu(self.bn(self.conv(value)))


def _same(inward: int, outward: int, size: int | tuple[int, int]) -> Convolution:
    block = Convolution(inward, outward, size)
    rows, columns = block.conv.kernel_size
    block.conv.padding = (rows // 2, columns // 2)
    return block


class BlockA(nn.Module):
    """35 x 35: 1x1, 5x5, two 3x3, pool."""

    def __init__(self, inward: int, pooled: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _same(inward, 64, 1)
        self.branch5x5_1, self.branch5x5_2 = _same(inward, 48, 1), _same(48, 64, 5)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _same(inward, 64, 1), _same(64, 96, 3)
        self.branch3x3dbl_3 = _same(96, 96, 3)
        self.branch_pool = _same(inward, pooled, 1)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        five = self.branch5x5_2(self.branch5x5_1(x))
        return torch.cat([self.branch1x1(x), five, double, self.branch_pool(self.pool(x))], 1)


class BlockB(nn.Module):
    """From 35 x 35 to 17 x 17."""

    def __init__(self, inward: int) -> None:
        super().__init__()
        self.branch3x3 = Convolution(inward, 384, 3, 2)
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _same(inward, 64, 1), _same(64, 96, 3)
        self.branch3x3dbl_3 = Convolution(96, 96, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        double = self.branch3x3dbl_3(self.branch3x3dbl_2(self.branch3x3dbl_1(x)))
        return torch.cat([self.branch3x3(x), double, F.max_pool2d(x, 3, 2)], 1)


class BlockC(nn.Module):
    """17 x 17: 7x7 as 1x7 and 7x1."""

    def __init__(self, inward: int, width: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _same(inward, 192, 1)
        self.branch7x7_1, self.branch7x7_2 = _same(inward, width, 1), _same(width, width, (1, 7))
        self.branch7x7_3 = _same(width, 192, (7, 1))
        self.branch7x7dbl_1, self.branch7x7dbl_2 = _same(inward, width, 1), _same(width, width, (7, 1))
        self.branch7x7dbl_3, self.branch7x7dbl_4 = _same(width, width, (1, 7)), _same(width, width, (7, 1))
        self.branch7x7dbl_5 = _same(width, 192, (1, 7))
        self.branch_pool = _same(inward, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single = self.branch7x7_3(self.branch7x7_2(self.branch7x7_1(x)))
        double = self.branch7x7dbl_3(self.branch7x7dbl_2(self.branch7x7dbl_1(x)))
        double = self.branch7x7dbl_5(self.branch7x7dbl_4(double))
        return torch.cat([self.branch1x1(x), single, double, self.branch_pool(self.pool(x))], 1)


class BlockD(nn.Module):
    """From 17 x 17 to 8 x 8."""

    def __init__(self, inward: int) -> None:
        super().__init__()
        self.branch3x3_1, self.branch3x3_2 = _same(inward, 192, 1), Convolution(192, 320, 3, 2)
        self.branch7x7x3_1, self.branch7x7x3_2 = _same(inward, 192, 1), _same(192, 192, (1, 7))
        self.branch7x7x3_3, self.branch7x7x3_4 = _same(192, 192, (7, 1)), Convolution(192, 192, 3, 2)

    def forward(self, x: Tensor) -> Tensor:
        seven = self.branch7x7x3_4(self.branch7x7x3_3(self.branch7x7x3_2(self.branch7x7x3_1(x))))
        return torch.cat([self.branch3x3_2(self.branch3x3_1(x)), seven, F.max_pool2d(x, 3, 2)], 1)


class BlockE(nn.Module):
    """8 x 8: 3x3 opened into 1x3 beside 3x1."""

    def __init__(self, inward: int, pool: Pool) -> None:
        super().__init__()
        self.pool = pool
        self.branch1x1 = _same(inward, 320, 1)
        self.branch3x3_1 = _same(inward, 384, 1)
        self.branch3x3_2a, self.branch3x3_2b = _same(384, 384, (1, 3)), _same(384, 384, (3, 1))
        self.branch3x3dbl_1, self.branch3x3dbl_2 = _same(inward, 448, 1), _same(448, 384, 3)
        self.branch3x3dbl_3a, self.branch3x3dbl_3b = _same(384, 384, (1, 3)), _same(384, 384, (3, 1))
        self.branch_pool = _same(inward, 192, 1)

    def forward(self, x: Tensor) -> Tensor:
        single, double = self.branch3x3_1(x), self.branch3x3dbl_2(self.branch3x3dbl_1(x))
        parts = [self.branch1x1(x), self.branch3x3_2a(single), self.branch3x3_2b(single)]
        parts += [self.branch3x3dbl_3a(double), self.branch3x3dbl_3b(double), self.branch_pool(self.pool(x))]
        return torch.cat(parts, 1)


class InceptionPool3(nn.Module):
    """Pictures to 2048 numbers: `evaluation.frechet.Features`, so that its distance may be called FID."""

    def __init__(self, tensorflow: bool = True) -> None:
        super().__init__()
        mean = _mean if tensorflow else _padded_mean
        self.tensorflow = tensorflow
        self.Conv2d_1a_3x3, self.Conv2d_2a_3x3 = Convolution(3, 32, 3, 2), Convolution(32, 32, 3)
        self.Conv2d_2b_3x3 = _same(32, 64, 3)
        self.Conv2d_3b_1x1, self.Conv2d_4a_3x3 = Convolution(64, 80, 1), Convolution(80, 192, 3)
        self.Mixed_5b, self.Mixed_5c = BlockA(192, 32, mean), BlockA(256, 64, mean)
        self.Mixed_5d, self.Mixed_6a = BlockA(288, 64, mean), BlockB(288)
        self.Mixed_6b, self.Mixed_6c = BlockC(768, 128, mean), BlockC(768, 160, mean)
        self.Mixed_6d, self.Mixed_6e = BlockC(768, 160, mean), BlockC(768, 192, mean)
        self.Mixed_7a, self.Mixed_7b = BlockD(768), BlockE(1280, mean)
        # TensorFlow's last block takes the maximum, an oddity of the 2015 graph that the FID inherited.
        self.Mixed_7c = BlockE(2048, _maximum if tensorflow else mean)
        self.source: dict[str, Any] = {"network": "inception_v3", "origin": "random (untrained)"}
        self.requires_grad_(False)
        self.eval()

    @property
    def name(self) -> str:
        """Exactly `Inception-v3 pool3` only with the weights of the literature."""
        return "Inception-v3 pool3" if self.tensorflow else "Inception-v3 pool3, torchvision's weights"

    def forward(self, codes: Tensor) -> Tensor:
        """RGB codes (B, 3, H, W) of 0..255 to (B, 2048)."""
        x = (resize_like_tensorflow(codes) - 128) / 128 if self.tensorflow else _torchvision_input(codes)
        x = self.Conv2d_2b_3x3(self.Conv2d_2a_3x3(self.Conv2d_1a_3x3(x)))
        x = self.Conv2d_4a_3x3(self.Conv2d_3b_1x1(F.max_pool2d(x, 3, 2)))
        x = self.Mixed_6a(self.Mixed_5d(self.Mixed_5c(self.Mixed_5b(F.max_pool2d(x, 3, 2)))))
        x = self.Mixed_7a(self.Mixed_6e(self.Mixed_6d(self.Mixed_6c(self.Mixed_6b(x)))))
        return self.Mixed_7c(self.Mixed_7b(x)).mean(dim=(2, 3))

    def __call__(self, pictures: Any) -> Any:
        """(n, H, W, 3) arrays of codes to arrays (n, 2048); tensors are passed to `forward`."""
        if isinstance(pictures, Tensor):
            return super().__call__(pictures)
        device = next(self.parameters()).device
        with torch.inference_mode():
            batch = torch.as_tensor(np.ascontiguousarray(pictures), device=device).permute(0, 3, 1, 2).float()
            features: NDArray[np.float64] = super().__call__(batch).double().cpu().numpy()
        return features


def resize_like_tensorflow(codes: Tensor) -> Tensor:
    """Bilinear to 299 x 299 as TensorFlow 1 did: the first pixels' corners meet, the last ones' do not."""
    for dimension in (2, 3):
        length = codes.shape[dimension]
        position = torch.arange(SIZE, device=codes.device, dtype=torch.float32) * (length / SIZE)
        below = position.floor().long().clamp(max=length - 1)
        above = (below + 1).clamp(max=length - 1)
        share = (position - below).view(-1, 1) if dimension == 2 else position - below
        low, high = codes.index_select(dimension, below), codes.index_select(dimension, above)
        codes = low + (high - low) * share
    return codes


def _torchvision_input(codes: Tensor) -> Tensor:
    resized = F.interpolate(codes, size=(SIZE, SIZE), mode="bilinear", align_corners=False, antialias=True)
    return resized / 127.5 - 1


def inception_features(
    weights: Path | str | None = None,
    *,
    download: bool = False,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> InceptionPool3:
    """Inception-v3 with the FID's weights: from `weights`, the user's torch cache, or (with consent) a download."""
    file = _find(weights, download, on_progress, cancel)
    tensors, _ = read_tensors(file.path)
    net = InceptionPool3(tensorflow="AuxLogits.conv0.conv.weight" not in tensors)
    wanted = net.state_dict()
    missing = [key for key in wanted if key not in tensors and not key.endswith("num_batches_tracked")]
    if missing:
        raise ModelError(f"{file.path} isn't Inception-v3: it has no {missing[0]}.")
    try:
        net.load_state_dict({k: v for k, v in tensors.items() if not k.startswith(_IGNORED)}, strict=False)
    except RuntimeError as error:
        raise ModelError(f"{file.path} doesn't hold the weights of Inception-v3: {error}") from error
    net.source = file.describe()
    return net


def _find(
    weights: Path | str | None, download: bool, on_progress: OnProgress | None, cancel: CancelToken | None
) -> WeightFile:
    if weights is not None:
        return find_weights("inception_v3", weights)
    try:
        return find_weights("inception_v3", known=TENSORFLOW)
    except ModelError as error:
        try:
            return find_weights("inception_v3", known=TORCHVISION)
        except ModelError:
            if not download:
                raise error from None
    return find_weights(
        "inception_v3",
        known=TENSORFLOW,
        root=TENSORFLOW_ROOT,
        download=True,
        on_progress=on_progress,
        cancel=cancel,
    )
