"""From a verified bundle to its network. Imports torch."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.nn.modules.module import register_module_parameter_registration_hook

from ..errors import MedColorizeError, ModelError
from ..methods.registry import build_inference
from .folder import Bundle
from .tensors import read_tensors
from .verify import verify


def load_network(folder: Path | str) -> tuple[Bundle, nn.Module]:
    """Verify the bundle, build its network and fill it; evaluation mode, on the CPU, in float32."""
    bundle = verify(folder)
    tensors = {name: torch.from_numpy(array.copy()) for name, array in read_tensors(bundle.weights).items()}
    tensors = {name: each.float() if each.dtype == torch.float16 else each for name, each in tensors.items()}
    return bundle, fill(bundle, tensors)


def fill(bundle: Bundle, tensors: dict[str, Tensor]) -> nn.Module:
    """The network that the bundle's configuration describes, with these weights."""
    with _no_larger_than(sum(value.numel() for value in tensors.values()), bundle):
        network = _build(bundle)
    expected = network.state_dict()
    missing = [name for name in expected if name not in tensors]
    extra = [name for name in tensors if name not in expected]
    wrong = [
        f"{name} is {tuple(tensors[name].shape)}, not {tuple(value.shape)}"
        for name, value in expected.items()
        if name in tensors and tensors[name].shape != value.shape
    ]
    if missing or extra or wrong:
        parts = [f"missing: {', '.join(missing[:3])}"] if missing else []
        parts += [f"not in the network: {', '.join(extra[:3])}"] if extra else []
        parts += wrong[:3]
        raise ModelError(
            f"{bundle.weights} does not fit the network '{bundle.method}' that its metadata describes "
            f"({'; '.join(parts)}). The bundle is damaged or was altered; install it again."
        )
    network.load_state_dict(tensors)
    return network.eval().requires_grad_(False)


def _build(bundle: Bundle) -> nn.Module:
    if bundle.config.get("method") != bundle.method:
        raise ModelError(f"{bundle.folder}: metadata names two methods. The bundle is damaged.")
    try:
        return build_inference(bundle.config)
    except ModelError:
        raise
    except MedColorizeError as error:
        raise ModelError(f"{bundle.folder}: {error} The model was made by another version, or is damaged.") from error
    except (KeyError, TypeError, ValueError, RuntimeError, OverflowError) as error:
        raise ModelError(f"{bundle.folder}: its network can't be built ({error}). The bundle is damaged.") from error


@contextmanager
def _no_larger_than(held: int, bundle: Bundle) -> Iterator[None]:
    """Refuse metadata that ask for a network far larger than the weights at hand: it would only exhaust memory.

    Parameters are counted as modules register them, which is before they are filled. (Networks are folded and trimmed
    after they are built: ChromaGAN's has seven times the weights by then, so the limit is generous.)
    """
    limit, total, thread = 16 * held + 64_000_000, 0, threading.get_ident()

    def count(module: nn.Module, name: str, parameter: Tensor | None) -> None:
        nonlocal total
        if threading.get_ident() != thread or parameter is None:
            return
        total += parameter.numel()
        if total > limit:
            raise ModelError(
                f"{bundle.folder}: the metadata describe a network of more than {limit:,} numbers, the weights hold "
                f"{held:,}. The bundle is damaged or was altered; install it again."
            )

    handle = register_module_parameter_registration_hook(count)
    try:
        yield
    finally:
        handle.remove()
