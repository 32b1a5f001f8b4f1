"""What is known of an hour one day before it."""

import polars as pl

TIME, TARGET = "time", "volume"
HOUR = 1
DAY, WEEK = 24, 7 * 24

AHEAD = DAY
"""Forecasts are made so many hours ahead: no feature may read a volume that is younger than this."""

CALENDAR = ("hour", "weekday", "holiday", "after_holiday", "before_holiday", "holiday_week_ago")
LAGS = {"volume_day_ago": DAY, "volume_week_ago": WEEK, "volume_two_weeks_ago": 2 * WEEK}
FEATURES = (*CALENDAR, *LAGS)


def with_features(hours: pl.DataFrame) -> pl.DataFrame:
    """Return *hours*, one row each and none left out, with calendar and lags beside the volume.

    The calendar is known for years ahead, holidays too; weather is not, and is no feature.
    """
    day, time = pl.col(TIME).dt.date(), pl.col(TIME)
    holidays = hours.filter(pl.col("holiday"))[TIME].dt.date().unique().to_list()
    return hours.with_columns(
        time.dt.hour().cast(pl.Int64).alias("hour"),
        time.dt.weekday().cast(pl.Int64).alias("weekday"),
        day.dt.offset_by("-1d").is_in(holidays).alias("after_holiday"),
        day.dt.offset_by("1d").is_in(holidays).alias("before_holiday"),
        day.dt.offset_by("-7d").is_in(holidays).alias("holiday_week_ago"),
        *(pl.col(TARGET).shift(lag).alias(name) for name, lag in LAGS.items()),
    )
