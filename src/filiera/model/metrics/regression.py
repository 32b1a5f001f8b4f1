"""Metrics of predicted numbers, with 95 % intervals and what a dummy scores on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from filiera.core.digest import digest
from filiera.core.metric import Metric, Metrics
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.model.answers import Codes, Floats, check_lengths, number_array
from filiera.model.metrics import interval
from filiera.model.metrics.estimate import Mean, Pull, mean_of, measured
from filiera.model.metrics.units import Units


def regression_metrics(truth: Any, predicted: Any, *, seed: int = 0) -> Metrics:
    """Return the mean and median absolute error, root mean squared error, mean error and R².

    The mean error is predicted - true: above 0 the model answers too much. The dummy always answers the mean of the
    true values of these rows. R² is left out, with a note, when all true values are equal.

    Args:
        truth: True values, shape ``(n,)``, n at least 2, finite.
        predicted: Values the model gave, same length and order, finite.
        seed: Of the bootstrap.

    Raises:
        UsageError: Fewer than 2 rows, lengths that differ, or values that are not finite numbers.

    >>> metrics = regression_metrics([1.0, 2.0, 3.0], [1.0, 2.0, 4.5])
    >>> metrics["mae"].value, round(metrics["r2"].value, 3)
    (0.5, -0.125)
    """
    sample = NumberSample.of(truth, predicted)
    if len(sample.truth) < 2:
        raise UsageError("One row is not enough to evaluate a regression.", why="It has no interval.")
    return sample.measure(seed)


@dataclass(frozen=True, slots=True)
class NumberSample:
    """True and predicted numbers of some rows, and which rows hang together."""

    truth: Floats
    predicted: Floats
    units: Units

    @classmethod
    def of(cls, truth: Any, predicted: Any, units: Units | None = None) -> NumberSample:
        """Return the sample of two columns. Raises UsageError."""
        y, answer = number_array(truth, "truth"), number_array(predicted, "predicted")
        check_lengths({"truth": len(y), "predicted": len(answer)})
        return cls(y, answer, Units.of_rows(len(y)) if units is None else units)

    def take(self, rows: Codes) -> NumberSample:
        """Return the sample of some rows."""
        return NumberSample(self.truth[rows], self.predicted[rows], self.units.take(rows))

    def estimates(self, notes: list[str]) -> list[Mean | Pull]:
        """Return what is to be measured, but the median; what is undefined is told in *notes*."""
        y, error = self.truth, self.predicted - self.truth
        centred = y - y.mean()
        spread = float(np.square(centred).mean()) if y.min() < y.max() else 0.0
        wanted: list[Mean | Pull] = [
            mean_of(np.abs(error), "mae", baseline=float(np.abs(centred).mean())),
            Mean(name="rmse", columns=np.column_stack((np.ones(len(y)), error**2)), of=_root, baseline=spread**0.5),
            mean_of(error, "mean_error", scale="plain", baseline=0.0),
        ]
        if not spread:
            notes.append("R² is left out: all true values are equal.")
        else:
            columns = np.column_stack((np.ones(len(y)), error**2 / spread, centred / spread**0.5, centred**2 / spread))
            gain = Mean(name="r2", columns=columns, of=_gain, scale="gain", baseline=0.0, greater_is_better=True)
            wanted.append(gain)
        return wanted

    def measure(self, seed: int) -> Metrics:
        """Return the metrics of ``regression_metrics``."""
        notes: list[str] = []
        wanted = self.estimates(notes)
        error, centred = np.abs(self.predicted - self.truth), np.abs(self.truth - self.truth.mean())
        parts = (self.truth.astype("<f8").tobytes(), self.predicted.astype("<f8").tobytes())
        found = (*measured(wanted, self.units, seed), _median(error, centred, self.units))
        return Metrics(found, task="regression", notes=tuple(notes), evaluation=digest("evaluation/1", *parts))


def regression_values(means: Floats, spread: float) -> tuple[Floats, Floats, Floats]:
    """Return MAE, RMSE and R² from the means of |e|, e², y and y² (y centred); R² is NaN where y has no spread."""
    absolute, squared, y, y_squared = np.moveaxis(means, -1, 0)
    variance = y_squared - y**2
    usable = variance > 1e-12 * spread
    r2 = 1 - np.divide(squared, variance, out=np.full(np.shape(variance), np.nan), where=usable)
    return absolute, np.sqrt(squared), r2


def _root(means: Floats) -> Floats:
    root: Floats = np.sqrt(means[..., 1] / means[..., 0])
    return root


def _gain(means: Floats) -> Floats:
    ones, squared, y, y_squared = np.moveaxis(means, -1, 0)
    variance = y_squared / ones - (y / ones) ** 2
    usable = variance > 1e-12
    lost: Floats = np.divide(squared / ones, variance, out=np.full(np.shape(variance), np.nan), where=usable)
    return 1 - lost


def _median(errors: Floats, dummy: Floats, units: Units) -> Metric:
    """Return the median absolute error; its ends are order statistics, as many rows off as the binomial law says."""
    low, high = interval.median(errors, units)
    return Metric(
        name="median_absolute_error",
        value=float(np.median(errors)),
        low=low,
        high=high,
        n=len(errors),
        method=f"order statistics, {units.told}" if units.told else "order statistics",
        greater_is_better=False,
        baseline=float(np.median(dummy)),
    )
