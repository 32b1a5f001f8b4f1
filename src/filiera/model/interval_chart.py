"""Values with their intervals, drawn one below the other on one scale."""

from __future__ import annotations

import html
import math
from collections.abc import Sequence

from filiera.core.report import Svg
from filiera.core.value import dataclass

_WIDTH, _LABEL, _VALUE, _ROW = 920, 220, 90, 24


@dataclass(frozen=True, kw_only=True, slots=True)
class Measured:
    """One line of the drawing."""

    label: str
    value: float
    low: float
    high: float
    mark: float | None = None  #: what it is compared with


def interval_chart(lines: Sequence[Measured], *, of: str, mark: str = "") -> Svg | None:
    """Return a drawing of *lines* whose ends are numbers, or None when there are none.

    Args:
        lines: From top to bottom.
        of: What is drawn, for those who do not see it.
        mark: What the marks mean.

    >>> chart = interval_chart([Measured(label="f1", value=0.9, low=0.8, high=0.95, mark=0.5)], of="Metrics")
    >>> chart.text.startswith("<svg"), interval_chart([], of="Metrics")
    (True, None)
    """
    drawn = [one for one in lines if all(map(math.isfinite, (one.value, one.low, one.high)))]
    if not drawn:
        return None
    ends = [end for one in drawn for end in (one.low, one.high, one.value, *_marks(one))]
    least, most = min(ends), max(ends)
    span = (most - least) or 1.0
    height = _ROW * len(drawn) + 26

    def x(value: float) -> float:
        return _LABEL + (_WIDTH - _LABEL - _VALUE - 20) * (value - least) / span

    parts = [_line(one, i * _ROW + 14, x) for i, one in enumerate(drawn)]
    foot = f'<text class="s" x="{_LABEL}" y="{height - 4}">{least:.4g}</text>'
    foot += f'<text class="s" x="{x(most):.0f}" y="{height - 4}" text-anchor="end">{most:.4g}</text>'
    if mark and any(one.mark is not None for one in drawn):
        middle = (_LABEL + x(most)) / 2
        foot += f'<text class="s" x="{middle:.0f}" y="{height - 4}" text-anchor="middle">│ {html.escape(mark)}</text>'
    style = (
        "<style>.intervals text{font:12px system-ui,sans-serif;fill:currentColor}.intervals .s{opacity:.65}"
        ".intervals .b{stroke:var(--c0,#2f6fde);stroke-width:2}.intervals .d{fill:var(--c0,#2f6fde)}"
        ".intervals .k{stroke:currentColor;opacity:.55;stroke-width:1.5}"
        ".intervals .g{stroke:currentColor;opacity:.12}</style>"
    )
    return Svg(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="intervals" width="{_WIDTH}" '
        f'viewBox="0 0 {_WIDTH} {height}" role="img" '
        f'aria-label="{html.escape(of)}">{style}{"".join(parts)}{foot}</svg>'
    )


def _marks(one: Measured) -> tuple[float, ...]:
    return () if one.mark is None or not math.isfinite(one.mark) else (one.mark,)


def _line(one: Measured, y: int, x: object) -> str:
    assert callable(x)
    marks = "".join(f'<path class="k" d="M{x(mark):.1f},{y - 7}v14"/>' for mark in _marks(one))
    return (
        f"<g><title>{html.escape(one.label)}: {one.value:.4g}, interval {one.low:.4g} to {one.high:.4g}</title>"
        f'<text x="0" y="{y + 4}">{html.escape(one.label[:32])}</text>'
        f'<path class="g" d="M{_LABEL},{y}H{_WIDTH - _VALUE - 20}"/>{marks}'
        f'<path class="b" d="M{x(one.low):.1f},{y}H{x(one.high):.1f}"/>'
        f'<circle class="d" cx="{x(one.value):.1f}" cy="{y}" r="4"/>'
        f'<text x="{_WIDTH}" y="{y + 4}" text-anchor="end">{one.value:.4f}</text></g>'
    )
