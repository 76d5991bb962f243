"""The table of Docs/DICOM.md: every DICOM set and odd file at hand, really read, and checked against SimpleITK.

    python Testing/Benchmarks/dicom_table.py [--data FOLDER] [--write]

`--write` puts the table into Docs/DICOM.md, between its two markers; without it, it is printed. Ends with 1 if a file
that was read differs from what SimpleITK makes of it.
"""

from __future__ import annotations

import argparse
import re
import sys
from collections import defaultdict
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pydicom
import SimpleITK as sitk  # noqa: N813

REPOSITORY = Path(__file__).resolve().parents[2]
sys.path.insert(0, str(REPOSITORY))

from MedColorizeLib.errors import InputError  # noqa: E402
from MedColorizeLib.imaging.dicom_decode import no_chatter  # noqa: E402
from MedColorizeLib.imaging.dicom_read import DicomScan, open_dicom  # noqa: E402
from MedColorizeLib.imaging.dicom_series import list_series  # noqa: E402
from MedColorizeLib.imaging.volume import Volume  # noqa: E402

BEGIN, END = "<!-- table: begin -->", "<!-- table: end -->"
LPS = np.diag([-1.0, -1.0, 1.0, 1.0])


@dataclass(frozen=True)
class Row:
    """What became of one series or file."""

    name: str
    what: str
    said: str
    check: str
    alone: bool
    """A line of its own, or together with the files of which the same is said."""
    good: bool = True


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--data", type=Path, default=REPOSITORY.parent / "shared" / "data" / "dicom")
    parser.add_argument("--write", action="store_true", help="put the table into Docs/DICOM.md")
    options = parser.parse_args()
    sitk.ProcessObject.SetGlobalWarningDisplay(False)
    folders = sorted(options.data.iterdir(), key=lambda folder: (folder.name == "odd", folder.name))
    rows = [row for folder in folders for row in rows_of(folder)]
    text = table(rows)
    if options.write:
        page = REPOSITORY / "Docs" / "DICOM.md"
        before, _, rest = page.read_text().partition(BEGIN)
        page.write_text(f"{before}{BEGIN}\n{text}\n{END}{rest.partition(END)[2]}")
    else:
        print(text)
    bad = [row.name for row in rows if not row.good]
    print(f"{len(rows)} series and files, {len(bad)} wrong {bad or ''}", file=sys.stderr)
    return bool(bad)


def rows_of(folder: Path) -> list[Row]:
    """A folder of one kind is read as a folder, series by series; `odd` file by file."""
    if folder.name == "odd":
        return [row_of(path, None, path.name) for path in sorted(folder.iterdir())]
    uids = [info.uid for info in list_series(folder)]
    many = len(uids) > 1
    return [row_of(folder, uid, folder.name + (f", series {n}" if many else "")) for n, uid in enumerate(uids, 1)]


def row_of(path: Path, series: str | None, name: str) -> Row:
    """Read one series or file, or say why it is refused."""
    try:
        scan = open_dicom(path, series)
        volumes = [scan.read(frame) for frame in range(scan.frames)]
    except InputError as error:
        reason = str(error).removeprefix(f"{path} ").split(". ")[0].rstrip(".")
        return Row(name, "", f"refused: it {reason}", "", False)
    first = volumes[0]
    check, good = straightened_agrees(scan, first) if scan.stack.straightening else agrees(scan, volumes)
    syntax = str(first.facts["compression"]).replace("Non-Hierarchical, First-Order Prediction ", "")
    said = " ".join(note for note in first.notes if "one slice; give" not in note)
    if series is None:
        return Row(name, f"{first.modality} {syntax}", said, check, False, good)
    size = "x".join(str(n) for n in first.shape[::-1])
    frames = f", {scan.frames} frames" if scan.frames > 1 else ""
    millimetres = "x".join(f"{s:.4g}" for s in first.spacing[::-1])
    return Row(name, f"{first.modality} {size}{frames}, {millimetres} mm, {first.array.dtype}", said, check, True, good)


def agrees(scan: DicomScan, volumes: list[Volume]) -> tuple[str, bool]:
    """Values of every plane, and where its corner lies, by SimpleITK; by pydicom for multi-frame files."""
    same = total = padded = 0
    distance, placed = 0.0, False
    by = "SimpleITK"
    for frame, volume in zip(scan.stack.frames, volumes, strict=True):
        padded += volume.facts.get("padding_voxels", 0)
        for k, plane in enumerate(frame):
            if plane.header.frames > 1:
                by = "pydicom"
                theirs = pydicom.dcmread(plane.path).pixel_array[plane.index] * plane.slope + plane.intercept
                corner = np.array(plane.position or (0.0, 0.0, 0.0))
            else:
                image = read_quietly(plane.path)
                theirs = sitk.GetArrayFromImage(image)[0]
                corner = np.array(image.GetOrigin())
            same += int(np.isclose(volume.array[k], theirs, rtol=1e-5, atol=1e-3).sum())
            total += theirs.size
            if plane.position:
                placed = True
                ours = (LPS @ volume.affine @ [0, 0, k, 1])[:3]
                distance = max(distance, float(np.linalg.norm(ours - corner)))
    values = f"values as {by}" + ("" if same == total else " but for the padding")
    place = (f", corners within {distance:.0e} mm" if distance else ", corners the same") if placed else ""
    return f"{values}{place}", same + padded >= total and distance < 1e-2


def straightened_agrees(scan: DicomScan, volume: Volume) -> tuple[str, bool]:
    """Slices that the grid holds: SimpleITK's own resampling of the tilted slice, put where its tags say."""
    plan = scan.stack.straightening
    assert plan is not None
    worst, slices, voxels = 0.0, 0, 0
    for plane, depth in zip(scan.stack.frames[0], plan.depths, strict=True):
        k = round(depth / plan.step)
        if abs(k * plan.step - depth) > 1e-3:
            continue
        image = sitk.Cast(read_quietly(plane.path), sitk.sitkFloat32)
        lps = LPS @ volume.affine
        lengths = np.linalg.norm(lps[:3, :3], axis=0)
        grid = sitk.Image(volume.shape[2], volume.shape[1], 1, sitk.sitkFloat32)
        grid.SetSpacing(lengths.tolist())
        grid.SetDirection((lps[:3, :3] / lengths).ravel().tolist())
        grid.SetOrigin((lps @ [0, 0, k, 1])[:3].tolist())
        theirs = sitk.GetArrayFromImage(sitk.Resample(image, grid))[0]
        padding = sitk.Cast(image == plane.header.data.PixelPaddingValue, sitk.sitkFloat32)
        inside = sitk.GetArrayFromImage(sitk.Resample(padding, grid, defaultPixelValue=1.0))[0] == 0
        worst = max(worst, float(np.abs(volume.array[k] - theirs)[inside].max()))
        slices, voxels = slices + 1, voxels + int(inside.sum())
    return f"{slices} slices, {voxels} voxels: within {worst:.2g} of SimpleITK's resampling by the tags", worst < 1.5


def read_quietly(path: Path) -> sitk.Image:
    with no_chatter():
        return sitk.ReadImage(str(path))


def table(rows: list[Row]) -> str:
    """Series one by one; odd files together where the same is said of them."""
    together: dict[tuple[str, str], list[Row]] = defaultdict(list)
    for row in rows:
        told = re.sub(r"^(refused: it is a colour picture already) .*", r"\1", row.said)
        told = re.sub(r"[\d.]+ % of the voxels", "Some voxels", told) if not row.alone else told
        together[row.name if row.alone else "", told].append(row)
    lines = ["| Set or file | What it is | What is said | Checked against |", "|---|---|---|---|"]
    for (_, told), members in together.items():
        names = ", ".join(f"`{row.name}`" for row in members)
        kinds = "; ".join(dict.fromkeys(row.what for row in members))
        checks = "; ".join(dict.fromkeys(row.check for row in members if row.check))
        lines.append(f"| {names} | {kinds} | {told} | {checks} |")
    return "\n".join(lines)


if __name__ == "__main__":
    sys.exit(main())
