"""Two-sided confidence intervals for shares, areas and medians, which no lack of errors makes collapse.

A perfect score has no spread, on 10 rows as on 10,000; what is known of it comes from n alone. So metrics that are made
of shares take the wider of two intervals: one that follows the spread of the rows, and one made of Wilson's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import ArrayLike

from filiera.model.answers import Floats
from filiera.model.metrics.units import Units

LEVEL = 0.95
RESAMPLES = 1000
_MAX_UNITS = 10_000

Interval = tuple[float, float]


def wilson(hits: ArrayLike, n: ArrayLike, z: float | None = None) -> tuple[Floats, Floats]:
    """Return lower and upper ends for *hits* out of *n*, any shape; 0 to 1 where n is 0.

    *z* is how many standard errors they are away, that of ``LEVEL`` by the normal law if None.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> low, high = wilson(8, 10)
    >>> round(float(low), 10), round(float(high), 10)
    (0.4901624715, 0.9433178485)
    """
    z = normal_quantile() if z is None else z
    x, rows = np.asarray(hits, dtype=np.float64), np.asarray(n, dtype=np.float64)
    centre = x + z * z / 2
    spread = z * np.sqrt(np.divide(x * (rows - x), rows, out=np.zeros_like(x), where=rows > 0) + z * z / 4)
    low, high = (centre - spread) / (rows + z * z), (centre + spread) / (rows + z * z)
    return np.where(x == 0, 0.0, low), np.where(x == rows, 1.0, high)


def mean_of_shares(values: Floats, ends: tuple[Floats, Floats], inflation: float = 1.0) -> Interval:
    """Return the interval of the mean of *values*, shape ``(k,)``, from their own intervals *ends*.

    *inflation* multiplies the variance: 1 for independent parts, 2 where two parts always err together.

    Source:
        Zou and Donner (2008), Construction of confidence limits about effect measures (MOVER).
    """
    low, high = ends
    down, up = (np.sqrt(inflation * np.square(values - end).sum()) / len(values) for end in (low, high))
    return float(max(0.0, values.mean() - down)), float(min(1.0, values.mean() + up))


def median(values: Floats, units: Units) -> Interval:
    """Return the interval of the median of *values*, shape ``(n,)``, all 0 or more, from their order alone.

    Rows that hang together move the ends apart as fewer rows would. Where there are too few, an end is 0 or infinity.
    """
    n, ordered = len(values), np.sort(values)
    below = (values <= np.median(values)).astype(np.float64)[:, None]
    reach = quantile(units) / 2 / np.sqrt(float(units.effective(below, np.ones((n, 1)))[0]))
    low, high = int(np.floor(n * (0.5 - reach))) - 1, int(np.ceil(n * (0.5 + reach)))
    return (float(ordered[low]) if low >= 0 else 0.0), (float(ordered[high]) if high < n else float("inf"))


def quantile(units: Units) -> float:
    """Return how many standard errors an interval reaches: Student's where clusters are few."""
    from scipy.special import stdtrit

    return normal_quantile() if units.kind == "rows" else float(stdtrit(max(units.count - 1, 1), (1 + LEVEL) / 2))


def wider(first: Interval, second: Interval) -> Interval:
    """Return the smallest interval that holds both."""
    return min(first[0], second[0]), max(first[1], second[1])


def area_pulls(is_positive: Any, score: Floats) -> tuple[float, Floats]:
    """Return the area under the ROC curve, and how far each row pulls it, shape ``(n,)``.

    Source:
        The structural components of DeLong, DeLong and Clarke-Pearson (1988); over clusters as Obuchowski (1997).
    """
    positive, negative = score[is_positive], score[~is_positive]
    m, n = len(positive), len(negative)
    over_negative, under_positive = placements(positive, negative)
    area = float(over_negative.mean())
    pulls = np.empty(m + n)
    pulls[is_positive] = (over_negative - area) * (m + n) / m
    pulls[~is_positive] = (under_positive - area) * (m + n) / n
    return area, pulls


def newcombe_area(area: float, m: float, n: float) -> Interval:
    """Return the interval of an area from *m* positive and *n* negative rows alone, which has a width at 0 and 1 too.

    Its ends are where the squared distance to *area* is z² times the variance that an exponential model gives there.

    Source:
        Newcombe (2006), Confidence intervals for an effect size measure based on the Mann-Whitney statistic, part 2.
    """
    from scipy.optimize import brentq

    extra, z2 = (m + n) / 2 - 1, normal_quantile() ** 2

    def gap(t: float) -> float:
        variance = t * (1 - t) * (1 + extra * ((1 - t) / (2 - t) + t / (1 + t))) / (m * n)
        return float((area - t) ** 2 - z2 * variance)

    # At an area of exactly 0 or 1 the gap is 0 there too: the root that bounds the area is the other one.
    low = float(brentq(gap, 0.0, min(area, 1 - 1e-12))) if area > 0 else 0.0
    high = float(brentq(gap, max(area, 1e-12), 1.0)) if area < 1 else 1.0
    return low, high


def resampled_means(columns: Floats, rng: np.random.Generator) -> Floats:
    """Return the means of *columns*, shape ``(n, q)``, over resampled rows, shape ``(RESAMPLES, q)``.

    Above 10,000 rows, as many blocks of rows drawn at random are resampled in place of rows, so that the cost stays
    bounded. Rows that are independent make blocks that are.
    """
    units = _blocks(columns, rng) if len(columns) > _MAX_UNITS else columns
    n = len(units)
    return np.stack([np.bincount(rng.integers(0, n, size=n), minlength=n) @ units for _ in range(RESAMPLES)]) / n


def percentile(values: Floats, level: float = LEVEL) -> Interval:
    """Return the middle *level* of *values*, those that are NaN left out; NaN when all are."""
    defined = values[~np.isnan(values)]
    if not len(defined):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Return for each positive row the share of negative ones below it, and for each negative one that of positive
    ones above it, ties counted half; the mean of either is the area under the ROC curve.
    """
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate((positive, negative)))
    return (ranks[:m] - rankdata(positive)) / n, 1 - (ranks[m:] - rankdata(negative)) / m


def _blocks(columns: Floats, rng: np.random.Generator) -> Floats:
    """Return the means of 10,000 blocks of rows drawn at random, each weighted by its size."""
    n = len(columns)
    starts = np.linspace(0, n, _MAX_UNITS, endpoint=False).astype(np.int64)
    sums: Floats = np.add.reduceat(columns[rng.permutation(n)], starts, axis=0)
    return sums * (_MAX_UNITS / n)


def normal_quantile(level: float = LEVEL) -> float:
    """Return how many standard deviations hold the middle *level* of a normal law."""
    from scipy.special import ndtri

    return float(ndtri((1 + level) / 2))
