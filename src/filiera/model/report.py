"""An evaluation as one HTML page that loads nothing: numbers with intervals, parts of the rows, plots."""

from __future__ import annotations

import html
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from importlib.resources import files

from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.metric import ClassScore, Metric, Metrics
from filiera.core.report import Html, Svg
from filiera.errors import UsageError
from filiera.model import plots
from filiera.model.calibration import calibration
from filiera.model.metrics import interval

_PLOTS: tuple[Callable[[Evaluation], Svg], ...] = (
    plots.roc, plots.precision_recall, plots.confusion, plots.reliability,
    plots.residuals, plots.forecast, plots.silhouette,
)  # fmt: skip
_MOST_CLASSES = 50


def evaluation_html(evaluation: Evaluation, *, title: str = "Evaluation") -> Html:
    """Return a page with all that an evaluation says, and the plots that fit its task.

    >>> from filiera.core.metric import Metrics
    >>> import polars as pl
    >>> page = evaluation_html(Evaluation(metrics=Metrics((), task="clustering"), rows=pl.DataFrame()))
    >>> "<h1>Evaluation</h1>" in page.text
    True
    """
    metrics = evaluation.metrics
    rows = f"{evaluation.rows.height:,} rows"
    clusters = f", which hang together by {_text(evaluation.clusters)}" if evaluation.clusters else ""
    task = metrics.task.replace("_", " ")
    parts = [f'<h1>{_text(title)}</h1><p class="m">{task}, {rows}{clusters}</p>', _metrics(metrics), _notes(metrics)]
    drawn = list(drawings(evaluation))
    if drawn:
        parts.append(f'<h2>Plots</h2><div class="plots">{"".join(drawing.text for drawing in drawn)}</div>')
    parts += [
        *_classes(metrics.classes, is_clustered=bool(clusters)),
        *_calibration(evaluation),
        *_slices(evaluation.slices),
    ]
    parts += [part for fairness in evaluation.fairness for part in _fairness(fairness)]
    style = files(__package__).joinpath("report.css").read_text(encoding="utf-8")
    head = f'<!doctype html><html lang="en"><head><meta charset="utf-8"><title>{_text(title)}</title>'
    view = '<meta name="viewport" content="width=device-width, initial-scale=1">'
    return Html(f"{head}{view}<style>{style}</style></head><body>{''.join(parts)}</body></html>")


def drawings(evaluation: Evaluation) -> Iterator[Svg]:
    """Yield the plots that fit an evaluation's task and that its rows allow."""
    for plot in _PLOTS:
        if plot is plots.confusion and evaluation.metrics.task != "classification":
            continue
        if plot is plots.residuals and evaluation.metrics.task not in ("regression", "forecasting"):
            continue
        with suppress(UsageError):  # what a plot needs is not there
            yield plot(evaluation)


def _metrics(metrics: Metrics) -> str:
    if not metrics.metrics:
        return ""
    header = ("metric", "value", "95 % interval", "dummy", "on", "interval by")
    rows = [(_name(one), _number(one.value), _interval(one), _dummy(one), f"{one.n:,}", one.method) for one in metrics]
    return "<h2>Metrics</h2>" + _table(header, rows)


def _notes(metrics: Metrics) -> str:
    return f"<ul>{''.join(f'<li>{_text(note)}</li>' for note in metrics.notes)}</ul>" if metrics.notes else ""


def _classes(classes: Sequence[ClassScore], *, is_clustered: bool) -> Iterator[str]:
    if not classes:
        return
    rows = []
    for one in sorted(classes, key=lambda one: -one.rows)[:_MOST_CLASSES]:
        recall, precision = _wilson(one.correct, one.rows), _wilson(one.correct, one.predicted)
        rows.append((str(one.label), f"{one.rows:,}", f"{one.predicted:,}", recall, precision, _number(one.f1)))
    yield "<h2>Classes</h2>" + _table(("class", "rows", "predicted", "recall", "precision", "F1"), rows)
    if is_clustered:
        yield '<p class="m">These intervals take rows as independent, and are too narrow.</p>'
    if len(classes) > _MOST_CLASSES:
        yield f'<p class="m">and {len(classes) - _MOST_CLASSES:,} more</p>'


def _calibration(evaluation: Evaluation) -> Iterator[str]:
    try:
        found = calibration(evaluation)
    except UsageError:
        return
    verdict = "more than chance explains" if found.is_off else "no more than chance explains"
    yield f"<h2>Calibration of {_text(found.of)}</h2><p>Expected calibration error {found.error:.4f} "
    yield f"({found.low:.4f} to {found.high:.4f}): {verdict} "
    yield f"(a true model would show {found.by_chance:.4f} in the mean, and exceed {found.limit:.4f} in 5 of 100). "
    yield f"Brier score {found.brier:.4f} = reliability {found.reliability:.4f} - resolution {found.resolution:.4f} "
    yield f"+ uncertainty {found.uncertainty:.4f} + within bins {found.within:.4f}.</p>"
    rows = [
        (
            f"{each.least:.2f} to {each.most:.2f}",
            f"{each.n:,}",
            _number(each.predicted),
            _number(each.observed),
            f"{each.low:.4f} to {each.high:.4f}",
        )
        for each in found.bins
    ]
    yield _table(("probability", "rows", "mean", "came true", "95 % interval"), rows)


def _slices(slices: Sequence[Slice]) -> Iterator[str]:
    for column in dict.fromkeys(each.column for each in slices):
        yield f"<h2>By {_text(column)}</h2>"
        yield _parts([each for each in slices if each.column == column])


def _fairness(found: Fairness) -> Iterator[str]:
    yield f"<h2>Groups by {_text(found.column)}: decided to be {_text(str(found.positive))}</h2>"
    yield _parts(found.groups)
    header = ("between groups", "value", "95 % interval", "by chance")
    rows = [(_name(one), _number(one.value), _interval(one), _dummy(one)) for one in found.differences]
    yield (_table(header, rows) if rows else "") + _notes(found.differences)


def _parts(parts: Sequence[Slice]) -> str:
    """Return a table with a row for each part and a column for each metric, the interval in small below."""
    names = list(dict.fromkeys(name for each in parts for name in each.metrics.names))
    rows = []
    for each in parts:
        n = max((one.n for one in each.metrics), default=0)
        cells = [
            f"{_number(each.metrics[name].value)} ({_interval(each.metrics[name])})" if name in each.metrics else ""
            for name in names
        ]
        rows.append(("missing" if each.value is None else str(each.value), f"{n:,}", *cells))
    return _table(("value", "rows", *names), rows)


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    head = "".join(f"<th>{_text(name)}</th>" for name in header)
    body = "".join(f"<tr>{''.join(f'<td>{_text(cell)}</td>' for cell in row)}</tr>" for row in rows)
    return f'<div class="wide"><table><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table></div>'


def _name(one: Metric) -> str:
    return one.name + ("" if one.greater_is_better else " ↓")


def _interval(one: Metric) -> str:
    return f"{_number(one.low)} to {_number(one.high)}"


def _dummy(one: Metric) -> str:
    return "" if one.baseline is None else _number(one.baseline)


def _wilson(hits: int, n: int) -> str:
    if not n:
        return ""
    low, high = interval.wilson(hits, n)
    return f"{hits / n:.4f} ({float(low):.4f} to {float(high):.4f})"


def _number(value: float) -> str:
    return f"{value:.4f}" if abs(value) < 100 else f"{value:,.4g}"


def _text(value: str) -> str:
    return html.escape(value)
