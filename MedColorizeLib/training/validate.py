"""Figures on held-out slices, by which the best weights are kept.

Two views: of gray scans nobody knows the true colour, so only luma and the likeness of the chroma's distribution can
be told; of colour photographs the gray version is coloured and compared with the truth. The project's full set of
metrics, with tables and reports, is the `evaluation` room's.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from ..methods.base import Batch, Method, evaluating, middle
from ..methods.cycle import CycleMethod
from .dataset import Pairs, spread

_LUMA = (0.299, 0.587, 0.114)
HIGHER_IS_BETTER = {
    "luma_psnr": True, "luma_ssim": True, "color_psnr": True, "color_ssim": True, "chroma_error": False,
    "chroma_distance": False, "dice": True,
}  # fmt: skip
_QUANTILES = 101


def default_figure(method: Method) -> str:
    """What decides about the best weights, unless the recipe says otherwise."""
    if method.kind == "segmentation":
        return "dice"
    return "chroma_error" if method.paired else "chroma_distance"


@torch.no_grad()
def validate(method: Method, held: Pairs, train: Pairs, device: torch.device) -> dict[str, float]:
    """Means over evenly spread held-out slices."""
    count = held.settings.validation_slices
    if method.kind == "segmentation":
        return _segmentation(method, [held.plain(p, None).to(device) for p in spread(held.gray.places, count)])
    figures: dict[str, list[float]] = {}
    made, true = [], []
    for place in spread(held.gray.places, count):
        batch = held.plain(place, None).to(device)
        fake = method.generate(batch.gray).float().clamp(-1, 1)
        made.append(_chroma(fake)[_inside(batch.mask, fake)])
        _add(figures, "luma", _luma(fake), middle(batch.gray))
        for name, value in discriminated(method, fake=fake).items():
            figures.setdefault(name, []).append(value)
    for place in spread(held.color.places, count):
        batch = held.plain(None, place).to(device)
        fake = method.generate(batch.color_gray).float().clamp(-1, 1)
        _add(figures, "color", fake, batch.color)
        difference = (_chroma(fake) - _chroma(batch.color)).abs()[_inside(batch.color_mask, fake)]
        figures.setdefault("chroma_error", []).append(float(difference.mean()) if difference.numel() else 0.0)
        true.append(_chroma(batch.color)[_inside(batch.color_mask, fake)])
        for name, value in discriminated(method, real=batch.color).items():
            figures.setdefault(name, []).append(value)
    out = {name: sum(values) / len(values) for name, values in figures.items()}
    if made:
        # Where no colour picture is held out the training colours stand in: a distribution is compared, not pictures.
        true = true or [_train_chroma(train, place, device) for place in spread(train.color.places, count)]
        out["chroma_distance"] = chroma_distance(torch.cat(made), torch.cat(true))
    return out


def discriminated(method: Method, **pictures: Tensor) -> dict[str, float]:
    """What D_Y says (1: real) of held-out photographs and of coloured held-out scans; for cycle GANs only."""
    if not isinstance(method, CycleMethod) or getattr(method.options, "space", "rgb") != "rgb":
        return {}
    with evaluating(method.d_y):
        return {f"D_of_{name}": float(method.d_y(method.seen(each)).float().mean()) for name, each in pictures.items()}


def _train_chroma(train: Pairs, place: tuple[int, int], device: torch.device) -> Tensor:
    batch = train.plain(None, place).to(device)
    return _chroma(batch.color)[_inside(batch.color_mask, batch.color)]


def chroma_distance(a: Tensor, b: Tensor) -> float:
    """Mean of the first Wasserstein distances between the Cb, and between the Cr, of (n, 2) colours, in codes."""
    if not len(a) or not len(b):
        return float("nan")
    at = torch.linspace(0, 1, _QUANTILES, dtype=torch.float64)
    quantiles = [
        torch.stack([torch.quantile(_thinned(each[:, c]).double().cpu(), at) for c in (0, 1)]) for each in (a, b)
    ]
    return float((quantiles[0] - quantiles[1]).abs().mean())


def _thinned(values: Tensor) -> Tensor:
    """torch.quantile takes up to 16 million values; a tenth of a million tell the same."""
    return values[:: max(1, len(values) // 100_000)]


def _segmentation(method: Method, batches: Sequence[Batch]) -> dict[str, float]:
    """Mean Dice over slices and classes; a class that a slice does not have is no figure."""
    scores = [
        value
        for batch in batches
        for value in method.scores(batch).values()  # type: ignore[attr-defined]
        if value == value
    ]
    return {"dice": sum(scores) / len(scores)} if scores else {}


def _add(figures: dict[str, list[float]], name: str, fake: Tensor, truth: Tensor) -> None:
    from monai.metrics import PSNRMetric, SSIMMetric

    psnr = PSNRMetric(max_val=2.0)(fake, truth)
    figures.setdefault(f"{name}_psnr", []).append(min(99.0, float(torch.as_tensor(psnr).mean())))
    ssim = SSIMMetric(spatial_dims=2, data_range=2.0)(fake, truth)
    figures.setdefault(f"{name}_ssim", []).append(float(torch.as_tensor(ssim).mean()))


def _luma(rgb: Tensor) -> Tensor:
    return (rgb * rgb.new_tensor(_LUMA)[None, :, None, None]).sum(1, keepdim=True)


def _chroma(rgb: Tensor) -> Tensor:
    """Cb and Cr in codes, (N, H, W, 2)."""
    luma = _luma(rgb)[:, 0]
    return torch.stack([(rgb[:, 2] - luma) / 1.772, (rgb[:, 0] - luma) / 1.402], dim=-1) * 127.5


def _inside(mask: Tensor | None, like: Tensor) -> Tensor:
    if mask is None:
        return torch.ones(like.shape[0], *like.shape[-2:], dtype=torch.bool, device=like.device)
    return mask[:, 0] > 0.5
