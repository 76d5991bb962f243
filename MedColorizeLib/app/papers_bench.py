"""Runs a paper's table: every row as often as the paper does, each finished run kept, so that a rerun continues.

    OUT/table.md  table.csv  table.json   after every finished run
    OUT/runs/ROW-N.json  samples/ROW-N.png
    OUT/work/                             what is being trained or coloured; emptied when all is done

Not for: what the tables are (evaluation.papers*) or the images (papers_data).
"""

from __future__ import annotations

import json
import shutil
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import ModelError, OutputError, UsageError
from ..evaluation.papers import Budget, Row, Table
from ..evaluation.papers_output import markdown, to_csv, to_document
from ..evaluation.papers_scores import RunScores, against_gray, against_truth
from ..imaging.atomic import write_atomically
from ..progress import CancelToken, OnProgress, Progress
from .papers_data import Sources, Task, make_task

if TYPE_CHECKING:
    from ..evaluation.frechet import Features
    from ..training.recipe import Recipe
    from .papers_slices import Slices

SEGMENTATION = "segmentation-unet"
VGG19 = ("weights", "vgg19_conv1_1_to_conv3_4.npz")
_SAMPLES = 4


@dataclass(frozen=True)
class Bench:
    """What to run, and where its results go."""

    table: Table
    sources: Sources
    budget: Budget
    runs: int
    out: Path
    device: str = "auto"
    pictures: int | None = None
    """Slices of each kind that a table of transfers judges; None: as the budget has it."""

    def run_all(
        self, *, resume: bool, on_progress: OnProgress | None = None, cancel: CancelToken | None = None
    ) -> dict[str, Any]:
        """Every row and run that isn't finished yet; returns what `table.json` holds."""
        self._open(resume)
        finished = read_finished(self.out, self.runs)
        todo = [(number, row) for number in range(self.runs) for row in self.table.rows]
        content: dict[str, Any] = {}
        slices: Slices | None = None
        for done, (number, row) in enumerate(todo):
            if on_progress:
                on_progress(Progress("papers", done, len(todo), f"{row.title}, run {number + 1}"))
            if cancel:
                cancel.check()
            if not any(one.run == number for one in finished.get(row.key, [])):
                if row.transfer:
                    slices = slices or self._slices(on_progress, cancel)
                    scores = self._transfer(row, number, slices, on_progress, cancel)
                else:
                    work = self.out / "work"
                    task = make_task(self.table, self.sources, self.budget, number, work, on_progress, cancel)
                    scores = self._run(row, number, task, on_progress, cancel)
                finished.setdefault(row.key, []).append(scores)
            content = self._write(finished)
        if on_progress:
            on_progress(Progress("papers", len(todo), len(todo), "done"))
        shutil.rmtree(self.out / "work", ignore_errors=True)
        return content

    def _open(self, resume: bool) -> None:
        state: dict[str, Any] = {
            "table": self.table.name,
            "budget": [self.budget.steps, self.budget.size],
            "data": [str(path) for path in (self.sources.gray, self.sources.color, self.sources.labels) if path],
        }
        if not self.table.trains:
            state["pictures"] = self._pictures()
        path = self.out / "bench.json"
        if path.is_file():
            if not resume:
                raise OutputError(
                    f"{self.out} holds a table already. Continue it with --resume, or choose another folder."
                )
            if json.loads(path.read_text()) != state:
                raise UsageError(
                    f"{self.out} was made for another table, budget or data. Use the same ones, or another folder."
                )
            return
        if self.out.is_dir() and any(self.out.iterdir()):
            raise OutputError(f"{self.out} is not empty and holds no table. Choose another folder.")
        write_atomically(path, json.dumps(state, indent=1))

    def _run(
        self, row: Row, number: int, task: Task, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> RunScores:
        from ..training.loop import train
        from ..training.runs import read_run

        name = f"{row.key}-{number + 1}"
        recipe = self._recipe(row, number, task, on_progress, cancel)
        folder = self.out / "work" / name
        began = time.monotonic()
        train(
            recipe,
            _folders(task.gray, task.color, None),
            folder,
            resume=(folder / "recipe.toml").is_file(),
            device=self.device,  # type: ignore[arg-type]
            cache=self.out / "work" / "cache",
            on_progress=on_progress,
            cancel=cancel,
        )
        seconds = time.monotonic() - began
        run = read_run(folder, "last")
        facts = {
            "recipe": row.recipe,
            "changes": dict(row.options),
            "steps": recipe.budget.iterations,
            "seconds of training": round(seconds, 1),
            "seed": number,
            "notes": run.facts.get("method_notes", []),
        }
        colored = color_pictures(run.method(), task.test_gray, cancel)
        if task.truth is not None:
            scores = against_truth(row.key, number, colored, task.truth, facts, task.notes)
        else:
            features = _inception()
            scores = against_gray(row.key, number, colored, task.test_gray, task.reference, facts, task.notes, features)
        self._sample(name, task, colored)
        write_atomically(self.out / "runs" / f"{name}.json", json.dumps(scores.to_dict()))
        shutil.rmtree(folder, ignore_errors=True)
        return scores

    def _pictures(self) -> int:
        from .papers_exemplar import pictures_of

        return self.pictures or pictures_of(self.budget)

    def _slices(self, on_progress: OnProgress | None, cancel: CancelToken | None) -> Slices:
        """What a table of transfers judges; the same for all its rows."""
        from .papers_slices import find_slices

        size, cache = self.budget.size, self.out / "work" / "cache"
        return find_slices(self.table, self.sources, size, self._pictures(), cache, on_progress, cancel)

    def _transfer(
        self, row: Row, number: int, slices: Slices, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> RunScores:
        """A row that trains nothing: each slice is coloured from its reference."""
        from .papers_exemplar import run_transfer, sheet

        name = f"{row.key}-{number + 1}"
        vgg19, work = self.sources.data.joinpath(*VGG19), self.out / "work" / name
        scores, pictures = run_transfer(row, number, slices, self.budget, vgg19, work, on_progress, cancel)
        self._save_sample(name, sheet(slices.found, pictures))
        write_atomically(self.out / "runs" / f"{name}.json", json.dumps(scores.to_dict()))
        return scores

    def _recipe(
        self, row: Row, number: int, task: Task, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> Recipe:
        options = {**row.options, **self._feature_weights(row.recipe)}
        if row.segmentation:
            options["segmentation_weights"] = str(self._segmentation(number, task, on_progress, cancel))
        return _changed(row.recipe, options, task.settings, self.budget.steps, number)

    def _feature_weights(self, recipe: str) -> dict[str, Any]:
        """Which network gives perceptual distances: the paper's where its weights are, else VGG-19 from the data."""
        from ..networks.feature_weights import find_weights
        from ..training.recipe import load_recipe

        options = load_recipe(recipe).options.to_mapping()
        if options.get("perceptual") == "none" or options.get("features_weights") != "":
            return {}
        try:
            find_weights("vgg16")
            return {}
        except ModelError:
            pass
        file = self.sources.data.joinpath(*VGG19)
        if not file.is_file():
            raise ModelError(
                f"The row's perceptual loss needs the weights of VGG-16 in torch's cache, or {file}. Put one there."
            )
        return {"features": "vgg19", "features_weights": str(file)}

    def _segmentation(
        self, number: int, task: Task, on_progress: OnProgress | None, cancel: CancelToken | None
    ) -> Path:
        """A segmentation network trained on the same subjects, once per run of the table."""
        from ..training.loop import train
        from .exporting import export_run

        folder = self.out / "work" / f"_segmentation-{number + 1}"
        bundle = folder.with_name(folder.name + "-bundle")
        if not bundle.is_dir():
            changes = task.segmentation
            settings = {**task.settings, **changes.get("data", {})}
            recipe = _changed(SEGMENTATION, changes.get("options", {}), settings, self.budget.steps, number)
            train(
                recipe,
                _folders(task.gray, None, task.labels),
                folder,
                resume=(folder / "recipe.toml").is_file(),
                device=self.device,  # type: ignore[arg-type]
                cache=self.out / "work" / "cache",
                on_progress=on_progress,
                cancel=cancel,
            )
            export_run(folder, bundle, name="segmentation", which="last")
        return bundle

    def _sample(self, name: str, task: Task, colored: NDArray[np.uint8]) -> None:
        """Gray, result and truth of a few pictures, below each other."""
        chosen = np.unique(np.linspace(0, len(colored) - 1, _SAMPLES).astype(int))
        rows = [np.repeat(task.test_gray[chosen][..., None], 3, axis=3), colored[chosen]]
        rows += [task.truth[chosen]] if task.truth is not None else []
        self._save_sample(name, np.concatenate([np.concatenate(list(row), axis=1) for row in rows], axis=0))

    def _save_sample(self, name: str, picture: NDArray[np.uint8]) -> None:
        from PIL import Image

        path = self.out / "samples" / f"{name}.png"
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(picture).save(path)

    def _write(self, finished: dict[str, list[RunScores]]) -> dict[str, Any]:
        notes = list(dict.fromkeys(note for runs in finished.values() for one in runs for note in one.data))
        text = markdown(self.table, self.budget, finished, notes, self.runs)
        samples = [
            f"**{row.title}, run {one.run + 1}**\n\n![{row.title}](samples/{row.key}-{one.run + 1}.png)\n"
            for row in self.table.rows
            for one in finished.get(row.key, [])
        ]
        if not self.table.trains:
            shown = "gray slice, reference, result"
        else:
            shown = "gray input, result" if self.table.data == "brain" else "gray input, result, truth"
        text += f"\n## Pictures\n\nFrom top to bottom: {shown}.\n\n"
        content = to_document(self.table, self.budget, finished, notes, self.runs)
        write_atomically(self.out / "table.md", text + "\n".join(samples))
        write_atomically(self.out / "table.csv", to_csv(self.table, finished))
        write_atomically(self.out / "table.json", json.dumps(content, indent=1))
        return content


def read_finished(folder: Path, runs: int) -> dict[str, list[RunScores]]:
    """What earlier calls left in a folder. A file that can't be read is run again."""
    out: dict[str, list[RunScores]] = {}
    for path in sorted((folder / "runs").glob("*.json")):
        try:
            one = RunScores.from_dict(json.loads(path.read_text()))
        except (ValueError, TypeError):
            continue
        if one.run < runs:
            out.setdefault(one.row, []).append(one)
    return out


def color_pictures(method: Any, gray: NDArray[np.uint8], cancel: CancelToken | None = None) -> NDArray[np.uint8]:
    """The network's own output for gray pictures (n, H, W), with no luminance lock: as the papers judge it."""
    import torch

    out = np.empty((*gray.shape, 3), dtype=np.uint8)
    device = next(next(iter(method.networks().values())).parameters()).device
    with torch.inference_mode():
        for n, picture in enumerate(gray):
            if cancel:
                cancel.check()
            slices = torch.from_numpy(picture.astype(np.float32) / 127.5 - 1)[None, None].to(device)
            color = method.generate(slices.repeat(1, method.slices, 1, 1)).float().clamp(-1, 1)
            out[n] = ((color[0] + 1) * 127.5).round().to(torch.uint8).permute(1, 2, 0).cpu().numpy()
    return out


def _inception() -> Features | None:
    """The space of the FID, where its weights lie in torch's cache."""
    from ..networks.inception import inception_features

    try:
        return inception_features()
    except ModelError:
        return None


def _changed(name: str, options: dict[str, Any], data: dict[str, Any], steps: int, seed: int) -> Recipe:
    """A recipe that came with the library, on this data and with this budget."""
    from ..training.recipe import load_recipe, make_recipe

    raw = load_recipe(name).to_mapping()
    budget = {"iterations": steps, "epoch": steps, "checkpoint_every": max(1, min(500, steps)), "log_every": 10}
    raw = {**raw, "seed": seed, "options": {**raw["options"], **options}, "data": {**raw["data"], **data}}
    return make_recipe({**raw, "budget": {**raw["budget"], **budget}}, name, f"recipe {name}")


def _folders(gray: Path | None, color: Path | None, labels: Path | None) -> Any:
    from ..training.collect import Folders

    return Folders(gray, color, labels)
