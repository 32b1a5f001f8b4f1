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
from filiera.model.answers import Codes, Floats, class_answers, label_series, matrix, plain_label
from filiera.model.metrics.classification import ClassSample, checked_probabilities
from filiera.model.metrics.clustering import GroupSample
from filiera.model.metrics.regression import NumberSample
from filiera.model.metrics.units import Units


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


def ask(model: Any, task: Task, inputs: pl.DataFrame, truth: pl.Series | None, units: Units) -> Asked:
    """Return the answers of *model* to *inputs*. Raises UsageError, as ``evaluate`` does."""
    if task == "clustering":
        return _grouped(model, inputs, truth, units)
    if truth is None:
        raise UsageError(f"A {task} is evaluated by a column with the truth.", do="Name it: target=…")
    if task == "classification":
        return _classified(model, inputs, truth, units)
    if task == "regression":
        sample = NumberSample.of(truth, model.predict(inputs), units)
        return Asked(
            sample=sample, columns=(pl.Series("truth", sample.truth), pl.Series("predicted", sample.predicted))
        )
    raise UsageError(
        f"evaluate does not know the task {task!r}.", why="It knows classification, regression and clustering."
    )


def _classified(model: Any, inputs: pl.DataFrame, truth: pl.Series, units: Units) -> Asked:
    true, predicted = label_series(truth, "truth"), label_series(model.predict(inputs), "the model's answers")
    columns: tuple[pl.Series, ...] = (true.alias("truth"), predicted.alias("predicted"))
    learnt = getattr(model, "classes_", None)
    if learnt is None:
        return Asked(sample=ClassSample(class_answers(true, predicted, None), None, units), columns=columns)
    labels = [plain_label(label) for label in learnt]
    strange = [label for label in true.unique().sort().to_list() if label not in set(labels)]
    answers = class_answers(true, predicted, [*labels, *strange])
    notes = (f"The model has not learnt {', '.join(map(repr, strange))}, which occur among these rows: always wrong.",)
    table = _probabilities(model, inputs, len(labels))
    if table is not None:
        columns += tuple(pl.Series(f"p:{label}", table[:, i]) for i, label in enumerate(labels))
        if strange:
            table = np.column_stack((table, np.zeros((len(table), len(strange)))))
        table = checked_probabilities(table, answers, labels_given=True)
    return Asked(sample=ClassSample(answers, table, units), columns=columns, notes=notes if strange else ())


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
    before = getattr(model, "steps", None)
    points = matrix(model[:-1].transform(inputs) if before and len(before) > 1 else inputs, "the model's inputs")
    known = None if truth is None else label_series(truth, "truth")
    answers = None if known is None else class_answers(known, known, None)
    sample = GroupSample(points, class_answers(clusters, clusters, None), answers, units)
    columns = (clusters.alias("predicted"),) if known is None else (known.alias("truth"), clusters.alias("predicted"))
    return Asked(sample=sample, columns=columns)
