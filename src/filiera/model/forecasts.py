"""What a forecaster answered, beside what repeating the last season gives."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import polars as pl

from filiera.errors import UsageError
from filiera.model.answers import Codes, Floats, check_lengths, number_array
from filiera.model.metrics.forecasting import ForecastSample, past_errors, season_ago, time_blocks
from filiera.model.metrics.units import Units
from filiera.model.tasks import Forecasting

_MOST_SEASONS = 1000
"""So many seasons before are looked through for one of which something is known."""


def forecast_sample(
    model: Any, task: Forecasting, rows: pl.DataFrame, inputs: pl.DataFrame, truth: pl.Series
) -> ForecastSample:
    """Return the forecasts of *model* for *rows*, of which it takes *inputs*. Raises UsageError."""
    true, predicted = number_array(truth, "truth"), number_array(model.predict(inputs), "the model's answers")
    check_lengths({"truth": len(true), "predicted": len(predicted)})
    levels, quantiles = _quantiles(model, inputs)
    times = rows[task.time].rank("dense").to_numpy().astype(np.int64) - 1
    series = rows[task.series].to_list() if task.series else [None] * rows.height
    members = Units.of_clusters(series).members
    naive, past = _past(task, rows.select(task.time).with_columns(true=true), truth.name, series)
    return ForecastSample(
        truth=true,
        predicted=predicted,
        quantiles=quantiles,
        levels=levels,
        series=members,
        naive=naive,
        past=past,
        units=time_blocks(times, predicted - true),
    )


def _quantiles(model: Any, inputs: pl.DataFrame) -> tuple[tuple[float, ...], Floats]:
    if not callable(getattr(model, "predict_quantiles", None)):
        return (), np.zeros((inputs.height, 0))
    given = model.predict_quantiles(inputs)
    try:
        names = sorted(given.columns, key=float)
        levels = tuple(float(name) for name in names)
    except (AttributeError, ValueError) as error:
        raise UsageError(
            "The model's quantiles are not named by their levels.", why=str(error), do='Name columns "0.1", "0.5", …'
        ) from error
    if not all(0 < level < 1 for level in levels):
        raise UsageError(f"The model's quantiles have levels {levels}.", why="A level is above 0 and below 1.")
    return levels, np.column_stack([number_array(given[name], f"the model's quantile {name}") for name in names])


def _past(task: Forecasting, rows: pl.DataFrame, target: str, series: list[Any]) -> tuple[Floats, Floats]:
    """Return for each row the value a season before what was known, and how large differences were in its past.

    *rows* have the time and, as "true", the truth.
    """
    naive, past = np.full(rows.height, np.nan), np.full((rows.height, 2), np.nan)
    if task.history is None:
        return naive, past
    missing = [name for name in (*task.columns, target) if name not in task.history.columns]
    if missing:
        raise UsageError(f"The history has no column {missing[0]!r}.", why="It needs time, series and target.")
    before = dict(_by_series(task.history.sort(task.time), task))
    members = Units.of_clusters(series).members
    look = _by_place if isinstance(task.season, int) else _by_time
    for number, name in enumerate(dict.fromkeys(series)):
        mine = np.flatnonzero(members == number)
        known = before.get(name, task.history[:0]).select(task.time, pl.col(target).alias("true"))
        naive[mine], past[mine] = look(task, known, rows[mine])
    return naive, past


_Looked = tuple[Floats, tuple[float, float]]


def _by_place(task: Forecasting, known: pl.DataFrame, rows: pl.DataFrame) -> _Looked:
    """Return what was so many values ago, for each of *rows* of one series, and what differences in the past were."""
    assert isinstance(task.season, int)
    values = number_array(known["true"], "the history") if known.height else np.zeros(0)
    naive = np.empty(rows.height)
    naive[np.argsort(rows[task.time].to_numpy(), kind="stable")] = season_ago(values, task.season, rows.height)
    return naive, past_errors(values, task.season)


def _by_time(task: Forecasting, known: pl.DataFrame, rows: pl.DataFrame) -> _Looked:
    """Return the same by times: what was whole seasons ago, at the latest time of those that was known by then."""
    assert isinstance(task.season, timedelta)
    season, known = _us(task.season), known.drop_nulls()
    times, asked = (_microseconds(each[task.time], task.time) for each in (known, rows))
    values = number_array(known["true"], "the history") if known.height else np.zeros(0)
    if not len(times):
        return np.full(len(asked), np.nan), (np.nan, np.nan)
    away = values - _value_at(times, values, times - season)
    away = away[np.isfinite(away)]
    past = (float(np.abs(away).mean()), float(np.square(away).mean())) if len(away) else (np.nan, np.nan)
    if task.ahead is None:
        back = np.maximum(-((times[-1] - asked) // season), 1)
    else:
        back = np.full(len(asked), -(-_us(task.ahead) // season))
        times, values = np.concatenate((times, asked)), np.concatenate((values, rows["true"].to_numpy()))
    naive = np.full(len(asked), np.nan)
    for further in range(_MOST_SEASONS):
        wanted = asked - (back + further) * season
        is_open = np.isnan(naive) & (wanted >= times.min())
        if not is_open.any():
            break
        naive[is_open] = _value_at(times, values, wanted[is_open])
    return naive, past


def _value_at(times: Codes, values: Floats, wanted: Codes) -> Floats:
    """Return the value at each of the times *wanted*, NaN where there is none; of one that is there twice the last."""
    order = np.argsort(times, kind="stable")
    ordered = times[order]
    place = np.searchsorted(ordered, wanted, side="right") - 1
    return np.where((place >= 0) & (ordered[place] == wanted), values[order][place], np.nan)


def _us(duration: timedelta) -> int:
    return duration // timedelta(microseconds=1)


def _microseconds(times: pl.Series, name: str) -> Codes:
    if not isinstance(times.dtype, pl.Date | pl.Datetime):
        raise UsageError(
            f"Column {name!r} holds {times.dtype}, not times.",
            why="The season is a duration.",
            do="Cast it: str.to_datetime() of polars; or say how many times a season has: season=24.",
        )
    return times.cast(pl.Datetime("us")).to_physical().to_numpy()


def _by_series(history: pl.DataFrame, task: Forecasting) -> list[tuple[Any, pl.DataFrame]]:
    if not task.series:
        return [(None, history)]
    return [(key[0], part) for key, part in history.group_by(task.series, maintain_order=True)]
