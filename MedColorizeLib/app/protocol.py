"""What the panel and its worker say to each other: one JSON object a line, volumes as files in a private folder.

A request is a folder with `request.json` and the arrays that it names; the worker answers on standard output with one
JSON object a line: `hello`, any number of `progress`, and exactly one `result` or `error`. A file named `cancel` in the
folder asks the worker to stop. Nothing is pickled. Runs under Python 3.9, so that older applications can speak it.
Not for: doing the work (`worker.py`) or starting a process (that is the panel's).
"""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError, MedColorizeError, OutputError
from ..imaging.volume import ColorVolume, LabelVolume, Volume
from ..progress import Progress

VERSION = 1
REQUEST = "request.json"
CANCEL = "cancel"
LONGEST_LINE = 1 << 20
"""A line that grows beyond this is not ours: a reader may drop it."""


def encode(event: str, **content: Any) -> str:
    """One line of the worker's output."""
    return json.dumps({"event": event, **content}, ensure_ascii=True, allow_nan=False, default=_plain)


def encode_progress(progress: Progress) -> str:
    """A progress event as a line; figures that are not finite become null, which JSON can hold."""
    content = asdict(progress)
    content["figures"] = {name: (value if np.isfinite(value) else None) for name, value in progress.figures.items()}
    return encode("progress", **content)


def encode_error(error: BaseException) -> str:
    """How a failure ends the output: its kind, its text and the exit code that goes with it."""
    code = error.exit_code if isinstance(error, MedColorizeError) else 1
    return encode("error", kind=type(error).__name__, text=str(error) or type(error).__name__, exit_code=code)


def decode(line: str) -> dict[str, Any] | None:
    """The event in a line, or None if the line is not one (something a library printed)."""
    line = line.strip()
    if not line.startswith("{"):
        return None
    try:
        event = json.loads(line)
    except ValueError:
        return None
    return event if isinstance(event, dict) and isinstance(event.get("event"), str) else None


def write_request(folder: Path, task: str, **content: Any) -> Path:
    """Write the request file; arrays are put beside it by `describe` and `array_file`."""
    path = Path(folder) / REQUEST
    path.write_text(json.dumps({"version": VERSION, "task": task, **content}, default=_plain), encoding="utf-8")
    return path


def read_request(folder: Path) -> dict[str, Any]:
    """The request in a folder."""
    path = Path(folder) / REQUEST
    try:
        request = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InputError(f"{path} is not a request: {error}.") from error
    if not isinstance(request, dict) or request.get("version") != VERSION:
        raise InputError(f"{path} was written by another version of MedColorize. Restart the application.")
    return request


def describe(volume: Volume | LabelVolume | ColorVolume, file: str) -> dict[str, Any]:
    """What goes into the request or result beside the array's file: everything but the voxels and the origin."""
    content: dict[str, Any] = {"file": file, "affine": np.asarray(volume.affine).tolist()}
    if isinstance(volume, Volume):
        content.update(modality=volume.modality, facts=volume.facts, notes=list(volume.notes))
    elif isinstance(volume, LabelVolume):
        content["names"] = {str(value): name for value, name in volume.names.items()}
    else:
        content.update(provenance=volume.provenance, notes=list(volume.notes))
    return content


def load_array(folder: Path, file: str) -> np.ndarray:
    """An array of the request folder, mapped rather than read; names that leave the folder are refused."""
    path = Path(folder) / file
    if Path(file).name != file:
        raise InputError(f"The request names {file!r}, which is outside its own folder.")
    try:
        return np.load(path, mmap_mode="r", allow_pickle=False)
    except (OSError, ValueError) as error:
        raise InputError(f"The volume {path} can't be read: {error}.") from error


class ArrayFile:
    """An .npy file written a slab at a time: a full disk is an error here; a memory map would kill the process."""

    def __init__(self, path: Path, shape: tuple[int, ...], dtype: Any) -> None:
        self._file = open(path, "wb")  # noqa: SIM115  closed by `close`
        self._dtype = np.dtype(dtype)
        header = {"descr": np.lib.format.dtype_to_descr(self._dtype), "fortran_order": False, "shape": tuple(shape)}
        np.lib.format.write_array_header_2_0(self._file, header)

    def write(self, slab: np.ndarray) -> None:
        """Append slices."""
        try:
            self._file.write(np.ascontiguousarray(slab, dtype=self._dtype).reshape(-1).view(np.uint8).data)
        except OSError as error:
            raise _full(error) from error

    def close(self) -> None:
        """Finish the file."""
        try:
            self._file.close()
        except OSError as error:
            raise _full(error) from error


def _full(error: OSError) -> OutputError:
    return OutputError(
        f"The temporary folder can't be written: {error.strerror or error}. Make room on its disk, or choose another "
        "in the application settings."
    )


def load_volume(folder: Path, content: dict[str, Any]) -> Volume:
    """The gray volume that a request describes."""
    return Volume(
        load_array(folder, content["file"]),
        np.array(content["affine"], dtype=np.float64),
        modality=content.get("modality", ""),
        facts=content.get("facts", {}),
        notes=tuple(content.get("notes", ())),
    )


def load_labels(folder: Path, content: dict[str, Any]) -> LabelVolume:
    """The label volume that a request describes."""
    names = {int(value): str(name) for value, name in content.get("names", {}).items()}
    return LabelVolume(load_array(folder, content["file"]), np.array(content["affine"], dtype=np.float64), names)


def load_color(folder: Path, content: dict[str, Any]) -> ColorVolume:
    """The coloured volume that a result (or a request for a report) describes."""
    return ColorVolume(
        load_array(folder, content["file"]),
        np.array(content["affine"], dtype=np.float64),
        provenance=content.get("provenance", {}),
        notes=tuple(content.get("notes", ())),
    )


def _plain(value: Any) -> Any:
    """What JSON has no word for: numpy scalars and arrays, paths, tuples of them."""
    if isinstance(value, np.generic):
        return value.item()
    if isinstance(value, np.ndarray):
        return value.tolist()
    if isinstance(value, Path):
        return str(value)
    raise TypeError(f"{type(value).__name__} can't be sent to or from the worker")
