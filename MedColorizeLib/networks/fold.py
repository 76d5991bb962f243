"""Networks as built for inference: the same results from fewer operations.

`fold` removes spectral norm, folds batch norm into convolutions, turns nearest x2 + 5x5 convolution into one 3x3
convolution with a pixel shuffle, and computes wide 3x3 convolutions by Winograd's method. `merge_equal_channels`
replaces three equal input channels by one. Not for: training (a folded network would train differently).
"""

from __future__ import annotations

import copy
import sys
from itertools import pairwise
from typing import TypeVar

from torch import Tensor, nn
from torch.nn.utils.fusion import fuse_conv_bn_eval
from torch.nn.utils.parametrize import is_parametrized, type_before_parametrizations

from .upsampling import UpsampleConv2d
from .winograd import WinogradConv2d

NetworkT = TypeVar("NetworkT", bound=nn.Module)


def fold(network: NetworkT) -> NetworkT:
    """A copy in evaluation mode, without gradients, that gives what `network` gives in evaluation mode."""
    folded = copy.deepcopy(network).eval().requires_grad_(False)
    for module in list(folded.modules()):
        if is_parametrized(module, "weight"):
            _without_parametrization(module)
    for module in list(folded.modules()):
        for name, child in list(module.named_children()):
            if isinstance(child, UpsampleConv2d):
                setattr(module, name, child.folded())
        _fold_batch_norm(module)
    for module in list(folded.modules()):
        for name, child in list(module.named_children()):
            if WinogradConv2d.suits(child):
                setattr(module, name, WinogradConv2d.of(child))  # type: ignore[arg-type]
    return folded.requires_grad_(False).eval()


def _without_parametrization(module: nn.Module) -> None:
    """Keep the weight as it is now. (PyTorch's remove_parametrizations alters the class, which the original shares.)"""
    weight: Tensor = module.weight  # type: ignore[assignment]
    module.__class__ = type_before_parametrizations(module)
    del module._modules["parametrizations"]
    module.register_parameter("weight", nn.Parameter(weight.detach().clone(), requires_grad=False))


def _fold_batch_norm(module: nn.Module) -> None:
    """Batch norms that directly follow a convolution in a `Sequential` or in MONAI's block."""
    # Where MONAI was never loaded (it takes seconds), nothing can be its block.
    blocks = sys.modules.get("monai.networks.blocks")
    if blocks is not None and isinstance(module, blocks.Convolution):
        children = dict(module.named_children())
        convolution, adn = children["conv"], children.get("adn")
        if adn is None or not isinstance(convolution, nn.Conv2d):
            return
        name, norm = next(adn.named_children())  # whatever comes right after the convolution
        if isinstance(norm, nn.BatchNorm2d):
            module.conv = fuse_conv_bn_eval(convolution, norm)
            setattr(adn, name, nn.Identity())
    elif isinstance(module, nn.Sequential):
        for (first, convolution), (second, norm) in pairwise(list(module.named_children())):
            if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
                setattr(module, first, fuse_conv_bn_eval(convolution, norm))
                setattr(module, second, nn.Identity())


def merge_equal_channels(network: NetworkT) -> NetworkT:
    """A copy that takes (N, 1, H, W) where `network` takes the same channel several times over."""
    merged = copy.deepcopy(network)
    for module in merged.modules():
        if isinstance(module, nn.Conv2d):
            # The weights of equal channels add up; everything else of the first convolution stays.
            module.weight = nn.Parameter(module.weight.detach().sum(1, keepdim=True), requires_grad=False)
            module.in_channels = 1
            return merged
    raise ValueError(f"{type(network).__name__} has no convolution whose channels could be merged")
