"""Steps are functions: call them with small tables."""

from datetime import datetime, timedelta

import polars as pl
from flows.data import features, hourly
from flows.model import evaluate, fit, split_traffic
from traffic.features import AHEAD, FEATURES, TARGET, TIME
from traffic.plots import forecast_page
from traffic.skill import skill

MONDAY = datetime(2024, 1, 1)


def counts(days: int) -> pl.DataFrame:
    """Return raw counts that repeat themselves every week; the first day is a holiday."""
    hours = days * 24
    return pl.DataFrame(
        {
            "holiday": ["New Years Day"] + ["None"] * (hours - 1),
            "date_time": [f"{MONDAY + timedelta(hours=hour):%Y-%m-%d %H:%M:%S}" for hour in range(hours)],
            "traffic_volume": [100 + hour % 168 for hour in range(hours)],
        }
    )


def test_an_hour_has_one_row_and_none_is_left_out() -> None:
    """Rows for several kinds of weather are one; where nothing was counted the volume is missing."""
    raw = counts(2)
    made = hourly(pl.concat([raw.tail(24), raw.head(3), raw.head(20)]))
    assert made[TIME].to_list() == [MONDAY + timedelta(hours=hour) for hour in range(48)]
    assert made[TARGET].to_list() == [100 + hour if not 20 <= hour < 24 else None for hour in range(48)]
    assert made["holiday"].to_list() == [True] * 24 + [False] * 24


def test_no_feature_knows_the_day_before() -> None:
    """Whatever is written into the day before an hour and all that follows, its features stay what they were."""
    hours = hourly(counts(30))
    known = features(hours).select(FEATURES)
    for hour in range(24 * 14, 24 * 30):
        is_young = pl.int_range(pl.len()) > hour - AHEAD
        spoilt = hours.with_columns(pl.when(is_young).then(pl.lit(9_999)).otherwise(TARGET).alias(TARGET))
        assert features(spoilt).select(FEATURES).row(hour) == known.row(hour)


def test_training_ends_before_what_is_forecast_was_known() -> None:
    """A day lies between the last hour trained on and the first one tested on; every counted hour is on one side."""
    train_rows, test_rows = split_traffic(features(hourly(counts(30))), test_days=7)
    assert test_rows[TIME].min() - train_rows[TIME].max() == timedelta(hours=AHEAD)
    assert (train_rows.height, test_rows.height) == (24 * 22 + 1, 24 * 7)


def test_skill_is_the_share_of_the_error_that_is_saved() -> None:
    """1 is perfect, 0 is no better, and the interval has the value."""
    rows = pl.DataFrame({"truth": [0.0] * 40, "naive": [4.0, 2.0] * 20, "week": [hour // 4 for hour in range(40)]})
    assert skill(rows.with_columns(predicted="truth")).value == 1.0
    assert skill(rows.with_columns(predicted="naive")).value == 0.0
    found = skill(rows.with_columns(predicted=pl.Series([1.0, 1.0, 2.0, 2.0] * 10)))
    assert (found.value, found.low, found.high) == (0.5, 0.5, 0.5)


def test_model_learns_what_repeats() -> None:
    """What comes every week is found, and put beside last week's volume on a page."""
    raw = counts(63).with_columns(pl.col("traffic_volume") + 30 * (pl.int_range(pl.len()) // 168 % 2))
    traffic = features(hourly(raw))
    train_rows, test_rows = split_traffic(traffic, test_days=14)
    found = evaluate(fit(train_rows, trees=60, learning_rate=0.2, seed=0), test_rows, traffic)
    assert found.metrics["skill"].low > 0.5
    assert found.metrics["mae"].value < 15
    assert (found.rows["q:0.1"] <= found.rows["q:0.9"]).all()
    assert "last week&#x27;s volume" in forecast_page(found).text
