"""From the dataset "machines" to the model "machine-groups"."""

import numpy as np
import polars as pl
from machines.clusters import BY_MEAN, assigned, clustered, misses, silhouettes, stability, sweep
from machines.drawing import drawn
from numpy.typing import NDArray
from sklearn.pipeline import Pipeline

from filiera import Dataset, Gate, Html, Metric, Metrics, Model, pipeline, step
from filiera.model.split import split_by_time

GATES = [
    Gate("silhouette", at_least=0.30),
    Gate("stability", at_least=0.80),
    Gate("silhouette_gain", at_least=0.10),  # over clusters by mean use alone, as many
    Gate("spread_gain", at_least=0.0),  # percent by which the later spread is missed less than by those
    Gate("silhouette", not_worse_than="champion", margin=0.02),
]


@step(stage="split")
def split_days(machines: pl.DataFrame) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Return the earlier days to train on and the last day to test on."""
    return split_by_time(machines, "day", since=machines["day"].max())


@step(stage="train")
def fit(train_rows: pl.DataFrame, clusters: int, seed: int) -> Pipeline:
    """Return k-means over the scaled features."""
    return clustered(train_rows, clusters, seed)


@step(stage="evaluate")
def evaluate(model: Pipeline, train_rows: pl.DataFrame, test_rows: pl.DataFrame, seed: int) -> Metrics:
    """Return how well the machines of a new day fall into the clusters, and the gain over clusters by mean use."""
    count = model[-1].n_clusters
    by_mean = clustered(train_rows, count, seed, BY_MEAN)
    ours = silhouettes(model, assigned(model, test_rows), test_rows)
    theirs = silhouettes(model, assigned(by_mean, test_rows), test_rows)
    missed, missed_by_mean = (misses(each, train_rows, test_rows) for each in (model, by_mean))
    found = (
        _mean("silhouette", ours, seed, baseline=float(theirs.mean())),
        _mean("silhouette_gain", ours - theirs, seed),
        _mean("stability", stability(train_rows, test_rows, count, seed), seed, baseline=0.0),
        _mean("spread_gain", missed_by_mean - missed, seed),
    )
    return Metrics(found, task="clustering")


def _mean(name: str, values: NDArray[np.float64], seed: int, baseline: float | None = None) -> Metric:
    """Return the mean and the middle 95 % of 2,000 means of values drawn anew."""
    drawn_anew = np.random.default_rng(seed).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn_anew, [0.025, 0.975])
    return Metric(
        name=name, value=values.mean(), low=low, high=high, n=len(values), method="bootstrap", baseline=baseline
    )


@step(stage="tune")
def try_counts(train_rows: pl.DataFrame, seed: int) -> list[tuple[int, float, float]]:
    """Return silhouette and stability for 2 to 10 clusters."""
    return sweep(train_rows, range(2, 11), seed)


@step(stage="evaluate")
def draw(model: Pipeline, test_rows: pl.DataFrame, counts: list[tuple[int, float, float]]) -> Html:
    """Return a page: the day of each cluster, what marks it, and why so many."""
    return drawn(test_rows, assigned(model, test_rows), counts)


@pipeline(kind="model", publishes=Model("machine-groups", task="clustering", gates=GATES))
def train(machines: pl.DataFrame = Dataset("machines@latest"), clusters: int = 6, seed: int = 0):
    """Split by day, cluster, evaluate, draw, gate and publish groups of machines."""
    train_rows, test_rows = split_days(machines)
    model = fit(train_rows, clusters=clusters, seed=seed)
    draw(model, test_rows, try_counts(train_rows, seed=seed))
    return model, evaluate(model, train_rows, test_rows, seed=seed)
