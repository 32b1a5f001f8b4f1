"""Forecasters that need no library: what was a season ago, and exponential smoothing with trend and season.

A forecaster is a model like others: it takes rows with a time (and which series is meant) and returns a number for
each, so that it is evaluated, published and served as they are; and quantiles, from the errors that it made so many
steps ahead. It takes series that are regular: one value each hour, each five minutes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Literal

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.conformal import LEVELS, checked_levels, quantile_columns
from filiera.model.smoothing import Smoothed, smooth

Floats = NDArray[np.float64]
Trend = Literal["none", "additive", "damped"]
_FEWEST_SEASONS = 2


@dataclass(frozen=True, kw_only=True, slots=True)
class TimeSeries:
    """Which columns of a table are a series, or many."""

    time: str  #: of type Date or Datetime
    value: str
    series: str = ""  #: which series a row belongs to; "": there is one


@dataclass(frozen=True, kw_only=True, slots=True)
class Forecaster:
    """What was learnt of one or many series; made by ``seasonal_naive`` or ``exponential_smoothing``."""

    columns: TimeSeries
    step_us: int  #: from one value to the next, in microseconds
    period: int  #: values in a season
    series: tuple[str, ...]  #: their names; one that is "" if there is no column for it
    starts_us: tuple[int, ...]  #: time of the first value of each, in microseconds since 1970
    learnt: tuple[Smoothed, ...]  #: of each
    levels: tuple[float, ...]  #: of the quantiles, ascending, above 0 and below 1

    @property
    def feature_names_in_(self) -> tuple[str, ...]:
        """Return the columns that it takes: the time, and which series is meant if there are many."""
        return (self.columns.time, self.columns.series) if self.columns.series else (self.columns.time,)

    def known_values(self, name: str) -> tuple[str, ...] | None:
        """Return the series it knows, if that is what the column says."""
        return self.series if name == self.columns.series else None

    def predict(self, rows: pl.DataFrame) -> Floats:
        """Return a number for each of *rows*, shape ``(n,)``.

        After the end of what it learnt from, a forecast made at that end; before, the forecast of one step ahead.

        Raises:
            UsageError: A time is missing, before the first value or between two; or a series is unknown.
        """
        answers = np.empty(rows.height)
        for number, mine, places in self._asked(rows):
            answers[mine] = self.learnt[number].at(places, self.period)
        return answers

    def predict_quantiles(self, rows: pl.DataFrame) -> pl.DataFrame:
        """Return a column for each level, such as "0.1": what comes true lies below with that probability.

        They are as wide as the errors were, so many steps ahead of the time forecast, in the series that it learnt
        from; that holds while the series stays what it was. Raises UsageError, as ``predict``.
        """
        away = np.empty((rows.height, len(self.levels)))
        for number, mine, places in self._asked(rows):
            away[mine] = self.learnt[number].away_at(places, self.period)
        return quantile_columns(self.predict(rows), away, self.levels)

    def _asked(self, rows: pl.DataFrame) -> Iterator[tuple[int, NDArray[np.bool_], NDArray[np.int64]]]:
        """Yield the number of each series, which rows are of it, and their places in it."""
        times = _microseconds(rows[self.columns.time], self.columns.time)
        names = _names(rows, self.columns)
        for name in dict.fromkeys(names):
            if name not in self.series:
                raise UsageError(f"There is no series {name!r}.", why=f"There are: {', '.join(self.series)}.")
            number = self.series.index(name)
            mine = np.array([one == name for one in names])
            yield number, mine, self._places(times[mine], self.starts_us[number])

    def _places(self, times: NDArray[np.int64], start_us: int) -> NDArray[np.int64]:
        places, rest = np.divmod(times - start_us, self.step_us)
        if rest.any() or (places < 0).any():
            raise UsageError(
                "There is no value at some of the times.",
                why=f"They lie before the first, or between two; a value comes each {self.step_us / 1e6:g} s.",
                do="Ask for times that go on as those of the training do.",
            )
        return places


def seasonal_naive(
    rows: pl.DataFrame, columns: TimeSeries, *, period: int, levels: Sequence[float] = LEVELS
) -> Forecaster:
    """Return a forecaster that says what was *period* values ago: the one that every other one must beat.

    Args:
        rows: The table.
        columns: Which of its columns are the series.
        period: Values in a season.
        levels: Of the quantiles that it gives, above 0 and below 1.

    Raises:
        UsageError: A series is irregular, has missing values, or fewer than two seasons; or a level cannot be.

    Source:
        Hyndman and Athanasopoulos, Forecasting: principles and practice, third edition, section 5.2.

    >>> from datetime import datetime
    >>> at = pl.datetime_range(datetime(2026, 1, 1), datetime(2026, 1, 1, 7), "1h", eager=True)
    >>> rows = pl.DataFrame({"at": at, "load": [1, 2, 3, 4, 1, 2, 3, 5]})
    >>> model = seasonal_naive(rows, TimeSeries(time="at", value="load"), period=4)
    >>> model.predict(pl.DataFrame({"at": [datetime(2026, 1, 1, 8), datetime(2026, 1, 1, 11)]})).tolist()
    [1.0, 5.0]
    """
    return _fitted(rows, columns, period, checked_levels(levels), _last_season)


def exponential_smoothing(
    rows: pl.DataFrame,
    columns: TimeSeries,
    *,
    period: int = 1,
    trend: Trend = "damped",
    levels: Sequence[float] = LEVELS,
) -> Forecaster:
    """Return a forecaster by additive exponential smoothing, with the weights of the least squared error.

    Args:
        rows: The table.
        columns: Which of its columns are the series.
        period: Values in a season; 1: there is no season.
        trend: None, one that goes on, or one that fades.
        levels: Of the quantiles that it gives, above 0 and below 1.

    Raises:
        UsageError: As ``seasonal_naive``.

    Source:
        Hyndman and Athanasopoulos, Forecasting: principles and practice, third edition, sections 8.2 and 8.3.
    """
    return _fitted(rows, columns, period, checked_levels(levels), lambda values, n: smooth(values, n, trend))


def _last_season(values: Floats, period: int) -> Smoothed:
    season = np.roll(values[-period:], len(values) % period)  # place k of the series lies in season[k % period]
    fitted = np.concatenate([values[:period], values[:-period]])
    return Smoothed(fitted=fitted, season=season, weights=(0.0, 0.0, 1.0), away=np.zeros((0, 0)))


def _fitted(rows: pl.DataFrame, columns: TimeSeries, period: int, levels: tuple[float, ...], learn: Any) -> Forecaster:
    if not isinstance(period, int) or isinstance(period, bool) or period < 1:
        raise UsageError(f"period is {period!r}.", why="It is how many values a season has: 1 or more.")
    wanted = [name for name in (columns.time, columns.value, columns.series) if name]
    missing = [name for name in wanted if name not in rows.columns]
    if missing:
        raise UsageError(f"There is no column {missing[0]!r}.", why=f"There are: {', '.join(rows.columns)}.")
    ordered = rows.select(wanted).sort(columns.time)
    names, times = _names(ordered, columns), _microseconds(ordered[columns.time], columns.time)
    values = ordered[columns.value].cast(pl.Float64).to_numpy()
    members = {name: np.array([one == name for one in names]) for name in sorted(set(names))}
    if not members:
        raise UsageError("There are no rows to learn from.")
    step = _step({name: times[mine] for name, mine in members.items()})
    for name, mine in members.items():
        _check(name, values[mine], period)
    return Forecaster(
        columns=columns,
        step_us=step,
        period=period,
        series=tuple(members),
        starts_us=tuple(int(times[mine][0]) for mine in members.values()),
        learnt=tuple(learn(values[mine], period).measured(values[mine], period, levels) for mine in members.values()),
        levels=levels,
    )


def _step(times: Mapping[str, NDArray[np.int64]]) -> int:
    """Return the distance from one value to the next, which is the same everywhere. Raises UsageError."""
    steps = {name: np.diff(found) for name, found in times.items()}
    every = np.concatenate(list(steps.values()))
    step = int(np.median(every)) if every.size else 0
    for name, found in steps.items():
        wrong = int((found != step).sum())
        if wrong or step <= 0:
            raise UsageError(
                f"The series {name!r} is not regular." if name else "The series is not regular.",
                why=f"At {wrong:,} places the next value does not come after {step / 1e6:g} s.",
                do="Bring it into equal steps first: group_by_dynamic or upsample of polars, then fill the gaps.",
            )
    return step


def _check(name: str, values: Floats, period: int) -> None:
    of = f" of series {name!r}" if name else ""
    if not np.isfinite(values).all():
        raise UsageError(
            f"{int((~np.isfinite(values)).sum()):,} values{of} are missing, NaN or infinite.", do="Fill them."
        )
    if len(values) < _FEWEST_SEASONS * period or len(values) < _FEWEST_SEASONS:
        raise UsageError(
            f"There are {len(values):,} values{of}, fewer than two seasons of {period:,}.",
            do="Give more rows, or a shorter period.",
        )


def _names(rows: pl.DataFrame, columns: TimeSeries) -> Sequence[str]:
    return rows[columns.series].cast(pl.String).to_list() if columns.series else [""] * rows.height


def _microseconds(times: pl.Series, name: str) -> NDArray[np.int64]:
    if not isinstance(times.dtype, pl.Date | pl.Datetime):
        raise UsageError(f"Column {name!r} holds {times.dtype}, not times.", do="Cast it: str.to_datetime() of polars.")
    if times.null_count():
        raise UsageError(f"Column {name!r} has {times.null_count():,} missing times.", do="Drop these rows.")
    return times.cast(pl.Datetime("us")).to_physical().to_numpy()
