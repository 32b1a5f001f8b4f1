"""How good a model is on some rows: values with intervals, never a bare number."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import KW_ONLY

from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Metric:
    """One value, measured on *n* rows, with a two-sided interval at *level*.

    The interval says how far the value may lie from the one on endlessly many rows of the same kind, given that the
    test rows are independent draws; it knows nothing of drift. A value that is NaN or infinite makes every gate on it
    block.

    >>> print(Metric(name="accuracy", value=0.8, low=0.49, high=0.943, n=10, method="wilson", baseline=0.5))
    accuracy 0.8000, 95 % interval 0.4900 to 0.9430, on 10 rows (dummy 0.5000)
    """

    name: str  #: such as "f1_macro"
    value: float  #: on the rows that were evaluated
    low: float  #: lower end of the interval
    high: float  #: upper end of the interval
    level: float = 0.95  #: share of such intervals that hold the true value, above 0 and below 1
    n: int  #: rows evaluated
    method: str  #: how the interval was made: "wilson", "bootstrap", …
    greater_is_better: bool = True  #: False for errors and losses
    baseline: float | None = None  #: what a model without inputs scores on the same rows

    def __post_init__(self) -> None:
        for field in ("value", "low", "high", "level"):
            object.__setattr__(self, field, float(getattr(self, field)))
        object.__setattr__(self, "n", int(self.n))
        if self.baseline is not None:
            object.__setattr__(self, "baseline", float(self.baseline))
        if not self.name or not 0 < self.level < 1 or self.n < 0:
            raise ValueError(f"a metric needs a name, a level between 0 and 1 and n >= 0, got {self!r}")
        if self.low > self.high:
            raise ValueError(f"{self.name}: the interval ends before it begins: {self.low} to {self.high}")

    @property
    def is_defined(self) -> bool:
        """Tell whether the value is a finite number, and both ends of its interval are no NaN."""
        return math.isfinite(self.value) and not math.isnan(self.low) and not math.isnan(self.high)

    def __str__(self) -> str:
        dummy = "" if self.baseline is None else f" (dummy {self.baseline:.4f})"
        bounds = f"{self.low:.4f} to {self.high:.4f}"
        return f"{self.name} {self.value:.4f}, {100 * self.level:g} % interval {bounds}, on {self.n:,} rows{dummy}"


@dataclass(frozen=True, kw_only=True, slots=True)
class ClassScore:
    """What happened to one class: three counts, from which the rest follows.

    >>> score = ClassScore(label="dos", rows=10, predicted=8, correct=6)
    >>> score.recall, score.precision, round(score.f1, 4)
    (0.6, 0.75, 0.6667)
    """

    label: str | int | bool  #: the class
    rows: int  #: rows that are of this class
    predicted: int  #: rows that the model put into this class
    correct: int  #: rows that are both

    def __post_init__(self) -> None:
        if not 0 <= self.correct <= min(self.rows, self.predicted):
            raise ValueError(f"class {self.label!r}: {self.correct} correct of {self.rows} and {self.predicted}")

    @property
    def recall(self) -> float:
        """Return the share of the class that was found; 0 when there is no such row."""
        return self.correct / self.rows if self.rows else 0.0

    @property
    def precision(self) -> float:
        """Return the share of the predictions that were right; 0 when there were none."""
        return self.correct / self.predicted if self.predicted else 0.0

    @property
    def f1(self) -> float:
        """Return the harmonic mean of precision and recall; 0 when the class occurs nowhere."""
        total = self.rows + self.predicted
        return 2 * self.correct / total if total else 0.0


@dataclass(frozen=True, slots=True)
class Metrics:
    """All that was measured of one model on one set of rows; a metric is found by its name.

    >>> accuracy = Metric(name="accuracy", value=0.8, low=0.49, high=0.943, n=10, method="wilson")
    >>> Metrics((accuracy,), task="classification")["accuracy"].value
    0.8
    """

    metrics: tuple[Metric, ...]
    _: KW_ONLY
    task: Task
    classes: tuple[ClassScore, ...] = ()  #: per class, in the order of the labels; classification only
    notes: tuple[str, ...] = ()  #: what was left out, and why
    evaluation: str = ""  #: digest of truth and predictions; equal: the same answers on the same rows

    def __post_init__(self) -> None:
        if len(set(self.names)) != len(self.names):
            raise ValueError(f"a metric is listed twice: {', '.join(self.names)}")

    @property
    def names(self) -> tuple[str, ...]:
        """Return the names of the metrics, in order."""
        return tuple(metric.name for metric in self.metrics)

    def __getitem__(self, name: str) -> Metric:
        """Return the metric called *name*. Raises UsageError, naming those that exist."""
        for metric in self.metrics:
            if metric.name == name:
                return metric
        raise UsageError(
            f"There is no metric {name!r}.",
            why=f"This {self.task} was measured by: {', '.join(self.names) or 'nothing'}.",
            do="Use one of these names, or add your own Metric to the Metrics that your evaluation returns.",
        )

    def __contains__(self, name: object) -> bool:
        return name in self.names

    def __iter__(self) -> Iterator[Metric]:
        return iter(self.metrics)
