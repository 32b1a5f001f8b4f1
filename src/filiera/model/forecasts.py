"""What a forecaster answered, beside what repeating the last season gives."""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from filiera.errors import UsageError
from filiera.model.answers import Codes, Floats, check_lengths, number_array
from filiera.model.metrics.forecasting import ForecastSample, past_errors, season_ago, time_blocks
from filiera.model.metrics.units import Units
from filiera.model.tasks import Forecasting


def forecast_sample(
    model: Any, task: Forecasting, rows: pl.DataFrame, inputs: pl.DataFrame, truth: pl.Series
) -> ForecastSample:
    """Return the forecasts of *model* for *rows*, of which it takes *inputs*. Raises UsageError."""
    true, predicted = number_array(truth, "truth"), number_array(model.predict(inputs), "the model's answers")
    check_lengths({"truth": len(true), "predicted": len(predicted)})
    levels, quantiles = _quantiles(model, inputs)
    times = rows[task.time].rank("dense").to_numpy().astype(np.int64) - 1
    series = rows[task.series].to_list() if task.series else [None] * rows.height
    naive, past = _past(task, truth.name, times, series)
    return ForecastSample(
        truth=true,
        predicted=predicted,
        quantiles=quantiles,
        levels=levels,
        series=Units.of_clusters(series).members,
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


def _past(task: Forecasting, target: str, times: Codes, series: list[Any]) -> tuple[Floats, Floats]:
    """Return for each row the value a season before what was known, and how large differences were in its past."""
    naive, past = np.full(len(times), np.nan), np.full((len(times), 2), np.nan)
    if task.history is None:
        return naive, past
    missing = [name for name in (*task.columns, target) if name not in task.history.columns]
    if missing:
        raise UsageError(f"The history has no column {missing[0]!r}.", why="It needs time, series and target.")
    ordered = task.history.sort(task.time)
    before = {name: number_array(part[target], "the history") for name, part in _by_series(ordered, task)}
    members = Units.of_clusters(series).members
    for number, name in enumerate(dict.fromkeys(series)):
        rows = np.flatnonzero(members == number)
        known = before.get(name, np.zeros(0))
        naive[rows[np.argsort(times[rows], kind="stable")]] = season_ago(known, task.season, len(rows))
        past[rows] = past_errors(known, task.season)
    return naive, past


def _by_series(history: pl.DataFrame, task: Forecasting) -> list[tuple[Any, pl.DataFrame]]:
    if not task.series:
        return [(None, history)]
    return [(key[0], part) for key, part in history.group_by(task.series, maintain_order=True)]
