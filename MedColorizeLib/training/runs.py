"""Run folders: what lies in one, opening it anew or again, and reading it for an export.

RUN/recipe.toml  data.json  log.csv  validation.csv  curves.png  samples/  events/  checkpoints/  best.json  probe.npy
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from ..errors import InputError, UsageError
from ..imaging.atomic import AtomicTarget, write_atomically
from . import checkpoint
from .dataset import spread
from .journal import read_table
from .lock import RunLock
from .recipe import Recipe, load_recipe

if TYPE_CHECKING:
    from ..methods.base import Method
    from .collect import Material


@contextmanager
def run_folder(run: Path) -> Iterator[None]:
    """A run's folder, locked. A start that trained nothing takes back what it put there; the next can begin."""
    made = not run.exists()
    run.mkdir(parents=True, exist_ok=True)
    try:
        with RunLock(run):
            fresh = not _left(run)
            try:
                yield
            except BaseException:
                if fresh and not checkpoint.complete(run) and not read_table(run / "log.csv"):
                    for path in _left(run):
                        shutil.rmtree(path) if path.is_dir() else path.unlink()
                raise
    finally:
        if made:
            with suppress(OSError):  # not empty: a run, or another trainer's
                run.rmdir()


def _left(run: Path) -> list[Path]:
    return [path for path in run.iterdir() if path.name != "lock"]


def open_run(run: Path, recipe: Recipe, resume: bool) -> None:
    """Make the folder of a new run, or check that a resumed one is trained by the same recipe."""
    path = run / "recipe.toml"
    if not path.exists():
        if _left(run):
            raise UsageError(f"{run} is not empty and holds no run. Choose another folder (--out).")
        write_atomically(path, recipe.to_toml())
        return
    if not resume:
        raise UsageError(f"{run} holds a run already. Continue it with --resume, or choose another folder (--out).")
    old, new = load_recipe(path).to_mapping(), recipe.to_mapping()
    changed = [
        f"{table}.{key}" for table in ("options", "data") for key in new[table] if old[table][key] != new[table][key]
    ]
    changed += [key for key in ("method", "seed") if old[key] != new[key]]
    if changed:
        raise UsageError(
            f"{run} was trained with another value of {', '.join(changed)}. Only [budget] may change in a resumed run; "
            "for anything else train into another folder."
        )
    write_atomically(path, recipe.to_toml())


def read_start(run: Path, recipe: Recipe) -> Run:
    """The run whose weights another one is to begin with; it must be one of the same method."""
    source = read_run(run)
    if source.recipe.method != recipe.method:
        raise UsageError(
            f"{run} trained '{source.recipe.method}', and its weights can't start '{recipe.method}'. Give a run of the "
            "same method with --start, or train from the beginning without it."
        )
    return source


def write_facts(run: Path, recipe: Recipe, method: Method, material: Material, start: Run | None = None) -> None:
    """data.json (counts and notes, no names) and, once, the probe on which an export compares its numbers."""
    path = run / "data.json"
    facts = {"recipe": recipe.name, "modality": material.modality, **material.facts, "method_notes": method.notes()}
    if start is None and path.is_file():
        facts["start"] = json.loads(path.read_text()).get("start")
    elif start is not None:
        name = start.facts.get("recipe", start.recipe.name)
        facts["start"] = f"begun with the weights of '{name}' at step {start.checkpoint_facts['iteration']}"
    write_atomically(path, json.dumps(facts, indent=1))
    probe = run / "probe.npy"
    if not probe.exists():
        pairs = material.validate or material.train
        if pairs.gray.places:
            grays = [pairs.plain(place, None).gray for place in spread(pairs.gray.places, 4)]
        else:
            grays = [pairs.plain(None, place).color_gray for place in spread(pairs.color.places, 4)]
        codes = np.concatenate([np.rint((gray.numpy() + 1) * 127.5).astype(np.uint8) for gray in grays])
        with AtomicTarget(probe) as target:
            np.save(target.temporary, codes)
            target.commit()


@dataclass(frozen=True)
class Run:
    """A finished or running training, read from its folder."""

    folder: Path
    recipe: Recipe
    facts: dict[str, Any]
    checkpoint: Path
    checkpoint_facts: dict[str, Any]
    best: dict[str, Any] | None

    def probe(self) -> np.ndarray:
        """A few gray stacks as codes (n, k, H, W): held-out ones where there are any."""
        return np.asarray(np.load(self.folder / "probe.npy"))

    def method(self) -> Method:
        """The method with this checkpoint's weights, for use."""
        from ..methods.registry import load_method

        made = load_method(self.recipe.method)(
            self.recipe.options, slices=self.recipe.data.slices, seed=self.recipe.seed
        )
        checkpoint.load_networks(self.checkpoint, made)
        return made.train(False)


def read_run(folder: Path, which: str = "auto") -> Run:
    """`which`: `best`, `last`, or `auto` (the best if validation marked one)."""
    folder = Path(folder)
    if not (folder / "recipe.toml").is_file():
        raise InputError(f"{folder} is not a run folder: it holds no recipe.toml. Give the --out folder of a training.")
    best = checkpoint.best(folder)
    if which == "best" and best is None:
        raise UsageError(f"No validation has marked a best checkpoint in {folder}. Use --checkpoint last.")
    if which in ("best", "auto") and best is not None:
        chosen: Path | None = checkpoint.folder_of(folder) / best["checkpoint"]
    else:
        chosen = checkpoint.newest(folder)
    if chosen is None or not chosen.is_dir():
        raise InputError(f"{folder} holds no checkpoint yet. Train on with --resume.")
    data = folder / "data.json"
    return Run(
        folder=folder,
        recipe=load_recipe(folder / "recipe.toml"),
        facts=json.loads(data.read_text()) if data.is_file() else {},
        checkpoint=chosen,
        checkpoint_facts=checkpoint.read_facts(chosen),
        best=best,
    )
