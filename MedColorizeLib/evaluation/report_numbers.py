"""Numbers as the pages show them: three figures that matter, shares as percentages, counts as whole numbers."""

from __future__ import annotations

import math

from .assessment import Grade

_UNKNOWN = "–"


def figure(value: float) -> str:
    """A number as tables and cards show it: three figures that matter."""
    if value is None or math.isnan(value):
        return _UNKNOWN
    if math.isinf(value):
        return "∞"
    if value == 0 or abs(value) >= 1000:
        return f"{value:.0f}"
    digits = max(0, 2 - math.floor(math.log10(abs(value))))
    return f"{value:.{min(digits, 4)}f}".replace("-", "−")


def percent(share: float) -> str:
    """A share as a percentage."""
    if math.isnan(share):
        return _UNKNOWN
    text = f"{100 * share:.2g}" if 0 < share < 0.1 else f"{100 * share:.0f}"
    return f"{'under 0.01' if 0 < share < 1e-4 else text} %"


def graded(key: str, value: float | None, unit: str) -> str:
    """The value of a grade, without its unit."""
    if value is None:
        return _UNKNOWN
    if key.endswith("_share"):
        return percent(value)
    if math.isfinite(value) and float(value).is_integer() and unit in ("codes", "slices"):
        return str(int(value))
    return figure(value)


def limit(grade: Grade, value: float) -> str:
    """A round number on the scale of a grade: a limit, an end of a band."""
    return percent(value) if grade.key.endswith("_share") else f"{value:.2g}"
