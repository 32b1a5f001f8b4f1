"""From what is measured to a metric with its interval: two ways, for all tasks.

A *mean* is a smooth function of sums over the rows, such as an error or a ratio of errors. Its interval is the
studentised bootstrap's: units are drawn with replacement, the function and its standard error are computed again, and
the quantiles of the resampled t take the place of those of the normal law. A *pull* is any other metric of which is
known how far each row pulls it up or down: its interval is that of Student's t around it. Both are made on a scale
where the law is nearer to symmetric (the log of an error, the logit of a share) and so end inside what is possible.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from filiera.core.metric import Metric
from filiera.core.value import dataclass
from filiera.model.answers import Floats
from filiera.model.metrics.interval import LEVEL, Interval, wider
from filiera.model.metrics.units import Units

RESAMPLES = 1000
_STEP = 1e-5
_FAR = 1e6

Scale = Literal["share", "loss", "correlation", "gain", "plain"]
"""What values are possible: 0 to 1; 0 or more; -1 to 1; 1 or less; any."""


class _Law(NamedTuple):
    to: Callable[[Any], Any]
    slope: Callable[[Any], Any]
    back: Callable[[Any], Any]
    least: float
    most: float


def _unlogit(y: Any) -> Any:
    return 1 / (1 + np.exp(-y))


_LAWS: Mapping[Scale, _Law] = {
    "share": _Law(lambda x: np.log(x / (1 - x)), lambda x: 1 / (x * (1 - x)), _unlogit, 0.0, 1.0),
    "loss": _Law(np.log, lambda x: 1 / x, np.exp, 0.0, np.inf),
    "correlation": _Law(np.arctanh, lambda x: 1 / (1 - x * x), np.tanh, -1.0, 1.0),
    "gain": _Law(lambda x: -np.log(1 - x), lambda x: 1 / (1 - x), lambda y: 1 - np.exp(-y), -np.inf, 1.0),
    "plain": _Law(lambda x: x, np.ones_like, lambda y: y, -np.inf, np.inf),
}


@dataclass(frozen=True, kw_only=True, slots=True)
class Mean:
    """A smooth function of means of columns.

    *of* takes means, shape ``(…, q)``, and returns the metric, shape ``(…)``. With clusters the means are over
    clusters, so it must not depend on the scale that the columns have in common: a mean over rows is the ratio of a
    column to one of ones.
    """

    name: str
    columns: Floats  #: shape ``(n, q)``
    of: Callable[[Floats], Floats]
    scale: Scale = "loss"
    baseline: float | None = None
    greater_is_better: bool = False


@dataclass(frozen=True, kw_only=True, slots=True)
class Pull:
    """A value and how far each row pulls it: its influence, of mean 0."""

    name: str
    value: float
    pulls: Floats  #: shape ``(n,)``
    scale: Scale = "share"
    baseline: float | None = None
    greater_is_better: bool = True
    within: Interval | None = None  #: an interval that must lie within, which knows that n is finite
    method: str = "linearised"
    is_exact: bool = False  #: *within* is the interval, whatever the pulls say


def mean_of(values: Floats, name: str, *, baseline: float | None = None, scale: Scale = "loss") -> Mean:
    """Return the mean of *values*, shape ``(n,)``, as something to be measured: a loss, or what *scale* says."""
    columns = np.column_stack((np.ones(len(values)), values))
    return Mean(name=name, columns=columns, of=ratio, scale=scale, baseline=baseline)


def ratio(means: Floats) -> Floats:
    """Return the second of two columns over the first."""
    return np.asarray(means[..., 1] / means[..., 0])


def measured(wanted: Sequence[Mean | Pull], units: Units, seed: int) -> list[Metric]:
    """Return the metrics with their intervals at 95 %, in order.

    With one unit nothing is known of the spread: the interval is all that is possible.
    """
    found = []
    for one in wanted:
        law = _LAWS[one.scale]
        if isinstance(one, Mean):
            value, ends = studentised(one, units, seed)
            method = "bootstrap-t"
        else:
            value, ends, method = one.value, linearised(one, units), one.method
        is_known = units.count > 1 or (isinstance(one, Pull) and one.is_exact)
        low, high = ends if is_known else (law.least, law.most)
        found.append(
            Metric(
                name=one.name,
                value=value,
                low=min(low, value),
                high=max(high, value),
                n=len(units.members),
                method=f"{method}, {units.told}" if units.told else method,
                greater_is_better=one.greater_is_better,
                baseline=one.baseline,
            )
        )
    return found


def pull_of(one: Mean | Pull) -> tuple[float, Floats]:
    """Return the value, and how far each row pulls it, shape ``(n,)``, of mean 0: of a mean by its slopes."""
    if isinstance(one, Pull):
        return one.value, one.pulls
    means = one.columns.mean(axis=0)
    away = one.columns - means
    steps = _STEP * np.sqrt(np.square(away).mean(axis=0))
    slopes = [_slope(one.of, means[None], column, step)[0] for column, step in enumerate(steps)]
    return float(one.of(means)), away @ np.array(slopes)


def linearised(one: Pull, units: Units) -> Interval:
    """Return the interval of a value from how far rows pull it: Student's t on its scale."""
    from scipy.special import stdtrit

    law = _LAWS[one.scale]
    ends = (one.value, one.value)
    if one.is_exact and one.within is not None:
        return wider(ends, one.within)
    variance = float(units.variance(one.pulls[:, None])[0])
    if variance > 0 and law.least < one.value < law.most:
        reach = stdtrit(units.count - 1, (1 + LEVEL) / 2) * variance**0.5 * law.slope(one.value)
        ends = tuple(float(law.back(law.to(one.value) + sign * reach)) for sign in (-1, 1))  # type: ignore[assignment]
    return ends if one.within is None else wider(ends, one.within)


def studentised(one: Mean, units: Units, seed: int) -> tuple[float, Interval]:
    """Return a function of means and its interval by the bootstrap-t.

    Source:
        Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 12; errors by the delta method.
    """
    value = float(one.of(one.columns.mean(axis=0)))
    law, columns = _LAWS[one.scale], units.bounded(one.columns, seed)
    error = _errors(one.of, columns, np.ones((1, len(columns))))[1][0]
    if not (error > 0 and law.least < value < law.most):
        return value, (value, value)
    again, errors = _errors(one.of, columns, _draws(len(columns), seed))
    inside = (again > law.least) & (again < law.most) & (errors > 0)
    t = np.where(again > value, _FAR, -_FAR)
    here = again[inside]
    t[inside] = (law.to(here) - law.to(value)) / (law.slope(here) * errors[inside])
    least, most = np.quantile(t[~np.isnan(again)], [(1 - LEVEL) / 2, (1 + LEVEL) / 2])
    reach = law.slope(value) * error * units.inflation**0.5
    with np.errstate(over="ignore"):
        return value, (float(law.back(law.to(value) - most * reach)), float(law.back(law.to(value) - least * reach)))


@functools.lru_cache(maxsize=2)
def _draws(count: int, seed: int) -> Floats:
    """Return how often each unit is drawn in each resample, shape ``(RESAMPLES, count)``."""
    rng = np.random.Generator(np.random.PCG64(seed))
    drawn = rng.integers(0, count, size=(RESAMPLES, count))
    drawn += np.arange(RESAMPLES)[:, None] * count
    return np.bincount(drawn.ravel(), minlength=RESAMPLES * count).reshape(RESAMPLES, count).astype(np.float64)


def _errors(of: Callable[[Floats], Floats], columns: Floats, draws: Floats) -> tuple[Floats, Floats]:
    """Return the function of each resample's means and its standard error, both of shape ``(resamples,)``."""
    count, q = columns.shape
    centre = columns.mean(axis=0)
    away = columns - centre
    means = draws @ away / count
    pairs = [(i, j) for i in range(q) for j in range(i, q)]
    products = draws @ np.stack([away[:, i] * away[:, j] for i, j in pairs], axis=1) / count
    sizes = np.sqrt(np.square(away).mean(axis=0))
    with np.errstate(divide="ignore", invalid="ignore"):
        slopes = [_slope(of, means + centre, i, _STEP * sizes[i]) for i in range(q)]
        variance = np.zeros(len(draws))
        for (i, j), product in zip(pairs, products.T, strict=True):
            covariance = product - means[:, i] * means[:, j]
            variance += (1 if i == j else 2) * slopes[i] * slopes[j] * covariance
        return of(means + centre), np.sqrt(np.maximum(variance, 0) / (count - 1))


def _slope(of: Callable[[Floats], Floats], means: Floats, column: int, step: float) -> Floats:
    if not step:
        return np.zeros(len(means))
    ahead, behind = means.copy(), means.copy()
    ahead[:, column] += step
    behind[:, column] -= step
    return (of(ahead) - of(behind)) / (2 * step)
