from __future__ import annotations

import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from filiera.monitoring.statistics import (
    benjamini_hochberg,
    checked_counts,
    chi_square,
    fisher_exact,
    grouped,
    kolmogorov_smirnov,
    kolmogorov_smirnov_binned,
    newcombe_interval,
    pool,
    smallest_expected,
    two_proportions,
    wilson_interval,
)

samples = st.lists(st.integers(-20, 20).map(float) | st.floats(-1e6, 1e6), min_size=1, max_size=25)
tables = st.integers(2, 7).flatmap(
    lambda k: st.tuples(*[st.lists(st.integers(0, 200), min_size=k, max_size=k).filter(any)] * 2)
)
hits = st.integers(1, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n)))


@given(x=samples.filter(lambda values: len(values) > 1), y=samples)
def test_ks_is_scipys(x: list[float], y: list[float]) -> None:
    """D is SciPy's and p is the Kolmogorov law's, with the effective size nm/(n+m)."""
    found = kolmogorov_smirnov(x, y)
    assert found.statistic == pytest.approx(stats.ks_2samp(x, y, method="asymp").statistic, abs=1e-12)
    effective = len(x) * len(y) / (len(x) + len(y))
    assert found.p_value == pytest.approx(stats.kstwobign.sf(effective**0.5 * found.statistic), abs=1e-9)


@given(x=samples, y=samples)
def test_ks_knows_neither_order_nor_direction(x: list[float], y: list[float]) -> None:
    """Swapping the samples or reversing their rows changes nothing."""
    assert kolmogorov_smirnov(x, y) == kolmogorov_smirnov(y[::-1], x[::-1])


def test_ks_golden() -> None:
    """The example of the design notes: D is 0.2."""
    assert kolmogorov_smirnov([0, 1, 2, 3, 4], [1, 2, 3, 4, 10]).statistic == 0.2


@given(seed=st.integers(0, 10_000), bins=st.integers(2, 200), atoms=st.booleans())
def test_binned_d_is_within_one_bin_of_d(seed: int, bins: int, atoms: bool) -> None:
    """With at most 1/B of the reference in a bin, D_binned <= D <= D_binned + 1/B; atoms in own bins are exact."""
    rng = np.random.default_rng(seed)
    x, y = rng.normal(size=400), rng.normal(0.3, 1.5, size=300)
    if atoms:
        x, y = np.round(x), np.round(y)
    edges = np.unique(x) if atoms else np.quantile(x, np.arange(1, bins) / bins, method="inverted_cdf")
    a, b = (np.diff([0, *np.searchsorted(np.sort(z), edges, side="right"), z.size]) for z in (x, y))
    exact, binned = kolmogorov_smirnov(x, y).statistic, kolmogorov_smirnov_binned(a, b)
    largest = 0.0 if atoms else a.max() / a.sum()
    assert binned.statistic <= exact + 1e-12
    assert exact <= binned.statistic + largest + (0.02 if atoms else 0) + 1e-12
    assert binned.p_value >= kolmogorov_smirnov(x, y).p_value - 1e-12


def test_ks_p_is_uniform_when_nothing_changed() -> None:
    """Over 2,000 seeded pairs of continuous samples the p-value is below 1, 5 and 20 % about that often, never more."""
    rng = np.random.default_rng(7)
    p = np.array([kolmogorov_smirnov(rng.normal(size=400), rng.normal(size=300)).p_value for _ in range(2000)])
    for level in (0.01, 0.05, 0.2):
        share = np.mean(p <= level)
        assert 0.5 * level < share < level + 3 * (level * (1 - level) / 2000) ** 0.5


@given(table=tables)
def test_chi_square_is_scipys(table: tuple[list[int], list[int]]) -> None:
    """Statistic and p are those of chi2_contingency without correction, empty columns left out."""
    used = np.array(table)[:, np.array(table).sum(axis=0) > 0]
    found = chi_square(*table)
    expected = stats.chi2_contingency(used, correction=False)
    assert found.statistic == pytest.approx(expected.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(expected.pvalue, abs=1e-9)


def test_chi_square_golden() -> None:
    """The table of the design notes."""
    found = chi_square([50, 30, 20], [80, 80, 40])
    assert found.statistic == pytest.approx(3.3566433566, abs=1e-10)
    assert found.p_value == pytest.approx(0.1866870341, abs=1e-10)


def test_contingency_does_not_take_the_reference_for_the_truth() -> None:
    """Ten categories, 500 rows a side, nothing changed: 5 % alarms at 5 %, where goodness-of-fit gives every second."""
    rng = np.random.default_rng(1)
    shares = rng.dirichlet(np.ones(10) * 5)
    p = [chi_square(rng.multinomial(500, shares), rng.multinomial(500, shares)).p_value for _ in range(2000)]
    assert np.mean(np.array(p) <= 0.05) == pytest.approx(0.05, abs=0.015)


@given(table=tables, minimum=st.sampled_from([1.0, 5.0, 20.0]))
def test_pool_keeps_rows_and_is_fair(table: tuple[list[int], list[int]], minimum: float) -> None:
    """Pooling keeps every row, depends on both samples together only, and leaves two groups at the least."""
    a, b = table
    groups = pool(a, b, minimum)
    assert grouped(a, groups).sum() == sum(a)
    assert sorted(set(groups.tolist())) == list(range(groups.max() + 1))
    assert (groups == pool(b, a, minimum)).all()
    together = grouped(a, groups) + grouped(b, groups)
    assert len(together) >= 2
    if len(together) > 2:
        assert (together * min(sum(a), sum(b)) / (sum(a) + sum(b)) >= minimum * (1 - 1e-12)).all()


@pytest.mark.parametrize(
    ("a", "b", "groups"),
    [
        ([50, 50], [50, 50], [0, 1]),
        ([100], [80], [0]),
        ([100, 1, 1, 1], [80, 0, 1, 0], [0, 1, 1, 1]),
        ([1, 1, 1], [1, 1, 1], [0, 1, 1]),
        ([90, 9, 1], [91, 9, 0], [0, 1, 1]),
        ([0, 10], [0, 10], [1, 0]),
    ],
)
def test_pool_examples(a: list[int], b: list[int], groups: list[int]) -> None:
    """Rare cells become one, and the smallest other joins them while they still are rare."""
    assert pool(a, b).tolist() == groups


@given(first=hits, second=hits)
def test_two_proportions_is_the_root_of_chi_square(first: tuple[int, int], second: tuple[int, int]) -> None:
    """z² and its p are those of the 2 x 2 table, and z has the sign of the change."""
    (a, n), (b, m) = first, second
    found = two_proportions(a, n, b, m)
    table = chi_square([a, n - a], [b, m - b])
    assert found.statistic**2 == pytest.approx(table.statistic, rel=1e-9, abs=1e-9)
    assert found.p_value == pytest.approx(table.p_value, abs=1e-9)
    assert np.sign(round(found.statistic, 9)) == np.sign(round(b / m - a / n, 12))


@given(first=hits, second=hits)
def test_fisher_is_scipys(first: tuple[int, int], second: tuple[int, int]) -> None:
    """The exact p is SciPy's."""
    (a, n), (b, m) = first, second
    expected = stats.fisher_exact([[a, n - a], [b, m - b]]).pvalue
    assert fisher_exact(a, n, b, m).p_value == pytest.approx(expected, rel=1e-6, abs=1e-9)


def test_fisher_stands_many_rows() -> None:
    """Ten million rows on either side and a handful of hits are no trouble."""
    found = fisher_exact(0, 10_000_000, 4, 10_000_000)
    assert found.p_value == pytest.approx(0.125, rel=1e-5)


@given(first=hits, second=hits)
def test_smallest_expected_is_scipys(first: tuple[int, int], second: tuple[int, int]) -> None:
    """The least expected count of the 2 x 2 table."""
    (a, n), (b, m) = first, second
    expected = stats.contingency.expected_freq([[a, n - a], [b, m - b]]).min()
    assert smallest_expected(a, n, b, m) == pytest.approx(expected, abs=1e-9)


@given(p=st.lists(st.floats(0, 1), min_size=1, max_size=40))
def test_benjamini_hochberg_is_scipys(p: list[float]) -> None:
    """Adjusted values are those of false_discovery_control."""
    assert benjamini_hochberg(p) == pytest.approx(stats.false_discovery_control(p), abs=1e-12)


def test_benjamini_hochberg_of_nothing() -> None:
    """No tests, no adjusted values."""
    assert benjamini_hochberg([]).tolist() == []


@given(share=hits, level=st.sampled_from([0.5, 0.9, 0.95, 0.999]))
def test_wilson_is_scipys(share: tuple[int, int], level: float) -> None:
    """The bounds are those of proportion_ci and hold the share."""
    k, n = share
    low, high = wilson_interval(k, n, level=level)
    expected = stats.binomtest(k, n).proportion_ci(level, method="wilson")
    assert (low, high) == pytest.approx((expected.low, expected.high), abs=1e-9)
    assert low <= k / n <= high


def test_wilson_golden() -> None:
    """The example of the design notes, 8 of 10."""
    assert wilson_interval(8, 10) == pytest.approx((0.4901624715, 0.9433178485), abs=1e-10)


@pytest.mark.parametrize(
    ("a", "n", "b", "m", "low", "high"),
    [
        (48, 80, 56, 70, 0.0524, 0.3339),
        (3, 10, 9, 10, 0.1705, 0.8090),
        (2, 7, 6, 7, 0.0582, 0.8062),
        (0, 29, 5, 56, -0.0381, 0.1926),
        (0, 20, 0, 10, -0.1611, 0.2775),
        (0, 10, 10, 10, 0.6075, 1.0),
    ],
)
def test_newcombe_is_the_papers(a: int, n: int, b: int, m: int, low: float, high: float) -> None:
    """The contrasts a to e and h that Newcombe (1998) prints for method 10, to their four digits."""
    assert newcombe_interval(a, n, b, m) == pytest.approx((low, high), abs=5.1e-5)


@given(first=hits, second=hits)
def test_newcombe_turns_with_the_difference(first: tuple[int, int], second: tuple[int, int]) -> None:
    """Swapping the sides mirrors the interval."""
    low, high = newcombe_interval(*first, *second)
    assert newcombe_interval(*second, *first) == pytest.approx((-high, -low), abs=1e-12)


@pytest.mark.parametrize(
    "call",
    [
        lambda: kolmogorov_smirnov([], [1]),
        lambda: kolmogorov_smirnov([1], [float("nan")]),
        lambda: checked_counts([1, 2], [1, 2, 3]),
        lambda: checked_counts([1, -1], [1, 2]),
        lambda: checked_counts([0, 0], [1, 2]),
        lambda: checked_counts([1, float("nan")], [1, 2]),
        lambda: two_proportions(1, 0, 0, 1),
        lambda: fisher_exact(3, 2, 0, 1),
        lambda: wilson_interval(0, 0),
        lambda: wilson_interval(1, 2, level=1.0),
        lambda: benjamini_hochberg([0.5, 1.5]),
        lambda: benjamini_hochberg([float("nan")]),
    ],
)
def test_nonsense_is_refused(call: object) -> None:
    """What no statistic is defined for raises ValueError, never a warning and a NaN."""
    with pytest.raises(ValueError, match=r"\w"):
        call()  # type: ignore[operator]


def test_the_ability_does_not_load_scipy_stats() -> None:
    """scipy.stats takes a second to import; nothing here needs it."""
    code = "import filiera.monitoring.drift, filiera.monitoring.report, sys; print('scipy.stats' in sys.modules)"
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "False"
