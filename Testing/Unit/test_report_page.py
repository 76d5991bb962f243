"""The report's parts that a reader sees: charts, pictures, page."""

from __future__ import annotations

import io
import math
import re
import xml.etree.ElementTree as ET
from itertools import permutations, product

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from MedColorizeLib.evaluation import page
from MedColorizeLib.evaluation.charts import Band, Line, LineChart, Mark, ticks
from MedColorizeLib.evaluation.report_numbers import figure, percent
from MedColorizeLib.evaluation.report_pictures import body_box, slice_png, view


@given(
    st.floats(-1e6, 1e6, allow_nan=False),
    st.floats(1e-6, 1e6, allow_nan=False),
    st.integers(2, 12),
)
def test_ticks_are_round_few_and_inside(low: float, span: float, count: int) -> None:
    high = low + span
    if high - low < 1e-9 * max(abs(low), abs(high)):
        return
    found = ticks(low, high, count)
    assert len(found) <= count + 1
    tolerance = 1e-6 * span
    assert all(low - tolerance <= tick <= high + tolerance for tick in found)
    if len(found) > 1:
        step = found[1] - found[0]
        mantissa = step / 10 ** math.floor(math.log10(step) + 1e-9)
        assert min(abs(mantissa - round_number) for round_number in (1, 2, 5, 10)) < 1e-3


def chart(**changes: object) -> LineChart:
    x = np.arange(5.0)
    values: dict[str, object] = {
        "title": "T <x>",
        "x": x,
        "x_label": "slice",
        "y_label": "dE per mm",
        "lines": [Line("a & b", np.array([0, 1, np.nan, 3, 4.0])), Line("c", x * 2, 1)],
    }
    return LineChart(**{**values, **changes})  # type: ignore[arg-type]


def parts(svg: str, name: str) -> list[ET.Element]:
    return [element for element in ET.fromstring(svg).iter() if element.get("class") == name]


def test_chart_is_well_formed_and_breaks_at_unknown_values() -> None:
    svg = chart().svg(920, 300)
    first, second = (element.get("d") or "" for element in parts(svg, "curve"))
    assert first.count("M") == 2
    assert second.count("M") == 1
    numbers = [float(n) for n in re.findall(r"-?[\d.]+", first)]
    assert all(0 <= x <= 920 for x in numbers[::2])
    assert all(0 <= y <= 300 for y in numbers[1::2])


def test_chart_draws_larger_values_higher_and_to_scale() -> None:
    svg = chart(lines=[Line("c", np.array([0.0, 1, 2, 3, 4]))]).svg(920, 300)
    points = [
        tuple(map(float, pair.split()))
        for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", parts(svg, "curve")[0].get("d") or "")
    ]
    steps = np.diff([y for _, y in points])
    assert (steps < 0).all()
    assert np.ptp(steps) < 0.2


def test_curves_differ_by_more_than_colour() -> None:
    pens = [element.get("style") or "" for element in parts(chart().svg(920, 300), "curve")]
    assert "dasharray" not in pens[0]
    assert "dasharray" in pens[1]


def test_band_and_marks_are_where_they_belong() -> None:
    svg = chart(bands=[Band("nature", 1.0, 2.0)], marks=[Mark(3.0, 3.0, "3", "why"), Mark(1.0, math.nan, "1")]).svg(
        920, 300
    )
    band = parts(svg, "band")[0]
    line = parts(svg, "curve")[0].get("d") or ""
    points = [tuple(map(float, pair.split())) for pair in re.findall(r"[ML]([\d.]+ [\d.]+)", line)]
    bottom = float(band.get("y") or 0) + float(band.get("height") or 0)
    assert bottom == pytest.approx(points[1][1], abs=0.2)  # the curve's value 1 is the band's lower edge
    marks = parts(svg, "mark")
    assert len(marks) == 1
    assert (marks[0].get("d") or "").startswith(f"M{points[2][0]:.1f} ")


@pytest.mark.parametrize("values", [np.full(5, np.nan), np.zeros(5), np.full(5, 7.0)])
def test_charts_of_nothing_and_of_constants_can_be_drawn(values: np.ndarray) -> None:
    svg = chart(lines=[Line("c", values)], from_zero=False).svg(360, 250)
    assert "nan" not in svg
    ET.fromstring(svg)


def test_lights_are_told_by_shape_and_word_too() -> None:
    signs = {light: page.sign(light) for light in page.LIGHTS}
    shapes = {re.search(r"<svg.*?</svg>", sign).group() for sign in signs.values()}  # type: ignore[union-attr]
    assert len(shapes) == len(signs)
    assert all(page.LIGHTS[light] in sign for light, sign in signs.items())


def test_page_escapes_and_reaches_for_nothing() -> None:
    html = page.page("a <script>", "sub", page.card("green", "<i>", "1", "mm", "&", "<b>"), "foot")
    assert "<script" not in html
    assert "<i>" not in html
    assert not re.search(r"""(?:src|href)=["'](?!data:|#)""", html)
    assert "http:" not in html
    assert "https:" not in html
    assert "@import" not in html
    assert "url(" not in html
    assert "default-src 'none'" in html


def anatomy(position: np.ndarray) -> np.ndarray:
    """A picture of RAS positions: distinguishable in all three directions."""
    return (128 + position / np.abs(position).max() * 100).round().astype(np.uint8)


@pytest.mark.parametrize("order", list(permutations(range(3))))
@pytest.mark.parametrize("signs", list(product((1, -1), repeat=3)))
def test_slices_are_hung_upright_whatever_the_file_order(order: tuple[int, ...], signs: tuple[int, ...]) -> None:
    shape = (9, 11, 13)  # K, J, I
    affine = np.zeros((4, 4))
    affine[3, 3] = 1
    for column, (world, sign) in enumerate(zip(order, signs, strict=True)):
        affine[world, column] = sign * (1 + column)
    k, j, i = np.indices(shape)
    index = np.stack([i, j, k, np.ones(shape)], axis=-1)
    position = (index @ affine.T)[..., :3]
    position -= position.reshape(-1, 3).mean(axis=0)
    for axis in range(3):
        hung = view(affine, axis)
        picture = hung.cut(position, shape[axis] // 2)
        across = order[2 - axis]
        down = {0: 2, 1: 2, 2: 1}[across]  # the world axis that must fall from top to bottom
        right = {0: 1, 1: 0, 2: 0}[across]  # and from left to right: R to L, or A to P
        assert (np.diff(picture[..., down], axis=0) < 0).all()
        assert (np.diff(picture[..., right], axis=1) < 0).all()
        assert hung.sides == {0: ("A", "P", "I"), 1: ("R", "L", "I"), 2: ("R", "L", "P")}[across]


def test_pictures_have_square_pixels_and_modest_size(oblique: np.ndarray) -> None:
    array = np.zeros((12, 50, 80), dtype=np.uint8)
    hung = view(oblique, 1)  # rows along K (3.3 mm), columns along I (0.7 mm)
    with Image.open(io.BytesIO(slice_png(hung.cut(array, 3), hung))) as picture:
        width, height = picture.size
    tall, wide = hung.row_mm * hung.cut(array, 3).shape[0], hung.column_mm * hung.cut(array, 3).shape[1]
    assert width / height == pytest.approx(wide / tall, rel=0.03)
    assert max(width, height) <= 340


@settings(max_examples=25)
@given(st.integers(0, 20), st.integers(0, 30), st.integers(3, 12))
def test_the_shown_part_holds_the_body(k: int, j: int, size: int) -> None:
    gray = np.zeros((40, 60, 50), dtype=np.uint8)
    gray[k : k + size, j : j + size, 10 : 10 + size] = 200
    box = body_box(gray)
    assert gray[box].sum() == gray.sum()
    assert gray[box].size < gray.size or size > 30


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0, "0"),
        (0.123456, "0.123"),
        (12.345, "12.3"),
        (1234.5, "1234"),
        (-0.5, "−0.500"),
        (math.nan, "–"),
        (math.inf, "∞"),
    ],
)
def test_numbers_have_three_figures(value: float, text: str) -> None:
    assert figure(value) == text


@pytest.mark.parametrize(
    ("share", "text"), [(0.0, "0 %"), (0.00001, "under 0.01 %"), (0.012, "1.2 %"), (0.5, "50 %"), (math.nan, "–")]
)
def test_shares_are_percentages(share: float, text: str) -> None:
    assert percent(share) == text
