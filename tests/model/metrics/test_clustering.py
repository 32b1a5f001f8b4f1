import numpy as np
import polars as pl
import pytest
from numpy.typing import NDArray
from sklearn import metrics as sk

from filiera.core import plain
from filiera.model.metrics.clustering import clustering_metrics


def blobs(n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    source = np.random.default_rng(0)
    clusters = source.integers(0, 3, size=n)
    return source.normal(size=(n, 2)) + 4 * np.array([[0, 0], [1, 0], [0, 1]])[clusters], clusters


def test_clustering_values_are_those_of_scikit_learn() -> None:
    """Silhouette and Davies-Bouldin equal scikit-learn's and beat clusters dealt out at random."""
    points, clusters = blobs(120)
    metrics = clustering_metrics(pl.DataFrame(points), clusters)
    silhouette, davies_bouldin = metrics
    assert silhouette.value == pytest.approx(sk.silhouette_score(points, clusters), abs=1e-9)
    assert davies_bouldin.value == pytest.approx(sk.davies_bouldin_score(points, clusters), abs=1e-9)
    assert silhouette.baseline is not None and silhouette.baseline < silhouette.low
    assert davies_bouldin.baseline is not None and davies_bouldin.baseline > davies_bouldin.high
    assert plain.decode(plain.encode(metrics)) == metrics


def test_large_clusterings_are_sampled_and_say_so() -> None:
    """The cost is bounded by a seeded sample, and the metric tells on how many rows it was taken."""
    points, clusters = blobs(400)
    metrics = clustering_metrics(points, clusters, sample_rows=100)
    assert metrics["silhouette"].n == 100
    assert "100 of 400 rows" in metrics.notes[0]
    assert metrics == clustering_metrics(points, clusters, sample_rows=100)


@pytest.mark.parametrize("clusters", [[0, 0, 0], [0, 1, 2]], ids=["one", "as many as rows"])
def test_trivial_clusterings_have_no_metrics(clusters: list[int]) -> None:
    """What is undefined is left out, with a note."""
    metrics = clustering_metrics([[0.0], [1.0], [2.0]], clusters)
    assert metrics.names == ()
    assert "undefined" in metrics.notes[0]
