"""A table of eight columns of numbers, and two that are made from it."""

import polars as pl

COLUMNS = 8


def make_table(rows: int, start: int) -> pl.DataFrame:
    """Return a table of 64 bytes a row."""
    number = pl.int_range(rows)
    return pl.select(
        **{f"c{k}": ((number * (k + 1) + start) % 1_000_003).cast(pl.Float64) for k in range(COLUMNS)},
    )


def scale(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of the same size, all of it new."""
    return table.with_columns(pl.all() * 2.0 + 1.0)


def divide(table: pl.DataFrame) -> pl.DataFrame:
    """Return a table of the same size, all of it new, that had to be read twice."""
    return table.with_columns(pl.all() / pl.all().max())
