"""Writing coloured (and gray) volumes: the ending chooses the format; files appear whole or not at all.

Every colour writer takes slabs of slices, so that memory does not grow with the volume.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, Protocol, Self

import numpy as np
from numpy.typing import NDArray

from ..errors import OutputError, UsageError
from . import stack
from .atomic import AtomicTarget, refuse_foreign, write_atomically
from .formats import ending_of, output_format
from .gzip_stream import ParallelGzip
from .nifti import NiftiStream
from .nrrd_meta import meta_header, nrrd_header
from .scan import ColorHeader, ColorWriter
from .volume import ColorVolume, Volume


class _Body(Protocol):
    """Where the voxels of one file go."""

    sink: Any

    def close(self) -> None: ...

    def abandon(self) -> None: ...


class _RawBody:
    def __init__(self, stream: BinaryIO) -> None:
        self.sink = stream

    def close(self) -> None:
        """Nothing is buffered here."""

    def abandon(self) -> None:
        """Nothing is buffered here."""


class _GzipBody:
    def __init__(self, stream: BinaryIO) -> None:
        self.sink = ParallelGzip(stream)

    def close(self) -> None:
        self.sink.close()

    def abandon(self) -> None:
        self.sink.abandon()


class _FileWriter:
    """A volume in one file, or in a header (`.nhdr`, `.mhd`) with its voxels beside it."""

    def __init__(self, path: Path, header: ColorHeader, overwrite: bool) -> None:
        self._header = header
        self._written = 0
        ending = ending_of(path)
        self._companion: tuple[AtomicTarget, bytes] | None = None
        if ending in (".nhdr", ".mhd"):
            self._open_detached(path, ending, overwrite)
        else:
            self._target = AtomicTarget(path, overwrite=overwrite)
            self._stream = self._target.temporary.open("wb")
            self._body = self._open_attached(ending)

    def _open_attached(self, ending: str) -> _Body:
        if ending == ".nrrd":
            self._stream.write(nrrd_header(self._header, encoding="gzip"))
            return _GzipBody(self._stream)
        if ending == ".mha":
            self._stream.write(meta_header(self._header))
            return _RawBody(self._stream)
        return NiftiStream(self._stream, self._header, compressed=ending == ".nii.gz")

    def _open_detached(self, path: Path, ending: str, overwrite: bool) -> None:
        voxels = path.with_suffix(".raw.gz" if ending == ".nhdr" else ".raw")
        if ending == ".nhdr":
            text = nrrd_header(self._header, encoding="gzip", data_file=voxels.name)
        else:
            text = meta_header(self._header, data_file=voxels.name)
        self._companion = (AtomicTarget(path, overwrite=overwrite), text)
        try:
            # Voxels without their header are somebody else's.
            self._target = AtomicTarget(voxels, overwrite=overwrite and path.exists())
        except OutputError:
            self._companion[0].discard()
            raise
        self._stream = self._target.temporary.open("wb")
        self._body = _GzipBody(self._stream) if ending == ".nhdr" else _RawBody(self._stream)

    def write(self, slab: NDArray[np.uint8]) -> None:
        expected = (*self._header.shape[1:], self._header.channels)
        if slab.shape[1:] != expected or slab.dtype != np.uint8:
            raise OutputError(f"A slab of {slab.shape} {slab.dtype} does not fit slices of {expected} bytes.")
        self._body.sink.write(np.ascontiguousarray(slab).data.cast("B"))
        self._written += len(slab)

    def commit(self) -> Path:
        expected = self._header.shape[0] * self._header.frames
        if self._written != expected:
            raise OutputError(f"{self._target.path} got {self._written} of {expected} slices, so it was not kept.")
        self._body.close()
        self._stream.close()
        path = self._target.commit()
        if self._companion:
            target, text = self._companion
            target.temporary.write_bytes(text)
            path = target.commit()
        return path

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self._stream.closed:
            self._body.abandon()
            self._stream.close()
        if self._companion:
            self._companion[0].discard()
        self._target.__exit__(kind, error, trace)


class _StackWriter:
    """A folder of PNG slices with their geometry beside them; a single slice is a single picture."""

    def __init__(self, path: Path, header: ColorHeader, overwrite: bool) -> None:
        self._header = header
        self._single = header.shape[0] * header.frames == 1
        if header.frames > 1:
            raise UsageError("A folder of pictures holds one frame. Choose .nrrd or .nii.gz for a sequence.")
        self._target = AtomicTarget(path, folder=not self._single, overwrite=overwrite)
        self._written = 0

    def write(self, slab: NDArray[np.uint8]) -> None:
        for plane in slab:
            name = self._target.temporary
            stack.write_slice(name if self._single else name / f"{self._written:04d}.png", plane)
            self._written += 1

    def commit(self) -> Path:
        if self._written != self._header.shape[0]:
            raise OutputError(f"{self._target.path} got {self._written} of {self._header.shape[0]} slices.")
        if not self._single:
            (self._target.temporary / stack.GEOMETRY).write_text(stack.geometry_text(self._header))
        return self._target.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._target.__exit__(kind, error, trace)


def open_color_writer(path: Path | str, header: ColorHeader, *, overwrite: bool = False) -> ColorWriter:
    """The writer for this path's format, ready for the first slab."""
    path = Path(path)
    kind = output_format(path)
    if kind in ("meta", "dicom") and _sheared(header.affine):
        raise OutputError(f"{path}: the volume's axes are not perpendicular, which only NIfTI and NRRD can keep.")
    if kind == "meta" and header.frames > 1:
        raise UsageError(f"{path}: a sequence of frames is written as .nrrd or .nii.gz.")
    if kind in ("dicom", "stack") and path.is_dir():
        # Told before the work; the target itself asks again before it replaces anything.
        refuse_foreign(path, {".dcm"} if kind == "dicom" else {".png", ".json"})
    if kind == "dicom":
        if header.channels != 3:
            raise UsageError(f"{path}: DICOM has no transparency. Leave --alpha out, or choose .nrrd or .nii.gz.")
        from .dicom_write import DicomColorWriter

        return DicomColorWriter(path, header, overwrite=overwrite)
    if kind == "stack":
        return _StackWriter(path, header, overwrite)
    return _FileWriter(path, header, overwrite)


def write_color(path: Path | str, color: ColorVolume, *, overwrite: bool = False) -> Path:
    """Write a whole coloured volume."""
    header = ColorHeader(color.shape, color.array.shape[3], color.affine, 1, color.provenance)
    with open_color_writer(path, header, overwrite=overwrite) as writer:
        for start in range(0, color.shape[0], 16):
            writer.write(color.array[start : start + 16])
        return writer.commit()


def write_volume(path: Path | str, volume: Volume, *, overwrite: bool = False) -> Path:
    """Write a gray volume in its own number type as NIfTI, NRRD or MetaImage."""
    from . import itk, nifti

    path = Path(path)
    kind = output_format(path)
    if kind not in ("nifti", "nrrd", "meta") or ending_of(path) in (".nhdr", ".mhd"):
        raise UsageError(f"{path}: gray volumes are written as .nii, .nii.gz, .nrrd or .mha.")
    if kind != "nifti" and volume.sheared:
        raise OutputError(f"{path}: the volume's axes are not perpendicular, which only NIfTI can keep.")
    with AtomicTarget(path, overwrite=overwrite) as target:
        (nifti if kind == "nifti" else itk).write_gray(target.temporary, volume)
        return target.commit()


def _sheared(affine: NDArray[np.float64]) -> bool:
    return ColorVolume(np.zeros((1, 1, 1, 3), np.uint8), affine).sheared


__all__ = ["open_color_writer", "write_atomically", "write_color", "write_volume"]
