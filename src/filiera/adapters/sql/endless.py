"""Infinity as a time: databases have it, Arrow and Parquet have not, and no driver says so."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Any

from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


def refuse_endless(batch: pl.DataFrame, ends: Mapping[str, tuple[int, int]], database: str) -> None:
    """Refuse infinite times, which came as just any number.

    Args:
        batch: Rows that came.
        ends: For "Date" and "Datetime", the stored numbers between which values are; neither is one.
        database: Its name, for people.

    Raises:
        SourceError: There is one, at whatever depth of a column.
    """
    for column in batch:
        for times in _times(column):
            low, high = ends[times.dtype.base_type().__name__]
            stored: Any = times.to_physical().drop_nulls()
            if len(stored) and (stored.min() <= low or stored.max() >= high):
                raise SourceError(
                    f"Column {column.name!r} holds a time that no table can: infinity.",
                    why=f"{database} has that value, Arrow and Parquet have not.",
                    do=f"Say in a query what it means: query = \"SELECT …, NULLIF({column.name}, 'infinity') …\".",
                )


def _times(column: pl.Series) -> Iterator[pl.Series]:
    """Yield the dates and timestamps in a column, also those in its lists and structs."""
    import polars as pl

    if column.dtype in (pl.Date, pl.Datetime):
        yield column
    elif "Date" not in str(column.dtype):
        return
    elif isinstance(column.dtype, pl.List | pl.Array):
        yield from _times(column.explode())
    elif isinstance(column.dtype, pl.Struct):
        for part in column.struct.fields:
            yield from _times(column.struct.field(part))
