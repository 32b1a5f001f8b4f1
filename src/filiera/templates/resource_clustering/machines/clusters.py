"""Clusters of machines, and what they are compared with."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

from filiera import Metric
from filiera.model.metrics.clustering import silhouette_pulls
from machines.use import FEATURES, LATER

BY_MEAN = ("level",)
"""The reference: machines by their mean use alone, in as many clusters."""
RESAMPLES = 10


def clustered(rows: pl.DataFrame, clusters: int, seed: int, features: tuple[str, ...] = FEATURES) -> Pipeline:
    """Return k-means over *features* that were brought to one scale, fitted to *rows*."""
    means = KMeans(n_clusters=clusters, n_init=4, random_state=seed)
    return make_pipeline(StandardScaler(), means).fit(rows.select(features))


def assigned(model: Pipeline, rows: pl.DataFrame) -> NDArray[np.int64]:
    """Return the cluster of each row, shape ``(n,)``."""
    return np.asarray(model.predict(rows.select(list(model.feature_names_in_))), dtype=np.int64)


def silhouette_gain(model: Pipeline, other: Pipeline, rows: pl.DataFrame) -> Metric:
    """Return by how much the mean silhouette, -1 to 1, of *model*'s clusters is higher than that of *other*'s.

    Both are taken in the space of all features as *model* scales them. A row changes the silhouettes of others, too:
    how far it pulls both means is what the interval is made of.

    Source:
        Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation and validation of cluster analysis.
    """
    points = model[0].transform(rows.select(FEATURES))
    (ours, pulls), (theirs, other_pulls) = (silhouette_pulls(points, assigned(one, rows)) for one in (model, other))
    reach = 1.96 * np.std(pulls - other_pulls, ddof=1) / np.sqrt(rows.height)
    gain, how = ours - theirs, f"linearised, paired with {theirs:.3f} by mean use"
    return Metric(
        name="silhouette_gain", value=gain, low=gain - reach, high=gain + reach, n=rows.height, method=how, baseline=0.0
    )


def mean_of(name: str, values: NDArray[np.float64], seed: int, *, baseline: float) -> Metric:
    """Return the mean of *values*, with the middle 95 % of 2,000 means of values drawn anew."""
    drawn_anew = np.random.default_rng(seed).choice(values, (2000, len(values))).mean(axis=1)
    low, high = np.quantile(drawn_anew, [0.025, 0.975])
    n = len(values)
    return Metric(name=name, value=values.mean(), low=low, high=high, n=n, method="bootstrap", baseline=baseline)


def stability(rows: pl.DataFrame, new: pl.DataFrame, clusters: int, seed: int) -> NDArray[np.float64]:
    """Return how alike the clusters of *new* are when the model is fitted to other draws of *rows*, shape ``(10,)``.

    Each is the adjusted Rand index (1: the same clusters, 0: what chance gives) of the model fitted to *rows* and one
    fitted to as many rows drawn from them with replacement.

    Source:
        Hubert and Arabie (1985), Comparing partitions.
    """
    members = assigned(clustered(rows, clusters, seed), new)
    rng = np.random.default_rng(seed)
    draws = [rows[rng.integers(0, rows.height, rows.height)] for _ in range(RESAMPLES)]
    return np.array([adjusted_rand_score(members, assigned(clustered(draw, clusters, seed), new)) for draw in draws])


def misses(model: Pipeline, rows: pl.DataFrame, new: pl.DataFrame) -> NDArray[np.float64]:
    """Return by how many percent the spread of each machine's last 6 hours is missed, shape ``(n,)``.

    What is expected of a machine is the median of its cluster among *rows*.
    """
    known = rows.select(LATER, cluster=pl.Series(assigned(model, rows)))
    expected = dict(known.group_by("cluster").agg(pl.col(LATER).median()).rows())
    return np.abs(new[LATER].to_numpy() - np.array([expected[cluster] for cluster in assigned(model, new).tolist()]))


def sweep(rows: pl.DataFrame, counts: range, seed: int) -> list[tuple[int, float, float]]:
    """Return silhouette and mean stability for each number of clusters, on the rows that are trained on."""
    found = []
    for count in counts:
        model = clustered(rows, count, seed)
        fit = silhouette_score(model[0].transform(rows.select(FEATURES)), assigned(model, rows))
        found.append((count, float(fit), float(stability(rows, rows, count, seed).mean())))
    return found
