"""A profile as one page: self-contained, without scripts, light and dark, at most 5 MB."""

from __future__ import annotations

import html
from collections.abc import Iterable, Sequence
from importlib.resources import files

from filiera.core.report import Html
from filiera.data import plots
from filiera.data.findings import duration
from filiera.data.profile import Column, Profile

_CARDS_BYTES = 3_500_000
_ROWS_BYTES = 400_000
_STRONGEST = 15
_FOLDED = 60
"""Above so many columns their cards are folded, in groups, below a table of all columns."""
_GROUP = 50


def profile_html(profile: Profile) -> Html:
    """Return *profile* as a page; columns beyond its size are listed without plots, or counted, never just left out.

    >>> from filiera.data.profile import Column
    >>> page = profile_html(Profile(title="<b>", rows=0, columns=()))
    >>> "&lt;b&gt;" in page.text, "<b>" in page.text
    (True, False)
    """
    style = files("filiera.data").joinpath("report.css").read_text(encoding="utf-8")
    sections = (_head(profile), _worth_a_look(profile), _target(profile), _pairs(profile), _columns(profile))
    return Html(
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{_text(profile.title)}</title><style>{style}</style></head><body><main>"
        f"{''.join(sections)}</main></body></html>\n"
    )


def _head(profile: Profile) -> str:
    cells = profile.rows * len(profile.columns) or 1
    repeated, about = profile.repeated_rows, "~" if profile.repeated_error else ""
    kinds = [f"{count} {kind}" for kind, count in _kinds(profile.columns)]
    tiles = (
        ("Rows", f"{profile.rows:,}", ""),
        ("Columns", f"{len(profile.columns):,}", ", ".join(kinds)),
        ("Missing cells", f"{profile.missing_cells:,}", f"{plots.share(profile.missing_cells / cells)} of all"),
        ("Repeated rows", "not counted" if repeated is None else f"{about}{repeated:,}", "equal to an earlier row"),
    )
    drawn = "".join(
        f"<div><dt>{name}</dt><dd>{value}</dd><small>{_text(note)}</small></div>" for name, value, note in tiles
    )
    title = f'<header><p class="eyebrow">Exploration</p><h1>{_text(profile.title)}</h1></header>'
    return f'{title}<dl class="tiles">{drawn}</dl>{_estimates(profile)}'


def _estimates(profile: Profile) -> str:
    if profile.sample_rows is None:
        return ""
    return (
        f'<p class="note">Figures with ~ are estimates. Distributions come from {profile.sample_rows:,} rows drawn at '
        f"random: shares and ranks are off by {100 * profile.sampling_error:.2g} points at most, in 99 of 100 tables. "
        "Counts, extremes, means and deviations are exact.</p>"
    )


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
    classes = f'{plots.share_bar(profile.classes)}<ul class="legend">{legend}</ul>' if profile.classes else ""
    return f"<section><h2>Target: {_text(profile.target)}</h2>{classes}{strongest}</section>"


def _pairs(profile: Profile) -> str:
    found = [one for one in profile.associations if one.measure != "pearson"]
    if not found:
        return ""
    strongest = sorted(found, key=lambda one: -abs(one.value))[:_STRONGEST]
    rows = "".join(
        f"<li><span>{_text(one.first)} · {_text(one.second)}</span>"
        f"{plots.meter(abs(one.value), f'{one.value:.2f}')}<b>{one.value:.2f}</b></li>"
        for one in strongest
    )
    return (
        "<section><h2>What goes together</h2><p>Of numbers and times Spearman's correlation, of categories Cramér's V, "
        f"of both the correlation ratio; the {len(strongest)} strongest of {len(found):,} pairs.</p>"
        f'<div class="pairs"><ol class="strengths">{rows}</ol>{plots.heat_map(found)}</div></section>'
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
    split = f", bars split by {_text(profile.target or '')}" if profile.classes else ""
    if profile.classes and any(column.bars and not column.bars[0].by_class for column in profile.columns):
        split += "; of columns with very many values they are not, and are drawn as outlines"
    is_many = len(profile.columns) > _FOLDED
    head = f"<section><h2>Columns</h2><p>In the order of the table{split}.</p>"
    if is_many:
        return f"{head}{_table(profile)}{_folded(profile, cards)}{_rest(rest)}</section>"
    return f'{head}<div class="cards">{"".join(cards)}</div>{_rest(rest)}</section>'


def _folded(profile: Profile, cards: Sequence[str]) -> str:
    groups = []
    for start in range(0, len(cards), _GROUP):
        end = min(start + _GROUP, len(cards))
        names = f"{_text(profile.columns[start].name)} … {_text(profile.columns[end - 1].name)}"
        groups.append(
            f"<details><summary>{start + 1} to {end}: {names}</summary>"
            f'<div class="cards">{"".join(cards[start:end])}</div></details>'
        )
    return "".join(groups)


def _rest(columns: Sequence[Column]) -> str:
    return f"<p>{len(columns):,} columns have no card, for which this page has no room.</p>" if columns else ""


def _card(column: Column, classes: Sequence[str], rows: int) -> str:
    if column.is_sensitive:
        drawing = '<p class="none">Sensitive: its values are hidden.</p>'
    elif not column.bars:
        drawing = f'<p class="none">{"No value is frequent." if column.is_sampled else "No distribution to draw."}</p>'
    elif column.scale == "values":
        drawing = plots.value_bars(column, classes)
    else:
        drawing = plots.histogram(column, classes)
    about = "about " if column.is_sampled else ""
    more = f'<p class="none">{about}{column.not_shown:,} rows hold other values.</p>' if column.not_shown else ""
    gap = plots.meter(column.nulls / rows, "missing") if column.nulls and rows else ""
    facts = "".join(f"<div><dt>{name}</dt><dd>{_text(value)}</dd></div>" for name, value in _facts(column, rows))
    return (
        f'<article><h3>{_text(column.name)} <span class="type">{_text(column.type)}</span></h3>'
        f"{drawing}{more}{gap}<dl>{facts}</dl></article>"
    )


def _facts(column: Column, rows: int) -> Iterable[tuple[str, str]]:
    if column.distinct is not None:
        yield "distinct", _distinct(column)
    for name, count in (
        ("missing", column.nulls),
        ("NaN", column.nan),
        ("infinite", column.infinite),
        ("zero", 0 if column.scale == "values" else column.zeros),
        ("negative", column.negative),
        ("empty", column.empty),
    ):
        if count:
            yield name, f"{count:,} ({plots.share(count / rows)})"
    if column.mean is not None:
        yield "mean", plots.number(column.mean)
    if column.deviation is not None:
        yield "deviation", plots.number(column.deviation)
    if column.quantiles:
        about = "~" if column.is_sampled else ""
        yield "median", f"{about}{_end(column.quantiles[2])}"
        yield "5 to 95 %", f"{about}{_end(column.quantiles[0])} to {_end(column.quantiles[4])}"
    if column.lengths is not None:
        lengths = column.lengths
        yield "length", f"{lengths.shortest:,} to {lengths.longest:,}, mean {plots.number(lengths.mean)}"
    yield from _times(column)
    if column.skill is not None and column.skill >= _SKILL_SHOWN:
        yield "avoids wrong guesses", plots.share(column.skill)


_SKILL_SHOWN = 0.05


def _times(column: Column) -> Iterable[tuple[str, str]]:
    gaps = column.gaps
    if gaps is None:
        return
    yield "order", "ascending" if gaps.is_ascending else "none"
    if gaps.typical_s is not None:
        yield "usual gap", duration(gaps.typical_s)
    if gaps.longest_s is not None:
        yield "longest gap", f"{duration(gaps.longest_s)} after {gaps.longest_from}"


def _distinct(column: Column) -> str:
    return "" if column.distinct is None else f"{'~' if column.distinct_error else ''}{column.distinct:,}"


def _table(profile: Profile) -> str:
    rows: list[str] = []
    size = 0
    for column in profile.columns:
        ends = "" if column.minimum is None else f"{_end(column.minimum)} to {_end(column.maximum)}"
        most = column.bars[0] if column.bars and column.scale == "values" else None
        values = f"{most.label}: {plots.share(most.count / (profile.rows or 1))}" if most else ends
        values = "(hidden)" if column.is_sensitive else values
        cells = (
            _text(column.name),
            _text(column.type),
            plots.share(column.nulls / profile.rows) if column.nulls else "",
            _distinct(column),
            "" if column.association is None else f"{column.association:.2f}",
            _text(values),
            plots.small(column),
        )
        row = f"<tr>{''.join(f'<td>{cell}' for cell in cells)}</tr>"
        size += len(row.encode())
        if size > _ROWS_BYTES:
            break
        rows.append(row)
    left = len(profile.columns) - len(rows)
    more = f"<p>And {left:,} further columns, which this page has no room for.</p>" if left else ""
    names = ("column", "type", "missing", "distinct", f"with {profile.target}" if profile.target else "", "values", "")
    header = "".join(f"<th>{_text(name)}" for name in names)
    return f'<div class="wide"><table><tr>{header}</tr>{"".join(rows)}</table></div>{more}'


def _end(value: str | float | int | None) -> str:
    return str(value) if value is None or isinstance(value, str) else plots.number(value)


def _text(text: str) -> str:
    return html.escape(text)
