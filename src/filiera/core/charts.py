"""Line charts as SVG, and the page around them: self-contained, without scripts, light and dark."""

from __future__ import annotations

import html
import math
import sys
from collections.abc import Iterable, Sequence

from filiera.core.report import Html
from filiera.core.value import dataclass

COLOURS = 8
"""Lines have so many colours, then they begin again; names stand beside them all the same."""
_WIDTH, _HEIGHT = 640, 260
_LEFT, _RIGHT, _TOP, _BOTTOM = 64, 12, 10, 34
_MOST_POINTS = 400
"""A line of more points is drawn by the least and the greatest of each of its parts: no spike is lost."""
_STYLE = """
:root { color-scheme: light dark; --ink: #1d2433; --dim: #667085; --grid: #e4e7ec; --back: #fff;
  --c0: #1f6feb; --c1: #d9480f; --c2: #2b8a3e; --c3: #9c36b5; --c4: #b08900; --c5: #0b7285;
  --c6: #c2255c; --c7: #5f3dc4 }
@media (prefers-color-scheme: dark) { :root { --ink: #e6e9ef; --dim: #98a2b3; --grid: #2f3747; --back: #12161f;
  --c0: #6ea8fe; --c1: #ff922b; --c2: #69db7c; --c3: #da77f2; --c4: #ffd43b; --c5: #3bc9db;
  --c6: #f783ac; --c7: #9775fa } }
body { font: 15px/1.5 system-ui, sans-serif; color: var(--ink); background: var(--back); margin: 0 }
main { max-width: 980px; margin: 0 auto; padding: 24px 20px 60px }
h1 { font-size: 22px; margin: 0 0 4px } h2 { font-size: 16px; margin: 28px 0 6px }
p { color: var(--dim); margin: 2px 0 10px }
svg { width: 100%; height: auto; display: block } svg:not([xmlns]) text { font-size: 11px; fill: var(--dim);
  paint-order: stroke; stroke: var(--back); stroke-width: 3px }
.grid { stroke: var(--grid) } .line { fill: none; stroke-width: 1.6; stroke-linejoin: round }
.band { opacity: .22 }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; width: 100% }
th, td { text-align: left; padding: 3px 12px 3px 0; border-bottom: 1px solid var(--grid) }
th { color: var(--dim); font-weight: 500 } td.n, th.n { text-align: right }
.scroll { overflow-x: auto } .key { display: flex; flex-wrap: wrap; gap: 2px 16px; font-size: 13px }
.key i { display: inline-block; width: 14px; height: 3px; margin-right: 6px; vertical-align: middle }
""" + "".join(
    f".c{i} {{ stroke: var(--c{i}) }} .f{i} {{ fill: var(--c{i}) }} .b{i} {{ background: var(--c{i}) }}\n"
    for i in range(COLOURS)
)


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a chart."""

    name: str
    points: Sequence[tuple[float, float]]  #: x and y; y may be NaN or infinite, which breaks the line
    is_dots: bool = False  #: points that nothing connects
    band: Sequence[tuple[float, float]] = ()  #: low and high end at each point, shaded between; none: no band


def page(title: str, sections: Iterable[str]) -> Html:
    """Return a page of *sections*, which are HTML.

    >>> "<h1>a &lt; b</h1>" in page("a < b", ["<p>…</p>"]).text
    True
    """
    return Html(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{html.escape(title)}</title><style>{_STYLE}</style></head><body><main>"
        f"<h1>{html.escape(title)}</h1>{''.join(sections)}</main></body></html>\n"
    )


def table(header: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> str:
    """Return an HTML table; the columns in *right* are aligned to the right."""
    marks = [' class="n"' if name in right else "" for name in header]
    head = "".join(f"<th{mark}>{html.escape(name)}</th>" for name, mark in zip(header, marks, strict=True))
    body = "".join(
        "<tr>"
        + "".join(f"<td{mark}>{html.escape(str(cell))}</td>" for cell, mark in zip(row, marks, strict=True))
        + "</tr>"
        for row in rows
    )
    return f'<div class="scroll"><table><tr>{head}</tr>{body}</table></div>'


def key_of(names: Sequence[str]) -> str:
    """Return which colour each of these names has, as HTML."""
    marks = [f'<span><i class="b{i % COLOURS}"></i>{html.escape(name)}</span>' for i, name in enumerate(names)]
    return f'<div class="key">{"".join(marks)}</div>'


def line_chart(lines: Sequence[Line], *, label: str, x_label: str = "step") -> str:
    """Return lines over common axes as SVG, with their names below; values that are no numbers are counted there.

    >>> line_chart([Line("loss", [(0, 0.5), (1, 0.25)])], label="Loss").count("<path")
    1
    """
    finite = [(x, y) for line in lines for x, y in line.points if math.isfinite(y)]
    left_out = sum(len(line.points) for line in lines) - len(finite)
    note = f"<p>{left_out:,} values are NaN or infinite: there the line has a gap.</p>" if left_out else ""
    if not finite:
        return f"<p>{html.escape(label)} has no finite values.</p>{note}"
    across = Scale.of([x for x, _ in finite], _LEFT, _WIDTH - _RIGHT)
    ends = [end for line in lines for pair in line.band for end in pair if math.isfinite(end)]
    up = Scale.of([*(y for _, y in finite), *ends], _HEIGHT - _BOTTOM, _TOP)
    drawn = [_grid(across, up, x_label)]
    drawn += [_band(line, across, up, i % COLOURS) for i, line in enumerate(lines) if line.band]
    for i, line in enumerate(lines):
        drawn.append(_drawn(line, across, up, i % COLOURS))
    svg = f'<svg viewBox="0 0 {_WIDTH} {_HEIGHT}" role="img" aria-label="{html.escape(label)}">{"".join(drawn)}</svg>'
    return svg + (key_of([line.name for line in lines]) if len(lines) > 1 else "") + note


@dataclass(frozen=True, slots=True)
class Scale:
    """From values to places on the drawing."""

    low: float
    high: float
    start: float
    end: float

    @classmethod
    def of(cls, values: Iterable[float], start: float, end: float) -> Scale:
        """Return the scale that shows these values, of which there is at least one."""
        known = list(values)
        low, high = min(known), max(known)
        if high - low <= 1e-12 * max(abs(low), abs(high), 1e-300):
            low = max(low - (abs(low) / 2 or 1), -sys.float_info.max)
            high = min(high + (abs(high) / 2 or 1), sys.float_info.max)
        return cls(low, high, start, end)

    def __call__(self, value: float) -> float:
        # Halves: the difference of the ends of a scale may be larger than what a float can hold.
        share = (value / 2 - self.low / 2) / (self.high / 2 - self.low / 2)
        return self.start + (self.end - self.start) * share

    def ticks(self) -> list[float]:
        """Return four to eight round numbers on the scale.

        >>> Scale(0, 1, 0, 100).ticks()
        [0.0, 0.2, 0.4, 0.6, 0.8, 1.0]
        """
        rough = self.high / 5 - self.low / 5
        power = 10.0 ** math.floor(math.log10(rough))
        if not power or math.isinf(1 / power):
            return [self.low, self.high]
        step = next(power * one for one in (1, 2, 5, 10) if power * one >= rough * 0.99)
        first, last = math.ceil(self.low / step - 1e-9), math.floor(self.high / step + 1e-9)
        digits = max(0, -math.floor(math.log10(step)))
        return [round(number * step, digits) for number in range(first, last + 1)]


def short(value: float) -> str:
    """Return a number for people, about four digits of it.

    >>> short(0.123456), short(25000.0), short(float("nan")), short(1e-9)
    ('0.1235', '25000', 'nan', '1e-09')
    """
    return f"{value:.0f}" if math.isfinite(value) and 1000 <= abs(value) < 1e7 else f"{value:.4g}"


def thinned(points: Sequence[tuple[float, float]], most: int = _MOST_POINTS) -> list[tuple[float, float]]:
    """Return at most about *most* of the points, among them the least and the greatest of each stretch.

    >>> thinned([(0, 1.0), (1, 9.0), (2, 0.0), (3, 2.0)], 2)
    [(1, 9.0), (2, 0.0)]
    """
    if len(points) <= most:
        return list(points)
    size = 2 * len(points) / most
    found = []
    for number in range(most // 2):
        part = points[round(number * size) : round((number + 1) * size)]
        least, greatest = min(part, key=lambda p: p[1]), max(part, key=lambda p: p[1])
        found += sorted({least, greatest}) if least != greatest else [least]
    return found


def _grid(across: Scale, up: Scale, x_label: str) -> str:
    drawn = []
    for tick in up.ticks():
        y = up(tick)
        drawn.append(f'<line class="grid" x1="{_LEFT}" x2="{_WIDTH - _RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        drawn.append(f'<text x="{_LEFT - 6}" y="{y + 4:.1f}" text-anchor="end">{short(tick)}</text>')
    for tick in across.ticks():
        drawn.append(f'<text x="{across(tick):.1f}" y="{_HEIGHT - 18}" text-anchor="middle">{short(tick)}</text>')
    middle = (_LEFT + _WIDTH - _RIGHT) / 2
    drawn.append(f'<text x="{middle}" y="{_HEIGHT - 4}" text-anchor="middle">{html.escape(x_label)}</text>')
    return "".join(drawn)


def _band(line: Line, across: Scale, up: Scale, colour: int) -> str:
    """Return what lies between the ends of a line's band, in as many pieces as the line has."""
    pieces: list[list[tuple[float, float, float]]] = [[]]
    for (x, y), (low, high) in zip(line.points, line.band, strict=True):
        if all(map(math.isfinite, (y, low, high))):
            pieces[-1].append((across(x), up(low), up(high)))
        elif pieces[-1]:
            pieces.append([])
    path = ""
    for piece in pieces:
        kept = piece[:: max(1, math.ceil(len(piece) / _MOST_POINTS))]
        edge = [f"{x:.1f},{low:.1f}" for x, low, _ in kept] + [f"{x:.1f},{high:.1f}" for x, _, high in reversed(kept)]
        path += f"M{'L'.join(edge)}Z" if edge else ""
    return f'<path class="band f{colour}" d="{path}"/>' if path else ""


def _drawn(line: Line, across: Scale, up: Scale, colour: int) -> str:
    runs: list[list[tuple[float, float]]] = [[]]
    for x, y in line.points:
        if math.isfinite(y):
            runs[-1].append((x, y))
        elif runs[-1]:
            runs.append([])
    drawn = []
    path = ""
    if line.is_dots:
        runs = [[point] for point in line.points if math.isfinite(point[1])]
    for run in runs:
        places = [f"{across(x):.1f},{up(y):.1f}" for x, y in thinned(run)]
        if len(places) == 1:
            at, height = places[0].split(",")
            drawn.append(f'<circle class="f{colour}" cx="{at}" cy="{height}" r="2.5"/>')
        elif places:
            path += "M" + "L".join(places)
    if path:
        drawn.append(f'<path class="line c{colour}" d="{path}"><title>{html.escape(line.name)}</title></path>')
    return "".join(drawn)
