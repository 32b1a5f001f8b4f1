"""A comparison of experiments as a document: for the terminal, and as a page."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from filiera.core.document import Document, Section, escaped, listed, table
from filiera.core.gate import Improvement
from filiera.core.metric import Metric
from filiera.core.report import Svg
from filiera.experiments.comparing import CodeChange, Comparison, Verdict
from filiera.experiments.sides import Side
from filiera.model.evaluation_text import interval_text, number
from filiera.model.interval_chart import Measured, interval_chart
from filiera.project.comparing import improvements, metrics_table

_MOST_FILES = 20
_MOST_REASONS = 4
_MOST_CHARTS = 6
_BAR = 30


def comparison_document(found: Comparison, *, is_page: bool) -> Document:
    """Return a comparison as a document; on a page intervals are drawn, in a terminal they are made of characters."""
    sections = [Section("What the intervals say", listed(said(found)))] if found.verdicts else []
    if rejected := [f"{side.name}: {why}" for side in found.sides for why in _rejections(side)]:
        sections.append(Section("Rejected by their gates", listed(rejected)))
    if found.warnings:
        warning = "Their data differ, so that what follows may say more of the data than of the experiments:"
        sections.insert(0, Section("Warning", f"**{escaped(warning)}**\n\n{listed(found.warnings)}"))
    sections.append(Section("Experiments", _table(found, found.facts)))
    for title, rows in (("Parameters", found.parameters), ("Gates", found.gates)):
        sections.append(Section(title, _table(found, rows) if rows else "They are equal."))
    for name, change in found.code.items():
        sections.append(Section(f"Code of {name} against {found.names[0]}", _code(change)))
    sections.append(Section("Metrics", metrics_table(found.names, found.metrics)))
    sections += _side_by_side(found, is_page=is_page)
    for name, improved in found.improvements.items():
        sections.append(Section(f"{name} against {found.names[0]}, on the same rows", *improvements(improved)))
    if found.not_paired:
        lines = [
            f"{name} is not compared row by row with {found.names[0]}: {x}" for name, x in found.not_paired.items()
        ]
        sections.append(Section("Not compared row by row", listed(lines)))
    return Document(kind="Comparison", title=" · ".join(found.names), lead="", sections=tuple(sections))


def said(found: Comparison) -> Iterator[str]:
    """Yield, for each metric that decides, which side is preferred, as far as the intervals tell."""
    warned = " (their data differ)" if found.warnings else ""
    for verdict in found.verdicts:
        rejected = [side.name for side in found.sides if side.name == verdict.best and side.run.status == "rejected"]
        but = f"; but gates have rejected {verdict.best}" if rejected else ""
        of = "" if verdict.among == found.names else " of those that passed their gates,"
        yield f"{verdict.metric}:{of} {_verdict(verdict)}{but}{warned}"


def _rejections(side: Side) -> list[str]:
    """Return why the gates have rejected a side."""
    if side.run.status != "rejected":
        return []
    return [said.reason for said in side.run.verdicts.values() if said.state == "FAILED"] or [side.run.message]


def _verdict(verdict: Verdict) -> str:
    better = {name: one for name, one in verdict.over.items() if one.low > 0}
    open_ = {name: one for name, one in verdict.over.items() if name not in better}
    parts = []
    if better:
        parts.append(f"{verdict.best} is better than {_listed(better)}")
    if open_:
        parts.append(f"no telling between {verdict.best} and {_listed(open_)}")
    parts += [f"{verdict.best} and {name} are not compared row by row: {why}" for name, why in verdict.unknown.items()]
    return "; ".join(parts)


def _listed(found: Mapping[str, Improvement]) -> str:
    return ", ".join(f"{name} ({one.value:+.4f}, {one.low:+.4f} to {one.high:+.4f})" for name, one in found.items())


def _table(found: Comparison, rows: Mapping[str, Sequence[str]]) -> str:
    return table(("", *found.names), [(name, *row) for name, row in rows.items()])


def _code(change: CodeChange) -> str:
    rows = [(step, _few(words)) for step, words in change.steps.items()]
    steps = table(("step", "what differs"), rows) if rows else "All steps reach the same code."
    shown = [(one.name, _lines(one.added, "+"), _lines(one.removed, "-")) for one in change.files[:_MOST_FILES]]
    files = table(("file", "added", "removed"), shown, right=("added", "removed")) if shown else "No file differs."
    rest = len(change.files) - len(shown)
    return "\n\n".join([steps, files, *([f"and {rest:,} more files"] if rest else [])])


def _few(words: Sequence[str]) -> str:
    more = [f"and {len(words) - _MOST_REASONS} more"] if len(words) > _MOST_REASONS else []
    return ", ".join([*words[:_MOST_REASONS], *more])


def _lines(count: int | None, sign: str) -> str:
    return "no text" if count is None else f"{sign}{count:,}" if count else ""


def _side_by_side(found: Comparison, *, is_page: bool) -> Iterator[Section]:
    """Yield the intervals of all sides, one below the other, for the metrics that decide; on a page, for a few more."""
    decisive = [verdict.metric for verdict in found.verdicts]
    names = dict.fromkeys([*decisive, *(name for metrics in found.metrics for name in metrics.names)])
    for name in list(names)[: _MOST_CHARTS if is_page else len(decisive)]:
        measured = {
            side: metrics[name]
            for side, metrics in zip(found.names, found.metrics, strict=True)
            if name in metrics and metrics[name].is_defined
        }
        if measured:
            yield Section(f"{name}, side by side", "" if is_page else _bars(measured), _chart(name, measured, is_page))


def _chart(name: str, measured: Mapping[str, Metric], is_page: bool) -> tuple[Svg, ...]:
    lines = [Measured(label=side, value=one.value, low=one.low, high=one.high) for side, one in measured.items()]
    chart = interval_chart(lines, of=f"{name} of each experiment with its interval") if is_page else None
    return (chart,) if chart is not None else ()


def _bars(measured: Mapping[str, Metric]) -> str:
    least, most = min(one.low for one in measured.values()), max(one.high for one in measured.values())
    rows = [
        (side, number(one.value), interval_text(one), interval_bar((one.low, one.value, one.high), (least, most)))
        for side, one in measured.items()
    ]
    return table(("experiment", "value", "95 % interval", f"{number(least)} to {number(most)}"), rows, right=("value",))


def interval_bar(interval: tuple[float, float, float], scale: tuple[float, float], width: int = _BAR) -> str:
    """Return an interval as a line of characters: lower end, value, upper end, on a scale that holds them.

    >>> interval_bar((0.25, 0.5, 0.75), (0.0, 1.0), width=13)
    '···├──●──┤···'
    >>> interval_bar((1.0, 1.0, 1.0), (1.0, 1.0), width=5)
    '●····'
    """
    least, most = scale
    span = (most - least) or 1.0
    low, middle, high = (round((value - least) / span * (width - 1)) for value in interval)
    drawn = ["─" if low <= place <= high else "·" for place in range(width)]
    for place, mark in ((low, "├"), (high, "┤"), (middle, "●")):
        drawn[place] = mark
    return "".join(drawn)
