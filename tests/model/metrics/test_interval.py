import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from filiera.core.metric import Metric
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import measured
from filiera.model.metrics.probabilities import roc_area
from filiera.model.metrics.units import Units


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


def auc_scores(seed: int, rows: int, share: float, shift: float) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Return scores of positives, of which *share* is shifted up, and of negatives."""
    source = rng(seed)
    positive = source.normal(size=rows) + shift * (source.random(rows) < share)
    return positive, source.normal(size=rows)


def area_of(positive: NDArray[np.float64], negative: NDArray[np.float64]) -> Metric:
    is_positive = np.arange(len(positive) + len(negative)) < len(positive)
    units = Units.of_rows(len(is_positive))
    return measured([roc_area(is_positive, np.concatenate((positive, negative)), units)], units, 0)[0]


def test_auc_equals_scikit_learn_with_ties() -> None:
    """Ties count one half."""
    from sklearn.metrics import roc_auc_score

    positive, negative = (scores.round(1) for scores in auc_scores(0, 60, 1.0, 1.0))
    found = area_of(positive, negative)
    expected = roc_auc_score([1] * 60 + [0] * 60, np.concatenate((positive, negative)))
    assert found.value == pytest.approx(expected, abs=1e-12)
    assert found.low < found.value < found.high


@pytest.mark.parametrize(("positive", "negative", "area"), [([2.0] * 9, [1.0] * 9, 1.0), ([1.0] * 9, [2.0] * 9, 0.0)])
def test_auc_of_perfect_order_keeps_a_width(positive: list[float], negative: list[float], area: float) -> None:
    """Nine rows of each class in perfect order do not prove perfect order."""
    found = area_of(np.array(positive), np.array(negative))
    assert found.value == area
    assert found.high - found.low > 0.1
    assert found.low <= area <= found.high


@pytest.mark.parametrize(("share", "shift"), [(1.0, 1.5), (0.9, 6.0)], ids=["normal", "two kinds of positives"])
def test_auc_interval_covers(share: float, shift: float) -> None:
    """At least 92 of 100 intervals hold the true area, also where a part of the positives is not recognised at all."""
    truth = area_of(*auc_scores(99, 200_000, share, shift)).value
    hits = 0
    for seed in range(400):
        found = area_of(*auc_scores(seed, 60, share, shift))
        hits += found.low <= truth <= found.high
    assert hits / 400 >= 0.92
