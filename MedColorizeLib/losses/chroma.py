"""ChromaGAN's terms (Vitoria et al. 2020, section 3.2): chrominance error, class distribution, Wasserstein critic.

L = L_e + lambda_g L_g + lambda_s L_s, lambda_g = 0.1, lambda_s = 0.003.
"""

from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor
from torch.nn import functional


def chrominance_error(ab: Tensor, real: Tensor) -> Tensor:
    """L_e: E |G_1(L) - (a, b)|^2, squares of both channels added, the mean over pixels."""
    return (ab.float() - real.float()).square().sum(1).mean()


def class_divergence(logits: Tensor, target: Tensor) -> Tensor:
    """L_s: KL(y_v || G_2(L)), y_v the teacher's distribution (N, C); the mean over pictures."""
    return functional.kl_div(functional.log_softmax(logits.float(), 1), target.float(), reduction="batchmean")


def critic_difference(of_real: Tensor, of_fake: Tensor) -> Tensor:
    """L_g without its penalty: E D(real) - E D(fake). The critic raises it, the generator lowers it."""
    return of_real.float().mean() - of_fake.float().mean()


def gradient_penalty(critic: Callable[[Tensor], Tensor], real: Tensor, fake: Tensor, mix: Tensor) -> Tensor:
    """E (|grad D| - 1)^2 on straight lines between pairs; `mix` (N, 1, 1, 1) in 0..1 says where on each line."""
    between = (mix * real.float() + (1 - mix) * fake.float()).detach().requires_grad_(True)
    value = critic(between).float().flatten(1).mean(1).sum()
    (slope,) = torch.autograd.grad(value, between, create_graph=True)
    # The tiny term keeps the root's derivative finite where the slope is 0.
    return ((slope.flatten(1).square().sum(1) + 1e-12).sqrt() - 1).square().mean()
