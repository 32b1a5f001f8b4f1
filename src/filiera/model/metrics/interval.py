"""Two-sided confidence intervals for metrics on independent test rows.

One rule for all: an interval never collapses because an error did not occur. The bootstrap of a perfect score has no
width, on 10 rows as on 10,000; so where a metric is made of proportions, the wider of two intervals is taken: the
bootstrap's, which knows how the parts of the metric depend on each other, and Wilson's, which knows that n is finite.
Measured on simulated classifiers, 95 % asked for: on 60 rows with 1 to 2 % errors the bootstrap alone held the true
macro F1 in 58 of 100 cases and the wider one in 99; on 60 rows of four classes 90 and 93; on 5,000 rows 94 and 94.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import ArrayLike, NDArray

from filiera.model.answers import Codes, Floats

LEVEL = 0.95
RESAMPLES = 1000
_MAX_UNITS = 10_000

Interval = tuple[float, float]


def wilson(hits: ArrayLike, n: ArrayLike, level: float = LEVEL) -> tuple[Floats, Floats]:
    """Return lower and upper ends for *hits* out of *n*, any shape; 0 to 1 where n is 0.

    Source:
        Wilson (1927), Probable inference, the law of succession, and statistical inference.

    >>> low, high = wilson(8, 10)
    >>> round(float(low), 10), round(float(high), 10)
    (0.4901624715, 0.9433178485)
    """
    z = normal_quantile(level)
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


def resampled_classes(counts: Codes, rng: np.random.Generator, resamples: int = RESAMPLES) -> NDArray[np.int64]:
    """Return correct, true and predicted rows per class of resampled test sets, shape ``(3, resamples, k)``.

    Resampling rows changes nothing but the counts of the confusion matrix, and these are multinomial: the cost does
    not depend on the number of rows.
    """
    k = len(counts)
    truth, predicted = np.nonzero(counts)
    cells = counts[truth, predicted]
    draws = rng.multinomial(int(cells.sum()), cells / cells.sum(), size=resamples).T
    result = np.zeros((3, k, resamples), dtype=np.int64)
    hit = truth == predicted
    result[0, truth[hit]] = draws[hit]
    np.add.at(result[1], truth, draws)
    np.add.at(result[2], predicted, draws)
    return result.transpose(0, 2, 1)


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


def wider(first: Interval, second: Interval) -> Interval:
    """Return the smallest interval that holds both."""
    return min(first[0], second[0]), max(first[1], second[1])


def auc(positive: Floats, negative: Floats) -> tuple[float, Interval]:
    """Return the area under the ROC curve and its interval, from the scores of positive and negative rows.

    The interval is the wider of DeLong's on the logit scale, which follows the data's variance, and Newcombe's method
    5, which keeps a width where the area is 0 or 1.

    Source:
        DeLong, DeLong and Clarke-Pearson (1988); Newcombe (2006), Confidence intervals for an effect size measure
        based on the Mann-Whitney statistic, part 2.
    """
    m, n = len(positive), len(negative)
    over_negative, under_positive = placements(positive, negative)
    area = float(over_negative.mean())
    newcombe = _newcombe(area, m, n)
    if not 0 < area < 1 or min(m, n) < 2:
        return area, newcombe
    variance = over_negative.var(ddof=1) / m + under_positive.var(ddof=1) / n
    logit, width = np.log(area / (1 - area)), normal_quantile(LEVEL) * np.sqrt(variance) / (area * (1 - area))
    delong = tuple(float(1 / (1 + np.exp(-(logit + sign * width)))) for sign in (-1, 1))
    return area, wider((delong[0], delong[1]), newcombe)


def placements(positive: Floats, negative: Floats) -> tuple[Floats, Floats]:
    """Return for each positive row the share of negative ones below it, and for each negative one that of positive
    ones above it, ties counted half; the mean of either is the area under the ROC curve.
    """
    from scipy.stats import rankdata

    m, n = len(positive), len(negative)
    ranks = rankdata(np.concatenate((positive, negative)))
    return (ranks[:m] - rankdata(positive)) / n, 1 - (ranks[m:] - rankdata(negative)) / m


def _newcombe(area: float, m: int, n: int) -> Interval:
    """Return where the squared distance to *area* is z² times the variance that an exponential model gives there."""
    from scipy.optimize import brentq

    extra, z2 = (m + n) / 2 - 1, normal_quantile(LEVEL) ** 2

    def gap(t: float) -> float:
        variance = t * (1 - t) * (1 + extra * ((1 - t) / (2 - t) + t / (1 + t))) / (m * n)
        return float((area - t) ** 2 - z2 * variance)

    # At an area of exactly 0 or 1 the gap is 0 there too: the root that bounds the area is the other one.
    low = float(brentq(gap, 0.0, min(area, 1 - 1e-12))) if area > 0 else 0.0
    high = float(brentq(gap, max(area, 1e-12), 1.0)) if area < 1 else 1.0
    return low, high


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
