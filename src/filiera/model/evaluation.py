"""``evaluate``: a model, rows it was not fitted on, and the column with the truth make an ``Evaluation``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
import polars as pl

from filiera.core.evaluation import Evaluation
from filiera.core.metric import Metrics
from filiera.core.plain import name_of
from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Label, label_series, matrix, number_array, plain_label
from filiera.model.metrics.classification import classification_metrics
from filiera.model.metrics.regression import regression_metrics
from filiera.model.row_digest import row_digests

__all__ = ["Design", "Evaluation", "evaluate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """How the rows of an evaluation are told apart and looked at.

    >>> Design(key=("flow_id",)).seed
    0
    """

    key: tuple[str, ...] = ()  #: columns that name a row in every evaluation; (): all that it is evaluated with
    seed: int = 0  #: of the bootstrap


_PLAIN = Design()


def evaluate(
    model: Any, rows: pl.DataFrame, *, target: str, task: Task | None = None, design: Design = _PLAIN
) -> Evaluation:
    """Return how good *model* is on *rows*: metrics with intervals and a dummy's, and its answers row by row.

    The model is asked as a service will ask it: ``predict`` (and ``predict_proba``, if it has one) with a DataFrame of
    its inputs, which ``feature_names_in_`` names; without that, of all columns but the target.

    Args:
        model: Fitted on other rows than these.
        rows: What it is evaluated on, with at least one row (two for a regression).
        target: The column with the truth: labels, or finite numbers for a regression. A label that the model has not
            learnt is taken, with probability 0.
        task: What the model does; None: a classification if it has ``classes_``, else a regression.
        design: What names a row.

    Raises:
        UsageError: A column is not there, the truth or the answers are missing, not finite or of the wrong kind, or a
            name that the evaluation needs for itself is taken.

    >>> from sklearn.linear_model import LinearRegression
    >>> rows = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 1.0, 2.0, 4.0]})
    >>> found = evaluate(LinearRegression().fit(rows[:3, ["x"]], rows[:3, "y"]), rows, target="y")
    >>> round(found.metrics["mae"].value, 6), found.rows.columns
    (0.25, ['row', 'truth', 'predicted'])
    """
    _check(rows, target, design)
    inputs = rows.select(_inputs(model, rows, target))
    task = task or ("classification" if getattr(model, "classes_", None) is not None else "regression")
    named = row_digests(rows.select(design.key or rows.columns))
    if task == "classification":
        metrics, answers = _classified(model, inputs, rows[target], design)
    elif task == "regression":
        metrics, answers = _predicted(model, inputs, rows[target], design)
    else:
        raise UsageError(f"evaluate does not know the task {task!r}.", why="It knows classification and regression.")
    return Evaluation(metrics=metrics, rows=pl.DataFrame([named, *answers]))


def _classified(
    model: Any, inputs: pl.DataFrame, truth: pl.Series, design: Design
) -> tuple[Metrics, Iterable[pl.Series]]:
    true, predicted = label_series(truth, "truth"), label_series(model.predict(inputs), "the model's answers")
    learnt = getattr(model, "classes_", None)
    if learnt is None:
        metrics = classification_metrics(true, predicted, seed=design.seed)
        return metrics, (true.alias("truth"), predicted.alias("predicted"))
    labels = [plain_label(label) for label in learnt]
    strange = [label for label in true.unique().sort().to_list() if label not in set(labels)]
    table = _probabilities(model, inputs, len(labels))
    columns = [] if table is None else [pl.Series(f"p:{label}", table[:, i]) for i, label in enumerate(labels)]
    if table is not None and strange:
        table = np.column_stack((table, np.zeros((len(table), len(strange)))))
    metrics = classification_metrics(true, predicted, probabilities=table, labels=[*labels, *strange], seed=design.seed)
    return _noted(metrics, strange), (true.alias("truth"), predicted.alias("predicted"), *columns)


def _probabilities(model: Any, inputs: pl.DataFrame, classes: int) -> np.ndarray[Any, Any] | None:
    if not callable(getattr(model, "predict_proba", None)):
        return None
    table = matrix(model.predict_proba(inputs), "the model's probabilities")
    if table.shape != (inputs.height, classes):
        raise UsageError(f"The model's probabilities have shape {table.shape}, not {(inputs.height, classes)}.")
    return table


def _noted(metrics: Metrics, strange: list[Label]) -> Metrics:
    if not strange:
        return metrics
    note = f"The model has not learnt {', '.join(map(repr, strange))}, which occur among these rows: always wrong."
    return Metrics(
        metrics.metrics,
        task=metrics.task,
        classes=metrics.classes,
        notes=(*metrics.notes, note),
        evaluation=metrics.evaluation,
    )


def _predicted(
    model: Any, inputs: pl.DataFrame, truth: pl.Series, design: Design
) -> tuple[Metrics, Iterable[pl.Series]]:
    true, predicted = number_array(truth, "truth"), number_array(model.predict(inputs), "the model's answers")
    metrics = regression_metrics(true, predicted, seed=design.seed)
    return metrics, (pl.Series("truth", true), pl.Series("predicted", predicted))


def _inputs(model: Any, rows: pl.DataFrame, target: str) -> list[str]:
    if not callable(getattr(model, "predict", None)):
        raise UsageError(
            f"A model of class {name_of(type(model))} cannot be evaluated: it has no predict.",
            do="Give a fitted model with predict(rows), or measure answers: classification_metrics(truth, answers).",
        )
    names = getattr(model, "feature_names_in_", None)
    if names is None:
        return [name for name in rows.columns if name != target]
    inputs = [str(name) for name in names]
    _require(inputs, rows, "take as an input of the model")
    return inputs


def _check(rows: pl.DataFrame, target: str, design: Design) -> None:
    if not isinstance(rows, pl.DataFrame):
        raise UsageError(
            f"evaluate takes a polars DataFrame, not {type(rows).__name__}.", do="polars.from_pandas(rows)"
        )
    _require([target], rows, "take as the target")
    _require(design.key, rows, "name rows by")


def _require(columns: Iterable[str], rows: pl.DataFrame, what: str) -> None:
    for name in columns:
        if name not in rows.columns:
            raise UsageError(f"There is no column {name!r} to {what}.", why=f"There are: {', '.join(rows.columns)}.")
