"""From the dataset "machines" to the model "machine-groups"."""

from dataclasses import replace

import polars as pl
from machines.clusters import BY_MEAN, assigned, clustered, mean_of, misses, silhouette_gain, stability, sweep
from machines.drawing import drawn
from sklearn.pipeline import Pipeline

from filiera import Dataset, Evaluation, Gate, Html, Model, pipeline, step
from filiera.model import evaluation
from filiera.model.evaluation import Design
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
def evaluate(model: Pipeline, test_rows: pl.DataFrame, train_rows: pl.DataFrame, seed: int) -> Evaluation:
    """Return how well the machines of a new day fall into the clusters, and the gain over clusters by mean use."""
    count = model[-1].n_clusters
    by_mean = clustered(train_rows, count, seed, BY_MEAN)
    missed, missed_by_mean = (misses(each, train_rows, test_rows) for each in (model, by_mean))
    found = evaluation.evaluate(model, test_rows, target="", task="clustering", design=Design(key=("vm",), seed=seed))
    gains = (
        silhouette_gain(model, by_mean, test_rows),
        mean_of("stability", stability(train_rows, test_rows, count, seed), seed, baseline=0.0),
        mean_of("spread_gain", missed_by_mean - missed, seed, baseline=0.0),
    )
    return replace(found, metrics=replace(found.metrics, metrics=(*gains, *found.metrics.metrics)))


@step(stage="tune")
def try_counts(train_rows: pl.DataFrame, seed: int) -> list[tuple[int, float, float]]:
    """Return silhouette and stability for 2 to 10 clusters."""
    return sweep(train_rows, range(2, 11), seed)


@step(stage="evaluate")
def draw(model: Pipeline, test_rows: pl.DataFrame, found: Evaluation, counts: list[tuple[int, float, float]]) -> Html:
    """Return a page: the day of each cluster, what marks it, how well machines fit, and why so many."""
    return drawn(test_rows, assigned(model, test_rows), found, counts)


@pipeline(kind="model", publishes=Model("machine-groups", task="clustering", gates=GATES))
def train(machines: pl.DataFrame = Dataset("machines@latest"), clusters: int = 6, seed: int = 0):
    """Split by day, cluster, evaluate, draw, gate and publish groups of machines."""
    train_rows, test_rows = split_days(machines)
    model = fit(train_rows, clusters=clusters, seed=seed)
    found = evaluate(model, test_rows, train_rows, seed=seed)
    draw(model, test_rows, found, try_counts(train_rows, seed=seed))
    return model, found
