"""Metrics of predicted numbers, with 95 % intervals and what a dummy scores on the same rows."""

from __future__ import annotations

from typing import Any

import numpy as np

from filiera.core.digest import digest
from filiera.core.metric import Metric, Metrics
from filiera.errors import UsageError
from filiera.model.answers import Floats, check_lengths, number_array
from filiera.model.metrics import interval


def regression_metrics(truth: Any, predicted: Any, *, seed: int = 0) -> Metrics:
    """Return the mean absolute error, root mean squared error and R², with bootstrap intervals.

    The dummy always answers the mean of the true values of these rows. R² is left out, with a note, when all true
    values are equal. A bootstrap of few rows is too narrow: below about 50 rows take its ends as rough.

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
    y, answer = number_array(truth, "truth"), number_array(predicted, "predicted")
    check_lengths({"truth": len(y), "predicted": len(answer)})
    n = len(y)
    if n < 2:
        raise UsageError("One row is not enough to evaluate a regression.", why="It has no interval.")
    error, centred = y - answer, y - y.mean()
    spread = float(np.square(centred).mean()) if y.min() < y.max() else 0.0
    sums = np.column_stack((np.abs(error), error**2, centred, centred**2))
    resampled = interval.resampled_means(sums, np.random.Generator(np.random.PCG64(seed)))
    values = regression_values(sums.mean(axis=0), spread)
    ends = [interval.percentile(column) for column in regression_values(resampled, spread)]
    dummy = (float(np.abs(centred).mean()), spread**0.5, 0.0)
    found = [
        Metric(
            name=name,
            value=float(values[i]),
            low=ends[i][0],
            high=ends[i][1],
            n=n,
            method="bootstrap",
            greater_is_better=name == "r2",
            baseline=dummy[i],
        )
        for i, name in enumerate(("mae", "rmse", "r2"))
        if not np.isnan(values[i])
    ]
    notes = () if len(found) == 3 else ("R² is left out: all true values are equal.",)
    parts = (y.astype("<f8").tobytes(), answer.astype("<f8").tobytes())
    return Metrics(tuple(found), task="regression", notes=notes, evaluation=digest("evaluation/1", *parts))


def regression_values(means: Floats, spread: float) -> tuple[Floats, Floats, Floats]:
    """Return MAE, RMSE and R² from the means of |e|, e², y and y² (y centred); R² is NaN where y has no spread."""
    absolute, squared, y, y_squared = np.moveaxis(means, -1, 0)
    variance = y_squared - y**2
    usable = variance > 1e-12 * spread
    r2 = 1 - np.divide(squared, variance, out=np.full(np.shape(variance), np.nan), where=usable)
    return absolute, np.sqrt(squared), r2
