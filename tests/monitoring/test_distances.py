from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from scipy.spatial import distance

from filiera.monitoring.distances import (
    cramers_v,
    hellinger,
    jensen_shannon_distance,
    kullback_leibler,
    l_infinity,
    population_stability_index,
    total_variation,
    wasserstein,
    wasserstein_normalised,
)

P, Q = (0.5, 0.3, 0.2), (0.4, 0.4, 0.2)
SYMMETRIC = (jensen_shannon_distance, hellinger, total_variation, l_infinity)

tables = st.integers(1, 7).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 200), min_size=k, max_size=k).filter(any)] * 2)
)
samples = st.lists(st.floats(-1e6, 1e6), min_size=1, max_size=25)


@pytest.mark.parametrize(
    ("distance_of", "value"),
    [
        (kullback_leibler, 0.0252671539),
        (jensen_shannon_distance, 0.0958432338),
        (hellinger, 0.0798513806),
        (total_variation, 0.1),
        (l_infinity, 0.1),
    ],
)
def test_golden_values(distance_of: object, value: float) -> None:
    """The values of the design notes for (.5, .3, .2) against (.4, .4, .2)."""
    assert distance_of(P, Q) == pytest.approx(value, abs=1e-10)  # type: ignore[operator]


def test_golden_psi() -> None:
    """With so many rows that half of one does not show, the index is the formula's."""
    found = population_stability_index([share * 1e12 for share in P], [share * 1e12 for share in Q])
    assert found.statistic == pytest.approx(0.0510825624, abs=1e-9)


def test_psi_of_an_empty_cell_is_finite() -> None:
    """Half a row is added to every cell, so a cell that is empty on a side does not make it infinite."""
    assert math.isfinite(population_stability_index([10, 0], [0, 10]).statistic)


def test_psi_has_its_null_law() -> None:
    """Ten bins, 1,000 rows a side, nothing changed: mean 0.018, and p is below 5 % in 5 % of 4,000 seeded windows."""
    rng = np.random.default_rng(3)
    shares = np.full(10, 0.1)
    found = [
        population_stability_index(rng.multinomial(1000, shares), rng.multinomial(1000, shares)) for _ in range(4000)
    ]
    assert np.mean([one.statistic for one in found]) == pytest.approx(0.018, rel=0.05)
    assert np.mean([one.p_value <= 0.05 for one in found]) == pytest.approx(0.05, abs=0.012)


@given(table=tables)
def test_distances_are_distances(table: tuple[list[int], list[int]]) -> None:
    """They are symmetric, 0 for equals, within 0 and 1, and do not care about the order of the cells."""
    a, b = table
    for distance_of in SYMMETRIC:
        value = distance_of(a, b)
        assert 0 <= value <= 1
        assert value == pytest.approx(distance_of(b, a), abs=1e-12)
        assert value == pytest.approx(distance_of(a[::-1], b[::-1]), abs=1e-12)
        assert distance_of(a, [10 * count for count in a]) == pytest.approx(0, abs=1e-7)


@given(table=tables)
def test_distances_are_ordered(table: tuple[list[int], list[int]]) -> None:
    """L∞ <= TVD, and H² <= TVD <= √2·H; the Jensen-Shannon distance is SciPy's to base 2."""
    a, b = table
    variation, h = total_variation(a, b), hellinger(a, b)
    assert l_infinity(a, b) <= variation + 1e-12
    assert h * h - 1e-12 <= variation <= math.sqrt(2) * h + 1e-12
    shares = np.array(a) / sum(a), np.array(b) / sum(b)
    # Near 0 SciPy's own root turns rounding of the last digit into 1e-8.
    assert jensen_shannon_distance(a, b) == pytest.approx(np.nan_to_num(distance.jensenshannon(*shares, 2)), abs=1e-7)


@given(table=tables)
def test_psi_is_symmetric_and_positive(table: tuple[list[int], list[int]]) -> None:
    """Which window is called the reference does not matter to the index."""
    a, b = table
    found = population_stability_index(a, b)
    assert found.statistic >= -1e-12
    assert 0 <= found.p_value <= 1
    assert found.statistic == pytest.approx(population_stability_index(b, a).statistic, abs=1e-12)


@given(x=samples, y=samples)
def test_wasserstein_is_scipys(x: list[float], y: list[float]) -> None:
    """The area between the distribution functions is SciPy's, in any order of the rows, and symmetric."""
    found = wasserstein(x, y)
    assert found == pytest.approx(stats.wasserstein_distance(x, y), rel=1e-9, abs=1e-9)
    assert found == wasserstein(y[::-1], x[::-1])


def test_wasserstein_golden() -> None:
    """The example of the design notes: 2, or √2 standard deviations."""
    assert wasserstein([0, 1, 2, 3, 4], [1, 2, 3, 4, 10]) == 2.0
    assert wasserstein_normalised([0, 1, 2, 3, 4], [1, 2, 3, 4, 10]) == pytest.approx(1.4142135624, abs=1e-10)


def test_wasserstein_of_a_constant_reference() -> None:
    """A reference of one value has no spread: nothing moved is 0, anything else is infinitely far."""
    assert wasserstein_normalised([3, 3], [3]) == 0.0
    assert wasserstein_normalised([3, 3], [3, 4]) == math.inf


@given(table=tables)
def test_cramers_v_is_scipys(table: tuple[list[int], list[int]]) -> None:
    """Uncorrected it is SciPy's; corrected it is smaller or equal up to its own bound, and within 0 and 1."""
    a, b = table
    used = np.array(table)[:, np.array(table).sum(axis=0) > 0]
    if used.shape[1] > 1:
        assert cramers_v(a, b, corrected=False) == pytest.approx(stats.contingency.association(used), abs=1e-9)
    assert 0 <= cramers_v(a, b) <= 1


def test_cramers_v_golden() -> None:
    """The table of the design notes."""
    assert cramers_v([50, 30, 20], [80, 80, 40], corrected=False) == pytest.approx(0.1057771771, abs=1e-10)
    assert cramers_v([50, 30, 20], [80, 80, 40]) == pytest.approx(0.0671933638, abs=1e-10)


def test_cramers_v_shrinks_with_unequal_sizes_and_total_variation_does_not() -> None:
    """The same two distributions, one side with 100 times the rows: V falls to a fifth, total variation stays."""
    assert cramers_v([5000, 5000], [80, 20]) < 0.2 * cramers_v([50, 50], [80, 20])
    assert total_variation([5000, 5000], [80, 20]) == pytest.approx(total_variation([50, 50], [80, 20]))


@pytest.mark.parametrize("samples_given", [([], [1.0]), ([1.0], [math.nan]), ([math.inf], [1.0])])
def test_wasserstein_refuses_what_it_cannot_measure(samples_given: tuple[list[float], list[float]]) -> None:
    """Empty samples and numbers that are not finite raise ValueError."""
    with pytest.raises(ValueError, match="finite"):
        wasserstein(*samples_given)
