"""Metrics of forecasts, with 95 % intervals over blocks of time and what repeating the last season scores."""

from __future__ import annotations

import dataclasses
import math

import numpy as np
from numpy.typing import ArrayLike

from filiera.core.digest import digest
from filiera.core.metric import Metrics
from filiera.core.value import dataclass
from filiera.model.answers import Codes, Floats
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import Mean, Pull, mean_of, measured, ratio
from filiera.model.metrics.units import Units

_FEWEST_BLOCKS = 5
_MOST_ALIKE = 0.95
_LEAST_LEFT = 0.2


def time_blocks(times: Codes, errors: Floats) -> Units:
    """Return blocks of consecutive times, the longer the more errors of neighbouring times go together.

    Where they do not, each time is a block; there are at least 5. What blocks still have in common makes their variance
    too small by a factor that is known for a process of order 1; ``inflation`` makes up for it. All series are in the
    same blocks: what hits them at once is not counted often.

    Args:
        times: Number of each row's time, in order, 0 to T - 1, shape ``(n,)``.
        errors: Error of each row.

    Source:
        Carlstein (1986), the length of blocks that do not overlap for a process of order 1; Marriott and Pope (1954),
        how much too small its correlation is found.
    """
    count = int(times.max()) + 1
    alike = max(_alike(times, np.abs(errors), count), _alike(times, np.square(errors), count))
    length = math.ceil((2 * alike / (1 - alike**2)) ** (2 / 3) * count ** (1 / 3)) or 1
    blocks = max(count // length, min(_FEWEST_BLOCKS, count))
    told = f"{blocks:,} blocks of about {count / blocks:.3g} times"
    members = np.unique(times * blocks // count, return_inverse=True)[1]
    return Units(members.astype(np.int64), blocks, "blocks", told, 1 / _left(alike, count / blocks))


def _alike(times: Codes, sizes: Floats, count: int) -> float:
    """Return how much the mean sizes of neighbouring times correlate, 0 where they do not."""
    level = np.bincount(times, sizes, minlength=count) / np.maximum(np.bincount(times, minlength=count), 1)
    away = level - level.mean()
    spread = float(away @ away)
    found = float(away[1:] @ away[:-1]) / spread if spread > 0 else 0.0
    return min(found + (1 + 4 * found) / count, _MOST_ALIKE) if found > 0 else 0.0


def _left(alike: float, length: float) -> float:
    """Return which share of the variance of a mean over all times blocks of this *length* show."""
    if length <= 1:
        return 1.0
    return float(max(1 - 2 * alike * (1 - alike**length) / (length * (1 - alike**2)), _LEAST_LEFT))


@dataclass(frozen=True, slots=True)
class ForecastSample:
    """Forecasts of some rows, what came true, what a season ago was, and how large errors were in the past."""

    truth: Floats
    predicted: Floats
    quantiles: Floats  #: predicted quantiles, shape ``(n, q)``
    levels: tuple[float, ...]  #: of these, ascending, above 0 and below 1
    series: Codes  #: which series each row is of
    naive: Floats  #: forecast by repeating the last season; NaN where no past is known
    past: Floats  #: mean absolute and mean squared difference of a season in each row's past, ``(n, 2)``; NaN as above
    units: Units

    def hanging(self, units: Units) -> ForecastSample:
        """Return the same rows in clusters instead of blocks, if there are any."""
        return self if units.kind == "rows" else dataclasses.replace(self, units=units)

    def take(self, rows: Codes) -> ForecastSample:
        """Return the sample of some rows."""
        columns = (self.truth[rows], self.predicted[rows], self.quantiles[rows], self.levels)
        series = np.unique(self.series[rows], return_inverse=True)[1]
        return ForecastSample(*columns, series, self.naive[rows], self.past[rows], self.units.take(rows))

    def measure(self, seed: int) -> Metrics:
        """Return mean absolute and root mean squared error, sMAPE, MASE, RMSSE, pinball loss, and interval coverage.

        sMAPE is in percent, 0 to 200. MASE and RMSSE are means over series; those without a past that moved are left
        out, and a note says how many.

        Source:
            Hyndman and Koehler (2006), MASE; Makridakis, Spiliotis and Assimakopoulos (2020, 2022), the sMAPE of M4 and
            the RMSSE of M5; Koenker and Bassett (1978), pinball loss.
        """
        notes: list[str] = []
        wanted = self.estimates(notes)
        parts = [each.astype("<f8").tobytes() for each in (self.truth, self.predicted, self.quantiles)]
        found = tuple(measured(wanted, self.units, seed))
        return Metrics(found, task="forecasting", notes=tuple(notes), evaluation=digest("evaluation/1", *parts))

    def estimates(self, notes: list[str]) -> list[Mean | Pull]:
        """Return what is to be measured; what is undefined is told in *notes*."""
        truth, error = self.truth, self.predicted - self.truth
        dummies = self._dummies()
        wanted: list[Mean | Pull] = [
            mean_of(np.abs(error), "mae", baseline=dummies.get("mae")),
            Mean(
                name="rmse",
                columns=np.column_stack((np.ones(len(truth)), error**2)),
                of=lambda means: np.sqrt(ratio(means)),
                baseline=dummies.get("rmse"),
            ),
            mean_of(smape(truth, self.predicted), "smape", baseline=dummies.get("smape")),
        ]
        scaled, left_out = self._scaled(dummies)
        notes += left_out
        return [*wanted, *scaled, *self._of_quantiles(dummies)]

    def _dummies(self) -> dict[str, float]:
        if np.isnan(self.naive).any():
            return {}
        error, levels = self.naive - self.truth, self.levels or (0.5,)
        return {
            "mae": float(np.abs(error).mean()),
            "rmse": float(np.sqrt(np.square(error).mean())),
            "smape": float(smape(self.truth, self.naive).mean()),
            "pinball": float(np.mean([pinball(self.truth, self.naive, level).mean() for level in levels])),
        }

    def _scaled(self, dummies: dict[str, float]) -> tuple[list[Mean | Pull], list[str]]:
        """Return the errors in units of those of the past, and notes."""
        known = np.asarray((self.past > 0).all(axis=1))
        left_out = len(np.unique(self.series[~known]))
        notes = [f"MASE and RMSSE are without {left_out:,} series whose past is unknown or never changes."]
        if not known.any():
            return [], ["MASE and RMSSE are left out: no past is known that changes."]
        count = np.bincount(self.series[known], minlength=int(self.series.max()) + 1)
        # Each series counts once: rows weigh as many as there are in the mean series.
        weights = np.where(known, known.sum() / max((count > 0).sum(), 1) / np.maximum(count[self.series], 1), 0.0)
        absolute, squared = np.where(known[:, None], self.past, 1.0).T

        def errors(answers: Floats) -> tuple[Floats, Floats, Floats]:
            away = answers - self.truth
            sums = np.bincount(self.series, np.where(known, away**2 / squared, 0.0), minlength=len(count))
            return np.abs(away) / absolute, away**2 / squared, np.sqrt(sums / np.maximum(count, 1))

        mase, squares, roots = errors(self.predicted)
        dummy = errors(self.naive) if dummies else None
        scaled = Mean(
            name="mase",
            columns=np.column_stack((known.astype(np.float64), weights * mase)),
            of=ratio,
            baseline=None if dummy is None else float(weights @ dummy[0] / known.sum()),
        )
        own = roots[self.series]
        pulls = np.where(known & (own > 0), (squares - own**2) / np.where(own > 0, 2 * own, 1), 0.0)
        value = float(roots[count > 0].mean())
        root = Pull(
            name="rmsse",
            value=value,
            pulls=pulls * weights * len(self.truth) / known.sum(),
            scale="loss",
            baseline=None if dummy is None else float(dummy[2][count > 0].mean()),
            greater_is_better=False,
        )
        return [scaled, root], notes if left_out else []

    def _of_quantiles(self, dummies: dict[str, float]) -> list[Mean | Pull]:
        if not self.levels:
            return []
        losses = [
            pinball(self.truth, column, level) for column, level in zip(self.quantiles.T, self.levels, strict=True)
        ]
        found: list[Mean | Pull] = [mean_of(np.mean(losses, axis=0), "pinball", baseline=dummies.get("pinball"))]
        for i, level in enumerate(self.levels):
            other = [j for j, up in enumerate(self.levels) if math.isclose(up, 1 - level)]
            if level < 0.5 and other:
                low, high = self.quantiles[:, i], self.quantiles[:, other[0]]
                share = f"{100 * (1 - 2 * level):.3g}"
                found.append(_coverage(f"coverage_{share}", (low <= self.truth) & (self.truth <= high), self.units))
                found.append(mean_of(high - low, f"width_{share}", scale="plain"))
        return found


def smape(truth: Floats, predicted: Floats) -> Floats:
    """Return the symmetric absolute error of each row in percent, 0 to 200; 0 where both are 0.

    >>> smape(np.array([100.0]), np.array([120.0])).round(4).tolist()
    [18.1818]
    """
    size = np.abs(truth) + np.abs(predicted)
    return np.asarray(np.divide(200 * np.abs(predicted - truth), size, out=np.zeros(len(truth)), where=size > 0))


def pinball(truth: Floats, predicted: Floats, level: float) -> Floats:
    """Return the loss of each row of a quantile at *level*: too low costs *level*, too high the rest.

    >>> pinball(np.array([10.0, 10.0]), np.array([8.0, 12.0]), 0.9).round(4).tolist()
    [1.8, 0.2]
    """
    away = truth - predicted
    return np.asarray(np.maximum(level * away, (level - 1) * away))


def season_ago(past: ArrayLike, season: int, ahead: int) -> Floats:
    """Return the last *season* of *past*, repeated for *ahead* times; NaN where it is shorter.

    >>> season_ago([1, 2, 3, 4], season=2, ahead=3).tolist()
    [3.0, 4.0, 3.0]
    """
    values = np.asarray(past, dtype=np.float64)
    if len(values) < season:
        return np.full(ahead, np.nan)
    last: Floats = values[-season:]
    return last[np.arange(ahead) % season]


def past_errors(past: ArrayLike, season: int) -> tuple[float, float]:
    """Return the mean absolute and the mean squared difference of values a season apart; NaN where there are none.

    >>> past_errors([1, 3, 2], season=1)
    (1.5, 2.5)
    """
    values = np.asarray(past, dtype=np.float64)
    if len(values) <= season:
        return math.nan, math.nan
    away = values[season:] - values[:-season]
    return float(np.abs(away).mean()), float(np.square(away).mean())


def _coverage(name: str, inside: np.ndarray[tuple[int], np.dtype[np.bool_]], units: Units) -> Pull:
    hits = inside.astype(np.float64)
    value = float(hits.mean())
    rows = float(units.effective(hits[:, None], np.ones((len(hits), 1)))[0])
    low, high = interval.wilson(value * rows, rows, interval.quantile(units))
    within = (float(low), float(high))
    return Pull(name=name, value=value, pulls=hits - value, within=within, method="wilson", is_exact=True)
