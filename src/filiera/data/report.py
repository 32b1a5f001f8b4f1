"""A profile as one page: self-contained, without scripts, light and dark, at most about 500 KB."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib.resources import files

from filiera.core.report import Html
from filiera.data import plots
from filiera.data.profile import Column, Profile

_CARDS_BYTES = 380_000
_ROWS_BYTES = 60_000
_STRONGEST = 15


def profile_html(profile: Profile) -> Html:
    """Return *profile* as a page; columns beyond its size are listed without plots, or counted, never just left out.

    >>> from filiera.data.profile import Column
    >>> page = profile_html(Profile(title="<b>", rows=0, columns=()))
    >>> "&lt;b&gt;" in page.text, "<b>" in page.text
    (True, False)
    """
    style = files("filiera.data").joinpath("report.css").read_text(encoding="utf-8")
    sections = (_head(profile), _worth_a_look(profile), _target(profile), _columns(profile))
    return Html(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(profile.title)}</title><style>{style}</style></head><body><main>"
        f"{''.join(sections)}</main></body></html>\n"
    )


def _head(profile: Profile) -> str:
    cells = profile.rows * len(profile.columns) or 1
    repeated = profile.repeated_rows
    kinds = [f"{count} {kind}" for kind, count in _kinds(profile.columns)]
    tiles = (
        ("Rows", f"{profile.rows:,}", ""),
        ("Columns", f"{len(profile.columns):,}", ", ".join(kinds)),
        ("Missing cells", f"{profile.missing_cells:,}", f"{plots.share(profile.missing_cells / cells)} of all"),
        ("Repeated rows", "not counted" if repeated is None else f"{repeated:,}", "equal to an earlier row"),
    )
    drawn = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd><small>{_text(note)}</small></div>" for name, value, note in tiles
    )
    title = f'<header><p class="eyebrow">Exploration</p><h1>{_text(profile.title)}</h1></header>'
    return f'{title}<dl class="tiles">{drawn}</dl>'


def _kinds(columns: Sequence[Column]) -> Iterable[tuple[str, int]]:
    names = {"number": "numeric", "category": "categorical", "time": "of time", "other": "other"}
    for kind, name in names.items():
        count = sum(column.kind == kind for column in columns)
        if count:
            yield name, count


def _worth_a_look(profile: Profile) -> str:
    if not profile.findings:
        return "<section><h2>Worth a look</h2><p>Nothing: no gaps, no constant columns, no repeated rows.</p></section>"
    items = "".join(f"<li>{_text(finding)}</li>" for finding in profile.findings)
    return f'<section><h2>Worth a look</h2><ul class="findings">{items}</ul></section>'


def _target(profile: Profile) -> str:
    if profile.target is None:
        return ""
    total = sum(bar.count for bar in profile.classes) or 1
    legend = "".join(
        f'<li><i class="b{i}"></i><b>{_text(bar.label)}</b> '
        f"<span>{bar.count:,} · {plots.share(bar.count / total)}</span></li>"
        for i, bar in enumerate(profile.classes)
    )
    found = sorted(((c.association, c.name) for c in profile.columns if c.association is not None), reverse=True)
    rows = "".join(
        f"<li><span>{_text(name)}</span>{plots.meter(value, f'{value:.2f}')}<b>{value:.2f}</b></li>"
        for value, name in found[:_STRONGEST]
    )
    strongest = (
        f"<h3>What goes with it</h3><p>Cramér's V with {_text(profile.target)}: 0 not at all, 1 completely; "
        f'the {min(len(found), _STRONGEST)} strongest of {len(found)} columns.</p><ol class="strengths">{rows}</ol>'
        if found
        else ""
    )
    return (
        f"<section><h2>Target: {_text(profile.target)}</h2>{plots.share_bar(profile.classes)}"
        f'<ul class="legend">{legend}</ul>{strongest}</section>'
    )


def _columns(profile: Profile) -> str:
    labels = [bar.label for bar in profile.classes]
    cards: list[str] = []
    size = 0
    for column in profile.columns:
        card = _card(column, labels, profile.rows)
        size += len(card.encode())
        if size > _CARDS_BYTES:
            break
        cards.append(card)
    rest = profile.columns[len(cards) :]
    split = f", bars split by {_text(profile.target)}" if profile.target else ""
    note = f"<p>In the order of the table{split}.</p>"
    return f'<section><h2>Columns</h2>{note}<div class="cards">{"".join(cards)}</div>{_plain_rows(rest)}</section>'


def _card(column: Column, classes: Sequence[str], rows: int) -> str:
    if not column.bars:
        drawing = '<p class="none">No distribution to draw.</p>'
    elif column.scale == "values":
        drawing = plots.value_bars(column, classes)
    else:
        drawing = plots.histogram(column, classes)
    more = f'<p class="none">{column.not_shown:,} rows hold other values.</p>' if column.not_shown else ""
    gap = plots.meter(column.nulls / rows, "missing") if column.nulls and rows else ""
    facts = "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in _facts(column, rows))
    return (
        f'<article><h3>{_text(column.name)} <span class="type">{_text(column.type)}</span></h3>'
        f"{drawing}{more}{gap}<dl>{facts}</dl></article>"
    )


def _facts(column: Column, rows: int) -> Iterable[tuple[str, str]]:
    if column.distinct is not None:
        yield "distinct", f"{column.distinct:,}"
    if column.nulls:
        yield "missing", f"{column.nulls:,} ({plots.share(column.nulls / rows)})"
    if column.not_finite:
        yield "NaN, infinite", f"{column.not_finite:,}"
    if column.zeros and column.scale != "values":
        yield "zero", plots.share(column.zeros / rows)
    if column.mean is not None:
        yield "mean", plots.number(column.mean)
    if column.deviation is not None:
        yield "deviation", plots.number(column.deviation)
    if column.quantiles:
        yield "median", plots.number(column.quantiles[2])
        yield "5 to 95 %", f"{plots.number(column.quantiles[0])} to {plots.number(column.quantiles[4])}"


def _plain_rows(columns: Sequence[Column]) -> str:
    if not columns:
        return ""
    rows: list[str] = []
    size = 0
    for column in columns:
        row = (
            f"<tr><td>{_text(column.name)}<td>{_text(column.type)}<td>{column.nulls:,}<td>{column.distinct or ''}</tr>"
        )
        size += len(row.encode())
        if size > _ROWS_BYTES:
            break
        rows.append(row)
    left = len(columns) - len(rows)
    more = f"<p>And {left:,} further columns, which this page has no room for.</p>" if left else ""
    return (
        f"<h3>{len(columns):,} further columns, without plots</h3>"
        f"<table><tr><th>column<th>type<th>missing<th>distinct</tr>{''.join(rows)}</table>{more}"
    )


def _text(text: str) -> str:
    return html.escape(text)
