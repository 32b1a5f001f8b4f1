"""What inputs added to answers, for people: of many rows a summary, of one row each input's part."""

from __future__ import annotations

import html
from collections.abc import Iterator, Mapping
from dataclasses import asdict
from typing import Any

from filiera.core.document import Document, Section, escaped, table
from filiera.core.report import Svg
from filiera.model.contributions import Contributions
from filiera.model.contributions_summary import InputContributions, Summary
from filiera.model.evaluation_text import number
from filiera.model.importance_text import signed
from filiera.model.interval_chart import Measured, interval_chart

_MOST = 20
_CLEAR = 0.5
_WIDTH, _LABEL, _ROW, _HALF = 920, 220, 34, 13


def contributions_document(found: Summary, *, title: str = "Contributions") -> Document:
    """Return a summary as a document."""
    section = contributions_section(found, most=len(found.inputs))
    return Document(kind="Contributions of inputs", title=title, lead="", sections=(section,))


def contributions_section(found: Summary, *, most: int = _MOST) -> Section:
    """Return a summary as a section, with a drawing; of more inputs than *most* the first."""
    header, rows = summary_table(found)
    text = [escaped(" ".join(told(found))), table(header, rows[:most], right=header[1 : 1 + len(found.outputs)])]
    if len(rows) > most:
        text.append(f"and {len(rows) - most:,} that add less")
    return Section("What inputs add to the answers", "\n\n".join(text), (_drawing(found),))


def told(found: Summary) -> Iterator[str]:
    """Yield sentences that say what the numbers are."""
    what = what_of(found.unit, found.outputs)
    yield f"What each input adds to the {what}, in the mean of {found.n:,} rows, its sign left out."
    named = found.outputs if len(found.outputs) > 1 else ("",)
    bases = ", ".join(f"{name} {number(base)}".strip() for name, base in zip(named, found.base, strict=True))
    yield f"Without any of them it is {bases}; all that they add to one row makes up the rest (Shapley values)."


def what_of(unit: str, outputs: tuple[str, ...]) -> str:
    """Return what numbers are, in words.

    >>> what_of("log-odds", ("yes",)), what_of("answer", ("",))
    ('log-odds of yes', 'answer')
    """
    named = f" of {outputs[0]}" if len(outputs) == 1 and outputs[0] else " of each class" if len(outputs) > 1 else ""
    return f"{unit}{named}"


def summary_table(found: Summary) -> tuple[tuple[str, ...], list[tuple[str, ...]]]:
    """Return a summary's head, and a row of texts for each input."""
    if len(found.outputs) == 1:
        rows: list[tuple[str, ...]]
        rows = [(one.name, number(one.sizes[0]), direction(one.directions[0])) for one in found.inputs]
        return ("input", "adds", "higher values"), rows
    return ("input", *found.outputs), [(one.name, *map(number, one.sizes)) for one in found.inputs]


def direction(alike: float | None) -> str:
    """Return which way an input's values move the answer.

    >>> direction(0.9), direction(-0.7), direction(0.1), direction(None)
    ('raise it', 'lower it', 'both', '')
    """
    if alike is None:
        return ""
    return "raise it" if alike >= _CLEAR else "lower it" if alike <= -_CLEAR else "both"


def _drawing(found: Summary) -> Svg:
    first = found.inputs[:_MOST]
    if len(found.outputs) == 1:
        return _swarms(first, what_of(found.unit, found.outputs))
    lines = [Measured(label=one.name, value=sum(one.sizes), low=0.0, high=sum(one.sizes)) for one in first]
    return interval_chart(lines, of="What each input adds, all classes together") or Svg("<svg/>")


def _swarms(inputs: tuple[InputContributions, ...], what: str) -> Svg:
    """Return a line of points for each input, a point for each row: where it moved the answer, by the value it had."""
    ends = [value for one in inputs for value, _ in one.points] or [0.0]
    least, most = min(*ends, 0.0), max(*ends, 0.0)
    span, height = (most - least) or 1.0, _ROW * len(inputs) + 34

    def x(value: float) -> float:
        return _LABEL + (_WIDTH - _LABEL - 20) * (value - least) / span

    parts = [f'<path class="k" d="M{x(0):.1f},4V{height - 26}"/>']
    for line, one in enumerate(inputs):
        middle = _ROW * line + 20
        parts.append(f'<text x="0" y="{middle + 4}">{html.escape(one.name[:32])}</text>')
        parts.append(f'<path class="g" d="M{_LABEL},{middle}H{_WIDTH - 20}"/>')
        stacks: dict[int, int] = {}
        for value, place in one.points:
            at = x(value)
            level = stacks[int(at / 3)] = stacks.get(int(at / 3), -1) + 1
            up = (level + 1) // 2 * (1 if level % 2 else -1) * 1.6
            up = max(-_HALF, min(_HALF, up))
            parts.append(f'<circle cx="{at:.1f}" cy="{middle + up:.1f}" r="2.2" fill="{_colour(place)}"/>')
    ticks = "".join(
        f'<text class="s" x="{x(value):.0f}" y="{height - 10}" text-anchor="middle">{value:.3g}</text>'
        for value in (least, 0.0, most)
    )
    style = (
        "<style>.swarms text{font:12px system-ui,sans-serif;fill:currentColor}.swarms .s{opacity:.65}"
        ".swarms .k{stroke:currentColor;opacity:.55}.swarms .g{stroke:currentColor;opacity:.12}</style>"
    )
    dots = _dot(0.0, 66, height) + _dot(1.0, 128, height)
    foot = (
        f'<text class="s" x="0" y="{height - 10}">low values</text><text class="s" x="92" y="{height - 10}">high</text>'
    )
    return Svg(
        f'<svg xmlns="http://www.w3.org/2000/svg" class="swarms" width="{_WIDTH}" viewBox="0 0 {_WIDTH} {height}" '
        f'role="img" aria-label="What inputs add to the {html.escape(what)}">{style}{"".join(parts)}'
        f"{ticks}{foot}{dots}</svg>"
    )


def _dot(place: float, x: int, height: int) -> str:
    return f'<circle cx="{x}" cy="{height - 14}" r="4" fill="{_colour(place)}"/>'


def _colour(place: float | None) -> str:
    """Return a colour between blue, of the least value, and orange, of the greatest; grey where there is no order."""
    if place is None:
        return "#8a94a3"
    low, high = (47, 111, 222), (229, 118, 43)
    return "#" + "".join(f"{round(a + (b - a) * place):02x}" for a, b in zip(low, high, strict=True))


def row_parts(found: Contributions, answer: Any) -> tuple[float, float, list[tuple[str, float]], str]:
    """Return base, result, and what each input added, the most first, of one row; and what it is about.

    Of several classes it is the one that was answered.
    """
    place = found.outputs.index(str(answer)) if len(found.outputs) > 1 and str(answer) in found.outputs else 0
    added = found.values[0, :, place]
    parts = sorted(zip(found.inputs, added.tolist(), strict=True), key=lambda part: -abs(part[1]))
    base = float(found.base[place])
    return base, base + float(added.sum()), parts, what_of(found.unit, (found.outputs[place],))


def row_document(found: Contributions, values: Mapping[str, Any], answer: Any, *, title: str) -> Document:
    """Return why a model answered one row as it did, as a document."""
    base, result, parts, what = row_parts(found, answer)
    rows = [(name, values[name], signed(added)) for name, added in parts]
    lines = [
        Measured(label=f"{name} = {values[name]}", value=added, low=min(added, 0.0), high=max(added, 0.0), mark=0.0)
        for name, added in parts[:_MOST]
    ]
    chart = interval_chart(lines, of=f"What inputs added to the {what}", mark="nothing added")
    lead = escaped(f"It answers {answer}. The {what} is {number(result)}: {number(base)} without any input, and this:")
    section = Section(
        "What inputs added", table(("input", "value", "added"), rows, right=("added",)), (chart,) if chart else ()
    )
    return Document(kind="Contributions to one answer", title=title, lead=lead, sections=(section,))


def row_data(found: Contributions, values: Mapping[str, Any], answer: Any) -> dict[str, Any]:
    """Return why a model answered one row as it did, as JSON data."""
    per_output = [
        {
            "output": name,
            "base": float(found.base[place]),
            "added": dict(zip(found.inputs, column.tolist(), strict=True)),
        }
        for place, (name, column) in enumerate(zip(found.outputs, found.values[0].T, strict=True))
    ]
    return {"answer": answer, "unit": found.unit, "row": dict(values), "outputs": per_output}


def summary_data(found: Summary) -> dict[str, Any]:
    """Return a summary as JSON data, without the points."""
    data = asdict(found)
    for one in data["inputs"]:
        one.pop("points")
    return data
