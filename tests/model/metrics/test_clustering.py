import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from sklearn import metrics as sk

from filiera.core import plain
from filiera.errors import UsageError
from filiera.model.metrics.clustering import _worst_ratios, clustering_metrics, silhouette_pulls


def blobs(n: int) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    source = np.random.default_rng(0)
    clusters = source.integers(0, 3, size=n)
    return source.normal(size=(n, 2)) + 4 * np.array([[0, 0], [1, 0], [0, 1]])[clusters], clusters


@settings(max_examples=20, deadline=None)
@given(st.integers(0, 10_000), st.integers(4, 60), st.integers(2, 5))
def test_values_are_those_of_scikit_learn(seed: int, n: int, k: int) -> None:
    """Every index and every agreement with labels equals scikit-learn's."""
    source = np.random.default_rng(seed)
    points, clusters, truth = source.normal(size=(n, 3)), source.integers(0, k, n), source.integers(0, 3, n)
    found = {metric.name: metric.value for metric in clustering_metrics(points, clusters, truth=truth)}
    expected = {
        "adjusted_rand": sk.adjusted_rand_score(truth, clusters),
        "homogeneity": sk.homogeneity_score(truth, clusters),
        "completeness": sk.completeness_score(truth, clusters),
        "v_measure": sk.v_measure_score(truth, clusters),
        "normalized_mutual_info": sk.normalized_mutual_info_score(truth, clusters),
    }
    if 2 <= len(set(clusters)) < n:
        expected["silhouette"] = sk.silhouette_score(points, clusters)
        # Its distances are rounded: it takes them from products, where rows near their centre lose digits.
        assert found.pop("davies_bouldin") == pytest.approx(sk.davies_bouldin_score(points, clusters), abs=1e-6)
        expected["calinski_harabasz"] = sk.calinski_harabasz_score(points, clusters)
    assert found == pytest.approx(expected, abs=1e-9)


def test_clusters_beat_those_dealt_out_at_random() -> None:
    """Good clusters lie outside what the dummy scores, in the direction that is better."""
    points, clusters = blobs(120)
    metrics = clustering_metrics(pl.DataFrame(points), clusters, truth=[f"t{c}" for c in clusters])
    for metric in metrics:
        assert metric.baseline is not None
        assert metric.baseline < metric.low if metric.greater_is_better else metric.baseline > metric.high
        assert metric.low <= metric.value <= metric.high
    assert plain.decode(plain.encode(metrics)) == metrics


def test_pulls_are_what_one_more_row_does() -> None:
    """Repeating a row moves the Davies-Bouldin index by its pull over the number of rows."""
    points, clusters = blobs(400)
    value, pulls = _worst_ratios(points, clusters)
    for row in range(0, 400, 37):
        more = _worst_ratios(np.vstack((points, points[row])), np.append(clusters, clusters[row]))[0]
        assert more - value == pytest.approx(pulls[row] / 400, rel=0.1, abs=2e-5)


def test_silhouette_pulls_are_what_one_more_row_does() -> None:
    """Repeating a row moves the mean silhouette by its pull over the number of rows."""
    points, clusters = blobs(600)
    value, pulls = silhouette_pulls(points, clusters)
    assert value == pytest.approx(sk.silhouette_score(points, clusters), abs=1e-9)
    assert abs(pulls.mean()) < 0.02
    for row in range(0, 600, 53):
        more = silhouette_pulls(np.vstack((points, points[row])), np.append(clusters, clusters[row]))[0]
        assert more - value == pytest.approx(pulls[row] / 600, rel=0.1, abs=3e-5)


def test_large_clusterings_are_sampled_and_say_so() -> None:
    """The cost of the silhouette is bounded by a seeded sample, and the metric tells on how many rows it was taken."""
    points, clusters = blobs(2100)
    metrics = clustering_metrics(points, clusters)
    assert (metrics["silhouette"].n, metrics["davies_bouldin"].n) == (2000, 2100)
    assert "2,000 of 2,100 rows" in metrics.notes[0]
    assert metrics == clustering_metrics(points, clusters)


@pytest.mark.parametrize("clusters", [[0, 0, 0], [0, 1, 2]], ids=["one", "as many as rows"])
def test_trivial_clusterings_have_no_metrics(clusters: list[int]) -> None:
    """What is undefined is left out, with a note."""
    metrics = clustering_metrics([[0.0], [1.0], [2.0]], clusters)
    assert metrics.names == ()
    assert "undefined" in metrics.notes[0]


def test_rows_that_are_alike_have_no_spread() -> None:
    """Clusters of one point each, repeated, leave out what would be divided by their spread."""
    metrics = clustering_metrics([[0.0], [0.0], [1.0], [1.0]], [0, 0, 1, 1])
    assert "calinski_harabasz" not in metrics
    assert metrics["silhouette"].value == 1
    assert "alike" in metrics.notes[0]


def test_bad_clustering_input_is_explained() -> None:
    """Each impossible input has one clear message."""
    with pytest.raises(UsageError, match="NaN"):
        clustering_metrics([[0.0], [float("nan")]], [0, 1])
    with pytest.raises(UsageError, match="numbers of rows differ"):
        clustering_metrics([[0.0], [1.0]], [0, 1], truth=["a"])
