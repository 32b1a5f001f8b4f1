"""From the dataset "traffic" to the model "traffic-forecaster"."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from traffic.features import AHEAD, FEATURES, NAIVE, TARGET, TIME
from traffic.plots import forecast_page
from traffic.skill import skill

from filiera import Dataset, Evaluation, Gate, Html, Model, pipeline, step
from filiera.model import evaluation
from filiera.model.split import split_by_time

GATES = [
    Gate("skill", at_least=0.1),  # a tenth better than last week's volume, whichever weeks were tested
    Gate("mae", not_worse_than="champion", margin=5),
]


@step(stage="split")
def split_traffic(traffic: pl.DataFrame, test_days: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the counted hours before the last days to train on, and those days to test on.

    Hours less than a forecast before the first test hour are in neither: they were not known when it was forecast.
    """
    counted = traffic.drop_nulls(TARGET)
    since = counted[TIME].max() + timedelta(hours=1) - timedelta(days=test_days)
    return split_by_time(counted, TIME, since=since, gap=timedelta(hours=AHEAD))


@step(stage="train")
def fit(train_rows: pl.DataFrame, trees: int, learning_rate: float, seed: int) -> HistGradientBoostingRegressor:
    """Return boosted trees that aim at the median; a missing lag is a value of its own."""
    model = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=trees, learning_rate=learning_rate, early_stopping=False, random_state=seed
    )
    with threadpool_limits(1):  # on tables of this size more threads wait longer than they work
        return model.fit(train_rows.select(FEATURES), train_rows[TARGET].to_numpy())


@step(stage="evaluate")
def evaluate(model: HistGradientBoostingRegressor, test_rows: pl.DataFrame) -> Evaluation:
    """Return how good the forecasts are, beside those of last week: on the hours that both can forecast."""
    week = pl.col(TIME).dt.truncate("1w").dt.date()
    rows = test_rows.with_columns(pl.coalesce(NAIVE).cast(pl.Float64).alias("naive"), week.alias("week"))
    rows = rows.drop_nulls("naive")
    with threadpool_limits(1):
        # Errors of neighbouring hours go together: whole weeks stand for themselves, not hours.
        weekly = evaluation.Design(key=(TIME,), clusters="week")
        found = evaluation.evaluate(model, rows, target=TARGET, design=weekly)
    answers = found.rows.with_columns(rows[TIME], rows["naive"])
    metrics = replace(found.metrics, metrics=(skill(answers), *found.metrics.metrics))
    return replace(found, metrics=metrics, rows=answers)


@step(stage="evaluate")
def report(found: Evaluation) -> Html:
    """Return a page with forecast, truth and what last week says."""
    return forecast_page(found)


@pipeline(kind="model", publishes=Model("traffic-forecaster", task="regression", gates=GATES))
def train(
    traffic: pl.DataFrame = Dataset("traffic@latest"),
    trees: int = 200,
    learning_rate: float = 0.1,
    test_days: int = 365,
    seed: int = 0,
):
    """Split by time, train, evaluate against last week, gate and publish a forecaster."""
    train_rows, test_rows = split_traffic(traffic, test_days=test_days)
    model = fit(train_rows, trees=trees, learning_rate=learning_rate, seed=seed)
    found = evaluate(model, test_rows)
    report(found)
    return model, found
