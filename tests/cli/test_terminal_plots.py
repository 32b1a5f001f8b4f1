from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from filiera.cli.terminal_plots import plot, sparkline


@given(values=st.lists(st.floats(), min_size=1, max_size=200), width=st.integers(1, 40))
def test_a_sparkline_has_a_sign_per_stretch(values: list[float], width: int) -> None:
    """At most so many as wide; a cross exactly where something is no finite number."""
    line = sparkline(values, width)
    assert len(line) == min(width, len(values))
    assert ("×" in line) == (not all(map(math.isfinite, values)))


def test_a_rising_line_rises() -> None:
    """The least value is the lowest bar, the greatest the highest, and equal ones are all low."""
    assert sparkline([0, 1, 2, 3, 4, 5, 6, 7]) == "▁▂▃▄▅▆▇█"
    assert sparkline([3.0, 3.0, 3.0]) == "▁▁▁"


@given(points=st.lists(st.tuples(st.integers(-(2**53), 2**53), st.floats()), max_size=40))
def test_every_curve_can_be_plotted(points: list[tuple[float, float]]) -> None:
    """Twelve lines and an axis, all equally wide; nothing when no value is finite."""
    drawn = plot(points)
    if not any(math.isfinite(y) for _, y in points):
        assert drawn == ""
        return
    *lines, _ = drawn.split("\n")
    assert len(lines) == 12
    assert len({len(line) for line in lines}) == 1
    assert any(ord(sign) > 0x2800 for line in lines for sign in line)
