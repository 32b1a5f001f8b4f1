"""Plots of an evaluation, each an ``Svg`` that a step may return."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator, Sequence
from contextlib import suppress

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.evaluation import Evaluation
from filiera.core.metric import Metric
from filiera.core.report import Svg
from filiera.errors import UsageError
from filiera.model.answers import Floats
from filiera.model.calibration import calibration
from filiera.model.drawing import COLOURS, Plot, framed, label

_MOST_CLASSES = 15
_SHOWN_TIMES = 150
_GREY = "#9ca3af"


def drawings(evaluation: Evaluation) -> Iterator[Svg]:
    """Yield the plots that fit an evaluation's task and that its rows allow."""
    fitting = {
        "classification": (roc, precision_recall, confusion, reliability),
        "anomaly_detection": (roc, precision_recall),
        "regression": (residuals,),
        "forecasting": (forecast, residuals),
        "clustering": (silhouette,),
    }
    for plot in fitting.get(evaluation.metrics.task, ()):
        with suppress(UsageError):  # what a plot needs is not there
            yield plot(evaluation)


def roc(evaluation: Evaluation) -> Svg:
    """Return the ROC curve of each class against the rest (of two, of the second), or of the scores of anomalies.

    Raises:
        UsageError: There are no probabilities or scores, or no truth.
    """
    plot = Plot(_titled(evaluation, "Area under the ROC curve", "roc_auc", "roc_auc_ovr"), (0, 1), (0, 1))
    plot.line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), _GREY, dash="4 4")
    for i, (name, truth, score) in enumerate(_scores(evaluation)):
        found, false = _steps(truth, score)
        plot.line(false / max(false[-1], 1), found / max(found[-1], 1), COLOURS[i % len(COLOURS)], name=name)
    return plot.svg("false positive rate", "true positive rate")


def precision_recall(evaluation: Evaluation) -> Svg:
    """Return precision against recall, of what ``roc`` shows. Raises UsageError, as ``roc``."""
    title = _titled(evaluation, "Average precision", "average_precision", "average_precision_macro")
    plot = Plot(title, (0, 1), (0, 1))
    for i, (name, truth, score) in enumerate(_scores(evaluation)):
        found, false = _steps(truth, score)
        recall, precision = found[1:] / max(found[-1], 1), found[1:] / (found[1:] + false[1:])
        colour = COLOURS[i % len(COLOURS)]
        plot.line(np.append(0.0, recall), np.append(precision[0], precision), colour, name=name)
        plot.line(np.array([0.0, 1.0]), np.full(2, truth.mean()), colour, dash="2 4")
    return plot.svg("recall", "precision")


def confusion(evaluation: Evaluation) -> Svg:
    """Return how many rows of each class were put into which, coloured by the share of the class.

    Of more than 15 classes the most frequent are shown.

    Raises:
        UsageError: It is not of a classification.
    """
    rows = _with(evaluation, "truth", "predicted")
    counted = rows.group_by("truth", "predicted").len()
    every = pl.concat((rows["truth"].cast(pl.String), rows["predicted"].cast(pl.String).alias("truth")))
    names = every.value_counts(sort=True)["truth"].head(_MOST_CLASSES).sort().to_list()
    cells = {(str(t), str(p)): int(n) for t, p, n in counted.iter_rows()}
    totals = {name: sum(n for (t, _), n in cells.items() if t == name) for name in names}
    side, left, top = max(34, 260 // max(len(names), 1)), 110, 64
    drawn = [label(left, 20, "Confusion", "start", 'font-weight="600" font-size="13"')]
    drawn.append(label(left + side * len(names) / 2, 40, "predicted"))
    for i, name in enumerate(names):
        drawn.append(label(left - 6, top + side * (i + 0.5) + 4, _cut(name), "end"))
        drawn.append(label(left + side * (i + 0.5), top - 6, _cut(name, max(4, side // 7))))
        for j, other in enumerate(names):
            n = cells.get((name, other), 0)
            share = n / totals[name] if totals[name] else 0.0
            colour = COLOURS[0] if i == j else COLOURS[3]
            place = f'x="{left + side * j + 1}" y="{top + side * i + 1}" width="{side - 2}" height="{side - 2}"'
            drawn.append(f'<rect {place} fill="{colour}" fill-opacity="{0.04 + 0.8 * share:.3f}"/>')
            white = ' fill="#ffffff"' if share > 0.6 else ""
            drawn.append(label(left + side * (j + 0.5), top + side * (i + 0.5) + 4, f"{n:,}", "middle", white))
    return framed("Confusion", (left + side * len(names) + 20, top + side * len(names) + 20), "".join(drawn))


def reliability(evaluation: Evaluation) -> Svg:
    """Return how often what was said to be likely came true, with 95 % intervals. Raises UsageError: as there."""
    found = calibration(evaluation)
    title = f"Calibration error: {found.error:.3g} ({found.low:.3g} to {found.high:.3g})"
    plot = Plot(title, (0, 1), (0, 1))
    plot.line(np.array([0.0, 1.0]), np.array([0.0, 1.0]), _GREY, dash="4 4")
    most = max(each.n for each in found.bins)
    for each in found.bins:
        plot.bar((each.least, each.most), (0, 0.12 * each.n / most), "#dbeafe", hint=f"{each.n:,} rows")
        plot.whisker(each.predicted, each.low, each.high, COLOURS[0])
    said = np.array([(each.predicted, each.observed) for each in found.bins])
    plot.line(said[:, 0], said[:, 1], COLOURS[0])
    plot.points(said[:, 0], said[:, 1], COLOURS[0], radius=3)
    return plot.svg("mean probability in a bin", "share that came true")


def residuals(evaluation: Evaluation) -> Svg:
    """Return predicted - true against predicted, of at most 1,000 rows. Raises UsageError: not of numbers."""
    rows = _with(evaluation, "truth", "predicted")
    if not rows["truth"].dtype.is_numeric():
        raise UsageError("Labels have no residuals.", do="Draw confusion(evaluation).")
    predicted, truth = (rows[name].cast(pl.Float64).to_numpy() for name in ("predicted", "truth"))
    errors = predicted - truth
    far, edge = float(np.abs(errors).max()), 0.03 * float(np.ptp(predicted))
    x = np.array([predicted.min() - edge, predicted.max() + edge])
    plot = Plot(_titled(evaluation, "Residuals, RMSE", "rmse"), (x[0], x[1]), (-1.05 * far, 1.05 * far))
    plot.line(x, np.zeros(2), _GREY)
    plot.points(predicted, errors, COLOURS[0])
    return plot.svg("predicted", "predicted - true")


def silhouette(evaluation: Evaluation) -> Svg:
    """Return the silhouette of each row, sorted within its cluster. Raises UsageError: there are none."""
    rows = _with(evaluation, "predicted", "silhouette").sort("predicted", "silhouette")
    values, clusters = rows["silhouette"].to_numpy(), rows["predicted"].rank("dense").to_numpy().astype(int) - 1
    plot = Plot(_titled(evaluation, "Silhouette", "silhouette"), (min(-0.2, values.min()), 1), (0, len(values)))
    for cluster in range(clusters.max() + 1):
        mine = np.flatnonzero(clusters == cluster)  # one after the other
        steps = np.repeat(np.append(mine, mine[-1] + 1), 2).astype(np.float64)
        plot.area(np.concatenate(([0.0], np.repeat(values[mine], 2), [0.0])), steps, COLOURS[cluster % len(COLOURS)])
    return plot.svg("silhouette", "rows, by cluster")


def forecast(evaluation: Evaluation, *, series: object = None) -> Svg:
    """Return what was forecast and what came true, of the last 150 times of one *series*; None: the first.

    Raises:
        UsageError: It is not of a forecast, or there is no such series.
    """
    rows = _with(evaluation, "truth", "predicted", "time")
    if "series" in rows.columns:
        shown = rows["series"][0] if series is None else series
        rows = rows.filter(pl.col("series") == shown)
        if rows.is_empty():
            raise UsageError(f"There is no series {series!r}.")
    rows = rows.sort("time").tail(_SHOWN_TIMES)
    names = [name for name in rows.columns if name in ("truth", "predicted", "naive") or name.startswith("q:")]
    drawn = {name: rows[name].cast(pl.Float64).to_numpy() for name in names}
    places = np.arange(rows.height, dtype=np.float64)
    known = np.concatenate([each[np.isfinite(each)] for each in drawn.values()])
    edge = 0.05 * float(np.ptp(known))
    plot = Plot(
        _titled(evaluation, "Forecast, MASE", "mase"), (0, rows.height - 1), (known.min() - edge, known.max() + edge)
    )
    levels = sorted((name for name in drawn if name.startswith("q:")), key=lambda name: float(name[2:]))
    if len(levels) > 1:
        low, high = levels[0], levels[-1]
        plot.band(places, drawn[low], drawn[high], COLOURS[1], name=f"{low[2:]} to {high[2:]}")
    if "naive" in drawn and np.isfinite(drawn["naive"]).all():
        plot.line(places, drawn["naive"], _GREY, name="last season", dash="3 3")
    plot.line(places, drawn["truth"], COLOURS[0], name="came true")
    plot.line(places, drawn["predicted"], COLOURS[1], name="forecast")
    times = [_time(rows["time"][i]) for i in (0, rows.height // 2, rows.height - 1)]
    return plot.svg("time", "value", x_ticks=times)


def learning_curve(sizes: Sequence[int], test: Sequence[Metric], train: Sequence[Metric] = ()) -> Svg:
    """Return a metric against the number of training rows, with its intervals, on test rows and on those trained on.

    Raises:
        UsageError: There are not as many metrics as sizes, or none.
    """
    if not sizes or len(sizes) != len(test) or len(train) not in (0, len(sizes)):
        raise UsageError("A learning curve has a metric for each number of rows.")
    ends = [end for metric in (*test, *train) for end in (metric.low, metric.high) if np.isfinite(end)]
    plot = Plot(f"Learning curve of {test[0].name}", (min(sizes), max(sizes)), (min(ends), max(ends)))
    for metrics, colour, name in ((test, COLOURS[0], "test rows"), (train, COLOURS[1], "training rows")):
        if metrics:
            x, values, low, high = np.array(
                [(n, m.value, m.low, m.high) for n, m in zip(sizes, metrics, strict=True)]
            ).T
            plot.band(x, low, high, colour)
            plot.line(x, values, colour, name=name)
            plot.points(x, values, colour, radius=3)
    return plot.svg("training rows", test[0].name)


def _scores(evaluation: Evaluation) -> list[tuple[str, NDArray[np.bool_], Floats]]:
    """Return for each class which rows are of it, and their probabilities."""
    rows = evaluation.rows
    labels = [name for name in rows.columns if name.startswith("p:")]
    if labels and "truth" in rows.columns:
        truth = np.array([str(value) for value in rows["truth"].to_list()])
        wanted = labels[1:] if len(labels) == 2 else labels[: len(COLOURS)]
        found = [(name[2:], truth == name[2:], rows[name].to_numpy()) for name in wanted]
        return [each for each in found if each[1].any() and not each[1].all()]
    if evaluation.metrics.task == "anomaly_detection" and {"truth", "score"} <= set(rows.columns):
        return [("anomaly", rows["truth"].to_numpy().astype(np.bool_), rows["score"].to_numpy())]
    raise UsageError("This evaluation has no probabilities or scores beside the truth.")


def _steps(truth: NDArray[np.bool_], score: Floats) -> tuple[Floats, Floats]:
    """Return true and false positives from the highest threshold on, from 0 and 0."""
    order = np.argsort(-score, kind="stable")
    last = np.append(np.flatnonzero(np.diff(score[order])), len(score) - 1)
    found = truth[order].cumsum()[last]
    zero = np.zeros(1)
    return np.concatenate((zero, found)), np.concatenate((zero, last + 1 - found))


def _with(evaluation: Evaluation, *names: str) -> pl.DataFrame:
    rows: pl.DataFrame = evaluation.rows
    missing = [name for name in names if name not in rows.columns]
    if missing or rows.is_empty():
        raise UsageError(f"This evaluation has no {' and no '.join(missing) or 'rows'} to draw.")
    return rows


def _titled(evaluation: Evaluation, title: str, *names: str) -> str:
    for name in names:
        if name in evaluation.metrics:
            found = evaluation.metrics[name]
            return f"{title}: {found.value:.4g} ({found.low:.4g} to {found.high:.4g})"
    return title


def _time(value: object) -> str:
    return f"{value:%Y-%m-%d %H:%M}" if isinstance(value, dt.datetime) else str(value)


def _cut(text: str, chars: int = 15) -> str:
    return text if len(text) <= chars else text[: chars - 1] + "…"
