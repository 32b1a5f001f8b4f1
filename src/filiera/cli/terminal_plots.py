"""Curves drawn with characters."""

from __future__ import annotations

import math
from collections.abc import Sequence

from filiera.core.charts import Scale, short

_BARS = "▁▂▃▄▅▆▇█"
_NO_NUMBER = "×"
_DOTS = ((0x01, 0x02, 0x04, 0x40), (0x08, 0x10, 0x20, 0x80))
"""Bits of the dots of a braille character, by column and row."""


def sparkline(values: Sequence[float], width: int = 24) -> str:
    """Return *values* as a line of bars, the mean of each stretch; where one is NaN or infinite, a cross.

    >>> sparkline([1, 2, 3, float("nan")])
    '▁▅█×'
    """
    count = min(width, len(values))
    parts = [values[n * len(values) // count : (n + 1) * len(values) // count] for n in range(count)]
    means = [_mean(part) for part in parts]
    known = [mean for mean in means if mean is not None]
    if not known:
        return _NO_NUMBER * count
    low, spread = min(known), max(known) / 2 - min(known) / 2
    heights = [None if mean is None else round((mean / 2 - low / 2) / spread * 7) if spread else 0 for mean in means]
    return "".join(_NO_NUMBER if height is None else _BARS[height] for height in heights)


def _mean(values: Sequence[float]) -> float | None:
    """Return the mean, or None when a value is NaN or infinite. Shares are added: a sum might be too large."""
    return math.fsum(value / len(values) for value in values) if all(map(math.isfinite, values)) else None


def plot(points: Sequence[tuple[float, float]], *, width: int = 64, height: int = 12) -> str:
    """Return a curve as lines of braille dots between axes; "" when no value is finite.

    Args:
        points: x and y, in order.
        width: Of the drawing without the numbers beside it, in characters.
        height: In lines.
    """
    finite = [(x, y) for x, y in points if math.isfinite(y)]
    if not finite:
        return ""
    across = Scale.of([x for x, _ in finite], 0, 2 * width - 1)
    up = Scale.of([y for _, y in finite], 4 * height - 1, 0)
    cells = [[0] * width for _ in range(height)]
    before: tuple[float, float] | None = None
    for x, y in points:
        place = (across(x), up(y)) if math.isfinite(y) else None
        for column, row in _between(before, place):
            cells[row // 4][column // 2] |= _DOTS[column % 2][row % 4]
        before = place
    beside = {0: short(up.high), height - 1: short(up.low)}
    room = max(map(len, beside.values()))
    drawn = ["".join(chr(0x2800 + cell) for cell in row) for row in cells]
    lines = [f"{beside.get(n, ''):>{room}} ┤{row}" for n, row in enumerate(drawn)]
    ends = short(across.low), short(across.high)
    return "\n".join([*lines, f"{'':{room}}  {ends[0]}{ends[1]:>{width - len(ends[0])}}"])


def _between(start: tuple[float, float] | None, end: tuple[float, float] | None) -> list[tuple[int, int]]:
    """Return the dots on the straight way from one place to the next."""
    if end is None:
        return []
    if start is None:
        start = end
    steps = max(1, math.ceil(max(abs(end[0] - start[0]), abs(end[1] - start[1]))))
    return [
        (round(start[0] + (end[0] - start[0]) * n / steps), round(start[1] + (end[1] - start[1]) * n / steps))
        for n in range(steps + 1)
    ]
