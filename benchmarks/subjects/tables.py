"""A table of eight columns of numbers, and two that are made from it; none takes more memory than it must."""

import polars as pl

COLUMNS = 8


def make_table(rows: int, start: int) -> pl.DataFrame:
    """Return a table of 64 bytes a row."""
    numbers = pl.select(number=pl.int_range(start, start + rows, dtype=pl.Int32)).lazy()
    columns = {f"c{k}": (pl.col("number") * (k + 1) % 1_000_003).cast(pl.Float64) for k in range(COLUMNS)}
    return numbers.select(**columns).collect(engine="streaming")


def scale(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of the same size, all of it new."""
    return table.with_columns(pl.all() * 2.0 + 1.0)


def divide(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of the same size, all of it new, that had to be read twice."""
    return table.with_columns(pl.all() / pl.all().max())
