"""Does the panel freeze, or take longer than the command line? From Apply to the coloured 3D view, on the MNI head.

    python Testing/Benchmarks/panel_stall.py [--times 10] [--limit 100] [--model head-mr] [--json FILE]

Printed for every run: the longest turn of the main thread's event loop in wall time, how much of it the processor
spent in that thread (on a busy machine the rest is waiting for a core), and where the thread was; then median and
maximum, and the ratio to the limit. Watching so closely takes a core, so each such run is followed by one without, and
by `medcolorize colorize` on the same head with the same model; the difference of these two in wall time is told. The
slice and 3D views of the host draw nothing: what the application's own rendering takes is not in it.
"""

from __future__ import annotations

import argparse
import collections
import json
import os
import statistics
import sys
import tempfile
import threading
import time
import traceback
from pathlib import Path
from typing import Any

sys.path[:0] = [str(Path(__file__).resolve().parents[1] / "Host"), str(Path(__file__).resolve().parents[2])]

from panel_host.fixtures import Panel, make_panel  # noqa: E402  (the path above)

SAMPLING = 0.004
"""Seconds between two looks at what the main thread does."""
OURS = ("MedColorize", "panel_host", "slicer")


class Watch:
    """Times every turn of the event loop, and looks over the main thread's shoulder meanwhile."""

    def __init__(self) -> None:
        from PySide6 import QtCore

        self.turns: list[tuple[float, float, float]] = []
        """Begin, wall seconds, processor seconds of the main thread."""
        self.seen: list[tuple[float, str]] = []
        self._on = True
        self._main = threading.get_ident()
        self._wall, self._cpu = time.perf_counter(), time.thread_time()
        self._timer = QtCore.QTimer()
        self._timer.setInterval(0)
        self._timer.timeout.connect(self._beat)
        self._timer.start()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self._thread.start()

    def _beat(self) -> None:
        wall, cpu = time.perf_counter(), time.thread_time()
        self.turns.append((self._wall, wall - self._wall, cpu - self._cpu))
        self._wall, self._cpu = wall, cpu

    def _look(self) -> None:
        while self._on:
            frame = sys._current_frames().get(self._main)
            if frame is not None:
                stack = traceback.extract_stack(frame)
                place = [entry for entry in stack if any(name in entry.filename for name in OURS)]
                inner = [entry for entry in place if "panel_host" not in entry.filename] or place
                if inner:
                    last = inner[-1]
                    self.seen.append((time.perf_counter(), f"{Path(last.filename).name}:{last.lineno} {last.name}"))
            time.sleep(SAMPLING)

    def end(self) -> None:
        self._beat()
        self._timer.stop()
        self._on = False
        self._thread.join()

    def where(self, begin: float, seconds: float) -> str:
        """What was seen most often between two times."""
        inside = collections.Counter(place for at, place in self.seen if begin <= at <= begin + seconds)
        return inside.most_common(1)[0][0] if inside else "?"


def one_run(panel: Panel) -> dict[str, Any]:
    """Click, wait for the coloured 3D view, and say what the longest turns were."""
    clear(panel)
    watch = Watch()
    begun = time.perf_counter()
    panel.ui.applyButton.click()
    while panel.colorize._job is not None:
        panel.host.qt_application.processEvents()
    total = time.perf_counter() - begun
    watch.end()
    if panel.host.displays:
        raise SystemExit(panel.host.displays[-1])
    longest = sorted(watch.turns, key=lambda turn: -turn[1])[:3]
    return {
        "seconds": total,
        "longest": [
            {"wall_ms": 1000 * wall, "cpu_ms": 1000 * cpu, "at_s": at - begun, "where": watch.where(at, wall)}
            for at, wall, cpu in longest
        ],
    }


def unwatched(panel: Panel) -> float:
    """Seconds from the click to the coloured 3D view, while the main thread sleeps between events."""
    clear(panel)
    begun = time.perf_counter()
    panel.apply(600)
    return time.perf_counter() - begun


def clear(panel: Panel) -> None:
    """Take away what an earlier run coloured."""
    import slicer

    for node in panel.coloured():
        slicer.mrmlScene.RemoveNode(node)
    panel.host.turn(0.3)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--times", type=int, default=10)
    parser.add_argument("--limit", type=float, default=100.0, help="milliseconds")
    parser.add_argument("--model", default="palette:head-mr")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    name_and_value = options.model.split(":", 1)  # as the panel's list has them: palette:NAME, bundle:NAME
    if len(name_and_value) == 1:
        options.model = f"bundle:{options.model}"
    choice = ["--palette" if name_and_value[0] == "palette" else "--model", name_and_value[-1]]
    with tempfile.TemporaryDirectory(prefix="stall-") as name:
        panel = make_panel(Path(name))
        import slicer

        from MedColorizeLib.app.bench_road import python_process
        from MedColorizeLib.app.sample import mni_path
        from MedColorizeLib.imaging.read import read_volume
        from MedColorizeLib.mrml import nodes

        head = read_volume(mni_path())
        panel.parameters.inputVolume = nodes.node_from_volume(slicer.mrmlScene, head, "head")
        panel.choose_model(options.model)
        panel.wait(lambda: not any(job.running for job in panel.widget.logic._jobs))
        runs = []
        for number in range(options.times + 1):  # the first also imports what it needs: it is told apart
            runs.append(one_run(panel))
            command = ["-m", "MedColorizeLib", "colorize", str(mni_path()), "-o", str(Path(name) / "color.nrrd")]
            runs[-1]["unwatched"] = unwatched(panel)
            runs[-1]["command_line"], _ = python_process([*command, *choice, "--overwrite"])
            told = "; ".join(
                f"{turn['wall_ms']:.0f} ms ({turn['cpu_ms']:.0f} of the processor) in {turn['where']}"
                for turn in runs[-1]["longest"]
            )
            label = "first" if number == 0 else f"{number:5d}"
            whole = " s, ".join(f"{key} {runs[-1][key]:.2f}" for key in ("seconds", "unwatched", "command_line"))
            print(f"{label}: {whole} s; longest turns: {told}", flush=True)
        panel.host.close()
    walls = [run["longest"][0]["wall_ms"] for run in runs]
    cpus = [max(turn["cpu_ms"] for turn in run["longest"]) for run in runs]
    print(
        f"longest turn, {len(walls)} runs with the first: median {statistics.median(walls):.0f} ms, "
        f"maximum {max(walls):.0f} ms = {max(walls) / options.limit:.2f} of the limit of {options.limit:.0f} ms; "
        f"of the processor: median {statistics.median(cpus):.0f} ms, maximum {max(cpus):.0f} ms; "
        f"load of the machine {os.getloadavg()[0]:.1f} on {os.cpu_count()} cores"
    )
    later = [run["unwatched"] - run["command_line"] for run in runs]
    print(f"panel less command line: median {statistics.median(later):+.2f} s, maximum {max(later):+.2f} s (goal: +2)")
    if options.json:
        options.json.write_text(json.dumps({"limit_ms": options.limit, "runs": runs}, indent=1))
    return 0 if max(cpus) <= options.limit else 1


if __name__ == "__main__":
    sys.exit(main())
