"""Tails of distributions."""

from __future__ import annotations

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from filiera.core.evidence import benjamini_hochberg, chi_square_tail, kolmogorov_tail, two_proportions

special = pytest.importorskip("scipy.special")


@pytest.mark.parametrize("x", [-1, 0, 0.05, 0.2, 0.5, 0.99, 1, 1.358, 2, 5, 50])
def test_kolmogorov_is_that_of_scipy(x):
    """Both forms of the law, and far beyond."""
    assert kolmogorov_tail(x) == pytest.approx(special.kolmogorov(x), rel=1e-12, abs=1e-15)


@pytest.mark.parametrize("freedom", [1, 2, 3, 9, 100, 2000])
@pytest.mark.parametrize("ratio", [0, 0.01, 0.5, 0.99, 1, 1.5, 3, 10])
def test_chi_square_is_that_of_scipy(freedom, ratio):
    """Below the mean and above it, up to where nothing is left."""
    expected = special.chdtrc(freedom, ratio * freedom)
    assert chi_square_tail(ratio * freedom, freedom) == pytest.approx(expected, rel=1e-9, abs=1e-14)
    assert chi_square_tail(ratio, 0) == 1


def test_shares_and_discoveries():
    """Shares that cannot differ do not; adjusted p-values keep their places and never exceed 1."""
    assert two_proportions(0, 10, 0, 20) == two_proportions(10, 10, 20, 20) == 1
    assert two_proportions(0, 1000, 1000, 1000) < 1e-300
    assert benjamini_hochberg([]) == []
    assert benjamini_hochberg([0.9, 0.01, 0.95]) == pytest.approx([0.95, 0.03, 0.95])


@given(st.lists(st.floats(0, 1), max_size=40))
@example([1.5596488708189661e-09, 1e-20, 1e-20])
def test_an_adjusted_p_value_is_no_smaller(p_values):
    """Not even by rounding; and their order is kept."""
    adjusted = benjamini_hochberg(p_values)
    assert all(p <= found <= 1 for p, found in zip(p_values, adjusted, strict=True))
    ranked = [found for _, found in sorted(zip(p_values, adjusted, strict=True))]
    assert ranked == sorted(ranked)
