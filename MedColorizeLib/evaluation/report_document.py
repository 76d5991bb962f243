"""`report.json` and `slices.csv`: the assessment as other programs read it.

The document is `Assessment.to_dict()` (schema `medcolorize-report/1`, written down in
`Resources/Schemas/report.schema.json`) with what the report adds: its title, the date, the window.
Not for: pages. Nothing in here names a patient or a place on a disk, whatever the provenance holds.
"""

from __future__ import annotations

import csv
import dataclasses
import io
import json
import math
import re
from datetime import UTC, datetime
from typing import Any

from .. import __version__
from .assessment import Assessment

WARNING = "Synthetic colour, invented by a program from a gray volume. Not for diagnosis."

_PRIVATE_NAME = re.compile(
    r"(path|file|folder|directory|origin|patient|subject|person|birth|accession|hostname|user)", re.I
)
_PLACE = re.compile(r"^(~|/|[A-Za-z]:[\\/]|\\\\|file:)|[\\/](home|Users|tmp|mnt|media)[\\/]")


def public(value: Any) -> Any:
    """`value` without entries that are named like a person or a place, or that look like a path."""
    if isinstance(value, dict):
        return {
            str(name): public(item)
            for name, item in value.items()
            if not _PRIVATE_NAME.search(str(name)) and not _is_place(item)
        }
    if isinstance(value, list | tuple):
        return [public(item) for item in value if not _is_place(item)]
    return value


def _is_place(value: Any) -> bool:
    return hasattr(value, "__fspath__") or (isinstance(value, str) and bool(_PLACE.search(value)))


def document(
    assessment: Assessment, *, title: str, window: tuple[float, float] | None, window_note: str, has_rendering: bool
) -> dict[str, Any]:
    """What `report.json` holds."""
    plain = assessment.to_dict()
    schema = plain.pop("schema")
    return {
        "schema": schema,
        "warning": WARNING,
        "title": title,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "generator": f"MedColorize {__version__}",
        "window": list(window) if window else None,
        "window_note": window_note,
        "rendering": has_rendering,
        "slice_numbers": "from 0, in the order of the file",
        **plain,
        "notes": public(plain["notes"]),
        "provenance": public(plain["provenance"]),
    }


def to_json(content: dict[str, Any]) -> str:
    """One line per top-level entry: readable, and arrays don't become thousands of lines."""
    lines = (
        f"{json.dumps(name)}: {json.dumps(value, ensure_ascii=False, allow_nan=False)}"
        for name, value in content.items()
    )
    return "{\n" + ",\n".join(lines) + "\n}\n"


def slices_csv(assessment: Assessment) -> str:
    """One row per slice across K; an empty cell is a number that could not be had."""
    table = assessment.slices
    names = [field.name for field in dataclasses.fields(table)]
    reasons = {slice_.index: "; ".join(slice_.reasons) for slice_ in assessment.consistency[0].outliers}
    buffer = io.StringIO()
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow([*names, "outlier", "reasons"])
    for row in zip(*(getattr(table, name) for name in names), strict=True):
        index = int(row[0])
        writer.writerow([index, *(_cell(v) for v in row[1:]), int(index in reasons), reasons.get(index, "")])
    return buffer.getvalue()


def _cell(value: Any) -> str:
    return f"{float(value):.6g}" if math.isfinite(float(value)) else ""


def summary(assessment: Assessment) -> dict[str, Any]:
    """What a caller tells in a line or a dozen of them: the verdict and the graded numbers."""
    return {
        "overall": assessment.overall,
        "verdict": assessment.verdict,
        "grades": {
            grade.key: {
                "title": grade.title,
                "value": grade.value if math.isfinite(grade.value) else None,
                "unit": grade.unit,
                "light": grade.light,
            }
            for grade in assessment.grades
        },
        "outlier_slices": [slice_.index for slice_ in assessment.consistency[0].outliers],
    }
