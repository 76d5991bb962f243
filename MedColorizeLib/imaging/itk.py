"""NRRD and MetaImage through SimpleITK: gray, colour and label volumes, and Slicer's frame lists."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..errors import InputError, OutputError
from .labels import refuse_color, refuse_labels
from .metadata import KEY, from_text
from .nifti import whole_numbers
from .volume import ColorVolume, LabelVolume, Origin, Volume

_LPS_TO_RAS = np.diag([-1.0, -1.0, 1.0, 1.0])


class _Held:
    """A SimpleITK image as NumPy sees it: the array keeps the image alive, which SimpleITK's own view does not."""

    def __init__(self, image: Any) -> None:
        import SimpleITK as sitk  # noqa: N813

        self._image = image
        self.__array_interface__ = sitk.GetArrayViewFromImage(image).__array_interface__


class ItkFile:
    """An opened NRRD or MetaImage file."""

    def __init__(self, path: Path, kind: str) -> None:
        import SimpleITK as sitk  # noqa: N813

        self.path = path
        self.format = kind
        self._reader = sitk.ImageFileReader()
        self._reader.SetFileName(str(path))
        # Asked by name, because ITK knows some endings in lower case only.
        self._reader.SetImageIO("NrrdImageIO" if kind == "nrrd" else "MetaImageIO")
        sitk.ProcessObject.SetGlobalWarningDisplay(False)
        try:
            self._reader.ReadImageInformation()
        except RuntimeError as error:
            raise InputError(f"{path} can't be read as {kind.upper()}: {_reason(error)}") from error
        self._meta = {key: self._reader.GetMetaData(key) for key in self._reader.GetMetaDataKeys()}
        self._size = tuple(int(n) for n in self._reader.GetSize())
        components = int(self._reader.GetNumberOfComponents())
        if len(self._size) not in (2, 3, 4):
            raise InputError(f"{path} has {len(self._size)} dimensions; volumes have 2, 3 or 4.")
        # Slicer keeps a sequence as a vector whose kind is "list": then components are frames, not colours.
        self._listed = components > 1 and self._meta.get("NRRD_kinds[pixel]", "").lower() == "list"
        self.channels = 1 if self._listed else components
        self.frames = components if self._listed else (self._size[3] if len(self._size) == 4 else 1)
        self.affine = self._affine()
        self._whole: NDArray[Any] | None = None
        self._type = sitk.GetPixelIDValueAsString(self._reader.GetPixelID())

    def _affine(self) -> NDArray[np.float64]:
        dimension = len(self._size)
        spacing = np.array(self._reader.GetSpacing())
        direction = np.array(self._reader.GetDirection()).reshape(dimension, dimension)
        space = min(dimension, 3)
        lps = np.eye(4)
        lps[:space, :space] = (direction * spacing)[:space, :space]
        lps[:space, 3] = np.array(self._reader.GetOrigin())[:space]
        # Without the addition, flipped zeros would be negative zeros.
        return _LPS_TO_RAS @ lps + 0.0

    @property
    def is_labels(self) -> bool:
        """True for Slicer's segmentation files."""
        return any(key.startswith("Segment0") for key in self._meta)

    def voxels(self, frame: int) -> NDArray[Any]:
        """One frame as stored: `(K, J, I)` or `(K, J, I, C)`."""

        if not 0 <= frame < self.frames:
            raise InputError(f"{self.path} has frames 0 to {self.frames - 1}; there is no frame {frame}.")
        if self._whole is None:
            try:
                self._whole = np.asarray(_Held(self._reader.Execute()))
            except RuntimeError as error:
                raise InputError(f"{self.path} breaks off or is damaged: {_reason(error)}") from error
        array = self._whole
        if self._listed:
            return np.ascontiguousarray(array[..., frame])
        if len(self._size) == 4:
            return array[frame]
        return array[None] if len(self._size) == 2 else array

    def read(self, frame: int = 0) -> Volume:
        """One frame as a gray volume; colour and labels are refused."""
        refuse_color(self.path, self.channels)
        array = self.voxels(frame)
        refuse_labels(self.path, array, self.is_labels)
        facts = {"format": self.format, "stored_type": self._type}
        modality = self._meta.get("Modality", "").removeprefix("MET_MOD_")
        return Volume(array, self.affine, modality if modality in ("MR", "CT") else "", facts, (), Origin(self.path))

    def read_color(self, frame: int = 0) -> ColorVolume:
        """One frame as a colour volume."""
        if self.channels not in (3, 4):
            raise InputError(f"{self.path} has {self.channels} component(s) a voxel; a colour volume has 3 or 4.")
        array = self.voxels(frame)
        if array.dtype != np.uint8:
            raise InputError(f"{self.path} holds {array.dtype} colours; only 8-bit colours are read.")
        return ColorVolume(array, self.affine, from_text(self._meta.get(KEY, "")))

    def read_labels(self) -> LabelVolume:
        """A label map or a Slicer segmentation of one layer, with its names."""
        if self.channels > 1:
            raise InputError(
                f"{self.path} has overlapping segments in several layers. "
                "Export it as a label map (Slicer: Segmentations, Export)."
            )
        names: dict[int, str] = {}
        index = 0
        while f"Segment{index}_ID" in self._meta:
            value = int(self._meta.get(f"Segment{index}_LabelValue", index + 1))
            names[value] = self._meta.get(f"Segment{index}_Name", str(value))
            index += 1
        return LabelVolume(whole_numbers(self.voxels(0), self.path), self.affine, names)

    def info(self) -> dict[str, Any]:
        kind = "color" if self.channels > 1 else "labels" if self.is_labels else "gray"
        return {"stored_type": self._type, "size": list((*self._size, 1)[:3]), "kind": kind}


def write_gray(path: Path, volume: Volume) -> None:
    """A gray or label volume as NRRD or MetaImage."""
    import SimpleITK as sitk  # noqa: N813

    array = volume.array
    if array.dtype == np.float16 or array.dtype.kind == "b":
        array = array.astype(np.float32 if array.dtype.kind == "f" else np.uint8)
    image = sitk.GetImageFromArray(np.ascontiguousarray(array))
    lps = _LPS_TO_RAS @ volume.affine + 0.0
    spacing = np.linalg.norm(lps[:3, :3], axis=0)
    image.SetSpacing(spacing.tolist())
    image.SetDirection((lps[:3, :3] / spacing).ravel().tolist())
    image.SetOrigin(lps[:3, 3].tolist())
    try:
        sitk.WriteImage(image, str(path), useCompression=path.suffix in (".nrrd", ".nhdr"), compressionLevel=1)
    except RuntimeError as error:
        raise OutputError(f"{path} can't be written: {_reason(error)}") from error


def _reason(error: RuntimeError) -> str:
    """The last line of ITK's many: the one that says what is wrong."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return (lines[-1] if lines else "unknown reason").removeprefix("ITK ERROR: ")[:300]
