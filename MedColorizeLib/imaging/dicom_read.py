"""Reading one DICOM series: `open_dicom`, the `Scan` of gray DICOM, and `read_color_dicom` for coloured results."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from ..errors import InputError
from .dicom_decode import decoded
from .dicom_derived import read_derivation
from .dicom_files import has_dicom_start, quiet
from .dicom_geometry import Stack
from .dicom_pixels import Padding, background_of, read_values
from .dicom_planes import Plane
from .dicom_resample import straighten
from .dicom_series import Choose, FoundSeries, choose_series
from .volume import ColorVolume, Origin, Volume


def open_dicom(path: Path | str, series: str | None = None, choose: Choose | None = None) -> DicomScan:
    """Open the series with the UID `series` of a folder or file; without it the only one, or what `choose` returns."""
    path = Path(path)
    return DicomScan(path, choose_series(path, series, choose))


class DicomScan:
    """One series whose headers are read. See `imaging.scan.Scan`."""

    def __init__(self, path: Path, found: FoundSeries) -> None:
        assert found.stack is not None  # choose_series returns only what can be read
        self.path = path
        self.format = "dicom"
        self.found = found
        self.stack: Stack = found.stack
        self.frames = len(self.stack.frames)

    @property
    def notes(self) -> tuple[str, ...]:
        """What is known before a voxel is read."""
        stack, notes = self.stack, list(self.found.notes)
        first = stack.frames[0][0].header
        if stack.frame_key not in ("", "picture"):
            notes.append(f"{self.frames} frames, told apart by {stack.frame_key}.")
        if self.path.is_file() and first.frames == 1 and _has_company(self.path):
            notes.append("This file is one slice; give its folder to read the whole series.")
        if "VOILUTSequence" in first.data:
            notes.append("The file's display curve (VOI LUT) is not applied: values are the scanner's own.")
        if first.data.get("LossyImageCompression") == "01":
            notes.append("The pixels have been through lossy compression.")
        return tuple(notes)

    @quiet()
    def info(self) -> dict[str, Any]:
        """For `medcolorize info`: the series, its geometry and what is to be said about it."""
        stack, info = self.stack, self.found.info
        lengths = np.linalg.norm(stack.affine[:3, :3], axis=0)
        return {
            "path": str(self.path),
            "format": self.format,
            "series": info.uid,
            "description": info.description,
            "modality": info.modality,
            "sop_class": info.sop_class,
            "compression": stack.frames[0][0].header.transfer_syntax.name,
            "images": info.images,
            "shape": list(stack.shape),
            "spacing": [float(lengths[2]), float(lengths[1]), float(lengths[0])],
            "affine": stack.affine.tolist(),
            "frames": self.frames,
            "window": _window(stack.frames[0]),
            "resampled": stack.straightening is not None,
            "notes": list(self.notes),
        }

    @quiet()
    def read(self, frame: int = 0) -> Volume:
        """The volume of one frame."""
        if not 0 <= frame < self.frames:
            raise InputError(f"{self.path} has {self.frames} frame(s), numbered from 0; there is no frame {frame}.")
        stack, planes = self.stack, self.stack.frames[frame]
        array, padding, top = read_values(planes)
        notes, facts = list(self.notes), self._facts(frame)
        window = _window(planes)
        if top is not None:
            notes.append("MONOCHROME1: values were inverted, so that bright means bright.")
            window = (top - window[1], top - window[0]) if window else None
        if window:
            facts["window"] = window
        if padding:
            notes.append(_about_padding(padding, array.size))
            facts["padding_voxels"] = padding.voxels
        if stack.straightening:
            array = straighten(array, stack.straightening, background_of(planes, float(array.min())))
        files = tuple(dict.fromkeys(plane.path for plane in planes))
        uid = str(planes[0].header.data.get("SeriesInstanceUID", ""))
        modality = str(planes[0].header.data.get("Modality") or "")
        return Volume(array, stack.affine, modality, facts, tuple(notes), Origin(self.path, uid, files))

    def _facts(self, frame: int) -> dict[str, Any]:
        stack = self.stack
        data = stack.frames[frame][0].header.data
        facts: dict[str, Any] = {
            "format": self.format,
            "frame": frame,
            "frames": self.frames,
            "compression": stack.frames[frame][0].header.transfer_syntax.name,
            "resampled": stack.straightening is not None,
        }
        if stack.frame_key:
            facts["frame_key"] = stack.frame_key
            value = stack.frame_values[frame]
            facts["frame_value"] = list(value) if isinstance(value, tuple) else value
        if part := str(data.get("BodyPartExamined") or ""):
            facts["body_part"] = part
        return facts


@quiet()
def read_color_dicom(path: Path | str, series: str | None = None, frame: int = 0) -> ColorVolume:
    """Read an RGB series back: what `DicomColorWriter` wrote, or any other with 8 bits a channel."""
    path = Path(path)
    found = choose_series(path, series, None, color=True)
    assert found.stack is not None
    stack, notes = found.stack, list(found.notes)
    affine, frames = stack.affine, stack.frames
    if frames[0][0].orientation is None:
        # Pictures without a place are shown one above the other, in their own order.
        frames = [[plane for one in frames for plane in one]]
    if not 0 <= frame < len(frames):
        raise InputError(f"{path} has {len(frames)} frame(s), numbered from 0; there is no frame {frame}.")
    planes = frames[frame]
    if stack.straightening:
        raise InputError(
            f"{path}: the slices of this coloured series are unevenly spaced or lean; this program writes none like "
            "that and reads none. " + " ".join(stack.notes)
        )
    if [plane.order for plane in planes] == sorted((plane.order for plane in planes), reverse=True) and len(planes) > 1:
        # Written from the far end on: the slices come back in the order in which they were written.
        planes, affine = planes[::-1], affine.copy()
        affine[:3, 3] += affine[:3, 2] * (len(planes) - 1)
        affine[:3, 2] *= -1
    rows, columns = planes[0].size
    array = np.empty((len(planes), rows, columns, 3), dtype=np.uint8)
    for k, (plane, picture) in enumerate(zip(planes, decoded(planes), strict=True)):
        if picture.shape != array.shape[1:] or picture.dtype != np.uint8:
            raise InputError(f"{plane.path}: only RGB with 8 bits a channel can be read as a coloured volume.")
        array[k] = picture
    provenance = read_derivation(str(planes[0].header.data.get("DerivationDescription") or ""))
    return ColorVolume(array, affine, provenance, tuple(notes))


def _window(planes: list[Plane]) -> tuple[float, float] | None:
    """The file's own window: the median over slices, which many MR scanners window one by one."""
    windows = [plane.window for plane in planes if plane.window]
    if windows:
        low, high = np.median(np.array(windows), axis=0)
        return float(low), float(high)
    tables = planes[0].header.data.get("VOILUTSequence")
    if tables:
        first, entries = float(tables[0].LUTDescriptor[1]), int(tables[0].LUTDescriptor[0]) or 65536
        return first, first + entries - 1
    return None


def _about_padding(padding: Padding, total: int) -> str:
    return (
        f"{100 * padding.voxels / total:.1f} % of the voxels are padding (outside the scanner's picture); they were "
        f"set to {padding.replaced_by:g}, the background."
    )


def _has_company(path: Path) -> bool:
    """True if other DICOM files lie beside this one."""
    others = (p for p in path.parent.iterdir() if p != path and p.is_file() and not p.name.startswith("."))
    return any(has_dicom_start(p) for p, _ in zip(others, range(20), strict=False))
