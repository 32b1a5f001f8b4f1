"""A graph as a drawing: steps in layers from left to right, as SVG. Pure functions over names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from html import escape

MOST_DRAWN = 150
"""A drawing of more steps shows nothing that a table would not show better."""

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 150, 34, 46, 14, 6
_LONGEST = 20
_SWEEPS = 4
_COLOURS = {
    "succeeded": "#2e7d32", "hit": "#00838f", "caught": "#9e6a03", "running": "#b08800", "retrying": "#b08800",
    "waiting": "#b08800", "failed": "#c62828", "rejected": "#c62828", "cancelled": "#8e24aa",
}  # fmt: skip
_GREY = "#8a8a8a"


def colour_of(state: str) -> str:
    """Return the colour that goes with the word *state*, readable on white and on black."""
    return _COLOURS.get(state, _GREY)


def layers(upstream: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the steps in layers: each behind all that it waits for, near them, so that few lines cross.

    Args:
        upstream: What each step waits for, in an order in which they can run; names that are not steps are ignored.

    >>> layers({"load": [], "clean": ["load"], "check": ["load"], "fit": ["clean", "check"]})
    [['load'], ['clean', 'check'], ['fit']]
    """
    depth: dict[str, int] = {}
    for name, needs in upstream.items():
        depth[name] = 1 + max((depth[need] for need in needs if need in depth), default=-1)
    found: list[list[str]] = [[] for _ in range(max(depth.values(), default=-1) + 1)]
    for name, layer in depth.items():
        found[layer].append(name)
    downstream: dict[str, list[str]] = {name: [] for name in upstream}
    for name, needs in upstream.items():
        for need in needs:
            if need in downstream:
                downstream[need].append(name)
    for _ in range(_SWEEPS):
        _straighten(found, upstream)
        _straighten(found[::-1], downstream)
    return found


def _straighten(columns: Sequence[list[str]], neighbours: Mapping[str, Sequence[str]]) -> None:
    """Order each column by where the neighbours in the columns before it are."""
    row = {name: index for column in columns for index, name in enumerate(column)}

    def middle(name: str) -> float:
        rows = [row[other] for other in neighbours[name] if other in row]
        return sum(rows) / len(rows) if rows else row[name]

    for column in columns:
        column.sort(key=middle)
        row.update({name: index for index, name in enumerate(column)})


def draw(upstream: Mapping[str, Sequence[str]], states: Mapping[str, str] | None = None) -> str:
    """Return an SVG drawing of a graph, "" when it has no or too many steps.

    Args:
        upstream: What each step waits for, in an order in which they can run.
        states: The state of a step, written below its name.
    """
    if not 0 < len(upstream) <= MOST_DRAWN:
        return ""
    columns = layers(upstream)
    tallest = max(len(column) for column in columns)
    corner: dict[str, tuple[float, float]] = {}
    for x, column in enumerate(columns):
        top = _MARGIN + (tallest - len(column)) * (_HEIGHT + _GAP_Y) / 2
        for y, name in enumerate(column):
            corner[name] = (_MARGIN + x * (_WIDTH + _GAP_X), top + y * (_HEIGHT + _GAP_Y))
    width = len(columns) * (_WIDTH + _GAP_X) - _GAP_X + 2 * _MARGIN
    height = tallest * (_HEIGHT + _GAP_Y) - _GAP_Y + 2 * _MARGIN
    lines = [_line(corner[need], corner[name]) for name, needs in upstream.items() for need in needs if need in corner]
    boxes = [_box(name, place, (states or {}).get(name, "")) for name, place in corner.items()]
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" '
        f'height="{height:g}" role="img" aria-label="graph of {len(corner)} steps" '
        f'style="max-width:100%;height:auto;font:11px sans-serif">{"".join(lines)}{"".join(boxes)}</svg>'
    )


def _line(start: tuple[float, float], end: tuple[float, float]) -> str:
    x1, y1, x2, y2 = start[0] + _WIDTH, start[1] + _HEIGHT / 2, end[0], end[1] + _HEIGHT / 2
    middle = (x1 + x2) / 2
    return (
        f'<path d="M{x1:g} {y1:g}C{middle:g} {y1:g} {middle:g} {y2:g} {x2:g} {y2:g}" fill="none" '
        f'stroke="{_GREY}" stroke-width="1.2"/>'
    )


def _box(name: str, place: tuple[float, float], state: str) -> str:
    x, y = place
    shown = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
    below = f'<text x="{x + 9:g}" y="{y + 27:g}" fill="{colour_of(state)}">{escape(state)}</text>' if state else ""
    return (
        f"<g><title>{escape(name)}</title>"
        f'<rect x="{x:g}" y="{y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="5" fill="none" '
        f'stroke="{colour_of(state)}" stroke-width="1.5"/>'
        f'<text x="{x + 9:g}" y="{y + (14 if state else 21):g}" fill="currentColor">{escape(shown)}</text>{below}</g>'
    )
