"""Rows and what is true of them, as a model is asked about them once more, with other inputs than they have."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from filiera.core.evaluation import Evaluation
from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import UsageError, did_you_mean
from filiera.model.answers import Codes, label_series, number_array
from filiera.model.asked import ask, inputs_of
from filiera.model.metrics.anomalies import AnomalySample
from filiera.model.metrics.classification import ClassSample
from filiera.model.metrics.clustering import agreements
from filiera.model.metrics.estimate import Mean, Pull
from filiera.model.metrics.forecasting import ForecastSample
from filiera.model.metrics.regression import NumberSample
from filiera.model.metrics.units import Units
from filiera.model.tasks import AnomalyDetection, Forecasting, Ranking, Told

_TRUTH, _TIME, _SERIES, _CLUSTERS = "\0truth", "\0time", "\0series", "\0clusters"
_OWN = "No truth is known: what the model answers to the rows as they are stands for it."
_TOLERANCE = 1e-6


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Question:
    """What a model is asked, and how its answers are measured."""

    rows: pl.DataFrame  #: the inputs, the truth, and what the task needs beside
    inputs: tuple[str, ...]  #: columns that the model takes
    target: str  #: column with the truth
    task: Task | Told
    fixed: tuple[str, ...] = ()  #: inputs that say which row it is: its time, its series
    clusters: str = ""
    notes: tuple[str, ...] = ()

    @property
    def task_name(self) -> Task:
        """Return what the model does."""
        return self.task if isinstance(self.task, str) else self.task.name

    def take(self, rows: Codes) -> Question:
        """Return the question about some rows."""
        return Question(
            rows=self.rows[rows],
            inputs=self.inputs,
            target=self.target,
            task=self.task,
            fixed=self.fixed,
            clusters=self.clusters,
            notes=self.notes,
        )

    def answered(self, model: Any, rows: pl.DataFrame) -> tuple[list[Mean | Pull], Units]:
        """Return what can be measured of the answers to *rows*, and which of them hang together.

        Raises:
            UsageError: The answers are not what the task needs.
        """
        hang = rows[self.clusters].to_list() if self.clusters else None
        units = Units.of_rows(rows.height) if hang is None else Units.of_clusters(hang)
        if self.task == "clustering":
            found = label_series(model.predict(rows.select(self.inputs)), "the model's answers")
            return list(agreements(_codes(rows[self.target]), _codes(found))), units
        sample = ask(model, self.task, rows.select(*self.inputs, *self._beside), self.target, units).sample
        if not isinstance(sample, ClassSample | NumberSample | ForecastSample | AnomalySample):
            raise UsageError(f"The importance of inputs is not defined for a {self.task_name}.")
        return sample.estimates([]), sample.units

    @property
    def _beside(self) -> list[str]:
        needed = () if isinstance(self.task, str) else self.task.columns
        return [name for name in dict.fromkeys((self.target, *needed)) if name not in self.inputs]


def question(
    model: Any, rows: pl.DataFrame, *, target: str, task: Task | Told | None = None, clusters: str = ""
) -> Question:
    """Return the question that *rows* are, with the truth in the column *target*.

    Args:
        model: Who is to be asked.
        rows: All columns that it takes, and that the task needs.
        target: "" for a clustering or anomalies of which no truth is known.
        task: As for ``evaluate``.
        clusters: Column whose equal values hang together.

    Raises:
        UsageError: A column is not there, or the task is a ranking.
    """
    if not isinstance(rows, pl.DataFrame):
        raise UsageError(f"Rows are a polars DataFrame, not {type(rows).__name__}.", do="polars.from_pandas(rows)")
    task = task or ("classification" if getattr(model, "classes_", None) is not None else "regression")
    needed = () if isinstance(task, str) else task.columns
    for name in (*([target] if target else ()), *needed, *([clusters] if clusters else ())):
        if name not in rows.columns:
            raise UsageError(
                f"There is no column {name!r}.",
                why=f"There are: {', '.join(rows.columns)}.{did_you_mean(name, rows.columns)}",
            )
    if isinstance(task, Ranking):
        raise UsageError("The importance of inputs is not defined for a ranking.")
    inputs = tuple(inputs_of(model, rows, target).columns)
    fixed = tuple(name for name in inputs if isinstance(task, Forecasting) and name in task.columns)
    asked = Question(rows=rows, inputs=inputs, target=target, task=task, fixed=fixed, clusters=clusters)
    return asked if target else _about_itself(model, asked)


def question_again(model: Any, rows: pl.DataFrame, evaluation: Evaluation) -> Question:
    """Return the question that *evaluation* was an answer to, of whose *rows* it kept the truth, in their order.

    Raises:
        UsageError: It kept no rows, is of other rows than these, or of a ranking.
    """
    kept, task = evaluation.rows, evaluation.metrics.task
    inputs = inputs_of(model, rows, "")
    if kept.height != rows.height:
        raise _other_rows(f"It has answers to {kept.height:,} rows; the step was given {rows.height:,}.")
    beside = {_TRUTH: "truth", _TIME: "time", _SERIES: "series", _CLUSTERS: evaluation.clusters}
    columns = {ours: kept[theirs].alias(ours) for ours, theirs in beside.items() if theirs in kept.columns}
    _check_same(model, inputs, kept, task)
    told: Task | Told = task
    if task == "ranking":
        raise UsageError("The importance of inputs is not defined for a ranking.")
    if task == "anomaly_detection":
        told = AnomalyDetection()
    if task == "forecasting":
        told = Forecasting(time=_TIME, series=_SERIES if _SERIES in columns else "")
    marks = [kept[name] for name in ("time", "series") if name in kept.columns]
    fixed = tuple(name for name in inputs.columns if any(inputs[name].equals(mark) for mark in marks))
    asked = Question(
        rows=inputs.with_columns(*columns.values()),
        inputs=tuple(inputs.columns),
        target=_TRUTH if _TRUTH in columns else "",
        task=told,
        fixed=fixed,
        clusters=_CLUSTERS if _CLUSTERS in columns else "",
    )
    return asked if asked.target else _about_itself(model, asked)


def _about_itself(model: Any, asked: Question) -> Question:
    """Return the question with the model's own answers as the truth, where a task can do without."""
    if asked.task_name not in ("clustering", "anomaly_detection"):
        raise UsageError(f"The importance of inputs for a {asked.task_name} needs the truth.", do="Name it: target=…")
    answers = label_series(model.predict(asked.rows.select(asked.inputs)), "the model's answers")
    if asked.task_name == "anomaly_detection":
        numbers = number_array(answers, "the model's answers")
        answers = pl.Series(numbers == (-1 if (numbers == -1).any() else 1))
    return Question(
        rows=asked.rows.with_columns(answers.alias(_TRUTH)),
        inputs=asked.inputs,
        target=_TRUTH,
        task=asked.task,
        fixed=asked.fixed,
        clusters=asked.clusters,
        notes=(*asked.notes, _OWN),
    )


def _check_same(model: Any, inputs: pl.DataFrame, kept: pl.DataFrame, task: Task) -> None:
    """Refuse rows to which the model gives other answers than those that were kept."""
    if "predicted" not in kept.columns:
        return
    answers = model.predict(inputs)
    if task in ("regression", "forecasting"):
        numbers = number_array(answers, "the model's answers")
        same = bool(np.allclose(numbers, kept["predicted"].to_numpy(), rtol=_TOLERANCE, atol=_TOLERANCE))
    elif task == "anomaly_detection":
        flagged = number_array(answers, "the model's answers")
        same = bool(((flagged == (-1 if (flagged == -1).any() else 1)) == kept["predicted"].to_numpy()).all())
    else:
        same = label_series(answers, "the model's answers").equals(kept["predicted"])
    if not same:
        raise _other_rows("The model answers the rows that the step was given in another way than was kept.")


def _other_rows(why: str) -> UsageError:
    return UsageError(
        "The evaluation is of other rows than those that its step was given.",
        why=why,
        do="Let a step of the pipeline return permutation_importance(model, rows, target=…), of the rows it has.",
    )


def _codes(column: pl.Series) -> Codes:
    return np.asarray(column.rank("dense").to_numpy(), dtype=np.int64) - 1
