"""Quantiles of models and forecasters: they hold as often as they say, and are those of the errors that were made."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.linear_model import LinearRegression

from filiera.errors import UsageError
from filiera.model.conformal import Conformal, conformal, error_quantiles
from filiera.model.evaluation import Forecasting, evaluate
from filiera.model.forecast import TimeSeries, exponential_smoothing, seasonal_naive
from filiera.model.package import describe_model
from filiera.model.plots import forecast
from filiera.model.smoothing import _run, smooth

START = datetime(2026, 3, 1)
LOAD = TimeSeries(time="at", value="load")
levels = st.lists(st.floats(0.01, 0.99), min_size=1, max_size=5, unique=True).map(sorted)


def hours(values: Any, first: int = 0) -> pl.DataFrame:
    at = [START + timedelta(hours=first + hour) for hour in range(len(values))]
    return pl.DataFrame({"at": at, "load": np.asarray(values, dtype=float)}, schema_overrides={"at": pl.Datetime("us")})


@given(st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=50), levels)
def test_quantiles_are_places_among_the_errors(errors: list[float], wanted: list[float]) -> None:
    """They rise with the level; so many of n errors as n + 1 times the level asks for lie on the side of each."""
    found = error_quantiles(np.array(errors), wanted)
    assert (np.diff(found) >= 0).all()
    n = len(errors)
    for level, quantile in zip(wanted, found, strict=True):
        if level >= 0.5:
            assert sum(error <= quantile for error in errors) >= min((n + 1) * level - 1e-6, n)
        else:
            assert sum(error >= quantile for error in errors) >= min((n + 1) * (1 - level) - 1e-6, n)


@pytest.mark.parametrize("n", [3, 9, 40])
def test_the_next_error_is_below_as_often_as_is_said(n: int) -> None:
    """Whatever the law where n allows it, and for normal errors where it does not; never less often."""
    source = np.random.default_rng(n)
    inside = [0, 0]
    for _ in range(2000):
        for law, errors in enumerate((source.normal(size=n + 1), source.exponential(size=n + 1) - 1)):
            low, high = error_quantiles(errors[:-1], (0.1, 0.9))
            inside[law] += bool(low <= errors[-1] <= high)
    assert inside[0] >= 0.78 * 2000
    assert inside[1] >= 0.78 * 2000 or n < 9  # of 3 errors nothing is known of their law
    assert max(inside) <= 0.9 * 2000 or n < 9


@pytest.mark.parametrize("period", [1, 4])
@pytest.mark.parametrize("trend", ["none", "additive", "damped"])
def test_errors_of_many_steps_are_those_of_forecasts_made_then(period: int, trend: str) -> None:
    """They are those that one gets by smoothing up to each place, and forecasting from there, step by step."""
    chance = np.random.default_rng(3)
    values = 9 + np.cumsum(chance.normal(size=70)) + 3 * np.sin(np.arange(70) * np.pi / 2)
    learnt = smooth(values, period, trend)
    alpha, beta, seasonal = learnt.weights
    weights = (alpha, beta, seasonal / (1 - alpha), learnt.damping)
    ends = range(2 * period, 70)
    states = {end: _run(values[:end], period, weights, has_slope=trend != "none")[1] for end in ends}
    found = list(learnt.errors_ahead(values, period))
    assert len(found) == (70 - period) // 11
    for step, errors in enumerate(found, start=1):
        wanted = [
            values[end + step - 1] - states[end].at(np.array([end + step - 1]), period)[0]
            for end in ends
            if end + step <= 70
        ]
        assert len(errors) == 70 - period - step + 1
        np.testing.assert_allclose(errors[-len(wanted) :], wanted, atol=1e-8)


@given(st.lists(st.integers(-9, 9), min_size=60, max_size=80), st.integers(1, 5))
def test_the_naive_forecast_errs_as_seasons_differ(values: list[int], period: int) -> None:
    """So many steps ahead it says what came last at that place, and its quantiles are those of the differences."""
    model = seasonal_naive(hours(values), LOAD, period=period)
    given_ahead = model.predict_quantiles(hours([0] * 9, first=len(values))).to_numpy()
    point = model.predict(hours([0] * 9, first=len(values)))
    for step in range(1, min(9, (len(values) - period) // 11) + 1):
        back = period * -(-step // period)
        errors = [values[i] - values[i - back] for i in range(period + step - 1, len(values))]
        expected = error_quantiles(np.array(errors, dtype=float), (0.1, 0.5, 0.9))
        np.testing.assert_allclose(given_ahead[step - 1] - point[step - 1], expected, atol=1e-9)


def test_farther_ahead_the_errors_grow() -> None:
    """As the root of the steps for a walk, beyond what could be looked at; and a time far away has an answer."""
    walk = np.cumsum(np.random.default_rng(0).normal(size=500))
    model = seasonal_naive(hours(walk), LOAD, period=1)
    far = hours([0, 0], first=500).with_columns(
        at=pl.Series([START + timedelta(hours=500 + step) for step in (24 * 4 - 1, 10_000_000)]).cast(pl.Datetime("us"))
    )
    near = model.predict_quantiles(hours([0] * 24, first=500)).to_numpy() - walk[-1]
    beyond = model.predict_quantiles(far).to_numpy() - walk[-1]
    np.testing.assert_allclose(beyond[0], 2 * near[-1], rtol=1e-9)
    assert np.isfinite(beyond).all()


def _walk(source: Any, n: int) -> Any:
    return np.cumsum(source.normal(size=n))


def _seasonal(source: Any, n: int) -> Any:
    return (
        50 + 10 * np.sin(2 * np.pi * np.arange(n) / 12) + np.cumsum(source.normal(size=n)) * 0.3 + source.normal(size=n)
    )


def _skewed(source: Any, n: int) -> Any:
    return 5 * np.sin(2 * np.pi * np.arange(n) / 12) + source.exponential(size=n)


WORLDS = {
    "a walk, the last value": (_walk, lambda rows: seasonal_naive(rows, LOAD, period=1)),
    "a walk, smoothed": (_walk, lambda rows: exponential_smoothing(rows, LOAD, trend="none")),
    "a season, what was a season ago": (_seasonal, lambda rows: seasonal_naive(rows, LOAD, period=12)),
    "a season, smoothed": (_seasonal, lambda rows: exponential_smoothing(rows, LOAD, period=12, trend="none")),
    "skewed errors, what was a season ago": (_skewed, lambda rows: seasonal_naive(rows, LOAD, period=12)),
}


def _coverage(name: str, repeats: int, n: int) -> dict[int, float]:
    """Return how many of 100 values so many steps ahead were between the quantiles 0.1 and 0.9."""
    world, learn = WORLDS[name]
    source, inside = np.random.default_rng(7), []
    for _ in range(repeats):
        values = world(source, n + 24)
        table = learn(hours(values[:n])).predict_quantiles(hours([0] * 24, first=n))
        inside.append((table["0.1"].to_numpy() <= values[n:]) & (values[n:] <= table["0.9"].to_numpy()))
    share = 100 * np.mean(inside, axis=0)
    return {step: float(share[step - 1]) for step in (1, 6, 12, 24)}


@pytest.mark.parametrize("name", [name for name in WORLDS if "smoothed" not in name])
def test_intervals_hold_so_many_steps_ahead(name: str) -> None:
    """Of 100 values about 80 come true inside, one step ahead and 24; the campaign says how many."""
    found = _coverage(name, 250, 300)
    assert all(72 <= share <= 88 for share in found.values()), found


@pytest.mark.campaign
@pytest.mark.parametrize("name", WORLDS)
@pytest.mark.parametrize("n", [60, 120, 300, 1200])
def test_intervals_hold_as_the_page_says(name: str, n: int) -> None:
    """The table of the page on intervals."""
    found = _coverage(name, 1000, n)
    print(f"{name}, {n:,}:", ", ".join(f"{step}: {share:.1f}" for step, share in found.items()))
    assert all(65 <= share <= 92 for share in found.values())


def regression(n: int, seed: int) -> pl.DataFrame:
    source = np.random.default_rng(seed)
    x, place = source.normal(size=n), source.integers(0, 3, n)
    noise = source.normal(size=n) * np.array([0.1, 1.0, 4.0])[place]
    return pl.DataFrame({"x": x, "place": place.astype(np.int64), "y": 2 * x + noise})


def test_any_model_gets_quantiles_that_hold_in_each_group() -> None:
    """Where groups err differently each has its width; what was not met gets that of all rows."""
    rows, new = regression(600, 0), regression(3000, 1)
    model = LinearRegression().fit(rows[:300, ["x", "place"]], rows[:300, "y"].to_numpy())
    found = conformal(model, rows[300:], target="y", by="place")
    table = found.predict_quantiles(new)
    inside = (table["0.1"] <= new["y"]) & (new["y"] <= table["0.9"])
    shares = new.with_columns(inside=inside).group_by("place").agg(pl.col("inside").mean())["inside"]
    assert all(0.72 <= share <= 0.88 for share in shares)
    widths = new.with_columns(width=table["0.9"] - table["0.1"]).group_by("place").agg(pl.col("width").first())
    assert widths.sort("place")["width"].is_sorted()
    strange = found.predict_quantiles(new.with_columns(place=pl.lit(9, pl.Int64)))
    plain = conformal(model, rows[300:], target="y").predict_quantiles(new.with_columns(place=pl.lit(9, pl.Int64)))
    assert strange.equals(plain)
    assert found.predict(new).tolist() == model.predict(new.select("x", "place")).tolist()


def test_a_model_with_quantiles_is_published_and_evaluated_as_others() -> None:
    """It is described by its own columns and class, keeps quantiles when fitted again, and its band is drawn."""
    rows = regression(200, 2).with_columns(hour=pl.int_range(200))
    model = LinearRegression().fit(rows[:100, ["x"]], rows[:100, "y"].to_numpy())
    found = conformal(model, rows[100:], target="y")
    again = dataclasses.replace(found, estimator=LinearRegression().fit(rows[["x"]], rows["y"].to_numpy()))
    assert isinstance(again, Conformal) and again.away.tolist() == found.away.tolist()
    judged = evaluate(found, rows[100:], target="y", task=Forecasting(time="hour", history=rows[:100]))
    assert {"pinball", "coverage_80", "width_80", "mase"} <= set(judged.metrics.names)
    assert "<polygon" in forecast(judged).text
    card = describe_model(found, training=rows[:100], metrics=judged.metrics)
    assert [field.name for field in card.signature.inputs] == ["x"]
    assert card.model == "sklearn.linear_model._base:LinearRegression"
    assert (found.takes_missing("x"), found.known_values("x")) == (False, None)


@pytest.mark.parametrize("wanted", [(), (0.0, 0.5), (0.5, 1.0), "half", (float("nan"),), None])
def test_levels_are_probabilities(wanted: Any) -> None:
    """What is none is refused where a model is made, not where it is asked."""
    with pytest.raises(UsageError, match="Levels"):
        seasonal_naive(hours([1, 2, 3, 4]), LOAD, period=2, levels=wanted)
    with pytest.raises(UsageError, match="Levels"):
        conformal(LinearRegression(), regression(9, 0), target="y", levels=wanted)


@pytest.mark.parametrize(
    ("rows", "more", "what"),
    [
        (regression(9, 0), {"target": "z"}, "no column 'z'"),
        (regression(9, 0)[:0], {"target": "y"}, "no rows"),
        (regression(9, 0), {"target": "y", "by": "place"}, "takes no column 'place'"),
        (regression(9, 0).with_columns(y=None), {"target": "y"}, "NaN, infinite or missing"),
    ],
)
def test_what_cannot_be_calibrated_is_refused(rows: pl.DataFrame, more: dict[str, Any], what: str) -> None:
    """The message names what is missing."""
    known = regression(50, 1)
    model = LinearRegression().fit(known[["x"]], known["y"].to_numpy())
    with pytest.raises(UsageError, match=what):
        conformal(model, rows, **more)


def test_a_model_without_names_is_refused() -> None:
    """It could not be asked by the columns."""
    known = regression(50, 1).select("x", "y")
    with pytest.raises(UsageError, match="does not name"):
        conformal(LinearRegression().fit(known[["x"]].to_numpy(), known["y"].to_numpy()), known, target="y")
