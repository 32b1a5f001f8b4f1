"""Polars frames and series as Arrow IPC, and what the codecs of tables share."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.canonical import BATCH_ROWS, canonical, rebuilt
from filiera.adapters.codecs.mapping import content
from filiera.adapters.codecs.refusal import is_loaded, reading, unreadable, unstorable, watched
from filiera.errors import CodecError
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import polars as pl

ZERO_COPY_FROM_BYTES = 64 * 1024 * 1024
"""From here on reading without a copy saves more than importing pyarrow costs, which is 0.1 s and 12 MB, once."""

_PARQUET: Mapping[str, Any] = {
    "compression": "zstd", "compression_level": 3, "statistics": True, "row_group_size": BATCH_ROWS,
}  # fmt: skip
"""How Parquet files are written: part of the format, because it decides the bytes."""


class PolarsFrameCodec:
    """Frames as an Arrow IPC file, uncompressed."""

    name = "arrow-ipc/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "polars", "DataFrame")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        _write_ipc(checked(value), writer)

    def decode(self, reader: ArtifactReader) -> pl.DataFrame:
        return _read_ipc(reader, self.name)

    def scan(self, reader: ArtifactReader) -> pl.LazyFrame:
        import polars as pl

        with malformed(self.name):
            found = pl.scan_ipc(content(reader), glob=False)
            found.collect_schema()
            return found


class PolarsSeriesCodec:
    """Series as an Arrow IPC file with one column."""

    name = "arrow-ipc-series/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "polars", "Series")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        _write_ipc(checked(value.to_frame()), writer)

    def decode(self, reader: ArtifactReader) -> pl.Series:
        frame = _read_ipc(reader, self.name)
        if frame.width != 1:
            raise unreadable(self.name, f"a table of {frame.width} columns instead of a series")
        return frame.to_series()


def parquet_of(frame: pl.DataFrame) -> bytes:
    """Return a frame as a Parquet file: equal frames give equal bytes. Raises CodecError."""
    stream = io.BytesIO()
    with polars_errors(frame):
        rebuilt(checked(frame)).write_parquet(stream, **_PARQUET)
    return stream.getvalue()


def write_parquet(query: pl.LazyFrame, writer: ArtifactWriter) -> None:
    """Write what a query gives as one Parquet file, in batches. Raises CodecError, OSError."""
    query = checked_query(query)
    with polars_errors(query), watched(writer.stream) as stream:
        query.sink_parquet(stream, **_PARQUET, engine="streaming")


def scan_parquet(reader: ArtifactReader, codec: str) -> pl.LazyFrame:
    """Return a query that reads such a file when it is run. Raises CodecError."""
    import polars as pl

    with malformed(codec):
        found = pl.scan_parquet(content(reader), glob=False)
        found.collect_schema()
        return found


def checked_query(query: pl.LazyFrame) -> pl.LazyFrame:
    """Return *query* if its result can be stored. Raises CodecError."""
    import polars as pl

    with polars_errors(query):
        checked(pl.DataFrame(schema=query.collect_schema()))
    return query


def checked(value: Any) -> pl.DataFrame:
    """Return *value*, a frame or a series, if it can be stored. Raises CodecError."""
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

    with polars_errors(frame), watched(writer.stream) as stream:
        # The oldest level writes text as offsets and one run of bytes; the newest writes views, whose buffers depend on
        # how the text came about.
        canonical(frame).sink_ipc(
            stream,
            compression="uncompressed",
            compat_level=pl.CompatLevel.oldest(),
            record_batch_size=BATCH_ROWS,
            engine="streaming",
        )


def _read_ipc(reader: ArtifactReader, codec: str) -> pl.DataFrame:
    import polars as pl

    found = content(reader)
    with malformed(codec):
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


@contextmanager
def polars_errors(value: object) -> Iterator[None]:
    """Turn what Polars raises while *value* is stored into CodecError."""
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
def malformed(codec: str) -> Iterator[None]:
    """Turn what Polars raises while it reads what *codec* wrote into CodecError."""
    from polars.exceptions import PanicException

    with reading(codec):
        try:
            yield
        except PanicException as error:
            raise unreadable(codec, error) from error
