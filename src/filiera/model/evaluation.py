"""``evaluate``: a model, rows it was not fitted on, and the column with the truth make an ``Evaluation``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from filiera.core.evaluation import Evaluation, Fairness, Slice
from filiera.core.metric import Metrics
from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Label
from filiera.model.asked import Asked, Sample, ask
from filiera.model.fairness import Decisions, fairness_of
from filiera.model.metrics.classification import ClassSample
from filiera.model.metrics.units import Units
from filiera.model.row_digest import row_digests
from filiera.model.slices import parts_of
from filiera.model.tasks import AnomalyDetection, Forecasting, Ranking, Told

__all__ = ["AnomalyDetection", "Design", "Evaluation", "Forecasting", "Ranking", "evaluate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """How the rows of an evaluation hang together, and what is looked at apart.

    >>> Design(slices=("protocol",), clusters="host").seed
    0
    """

    slices: tuple[str, ...] = ()  #: columns for whose values, or ranges of numbers, metrics are taken apart
    groups: tuple[str, ...] = ()  #: columns between whose values, or ranges, a classifier should be fair
    positive: Label | None = None  #: the class whose prediction is the decision; None: the second of two
    clusters: str = ""  #: the column whose equal values hang together: host, patient, day; "": rows are independent
    key: tuple[str, ...] = ()  #: columns that name a row in every evaluation; (): all that it is evaluated with
    seed: int = 0  #: of the bootstrap

    def __post_init__(self) -> None:
        for name in ("slices", "groups", "key"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are kept with the answers."""
        return tuple(dict.fromkeys((*self.slices, *self.groups, *([self.clusters] if self.clusters else []))))


_PLAIN = Design()


def evaluate(
    model: Any, rows: pl.DataFrame, *, target: str, task: Task | Told | None = None, design: Design = _PLAIN
) -> Evaluation:
    """Return how good *model* is on *rows*: metrics with intervals and a dummy's, and its answers row by row.

    The model is asked as a service will ask it: ``predict`` (and ``predict_proba``, if it has one) with a DataFrame of
    its inputs, which ``feature_names_in_`` names; without that, of all columns but the target. Where rows hang together
    (the flows of one host, the days of one shop) name the column that says so: intervals are then made from whole
    clusters, as they must, and are wider.

    Args:
        model: Fitted on other rows than these.
        rows: What it is evaluated on, with at least one row.
        target: The column with the truth: labels, or finite numbers for a regression. A label that the model has not
            learnt is taken, with probability 0. For a clustering or
            anomalies "" where none is known.
        task: What the model does: "classification", "regression", "clustering", ``Ranking(query=…)``,
            ``Forecasting(time=…)`` or ``AnomalyDetection()``; None: a classification if it has ``classes_``, else a
            regression.
        design: Slices, groups, clusters, and what names a row.

    Raises:
        UsageError: A column is not there, the truth or the answers are missing, not finite or of the wrong kind, or a
            name that the evaluation needs for itself is taken.

    >>> from sklearn.linear_model import LinearRegression
    >>> rows = pl.DataFrame({"x": [0.0, 1.0, 2.0, 3.0], "y": [0.0, 1.0, 2.0, 4.0]})
    >>> found = evaluate(LinearRegression().fit(rows[:3, ["x"]], rows[:3, "y"]), rows, target="y")
    >>> round(found.metrics["mae"].value, 6), found.rows.columns
    (0.25, ['row', 'truth', 'predicted'])
    """
    _check(rows, target, _needed(task), design)
    task = task or ("classification" if getattr(model, "classes_", None) is not None else "regression")
    units = Units.of_clusters(rows[design.clusters].to_list()) if design.clusters else Units.of_rows(rows.height)
    asked = ask(model, task, rows, target, units)
    kept = pl.DataFrame([row_digests(rows.select(design.key or rows.columns)), *asked.columns])
    beside = design.columns
    taken = [name for name in beside if name in kept.columns or name.startswith(("p:", "q:"))]
    if taken:
        raise UsageError(f"Column {taken[0]!r} has a name that the evaluation needs for itself.", do="Rename it.")
    return Evaluation(
        metrics=_noted(asked.sample.measure(design.seed), asked.notes),
        slices=tuple(_slices(asked, rows, design)),
        fairness=tuple(_fairness(asked, rows, design)),
        clusters=design.clusters,
        rows=kept.hstack(rows.select(beside)),
    )


def _slices(asked: Asked, rows: pl.DataFrame, design: Design) -> Iterable[Slice]:
    for name in design.slices:
        for part in parts_of(rows[name]):
            metrics = asked.sample.take(part.rows).measure(design.seed)
            yield Slice(column=name, value=part.value, metrics=metrics)


def _fairness(asked: Asked, rows: pl.DataFrame, design: Design) -> Iterable[Fairness]:
    if not design.groups:
        return
    decisions = _decisions(asked.sample, design)
    for name in design.groups:
        yield fairness_of(decisions, name, list(parts_of(rows[name])), seed=design.seed)


def _decisions(sample: Sample, design: Design) -> Decisions:
    if not isinstance(sample, ClassSample):
        raise UsageError("Groups are compared by the decisions of a classifier.", do="Name the columns as slices.")
    labels = sample.answers.labels
    positive = labels[1] if design.positive is None and len(labels) == 2 else design.positive
    if positive not in labels:
        known = ", ".join(map(repr, labels))
        raise UsageError(
            f"{positive!r} is not a class whose prediction is the decision.",
            why=f"The classes are: {known}.",
            do="Name one: Design(groups=…, positive=…).",
        )
    place = labels.index(positive)
    return Decisions(
        positive=positive,
        truth=sample.answers.truth == place,
        decided=sample.answers.predicted == place,
        probability=None if sample.table is None else sample.table[:, place],
        units=sample.units,
    )


def _noted(metrics: Metrics, notes: tuple[str, ...]) -> Metrics:
    return Metrics(
        metrics.metrics,
        task=metrics.task,
        classes=metrics.classes,
        notes=(*metrics.notes, *notes),
        evaluation=metrics.evaluation,
    )


def _needed(task: Task | Told | None) -> tuple[str, ...]:
    return () if task is None or isinstance(task, str) else task.columns


def _check(rows: pl.DataFrame, target: str, needed: tuple[str, ...], design: Design) -> None:
    if not isinstance(rows, pl.DataFrame):
        what = type(rows).__name__
        raise UsageError(f"evaluate takes a polars DataFrame, not {what}.", do="polars.from_pandas(rows)")
    wanted = {
        "take as the target": [target] if target else [],
        "evaluate by": needed,
        "name rows by": design.key,
        "make slices by": design.slices,
        "make groups by": design.groups,
        "take as clusters": [design.clusters] if design.clusters else [],
    }
    for what, names in wanted.items():
        for name in names:
            if name not in rows.columns:
                raise UsageError(
                    f"There is no column {name!r} to {what}.", why=f"There are: {', '.join(rows.columns)}."
                )
    if rows.is_empty():
        raise UsageError("There are no rows to evaluate.", do="Check what the split returned as test rows.")
