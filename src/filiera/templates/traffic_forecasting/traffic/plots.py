"""A page about forecasts: numbers, the last weeks, the worst week, and where the errors are."""

from datetime import timedelta

import polars as pl

from filiera import Evaluation, Html
from filiera.core.charts import Line, line_chart, page, table

NAMES = {"predicted": "forecast", "naive": "last week's volume", "truth": "counted"}


def forecast_page(found: Evaluation) -> Html:
    """Return a page; times of an evaluation are in its column "time", and its simpler forecast in "naive"."""
    rows = found.rows.sort("time").with_columns(
        forecast_error=(pl.col("predicted") - pl.col("truth")).abs(),
        naive_error=(pl.col("naive") - pl.col("truth")).abs(),
    )
    weeks = rows.group_by("week", maintain_order=True).agg(
        pl.col("forecast_error").mean(), pl.col("naive_error").mean(), pl.len().alias("hours")
    )
    whole = weeks.filter(pl.col("hours") > 100)
    worst = whole.sort("forecast_error").tail(1)["week"].item()
    last = rows.filter(pl.col("time") > rows["time"].max() - timedelta(days=14))
    hours = rows.group_by(pl.col("time").dt.hour().alias("hour")).agg(
        pl.col("forecast_error").mean(), pl.col("naive_error").mean()
    )
    return page(
        f"Vehicles per hour, forecast from {rows['time'].min():%Y-%m-%d} to {rows['time'].max():%Y-%m-%d}",
        [
            _metrics(found),
            "<p>In the shaded band the forecast says that eight of ten volumes lie.</p><h2>The last two weeks</h2>"
            + _forecasts(last),
            f"<h2>The worst week, from {worst}</h2>" + _forecasts(rows.filter(week=worst)),
            "<h2>Mean absolute error, week by week</h2>" + _errors(whole.with_row_index("x"), "weeks since the first"),
            "<h2>Mean absolute error by hour of the day</h2>"
            + _errors(hours.sort("hour").rename({"hour": "x"}), "hour"),
        ],
    )


def _metrics(found: Evaluation) -> str:
    header = ["metric", "value", "95 % interval", "last week", "interval by"]
    rows = [
        (
            one.name,
            f"{one.value:.4g}",
            f"{one.low:.4g} to {one.high:.4g}",
            "" if one.baseline is None else f"{one.baseline:.4g}",
            one.method,
        )
        for one in found.metrics
    ]
    return table(header, rows, right=["value", "95 % interval", "last week"])


def _forecasts(rows: pl.DataFrame) -> str:
    """Return a chart over days; an hour that is not there breaks the lines."""
    every = rows.sort("time").upsample("time", every="1h")
    days = ((every["time"] - every["time"].min()).dt.total_hours() / 24).to_list()
    known = {
        name: every[name].cast(pl.Float64).fill_null(float("nan")).to_list() for name in (*NAMES, "q:0.1", "q:0.9")
    }
    ends = list(zip(known["q:0.1"], known["q:0.9"], strict=True))
    lines = [
        Line(shown, list(zip(days, known[name], strict=True)), band=ends if name == "predicted" else ())
        for name, shown in NAMES.items()
    ]
    chart = line_chart(lines, label="Vehicles per hour", x_label=f"days since {every['time'].min():%Y-%m-%d %H:%M}")
    return chart.replace("values are NaN or infinite", "values are of hours that were not counted")


def _errors(rows: pl.DataFrame, x_label: str) -> str:
    names = {"forecast_error": "forecast", "naive_error": "last week's volume"}
    lines = [Line(shown, list(zip(rows["x"], rows[name], strict=True))) for name, shown in names.items()]
    return line_chart(lines, label="Mean absolute error", x_label=x_label)
