"""What a day of processor use says about a machine."""

import numpy as np
import polars as pl

SAMPLES = [f"t{number:03}" for number in range(288)]
"""Use in percent, every five minutes of a day."""
KNOWN = 216
"""The first 18 hours describe a machine; the last 6 are what the description should be good for."""
FEATURES = ("level", "variability", "peak", "rhythm", "burstiness")
LATER = "later_spread"


def described(raw: pl.DataFrame) -> pl.DataFrame:
    """Return a row per machine and day: five features of the first 18 hours, 24 means, and the spread of the last 6.

    ``level`` is the mean use and ``variability`` its standard deviation, ``peak`` how far the 95th percentile lies
    above the median (all as log(1 + percent)); ``rhythm`` is the standard deviation of the 18 hourly means and
    ``burstiness`` the mean step from one sample to the next, both as shares of 1 + the mean. ``later_spread`` is the
    standard deviation over the last 6 hours, in percent; ``hour_00`` to ``hour_23`` are means, in percent.
    """
    use = raw.select(SAMPLES).to_numpy().astype(np.float64)
    known, hours = use[:, :KNOWN], use.reshape(len(use), 24, 12).mean(axis=2)
    mean = known.mean(axis=1)
    columns = {
        "level": np.log1p(mean),
        "variability": np.log1p(known.std(axis=1)),
        "peak": np.log1p(np.quantile(known, 0.95, axis=1) - np.median(known, axis=1)),
        "rhythm": hours[:, : KNOWN // 12].std(axis=1) / (1 + mean),
        "burstiness": np.abs(np.diff(known, axis=1)).mean(axis=1) / (1 + mean),
        LATER: use[:, KNOWN:].std(axis=1),
        **{f"hour_{number:02}": hours[:, number] for number in range(24)},
    }
    day = pl.col("vm").str.slice(0, 8).str.to_date("%Y%m%d").alias("day")
    return raw.select("vm", day).hstack(pl.DataFrame(columns))
