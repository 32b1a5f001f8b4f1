"""What was a season ago, counted in values or looked up by time."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.gate import Gate
from filiera.errors import UsageError
from filiera.model.evaluation import Design, Forecasting, evaluate
from filiera.model.forecasts import forecast_sample
from filiera.model.gates import decide
from filiera.model.metrics.forecasting import ForecastSample

GATE = Gate("mae", better_than="champion")
START = datetime(2026, 3, 1)
HOUR = timedelta(hours=1)


class Guess:
    """A model that answers with its input."""

    feature_names_in_ = ("guess",)

    def predict(self, rows: pl.DataFrame) -> pl.Series:
        return rows["guess"]


def table(values: Any) -> pl.DataFrame:
    at = pl.Series("at", [START + HOUR * place for place in range(len(values))], dtype=pl.Datetime("us"))
    load = pl.Series("load", values, dtype=pl.Float64)
    return pl.DataFrame([at, load]).with_columns(guess=pl.col("load").fill_null(0.0) + 1)


def sampled(rows: pl.DataFrame, first: int, **task: Any) -> ForecastSample:
    """Return what is known of the rows from *first* on, with those before as the history."""
    history, test = rows.drop_nulls("load"), rows.slice(first).drop_nulls("load")
    history = history.filter(pl.col("at") < START + HOUR * first)
    told = Forecasting(time="at", history=history, **task)
    return forecast_sample(Guess(), told, test, test.select("guess"), test["load"])


values = st.lists(st.integers(0, 9), min_size=14, max_size=40)
holed = st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=14, max_size=40)


@given(values, st.integers(1, 6), st.integers(7, 12))
def test_where_nothing_is_missing_both_ways_say_the_same(given_values: list[int], season: int, first: int) -> None:
    """A season of so many hours is one of so many values."""
    rows = table(given_values)
    by_place, by_time = (sampled(rows, first, season=each) for each in (season, HOUR * season))
    np.testing.assert_array_equal(by_place.naive, by_time.naive)
    np.testing.assert_array_equal(by_place.past, by_time.past)


@given(holed, st.integers(1, 6), st.integers(1, 12), st.integers(7, 12))
def test_what_was_known_is_looked_up(given_values: list[int | None], season: int, ahead: int, first: int) -> None:
    """It is what came true whole seasons before, at the latest of such times when the forecast was made."""
    rows = table(given_values)
    if rows.slice(first)["load"].null_count() == rows.height - first:
        return
    rolling_from = sampled(rows, first, season=HOUR * season, ahead=HOUR * ahead).naive
    at_end = sampled(rows, first, season=HOUR * season).naive
    asked = rows.slice(first).drop_nulls("load")["at"]
    has_past = rows.head(first)["load"].drop_nulls().len() > 0
    last = max((place for place in range(first) if given_values[place] is not None), default=-1)
    for time, rolling, fixed in zip(asked, rolling_from, at_end, strict=True):
        place = (time - START) // HOUR
        before = [place - k * season for k in range(1, 50) if place - k * season >= 0 and has_past]
        earlier = [given_values[each] for each in before if each <= place - ahead and given_values[each] is not None]
        assert np.array_equal([rolling], [earlier[0] if earlier else np.nan], equal_nan=True)
        known = [given_values[each] for each in before if each <= last and given_values[each] is not None]
        assert np.array_equal([fixed], [known[0] if known else np.nan], equal_nan=True)


def test_scaled_errors_are_of_times_a_season_apart() -> None:
    """1, missing, 4, 2 | 3, 3, missing, 6 differ by 2 and 4 where both are known; an error of 1 is a third of that."""
    found = sampled(table([1, None, 4, 2, 3, 3, None, 6, 5]), 8, season=HOUR * 4).measure(0)
    assert found["mase"].value == pytest.approx(1 / 3)
    assert found["rmsse"].value == pytest.approx(1 / np.sqrt((2**2 + 4**2) / 2))
    assert found["mae"].baseline == 2.0


def test_forecasts_in_weeks_are_compared_in_pairs() -> None:
    """Of the same hours two forecasts are told apart by what they differ in, if clusters say what hangs together."""
    source = np.random.default_rng(0)
    rows = table(source.normal(size=400)).with_columns(week=pl.int_range(400) // 20)
    rough = rows.with_columns(guess=pl.col("load") + pl.Series(source.normal(size=400)))
    fine = rough.with_columns(guess=pl.col("guess") - (pl.col("guess") - pl.col("load")) * 0.1)
    task = Forecasting(time="at", season=HOUR * 24, history=rows[:100])
    for clusters, word in (("week", "paired bootstrap"), ("", "as independent")):
        design = Design(clusters=clusters, key=("at",))
        both = [evaluate(Guess(), each[100:], target="load", task=task, design=design) for each in (fine, rough)]
        (result,) = decide([GATE], both[0], both[1])
        assert word in result.reason
        assert result.passed is (clusters == "week")


@pytest.mark.parametrize(
    ("more", "words"),
    [
        ({"season": timedelta()}, "season is 0:00:00"),
        ({"season": 24, "ahead": HOUR}, "Give both as durations"),
        ({"season": HOUR, "ahead": -HOUR}, "Give both as durations"),
    ],
)
def test_durations_that_cannot_be_are_refused(more: dict[str, Any], words: str) -> None:
    """They are above 0, and a forecast ahead of time needs a season in time."""
    with pytest.raises(UsageError, match=words):
        Forecasting(time="at", **more)


def test_a_duration_needs_times() -> None:
    """Numbers have no hours."""
    rows = table(range(20)).with_columns(at=pl.int_range(20))
    task = Forecasting(time="at", season=HOUR, history=rows[:10])
    with pytest.raises(UsageError, match="not times"):
        evaluate(Guess(), rows[10:], target="load", task=task)
