"""``evaluate``: a model, rows it was not fitted on, and the column with the truth make an ``Evaluation``."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from filiera.core.evaluation import Evaluation, Slice
from filiera.core.metric import Metrics
from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.asked import Asked, ask, inputs_of
from filiera.model.metrics.units import Units
from filiera.model.row_digest import row_digests
from filiera.model.slices import parts_of

__all__ = ["Design", "Evaluation", "evaluate"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Design:
    """How the rows of an evaluation hang together, and what is looked at apart.

    >>> Design(slices=("protocol",), clusters="host").seed
    0
    """

    slices: tuple[str, ...] = ()  #: columns for whose values, or ranges of numbers, metrics are taken apart
    clusters: str = ""  #: the column whose equal values hang together: host, patient, day; "": rows are independent
    key: tuple[str, ...] = ()  #: columns that name a row in every evaluation; (): all that it is evaluated with
    seed: int = 0  #: of the bootstrap

    def __post_init__(self) -> None:
        for name in ("slices", "key"):
            given = getattr(self, name)
            object.__setattr__(self, name, (given,) if isinstance(given, str) else tuple(given))

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that are kept with the answers."""
        return tuple(dict.fromkeys((*self.slices, *([self.clusters] if self.clusters else []))))


_PLAIN = Design()


def evaluate(
    model: Any, rows: pl.DataFrame, *, target: str, task: Task | None = None, design: Design = _PLAIN
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
            learnt is taken, with probability 0. For a clustering "" where none is known.
        task: What the model does; None: a classification if it has ``classes_``, else a regression.
        design: Slices, clusters, and what names a row.

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
    task = task or ("classification" if getattr(model, "classes_", None) is not None else "regression")
    units = Units.of_clusters(rows[design.clusters].to_list()) if design.clusters else Units.of_rows(rows.height)
    asked = ask(model, task, inputs_of(model, rows, target), rows[target] if target else None, units)
    kept = pl.DataFrame([row_digests(rows.select(design.key or rows.columns)), *asked.columns])
    taken = [name for name in design.columns if name in kept.columns or name.startswith("p:")]
    if taken:
        raise UsageError(f"Column {taken[0]!r} has a name that the evaluation needs for itself.", do="Rename it.")
    return Evaluation(
        metrics=_noted(asked.sample.measure(design.seed), asked.notes),
        slices=tuple(_slices(asked, rows, design)),
        clusters=design.clusters,
        rows=kept.hstack(rows.select(design.columns)),
    )


def _slices(asked: Asked, rows: pl.DataFrame, design: Design) -> Iterable[Slice]:
    for name in design.slices:
        for part in parts_of(rows[name]):
            metrics = asked.sample.take(part.rows).measure(design.seed)
            yield Slice(column=name, value=part.value, metrics=metrics)


def _noted(metrics: Metrics, notes: tuple[str, ...]) -> Metrics:
    return Metrics(
        metrics.metrics,
        task=metrics.task,
        classes=metrics.classes,
        notes=(*metrics.notes, *notes),
        evaluation=metrics.evaluation,
    )


def _check(rows: pl.DataFrame, target: str, design: Design) -> None:
    if not isinstance(rows, pl.DataFrame):
        what = type(rows).__name__
        raise UsageError(f"evaluate takes a polars DataFrame, not {what}.", do="polars.from_pandas(rows)")
    wanted = {"take as the target": [target] if target else [], "name rows by": design.key}
    wanted |= {"make slices by": design.slices, "take as clusters": [design.clusters] if design.clusters else []}
    for what, names in wanted.items():
        for name in names:
            if name not in rows.columns:
                raise UsageError(
                    f"There is no column {name!r} to {what}.", why=f"There are: {', '.join(rows.columns)}."
                )
    if rows.is_empty():
        raise UsageError("There are no rows to evaluate.", do="Check what the split returned as test rows.")
