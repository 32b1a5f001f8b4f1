"""What an evaluation must be told of a task beyond its name."""

from __future__ import annotations

from datetime import timedelta

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

    A season is a number of times, where none is missing, or a duration, where some are: what was a season ago is then
    looked up by its time and, where nothing is known of that time, by seasons before. Unless ``ahead`` says
    otherwise, all forecasts are made at the end of the history.

    A model that has ``predict_quantiles(rows)``, which returns a DataFrame with a column for each level such as "0.1",
    is measured by these, too.
    """

    time: str  #: column of the times, of numbers, dates or timestamps
    series: str = ""  #: column that names the series; "": there is one
    season: int | timedelta = 1  #: after which the series repeats itself: 24 for hours of days, or timedelta(days=1)
    history: pl.DataFrame | None = (
        None  #: rows before those evaluated, with time, series and target: for MASE and dummy
    )
    ahead: timedelta | None = None  #: how long before its time each forecast is made, with what is known by then

    @property
    def name(self) -> Task:
        """Return the name of the task."""
        return "forecasting"

    @property
    def columns(self) -> tuple[str, ...]:
        """Return the columns that it needs beside the target."""
        return (self.time, self.series) if self.series else (self.time,)

    def __post_init__(self) -> None:
        if isinstance(self.season, timedelta):
            if self.season <= timedelta():
                raise UsageError(f"season is {self.season}.", why="It is a duration above 0.")
        elif self.season < 1:
            raise UsageError(f"season is {self.season}.", why="It counts times: 1 or more.")
        if self.ahead is not None and (not isinstance(self.season, timedelta) or self.ahead <= timedelta()):
            raise UsageError(
                f"Forecasts are made {self.ahead} ahead, and a season is {self.season}.",
                why="What is known by then is looked up by time.",
                do="Give both as durations above 0: season=timedelta(days=7), ahead=timedelta(days=1).",
            )


Told = Ranking | AnomalyDetection | Forecasting
