"""What the worker can do: each task takes the request, its folder, `on_progress` and `cancel`, and returns plain JSON.

Not for: the process around it (`worker.py`) or the command line (`cli.py`). Imports are inside the functions: a task
pays only for what it uses, and listing what there is works without torch.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from ..progress import CancelToken, OnProgress, Progress, track
from . import protocol, tasks_exemplar
from .tasks_scene import train, uncertainty

Task = Callable[[dict[str, Any], Path, OnProgress, CancelToken], Any]
CONTEXT = 3
"""Slices on either side of one that is previewed after a reference picture: enough to tell its tissues."""


def catalogue(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Every model that can be chosen: palettes, bundles with their cards (those that are broken say why), references.

    And, where it is known at once, on what they could run.
    """
    from ..inference.palette import load_palette, palette_names

    models: list[dict[str, Any]] = []
    for name in palette_names():
        palette = load_palette(name)
        named = [(stop.name, stop.rgb) for stop in palette.stops]
        named += [(color.name or color.match, color.rgb) for color in palette.labels]
        legend = {title: rgb for title, rgb in reversed(named) if title}
        legend = dict(reversed(legend.items()))  # each tissue once, in the palette's order
        models.append(
            {
                "kind": "palette",
                "name": name,
                "title": palette.title,
                "modality": palette.modality,
                "description": "Tissue colours by intensity" + (", and by label" if palette.labels else "") + ".",
                "colors": [list(stop.rgb) for stop in palette.stops],
                "legend": [[name, list(rgb)] for name, rgb in legend.items()],
            }
        )
    from .. import bundles
    from ..bundles.store import user_folder

    models += [*bundles.installed(), *tasks_exemplar.entries()]
    return {
        "models": models,
        "recipes": _recipes(),
        "store": str(user_folder()),
        # Where telling takes seconds, it is a request of its own.
        "devices": None if graphics_driver() else devices(request, folder, on_progress, cancel)["devices"],
    }


def _recipes() -> list[dict[str, str]]:
    """What can be trained, as the files tell; loading a recipe in full would need torch."""
    import tomllib

    from ..resources import resources_dir

    found = []
    for path in sorted((resources_dir() / "Recipes").glob("*.toml")):
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
        title, about = str(raw.get("title") or path.stem), str(raw.get("about") or "")
        found.append({"name": path.stem, "title": title, "description": about})
    return found


def devices(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Where work can run, and how much memory is free there."""
    import os
    from importlib import metadata

    found: list[dict[str, Any]] = [{"name": "cpu", "title": "CPU", "cores": os.cpu_count() or 1}]
    try:
        version = metadata.version("torch")
    except metadata.PackageNotFoundError:
        return {"torch": "", "devices": found}
    if graphics_driver():
        import torch

        for index in range(torch.cuda.device_count() if torch.cuda.is_available() else 0):
            free, total = torch.cuda.mem_get_info(index)
            name = torch.cuda.get_device_name(index)
            found.append({"name": f"cuda:{index}", "title": name, "free": free, "total": total})
    return {"torch": version, "devices": found}


def graphics_driver() -> bool:
    """False where PyTorch can't have a graphics card to compute on: importing it to learn that takes seconds."""
    import ctypes
    import sys

    if Path("/dev/kfd").exists():  # AMD's
        return True
    try:
        ctypes.CDLL("nvcuda.dll" if sys.platform == "win32" else "libcuda.so.1")
    except OSError:
        return False
    return True


def colorize(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Colour the volume of the request into `color.npy`."""
    from ..imaging.windows import choose_window

    volume = protocol.load_volume(folder, request["volume"])
    labels, notes = _labels(request, folder)
    window = choose_window(volume, _window(request))
    colorizer, reference = _colorizer_for(request, volume, volume, window, folder, on_progress)
    stream = colorizer.stream(
        volume,
        labels=labels,
        window=window,
        fidelity=request.get("fidelity", "exact"),
        alpha=bool(request.get("alpha", False)),
        on_progress=on_progress,
        cancel=cancel,
    )
    shape = (*stream.header.shape, stream.header.channels)
    out = protocol.ArrayFile(folder / "color.npy", shape, np.uint8)
    try:
        for slab in stream.slabs:
            out.write(slab)
    finally:
        out.close()
    return {
        "file": "color.npy",
        "affine": volume.affine.tolist(),
        "provenance": {**stream.header.provenance, **stream.figures},
        "notes": [*stream.notes, *notes],
        "reference": reference,
    }


def preview(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Colour one slice as Apply will: a gray and a coloured picture, upright as on a light box.

    After a reference picture it is only like that: its neighbours stand for the volume, which would take minutes.
    """
    from ..imaging.volume import Volume
    from ..imaging.windows import choose_window, codes

    volume = protocol.load_volume(folder, request["volume"])
    labels, notes = _labels(request, folder)
    wanted = k = min(max(int(request["slice"]), 0), volume.shape[0] - 1)
    window = choose_window(volume, _window(request))
    seen = volume
    if (request.get("model") or {}).get("kind") == "exemplar":
        start = max(0, k - CONTEXT)
        affine = volume.affine.copy()
        affine[:3, 3] += start * affine[:3, 2]
        near = np.ascontiguousarray(volume.array[start : k + CONTEXT + 1])
        part = Volume(near, affine, volume.modality, volume.facts)
        if not tasks_exemplar.shows_something(part, window):
            raise InputError(
                f"Slice {k + 1} and those beside it show nothing but background through this window. Preview another "
                "slice, or choose another window."
            )
        seen, k = part, k - start
    colorizer, reference = _colorizer_for(request, seen, volume, window, folder, on_progress, keys=1)
    painted = colorizer.colorize(
        seen,
        labels=labels,
        window=window,
        fidelity=request.get("fidelity", "exact"),
        part=(k, k + 1),
        on_progress=on_progress,
        cancel=cancel,
    )
    gray = np.repeat(codes(seen.array[k], window)[..., None], 3, axis=2)
    for name, picture in (("gray.ppm", gray), ("color.ppm", painted.array[0])):
        picture = upright(picture, volume.affine)
        # PPM needs no imaging package, and Qt reads it.
        header = f"P6 {picture.shape[1]} {picture.shape[0]} 255\n".encode()
        (folder / name).write_bytes(header + picture.tobytes())
    return {
        "gray": "gray.ppm",
        "color": "color.ppm",
        "spacing": upright_spacing(volume.spacing, volume.affine),
        "slice": wanted,
        "window": [window.low, window.high],
        "notes": [*painted.notes, *notes],
        "reference": reference,
    }


def upright(picture: np.ndarray, affine: np.ndarray) -> np.ndarray:
    """A slice (J, I, ...) turned so that right is at the left, and anterior or superior at the top."""
    if _main_axis(affine[:3, 0]) > _main_axis(affine[:3, 1]):
        picture, affine = picture.swapaxes(0, 1), affine[:, [1, 0, 2, 3]]
    across, down = affine[:3, 0], affine[:3, 1]
    if across[_main_axis(across)] > 0:  # towards R (axial, coronal) or A (sagittal): both belong at the left
        picture = picture[:, ::-1]
    if down[_main_axis(down)] > 0:
        picture = picture[::-1]
    return np.ascontiguousarray(picture)


def upright_spacing(spacing: tuple[float, float, float], affine: np.ndarray) -> tuple[float, float]:
    """Millimetres per pixel (down, across) of a picture made upright."""
    _, down, across = spacing
    return (across, down) if _main_axis(affine[:3, 0]) > _main_axis(affine[:3, 1]) else (down, across)


def _main_axis(direction: np.ndarray) -> int:
    return int(np.abs(direction).argmax())


def report(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Measure a coloured volume against its gray one; the report folder is written where the request says."""
    from ..evaluation.report import gray_codes_for, make_report

    color = protocol.load_color(folder, request["color"])
    gray = gray_codes_for(protocol.load_volume(folder, request["volume"]), color)
    directory = Path(request["directory"])
    found = make_report(gray, color, directory, overwrite=True, on_progress=on_progress, cancel=cancel)
    return {"directory": str(directory), "summary": found}


def export(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Make a bundle of a run and install it among the user's models."""
    from ..bundles import store
    from .exporting import export_run

    made = export_run(
        Path(request["run"]), folder / request["name"], name=request["name"], title=request.get("title", "")
    )
    cancel.check()
    bundle = store.add(folder / request["name"])
    return {"name": bundle.name, "notes": list(made.notes)}


def add_model(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Install a bundle from a file or folder; it is verified before it is taken."""
    from ..bundles import store

    return {"name": store.add(Path(request["path"]), overwrite=bool(request.get("overwrite"))).name}


def remove_model(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Delete one of the user's own models."""
    from ..bundles import store

    store.remove(str(request["name"]))
    return {"name": request["name"]}


def alpha(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Give an RGB volume, e.g. one loaded from a file, the opacity that 3D needs."""
    from ..imaging.colorspaces import luma_codes
    from ..imaging.foreground import soft_mask
    from ..imaging.windows import Window

    color = protocol.load_color(folder, request["color"])
    on_progress(Progress("prepare", 0, 1))
    gray = np.empty(color.shape, dtype=np.uint8)
    for k in range(color.shape[0]):
        gray[k] = luma_codes(color.rgb[k])
    cancel.check()
    mask = soft_mask(gray, Window(0, 255), color.spacing)
    out = protocol.ArrayFile(folder / "color.npy", (*color.shape, 4), np.uint8)
    try:
        for k in range(color.shape[0]):
            cancel.check()
            faded = (gray[k].astype(np.uint16) * mask.slab(k, k + 1)[0] + 127) // 255
            out.write(np.dstack([color.rgb[k], faded.astype(np.uint8)]))
    finally:
        out.close()
    return protocol.describe(color, "color.npy")


def film(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Put pictures that were captured (`frame_NNNNN.png`) together into a GIF or MP4."""
    from PIL import Image

    from ..mrml.movies import save_film

    files = sorted(Path(request["frames"]).glob("frame_*.png"))
    if not files:
        raise InputError(f"There are no captured pictures in {request['frames']}.")
    pictures = (
        np.asarray(Image.open(file).convert("RGB")) for file in track(files, "film", len(files), on_progress, cancel)
    )
    path = save_film(Path(request["path"]), pictures, float(request["frames_per_second"]), overwrite=True)
    return {"path": str(path)}


def write_dicom(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Write a coloured volume as RGB Secondary Capture; patient and study from the gray series, else from the tags."""
    from ..imaging.scan import ColorHeader
    from ..imaging.volume import Origin
    from ..imaging.write import open_color_writer

    color = protocol.load_color(folder, request["color"])
    source = tuple(Path(file) for file in request.get("source", []))
    origin = Origin(source[0].parent, files=source) if source else None
    header = ColorHeader(color.shape, 3, color.affine, 1, color.provenance, origin)
    target = Path(request["directory"])
    with open_color_writer(target, header) as writer:
        for k in track(range(color.shape[0]), "write", color.shape[0], on_progress, cancel):
            writer.write(np.ascontiguousarray(color.rgb[k : k + 1]))
        writer.commit()
    tags = dict(request.get("tags", {}))
    if source:  # who it is, is known from the series itself
        tags = {name: tags[name] for name in ("SeriesDescription", "SeriesNumber") if name in tags}
    _set_tags(target, tags)
    return {"directory": str(target)}


def _set_tags(target: Path, tags: dict[str, str]) -> None:
    from pydicom import dcmread

    for file in sorted(target.iterdir()) if tags else ():
        data = dcmread(file)
        for name, value in tags.items():
            setattr(data, name, value)
        data.save_as(file)


def read_color(request: dict[str, Any], folder: Path, on_progress: OnProgress, cancel: CancelToken) -> dict[str, Any]:
    """Read a coloured DICOM series back, as RGBA with the opacity that 3D needs."""
    from ..imaging.read import read_color as read

    files = [Path(file) for file in request["files"]]
    place = folder / "series"
    place.mkdir()
    for number, file in enumerate(files):  # just these files: others may lie beside them
        link = place / f"{number:06d}.dcm"
        try:
            link.symlink_to(file)
        except OSError:
            import shutil

            shutil.copyfile(file, link)
    color = read(files[0] if len(files) == 1 else place)
    with_rgb = protocol.ArrayFile(folder / "rgb.npy", (*color.shape, 3), np.uint8)
    with_rgb.write(color.rgb)
    with_rgb.close()
    return alpha({"color": protocol.describe(color, "rgb.npy")}, folder, on_progress, cancel)


def _colorizer_for(
    request: dict[str, Any],
    volume: Any,
    whole: Any,
    window: Any,
    folder: Path,
    on_progress: OnProgress,
    keys: int | None = None,
) -> tuple[Any, dict[str, Any] | None]:
    """Who colours this (part of a) volume, and after which picture, if after one. `keys`: how many to work out."""
    from ..inference.colorizer import Colorizer

    if (request.get("model") or {}).get("kind") != "exemplar":
        return _colorizer(request), None
    painter, reference = tasks_exemplar.painter_of(request, volume, whole, window, folder, on_progress, keys)
    return Colorizer(painter=painter), reference


def _labels(request: dict[str, Any], folder: Path) -> tuple[Any, list[str]]:
    """The labels of a request, and what is to be said of them."""
    if not request.get("labels"):
        return None, []
    if (request.get("model") or {}).get("kind") == "exemplar":
        return None, ["Colours after a reference picture don't go by labels: they changed nothing."]
    return protocol.load_labels(folder, request["labels"]), []


def _colorizer(request: dict[str, Any]) -> Any:
    from ..inference.colorizer import Colorizer

    model = request.get("model") or {}
    kind, name = model.get("kind"), model.get("name")
    if kind not in (None, "palette", "bundle"):
        raise InputError(f"There is no kind of model called '{kind}'.")
    device = request.get("device", "auto")
    if kind is None:
        return Colorizer(device=device)
    if kind == "palette":
        return Colorizer(model="palette", palette=name)
    return Colorizer(model=name, device=device)


def _window(request: dict[str, Any]) -> tuple[float, float] | str | None:
    window = request.get("window")
    if isinstance(window, list):
        return float(window[0]), float(window[1])
    return window


TASKS: dict[str, Task] = {
    "catalogue": catalogue,
    "devices": devices,
    "colorize": colorize,
    "preview": preview,
    "reference": tasks_exemplar.reference,
    "report": report,
    "uncertainty": uncertainty,
    "train": train,
    "export": export,
    "add_model": add_model,
    "remove_model": remove_model,
    "alpha": alpha,
    "write_dicom": write_dicom,
    "read_color": read_color,
    "film": film,
}
