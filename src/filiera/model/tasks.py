"""What an evaluation must be told of a task beyond its name."""

from __future__ import annotations

import polars as pl

from filiera.core.signature import Task
from filiera.core.value import dataclass
from filiera.errors import UsageError


@dataclass(frozen=True, kw_only=True, slots=True)
class Ranking:
    """Rows are put in order within queries; the target says how relevant each is."""

    query: str  #: column that says to which query a row belongs
    k: int = 10  #: so many of the first are looked at by NDCG

    @property
    def name(self) -> Task:
        """Return the name of the task."""
        return "ranking"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it needs beside the target."""
        return (self.query,)


@dataclass(frozen=True, kw_only=True, slots=True)
class AnomalyDetection:
    """Few rows are unlike the others; the target, if there is one, says which.

    A model that has ``score_samples`` is asked by it, where scikit-learn gives anomalies the least; its ``predict``
    flags them with -1 (or with 1 or True, when it answers 0 or False for others).
    """

    contamination: float | None = None  #: share of rows that can be looked at; None: the share of anomalies
    positive: str | int | bool | None = None  #: value of the target of an anomaly; None: 1 or True

    @property
    def name(self) -> Task:
        """Return the name of the task."""
        return "anomaly_detection"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return none: nothing is needed beside the target."""
        return ()


@dataclass(frozen=True, kw_only=True, slots=True, eq=False)
class Forecasting:
    """Rows are times of one series or several; the target is what came true.

    A model that has ``predict_quantiles(rows)``, which returns a DataFrame with a column for each level such as "0.1",
    is measured by these, too.
    """

    time: str  #: column of the times, of numbers, dates or timestamps
    series: str = ""  #: column that names the series; "": there is one
    season: int = 1  #: times after which the series repeats itself: 24 for hours of days
    history: pl.DataFrame | None = (
        None  #: rows before those evaluated, with time, series and target: for MASE and dummy
    )

    @property
    def name(self) -> Task:
        """Return the name of the task."""
        return "forecasting"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it needs beside the target."""
        return (self.time, self.series) if self.series else (self.time,)

    def __post_init__(self) -> None:
        if self.season < 1:
            raise UsageError(f"season is {self.season}.", why="It counts times: 1 or more.")


Told = Ranking | AnomalyDetection | Forecasting
