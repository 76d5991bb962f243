"""Line charts as crisp inline SVG: axes with round ticks and units, a reference band, marked points, a legend.

For: the pages of the report and the comparison, and anything else that must open without a network and print well.
Not for: interactive exploring (the MRML plot nodes do that), or for choosing what is drawn.

Series differ by dash pattern as well as by colour, so that they can be told apart by a colour-blind reader and on a
gray print. Colours are CSS variables of the page (`--c0` ...), so one drawing serves light, dark and paper.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from html import escape

import numpy as np
from numpy.typing import NDArray

DASHES = ("", "7 4", "2 3", "10 3 2 3", "1 5", "12 4", "4 2 1 2", "6 2 2 2 2 2")
"""Dash patterns of the styles 0, 1, ...; their colours are the page's variables `--c0`, `--c1`, ..."""

_WIDE = (920, 300)
_NARROW = (360, 250)
_LEFT, _RIGHT, _TOP, _BOTTOM = 58, 14, 16, 46
_Scale = Callable[[float], float]


@dataclass(frozen=True)
class Line:
    """One curve; NaN breaks it."""

    name: str
    y: NDArray[np.float64]
    style: int = 0
    swatch: tuple[int, int, int] | None = None
    """A colour shown beside the name in the legend: that of the tissue the curve is about."""


@dataclass(frozen=True)
class Band:
    """A horizontal strip to compare the curves with."""

    name: str
    low: float
    high: float


@dataclass(frozen=True)
class Mark:
    """A point a person should notice, with a short label and a sentence for the pointer."""

    x: float
    y: float
    label: str
    hint: str = ""


@dataclass(frozen=True)
class LineChart:
    """Curves over a common x."""

    title: str
    x: NDArray[np.float64]
    x_label: str
    y_label: str
    lines: Sequence[Line]
    bands: Sequence[Band] = ()
    marks: Sequence[Mark] = ()
    marks_name: str = ""
    from_zero: bool = True
    x_limits: tuple[float, float] | None = None

    def figure(self, caption: str = "") -> str:
        """The chart with its legend, drawn once for wide and once for narrow screens, as a `<figure>`."""
        parts = [f'<figure class="chart"><div class="chart-title">{escape(self.title)}</div>', self._legend()]
        parts += [self.svg(*_WIDE, css="wide"), self.svg(*_NARROW, css="narrow")]
        if caption:
            parts.append(f"<figcaption>{caption}</figcaption>")
        return "".join([*parts, "</figure>"])

    def svg(self, width: int, height: int, css: str = "") -> str:
        """The drawing alone, `width` x `height` units of the view box."""
        x0, x1 = _padded(*(self.x_limits or (float(np.min(self.x)), float(np.max(self.x)))))
        y0, y1 = self._y_limits()
        plot_w, plot_h = width - _LEFT - _RIGHT, height - _TOP - _BOTTOM

        def px(x: float) -> float:
            return _LEFT + (x - x0) / (x1 - x0) * plot_w

        def py(y: float) -> float:
            return _TOP + (y1 - y) / (y1 - y0) * plot_h

        out = [
            f'<svg class="{css}" viewBox="0 0 {width} {height}" role="img" aria-label="{escape(self._spoken())}">',
            *(self._band(band, py, plot_w, y0, y1) for band in self.bands),
        ]
        for tick in ticks(y0, y1, max(3, plot_h // 45)):
            y = py(tick)
            out.append(f'<line class="grid" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
            out.append(f'<text class="tick" x="{_LEFT - 8}" y="{y + 4:.1f}" text-anchor="end">{number(tick)}</text>')
        base = _TOP + plot_h
        for tick in ticks(x0, x1, max(4, plot_w // 85)):
            x = px(tick)
            out.append(f'<line class="axis" x1="{x:.1f}" x2="{x:.1f}" y1="{base}" y2="{base + 5}"/>')
            out.append(f'<text class="tick" x="{x:.1f}" y="{base + 19}" text-anchor="middle">{number(tick)}</text>')
        out.append(f'<line class="axis" x1="{_LEFT}" x2="{width - _RIGHT}" y1="{base}" y2="{base}"/>')
        out += [self._curve(line, px, py) for line in self.lines]
        out += self._marks_svg(px, py, width)
        middle = _TOP + plot_h / 2
        out.append(
            f'<text class="label" x="{_LEFT + plot_w / 2:.0f}" y="{height - 6}" text-anchor="middle">'
            f"{escape(self.x_label)}</text>"
            f'<text class="label" transform="translate(14 {middle:.0f}) rotate(-90)" text-anchor="middle">'
            f"{escape(self.y_label)}</text></svg>"
        )
        return "".join(out)

    def _y_limits(self) -> tuple[float, float]:
        values = [line.y[np.isfinite(line.y)] for line in self.lines]
        values += [np.array([band.low, band.high]) for band in self.bands]
        values += [np.array([mark.y for mark in self.marks if math.isfinite(mark.y)])]
        known = np.concatenate(values) if values else np.zeros(0)
        low, high = (float(known.min()), float(known.max())) if known.size else (0.0, 1.0)
        if self.from_zero:
            low = min(low, 0.0)
        low, high = _padded(low, high)
        room = 0.06 * (high - low)
        return (low if self.from_zero and low == 0 else low - room), high + room

    def _band(self, band: Band, py: _Scale, plot_w: int, y0: float, y1: float) -> str:
        top, bottom = py(min(band.high, y1)), py(max(band.low, y0))
        return (
            f'<rect class="band" x="{_LEFT}" y="{top:.1f}" width="{plot_w}" height="{max(1.5, bottom - top):.1f}">'
            f"<title>{escape(band.name)}</title></rect>"
        )

    def _curve(self, line: Line, px: _Scale, py: _Scale) -> str:
        path, pen_down = [], False
        for x, y in zip(self.x, line.y, strict=True):
            if not math.isfinite(y):
                pen_down = False
                continue
            path.append(f"{'L' if pen_down else 'M'}{px(x):.1f} {py(y):.1f}")
            pen_down = True
        # A single point has no length: the round line cap draws it as a dot.
        data = "".join(path) + ("h0" if len(path) == 1 else "")
        return f'<path class="curve" d="{data}" style="{_pen(line)}"><title>{escape(line.name)}</title></path>'

    def _marks_svg(self, px: _Scale, py: _Scale, width: int) -> list[str]:
        out: list[str] = []
        labelled: list[float] = []
        for mark in self.marks:
            if not math.isfinite(mark.y):
                continue
            x, y = px(mark.x), py(mark.y)
            hint = escape(mark.hint or mark.label)
            out.append(
                f'<path class="mark" d="M{x:.1f} {y - 6:.1f}l6 11h-12z"><title>{hint}</title></path>',
            )
            if all(abs(x - other) > 26 for other in labelled):
                labelled.append(x)
                end = x > width - 50
                anchor, shift = ("end", -9) if end else ("start", 9)
                out.append(
                    f'<text class="mark-label" x="{x + shift:.1f}" y="{max(y, _TOP + 6) + 3:.1f}" '
                    f'text-anchor="{anchor}">{escape(mark.label)}</text>'
                )
        return out

    def _legend(self) -> str:
        entries = [
            f'<li><svg viewBox="0 0 30 12"><path class="curve" d="M1 6h28" style="{_pen(line)}"/></svg>'
            f"{_swatch(line)}{escape(line.name)}</li>"
            for line in self.lines
        ]
        entries += [
            f'<li><svg viewBox="0 0 30 12"><rect class="band" width="30" height="12"/></svg>{escape(band.name)}</li>'
            for band in self.bands
        ]
        if self.marks and self.marks_name:
            entries.append(
                f'<li><svg viewBox="0 0 30 12"><path class="mark" d="M15 0l6 11h-12z"/></svg>'
                f"{escape(self.marks_name)}</li>"
            )
        return f'<ul class="legend">{"".join(entries)}</ul>'

    def _spoken(self) -> str:
        return f"{self.title}: {self.y_label} over {self.x_label}; {', '.join(line.name for line in self.lines)}"


def ticks(low: float, high: float, count: int) -> list[float]:
    """At most about `count` round numbers (1, 2 or 5 times a power of ten apart) between `low` and `high`."""
    span = high - low
    if not (math.isfinite(span) and span > 0):
        return [low]
    raw = span / max(1, count)
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(m * power for m in (1, 2, 5, 10) if m * power >= raw * (1 - 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [round(n * step, 12) + 0.0 for n in range(first, last + 1)]


def number(value: float) -> str:
    """A number as an axis shows it."""
    return f"{value:.6g}".replace("-", "−")


def _padded(low: float, high: float) -> tuple[float, float]:
    """The same range, or a small one around it where it has no extent."""
    if high - low > 1e-12 * max(1.0, abs(high)):
        return low, high
    return (0.0, 1.0) if low == 0 else (low - abs(low) * 0.1, high + abs(high) * 0.1)


def _pen(line: Line) -> str:
    dash = DASHES[line.style % len(DASHES)]
    return f"stroke:var(--c{line.style % len(DASHES)})" + (f";stroke-dasharray:{dash}" if dash else "")


def _swatch(line: Line) -> str:
    if line.swatch is None:
        return ""
    return '<span class="swatch" style="background:rgb({} {} {})"></span>'.format(*line.swatch)
