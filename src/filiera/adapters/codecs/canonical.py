"""Frames whose bytes depend on their values alone.

Equal frames get equal bytes, however they were made. Polars keeps what a computation left behind: chunk borders,
values under nulls, validity bitmaps without a null, dictionaries in the order categories were first seen.
So a frame is written in batches of a fixed number of rows, each rebuilt from its logical values. Batches are made while
they are written: no second copy of the frame exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 1 << 17
"""Rows in one Arrow record batch and one Parquet row group: part of the format, because it decides the bytes."""


def canonical(frame: pl.DataFrame) -> pl.LazyFrame:
    """Return *frame* as a source of batches with the same rows, whose buffers depend on the values alone."""
    from polars.io.plugins import register_io_source

    def batches(
        columns: list[str] | None, predicate: object, row_count: int | None, batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        for start in range(0, max(frame.height, 1), BATCH_ROWS):
            yield rebuilt(frame.slice(start, BATCH_ROWS))

    return register_io_source(batches, schema=frame.schema)


def rebuilt(batch: pl.DataFrame) -> pl.DataFrame:
    """Return an equal frame whose buffers depend on the values alone: a copy of the columns where it must be one."""
    import polars as pl

    if not batch.width:
        return batch
    return pl.DataFrame({column.name: _rebuilt_series(column) for column in batch})


def _rebuilt_series(series: pl.Series) -> pl.Series:
    import polars as pl

    if isinstance(series.dtype, pl.Struct):
        return _gathered(_rebuilt_fields(series), series)
    if isinstance(series.dtype, pl.Array):
        return _gathered(_rebuilt_arrays(series, series.dtype), series)
    if isinstance(series.dtype, pl.List):
        items = pl.element().map_batches(_rebuilt_items, return_dtype=series.dtype.inner, is_elementwise=True)
        return _gathered(series, series).list.eval(items)
    return _without_bitmap(series) if series.null_count() == 0 else _gathered(series, series)


def _rebuilt_items(items: pl.Series) -> pl.Series:
    return _rebuilt_series(items).rechunk()  # polars panics when the items of fixed-size lists come in chunks


def _rebuilt_fields(series: pl.Series) -> pl.Series:
    import polars as pl

    fields = series.struct.unnest()
    if not fields.width:
        return series
    if series.null_count():
        present = series.is_not_null()
        fields = pl.DataFrame(
            [pl.select(pl.when(present).then(field)).to_series().alias(field.name) for field in fields]
        )
    return rebuilt(fields).to_struct(series.name)


def _rebuilt_arrays(series: pl.Series, dtype: pl.Array) -> pl.Series:
    import polars as pl

    absent = pl.lit([None] * dtype.size, dtype=dtype)
    filled = pl.select(pl.when(series.is_not_null()).then(series).otherwise(absent)).to_series().alias(series.name)
    items = pl.element().map_batches(_rebuilt_items, return_dtype=dtype.inner, is_elementwise=True)
    return filled.arr.eval(items)


def _gathered(series: pl.Series, original: pl.Series) -> pl.Series:
    """Return a copy made by picking every row of *series* by its number, and no row where *original* is null.

    Picking no row writes the type's default, so that nothing is left of what lay under the null. The mask is written
    anew for the same reason: its last byte holds bits beyond the last row.
    """
    import polars as pl

    mask = pl.concat([original.is_not_null(), pl.Series([False])], rechunk=True)[:-1]
    row = pl.when(mask).then(pl.int_range(len(original), dtype=pl.UInt32))
    return series.gather(pl.select(row).to_series())


def _without_bitmap(series: pl.Series) -> pl.Series:
    """Return *series*, which has no null, without a copy: slicing drops a validity bitmap that says nothing."""
    import polars as pl

    if len(series) < 2:
        return _gathered(series, series)
    return pl.concat([series[:-1], series[-1:]], rechunk=False)
