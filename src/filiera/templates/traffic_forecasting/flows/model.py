"""From the dataset "traffic" to the model "traffic-forecaster"."""

from dataclasses import replace
from datetime import timedelta

import polars as pl
from sklearn.ensemble import HistGradientBoostingRegressor
from threadpoolctl import threadpool_limits
from traffic.features import AHEAD, FEATURES, TARGET, TIME, WEEK
from traffic.plots import forecast_page
from traffic.skill import skill

from filiera import Dataset, Evaluation, Gate, Html, Model, pipeline, step
from filiera.model import evaluation
from filiera.model.conformal import Conformal, conformal
from filiera.model.evaluation import Design, Forecasting
from filiera.model.split import split_by_time

GATES = [
    Gate("skill", at_least=0.1),  # a tenth better than last week's volume, whichever weeks were tested
    Gate("coverage_80", at_least=0.7),  # of ten intervals that should hold eight volumes, seven at least do
    Gate("mae", not_worse_than="champion", margin=5),
]
CALIBRATION = 0.2
"""Share of the training, the last, on which it is learnt how far off forecasts are."""


@step(stage="split")
def split_traffic(traffic: pl.DataFrame, test_days: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the counted hours before the last days to train on, and those days to test on.

    Hours less than a forecast before the first test hour are in neither: they were not known when it was forecast.
    """
    counted = traffic.drop_nulls(TARGET)
    since = counted[TIME].max() + timedelta(hours=1) - timedelta(days=test_days)
    return split_by_time(counted, TIME, since=since, gap=timedelta(hours=AHEAD))


@step(stage="train")
def fit(train_rows: pl.DataFrame, trees: int, learning_rate: float, seed: int) -> Conformal:
    """Return boosted trees that aim at the median, with quantiles by the hour.

    How far they are off is learnt on the last fifth of the rows, forecast by trees that were kept from it; then they
    are fitted to all.
    """
    model = HistGradientBoostingRegressor(
        loss="absolute_error", max_iter=trees, learning_rate=learning_rate, early_stopping=False, random_state=seed
    )
    since = train_rows[TIME][-round(CALIBRATION * train_rows.height)]
    before, last = split_by_time(train_rows, TIME, since=since, gap=timedelta(hours=AHEAD))
    with threadpool_limits(1):  # on tables of this size more threads wait longer than they work
        found = conformal(model.fit(before.select(FEATURES), before[TARGET].to_numpy()), last, target=TARGET, by="hour")
        return replace(found, estimator=model.fit(train_rows.select(FEATURES), train_rows[TARGET].to_numpy()))


@step(stage="evaluate")
def evaluate(model: Conformal, test_rows: pl.DataFrame, traffic: pl.DataFrame) -> Evaluation:
    """Return how good the forecasts are, beside those of last week or, where nothing was counted then, of weeks before.

    Errors are also told in units of those that last week's volume made in the past of *traffic*.
    """
    rows = test_rows.with_columns(week=pl.col(TIME).dt.truncate("1w").dt.date())
    past = traffic.filter(pl.col(TIME) < rows[TIME].min())
    task = Forecasting(
        time=TIME, season=timedelta(hours=WEEK), history=past.drop_nulls(TARGET), ahead=timedelta(hours=AHEAD)
    )
    with threadpool_limits(1):
        # Errors of neighbouring hours go together: whole weeks stand for themselves, not hours.
        found = evaluation.evaluate(model, rows, target=TARGET, task=task, design=Design(key=(TIME,), clusters="week"))
    return replace(found, metrics=replace(found.metrics, metrics=(skill(found.rows), *found.metrics.metrics)))


@step(stage="evaluate")
def report(found: Evaluation) -> Html:
    """Return a page with forecast, truth and what last week says."""
    return forecast_page(found)


@pipeline(kind="model", publishes=Model("traffic-forecaster", task="forecasting", gates=GATES))
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
    found = evaluate(model, test_rows, traffic)
    report(found)
    return model, found
