"""What an evaluation found of a model: its metrics, those of parts of the rows, and what it answered row by row."""

from __future__ import annotations

from typing import Any

from filiera.core.metric import Metrics
from filiera.core.value import dataclass
from filiera.errors import UsageError

Value = str | int | float | bool | None
"""A value of a column, or the name of a range of its values."""

EVALUATION_CODEC = "evaluation/1"
"""The name of the encoding of such values."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Slice:
    """The metrics of the rows that have one value in one column."""

    column: str
    value: Value  #: the value itself, or for numbers cut into ranges the range, such as "1.5 to 3"
    metrics: Metrics


@dataclass(frozen=True, kw_only=True, slots=True)
class Fairness:
    """How far a classifier's answers differ between the groups of one column."""

    column: str
    positive: Value  #: the class whose prediction is the favoured or feared decision
    groups: tuple[Slice, ...]  #: per group its rates: selection_rate, true_positive_rate, …
    differences: Metrics  #: of the rates between groups: demographic_parity_difference, …


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Evaluation:
    """All that was measured of one model on one set of rows; what a model pipeline returns beside its model.

    ``rows`` is a ``polars.DataFrame`` with a row for each that was evaluated, in their order: ``row``, a 64-bit digest
    of the row's content by which another evaluation knows it again (equal rows are told apart by how often the row came
    before); ``truth`` where it is known; ``predicted``; ``p:LABEL``, the probability of each class, in the order of the
    model's; ``score``, where there is one; ``query`` of a ranking; ``q:LEVEL``, ``naive``, ``time`` and ``series`` of a
    forecast; ``silhouette`` of a clustering; and the columns that slices, groups and clusters were made from.
    """

    metrics: Metrics
    slices: tuple[Slice, ...] = ()
    fairness: tuple[Fairness, ...] = ()
    clusters: str = ""  #: the column of ``rows`` whose equal values hang together; "": each row stands for itself
    rows: Any  #: ``polars.DataFrame``

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Evaluation):
            return NotImplemented
        return self.head == other.head and self.rows.equals(other.rows) and self.rows.schema == other.rows.schema

    def __hash__(self) -> int:
        return hash(self.head)

    @property
    def head(self) -> tuple[Metrics, tuple[Slice, ...], tuple[Fairness, ...], str]:
        """Return everything but the rows."""
        return self.metrics, self.slices, self.fairness, self.clusters

    def of(self, column: str, value: Value) -> Metrics:
        """Return the metrics of one slice. Raises UsageError, naming those that exist."""
        for each in self.slices:
            if (each.column, each.value) == (column, value):
                return each.metrics
        known = ", ".join(f"{each.column} = {each.value!r}" for each in self.slices) or "none"
        raise UsageError(
            f"There is no slice {column} = {value!r}.",
            why=f"This evaluation has: {known}.",
            do="Name the column when evaluating: evaluate(model, rows, target=…, design=Design(slices=(…,))).",
        )


def metrics_of(found: Metrics | Evaluation) -> Metrics:
    """Return the metrics of what an evaluation step returned.

    >>> metrics_of(Metrics((), task="regression")).task
    'regression'
    """
    return found.metrics if isinstance(found, Evaluation) else found
