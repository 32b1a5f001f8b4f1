"""What an evaluation says, as sections of a document."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterator, Sequence

from filiera.core.document import Section, escaped, listed, table
from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.metric import ClassScore, Metric, Metrics
from filiera.core.report import Svg
from filiera.errors import UsageError
from filiera.model.calibration import calibration
from filiera.model.interval_chart import Measured, interval_chart
from filiera.model.report import drawings

_MOST_CLASSES = 50
_MOST_SLICES = 50
_HIDDEN = "(hidden)"


def evaluation_sections(found: Evaluation | Metrics, *, sensitive: Collection[str] = ()) -> Iterator[Section]:
    """Yield what is known of a model: its metrics, classes, parts of the rows, and groups.

    Args:
        found: As the evaluation step returned it.
        sensitive: Columns whose values are not shown.

    >>> f1 = Metric(name="f1_macro", value=0.9, low=0.8, high=0.95, n=50, method="bootstrap", baseline=0.4)
    >>> print(next(evaluation_sections(Metrics((f1,), task="classification"))).text)
    | metric   |  value | 95 % interval    |  dummy | rows | interval by |
    | :------- | -----: | :--------------- | -----: | ---: | :---------- |
    | f1_macro | 0.9000 | 0.8000 to 0.9500 | 0.4000 |   50 | bootstrap   |
    """
    metrics = found.metrics if isinstance(found, Evaluation) else found
    plots = drawings(found) if isinstance(found, Evaluation) and found.rows.height else ()
    yield Section("Metrics", _metrics(metrics), (*_chart(metrics), *plots))
    if metrics.classes:
        yield Section("Classes", _classes(metrics.classes))
    if isinstance(found, Evaluation):
        yield from _calibration(found)
        for column in dict.fromkeys(each.column for each in found.slices):
            parts = [each for each in found.slices if each.column == column]
            yield Section(f"By {column}", _parts(parts, is_hidden=column in sensitive))
        for each in found.fairness:
            yield Section(f"Groups by {each.column}", _fairness(each, is_hidden=each.column in sensitive))


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


def _metrics(metrics: Metrics) -> str:
    if not metrics.metrics:
        return "Nothing was measured."
    rows = [
        (_name(one), number(one.value), interval_text(one), number(one.baseline), f"{one.n:,}", one.method)
        for one in metrics
    ]
    level = f"{100 * metrics.metrics[0].level:g} % interval"
    header = ("metric", "value", level, "dummy", "rows", "interval by")
    text = table(header, rows, right=("value", "dummy", "rows"))
    return f"{text}\n\n{listed(metrics.notes)}" if metrics.notes else text


def _chart(metrics: Metrics) -> tuple[Svg, ...]:
    """Return a drawing of the metrics that are shares: others have scales of their own."""
    shares = [one for one in metrics if one.is_defined and one.low >= 0 and one.high <= 1]
    lines = [
        Measured(label=_name(one), value=one.value, low=one.low, high=one.high, mark=one.baseline) for one in shares
    ]
    chart = interval_chart(lines, of="Metrics with their intervals", mark="dummy")
    return () if chart is None else (chart,)


def _name(one: Metric) -> str:
    return one.name if one.greater_is_better else f"{one.name} ↓"


def _classes(classes: Sequence[ClassScore]) -> str:
    header = ("class", "rows", "predicted", "precision", "recall", "F1")
    listed_first = sorted(classes, key=lambda one: -one.rows)[:_MOST_CLASSES]
    rows = [
        (one.label, f"{one.rows:,}", f"{one.predicted:,}", number(one.precision), number(one.recall), number(one.f1))
        for one in listed_first
    ]
    return table(header, rows, right=header[1:]) + _more(len(classes) - _MOST_CLASSES)


def _calibration(evaluation: Evaluation) -> Iterator[Section]:
    try:
        found = calibration(evaluation)
    except UsageError:  # there are no probabilities
        return
    verdict = "more than chance explains" if found.is_off else "no more than chance explains"
    said = (
        f"Of {found.of}: expected calibration error {found.error:.4f} ({found.low:.4f} to {found.high:.4f}), {verdict} "
        f"(a true model would exceed {found.limit:.4f} in 5 of 100); Brier score {found.brier:.4f}."
    )
    rows = [
        (f"{one.least:.2f} to {one.most:.2f}", f"{one.n:,}", number(one.predicted), number(one.observed),
         f"{one.low:.4f} to {one.high:.4f}")
        for one in found.bins
    ]  # fmt: skip
    header = ("probability", "rows", "mean", "came true", "95 % interval")
    yield Section("Calibration", f"{escaped(said)}\n\n{table(header, rows, right=header[1:4])}")


def _parts(parts: Sequence[Slice], *, is_hidden: bool) -> str:
    names = list(dict.fromkeys(name for each in parts for name in each.metrics.names))
    rows = []
    for i, each in enumerate(parts[:_MOST_SLICES]):
        value = f"{i + 1} {_HIDDEN}" if is_hidden else "missing" if each.value is None else each.value
        cells = [_cell(each.metrics, name) for name in names]
        rows.append((value, f"{max((one.n for one in each.metrics), default=0):,}", *cells))
    return table(("value", "rows", *names), rows, right=("rows",)) + _more(len(parts) - _MOST_SLICES)


def _cell(metrics: Metrics, name: str) -> str:
    return f"{number(metrics[name].value)} ({interval_text(metrics[name])})" if name in metrics else ""


def _fairness(found: Fairness, *, is_hidden: bool) -> str:
    rows = [(_name(one), number(one.value), interval_text(one)) for one in found.differences]
    differences = table(("between groups", "value", "interval"), rows, right=("value",)) if rows else ""
    notes = listed(found.differences.notes)
    first = "Decided to be of one class:" if is_hidden else escaped(f"Decided to be {found.positive}:")
    return "\n\n".join(filter(None, (first, _parts(found.groups, is_hidden=is_hidden), differences, notes)))


def _more(count: int) -> str:
    return f"\n\nand {count:,} more" if count > 0 else ""
