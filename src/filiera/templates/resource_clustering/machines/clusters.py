"""Clusters of machines, and what they are compared with."""

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sklearn.cluster import KMeans
from sklearn.metrics import adjusted_rand_score, silhouette_samples, silhouette_score
from sklearn.pipeline import Pipeline, make_pipeline
from sklearn.preprocessing import StandardScaler

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


def silhouettes(model: Pipeline, members: NDArray[np.int64], rows: pl.DataFrame) -> NDArray[np.float64]:
    """Return how well each row fits its cluster, -1 to 1, shape ``(n,)``, in the space of all scaled features.

    Source:
        Rousseeuw (1987), Silhouettes: a graphical aid to the interpretation and validation of cluster analysis.
    """
    return np.asarray(silhouette_samples(model[0].transform(rows.select(FEATURES)), members))


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
