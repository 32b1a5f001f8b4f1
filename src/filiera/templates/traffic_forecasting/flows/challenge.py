"""Another model for the place of the champion: published only if it is shown to be better on the same hours."""

import polars as pl

from filiera import Dataset, Gate, Model, pipeline
from flows.model import GATES, evaluate, fit, report, split_traffic

BETTER = [*GATES, Gate("mae", better_than="champion")]


@pipeline(kind="model", publishes=Model("traffic-forecaster", task="forecasting", gates=BETTER))
def challenge(
    traffic: pl.DataFrame = Dataset("traffic@latest"),
    trees: int = 400,
    learning_rate: float = 0.1,
    test_days: int = 365,
    seed: int = 0,
):
    """Train with other settings, and publish only what beats the champion on the same hours."""
    train_rows, test_rows = split_traffic(traffic, test_days=test_days)
    model = fit(train_rows, trees=trees, learning_rate=learning_rate, seed=seed)
    found = evaluate(model, test_rows, traffic)
    report(found)
    return model, found
