"""Polars frames and series: Arrow IPC between steps, Parquet for published datasets and for queries.

A query (``LazyFrame``) is run when it is stored, in batches, so that its result need not fit into memory.

Equal frames get equal bytes, however they were made. Polars keeps what a computation left behind: chunk borders,
values under nulls, validity bitmaps without a null, dictionaries in the order categories were first seen.
So a frame is written in batches of a fixed number of rows, each rebuilt from its logical values. Batches are made while
they are written: no second copy of the frame exists.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.mapping import content
from filiera.adapters.codecs.refusal import is_loaded, reading, unreadable, unstorable, watched
from filiera.errors import CodecError
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import polars as pl

BATCH_ROWS = 1 << 17
"""Rows in one Arrow record batch and one Parquet row group: part of the format, because it decides the bytes."""

ZERO_COPY_FROM_BYTES = 64 * 1024 * 1024
"""From here on reading without a copy saves more than importing pyarrow costs, which is 0.1 s and 12 MB, once."""

_PARQUET_LEVEL = 3


class PolarsFrameCodec:
    """Frames as an Arrow IPC file, uncompressed."""

    name = "arrow-ipc/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "polars", "DataFrame")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        _write_ipc(_checked(value), writer)

    def decode(self, reader: ArtifactReader) -> pl.DataFrame:
        return _read_ipc(reader, self.name)

    def scan(self, reader: ArtifactReader) -> pl.LazyFrame:
        import polars as pl

        with _malformed(self.name):
            found = pl.scan_ipc(content(reader), glob=False)
            found.collect_schema()
            return found


class PolarsSeriesCodec:
    """Series as an Arrow IPC file with one column."""

    name = "arrow-ipc-series/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "polars", "Series")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        _write_ipc(_checked(value.to_frame()), writer)

    def decode(self, reader: ArtifactReader) -> pl.Series:
        frame = _read_ipc(reader, self.name)
        if frame.width != 1:
            raise unreadable(self.name, f"a table of {frame.width} columns instead of a series")
        return frame.to_series()


class ParquetCodec:
    """Frames as a Parquet file (zstd, with statistics): chosen by name for published datasets, by type for queries."""

    name = "parquet/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "polars", "LazyFrame")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        if not is_loaded(value, "polars", "DataFrame", "LazyFrame"):
            raise unstorable(
                value,
                why="A published dataset is a polars.DataFrame or a LazyFrame.",
                do="Return a polars.DataFrame.",
            )
        query = _checked_query(value) if is_loaded(value, "polars", "LazyFrame") else _canonical(_checked(value))
        with _polars_errors(value), watched(writer.stream) as stream:
            query.sink_parquet(
                stream,
                compression="zstd",
                compression_level=_PARQUET_LEVEL,
                statistics=True,
                row_group_size=BATCH_ROWS,
                engine="streaming",
            )

    def decode(self, reader: ArtifactReader) -> pl.DataFrame:
        import polars as pl

        found = content(reader)
        with _malformed(self.name):
            return pl.scan_parquet(found, glob=False).collect()

    def scan(self, reader: ArtifactReader) -> pl.LazyFrame:
        import polars as pl

        with _malformed(self.name):
            found = pl.scan_parquet(content(reader), glob=False)
            found.collect_schema()
            return found


def _checked_query(query: pl.LazyFrame) -> pl.LazyFrame:
    import polars as pl

    with _polars_errors(query):
        _checked(pl.DataFrame(schema=query.collect_schema()))
    return query


def _checked(value: Any) -> pl.DataFrame:
    import polars as pl

    objects = [name for name, dtype in value.schema.items() if dtype == pl.Object]
    if objects:
        raise unstorable(
            value,
            why=f"Column {objects[0]!r} holds Python objects (dtype Object).",
            do=f"Convert it to a Polars type or drop it: value.drop({objects[0]!r}).",
        )
    frame: pl.DataFrame = value
    return frame


def _write_ipc(frame: pl.DataFrame, writer: ArtifactWriter) -> None:
    import polars as pl

    with _polars_errors(frame), watched(writer.stream) as stream:
        # The oldest level writes text as offsets and one run of bytes; the newest writes views, whose buffers depend on
        # how the text came about.
        _canonical(frame).sink_ipc(
            stream,
            compression="uncompressed",
            compat_level=pl.CompatLevel.oldest(),
            record_batch_size=BATCH_ROWS,
            engine="streaming",
        )


def _read_ipc(reader: ArtifactReader, codec: str) -> pl.DataFrame:
    import polars as pl

    found = content(reader)
    with _malformed(codec):
        if isinstance(found, Path) and reader.size_bytes >= ZERO_COPY_FROM_BYTES and _is_flat(found):
            mapped = _map_ipc(reader, codec)
            if mapped is not None:
                return mapped
        return pl.scan_ipc(found, glob=False).collect()


def _map_ipc(reader: ArtifactReader, codec: str) -> pl.DataFrame | None:
    """Return the frame as the mapped bytes of its file, which Polars itself copies; None when pyarrow is missing."""
    try:
        from filiera.adapters.codecs.arrow_tables import read_table

        table = read_table(reader, codec)
    except ImportError:
        return None
    import polars as pl

    table.validate(full=True)  # text that is not UTF-8 would be undefined behaviour in Polars
    frame = pl.from_arrow(table, rechunk=False)
    assert isinstance(frame, pl.DataFrame)
    return frame


def _is_flat(file: Path) -> bool:
    """Tell whether all columns have types whose Arrow buffers Polars takes as they are; text gets an index beside."""
    import polars as pl

    numbers = (pl.Int8, pl.Int16, pl.Int32, pl.Int64, pl.UInt8, pl.UInt16, pl.UInt32, pl.UInt64, pl.Float32, pl.Float64)
    flat = {*numbers, pl.Boolean, pl.Date, pl.Datetime, pl.Duration, pl.Time, pl.String, pl.Binary}
    return all(dtype.base_type() in flat for dtype in pl.read_ipc_schema(file).values())


def _canonical(frame: pl.DataFrame) -> pl.LazyFrame:
    """Return *frame* as a source of batches with the same rows, whose buffers depend on the values alone."""
    from polars.io.plugins import register_io_source

    def batches(
        columns: list[str] | None, predicate: object, row_count: int | None, batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        for start in range(0, max(frame.height, 1), BATCH_ROWS):
            yield _rebuilt(frame.slice(start, BATCH_ROWS))

    return register_io_source(batches, schema=frame.schema)


def _rebuilt(batch: pl.DataFrame) -> pl.DataFrame:
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
    return _rebuilt(fields).to_struct(series.name)


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


@contextmanager
def _polars_errors(value: object) -> Iterator[None]:
    from polars.exceptions import PanicException, PolarsError

    try:
        yield
    except (PolarsError, PanicException) as error:
        if is_loaded(value, "polars", "LazyFrame"):
            raise CodecError(
                "The query that the step returned failed when it was run.",
                why=str(error).partition("\n\nResolved plan")[0],
                do="Look at it where it is made: return query.collect().lazy() shows the line.",
            ) from error
        raise unstorable(
            value, why=str(error), do="Convert the columns to types that Arrow and Parquet have."
        ) from error


@contextmanager
def _malformed(codec: str) -> Iterator[None]:
    from polars.exceptions import PanicException

    with reading(codec):
        try:
            yield
        except PanicException as error:
            raise unreadable(codec, error) from error
