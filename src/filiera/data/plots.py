"""Small SVG drawings of distributions, coloured by the page's style sheet (classes ``c0`` to ``c5``)."""

from __future__ import annotations

import html
from collections.abc import Sequence

from filiera.data.profile import Association, Bar, Column

_WIDTH = 300
_HEIGHT = 84
_ROW = 18
_LABEL_WIDTH = 104
_COUNT_WIDTH = 50
_LABEL_CHARS = 15
_SMALL_WIDTH = 120
_SMALL_HEIGHT = 18
_MAP_COLUMNS = 40


def histogram(column: Column, classes: Sequence[str]) -> str:
    """Return a histogram of *column*, bars stacked by class, with its least and greatest value below."""
    most = max((bar.count for bar in column.bars), default=0) or 1
    step = _WIDTH / max(1, len(column.bars))
    paths: dict[str, str] = {}
    hints = []
    for i, bar in enumerate(column.bars):
        top, x, width = float(_HEIGHT), i * step + 0.5, step - 1
        for colour, count in _stack(bar, classes):
            if count:
                height = _HEIGHT * count / most
                top -= height
                paths[colour] = paths.get(colour, "") + f"M{x:.1f},{top:.1f}h{width:.1f}v{height:.1f}h-{width:.1f}z"
        if bar.count:
            hints.append(
                f'<rect class="h" x="{i * step:.1f}" width="{step:.1f}" height="{_HEIGHT}">'
                f"<title>{_text(_hint(bar, classes))}</title></rect>"
            )
    drawn = "".join(f'<path class="{colour}" d="{path}"/>' for colour, path in paths.items())
    ends = (column.minimum, column.maximum)
    left, right = (str(end)[:16] if end is None or isinstance(end, str) else number(end) for end in ends)
    scale = '<text class="m" x="150" y="98" text-anchor="middle">log scale</text>' if column.scale == "log" else ""
    return (
        f'<svg viewBox="0 0 {_WIDTH} 102" role="img" aria-label="Distribution of {_text(column.name)}">{drawn}'
        f'<path class="a" d="M0,{_HEIGHT}.5H{_WIDTH}"/>{"".join(hints)}'
        f'<text class="m" x="0" y="98">{_text(left)}</text>{scale}'
        f'<text class="m" x="{_WIDTH}" y="98" text-anchor="end">{_text(right)}</text></svg>'
    )


def value_bars(column: Column, classes: Sequence[str]) -> str:
    """Return one horizontal bar per value of *column*, stacked by class, with its label and count."""
    most = max((bar.count for bar in column.bars), default=0) or 1
    room = _WIDTH - _LABEL_WIDTH - _COUNT_WIDTH
    drawn = []
    for i, bar in enumerate(column.bars):
        y, x = i * _ROW, float(_LABEL_WIDTH)
        drawn.append(f"<g><title>{_text(_hint(bar, classes))}</title>")
        drawn.append(f'<text x="0" y="{y + 13}">{_text(_fitted(bar.label) or "(empty)")}</text>')
        for colour, count in _stack(bar, classes):
            width = room * count / most
            if width >= 0.05:
                drawn.append(f'<rect class="{colour}" x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="12"/>')
            x += width
        drawn.append(f'<text class="m" x="{x + 5:.1f}" y="{y + 13}">{number(bar.count)}</text></g>')
    height = max(1, len(column.bars)) * _ROW
    return (
        f'<svg viewBox="0 0 {_WIDTH} {height}" role="img" aria-label="Most frequent values of {_text(column.name)}">'
        f"{''.join(drawn)}</svg>"
    )


def share_bar(bars: Sequence[Bar]) -> str:
    """Return one bar split into the shares of *bars*."""
    total = sum(bar.count for bar in bars) or 1
    x, drawn = 0.0, []
    for i, bar in enumerate(bars):
        width = 1000 * bar.count / total
        drawn.append(
            f'<rect class="c{i}" x="{x:.1f}" width="{width:.1f}" height="26">'
            f"<title>{_text(bar.label)}: {bar.count:,} rows, {share(bar.count / total)}</title></rect>"
        )
        x += width
    return (
        '<svg class="share" viewBox="0 0 1000 26" preserveAspectRatio="none" role="img" aria-label="Shares">'
        f"{''.join(drawn)}</svg>"
    )


def meter(share: float, label: str) -> str:
    """Return a thin bar filled up to *share*, 0 to 1."""
    return (
        f'<svg class="meter" viewBox="0 0 100 6" preserveAspectRatio="none" role="img" aria-label="{_text(label)}">'
        f'<rect class="t" width="100" height="6"/><rect class="c0" width="{100 * share:.1f}" height="6"/></svg>'
    )


def small(column: Column) -> str:
    """Return the distribution of *column* in the height of a line of text."""
    most = max((bar.count for bar in column.bars), default=0)
    if not most:
        return ""
    step = _SMALL_WIDTH / len(column.bars)
    path = ""
    for i, bar in enumerate(column.bars):
        height, width = max(1.0, _SMALL_HEIGHT * bar.count / most), step * 0.9
        if bar.count:
            path += f"M{i * step:.1f},{_SMALL_HEIGHT}h{width:.1f}v-{height:.1f}h-{width:.1f}z"
    size = f'viewBox="0 0 {_SMALL_WIDTH} {_SMALL_HEIGHT}" preserveAspectRatio="none"'
    return f'<svg class="small" {size} role="img" aria-label="Distribution"><path class="c0" d="{path}"/></svg>'


def heat_map(found: Sequence[Association]) -> str:
    """Return how strongly each pair of columns goes together as squares, of the first 40 columns."""
    names = list(dict.fromkeys(name for one in found for name in (one.first, one.second)))[:_MAP_COLUMNS]
    places = {name: i for i, name in enumerate(names)}
    side, left = 18, 130
    drawn = []
    for i, name in enumerate(names):
        y = i * side
        drawn.append(f'<text x="{left - 6}" y="{y + 13}" text-anchor="end">{_text(_fitted(name))}</text>')
        drawn.append(f'<text class="m" x="{left + y + 9}" y="{y + 12}" text-anchor="middle">{i + 1}</text>')
    for one in found:
        if one.first in places and one.second in places:
            i, j = sorted((places[one.first], places[one.second]))
            colour = "c1" if one.value < 0 else "c0"
            hint = _text(f"{one.first} · {one.second}: {one.value:.2f} ({one.measure.replace('_', ' ')})")
            drawn.append(
                f'<rect class="{colour}" x="{left + i * side + 1}" y="{j * side + 1}" width="16" height="16" '
                f'fill-opacity="{max(0.04, abs(one.value)):.2f}"><title>{hint}</title></rect>'
            )
    height = len(names) * side
    width = left + height
    return (
        f'<svg class="map" style="max-width:{1.15 * width:.0f}px" viewBox="0 0 {width} {height}" role="img" '
        f'aria-label="What goes together">{"".join(drawn)}</svg>'
    )


def number(value: float) -> str:
    """Return *value* for people, at most about seven characters.

    >>> number(25192), number(381709090), number(0.28416), number(-1e-9), number(2.0)
    ('25,192', '382 M', '0.284', '-1e-09', '2')
    """
    for unit, size in (("T", 1e12), ("G", 1e9), ("M", 1e6)):
        if size <= abs(value) < 1e15:
            return f"{value / size:.3g} {unit}"
    if value == int(value) and abs(value) < 1e6:
        return f"{value:,.0f}"
    return f"{value:,.0f}" if 1000 <= abs(value) < 1e6 else f"{value:.3g}"


def share(part: float) -> str:
    """Return a part of 1 as a percentage that does not look like nothing when it is something.

    >>> share(0.5338), share(0.0004), share(0.0)
    ('53.4 %', '0.04 %', '0 %')
    """
    return f"{100 * part:.3g} %" if part < 0.9995 else f"{100 * part:.2f} %".replace("100.00", "100")


def _stack(bar: Bar, classes: Sequence[str]) -> list[tuple[str, int]]:
    """Return the parts of a bar: style and count. One that is not split must not look like the first class."""
    if bar.by_class:
        return [(f"c{place}", count) for place, count in enumerate(bar.by_class)]
    return [("whole" if classes else "c0", bar.count)]


def _hint(bar: Bar, classes: Sequence[str]) -> str:
    split = ", ".join(f"{label} {count:,}" for label, count in zip(classes, bar.by_class, strict=False) if count)
    return f"{_cut(bar.label, 80) or '(empty)'}: {bar.count:,} rows" + (f" ({split})" if split else "")


def _cut(text: str, chars: int) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"


def _fitted(label: str) -> str:
    """Return as much of a label as has room beside its bar, letters being as wide as they are in most fonts.

    >>> _fitted("REG_DOT_NEWLINE"), _fitted("reg dot newline")
    ('REG_DOT_N…', 'reg dot newline')
    """
    room, widths = float(_LABEL_CHARS), [_letter_width(letter) for letter in label]
    if sum(widths) <= room:
        return label
    kept = 0
    while kept < len(label) and sum(widths[: kept + 1]) <= room - 1:
        kept += 1
    return label[:kept] + "…"


def _letter_width(letter: str) -> float:
    if letter in "ijlt.,:;|!'()[] ":
        return 0.6
    return 1.0 if letter.islower() or letter.isdigit() else 1.45


def _text(text: str) -> str:
    return html.escape(text)
