"""The training loop: any method, any number of processes, resumable at any moment.

What a step computes depends on the recipe, the images and the step's number alone, so an interrupted run that is
resumed ends with the weights of one that was never interrupted (bit for bit on the CPU).
"""

from __future__ import annotations

import hashlib
import math
import random
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ..errors import Cancelled, MedColorizeError, ResourceError, UsageError
from ..methods.base import Method
from ..methods.registry import load_method
from ..progress import CancelToken, OnProgress, Progress
from . import checkpoint
from .collect import Folders, Material, collect
from .dataset import spread
from .engine import Device, FabricEngine, make_fabric
from .journal import Journal
from .recipe import Recipe
from .runs import Run, open_run, read_start, run_folder, write_facts
from .validate import HIGHER_IS_BETTER, default_figure, validate


def train(
    recipe: Recipe,
    folders: Folders,
    run: Path,
    *,
    resume: bool = False,
    start: Path | None = None,
    device: Device = "auto",
    cache: Path | None = None,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> Path:
    """Train `recipe` on the images of `folders` in the run folder `run`; returns `run`.

    `start`: a run of the same method whose weights are the first ones; a resumed run has its own.
    """
    run = Path(run)
    fabric = make_fabric(device, recipe.budget.precision)
    first = fabric.is_global_zero
    if recipe.data.batch % fabric.world_size:
        raise UsageError(
            f"data.batch is {recipe.data.batch}, which {fabric.world_size} processes can't share evenly. Set it to a "
            "multiple of their number."
        )
    source = None if start is None else read_start(start, recipe)
    with run_folder(run) if first else nullcontext():
        if first:
            open_run(run, recipe, resume)
        kind = load_method(recipe.method)
        material = None
        for turn in range(2):  # the first process fills the cache, the others then find everything there
            if (turn == 0) == first:
                material = collect(
                    recipe, folders, paired=kind.learns_from_pairs(recipe.options),
                    segmentation=kind.kind == "segmentation", cache=cache,
                    on_progress=on_progress if first else None, cancel=cancel,
                )  # fmt: skip
            fabric.barrier()
        if material is None:
            raise AssertionError("every process collects in one of the two turns")
        seed_step(recipe.seed, 0, 0)
        method = kind(
            recipe.options, slices=recipe.data.slices, seed=recipe.seed * fabric.world_size + fabric.global_rank
        )
        if source is not None:
            checkpoint.load_networks(source.checkpoint, method, some=True)
        method.to(fabric.device).train()
        trainer = Trainer(recipe, method, material, run, fabric, on_progress if first else None, cancel)
        try:
            trainer.start(resume, source)
            trainer.run_all()
        except (RuntimeError, MemoryError) as error:
            raise _explained(error, recipe, trainer) from error
        finally:
            trainer.close()
    return run


@dataclass
class Trainer:
    """The state of a running training, and its steps."""

    recipe: Recipe
    method: Method
    material: Material
    run: Path
    fabric: Any
    on_progress: OnProgress | None = None
    cancel: CancelToken | None = None
    iteration: int = 0
    saved: int = -1
    best: float | None = None
    without_gain: int = 0
    sums: dict[str, float] = field(default_factory=dict)
    journal: Journal | None = None

    def __post_init__(self) -> None:
        budget = self.recipe.budget
        self.engine = FabricEngine(self.fabric, budget.accumulate)
        self.schedulers = self.method.schedulers(budget.iterations)
        share = self.recipe.data.batch // self.fabric.world_size
        self.indices = range(self.fabric.global_rank * share, (self.fabric.global_rank + 1) * share)
        usable = self.material.train
        slices = len(usable.gray.places) if usable.gray.by_level and not usable.paired else len(usable.color.places)
        self.epoch = budget.epoch or max(1, (slices or len(usable.gray.places)) // self.recipe.data.batch)
        self.figure = default_figure(self.method) if budget.keep == "auto" else budget.keep
        self._torch = (
            torch.are_deterministic_algorithms_enabled(),
            torch.is_deterministic_algorithms_warn_only_enabled(),
        )
        torch.use_deterministic_algorithms(True, warn_only=True)

    def start(self, resume: bool, source: Run | None = None) -> None:
        """From the newest checkpoint, or from the beginning (which is a checkpoint too)."""
        folder = checkpoint.newest(self.run) if resume else None
        if folder is not None:
            facts, state = checkpoint.load(folder, self.method, self.fabric)
            if facts["fingerprint"] != self.material.facts["fingerprint"]:
                raise UsageError(
                    f"The images are not those that {self.run} was trained on (files or their dates differ). Restore "
                    "them, or train into another folder."
                )
            extra = checkpoint.restore_trainer(self.method, self.schedulers, state)
            self.iteration, self.best, self.without_gain = facts["iteration"], extra["best"], extra["without_gain"]
            self.sums = dict(extra["sums"])
            self.saved = self.iteration
            if facts["better"] and self.fabric.is_global_zero:  # a kill may have come between the two
                checkpoint.mark_best(self.run, folder, self.figure, facts["figures"][self.figure])
        if self.fabric.is_global_zero:
            write_facts(self.run, self.recipe, self.method, self.material, None if self.iteration else source)
            self.journal = Journal(self.run, self.iteration)

    def run_all(self) -> None:
        """Steps, validations and checkpoints until the budget is spent."""
        budget = self.recipe.budget
        begin, began = self.iteration, time.monotonic()
        self._tell("starting", {})
        while self.iteration < budget.iterations:
            figures = self._step()
            self.iteration += 1
            figures, stop = self.engine.agree(figures, bool(self.cancel and self.cancel.cancelled))
            self._refuse_nan(figures)
            speed = (self.iteration - begin) / max(time.monotonic() - began, 1e-9)
            self._log(figures, speed)
            at_epoch = self.iteration % self.epoch == 0 or self.iteration == budget.iterations
            validated = self._validate() if at_epoch else {}
            if budget.samples_every and self.iteration % budget.samples_every == 0 and not at_epoch:
                self._samples()
            if self._is_better(validated) or stop or at_epoch or self.iteration % budget.checkpoint_every == 0:
                self._save(validated)
            if stop:
                raise Cancelled(f"Stopped after step {self.iteration}. Nothing is lost: continue with --resume.")
            if budget.patience and self.without_gain >= budget.patience:
                self._tell(f"no gain in {budget.patience} validations: stopped", {})
                break
        if self.saved != self.iteration:
            self._save({})
        if self.fabric.is_global_zero:
            write_facts(self.run, self.recipe, self.method, self.material)  # its notes may have grown

    def _step(self) -> dict[str, float]:
        budget = self.recipe.budget
        sums: dict[str, float] = {}
        for part in range(budget.accumulate):
            self.engine.accumulating = part < budget.accumulate - 1
            number = self.iteration * budget.accumulate + part
            seed_step(self.recipe.seed, number + 1, self.fabric.global_rank)
            batch = self.material.train.batch(number, self.indices).to(self.fabric.device)
            for name, value in self.method.step(batch, self.engine).items():
                sums[name] = sums.get(name, 0.0) + value / budget.accumulate
        for scheduler in self.schedulers.values():
            scheduler.step()
        return sums

    def _refuse_nan(self, figures: Mapping[str, float]) -> None:
        for name, value in figures.items():
            if not math.isfinite(value):
                raise ResourceError(
                    f"Training has diverged: the loss '{name}' is {value} at step {self.iteration}. {self.kept()} "
                    "Start again with a smaller learning rate, or in fp32."
                )

    def kept(self) -> str:
        """What an error may promise."""
        if self.saved < 0:
            return "There is no checkpoint yet."
        return f"The last good checkpoint (step {self.saved}) is kept."

    def _log(self, figures: Mapping[str, float], speed: float) -> None:
        for name, value in figures.items():
            self.sums[name] = self.sums.get(name, 0.0) + value
        every = self.recipe.budget.log_every
        left = (self.recipe.budget.iterations - self.iteration) / max(speed, 1e-9)
        self._tell("", {**figures, "steps_per_second": speed, "seconds_left": left})
        if self.iteration % every == 0:
            means = {name: value / every for name, value in self.sums.items()}
            self.sums = {}
            if self.journal:
                rates = [group["lr"] for each in self.method.optimizers().values() for group in each.param_groups]
                self.journal.losses(
                    self.iteration, {**means, "learning_rate": rates[0] if rates else 0.0, "steps_per_second": speed}
                )

    def _tell(self, message: str, figures: Mapping[str, float]) -> None:
        if self.on_progress:
            self.on_progress(Progress("train", self.iteration, self.recipe.budget.iterations, message, dict(figures)))

    def _validate(self) -> dict[str, float]:
        """On the first process; the others learn the outcome, since it decides about stopping."""
        held, figures = self.material.validate, {}
        if held is not None and self.fabric.is_global_zero:
            self.method.train(False)
            figures = validate(self.method, held, self.material.train, self.fabric.device)
            self.method.train()
        if self.fabric.world_size > 1:
            figures = self.fabric.broadcast(figures)
        if self.journal and figures:
            self.journal.validated(self.iteration, figures)
        self._samples()
        return figures

    def _samples(self) -> None:
        if not self.journal:
            return
        pairs = self.material.validate or self.material.train
        gray: list[tuple[int, int] | None] = [*spread(pairs.gray.places, 4)] or [None]
        color: list[tuple[int, int] | None] = [*spread(pairs.color.places, 4)] or [None]
        columns: dict[str, list[torch.Tensor]] = {}
        for n in range(max(len(gray), len(color))):
            batch = pairs.plain(gray[n % len(gray)], color[n % len(color)]).to(self.fabric.device)
            with torch.no_grad():
                for title, picture in self.method.samples(batch).items():
                    columns.setdefault(title, []).append(picture[:1])
        self.journal.samples(self.iteration, {title: torch.cat(each) for title, each in columns.items()})
        self.method.train()

    def _is_better(self, figures: Mapping[str, float]) -> bool:
        value = figures.get(self.figure)
        if value is None or not math.isfinite(value):
            return False
        sign = 1 if HIGHER_IS_BETTER.get(self.figure, False) else -1
        return self.best is None or sign * value > sign * self.best

    def _save(self, figures: Mapping[str, float]) -> None:
        better = self._is_better(figures)
        if better:
            self.best, self.without_gain = figures[self.figure], 0
        elif figures:
            self.without_gain += 1
        state = checkpoint.trainer_state(
            self.method, self.schedulers, {"best": self.best, "without_gain": self.without_gain, "sums": self.sums}
        )
        facts = {
            "recipe": self.recipe.name, "method": self.recipe.method, "figures": dict(figures),
            "better": better, "fingerprint": self.material.facts["fingerprint"],
        }  # fmt: skip
        folder = checkpoint.save(self.run, self.iteration, self.method, state, facts, self.fabric)
        self.saved = self.iteration
        if self.fabric.is_global_zero:
            if better:
                checkpoint.mark_best(self.run, folder, self.figure, figures[self.figure])
            checkpoint.prune(self.run)

    def close(self) -> None:
        """Leave the journal complete and torch as it was."""
        torch.use_deterministic_algorithms(self._torch[0], warn_only=self._torch[1])
        if self.journal:
            self.journal.close()


def seed_step(seed: int, number: int, rank: int) -> None:
    """Make all randomness of a step a function of its number, so that there is no generator state to lose."""
    digest = hashlib.sha256(f"{seed}/{number}/{rank}".encode()).digest()
    value = int.from_bytes(digest[:4], "little")
    torch.manual_seed(value)
    random.seed(value)
    np.random.seed(value)


def _explained(error: Exception, recipe: Recipe, trainer: Trainer) -> Exception:
    """Memory that gave out, in words; anything else as it is."""
    if isinstance(error, MedColorizeError):
        return error
    text = str(error)
    short = (
        isinstance(error, (MemoryError, torch.OutOfMemoryError))
        or "not enough memory" in text
        or "can't allocate memory" in text
    )
    if not short:
        return error
    return ResourceError(
        f"Memory gave out at step {trainer.iteration + 1} (batch {recipe.data.batch}, {recipe.data.size} pixels). "
        f"{trainer.kept()} Use a smaller data.batch (with budget.accumulate to make up for it), a smaller data.size, "
        "or budget.precision = bf16."
    )


def note_of_budget(recipe: Recipe) -> str:
    """The budget said aloud, for reports and model cards."""
    budget, data = recipe.budget, recipe.data
    return (
        f"{budget.iterations} steps of batch {data.batch * budget.accumulate} at {data.size}x{data.size} pixels"
        f"{f' of {data.spacing:g} mm' if data.spacing else ''}, {budget.precision}"
    )
