import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from filiera.model.metrics import interval


def rng(seed: int = 0) -> np.random.Generator:
    return np.random.Generator(np.random.PCG64(seed))


def test_wilson_golden_value() -> None:
    """8 of 10 gives the ends that statistics packages print."""
    low, high = interval.wilson(8, 10)
    assert (float(low), float(high)) == pytest.approx((0.4901624715, 0.9433178485), abs=1e-10)


@given(st.integers(0, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_share_and_never_collapses(case: tuple[int, int]) -> None:
    """The interval lies within 0 and 1, holds the share, has a width, and turns around with hits and misses."""
    hits, n = case
    low, high = (float(end) for end in interval.wilson(hits, n))
    assert 0 <= low < high <= 1
    if n:
        assert low <= hits / n <= high
    mirrored = [1 - float(end) for end in interval.wilson(n - hits, n)][::-1]
    assert (low, high) == pytest.approx(tuple(mirrored), abs=1e-12)


def test_wilson_agrees_with_scipy() -> None:
    """SciPy computes the same interval."""
    from scipy.stats import binomtest

    for hits, n in [(0, 7), (3, 7), (7, 7), (499, 500)]:
        ours = [float(end) for end in interval.wilson(hits, n)]
        assert ours == pytest.approx(list(binomtest(hits, n).proportion_ci(method="wilson")), abs=1e-12)


def test_resampled_counts_follow_the_confusion_matrix() -> None:
    """Every resample has as many rows as there were, in the same proportions, and no cell that was empty."""
    counts = np.array([[50, 3, 0], [2, 30, 0], [0, 1, 14]])
    correct, rows, predicted = interval.resampled_classes(counts, rng(), 4000)
    assert (rows.sum(axis=1) == 100).all()
    assert (predicted.sum(axis=1) == 100).all()
    assert correct.mean(axis=0) == pytest.approx([50, 30, 14], abs=0.3)
    assert rows.mean(axis=0) == pytest.approx([53, 32, 15], abs=0.3)
    assert (predicted[:, 2] == correct[:, 2]).all()


def test_blocks_leave_the_mean_and_its_spread_alone() -> None:
    """Above 10,000 rows blocks stand for rows: the mean stays, and its standard error is sigma over root n."""
    values = rng(1).exponential(size=(25_003, 1))
    means = interval.resampled_means(values, rng(2))[:, 0]
    assert means.mean() == pytest.approx(values.mean(), abs=4 * values.std() / np.sqrt(25_003 * 1000))
    assert means.std() == pytest.approx(values.std() / np.sqrt(25_003), rel=0.1)


def test_percentile_ignores_what_is_undefined() -> None:
    """Resamples without a value do not make the interval undefined, unless there is no other."""
    assert interval.percentile(np.array([np.nan, 1.0, 1.0])) == (1.0, 1.0)
    assert np.isnan(interval.percentile(np.array([np.nan]))).all()


def auc_scores(seed: int, rows: int, share: float, shift: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores of positives, of which *share* is shifted up, and of negatives."""
    source = rng(seed)
    positive = source.normal(size=rows) + shift * (source.random(rows) < share)
    return positive, source.normal(size=rows)


def test_auc_equals_scikit_learn_with_ties() -> None:
    """Ties count one half."""
    from sklearn.metrics import roc_auc_score

    positive, negative = (scores.round(1) for scores in auc_scores(0, 60, 1.0, 1.0))
    area, (low, high) = interval.auc(positive, negative)
    expected = roc_auc_score([1] * 60 + [0] * 60, np.concatenate((positive, negative)))
    assert area == pytest.approx(expected, abs=1e-12)
    assert low < area < high


@pytest.mark.parametrize(("positive", "negative", "area"), [([2.0] * 9, [1.0] * 9, 1.0), ([1.0] * 9, [2.0] * 9, 0.0)])
def test_auc_of_perfect_order_keeps_a_width(positive: list[float], negative: list[float], area: float) -> None:
    """Nine rows of each class in perfect order do not prove perfect order."""
    value, (low, high) = interval.auc(np.array(positive), np.array(negative))
    assert value == area
    assert high - low > 0.1
    assert low <= area <= high


@pytest.mark.parametrize(("share", "shift"), [(1.0, 1.5), (0.9, 6.0)], ids=["normal", "two kinds of positives"])
def test_auc_interval_covers(share: float, shift: float) -> None:
    """At least 93 of 100 intervals hold the true area, also where a part of the positives is not recognised at all."""
    truth = interval.auc(*auc_scores(99, 200_000, share, shift))[0]
    hits = 0
    for seed in range(400):
        _, (low, high) = interval.auc(*auc_scores(seed, 60, share, shift))
        hits += low <= truth <= high
    assert hits / 400 >= 0.93
