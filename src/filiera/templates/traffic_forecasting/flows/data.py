"""From raw counts to the dataset "traffic"."""

from datetime import timedelta

import polars as pl
from traffic.features import FEATURES, HOUR, TARGET, TIME, with_features

from filiera import Check, Dataset, Html, Source, pipeline, step
from filiera.data.explore import explore
from filiera.data.report import profile_html

CHECKS = [
    Check.rows(at_least=24 * 7 * 8),
    Check.types({TIME: "timestamp", TARGET: "int64"}),
    Check.not_null(TIME, "hour", "weekday"),
    Check.unique(TIME),
    Check.sorted(TIME),
    Check.no_gaps(TIME, longer_than=timedelta(hours=HOUR)),  # lags count rows: a missing one would shift them all
    Check.in_range(TARGET, 0, 10_000),
    Check.in_range("hour", 0, 23),
    Check.in_range("weekday", 1, 7),
    *(Check.in_range(name, 0, 10_000) for name in FEATURES if name.startswith("volume_")),
]


@step(stage="explore")
def explore_counts(raw: pl.DataFrame) -> Html:
    """Return a page that shows each column as it was collected: weather that cannot be, an hour on several rows."""
    return profile_html(explore(raw, title="Vehicles per hour, as collected", target="traffic_volume"))


@step(stage="clean")
def hourly(raw: pl.DataFrame) -> pl.DataFrame:
    """Return one row for each hour from the first to the last; where nothing was counted, the volume is missing.

    The source repeats an hour for each kind of weather, says at midnight only that a day is a holiday, and leaves
    hours, days and once ten months out.
    """
    times = pl.col("date_time").cast(pl.String).str.to_datetime(time_unit="us")
    counted = raw.group_by(times.alias(TIME)).agg(
        pl.col("traffic_volume").first().cast(pl.Int64).alias(TARGET),
        (pl.col("holiday").fill_null("None") != "None").any().alias("holiday"),
    )
    every = counted.sort(TIME).upsample(TIME, every=f"{HOUR}h")
    return every.with_columns(pl.col("holiday").any().over(pl.col(TIME).dt.date()).fill_null(False))


@step(stage="transform")
def features(hours: pl.DataFrame) -> pl.DataFrame:
    """Return each hour with what was known of it a day before."""
    return with_features(hours).select(TIME, *FEATURES, TARGET)


@pipeline(kind="data", publishes=Dataset("traffic", checks=CHECKS))
def traffic(raw: pl.DataFrame = Source("raw_counts")):
    """Collect, explore, clean, transform, validate and publish the counts."""
    explore_counts(raw)
    return features(hourly(raw))
