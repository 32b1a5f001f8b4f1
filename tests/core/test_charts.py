from __future__ import annotations

import math
import re
import xml.etree.ElementTree as ET

from hypothesis import given
from hypothesis import strategies as st

from filiera.core.charts import Line, Scale, line_chart, page, table, thinned

NUMBERS = st.floats()
FINITE = st.floats(allow_nan=False, allow_infinity=False)
POINTS = st.lists(st.tuples(st.integers(-(2**53), 2**53).map(float), NUMBERS), max_size=50)


@given(lines=st.lists(st.tuples(st.text(max_size=9), POINTS, st.booleans()), max_size=3))
def test_every_line_can_be_drawn(lines: list[tuple[str, list[tuple[float, float]], bool]]) -> None:
    """Whatever the values: the drawing is well-formed, stays in its frame, and says how many values it leaves out."""
    drawn = line_chart([Line(name, points, is_dots=dots) for name, points, dots in lines], label="<&>")
    values = [y for _, points, _ in lines for _, y in points]
    missing = sum(not math.isfinite(y) for y in values)
    assert (f"{missing:,} values" in drawn) == (missing > 0)
    svg = re.search(r"<svg.*</svg>", drawn, re.DOTALL)
    assert (svg is None) == (missing == len(values))
    if svg is not None:
        printable = "".join(c for c in svg.group() if c.isprintable())
        found = ET.fromstring(printable)
        for path in found.iter("path"):
            numbers = [float(number) for number in re.findall(r"-?\d+\.?\d*", path.get("d", ""))]
            assert all(-1 <= number <= 641 for number in numbers)


@given(values=st.lists(FINITE, min_size=1))
def test_ticks_lie_on_the_scale(values: list[float]) -> None:
    """There are a few of them, in order, and every value lies between the ends."""
    scale = Scale.of(values, 0, 100)
    ticks = scale.ticks()
    assert 2 <= len(ticks) <= 12
    assert ticks == sorted(ticks)
    assert all(-1 <= scale(value) <= 101 for value in values)


@given(points=st.lists(st.tuples(FINITE, FINITE), min_size=1, max_size=300), most=st.integers(2, 40))
def test_thinning_keeps_the_extremes(points: list[tuple[float, float]], most: int) -> None:
    """The least and the greatest value stay, and no point is made up."""
    found = thinned(points, most)
    assert set(found) <= set(points)
    assert len(found) <= max(most, 2) or len(points) <= most
    assert {min(y for _, y in points), max(y for _, y in points)} <= {y for _, y in found}


def test_pages_escape_what_they_are_given() -> None:
    """Names and cells are texts, never markup; the page loads nothing."""
    text = page("<b>", [table(["<i>"], [["<u>"]], right=("<i>",))]).text
    assert not re.search("<b>|<i>|<u>", text)
    assert "default-src 'none'" in text


def test_a_band_is_as_broken_as_its_line() -> None:
    """It is shaded behind the lines, within the axes, and has a hole where the line has one."""
    nan = float("nan")
    points = [(0, 1.0), (1, 2.0), (2, nan), (3, 2.0), (4, 1.0)]
    drawn = line_chart([Line("load", points, band=[(y - 5, y + 5) for _, y in points])], label="Load")
    band = drawn.index('class="band f0"')
    assert band < drawn.index('class="line c0"')
    path = drawn[band:].split('d="')[1].split('"')[0]
    assert path.count("M") == path.count("Z") == 2
    heights = [float(place.split(",")[1]) for place in re.findall(r"[\d.]+,[\d.]+", path)]
    assert (min(heights), max(heights)) == (10.0, 226.0)
    assert line_chart([Line("load", points)], label="Load").count("band") == 0
