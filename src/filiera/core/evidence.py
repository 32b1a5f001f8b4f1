"""How likely it is that two samples differ by chance: tails of distributions, in plain Python."""

from __future__ import annotations

import math
from collections.abc import Sequence

_TINY = 1e-300
_PRECISION = 1e-15
_MOST_TERMS = 100_000


def kolmogorov_tail(x: float) -> float:
    """Return the chance that √(nm/(n+m))·D of two samples of one continuous law exceeds *x*, 0 to 1.

    Source:
        Kolmogorov (1933), the limit law; its second form below 1, where the first one converges slowly.

    >>> round(kolmogorov_tail(1.358), 3)
    0.05
    """
    if x <= 0:
        return 1.0
    if x < 1:
        factor = -(math.pi**2) / (8 * x * x)
        below = math.sqrt(2 * math.pi) / x * sum(math.exp(factor * (2 * k - 1) ** 2) for k in range(1, 20))
        return min(1.0, max(0.0, 1 - below))
    return min(1.0, 2 * sum((-1.0) ** (k - 1) * math.exp(-2 * (k * x) ** 2) for k in range(1, 20)))


def chi_square_tail(statistic: float, freedom: int) -> float:
    """Return the chance that a χ² variable of *freedom* degrees exceeds *statistic*; 1 without any freedom.

    Source:
        The regularised incomplete gamma function: its series below the mean, Lentz's continued fraction above (1976).

    >>> round(chi_square_tail(3.841458820694124, 1), 12)
    0.05
    """
    if freedom < 1 or statistic <= 0:
        return 1.0
    a, x = freedom / 2, float(statistic) / 2  # of NumPy, it would be no plain value
    scale = math.exp(a * math.log(x) - x - math.lgamma(a))
    if x < a + 1:
        term = total = 1 / a
        for n in range(1, _MOST_TERMS):
            term *= x / (a + n)
            total += term
            if term < total * _PRECISION:
                break
        return max(0.0, 1 - scale * total)
    b, d = x + 1 - a, 1 / (x + 1 - a)
    c, fraction = 1 / _TINY, d
    for n in range(1, _MOST_TERMS):
        step = -n * (n - a)
        b += 2
        d = 1 / _away_from_zero(step * d + b)
        c = _away_from_zero(b + step / c)
        fraction *= c * d
        if abs(c * d - 1) < _PRECISION:
            break
    return min(1.0, scale * fraction)


def _away_from_zero(value: float) -> float:
    return value if abs(value) > _TINY else _TINY


def two_proportions(a: int, n: int, b: int, m: int) -> float:
    """Return the chance of shares ``a/n`` and ``b/m`` at least so far apart when the true ones are equal.

    Source:
        The normal approximation with the pooled variance, two-sided.

    >>> round(two_proportions(50, 100, 80, 200), 6)
    0.099413
    """
    share = (a + b) / (n + m)
    spread = math.sqrt(share * (1 - share) * (1 / n + 1 / m))
    return math.erfc(abs(b / m - a / n) / spread / math.sqrt(2)) if spread else 1.0


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """Return adjusted p-values in the given order: those at most q are a set with a false discovery rate of at most q.

    Source:
        Benjamini and Hochberg (1995), step-up.

    >>> [round(p, 5) for p in benjamini_hochberg([.001, .008, .039, .041, .042, .06, .074, .205])]
    [0.008, 0.032, 0.0672, 0.0672, 0.0672, 0.08, 0.08457, 0.205]
    """
    adjusted, least = [1.0] * len(p_values), 1.0
    order = sorted(range(len(p_values)), key=lambda i: -p_values[i])
    for place, i in enumerate(order):
        least = min(least, p_values[i] * (len(order) / (len(order) - place)))  # this way not rounded below p
        adjusted[i] = least
    return adjusted
