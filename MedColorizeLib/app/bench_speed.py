"""`medcolorize bench speed`: what colouring by a network costs, in ratios within one run.

Three tables. *Networks*: seconds of a run of the network on axial slices of a whole head (all threads at one, or a
slice on each), and of a slice altogether (some bundles run on every fourth slice only), against the ResNet-9 CycleGAN
generator and ColorMedGAN as the papers write them, on slices of the head's size (untrained: weights change no time).
*Files*: `colorize` as a whole process from file to file, against a process that reads and writes the same bytes; once
as they are, once in .nii.gz. *Planes*: the whole head in three planes against one. What is compared takes turns, so
that other work on the machine weighs on all alike; figures are medians. Not for: training
(`Testing/Benchmarks/method_speed.py`) or palettes (`bench road`).
"""

from __future__ import annotations

import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from ..errors import UsageError
from ..imaging.volume import Volume
from ..imaging.windows import auto_window, codes
from ..inference.painter import Subject
from ..progress import CancelToken, OnProgress, track
from .bench_road import FLOOR, python_process

if TYPE_CHECKING:
    from torch import nn

    from ..inference.network import Net, NetworkPainter

SHAPE = (180, 256, 256)
RESNET, PUBLISHED = "ResNet-9 CycleGAN generator", "ColorMedGAN as published"
PARTS = ("networks", "files", "planes")
ENDINGS = (".nii", ".nii.gz")
_RUNS = 12
"""Slices on which the network is timed by itself."""
PACKED_FLOOR = """
import sys
import nibabel, numpy as np
image = nibabel.load(sys.argv[1])
array = np.asarray(image.dataobj)
colors = np.load(sys.argv[3]).view([(c, "u1") for c in "RGB"])[..., 0]
nibabel.save(nibabel.Nifti1Image(colors.transpose(2, 1, 0), image.affine), sys.argv[2])
"""
"""Read and write the same bytes as .nii.gz: colours made before, in nibabel's hands."""


@dataclass(frozen=True)
class Settings:
    """How large and how often."""

    shape: tuple[int, int, int] = SHAPE
    threads: int = 2
    rounds: int = 3
    slices: int = 45
    """Axial slices coloured in each round, next to one another about the middle."""


def bench_speed(
    models: Sequence[str],
    settings: Settings,
    parts: Sequence[str] = PARTS,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> dict[str, list[dict[str, Any]]]:
    """The tables asked for."""
    import torch

    if not models:
        raise UsageError("No model is installed, so there is nothing to time. Name bundles with --model.")
    before = torch.get_num_threads()
    torch.set_num_threads(settings.threads)
    try:
        volume = head(settings.shape)
        out: dict[str, list[dict[str, Any]]] = {}
        if "networks" in parts:
            out["networks"] = networks(models, volume, settings, on_progress, cancel)
        if "files" in parts:
            out["files"] = files(models, volume, settings, on_progress, cancel)
        if "planes" in parts:
            out["planes"] = planes(models, volume, settings, on_progress, cancel)
        return out
    finally:
        torch.set_num_threads(before)


def head(shape: tuple[int, int, int]) -> Volume:
    """The sample head brought to `shape` voxels of about 1 mm."""
    from scipy import ndimage

    from ..imaging.read import read_volume
    from .sample import mni_path

    whole = read_volume(mni_path())
    factors = [n / m for n, m in zip(shape, whole.array.shape, strict=True)]
    array = ndimage.zoom(whole.array.astype(np.float32), factors, order=1, mode="nearest", grid_mode=True)
    affine = whole.affine @ np.diag([1 / factors[2], 1 / factors[1], 1 / factors[0], 1.0])
    return Volume(np.rint(array).astype(np.int16), affine, "MR")


def networks(
    models: Sequence[str],
    volume: Volume,
    settings: Settings,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> list[dict[str, Any]]:
    """Seconds of a run of the network, and for a slice altogether."""
    import torch

    from ..inference.network import load_painter

    gray = codes(volume.array, auto_window(volume))
    rows, columns = gray.shape[1:]
    middle = len(gray) // 2
    start = max(middle - settings.slices // 2, 0)
    chosen = slice(start, min(start + settings.slices, len(gray)))
    subject = Subject(gray, volume.affine, "MR")
    painters = {name: load_painter(name, device="cpu") for name in models}
    stacks = {name: _stacks(painter, subject, chosen) for name, painter in painters.items()}
    baselines = _baselines()
    picture = torch.from_numpy(gray[middle].astype(np.float32) / 127.5 - 1)[None, None]
    padded = torch.nn.functional.pad(picture, (0, -columns % 32, 0, -rows % 32))
    times: dict[str, list[float]] = {name: [] for name in [*baselines, *models]}
    whole: dict[str, list[float]] = {name: [] for name in models}
    for turn in track(range(settings.rounds + 1), "bench speed: networks", settings.rounds + 1, on_progress, cancel):
        for name, network in baselines.items():
            with torch.inference_mode():
                seconds = _seconds(lambda network=network: network(padded))  # type: ignore[misc]
            times[name] += [seconds] if turn else []  # the first turn warms up
        for name, painter in painters.items():
            fresh = Subject(gray, volume.affine, "MR")  # nothing is left there of what the last round made
            took = _seconds(lambda painter=painter, fresh=fresh: painter.paint(fresh, chosen.start, chosen.stop))  # type: ignore[misc]
            run = _per_run(painter.net, stacks[name], settings.threads)
            times[name] += [run] if turn else []
            whole[name] += [took / (chosen.stop - chosen.start)] if turn else []
    middles = {name: statistics.median(values) for name, values in times.items()}
    return [
        {
            "network": painters[name].name if name in painters else name,
            "network_ms": 1000 * middles[name],
            "slice_ms": 1000 * statistics.median(whole[name]) if name in whole else None,
            "resnet_over_it": middles[RESNET] / middles[name],
            "published_over_it": middles[PUBLISHED] / middles[name],
        }
        for name in times
    ]


def _baselines() -> dict[str, nn.Module]:
    """The generators that others are measured by, as their papers and code have them; random weights."""
    import torch
    from torch import nn

    from ..methods.colormedgan import ColorMedGAN, ColorMedGANOptions
    from ..methods.cyclegan import CycleGAN, CycleGANOptions
    from ..networks.upsampling import UpsampleConv2d

    class Published(nn.Module):
        """Spectral norm alive, nearest x2 before a 5x5 convolution, the segmentation network run to its label map."""

        def __init__(self, method: ColorMedGAN) -> None:
            super().__init__()
            self.g, self.s = method.g.eval(), method.semantic
            for module in self.g.modules():
                if isinstance(module, UpsampleConv2d):
                    module.forward = module.plain  # type: ignore[method-assign]

        def forward(self, gray: torch.Tensor) -> torch.Tensor:
            maps = () if self.s is None else self.s.network(gray)[1:]
            out: torch.Tensor = self.g(gray, *maps)
            return out

    torch.manual_seed(0)
    published = ColorMedGAN(
        ColorMedGANOptions.from_mapping({"segmentation_weights": "random", "features_weights": "random"})
    )
    return {
        RESNET: CycleGAN(CycleGANOptions(generator_input="gray")).g.eval(),
        PUBLISHED: Published(published),
    }


def _stacks(painter: NetworkPainter, subject: Subject, chosen: slice) -> list[NDArray[np.float32]]:
    """What the network is given for some of the slices."""
    scene = painter._scene(subject)
    found = (scene.stack(n) for n in np.linspace(chosen.start, chosen.stop - 1, _RUNS).round().astype(int))
    return [stack for stack in found if stack is not None]


def _per_run(net: Net, stacks: list[NDArray[np.float32]], threads: int) -> float:
    """Seconds a run on all threads: one run after the other, or, where each takes one thread, side by side."""
    if not net.ahead:
        return _seconds(lambda: [net(stack) for stack in stacks]) / len(stacks)
    with ThreadPoolExecutor(threads) as pool:
        list(pool.map(net, stacks[:threads]))  # each thread gets its memory
        return _seconds(lambda: list(pool.map(net, stacks))) / len(stacks)


def files(
    models: Sequence[str],
    volume: Volume,
    settings: Settings,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> list[dict[str, Any]]:
    """Whole processes: `colorize`, and reading, looking up and writing as many bytes; as they are, and in .nii.gz."""
    import nibabel

    from ..imaging.read import read_color

    out = []
    with tempfile.TemporaryDirectory(prefix="medcolorize-speed-") as held_in:
        folder = Path(held_in)
        image = nibabel.Nifti1Image(volume.array.transpose(2, 1, 0), volume.affine)
        for ending in ENDINGS:
            nibabel.save(image, folder / f"head{ending}")
        environment = {"OMP_NUM_THREADS": str(settings.threads), "MKL_NUM_THREADS": str(settings.threads)}
        cases = [(name, ending) for ending in ENDINGS for name in models]
        turns = [(case, turn) for case in cases for turn in range(settings.rounds + 1)]
        times: dict[tuple[str, str], list[tuple[float, float]]] = {case: [] for case in cases}
        peaks: dict[tuple[str, str], tuple[float, float]] = {}
        for case, turn in track(turns, "bench speed: files", len(turns), on_progress, cancel):
            name, ending = case
            source, target, floor = (str(folder / f"{what}{ending}") for what in ("head", "color", "floor"))
            command = ["-m", "MedColorizeLib", "colorize", source, "-o", target, "--model", name]
            ours = python_process([*command, "--device", "cpu", "--overwrite"], environment)
            if ending == ".nii":
                least = python_process(["-c", FLOOR, source, floor, "3"], environment)
            else:
                if not turn:  # the bytes to be written
                    np.save(folder / "colors.npy", read_color(Path(target)).array)
                least = python_process(["-c", PACKED_FLOOR, source, floor, str(folder / "colors.npy")], environment)
            times[case] += [(ours[0], least[0])] if turn else []
            held = peaks.get(case, (0.0, 0.0))
            peaks[case] = (max(held[0], ours[1]), max(held[1], least[1]))
        for case, pairs in times.items():
            out.append(
                {
                    "model": f"{Path(case[0]).name}, {case[1]}",
                    "seconds": statistics.median(a for a, _ in pairs),
                    "floor_seconds": statistics.median(b for _, b in pairs),
                    "ratio": statistics.median(a / b for a, b in pairs),
                    "peak_mib": peaks[case][0],
                    "floor_peak_mib": peaks[case][1],
                }
            )
    return out


def planes(
    models: Sequence[str],
    volume: Volume,
    settings: Settings,
    on_progress: OnProgress | None = None,
    cancel: CancelToken | None = None,
) -> list[dict[str, Any]]:
    """The whole head in one plane and in three."""
    from ..inference.colorizer import Colorizer
    from ..inference.network import load_painter
    from ..inference.planes import three_planes

    out = []
    for name in track(models, "bench speed: planes", len(models), on_progress, cancel):
        painter: NetworkPainter = load_painter(name, device="cpu")
        fused = three_planes(painter)
        one: list[float] = []
        three: list[float] = []
        for _ in range(settings.rounds):
            for colorizer, times in ((Colorizer(painter=painter), one), (Colorizer(painter=fused), three)):
                started = time.perf_counter()
                colorizer.colorize(volume, cancel=cancel)
                times.append(time.perf_counter() - started)
        ratios = [b / a for a, b in zip(one, three, strict=True)]
        out.append(
            {
                "model": painter.name,
                "one_plane_s": statistics.median(one),
                "three_planes_s": statistics.median(three),
                "ratio": statistics.median(ratios),
            }
        )
    return out


def to_markdown(tables: dict[str, list[dict[str, Any]]], settings: Settings) -> str:
    """The tables as Docs show them."""
    k, j, i = settings.shape
    lines = [f"{i}x{j}x{k} voxels, {settings.threads} threads, medians of {settings.rounds} rounds.", ""]
    heads = {
        "networks": (
            "a run of the network, ms",
            "slice altogether, ms",
            "ResNet-9 over it",
            "ColorMedGAN as published over it",
        ),
        "files": ("colorize, s", "read and write, s", "ratio", "peak memory, MiB", "read and write, MiB"),
        "planes": ("one plane, s", "three planes, s", "ratio"),
    }
    for name, rows in tables.items():
        lines += [f"| {name} | " + " | ".join(heads[name]) + " |", "|---|" + "---:|" * len(heads[name])]
        for row in rows:
            title, *values = row.values()
            lines.append(f"| {title} | " + " | ".join(_text(value) for value in values) + " |")
        lines.append("")
    return "\n".join(lines).rstrip()


def _text(value: float | None) -> str:
    if value is None:
        return "–"
    return f"{value:.0f}" if abs(value) >= 100 else f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def _seconds(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def installed_models() -> list[str]:
    """Every installed bundle that colours."""
    from ..bundles.store import installed

    return [entry.name for entry in installed() if entry.bundle is not None and entry.bundle.kind == "color"]
