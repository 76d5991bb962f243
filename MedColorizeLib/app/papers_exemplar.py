"""Runs a row of Zeng's tables: every slice coloured from its reference, each finished picture kept for a resume.

Not for: which slices (`papers_slices`), scores (`evaluation.papers_scores`), or the loop over rows (`papers_bench`).
"""

from __future__ import annotations

import io
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError
from ..evaluation.papers import Budget, Row
from ..evaluation.papers_scores import RunScores, against_slices
from ..imaging.atomic import write_atomically
from ..progress import CancelToken, OnProgress, Progress
from .papers_slices import Slice, Slices

if TYPE_CHECKING:
    from ..exemplar.base import Transfer

Codes = NDArray[np.uint8]
_OPTIMISING = ("zeng", "mrf-cnn", "dpst", "adpst")


def pictures_of(budget: Budget) -> int:
    """Slices of each kind that a budget judges."""
    return {"tiny": 1, "small": 2, "medium": 6, "paper": 100}.get(budget.name, 2)


def run_transfer(
    row: Row,
    number: int,
    slices: Slices,
    budget: Budget,
    vgg19: Path,
    work: Path,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> tuple[RunScores, Codes]:
    """The row's scores, and its pictures (n, size, size, 3)."""
    from ..exemplar.registry import load_transfer

    kind = load_transfer(row.transfer)
    shared, said = budgeted(row.transfer, budget, vgg19)
    transfer = kind(kind.Options.from_mapping({**row.options, **shared}))
    work.mkdir(parents=True, exist_ok=True)
    colored, seconds = [], []
    for place, one in enumerate(slices.found):
        if cancel:
            cancel.check()
        if on_progress:
            on_progress(Progress("transfer", place, len(slices.found), f"{row.title}: {one.name}"))
        kept = work / f"{place:03d}.npz"
        if not kept.is_file():
            began = time.monotonic()
            found = own_luma(transfer, transfer.transfer(one.gray, one.reference, cancel=cancel))
            picture = np.clip(np.rint(found), 0, 255).astype(np.uint8)
            _keep(kept, picture, time.monotonic() - began)
        with np.load(kept) as archive:
            colored.append(archive["picture"])
            seconds.append(float(archive["seconds"]))
    facts: dict[str, Any] = {
        "transfer": row.transfer,
        "changes": dict(row.options),
        "seconds a picture": round(float(np.mean(seconds)), 2),
        "groups": [one.group for one in slices.found],
        "notes": [*said, *transfer.notes()],
    }
    pictures, gray = np.stack(colored), np.stack([one.gray for one in slices.found])
    return against_slices(row.key, number, pictures, gray, facts, slices.notes), pictures


def own_luma(transfer: Transfer, found: NDArray[np.float32]) -> NDArray[np.float32]:
    """What is judged: for Zeng the optimised picture itself, before its imaging module puts the slice's Y back."""
    from ..exemplar.zeng import Zeng
    from ..exemplar.zeng_objective import picture_array

    return picture_array(transfer.outcomes[-1].picture) if isinstance(transfer, Zeng) else found


def _keep(path: Path, picture: Codes, seconds: float) -> None:
    stream = io.BytesIO()
    np.savez_compressed(stream, picture=picture, seconds=seconds)
    write_atomically(path, stream.getvalue())


def budgeted(name: str, budget: Budget, vgg19: Path) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Iterations, size and weights for the transfers that optimise, and what to say about them.

    The paper's budget leaves every transfer its published schedule; smaller ones share the iterations out, and start
    from the slice, since from noise nothing is to be seen after a few of them.
    """
    if name not in _OPTIMISING:
        return {}, ()
    options: dict[str, Any] = {"size": budget.size, "weights_file": _weights(vgg19)}
    if budget.name == "paper":
        return ({**options, "schedule": "published"} if name == "zeng" else options), ()
    half, third = max(1, budget.steps // 2), max(1, budget.steps // 3)
    if name == "zeng":
        options |= {"iterations": budget.steps}
        return options, ("The fast schedule, which ends sooner on a plateau.",)
    if name == "dpst":
        options |= {"iterations": half, "start_iterations": half, "start": "slice"}
        return options, ("It starts from the slice, not from noise.",)
    options |= {"iterations": third if name == "mrf-cnn" else budget.steps}
    return options, ()


def _weights(vgg19: Path) -> str:
    """torchvision's file where it is at hand (an empty name), else the one of the data."""
    from ..networks.feature_weights import find_weights

    try:
        find_weights("vgg19")
    except ModelError:
        if not vgg19.is_file():
            raise ModelError(f"The table needs the weights of VGG-19 in torch's cache, or {vgg19}.") from None
        return str(vgg19)
    return ""


def sheet(slices: Sequence[Slice], pictures: Codes, most: int = 6) -> Codes:
    """Slice, reference and result of a few pictures, below each other."""
    from ..exemplar.pictures import fitted

    chosen = np.unique(np.linspace(0, len(slices) - 1, most).astype(int))
    size = pictures.shape[1:3]
    rows = (
        [np.repeat(slices[n].gray[..., None], 3, axis=2) for n in chosen],
        [fitted(slices[n].reference, (size[0], size[1])) for n in chosen],
        [pictures[n] for n in chosen],
    )
    return np.concatenate([np.concatenate(row, axis=1) for row in rows], axis=0)
