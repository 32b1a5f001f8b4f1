"""How long a model takes for one row."""

from __future__ import annotations

import time
from typing import Any

import polars as pl

from filiera.core.metric import Metric

PREDICT_MS = "predict_ms"
_TIMED_ROWS = 200


def latency(model: Any, evaluated: pl.LazyFrame) -> Metric:
    """Return ``predict_ms``, the 95th percentile of the time one row takes; its interval is between order statistics.

    Source:
        The number of times below a quantile is binomial, whatever their law; for example Hahn and Meeker (1991),
        Statistical Intervals, 5.2.
    """
    names = [str(name) for name in getattr(model, "feature_names_in_", ())] or evaluated.collect_schema().names()
    rows = evaluated.select(names).head(_TIMED_ROWS).collect()
    model.predict(rows[:1])  # what is loaded or compiled once does not count
    times = []
    for number in range(_TIMED_ROWS):
        row = rows[number % rows.height]
        start = time.perf_counter()
        model.predict(row)
        times.append(1000 * (time.perf_counter() - start))
    times.sort()
    share, z = 0.95, 1.96
    spread = z * (_TIMED_ROWS * share * (1 - share)) ** 0.5
    low, high = (times[min(max(round(_TIMED_ROWS * share + sign * spread), 0), _TIMED_ROWS - 1)] for sign in (-1, 1))
    return Metric(
        name=PREDICT_MS,
        value=times[round(_TIMED_ROWS * share)],
        low=low,
        high=high,
        n=_TIMED_ROWS,
        method="order statistics",
        greater_is_better=False,
    )
