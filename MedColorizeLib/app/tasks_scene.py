"""What the worker can do with volumes that lie in the scene already: show where a model is unsure, train on them.

Not for: colouring and everything else (`tasks.py`, which lists these, too).
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..imaging.volume import Volume
from ..progress import CancelToken, OnProgress, track
from . import protocol

DOMAINS = ("gray", "color", "labels")


def uncertainty(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Where the model of a coloured volume is unsure, into `uncertainty.npy`, with the figures to show it by."""
    from ..imaging.foreground import soft_mask
    from ..imaging.windows import choose_window
    from .tasks import _colorizer, _window

    volume = protocol.load_volume(folder, request["volume"])
    colorizer = _colorizer(request)
    made_by, here = request.get("model_sha256"), colorizer.painter_for(volume).describe().get("model_sha256")
    if made_by and made_by != here:
        raise InputError(
            f"The installed model '{request['model']['name']}' is not the one that coloured this volume (its weights "
            "differ). Colour the volume again, or install the model that was used."
        )
    window = choose_window(volume, _window(request))
    found = colorizer.uncertainty(volume, window=window, on_progress=on_progress, cancel=cancel)
    out = protocol.ArrayFile(folder / "uncertainty.npy", found.shape, np.float32)
    try:
        for k in range(found.shape[0]):
            out.write(found[k])
    finally:
        out.close()
    mask = soft_mask(volume.array, window, volume.spacing)
    body = np.concatenate([found[k][mask.slab(k, k + 1)[0] > 127] for k in range(0, found.shape[0], 2)])
    high = float(np.percentile(body, 99)) if body.size else 0.0
    return {
        "file": "uncertainty.npy",
        "affine": volume.affine.tolist(),
        "median": float(np.median(body)) if body.size else 0.0,
        "high": high,
    }


def train(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Train, or go on with a run; what is seen on the way lies in the run folder."""
    from ..training import loop
    from ..training.collect import Folders
    from ..training.recipe import load_recipe
    from ..training.runs import read_run

    changes = list(request.get("changes", []))
    recipe = load_recipe(request["recipe"], changes=changes)
    if request.get("modality") and not recipe.data.modality:
        recipe = load_recipe(request["recipe"], changes=[*changes, f"data.modality={request['modality']}"])
    run = Path(request["run"])
    with source_folders(request, folder, run, on_progress, cancel) as places:
        loop.train(
            recipe,
            Folders(*places),
            run,
            resume=bool(request.get("resume")),
            device=request.get("device", "auto"),
            on_progress=on_progress,
            cancel=cancel,
        )
    done = read_run(run)
    return {"run": str(run), "step": done.checkpoint_facts["iteration"], "notes": done.facts.get("notes", [])}


@contextmanager
def source_folders(
    request: dict[str, Any], folder: Path, run: Path, on_progress: OnProgress, cancel: CancelToken
) -> Iterator[list[Path | None]]:
    """The gray, colour and label folder to train on. Volumes of the scene lie in `scene_folder` until the end.

    A run knows its images by path, size and time (so that it resumes on the same ones only): the path is always the
    same, and the time is made from the voxels.
    """
    scene: dict[str, list[dict[str, Any]]] = request.get("scene") or {}
    places = {name: Path(request[name]) if request.get(name) else None for name in DOMAINS}
    target = scene_folder(run)
    shutil.rmtree(target, ignore_errors=True)  # of a run that was killed
    try:
        wanted = [(name, entry) for name in DOMAINS for entry in scene.get(name, ())]
        for name, entry in track(wanted, "prepare", len(wanted), on_progress, cancel) if wanted else ():
            places[name] = target / name
            (target / name).mkdir(parents=True, exist_ok=True)
            _write_source(name, entry, folder, target / name / entry["name"])
        yield [places[name] for name in DOMAINS]
    finally:
        shutil.rmtree(target, ignore_errors=True)


def scene_folder(run: Path) -> Path:
    """Where volumes of the scene lie while they are trained on: beside the run folder, which must begin empty."""
    return run.absolute().with_name(f".{run.name}-scene-volumes")


def _write_source(domain: str, entry: dict[str, Any], folder: Path, stem: Path) -> None:
    from ..imaging.write import write_color, write_volume

    if domain == "color":
        color = protocol.load_color(folder, entry)
        path = write_color(stem.with_name(stem.name + ".nrrd"), color)
        voxels = Volume(color.array, color.affine)
    else:
        voxels = protocol.load_volume(folder, entry)
        path = write_volume(stem.with_name(stem.name + ".mha"), voxels)
    stamp = int(voxels.sha256[:14], 16)  # nanoseconds: within the first year of the epoch, so no clock writes it
    os.utime(path, ns=(stamp, stamp))
