"""A difference as one page: self-contained, without scripts, light and dark."""

from __future__ import annotations

import html
from collections.abc import Iterable, Mapping, Sequence
from importlib.resources import files
from typing import Any

from filiera.core.report import Html
from filiera.data.difference import Cell, Difference, RowDifference, SchemaDifference, Shift

_MANY_CARDS = 60
_WIDTH, _ROW, _LABEL_WIDTH, _SHARE_WIDTH = 300, 26, 122, 44
_STYLE = """
.plus { color: var(--c2); } .minus { color: var(--c1); } td, th { vertical-align: top; }
.wide { overflow-x: auto; } svg .before { fill: var(--c5); } svg .after { fill: var(--c0); }
.sides i { display: inline-block; width: 11px; height: 11px; margin: 0 7px 0 0; border-radius: 3px; }
.sides span { margin-right: 18px; }
"""


def diff_html(found: Difference) -> Html:
    """Return *found* as a page: what differs in columns and rows, and the distributions, those that moved most first.

    >>> schema = SchemaDifference(added={"<b>": "int64"}, removed={}, retyped={}, is_reordered=False, not_compared=())
    >>> rows = RowDifference(
    ...     keys=(), added=0, removed=0, changed=0, columns=(), added_examples=(), removed_examples=())
    >>> page = diff_html(Difference(
    ...     before="a", after="b", rows_before=0, rows_after=0, schema=schema, rows=rows, shifts=()))
    >>> "&lt;b&gt;" in page.text, "<b>" in page.text
    (True, False)
    """
    style = files("filiera.data").joinpath("report.css").read_text(encoding="utf-8") + _STYLE
    title = f"{_text(found.before)} → {_text(found.after)}"
    sections = (_tiles(found), _schema(found.schema), _columns(found.rows), _examples(found.rows), _shifts(found))
    return Html(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{style}</style></head><body><main>"
        f'<header><p class="eyebrow">Difference</p><h1>{title}</h1></header>'
        f"{''.join(sections)}</main></body></html>\n"
    )


def _tiles(found: Difference) -> str:
    by = f"by {', '.join(found.rows.keys)}" if found.rows.keys else "equal rows cancel"
    changed = f"{found.rows.changed:,}" if found.rows.keys else "–"
    tiles = (
        ("Rows", f"{found.rows_after:,}", f"{found.rows_before:,} before"),
        ("Added", f"{found.rows.added:,}", by),
        ("Removed", f"{found.rows.removed:,}", by),
        ("Changed", changed, by if found.rows.keys else "needs keys"),
    )
    drawn = "".join(f"<div><dt>{n}</dt><dd>{v}</dd><small>{_text(note)}</small></div>" for n, v, note in tiles)
    return f'<dl class="tiles">{drawn}</dl>'


def _schema(schema: SchemaDifference) -> str:
    lines = [f'<b class="plus">+</b> {_text(name)} ({_text(kind)})' for name, kind in schema.added.items()]
    lines += [f'<b class="minus">−</b> {_text(name)} ({_text(kind)})' for name, kind in schema.removed.items()]
    for name, (before, after) in schema.retyped.items():
        note = "; values not compared" if name in schema.not_compared else ""
        lines.append(f"{_text(name)}: {_text(before)} → {_text(after)}{note}")
    if schema.is_reordered:
        lines.append("The columns stand in another order.")
    if not lines:
        return "<section><h2>Columns</h2><p>The same, with the same types, in the same order.</p></section>"
    items = "".join(f"<li>{line}</li>" for line in lines)
    return f'<section><h2>Columns</h2><ul class="findings">{items}</ul></section>'


def _columns(rows: RowDifference) -> str:
    if not rows.columns:
        return ""
    lines = [
        (column.name, f"{column.rows:,}", _key(example.key), _cell(example.before), _cell(example.after))
        for column in rows.columns
        for example in column.examples or ()
    ]
    return _table("Changed cells", ("Column", "Rows", "Where", "Before", "After"), lines)


def _examples(rows: RowDifference) -> str:
    found = []
    for title, examples in (("Added rows", rows.added_examples), ("Removed rows", rows.removed_examples)):
        if examples:
            lines = [[_cell(value) for value in example.values()] for example in examples]
            found.append(_table(f"{title}: the first", tuple(examples[0]), lines))
    return "".join(found)


def _shifts(found: Difference) -> str:
    if not found.shifts:
        return ""
    ordered = sorted(found.shifts, key=lambda shift: -(shift.distance or 0))
    cards = "".join(_card(shift) for shift in ordered[:_MANY_CARDS])
    rest = ordered[_MANY_CARDS:]
    more = f"<p>{len(rest):,} more moved less: at most {rest[0].distance or 0:.3f}.</p>" if rest else ""
    return (
        '<section><h2>Distributions</h2><p class="sides"><span><i class="b5"></i>before</span>'
        '<span><i class="b0"></i>after</span>Moved: the share of rows that would have to change their value '
        f'to undo the difference.</p><div class="cards">{cards}</div>{more}</section>'
    )


def _card(shift: Shift) -> str:
    moved = "no values" if shift.distance is None else f"moved {shift.distance:.3f}"
    facts = [("missing", f"{shift.missing[0]:,} → {shift.missing[1]:,}")] if any(shift.missing) else []
    if shift.mean != (None, None):
        facts.append(("mean", " → ".join("–" if mean is None else f"{mean:.5g}" for mean in shift.mean)))
    listed = "".join(f"<div><dt>{name}</dt><dd>{value}</dd></div>" for name, value in facts)
    return (
        f'<article><h3>{_text(shift.name)}<span class="type">{moved}</span></h3>{_bars(shift.cells)}'
        f"<dl>{listed}</dl></article>"
    )


def _bars(cells: Sequence[Cell]) -> str:
    if not cells:
        return '<p class="none">Its values are not shown.</p>'
    totals = [sum(cell.before for cell in cells) or 1, sum(cell.after for cell in cells) or 1]
    shares = [(cell.label, cell.before / totals[0], cell.after / totals[1]) for cell in cells]
    most = max((max(before, after) for _, before, after in shares), default=1) or 1
    room = (_WIDTH - _LABEL_WIDTH - _SHARE_WIDTH) / most
    drawn = "".join(_bar(i * _ROW, label, (before, after), room) for i, (label, before, after) in enumerate(shares))
    label = "Shares of rows before and after"
    return f'<svg viewBox="0 0 {_WIDTH} {len(cells) * _ROW}" role="img" aria-label="{label}">{drawn}</svg>'


def _bar(top: int, label: str, shares: tuple[float, float], room: float) -> str:
    before, after = shares
    short = label if len(label) <= 18 else label[:17] + "…"
    end = _LABEL_WIDTH + max(shares) * room + 5
    return (
        f"<g><title>{_text(label)}: {before:.2%} before, {after:.2%} after</title>"
        f'<text x="0" y="{top + 15}">{_text(short)}</text>'
        f'<rect class="before" x="{_LABEL_WIDTH}" y="{top + 3}" width="{before * room:.1f}" height="8"/>'
        f'<rect class="after" x="{_LABEL_WIDTH}" y="{top + 12}" width="{after * room:.1f}" height="8"/>'
        f'<text class="m" x="{end:.1f}" y="{top + 15}">{after:.1%}</text></g>'
    )


def _table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<section><h2>{title}</h2><div class="wide"><table><tr>{head}</tr>{body}</table></div></section>'


def _key(key: Mapping[str, Any]) -> str:
    return ", ".join(f"{name} = {_cell(value)}" for name, value in key.items())


def _cell(value: Any) -> str:
    return "null" if value is None else str(value)


def _text(value: str) -> str:
    return html.escape(value)
