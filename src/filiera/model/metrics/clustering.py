"""Metrics of clusters, with 95 % intervals and what a dummy scores on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from filiera.core.digest import digest
from filiera.core.metric import Metric, Metrics
from filiera.core.plain import encode
from filiera.model.answers import Codes, Floats, check_lengths, class_answers, matrix
from filiera.model.metrics import interval

_CLUSTER_RESAMPLES = 200


def clustering_metrics(features: Any, clusters: Any, *, seed: int = 0, sample_rows: int = 2000) -> Metrics:
    """Return the silhouette and the Davies-Bouldin index, on a sample of at most *sample_rows* rows.

    The dummy deals the same clusters out to the same rows at random. The intervals resample rows with the clusters as
    given; that of the silhouette takes each row's own value as fixed. With one cluster, or as many as rows, nothing is
    defined: there are no metrics then, and a note says why.

    Args:
        features: What the clusters were made of, shape ``(n, columns)``, finite, scaled as the model saw it.
        clusters: Cluster of each row, shape ``(n,)``. Noise, such as DBSCAN's -1, is taken as one more cluster.
        seed: Of the sample, the bootstrap and the dummy.
        sample_rows: The cost grows with its square.

    Raises:
        UsageError: No rows, lengths that differ, or features that are not finite numbers.
    """
    points, answers = matrix(features, "features"), class_answers(clusters, clusters, None)
    check_lengths({"features": len(points), "clusters": len(answers.truth)})
    rng = np.random.Generator(np.random.PCG64(seed))
    chosen = np.sort(rng.permutation(len(points))[:sample_rows])
    sample, members = points[chosen], np.unique(answers.truth[chosen], return_inverse=True)[1]
    n, k = len(sample), int(members.max()) + 1
    parts = (encode(answers.labels), points.astype("<f8").tobytes(), answers.truth.astype("<i8").tobytes())
    evaluation = digest("evaluation/1", *parts)
    if not 2 <= k < n:
        note = f"Silhouette and Davies-Bouldin are undefined with {k} clusters among {n} rows."
        return Metrics((), task="clustering", notes=(note,), evaluation=evaluation)
    dummy = rng.permutation(members)
    found = (_silhouette(sample, members, dummy, rng), _davies_bouldin(sample, members, dummy, rng))
    notes = () if n == len(points) else (f"Measured on {n:,} of {len(points):,} rows, drawn with seed {seed}.",)
    return Metrics(found, task="clustering", notes=notes, evaluation=evaluation)


def _silhouette(sample: Floats, members: Codes, dummy: Codes, rng: np.random.Generator) -> Metric:
    from sklearn.metrics import silhouette_samples, silhouette_score

    rows = np.asarray(silhouette_samples(sample, members), dtype=np.float64)
    low, high = interval.percentile(interval.resampled_means(rows[:, None], rng)[:, 0])
    return Metric(
        name="silhouette",
        value=rows.mean(),
        low=low,
        high=high,
        n=len(rows),
        method="bootstrap",
        baseline=silhouette_score(sample, dummy),
    )


def _davies_bouldin(sample: Floats, members: Codes, dummy: Codes, rng: np.random.Generator) -> Metric:
    from sklearn.metrics import davies_bouldin_score

    n = len(sample)
    resampled = []
    for _ in range(_CLUSTER_RESAMPLES):
        rows = rng.integers(0, n, size=n)
        is_defined = len(np.unique(members[rows])) > 1
        resampled.append(davies_bouldin_score(sample[rows], members[rows]) if is_defined else np.nan)
    low, high = interval.percentile(np.array(resampled, dtype=np.float64))
    return Metric(
        name="davies_bouldin",
        value=davies_bouldin_score(sample, members),
        low=low,
        high=high,
        n=n,
        method="bootstrap",
        greater_is_better=False,
        baseline=davies_bouldin_score(sample, dummy),
    )
