"""How far two distributions are apart, in numbers that do not grow with the rows as p-values do.

Arguments are counts (or shares) per cell over the same cells, shape ``(k,)``, unless a docstring says otherwise.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import ArrayLike, NDArray
from scipy import special

from filiera.core.evidence import chi_square_tail
from filiera.monitoring.statistics import Evidence, checked_counts, chi_square


def population_stability_index(reference: ArrayLike, current: ArrayLike) -> Evidence:
    """Return the PSI in nats, from counts with ½ row added to each cell, and its p-value.

    Without change the index is about (1/n + 1/m)·χ² with k - 1 degrees of freedom: with 20 bins and 200 live rows, 38 %
    of unchanged windows exceed the folk threshold 0.1. So read the p-value, not the bare index.

    Raises:
        ValueError: As ``checked_counts``.

    Source:
        Σ (p - q)·ln(p/q), Jeffreys (1946); the null law from Yurdakul (2018), formula 5.2.

    >>> round(population_stability_index([5e9, 3e9, 2e9], [4e9, 4e9, 2e9]).statistic, 8)
    0.05108256
    """
    a, b = checked_counts(reference, current)
    n, m, cells = a.sum(), b.sum(), a.size
    p, q = (a + 0.5) / (n + 0.5 * cells), (b + 0.5) / (m + 0.5 * cells)
    index = float(((p - q) * np.log(p / q)).sum())
    return Evidence(statistic=index, p_value=chi_square_tail(index / (1 / n + 1 / m), cells - 1))


def kullback_leibler(reference: ArrayLike, current: ArrayLike) -> float:
    """Return KL(reference ‖ current) in nats: 0 is equal, infinite when a cell of the reference is empty now.

    >>> round(kullback_leibler([.5, .3, .2], [.4, .4, .2]), 10)
    0.0252671539
    """
    p, q = _shares(reference, current)
    return float(special.rel_entr(p, q).sum())


def jensen_shannon_distance(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the square root of the Jensen-Shannon divergence to base 2: 0 is equal, 1 is no cell in common.

    Source:
        Lin (1991). Tools that use natural logarithms give 0.8326 times this.

    >>> round(jensen_shannon_distance([.5, .3, .2], [.4, .4, .2]), 10)
    0.0958432338
    """
    p, q = _shares(reference, current)
    middle = (p + q) / 2
    divergence = (special.rel_entr(p, middle).sum() + special.rel_entr(q, middle).sum()) / 2
    return math.sqrt(min(1.0, max(0.0, float(divergence) / math.log(2))))


def hellinger(reference: ArrayLike, current: ArrayLike) -> float:
    """Return √(1 - Σ√(pq)): 0 is equal, 1 is no cell in common.

    >>> round(hellinger([.5, .3, .2], [.4, .4, .2]), 10)
    0.0798513806
    """
    p, q = _shares(reference, current)
    # Half the squared distance of the roots equals 1 - Σ√(pq) and keeps its digits when p and q are close.
    return min(1.0, float(np.sqrt(((np.sqrt(p) - np.sqrt(q)) ** 2).sum() / 2)))


def total_variation(reference: ArrayLike, current: ArrayLike) -> float:
    """Return ½·Σ|p - q|: the share of rows that would have to change cells to undo the difference, 0 to 1.

    >>> round(total_variation([.5, .3, .2], [.4, .4, .2]), 10)
    0.1
    """
    p, q = _shares(reference, current)
    return min(1.0, float(np.abs(p - q).sum() / 2))


def l_infinity(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the greatest change of a cell's share, 0 to 1.

    >>> round(l_infinity([.5, .3, .2], [.4, .4, .2]), 10)
    0.1
    """
    p, q = _shares(reference, current)
    return float(np.abs(p - q).max())


def wasserstein(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the area between two empirical distribution functions, ∫|F - G| dx, in units of the values.

    Args:
        reference: Sample of finite numbers, shape ``(n,)``.
        current: Sample of finite numbers, shape ``(m,)``.

    Raises:
        ValueError: A sample is empty or has a number that is not finite.

    >>> wasserstein([0, 1, 2, 3, 4], [1, 2, 3, 4, 10])
    2.0
    """
    x, y = _finite_sample(reference), _finite_sample(current)
    places = np.sort(np.concatenate([x, y]))
    below_x = np.searchsorted(x, places[:-1], side="right")
    below_y = np.searchsorted(y, places[:-1], side="right")
    apart = np.abs(below_x * y.size - below_y * x.size)
    return float((apart * np.diff(places)).sum() / (x.size * y.size))


def wasserstein_normalised(reference: ArrayLike, current: ArrayLike) -> float:
    """Return the Wasserstein distance in population standard deviations of the reference.

    A reference of one value has none: then 0 when nothing moved, else infinite.

    Raises:
        ValueError: As ``wasserstein``.

    >>> round(wasserstein_normalised([0, 1, 2, 3, 4], [1, 2, 3, 4, 10]), 10)
    1.4142135624
    """
    distance = wasserstein(reference, current)
    spread = float(np.std(np.asarray(reference, dtype=np.float64)))
    if spread > 0:
        return distance / spread
    return 0.0 if distance == 0 else math.inf


def cramers_v(reference: ArrayLike, current: ArrayLike, *, corrected: bool = True) -> float:
    """Return Cramér's V of the 2 x k table, 0 to 1; 0 with a single cell.

    It shrinks when the two sides have unequal numbers of rows, so two windows of different size do not compare:
    ``total_variation`` does not have this fault.

    Args:
        reference: Rows per category.
        current: Rows per category, same categories.
        corrected: Take off what chance alone contributes.

    Raises:
        ValueError: As ``checked_counts``.

    Source:
        Cramér (1946); the correction from Bergsma (2013).

    >>> round(cramers_v([50, 30, 20], [80, 80, 40], corrected=False), 10)
    0.1057771771
    >>> round(cramers_v([50, 30, 20], [80, 80, 40]), 10)
    0.0671933638
    """
    a, b = checked_counts(reference, current)
    cells, total = int(np.count_nonzero(a + b)), float(a.sum() + b.sum())
    phi2 = chi_square(a, b).statistic / total
    if not corrected or total <= 2 or cells < 2:
        return min(1.0, math.sqrt(phi2)) if cells > 1 else 0.0
    phi2 = max(0.0, phi2 - (cells - 1) / (total - 1))
    sides = [size - (size - 1) ** 2 / (total - 1) for size in (2, cells)]
    freedom = min(sides) - 1
    return min(1.0, math.sqrt(phi2 / freedom)) if freedom > 0 else 0.0


def _shares(reference: ArrayLike, current: ArrayLike) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    a, b = checked_counts(reference, current)
    return a / a.sum(), b / b.sum()


def _finite_sample(values: ArrayLike) -> NDArray[np.float64]:
    sample = np.sort(np.asarray(values, dtype=np.float64), axis=None)
    if sample.size == 0 or not np.isfinite(sample).all():
        raise ValueError("a sample must have at least one value, all finite")
    return sample
