"""What a model answered to rows, by task: ready to be measured, and as columns to be kept."""

from __future__ import annotations

from typing import Any, Protocol

import numpy as np
import polars as pl

from filiera.core.metric import Metrics
from filiera.core.plain import name_of
from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Codes, Floats, class_answers, label_series, matrix, number_array, plain_label
from filiera.model.forecasts import forecast_sample
from filiera.model.metrics.anomalies import AnomalySample, flags
from filiera.model.metrics.classification import ClassSample, checked_probabilities
from filiera.model.metrics.clustering import GroupSample, silhouettes
from filiera.model.metrics.forecasting import ForecastSample
from filiera.model.metrics.ranking import QuerySample
from filiera.model.metrics.regression import NumberSample
from filiera.model.metrics.units import Units
from filiera.model.tasks import AnomalyDetection, Forecasting, Ranking, Told


class Sample(Protocol):
    """What was true and what was answered of some rows."""

    def take(self, rows: Codes) -> Sample:
        """Return the sample of some rows."""

    def measure(self, seed: int) -> Metrics:
        """Return its metrics."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Asked:
    """The answers to all rows."""

    sample: Sample
    columns: tuple[pl.Series, ...]  #: truth, predicted, probabilities or scores, as an ``Evaluation`` keeps them
    notes: tuple[str, ...] = ()


def inputs_of(model: Any, rows: pl.DataFrame, target: str) -> pl.DataFrame:
    """Return the columns that *model* takes, in its order: all but the target if it does not say.

    Raises:
        UsageError: It cannot predict, or takes a column that is not there.
    """
    if not callable(getattr(model, "predict", None)):
        raise UsageError(
            f"A model of class {name_of(type(model))} cannot be evaluated: it has no predict.",
            do="Give a fitted model with predict(rows), or measure answers: classification_metrics(truth, answers).",
        )
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return rows.select(name for name in rows.columns if name != target)
    inputs = [str(name) for name in names]
    missing = [name for name in inputs if name not in rows.columns]
    if missing:
        raise UsageError(
            f"There is no column {missing[0]!r} to take as an input of the model.",
            why=f"There are: {', '.join(rows.columns)}.",
        )
    return rows.select(inputs)


def ask(model: Any, task: Task | Told, rows: pl.DataFrame, target: str, units: Units) -> Asked:
    """Return the answers of *model* to *rows*. Raises UsageError, as ``evaluate`` does."""
    inputs, truth = inputs_of(model, rows, target), rows[target] if target else None
    if target in inputs.columns and not isinstance(task, Forecasting):
        raise UsageError(
            f"The model takes the column {target!r}, which it is to predict.",
            why="Whoever asks it later does not know that value, so that all that is measured here is too good.",
            do=f"Fit it without: rows.drop({target!r}).",
        )
    if isinstance(task, AnomalyDetection):
        return _scored(model, inputs, truth, task, units)
    if task == "clustering":
        return _grouped(model, inputs, truth, units)
    if truth is None:
        name = task if isinstance(task, str) else task.name
        raise UsageError(f"A {name} is evaluated by a column with the truth.", do="Name it: target=…")
    if isinstance(task, Ranking):
        ranked = QuerySample.of(truth, model.predict(inputs), rows[task.query].to_list(), task.k).hanging(units)
        answers = (pl.Series("truth", ranked.relevance), pl.Series("score", ranked.scores))
        return Asked(sample=ranked, columns=(*answers, rows[task.query].alias("query")))
    if isinstance(task, Forecasting):
        return _forecast(forecast_sample(model, task, rows, inputs, truth), task, rows, units)
    if task == "classification":
        return _classified(model, inputs, truth, units)
    if task == "regression":
        sample = NumberSample.of(truth, model.predict(inputs), units)
        both = pl.Series("truth", sample.truth), pl.Series("predicted", sample.predicted)
        return Asked(sample=sample, columns=both, notes=_constant(*both))
    raise UsageError(
        f"evaluate does not know the task {task!r}.",
        why="It knows classification, regression and clustering.",
        do="For others say more: task=Ranking(query=…), Forecasting(time=…) or AnomalyDetection().",
    )


def _constant(true: pl.Series, predicted: pl.Series) -> tuple[str, ...]:
    """Return a note if a model gives one answer to rows that differ."""
    if predicted.n_unique() != 1 or true.n_unique() == 1:
        return ()
    return (f"The model answers {predicted[0]!r} to every row.",)


def _seen_last(model: Any, inputs: Any) -> Any:
    """Return what the last step of *model* is given."""
    if callable(getattr(model, "prepare", None)):
        return _seen_last(model.estimator, model.prepare(inputs))
    return model[:-1].transform(inputs) if len(getattr(model, "steps", ())) > 1 else inputs


def _scored(model: Any, inputs: pl.DataFrame, truth: pl.Series | None, task: AnomalyDetection, units: Units) -> Asked:
    answers = number_array(model.predict(inputs), "the model's answers")
    flagged = answers == (-1 if (answers == -1).any() else 1) if np.isin(answers, (-1, 0, 1)).all() else None
    if callable(getattr(model, "score_samples", None)):
        scores = -number_array(model.score_samples(inputs), "the model's scores")
    else:
        scores = answers if flagged is None else flagged.astype(np.float64)
    known = None
    if truth is not None:
        known = flags(truth if task.positive is None else truth == task.positive, "truth")
    columns: tuple[pl.Series, ...] = () if known is None else (pl.Series("truth", known),)
    columns += () if flagged is None else (pl.Series("predicted", flagged),)
    sample = AnomalySample.of(known, scores, flagged, task.contamination).hanging(units)
    return Asked(sample=sample, columns=(*columns, pl.Series("score", scores)))


def _forecast(sample: ForecastSample, task: Forecasting, rows: pl.DataFrame, units: Units) -> Asked:
    columns = [pl.Series("truth", sample.truth), pl.Series("predicted", sample.predicted)]
    columns += [pl.Series(f"q:{level:g}", each) for level, each in zip(sample.levels, sample.quantiles.T, strict=True)]
    if task.history is not None:
        columns.append(pl.Series("naive", sample.naive))
    columns.append(rows[task.time].alias("time"))
    if task.series:
        columns.append(rows[task.series].alias("series"))
    notes = () if task.history is not None else ("No history was given: nothing is known of a season ago.",)
    return Asked(sample=sample.hanging(units), columns=tuple(columns), notes=notes)


def _classified(model: Any, inputs: pl.DataFrame, truth: pl.Series, units: Units) -> Asked:
    true, predicted = label_series(truth, "truth"), label_series(model.predict(inputs), "the model's answers")
    columns: tuple[pl.Series, ...] = (true.alias("truth"), predicted.alias("predicted"))
    learnt = getattr(model, "classes_", None)
    if learnt is None:
        sample = ClassSample(class_answers(true, predicted, None), None, units)
        return Asked(sample=sample, columns=columns, notes=_constant(true, predicted))
    labels = [plain_label(label) for label in learnt]
    strange = [label for label in true.unique().sort().to_list() if label not in set(labels)]
    answers = class_answers(true, predicted, [*labels, *strange])
    notes = _constant(true, predicted)
    if strange:
        told = ", ".join(map(repr, strange))
        notes += (f"The model has not learnt {told}, which occur among these rows: always wrong.",)
    table = _probabilities(model, inputs, len(labels))
    if table is not None:
        columns += tuple(pl.Series(f"p:{label}", table[:, i]) for i, label in enumerate(labels))
        if strange:
            table = np.column_stack((table, np.zeros((len(table), len(strange)))))
        table = checked_probabilities(table, answers, labels_given=True)
    return Asked(sample=ClassSample(answers, table, units), columns=columns, notes=notes)


def _probabilities(model: Any, inputs: pl.DataFrame, classes: int) -> Floats | None:
    if not callable(getattr(model, "predict_proba", None)):
        return None
    table = matrix(model.predict_proba(inputs), "the model's probabilities")
    if table.shape != (inputs.height, classes):
        raise UsageError(f"The model's probabilities have shape {table.shape}, not {(inputs.height, classes)}.")
    return table


def _grouped(model: Any, inputs: pl.DataFrame, truth: pl.Series | None, units: Units) -> Asked:
    """Return the clusters of rows, as points where the last step of a pipeline sees them."""
    clusters = label_series(model.predict(inputs), "the model's answers")
    points = matrix(_seen_last(model, inputs), "the model's inputs")
    known = None if truth is None else label_series(truth, "truth")
    answers = None if known is None else class_answers(known, known, None)
    sample = GroupSample(points, class_answers(clusters, clusters, None), answers, units)
    columns = (() if known is None else (known.alias("truth"),)) + (clusters.alias("predicted"),)
    if sample.has_silhouettes:
        columns += (pl.Series("silhouette", silhouettes(points, sample.clusters.truth)),)
    return Asked(sample=sample, columns=columns)
