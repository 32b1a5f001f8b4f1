"""Additive exponential smoothing with trend and season (Holt and Winters), on one series."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from filiera.core.value import dataclass
from filiera.model.conformal import error_quantiles

Floats = NDArray[np.float64]
_DIGITS = 4
"""Weights are rounded to so many, so that the last bits of a search, which machines differ in, leave no trace."""
_MOST = 0.9999
_DAMPED = (0.8, 0.98)
_STRETCHES = 10
"""Errors of so many steps ahead are looked at while the series has at least so many stretches of that length."""
_STEPS = 24
_FARTHEST = 100_000
"""Steps ahead after which the errors grow no more."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Smoothed:
    """Where a series stood at its end, and what was forecast one step ahead before."""

    fitted: Floats  #: forecasts of one step ahead, shape ``(n,)``
    season: Floats  #: what is added at place k of the series: ``season[k % period]``
    level: float = 0.0
    slope: float = 0.0
    damping: float = 1.0  #: what is left of the slope after each step
    weights: tuple[float, float, float]  #: of level, slope and season, the last at most 1 less the first
    away: Floats  #: truth - forecast at each level, of 1, 2, … steps ahead, shape ``(steps, levels)``

    def at(self, places: NDArray[np.int64], period: int) -> Floats:
        """Return the forecasts for *places* of the series, from 0."""
        count = len(self.fitted)
        steps = np.maximum(places - count + 1, 0)
        far = self.level + self.slope * _slopes(steps, self.damping) + self.season[places % period]
        return np.asarray(np.where(places < count, self.fitted[np.minimum(places, count - 1)], far))

    def away_at(self, places: NDArray[np.int64], period: int) -> Floats:
        """Return how far off the forecasts for *places* may be at each level, shape ``(n, levels)``.

        Farther ahead than errors were looked at they grow as the smoothing says they do.
        """
        steps = np.clip(places - len(self.fitted) + 1, 1, _FARTHEST)
        near = np.minimum(steps, len(self.away))
        growth = _growth(self, period, max(int(steps.max(initial=1)), len(self.away)))
        return np.asarray(self.away[near - 1] * (growth[steps - 1] / growth[near - 1])[:, None])

    def measured(self, values: Floats, period: int, levels: Sequence[float]) -> Smoothed:
        """Return the same with ``away``, from *values*, which it learnt from."""
        found = [error_quantiles(errors, levels) for errors in self.errors_ahead(values, period)]
        return replace(self, away=np.array(found))

    def errors_ahead(self, values: Floats, period: int) -> Iterator[Floats]:
        """Yield the errors of 1, 2, … steps ahead, from each place of *values* on, which it learnt from.

        An error of h steps ahead is made of the last h errors of one step ahead, each with the weight that the
        smoothing has given it meanwhile. The first season is left out: it was taken as it was.

        Source:
            Hyndman, Koehler, Ord and Snyder (2008), Forecasting with exponential smoothing, section 6.3.
        """
        near = (values - self.fitted)[period:]
        steps = max(1, min(len(near) // (_STRETCHES + 1), max(2 * period, _STEPS)))
        errors = near
        for step, weight in enumerate(_answers(self, period, steps)):
            errors = near if step == 0 else errors[1:] + weight * near[:-step]
            yield errors


def _slopes(steps: NDArray[np.int64], damping: float) -> Floats:
    """Return damping + damping² + … with so many terms."""
    if damping == 1.0:
        return steps.astype(np.float64)
    return np.asarray(damping * (1 - damping**steps) / (1 - damping))


def _answers(learnt: Smoothed, period: int, steps: int) -> Floats:
    """Return how much of an error is in the forecasts 0, 1, … steps later, shape ``(steps,)``."""
    alpha, beta, gamma = learnt.weights
    later = np.arange(steps)
    found = alpha + alpha * beta * _slopes(later, learnt.damping) + gamma * (later % period == 0)
    found[0] = 1.0
    return np.asarray(found)


def _growth(learnt: Smoothed, period: int, steps: int) -> Floats:
    """Return how many times larger errors of 1, 2, … steps ahead are than those of one, were these independent."""
    return np.asarray(np.sqrt(np.square(_answers(learnt, period, steps)).cumsum()))


def smooth(values: Floats, period: int, trend: str) -> Smoothed:
    """Return *values*, shape ``(n,)``, smoothed with the weights of the least squared error of one step ahead.

    How far off its forecasts may be is not ``measured`` yet.

    Args:
        values: At least two seasons.
        period: Values in a season; 1: there is no season.
        trend: "none", "additive" or "damped".
    """
    from scipy.optimize import minimize

    has_slope, has_season = trend != "none", period > 1
    low, high = (1e-4, 0.0, 0.0, _DAMPED[0]), (_MOST, _MOST, _MOST, _DAMPED[1])
    free = [0, *([1] if has_slope else []), *([2] if has_season else []), *([3] if trend == "damped" else [])]
    fixed = [0.3, 0.0, 0.0, 1.0]

    def weights(chosen: Any) -> tuple[float, ...]:
        found = list(fixed)
        for place, value in zip(free, chosen, strict=True):
            found[place] = min(max(round(float(value), 12), low[place]), high[place])
        return tuple(found)

    def error(chosen: Any) -> float:
        return _run(values, period, weights(chosen), has_slope=has_slope)[0]

    best = [0.3, 0.05, 0.1, 0.95]
    start = [best[place] for place in free]
    found = minimize(error, start, method="L-BFGS-B", bounds=[(low[place], high[place]) for place in free])
    rounded = weights([round(float(value), _DIGITS) for value in found.x])
    return _run(values, period, rounded, has_slope=has_slope)[1]


def _run(values: Floats, period: int, weights: tuple[float, ...], *, has_slope: bool) -> tuple[float, Smoothed]:
    """Return the mean squared error of one step ahead, and where the series stands at its end."""
    alpha, beta, gamma, damping = weights
    series = values.tolist()
    first = series[:period]
    level = sum(first) / period
    slope = (sum(series[period : 2 * period]) / period - level) / period if has_slope else 0.0
    season = [value - level - slope * (place - (period - 1) / 2) for place, value in enumerate(first)]
    if period == 1:
        season = [0.0]
    level -= slope * (period + 1) / 2  # before the first value, from the middle of the first season
    fitted, squares = [], 0.0
    for place, value in enumerate(series):
        at = place % period
        ahead = level + damping * slope
        told = ahead + season[at]
        fitted.append(told)
        error = value - told
        squares += error * error
        level = ahead + alpha * error
        slope = damping * slope + alpha * beta * error
        season[at] += gamma * (1 - alpha) * error
    end = Smoothed(
        fitted=np.array(fitted),
        season=np.array(season),
        level=level,
        slope=slope,
        damping=damping,
        weights=(alpha, beta, gamma * (1 - alpha)),
        away=np.zeros((0, 0)),
    )
    return squares / len(series), end
