"""The headers of coloured NRRD and MetaImage files, typed as colour.

SimpleITK can't write these: it stores colour as plain vectors, which Slicer then takes for directions in space.
"""

from __future__ import annotations

import numpy as np

from .metadata import KEY, to_text
from .scan import ColorHeader


def nrrd_header(header: ColorHeader, *, encoding: str, data_file: str = "") -> bytes:
    """An NRRD header whose first axis is `RGB-color` or `RGBA-color`; frames become a last axis of kind `list`."""
    k, j, i = header.shape
    columns = [_vector(header.affine[:3, n]) for n in range(3)]
    many = header.frames > 1
    sizes = [header.channels, i, j, k] + ([header.frames] if many else [])
    kinds = ["RGB-color" if header.channels == 3 else "RGBA-color", "domain", "domain", "domain"] + ["list"] * many
    lines = [
        "NRRD0005",
        "# Synthetic color by MedColorize: not for diagnosis.",
        "type: uint8",
        f"dimension: {len(sizes)}",
        "space: right-anterior-superior",
        f"sizes: {' '.join(map(str, sizes))}",
        f"space directions: {' '.join(['none', *columns, *['none'] * many])}",
        f"kinds: {' '.join(kinds)}",
        f"encoding: {encoding}",
        f"space origin: {_vector(header.affine[:3, 3])}",
    ]
    if data_file:
        lines.append(f"data file: {data_file}")
    if header.provenance:
        escaped = to_text(header.provenance).replace("\\", "\\\\")
        lines.append(f"{KEY}:={escaped}")
    return ("\n".join(lines) + "\n" + ("" if data_file else "\n")).encode()


def meta_header(header: ColorHeader, *, data_file: str = "LOCAL") -> bytes:
    """A MetaImage header with 3 or 4 channels of unsigned bytes, which ITK types as colour."""
    k, j, i = header.shape
    lps = np.diag([-1.0, -1.0, 1.0]) @ header.affine[:3] + 0.0
    spacing = np.linalg.norm(lps[:, :3], axis=0)
    lines = [
        "ObjectType = Image",
        "NDims = 3",
        "BinaryData = True",
        "BinaryDataByteOrderMSB = False",
        "CompressedData = False",
        f"TransformMatrix = {_numbers((lps[:, :3] / spacing).T.ravel())}",
        f"Offset = {_numbers(lps[:, 3])}",
        "CenterOfRotation = 0 0 0",
        f"ElementSpacing = {_numbers(spacing)}",
        f"DimSize = {i} {j} {k}",
    ]
    if header.provenance:
        lines.append(f"{KEY} = {to_text(header.provenance)}")
    lines += [
        f"ElementNumberOfChannels = {header.channels}",
        "ElementType = MET_UCHAR",
        f"ElementDataFile = {data_file}",
    ]
    return ("\n".join(lines) + "\n").encode()


def _numbers(values: np.ndarray) -> str:
    """Shortest decimal text that reads back as the same doubles."""
    return " ".join(repr(float(v)) for v in values)


def _vector(values: np.ndarray) -> str:
    return f"({','.join(repr(float(v)) for v in values)})"
