"""Figures of Docs/Exemplar.md: retrieval among 100,000 references, the fast schedule beside the published, volumes.

    python Testing/Benchmarks/exemplar_speed.py retrieval
    python Testing/Benchmarks/exemplar_speed.py schedule GRAY --reference PICTURE --weights VGG19 --work DIR
    python Testing/Benchmarks/exemplar_speed.py volume GRAY --reference PICTURE --weights VGG19 --work DIR

`schedule` runs both on the same slice in one process and counts processor time. The published 1000 iterations a stage
take about half an hour on one core: what is done is kept in `--work`, and after a stop the same command goes on.
`volume` colours a whole scan into DIR/color.nrrd and sets its processor time beside that of one published slice, if
DIR holds one of `schedule`. Finished key slices are kept too.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np


def retrieval(pictures: int = 100_000, rounds: int = 50) -> dict[str, Any]:
    """What finding the five nearest of so many random hashes takes; wall time is that of this computer as it is."""
    from MedColorizeLib.exemplar.library import SCHEMA, ReferenceLibrary
    from MedColorizeLib.exemplar.library_update import _TABLES, _pack

    rng = np.random.default_rng(0)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "library.sqlite")
        with closing(sqlite3.connect(path)) as database:
            database.executescript(_TABLES)
            database.execute("INSERT INTO facts VALUES ('schema', ?)", (SCHEMA,))
            database.execute("INSERT INTO folders (folder, background) VALUES ('pictures', 'keep')")
            hashes = rng.integers(0, 2**64, pictures, dtype=np.uint64)
            database.executemany(
                "INSERT INTO pictures (folder_number, name, bytes, modified, sha256, dhash) VALUES (1, ?, 1, 1, '', ?)",
                ((f"{n}.png", int(value).to_bytes(8, "little")) for n, value in enumerate(hashes)),
            )
            _pack(database)
            database.commit()
        began = time.process_time()
        library = ReferenceLibrary(path)
        opened = time.process_time() - began
        gray = rng.integers(0, 256, (256, 256), dtype=np.uint8)
        library.nearest(gray)
        processor, wall = [], []
        for _ in range(rounds):
            began, began_wall = time.process_time(), time.perf_counter()
            library.nearest(gray)
            processor.append(1000 * (time.process_time() - began))
            wall.append(1000 * (time.perf_counter() - began_wall))
    return {
        "pictures": pictures,
        "open_ms": 1000 * opened,
        "find_ms_processor": {"median": float(np.median(processor)), "worst": max(processor)},
        "find_ms_wall": {"best": min(wall), "median": float(np.median(wall)), "worst": max(wall)},
    }


def schedule(arguments: argparse.Namespace) -> dict[str, Any]:
    """Final objective and processor time of both schedules on one slice; each finished part is kept in `--work`."""
    from MedColorizeLib.exemplar.pictures import fitted, resized
    from MedColorizeLib.exemplar.zeng import Zeng, ZengOptions
    from MedColorizeLib.exemplar.zeng_objective import picture_tensor

    gray, reference = _gray(arguments.gray), _reference(arguments)
    plane = _square(gray[arguments.slice if arguments.slice is not None else len(gray) // 2])
    options = {"weights_file": str(arguments.weights), "size": arguments.size}
    judge = Zeng(ZengOptions(**options))
    shape = judge._working_shape(plane.shape)
    objective = judge.objective(resized(plane, shape), fitted(reference, shape))
    found: dict[str, Any] = {
        "shape": list(shape),
        "notes": list(judge.notes()),
        "fast": _kept(arguments.work / "fast.json", lambda: _fast(options, plane, reference, objective)),
    }
    print(json.dumps(found["fast"]), file=sys.stderr, flush=True)
    if arguments.only == "fast":
        return found
    stages = _published(objective, shape, arguments)
    found["published"] = {
        "objective": objective.report(picture_tensor(stages[-1].pop("picture"))),
        "seconds": sum(stage["seconds"] for stage in stages),
        "stages": stages,
    }
    published, mine = found["published"], found["fast"]
    found["times_faster"] = published["seconds"] / mine["seconds"]
    found["times_faster_than_second_stage"] = published["stages"][1]["seconds"] / mine["seconds"]
    found["objective_ratio"] = mine["objective"]["total"] / published["objective"]["total"]
    return found


def _kept(path: Path, make: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What `path` holds; made first if there is nothing."""
    if not path.is_file():
        path.write_text(json.dumps(make()))
    held: dict[str, Any] = json.loads(path.read_text())
    return held


def _fast(options: dict[str, Any], plane: Any, reference: Any, judge: Any) -> dict[str, Any]:
    from MedColorizeLib.exemplar.zeng import Zeng, ZengOptions

    began = time.process_time()
    fast = Zeng(ZengOptions(**options))
    fast.features()
    loaded = time.process_time()
    fast.transfer(plane, reference)
    (outcome,) = fast.outcomes
    return {
        "objective": judge.report(outcome.picture),
        "seconds": outcome.seconds,
        "seconds_with_all_else": time.process_time() - loaded,
        "seconds_loading_the_net": loaded - began,
        "iterations": outcome.iterations,
        "evaluations": outcome.evaluations,
        "trace": outcome.trace,
    }


def _published(objective: Any, shape: tuple[int, int], arguments: argparse.Namespace) -> list[dict[str, Any]]:
    """Both published stages, gone on with where an earlier run was stopped; the last one's `picture` is with it."""
    from exemplar_recorded import Recorded

    from MedColorizeLib.exemplar import zeng_schedule, zeng_start
    from MedColorizeLib.exemplar.zeng_objective import picture_array, picture_tensor

    picture = zeng_start.noise(shape, 0)
    stages: list[dict[str, Any]] = []
    for stage in ("style", "full"):
        kept, told = arguments.work / f"published-{stage}.npy", arguments.work / f"published-{stage}.json"
        if not told.is_file():
            recorded = Recorded(objective, arguments.work / f"published-{stage}.evaluations", (1, 3, *shape))
            outcome = zeng_schedule.minimise(
                recorded,  # type: ignore[arg-type]
                picture,
                stage=stage,  # type: ignore[arg-type]
                iterations=arguments.iterations,
                after_iteration=lambda recorded=recorded, stage=stage: _said(stage, recorded),
            )
            np.save(kept, picture_array(outcome.picture))
            told.write_text(
                json.dumps(
                    {
                        "stage": stage,
                        "iterations": outcome.iterations,
                        "evaluations": outcome.evaluations,
                        "seconds": recorded.seconds,
                        "trace": outcome.trace,
                    }
                )
            )
            recorded.discard()
        stages.append(json.loads(told.read_text()))
        trace = stages[-1].pop("trace")
        stages[-1]["objective_after"] = {str(n): trace[n - 1][1] for n in (50, 100, 200, 500, 1000) if n <= len(trace)}
        picture = picture_tensor(np.load(kept))
    stages[-1]["picture"] = np.load(kept)
    return stages


def volume(arguments: argparse.Namespace) -> dict[str, Any]:
    """Processor time of a whole scan, key slice by key slice; those of earlier, stopped runs count as they were."""
    from MedColorizeLib.app.exemplar_job import ExemplarJob, make_painter, plan_keys
    from MedColorizeLib.app.pipeline import ColorizeJob, colorize_file

    began = time.process_time()
    job = ExemplarJob(
        arguments.gray,
        reference=arguments.reference,
        background=arguments.background,
        options={"weights_file": str(arguments.weights), "size": arguments.size},
        work=arguments.work / "keys",
    )
    plan = plan_keys(job)
    told = arguments.work / "volume-keys.json"
    seconds: dict[str, float] = _kept(told, dict)
    now = {"done": 0, "since": 0.0, "keys": 0.0}

    def each(event: Any) -> None:
        if event.stage != "key slices" or event.done == now["done"]:
            now["since"] = now["since"] or time.process_time()
            return
        spent = time.process_time() - now["since"]
        # A key that an earlier run had finished takes nothing now: what it took then holds.
        seconds[str(now["done"])] = max(spent, seconds.get(str(now["done"]), 0.0))
        now.update(done=event.done, since=time.process_time(), keys=now["keys"] + spent)
        told.write_text(json.dumps(seconds))
        print(f"key {event.done} of {event.total}: {spent:.1f} s", file=sys.stderr, flush=True)

    painter = make_painter(job, plan, None, each)
    written = ColorizeJob(input=arguments.gray, output=arguments.work / "color.nrrd", overwrite=True)
    outcome = colorize_file(written, painter=painter)
    rest = time.process_time() - began - now["keys"]
    found: dict[str, Any] = {
        "shape": list(_gray(arguments.gray).shape),
        "key_slices": len(plan.positions),
        "seconds_of_keys": sum(seconds.values()),
        "seconds_of_all_else": rest,
        "seconds": sum(seconds.values()) + rest,
        "notes": outcome.notes,
    }
    stages = [arguments.work / f"published-{stage}.json" for stage in ("style", "full")]
    if all(path.is_file() for path in stages):
        published = [json.loads(path.read_text())["seconds"] for path in stages]
        found["times_one_published_slice"] = found["seconds"] / sum(published)
        found["times_the_second_published_stage"] = found["seconds"] / published[1]
    return found


def _said(stage: str, recorded: Any) -> None:
    if recorded.evaluations % 50 == 0:
        print(f"{stage}: {recorded.evaluations} evaluations, {recorded.seconds:.0f} s", file=sys.stderr, flush=True)


def _gray(path: Path) -> Any:
    from MedColorizeLib.imaging.read import read_volume
    from MedColorizeLib.imaging.windows import choose_window, codes

    volume = read_volume(path)
    return codes(volume.array, choose_window(volume, None))


def _square(plane: Any) -> Any:
    """The slice with black beside it: the published schedule is for 224 x 224."""
    short = max(plane.shape) - np.array(plane.shape)
    return np.pad(plane, [(n // 2, n - n // 2) for n in short])


def _reference(arguments: argparse.Namespace) -> Any:
    from MedColorizeLib.exemplar.pictures import read_picture

    return read_picture(arguments.reference, arguments.background)


def main() -> None:
    """Run what the command line asks for, and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("retrieval", "schedule", "volume"))
    parser.add_argument("gray", nargs="?", type=Path)
    parser.add_argument("--slice", type=int)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--background", default="cryosection", choices=("keep", "cryosection"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--work", type=Path, help="folder for what is done")
    parser.add_argument("--size", type=int, default=224)
    parser.add_argument("--only", choices=("fast",), help="schedule: leave the published one out")
    parser.add_argument("--iterations", type=int, default=1000, help="of each published stage")
    arguments = parser.parse_args()
    if arguments.what == "retrieval":
        found = retrieval()
    else:
        arguments.work.mkdir(parents=True, exist_ok=True)
        found = schedule(arguments) if arguments.what == "schedule" else volume(arguments)
    print(json.dumps(found, indent=2))


if __name__ == "__main__":
    main()
