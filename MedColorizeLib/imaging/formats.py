"""Which format a path means: by its ending, or by what lies in the folder."""

from __future__ import annotations

from pathlib import Path

from ..errors import InputError, UsageError

ENDINGS: dict[str, str] = {
    ".nii": "nifti",
    ".nii.gz": "nifti",
    ".nrrd": "nrrd",
    ".nhdr": "nrrd",
    ".mha": "meta",
    ".mhd": "meta",
    ".dcm": "dicom",
    ".dicom": "dicom",
    ".ima": "dicom",
    ".png": "picture",
    ".jpg": "picture",
    ".jpeg": "picture",
    ".tif": "picture",
    ".tiff": "picture",
}
PICTURES = frozenset(ending for ending, kind in ENDINGS.items() if kind == "picture")


def ending_of(path: Path | str) -> str:
    """The ending that names the format, in lower case, `.nii.gz` counting as one."""
    name = Path(path).name.lower()
    return ".nii.gz" if name.endswith(".nii.gz") else Path(name).suffix


def base_name(path: Path | str) -> str:
    """The file's name without its ending."""
    name = Path(path).name
    return name[: len(name) - len(ending_of(path))] if ending_of(path) in ENDINGS else name


def input_format(path: Path) -> str:
    """`nifti`, `nrrd`, `meta`, `dicom` or `stack`, for a path to be read; explains what it can't name."""
    if not path.exists():
        raise InputError(f"{path} does not exist. Check the spelling, and whether the disk is connected.")
    if path.name.upper() == "DICOMDIR":
        raise InputError(
            f"{path} is a DICOMDIR, an index without images. Give the folder that holds the images instead."
        )
    if path.is_dir():
        return "stack" if pictures_in(path) and not _beside_dicom(path) else "dicom"
    if path.stat().st_size == 0:
        raise InputError(f"{path} is empty (0 bytes): the copy or download was probably interrupted. Fetch it again.")
    kind = ENDINGS.get(ending_of(path))
    if kind == "picture":
        return "stack"
    if kind:
        return kind
    from .dicom_series import looks_like_dicom

    if looks_like_dicom(path):
        return "dicom"
    raise InputError(f"{path} has no ending this program knows. Readable: {', '.join(ENDINGS)} and folders.")


def output_format(path: Path) -> str:
    """`nifti`, `nrrd`, `meta`, `dicom` (one file or a folder) or `stack`, for a path to be written."""
    ending = ending_of(path)
    kind = ENDINGS.get(ending)
    if kind in ("nifti", "nrrd", "meta"):
        return kind
    if ending == ".dcm":
        return "dicom"
    if kind == "picture":
        if ending == ".png":
            return "stack"
        raise UsageError(f"{path}: pictures are written as PNG. Name a folder that ends in .png.")
    if ending and not path.is_dir() and path.name != ending:
        raise UsageError(
            f"{path}: '{ending}' is not a format that can be written. Endings: .nrrd, .nhdr, .nii, .nii.gz, .mha, "
            ".mhd, .dcm, .png (a folder of slices), or no ending (a DICOM folder)."
        )
    return "dicom"


def pictures_in(folder: Path) -> list[Path]:
    """The pictures of a folder, in the order of the numbers in their names."""
    # Files that begin with a dot are no pictures: macOS leaves its "._0001.png" on sticks.
    found = (p for p in folder.iterdir() if p.suffix.lower() in PICTURES and p.name[0] != "." and p.is_file())
    return sorted(found, key=_natural)


def _beside_dicom(folder: Path) -> bool:
    """True if the folder's pictures are previews beside DICOM files, which are what is meant then."""
    from .dicom_series import looks_like_dicom

    if (folder / "geometry.json").is_file():
        return False
    return any(looks_like_dicom(p) for p in folder.iterdir() if p.suffix.lower() not in PICTURES and p.is_file())


def _natural(path: Path) -> list[tuple[int, int | str]]:
    import re

    return [(0, int(part)) if part.isdigit() else (1, part.lower()) for part in re.split(r"(\d+)", path.name) if part]
