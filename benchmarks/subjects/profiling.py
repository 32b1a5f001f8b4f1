"""Profile a Parquet file: ``python profiling.py SUBJECT FILE``; prints seconds of the clock and of the processors."""

from __future__ import annotations

import json
import sys
import time
from typing import Any

QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)


def filiera(file: str) -> None:
    """Profile it, with the page, as ``filiera data profile FILE --html`` does."""
    import polars as pl

    from filiera.data.explore import explore
    from filiera.data.report import profile_html

    profile_html(explore(pl.scan_parquet(file), title="table"))


def hand_written(file: str) -> None:
    """Ask Polars in one plan what a data scientist asks by hand: no histograms, no lengths but the mean, no page."""
    import polars as pl

    frame = pl.scan_parquet(file)
    asked = [pl.len().alias("rows")]
    for name, dtype in frame.collect_schema().items():
        asked += [one.alias(f"{name}.{i}") for i, one in enumerate(_asked(pl.col(name), dtype, pl))]
    frame.select(asked).collect(engine="streaming")


def _asked(column: Any, dtype: Any, pl: Any) -> list[Any]:
    asked = [column.null_count(), column.n_unique()]
    if dtype.is_numeric():
        asked += [column.min(), column.max(), column.mean(), column.std(), (column == 0).sum()]
        asked += [column.quantile(q) for q in QUANTILES]
    elif dtype.is_temporal():
        asked += [column.min(), column.max()]
    if dtype == pl.String:
        asked.append(column.str.len_chars().mean())
    if dtype in (pl.String, pl.Boolean):
        asked.append(column.value_counts(sort=True).head(10).implode())
    return asked


def skrub(file: str) -> None:
    """Make skrub's report of the table, associations and plots included, as it does by default up to 30 columns."""
    import polars as pl
    from skrub import TableReport

    TableReport(pl.read_parquet(file), verbose=0).html()


def ydata(file: str) -> None:
    """Make the minimal report of ydata-profiling."""
    import pandas as pd
    from ydata_profiling import ProfileReport

    ProfileReport(pd.read_parquet(file), minimal=True, progress_bar=False).to_html()


if __name__ == "__main__":
    started, used = time.perf_counter(), time.process_time()
    globals()[sys.argv[1]](sys.argv[2])
    print(json.dumps({"clock_s": time.perf_counter() - started, "processor_s": time.process_time() - used}))
