"""What an evaluation says, part by part: tables and what is to be said of them, as sections of a document."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from filiera.core.document import Section, escaped, listed, table
from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.metric import ClassScore, Metric, Metrics
from filiera.core.report import Svg
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.calibration import calibration
from filiera.model.interval_chart import Measured, interval_chart
from filiera.model.metrics import interval
from filiera.model.plots import drawings

_MOST_CLASSES = 50
_MOST_SLICES = 50
_HIDDEN = "(hidden)"


@dataclass(frozen=True, kw_only=True, slots=True)
class Table:
    """A table of texts."""

    header: tuple[str, ...]
    rows: Sequence[Sequence[object]]
    right: Collection[str] = ()  #: columns of numbers


@dataclass(frozen=True, kw_only=True, slots=True)
class Part:
    """One thing that an evaluation says; all of it is plain text."""

    title: str
    said: tuple[str, ...] = ()  #: paragraphs before the tables
    tables: tuple[Table, ...] = ()
    notes: tuple[str, ...] = ()
    drawings: tuple[Svg, ...] = ()


def evaluation_sections(found: Evaluation | Metrics, *, sensitive: Collection[str] = ()) -> Iterator[Section]:
    """Yield what is known of a model: its metrics, plots, classes, parts of the rows, and groups.

    Args:
        found: As the evaluation step returned it.
        sensitive: Columns whose values are not shown.

    >>> f1 = Metric(name="f1_macro", value=0.9, low=0.8, high=0.95, n=50, method="bootstrap", baseline=0.4)
    >>> print(next(evaluation_sections(Metrics((f1,), task="classification"))).text)
    | metric   |  value | 95 % interval    |  dummy | rows | interval by |
    | :------- | -----: | :--------------- | -----: | ---: | :---------- |
    | f1_macro | 0.9000 | 0.8000 to 0.9500 | 0.4000 |   50 | bootstrap   |
    """
    for part in parts(found, sensitive=sensitive):
        texts = [escaped(one) for one in part.said]
        texts += [table(one.header, one.rows, right=one.right) for one in part.tables]
        texts += [listed(part.notes)] if part.notes else []
        yield Section(part.title, "\n\n".join(texts), part.drawings)


def parts(found: Evaluation | Metrics, *, sensitive: Collection[str] = ()) -> Iterator[Part]:
    """Yield the same as tables and plain texts."""
    metrics = found.metrics if isinstance(found, Evaluation) else found
    yield _metrics(metrics)
    if isinstance(found, Evaluation) and (plots := tuple(drawings(found))):
        yield Part(title="Plots", drawings=plots)
    if metrics.classes:
        is_clustered = isinstance(found, Evaluation) and bool(found.clusters)
        yield _classes(metrics.classes, is_clustered=is_clustered)
    if isinstance(found, Evaluation):
        yield from _calibration(found)
        for column in dict.fromkeys(each.column for each in found.slices):
            shown, more = _slices([each for each in found.slices if each.column == column], column in sensitive)
            yield Part(title=f"By {column}", tables=(shown,), notes=more)
        for each in found.fairness:
            yield _fairness(each, is_hidden=each.column in sensitive)


def number(value: float | None) -> str:
    """Return a metric's value as it is shown everywhere; '' for none.

    >>> number(0.98761), number(12345.678), number(float("nan"))
    ('0.9876', '12345.7', 'nan')
    """
    if value is None:
        return ""
    return f"{value:.4f}" if abs(value) < 1000 or not math.isfinite(value) else f"{value:.6g}"


def interval_text(one: Metric) -> str:
    """Return a metric's interval."""
    return f"{number(one.low)} to {number(one.high)}"


def _metrics(metrics: Metrics) -> Part:
    if not metrics.metrics:
        return Part(title="Metrics", said=("Nothing was measured.",), notes=metrics.notes)
    rows = [
        (_name(one), number(one.value), interval_text(one), number(one.baseline), f"{one.n:,}", one.method)
        for one in metrics
    ]
    header = ("metric", "value", f"{100 * metrics.metrics[0].level:g} % interval", "dummy", "rows", "interval by")
    shown = Table(header=header, rows=rows, right=("value", "dummy", "rows"))
    return Part(title="Metrics", tables=(shown,), notes=metrics.notes, drawings=_chart(metrics))


def _chart(metrics: Metrics) -> tuple[Svg, ...]:
    """Return a drawing of the metrics that are shares, if there are several: others have scales of their own."""
    shares = [one for one in metrics if one.is_defined and one.greater_is_better and _is_share(one)]
    lines = [
        Measured(label=_name(one), value=one.value, low=one.low, high=one.high, mark=one.baseline) for one in shares
    ]
    chart = interval_chart(lines, of="Metrics with their intervals", mark="dummy") if len(lines) > 1 else None
    return () if chart is None else (chart,)


def _is_share(one: Metric) -> bool:
    ends = (one.low, one.high) if one.baseline is None else (one.low, one.high, one.baseline)
    return min(ends) >= 0 and max(ends) <= 1


def _name(one: Metric) -> str:
    return one.name if one.greater_is_better else f"{one.name} ↓"


def _classes(classes: Sequence[ClassScore], *, is_clustered: bool) -> Part:
    header = ("class", "rows", "predicted", "precision", "recall", "F1")
    rows = [
        (one.label, f"{one.rows:,}", f"{one.predicted:,}", _wilson(one.correct, one.predicted),
         _wilson(one.correct, one.rows), number(one.f1))
        for one in sorted(classes, key=lambda one: -one.rows)[:_MOST_CLASSES]
    ]  # fmt: skip
    independent = ("These intervals take rows as independent, and are too narrow.",) if is_clustered else ()
    shown = Table(header=header, rows=rows, right=header[1:])
    return Part(title="Classes", tables=(shown,), notes=(*independent, *_more(len(classes) - _MOST_CLASSES)))


def _wilson(hits: int, n: int) -> str:
    if not n:
        return ""
    low, high = interval.wilson(hits, n)
    return f"{number(hits / n)} ({number(float(low))} to {number(float(high))})"


def _calibration(evaluation: Evaluation) -> Iterator[Part]:
    try:
        found = calibration(evaluation)
    except UsageError:  # there are no probabilities
        return
    verdict = "more than chance explains" if found.is_off else "no more than chance explains"
    error = (
        f"Of {found.of}: expected calibration error {found.error:.4f} ({found.low:.4f} to {found.high:.4f}), "
        f"{verdict}: a true model would show {found.by_chance:.4f} in the mean, "
        f"and exceed {found.limit:.4f} in 5 of 100."
    )
    brier = (
        f"Brier score {found.brier:.4f} = reliability {found.reliability:.4f} - resolution {found.resolution:.4f} + "
        f"uncertainty {found.uncertainty:.4f} + within bins {found.within:.4f}."
    )
    rows = [
        (f"{one.least:.2f} to {one.most:.2f}", f"{one.n:,}", number(one.predicted), number(one.observed),
         f"{one.low:.4f} to {one.high:.4f}")
        for one in found.bins
    ]  # fmt: skip
    header = ("probability", "rows", "mean", "came true", "95 % interval")
    yield Part(title="Calibration", said=(error, brier), tables=(Table(header=header, rows=rows, right=header[1:4]),))


def _slices(slices: Sequence[Slice], is_hidden: bool) -> tuple[Table, tuple[str, ...]]:
    """Return a line for each slice and a column for each metric, and what is left out."""
    names = list(dict.fromkeys(name for each in slices for name in each.metrics.names))
    rows = []
    for i, each in enumerate(slices[:_MOST_SLICES]):
        value = f"{i + 1} {_HIDDEN}" if is_hidden else "missing" if each.value is None else each.value
        cells = [_cell(each.metrics, name) for name in names]
        rows.append((value, f"{max((one.n for one in each.metrics), default=0):,}", *cells))
    return Table(header=("value", "rows", *names), rows=rows, right=("rows",)), _more(len(slices) - _MOST_SLICES)


def _cell(metrics: Metrics, name: str) -> str:
    return f"{number(metrics[name].value)} ({interval_text(metrics[name])})" if name in metrics else ""


def _fairness(found: Fairness, *, is_hidden: bool) -> Part:
    rows = [(_name(one), number(one.value), interval_text(one), number(one.baseline)) for one in found.differences]
    header = ("between groups", "value", "95 % interval", "by chance")
    differences = (Table(header=header, rows=rows, right=("value", "by chance")),) if rows else ()
    groups, more = _slices(found.groups, is_hidden)
    return Part(
        title=f"Groups by {found.column}",
        said=("Decided to be of one class:" if is_hidden else f"Decided to be {found.positive}:",),
        tables=(groups, *differences),
        notes=(*more, *found.differences.notes),
    )


def _more(count: int) -> tuple[str, ...]:
    return (f"and {count:,} more",) if count > 0 else ()
