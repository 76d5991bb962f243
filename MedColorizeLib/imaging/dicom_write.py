"""Writing a coloured volume as DICOM: one multi-frame file (a path ending in .dcm) or a folder of slices.

Both are RGB Secondary Capture, uncompressed. Slabs go to disk as they come; nothing of the volume is kept.
"""

from __future__ import annotations

from pathlib import Path
from types import TracebackType
from typing import BinaryIO, Self

import numpy as np
from numpy.typing import NDArray
from pydicom.uid import generate_uid

from ..errors import OutputError
from .atomic import AtomicTarget
from .dicom_derived import make_multi_frame, place_slice, skeleton
from .dicom_files import quiet, save_file
from .dicom_source import Grid, Source, references
from .scan import ColorHeader
from .volume import ColorVolume

LARGEST_FILE = 2**31 - 1
"""Bytes of pixels in one file; many readers count in 32 bits with a sign."""


class DicomColorWriter:
    """Takes RGB slabs in order; see `imaging.scan.ColorWriter`."""

    def __init__(self, path: Path | str, header: ColorHeader, *, overwrite: bool = False) -> None:
        path = Path(path)
        self._single_file = path.suffix.lower() == ".dcm"
        self._header = header
        self._slices = header.shape[0] * header.frames
        self._written = 0
        self._stream: BinaryIO | None = None
        _check(path, header, self._single_file)
        self._grid = Grid.of(np.asarray(header.affine, dtype=np.float64))
        with quiet():
            self._source = Source.of(header.origin)
            self._data = skeleton(header, self._grid, self._source)
        self._target = AtomicTarget(path, folder=not self._single_file, overwrite=overwrite)
        if self._single_file:
            try:
                self._begin_file()
            except BaseException:
                self._close()
                self._target.discard()
                raise

    def write(self, slab: NDArray[np.uint8]) -> None:
        """Append slices `(n, J, I, 3)`."""
        expected = (*self._header.shape[1:], 3)
        if slab.shape[1:] != expected or slab.dtype != np.uint8:
            raise OutputError(f"A slab of {slab.shape} {slab.dtype} does not fit slices of {expected} bytes.")
        if self._written + len(slab) > self._slices:
            raise OutputError(f"{self._target.path} got more than its {self._slices} slices.")
        if self._stream:
            self._stream.write(memoryview(np.ascontiguousarray(slab)).cast("B"))  # type: ignore[arg-type]
            self._written += len(slab)
        else:
            with quiet():
                for picture in slab:
                    self._write_slice(picture)

    def commit(self) -> Path:
        """Put the file or folder in place."""
        if self._written != self._slices:
            raise OutputError(f"{self._target.path} got {self._written} of {self._slices} slices, so it was not kept.")
        if self._stream and self._pixels % 2:
            self._stream.write(b"\0")  # values have an even length
        self._close()
        return self._target.commit()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._close()
        self._target.__exit__(kind, error, trace)

    def _close(self) -> None:
        if self._stream:
            self._stream.close()
            self._stream = None

    @property
    def _pixels(self) -> int:
        """Bytes of pixels in the whole output."""
        return _pixel_bytes(self._header)

    def _begin_file(self) -> None:
        """All of the header, and the start of the pixel data; slabs are appended to it."""
        with quiet():
            make_multi_frame(self._data, self._header, self._grid, self._source)
            save_file(self._data, self._target.temporary)
        self._stream = self._target.temporary.open("ab")
        length = self._pixels + self._pixels % 2
        self._stream.write(b"\xe0\x7f\x10\x00OB\0\0" + length.to_bytes(4, "little"))

    def _write_slice(self, picture: NDArray[np.uint8]) -> None:
        time, k = divmod(self._written, self._header.shape[0])
        data = self._data  # one dataset serves all slices: it is written out before the next one changes it
        data.SOPInstanceUID = data.file_meta.MediaStorageSOPInstanceUID = generate_uid(prefix=None)
        data.InstanceNumber = self._written + 1
        data.AcquisitionNumber = time + 1
        place_slice(data, self._grid, k)
        if self._source:
            grid = self._grid
            near = self._source.near(grid.place(k), grid.step / grid.between, grid.between)
            data.SourceImageSequence = references(self._source, near)
        data.PixelData = np.ascontiguousarray(picture).tobytes()
        data["PixelData"].VR = "OB"
        save_file(data, self._target.temporary / f"{self._written + 1:05d}.dcm")
        self._written += 1


def _pixel_bytes(header: ColorHeader) -> int:
    return int(np.prod(header.shape, dtype=np.int64)) * header.frames * 3


def _check(path: Path, header: ColorHeader, single_file: bool) -> None:
    if header.channels != 3:
        raise OutputError(
            f"{path}: DICOM has no transparency; only RGB can be written. Choose .nrrd or .nii.gz for RGBA."
        )
    if ColorVolume(np.zeros((1, 1, 1, 3), np.uint8), np.asarray(header.affine)).sheared:
        raise OutputError(
            f"{path}: the volume's axes are not perpendicular, which DICOM can't hold. Write .nii.gz or .nrrd instead."
        )
    if max(header.shape[1:]) > 65535:
        raise OutputError(f"{path}: a slice has more than 65535 rows or columns, which DICOM can't hold.")
    size = _pixel_bytes(header)
    if single_file and size > LARGEST_FILE:
        raise OutputError(
            f"{path}: {size / 2**30:.1f} GiB of pixels are too many for one DICOM file. Name a folder instead (no .dcm "
            "ending): one file per slice."
        )
