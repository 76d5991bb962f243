"""Figures of Docs/Exemplar.md: retrieval among 100,000 references, and the fast schedule against the published one.

    python Testing/Benchmarks/exemplar_speed.py retrieval
    python Testing/Benchmarks/exemplar_speed.py schedule GRAY --reference PICTURE --weights VGG19 [--iterations N]

`schedule` runs both on the same slice in one process and counts processor time. With the published 1000 iterations a
stage it takes about half an hour on one core; `--iterations` is the fraction that was run, and is printed.
"""

from __future__ import annotations

import argparse
import json
import sqlite3
import tempfile
import time
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np


def retrieval(pictures: int = 100_000, rounds: int = 50) -> dict[str, Any]:
    """Median processor time of finding the five nearest of so many random hashes, and of opening such a library."""
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
        times = []
        for _ in range(rounds):
            began = time.process_time()
            library.nearest(gray)
            times.append(time.process_time() - began)
    median, worst = 1000 * float(np.median(times)), 1000 * max(times)
    return {"pictures": pictures, "open_ms": 1000 * opened, "find_ms_median": median, "find_ms_worst": worst}


def schedule(arguments: argparse.Namespace) -> dict[str, Any]:
    """Final objective and processor time of both schedules on the middle slice."""
    from MedColorizeLib.exemplar.pictures import fitted, read_picture, resized
    from MedColorizeLib.exemplar.zeng import Zeng, ZengOptions
    from MedColorizeLib.imaging.read import read_volume
    from MedColorizeLib.imaging.windows import choose_window, codes

    volume = read_volume(arguments.gray)
    gray = codes(volume.array, choose_window(volume, None))
    plane = gray[arguments.slice if arguments.slice is not None else len(gray) // 2]
    reference = read_picture(arguments.reference, arguments.background)
    found: dict[str, Any] = {"iterations_allowed": arguments.iterations}
    judge = Zeng(ZengOptions(weights_file=str(arguments.weights)))
    shape = judge._working_shape(plane.shape)
    objective = judge.objective(resized(plane, shape), fitted(reference, shape))
    for name in ("fast", "published"):
        allowed = arguments.iterations if name == "published" else 1000
        zeng = Zeng(ZengOptions(weights_file=str(arguments.weights), schedule=name, iterations=allowed))
        zeng.features()
        zeng.transfer(plane, reference)
        found[name] = {
            "objective": objective.report(zeng.outcomes[-1].picture),
            "seconds": sum(outcome.seconds for outcome in zeng.outcomes),
            "iterations": [outcome.iterations for outcome in zeng.outcomes],
            "evaluations": [outcome.evaluations for outcome in zeng.outcomes],
        }
    fast, published = found["fast"], found["published"]
    found["times_faster"] = published["seconds"] / fast["seconds"]
    found["objective_ratio"] = fast["objective"]["total"] / published["objective"]["total"]
    found["notes"] = zeng.notes()
    return found


def main() -> None:
    """Run what the command line asks for, and print it as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("what", choices=("retrieval", "schedule"))
    parser.add_argument("gray", nargs="?", type=Path)
    parser.add_argument("--slice", type=int)
    parser.add_argument("--reference", type=Path)
    parser.add_argument("--background", default="cryosection", choices=("keep", "cryosection"))
    parser.add_argument("--weights", type=Path)
    parser.add_argument("--iterations", type=int, default=1000)
    arguments = parser.parse_args()
    print(json.dumps(retrieval() if arguments.what == "retrieval" else schedule(arguments), indent=2))


if __name__ == "__main__":
    main()
