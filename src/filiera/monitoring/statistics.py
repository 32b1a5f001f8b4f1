"""Tests of "do these two samples come from one distribution?", with p-values, and intervals for shares.

Pure functions of counts and arrays. Only ``scipy.special`` is imported: ``scipy.stats`` alone takes a second to load.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from filiera.core import evidence
from filiera.core.evidence import chi_square_tail, kolmogorov_tail
from filiera.core.value import dataclass

Counts = NDArray[np.float64]
"""Rows per bin or category: whole numbers, as floats so that sums of products cannot overflow."""

MINIMUM_EXPECTED = 5.0
"""Expected rows per cell below which the χ² and the normal approximation are not trusted (Cochran 1954)."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Evidence:
    """What a test found."""

    statistic: float  #: its size is the test's own affair
    p_value: float  #: chance of a statistic at least this far out when nothing has changed, 0 to 1


def checked_counts(reference: ArrayLike, current: ArrayLike) -> tuple[Counts, Counts]:
    """Return two histograms over the same cells as arrays of shape ``(k,)``.

    Raises:
        ValueError: Lengths differ, a count is negative or not finite, or a side has no row at all.
    """
    sides = np.asarray(reference, dtype=np.float64), np.asarray(current, dtype=np.float64)
    if sides[0].ndim != 1 or sides[0].shape != sides[1].shape:
        raise ValueError(f"need two histograms over the same cells, got shapes {sides[0].shape} and {sides[1].shape}")
    if any(not np.isfinite(side).all() or (side < 0).any() or side.sum() <= 0 for side in sides):
        raise ValueError("counts must be finite and at least 0, with a row on either side")
    return sides


def kolmogorov_smirnov(reference: ArrayLike, current: ArrayLike) -> Evidence:
    """Return the greatest distance D between two empirical distribution functions, and its p-value.

    Args:
        reference: Sample of shape ``(n,)`` without NaN, in any order.
        current: Sample of shape ``(m,)``, likewise.

    Raises:
        ValueError: A sample is empty or has NaN.

    Source:
        Smirnov (1948). The p-value is that of ``ks_p_value``.

    >>> kolmogorov_smirnov([0, 1, 2, 3, 4], [1, 2, 3, 4, 10]).statistic
    0.2
    """
    x, y = _sample(reference), _sample(current)
    places = np.concatenate([x, y])
    below_x = np.searchsorted(x, places, side="right")
    below_y = np.searchsorted(y, places, side="right")
    d = float(np.abs(below_x * y.size - below_y * x.size).max() / (x.size * y.size))
    return Evidence(statistic=d, p_value=ks_p_value(d, x.size, y.size))


def kolmogorov_smirnov_binned(reference: ArrayLike, current: ArrayLike) -> Evidence:
    """Return D at the bins' edges, and its p-value, from counts per bin in ascending order of the bins.

    With D from the samples and at most a share of 1/B of the reference in a bin, ``D_binned <= D <= D_binned + 1/B``:
    the p-value never is too small. Values that have a bin of their own lose nothing.

    Raises:
        ValueError: As ``checked_counts``.

    >>> kolmogorov_smirnov_binned([1, 1, 1, 1, 1, 0], [0, 1, 1, 1, 1, 1]).statistic
    0.2
    """
    a, b = checked_counts(reference, current)
    n, m = a.sum(), b.sum()
    d = float(np.abs(np.cumsum(a) * m - np.cumsum(b) * n).max() / (n * m))
    return Evidence(statistic=d, p_value=ks_p_value(d, n, m))


def ks_p_value(d: float, n: float, m: float) -> float:
    """Return the asymptotic p-value of a two-sample D, with the effective size nm/(n+m).

    Good from about 50 rows a side; ties (many equal values) make it larger than it need be, never smaller.

    Source:
        Kolmogorov (1933), the limit law; checked against ``scipy.stats.kstwobign``.

    >>> round(ks_p_value(0.061, 1000, 1000), 3)
    0.048
    """
    return kolmogorov_tail(float(np.sqrt(n * m / (n + m)) * d))


def chi_square(reference: ArrayLike, current: ArrayLike) -> Evidence:
    """Return the χ² statistic of the 2 x k contingency table and its p-value, k - 1 degrees of freedom.

    Both rows are taken as samples. A goodness-of-fit test would take the reference for the truth, and alarm on a third
    of unchanged windows with five categories. Cells empty on both sides do not count; one cell alone gives p = 1.

    Args:
        reference: Rows per category, shape ``(k,)``.
        current: Rows per category, same categories. Pool rare ones first: see ``pool``.

    Raises:
        ValueError: As ``checked_counts``.

    Source:
        Pearson (1900), without Yates' correction.

    >>> found = chi_square([50, 30, 20], [80, 80, 40])
    >>> round(found.statistic, 10), round(found.p_value, 9)
    (3.3566433566, 0.186687034)
    """
    a, b = checked_counts(reference, current)
    used = (a + b) > 0
    table = np.vstack([a[used], b[used]])
    expected = table.sum(axis=1, keepdims=True) * table.sum(axis=0, keepdims=True) / table.sum()
    statistic = float(((table - expected) ** 2 / expected).sum())
    freedom = table.shape[1] - 1
    return Evidence(statistic=statistic, p_value=chi_square_tail(statistic, freedom))


def pool(reference: ArrayLike, current: ArrayLike, minimum_expected: float = MINIMUM_EXPECTED) -> NDArray[np.intp]:
    """Return for each cell the number of the group it belongs to, shape ``(k,)``, so that groups are large enough.

    Cells that expect fewer than *minimum_expected* rows in the smaller sample become one last group, and when that is
    too small too, it takes in the smallest other cell; two groups at the least where there are two cells. The choice
    looks only at the two samples together, so that under the null it cannot favour a result.

    Raises:
        ValueError: As ``checked_counts``.

    >>> pool([50, 8, 30, 9], [40, 6, 30, 8]).tolist()
    [0, 1, 2, 3]
    >>> pool([50, 6, 30, 4], [40, 2, 30, 5]).tolist()
    [0, 2, 1, 2]
    """
    a, b = checked_counts(reference, current)
    together = a + b
    expected = together * min(a.sum(), b.sum()) / together.sum()
    rare = expected < minimum_expected
    if rare.any():
        for cell in np.argsort(np.where(rare, np.inf, together), kind="stable"):
            if expected[rare].sum() >= minimum_expected or np.count_nonzero(~rare) <= 1:
                break
            rare[cell] = True
        if rare.all():
            rare[int(np.argmax(together))] = False
    groups = np.cumsum(~rare) - 1
    groups[rare] = np.count_nonzero(~rare)
    return groups.astype(np.intp)


def grouped(counts: ArrayLike, groups: NDArray[np.intp]) -> Counts:
    """Return the counts summed by group, shape ``(groups.max() + 1,)``.

    >>> grouped([50, 6, 30, 4], pool([50, 6, 30, 4], [40, 2, 30, 5])).tolist()
    [50.0, 30.0, 10.0]
    """
    return np.bincount(groups, weights=np.asarray(counts, dtype=np.float64)).astype(np.float64)


def two_proportions(a: int, n: int, b: int, m: int) -> Evidence:
    """Return z of the difference ``b/m - a/n`` with the pooled variance, and its two-sided p-value.

    Nothing pooled to compare (all or none on both sides) gives z = 0 and p = 1.

    Raises:
        ValueError: Not ``0 <= a <= n``, not ``0 <= b <= m``, or an empty side.

    Source:
        The square root of Pearson's χ² of the 2 x 2 table, signed.

    >>> round(two_proportions(50, 100, 80, 200).statistic, 6)
    -1.647705
    """
    _check_shares(a, n, b, m)
    share = (a + b) / (n + m)
    spread = (share * (1 - share) * (1 / n + 1 / m)) ** 0.5
    z = 0.0 if spread == 0 else (b / m - a / n) / spread
    return Evidence(statistic=z, p_value=float(2 * special.ndtr(-abs(z))))


def fisher_exact(a: int, n: int, b: int, m: int) -> Evidence:
    """Return the difference ``b/m - a/n`` and Fisher's exact two-sided p-value: no approximation, however few rows.

    Raises:
        ValueError: As ``two_proportions``.

    Source:
        Fisher (1935): the sum over all tables with the same margins that are at most as likely, up to rounding.

    >>> round(fisher_exact(8, 10, 1, 6).p_value, 10)
    0.034965035
    """
    _check_shares(a, n, b, m)
    hits = a + b
    possible = np.arange(max(0, hits - n), min(hits, m) + 1)
    log_p = _log_choose(m, possible) + _log_choose(n, hits - possible) - _log_choose(n + m, np.asarray(hits))
    chances = np.exp(log_p)
    observed = chances[b - possible[0]]
    p = float(chances[chances <= observed * (1 + 1e-7)].sum() / chances.sum())
    return Evidence(statistic=b / m - a / n, p_value=min(p, 1.0))


def smallest_expected(a: int, n: int, b: int, m: int) -> float:
    """Return the least expected count of the 2 x 2 table: below 5, take ``fisher_exact``.

    >>> smallest_expected(0, 990, 1, 10)
    0.01
    """
    hits = a + b
    return min(n, m) * min(hits, n + m - hits) / (n + m)


def benjamini_hochberg(p_values: ArrayLike) -> NDArray[np.float64]:
    """Return adjusted p-values in the given order: those at most q are a set with a false discovery rate of at most q.

    Raises:
        ValueError: Not one-dimensional, or not all between 0 and 1.

    Source:
        Benjamini and Hochberg (1995), step-up.

    >>> benjamini_hochberg([.001, .008, .039, .041, .042, .06, .074, .205]).round(5).tolist()
    [0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.08457, 0.205]
    """
    p = np.asarray(p_values, dtype=np.float64)
    if p.ndim != 1 or not ((p >= 0) & (p <= 1)).all():
        raise ValueError("p-values must be one row of numbers between 0 and 1")
    return np.asarray(evidence.benjamini_hochberg(p.tolist()), dtype=np.float64)


def wilson_interval(hits: int, rows: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the lower and upper bound of a share, both between 0 and 1.

    Raises:
        ValueError: Not ``0 <= hits <= rows`` with at least one row, or *level* not between 0 and 1.

    Source:
        Wilson (1927), the score interval without continuity correction.

    >>> [round(bound, 10) for bound in wilson_interval(8, 10)]
    [0.4901624715, 0.9433178485]
    """
    _check_shares(hits, rows, 0, 1)
    if not 0 < level < 1:
        raise ValueError(f"level must be between 0 and 1, got {level}")
    z = float(special.ndtri(0.5 + level / 2))
    share, per_row = hits / rows, z * z / rows
    middle = (share + per_row / 2) / (1 + per_row)
    reach = z * ((share * (1 - share) + per_row / 4) / rows) ** 0.5 / (1 + per_row)
    return (0.0 if hits == 0 else middle - reach), (1.0 if hits == rows else middle + reach)


def newcombe_interval(a: int, n: int, b: int, m: int, *, level: float = 0.95) -> tuple[float, float]:
    """Return the lower and upper bound of the difference of shares ``b/m - a/n``, both between -1 and 1.

    Raises:
        ValueError: As ``two_proportions`` and ``wilson_interval``.

    Source:
        Newcombe (1998), method 10: the two Wilson intervals, squared and added.

    >>> [round(bound, 4) for bound in newcombe_interval(48, 80, 56, 70)]
    [0.0524, 0.3339]
    """
    _check_shares(a, n, b, m)
    low_a, high_a = wilson_interval(a, n, level=level)
    low_b, high_b = wilson_interval(b, m, level=level)
    share_a, share_b = a / n, b / m
    down = ((share_b - low_b) ** 2 + (high_a - share_a) ** 2) ** 0.5
    up = ((high_b - share_b) ** 2 + (share_a - low_a) ** 2) ** 0.5
    return share_b - share_a - down, share_b - share_a + up


def _sample(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    if sample.size == 0 or np.isnan(sample[-1]):
        raise ValueError("a sample must have at least one value and no NaN")
    return sample


def _check_shares(a: int, n: int, b: int, m: int) -> None:
    if n < 1 or m < 1 or not (0 <= a <= n and 0 <= b <= m):
        raise ValueError(f"need 0 <= a <= n and 0 <= b <= m with rows on both sides, got {a}/{n} and {b}/{m}")


def _log_choose(n: int, k: NDArray[Any]) -> NDArray[np.float64]:
    return np.asarray(-np.log1p(n) - special.betaln(n - k + 1.0, k + 1.0), dtype=np.float64)
