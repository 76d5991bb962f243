"""The names under which the transfers are known, and where each lives. Listing them imports none of them."""

from __future__ import annotations

import difflib
import importlib
from dataclasses import dataclass

from ..errors import UsageError
from .base import Transfer


@dataclass(frozen=True)
class Entry:
    """One transfer: where it lives, and what a list shows of it."""

    target: str
    """`module:Class`, the module relative to this package."""
    title: str
    paper: str
    summary: str


_ENTRIES: dict[str, Entry] = {
    "zeng": Entry(
        "zeng:Zeng",
        "Adaptive deep colour perception",
        "Zeng et al. 2020, IEEE Access 8:56559",
        "optimises the slice: VGG-19 content, Y-loss, masked Gram colour loss, local feature mapping",
    ),
    "welsh": Entry(
        "transfers.welsh:Welsh",
        "TCGI",
        "Welsh et al. 2002, SIGGRAPH",
        "best match of luminance and neighbourhood deviation among samples of the reference",
    ),
    "ctccs": Entry(
        "transfers.ctccs:CorrelatedColorSpace",
        "CTCCS",
        "Xiao & Ma 2006, VRCIA",
        "mean and covariance of the reference's RGB",
    ),
    "ictede": Entry(
        "transfers.ictede:ColorCombination",
        "ICTEDE",
        "He et al. 2015",
        "moves the slice towards the colour combination nearest the reference's main colours",
    ),
    "cpami": Entry(
        "transfers.cpami:DensityPeaks",
        "CPAMI",
        "Zeng et al. 2019",
        "hierarchical density-peak clusters of pixels, coloured through their representatives",
    ),
    "mrf-cnn": Entry(
        "transfers.mrf_cnn:MrfCnn",
        "MRF-CNN",
        "Li & Wand 2016, CVPR",
        "optimises the slice: nearest neural patches of the reference",
    ),
    "dpst": Entry(
        "transfers.dpst:DeepPhotoStyle",
        "Deep photo style transfer",
        "Luan et al. 2017, CVPR",
        "optimises the slice: masked Gram style with the matting Laplacian",
    ),
    "adpst": Entry(
        "transfers.adpst:AutomatedDeepPhotoStyle",
        "Automated deep photo style transfer",
        "Penhouet & Sanzenbacher 2019",
        "deep photo style with masks found automatically",
    ),
}


def transfer_names() -> list[str]:
    """Every known name, the paper's own method first."""
    return list(_ENTRIES)


def describe(name: str) -> Entry:
    """Title, paper and one-line summary of a transfer."""
    try:
        return _ENTRIES[name]
    except KeyError:
        near = difflib.get_close_matches(name.lower(), _ENTRIES, n=1)
        hint = f"Did you mean '{near[0]}'?" if near else f"Known transfers: {', '.join(_ENTRIES)}."
        raise UsageError(f"There is no transfer named '{name}'. {hint}") from None


def load_transfer(name: str) -> type[Transfer]:
    """The class of a transfer; those that optimise import torch."""
    module, _, attribute = describe(name).target.partition(":")
    loaded: type[Transfer] = getattr(importlib.import_module(f".{module}", __package__), attribute)
    return loaded
