"""Fixtures of the panel's tests: an open panel, volumes to put into it, and ways to disturb the worker."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from . import Host, pythonqt

REPOSITORY = Path(__file__).resolve().parents[3]
MODULE = REPOSITORY / "MedColorize" / "MedColorize.py"


class Panel:
    """The panel as a person has it before them: widgets to click, a scene to look into."""

    def __init__(self, host: Host) -> None:
        self.host = host
        self.reloaded()

    def reloaded(self) -> None:
        self.widget = self.host.widget
        self.ui = self.widget.ui
        self.colorize, self.view, self.consistency, self.train, self.models = self.widget.tabs

    @property
    def parameters(self) -> Any:
        return self.widget._parameterNode

    def wait(self, until: Any, seconds: float = 30) -> None:
        self.host.wait(until, seconds)

    def catalogue(self) -> None:
        """Wait until the models are listed."""
        self.wait(lambda: self.widget.logic.catalogue)

    def choose_model(self, key: str) -> None:
        self.catalogue()
        index = self.ui.modelComboBox.findData(key)
        assert index >= 0, f"{key} is not offered"
        self.ui.modelComboBox.currentIndex = index

    def apply(self, seconds: float = 60) -> None:
        """Click Apply and wait until the work is over."""
        self.ui.applyButton.click()
        self.wait(lambda: self.colorize._job is None, seconds)

    def worker_pid(self) -> int:
        """Wait for the worker of the running job to have said hello; its process id."""
        self.wait(lambda: getattr(getattr(self.colorize._job, "_worker", None), "_pid", None))
        return int(self.colorize._job._worker._pid)

    def coloured(self) -> list[Any]:
        import slicer

        count = slicer.mrmlScene.GetNumberOfNodesByClass("vtkMRMLVectorVolumeNode")
        return [slicer.mrmlScene.GetNthNodeByClass(n, "vtkMRMLVectorVolumeNode") for n in range(count)]

    def settle(self) -> None:
        """Wait for folders that are being removed."""
        import MedColorizePanelLib.process as process

        self.wait(lambda: not process.removing())

    def leftovers(self) -> list[str]:
        """What lies in the application's temporary folder once nothing runs any more."""
        self.wait(lambda: not any(job.running for job in self.widget.logic._jobs))
        self.settle()
        return sorted(os.listdir(self.host.app.temporaryPath))


def make_panel(folder: Path, *, no_main_window: bool = False) -> Panel:
    host = Host(folder)
    host.app.no_main_window = no_main_window
    host.load(MODULE)
    host.enter()
    return Panel(host)


@pytest.fixture
def panel(tmp_path: Path) -> Iterator[Panel]:
    opened = make_panel(tmp_path)
    yield opened
    temporary = opened.host.app.temporaryPath
    opened.settle()
    opened.host.close()
    assert not os.path.isdir(temporary) or not os.listdir(temporary)
    assert pythonqt.errors == []


def write_model(name: str = "tiny", **changes: Any) -> None:
    """A trained model of the smallest size among the user's models (`MEDCOLORIZE_MODELS`)."""
    import torch

    from MedColorizeLib.bundles.folder import InputFrame
    from MedColorizeLib.bundles.store import user_folder
    from MedColorizeLib.bundles.write import Facts, write_bundle
    from MedColorizeLib.methods.registry import load_method

    torch.manual_seed(0)
    kind = load_method("tanjim-4")
    method = kind(kind.Options.from_mapping({"width": 2}))
    frame = InputFrame("axial", 1, 32, method.divisor, 2.0, True, "MR", "auto")
    facts = Facts(name, "Tiny", "tanjim-4", "a paper", "color", method.inference_config(), frame, {"step": 5})
    write_bundle(user_folder() / name, method.inference_network(), facts, overwrite=True, **changes)


def install_model(panel: Panel, name: str = "tiny", **changes: Any) -> None:
    """`write_model`, listed in the panel."""
    write_model(name, **changes)
    panel.ui.refreshButton.click()
    panel.wait(lambda: panel.widget.logic.model(f"bundle:{name}"))


def run_steps(steps: Any) -> Any:
    """What a generator of the panel's returns when it has run to its end."""
    while True:
        try:
            next(steps)
        except StopIteration as end:
            return end.value


def put_colours(panel: Panel, source: Any, colorizer: Any) -> None:
    """What Apply leaves in the scene, without its worker: for tests of what comes after colouring."""
    import MedColorizePanelLib.coloring as coloring

    from MedColorizeLib.app import protocol
    from MedColorizeLib.mrml import nodes

    color = colorizer.colorize(nodes.volume_from_node(source), alpha=True)
    folder = Path(panel.host.home)
    np.save(folder / "color.npy", color.array)
    described, name = protocol.describe(color, "color.npy"), f"{source.GetName()} coloured"
    pair = run_steps(coloring._receiveNodes(described, folder, source, name))
    panel.parameters.inputVolume = source
    panel.widget.onColored(*pair, True)


def add_ball(name: str = "ball", size: int = 32, affine: np.ndarray | None = None, **options: Any) -> Any:
    """A ball of tissue in air as a gray volume node of the scene."""
    import slicer

    from MedColorizeLib.imaging.volume import Volume
    from MedColorizeLib.mrml import nodes

    z, y, x = np.mgrid[-1 : 1 : size * 1j, -1 : 1 : (size + 2) * 1j, -1 : 1 : (size + 4) * 1j]
    array = (np.clip(1 - np.sqrt(x * x + y * y + z * z), 0, 1) * 900).astype(np.int16)
    place = np.diag([1.0, 1.5, 2.0, 1.0]) if affine is None else affine
    return nodes.node_from_volume(slicer.mrmlScene, Volume(array, place, "MR", **options), name)


def kill(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)


def alive(pid: int) -> bool:
    from MedColorizeLib.app.worker import alive as is_alive

    return is_alive(pid)


def dead_within(pid: int, seconds: float = 10) -> bool:
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        if not alive(pid):
            return True
        time.sleep(0.05)
    return False


OWN_WORKER = """#!/bin/sh
# A launcher whose Python runs the library's own worker, with something of the test's put in.
cat > "{home}/own.py" <<'END'
import sys, time
sys.path.insert(0, {root!r})
from MedColorizeLib.app import tasks, worker
from MedColorizeLib.progress import Progress
{patch}
code = worker.main(sys.argv[3:])
import os
sys.stdout.flush()
os._exit(code)
END
"{python}" "{home}/own.py" "$@"
exit $?
"""

SLOW = """
true = tasks.colorize
def slow(request, folder, on_progress, cancel):
    {body}
    return true(request, folder, on_progress, cancel)
tasks.TASKS["colorize"] = slow
"""


def change_worker(panel: Panel, patch: str) -> None:
    """Have the worker run these lines of Python before it begins."""
    import sys

    home = Path(panel.host.app.slicerHome)
    launcher = home / "bin" / "PythonSlicer"
    text = OWN_WORKER.format(home=home, root=str(REPOSITORY), patch=patch, python=sys.executable)
    launcher.write_text(text)
    launcher.chmod(0o755)


def slow_down(panel: Panel, body: str) -> None:
    """Have the worker do something of the test's before it colours (`body`, one line of Python)."""
    change_worker(panel, SLOW.format(body=body))
