"""How much better forecasts are than simpler ones for the same times."""

import numpy as np
import polars as pl

from filiera.core.metric import Metric

RESAMPLES = 2000


def skill(rows: pl.DataFrame, *, seed: int = 0) -> Metric:
    """Return the share of the mean absolute error of "naive" that "predicted" saves: 1 is perfect, 0 is no better.

    Both are judged on the same rows, and the interval is a bootstrap of whole weeks: errors of neighbouring hours go
    together, so that an hour is no independent observation.

    Args:
        rows: Columns "truth", "predicted", "naive", and "week", whose equal values hang together; two weeks or more.
        seed: Of the bootstrap.

    Source:
        Murphy (1988), Skill scores based on the mean square error and their relationships to the correlation
        coefficient; here of absolute errors. Efron and Tibshirani (1993), chapter 6: the percentile bootstrap.
    """
    away = {name: (pl.col(name) - pl.col("truth")).abs().sum() for name in ("predicted", "naive")}
    weeks = rows.group_by("week", maintain_order=True).agg(**away).select("predicted", "naive").to_numpy()
    drawn = np.random.default_rng(seed).integers(0, len(weeks), size=(RESAMPLES, len(weeks)))
    own, naive = np.moveaxis(weeks[drawn].sum(axis=1), -1, 0)
    low, high = np.quantile(1 - own / naive, [0.025, 0.975])
    value = 1 - weeks[:, 0].sum() / weeks[:, 1].sum()
    how = f"bootstrap, {len(weeks)} weeks"
    return Metric(name="skill", value=value, low=low, high=high, n=rows.height, method=how, baseline=0.0)
