"""Forecasters: what they say of series that go on as they did, and of tables that are no series."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.model.forecast import Forecaster, TimeSeries, exponential_smoothing, seasonal_naive

START = datetime(2026, 3, 1)
LOAD = TimeSeries(time="at", value="load")
LINKS = TimeSeries(time="at", value="load", series="link")
PERIOD = 7


def times(first: int, count: int) -> list[datetime]:
    return [START + timedelta(hours=first + hour) for hour in range(count)]


def table(values: Any) -> pl.DataFrame:
    return pl.DataFrame({"at": times(0, len(values)), "load": np.asarray(values, dtype=float)})


def ahead(model: Forecaster, count: int, steps: int) -> list[float]:
    found: list[float] = model.predict(pl.DataFrame({"at": times(count, steps)})).tolist()
    return found


series = st.lists(st.floats(-1e6, 1e6), min_size=2 * PERIOD, max_size=40)


@given(values=series, period=st.integers(1, PERIOD), steps=st.integers(1, 30))
def test_seasonal_naive_says_what_was_a_season_ago(values: list[float], period: int, steps: int) -> None:
    """Each value is that of the last season at the same place, however far ahead."""
    last = [float(value) for value in values]
    for _ in range(steps):
        last.append(last[-period])
    model = seasonal_naive(table(values), LOAD, period=period)
    assert ahead(model, len(values), steps) == last[len(values) :]
    assert ahead(model, 0, len(values)) == [*last[:period], *last[: len(values) - period]]


@pytest.mark.parametrize("trend", ["none", "additive", "damped"])
@pytest.mark.parametrize("period", [1, PERIOD])
def test_smoothing_is_that_of_statsmodels(trend: Any, period: int) -> None:
    """With the same weights and the same start, forecasts of one step ahead and of many are those of statsmodels."""
    ets = pytest.importorskip("statsmodels.tsa.exponential_smoothing.ets")
    chance = np.random.default_rng(0)
    values = 20 + 0.1 * np.arange(70) + 5 * np.sin(2 * np.pi * np.arange(70) / PERIOD) + chance.normal(size=70)
    ours = exponential_smoothing(table(values), LOAD, period=period, trend=trend)
    alpha, beta, gamma = ours.learnt[0].weights
    first = values[:period].mean()
    slope = (values[period : 2 * period].mean() - first) / period if trend != "none" else 0.0
    model = ets.ETSModel(
        values,
        error="add",
        trend=None if trend == "none" else "add",
        damped_trend=trend == "damped",
        seasonal="add" if period > 1 else None,
        seasonal_periods=period if period > 1 else None,
        initialization_method="known",
        initial_level=first - slope * (period + 1) / 2,
        initial_trend=None if trend == "none" else slope,
        initial_seasonal=values[:period] - first - slope * (np.arange(period) - (period - 1) / 2)
        if period > 1
        else None,
    )
    known = {
        "smoothing_level": alpha,
        "smoothing_trend": alpha * beta,
        "smoothing_seasonal": gamma,
        "damping_trend": ours.learnt[0].damping,
    }
    fit = model.smooth([known[name] for name in model.param_names if name in known])
    np.testing.assert_allclose(ours.learnt[0].fitted, fit.fittedvalues, rtol=1e-9)
    np.testing.assert_allclose(ahead(ours, 70, 20), fit.forecast(20), rtol=1e-9)


@settings(max_examples=20)
@given(
    level=st.floats(-100, 100),
    slope=st.floats(-2, 2),
    season=st.lists(st.floats(-9, 9), min_size=PERIOD, max_size=PERIOD),
)
def test_a_series_without_noise_goes_on(level: float, slope: float, season: list[float]) -> None:
    """What is a line and a season and nothing else is forecast as such."""
    place = np.arange(6 * PERIOD)
    values = level + slope * place + np.array(season)[place % PERIOD]
    model = exponential_smoothing(table(values[: 4 * PERIOD]), LOAD, period=PERIOD, trend="additive")
    np.testing.assert_allclose(ahead(model, 4 * PERIOD, 2 * PERIOD), values[4 * PERIOD :], atol=1e-6)


def test_smoothing_beats_what_was_a_season_ago() -> None:
    """On a series with a trend and noise its error is the smaller one."""
    chance = np.random.default_rng(1)
    place = np.arange(300)
    values = 50 + 0.05 * place + 10 * np.sin(2 * np.pi * place / 24) + chance.normal(size=300)
    errors = [
        np.abs(np.array(ahead(learn(table(values[:252]), LOAD, period=24), 252, 48)) - values[252:]).mean()
        for learn in (exponential_smoothing, seasonal_naive)
    ]
    assert errors[0] < errors[1]


def test_many_series_are_told_apart() -> None:
    """Each has its own start and values; rows may come in any order, and a service takes no other series."""
    rows = pl.concat(
        [
            table([1, 2, 1, 2]).with_columns(link=pl.lit("a")),
            table([5, 6, 7, 5, 6, 7])[2:].with_columns(link=pl.lit("b")),
        ]
    ).sample(fraction=1, shuffle=True, seed=0)
    model = seasonal_naive(rows, LINKS, period=2)
    asked = pl.DataFrame({"link": ["b", "a", "b"], "at": [*times(6, 1), *times(4, 1), *times(7, 1)]})
    assert model.feature_names_in_ == ("at", "link")
    assert model.known_values("link") == ("a", "b")
    assert model.known_values("at") is None
    assert model.predict(asked).tolist() == [6.0, 1.0, 7.0]
    with pytest.raises(UsageError, match="no series 'c'"):
        model.predict(asked.with_columns(link=pl.lit("c")))


def test_days_are_times_as_well() -> None:
    """A column of dates is a series of days."""
    rows = pl.DataFrame(
        {"at": pl.date_range(START.date(), START.date() + timedelta(days=5), eager=True), "load": range(6)}
    )
    model = seasonal_naive(rows, LOAD, period=3)
    assert model.predict(pl.DataFrame({"at": [START.date() + timedelta(days=6)]})).tolist() == [3.0]


GOOD = table([1, 2, 3, 4])


@pytest.mark.parametrize(
    ("rows", "columns", "period", "what"),
    [
        (GOOD, LOAD, 3, "fewer than two seasons"),
        (GOOD, LOAD, 0, "period is 0"),
        (GOOD, LOAD, True, "period is True"),
        (GOOD[:0], LOAD, 1, "no rows"),
        (GOOD[:1], LOAD, 1, "not regular|fewer than"),
        (GOOD[[0, 1, 3]], LOAD, 1, "not regular"),
        (GOOD[[0, 1, 1, 2]], LOAD, 1, "not regular"),
        (GOOD.with_columns(load=pl.lit(None, dtype=pl.Float64)), LOAD, 1, "missing, NaN"),
        (GOOD.with_columns(load=pl.lit(float("nan"))), LOAD, 1, "missing, NaN"),
        (GOOD.with_columns(at=pl.lit(1)), LOAD, 1, "not times"),
        (GOOD.with_columns(at=pl.lit(None, dtype=pl.Datetime)), LOAD, 1, "missing times"),
        (GOOD, LINKS, 1, "no column 'link'"),
    ],
)
def test_what_is_no_series_is_refused(rows: pl.DataFrame, columns: TimeSeries, period: Any, what: str) -> None:
    """The message says what is wrong with the table, and nothing is guessed."""
    for learn in (seasonal_naive, exponential_smoothing):
        with pytest.raises(UsageError, match=what):
            learn(rows, columns, period=period)


@pytest.mark.parametrize("at", [START - timedelta(hours=1), START + timedelta(minutes=30)], ids=["before", "between"])
def test_a_time_without_a_value_is_refused(at: datetime) -> None:
    """Times before the first value, or between two, have no forecast."""
    with pytest.raises(UsageError, match="no value at some of the times"):
        seasonal_naive(GOOD, LOAD, period=2).predict(pl.DataFrame({"at": [at]}))
