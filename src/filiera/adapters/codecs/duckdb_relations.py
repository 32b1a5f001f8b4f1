"""Relations of DuckDB as Parquet files: a step may return what it asked DuckDB, and take it again."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from filiera.adapters.codecs.polars_frames import scan_parquet, write_parquet
from filiera.adapters.codecs.refusal import is_loaded, reading
from filiera.core.artifact import INLINE_LIMIT_BYTES
from filiera.ports import ArtifactReader, ArtifactWriter

if TYPE_CHECKING:
    import duckdb
    import polars as pl


class DuckDbCodec:
    """Relations, run when they are stored. What comes back is read from the store when it is asked."""

    name = "duckdb-parquet/1"

    def handles(self, value: object) -> bool:
        return is_loaded(value, "duckdb", "DuckDBPyRelation")

    def encode(self, value: Any, writer: ArtifactWriter) -> None:
        write_parquet(value.pl(lazy=True), writer)

    def decode(self, reader: ArtifactReader) -> duckdb.DuckDBPyRelation:
        import duckdb

        if reader.size_bytes <= INLINE_LIMIT_BYTES:  # its file is gone when the value is used
            return duckdb.from_arrow(self.scan(reader).collect())
        with reading(self.name):
            return duckdb.read_parquet(str(reader.path()))

    def scan(self, reader: ArtifactReader) -> pl.LazyFrame:
        return scan_parquet(reader, self.name)
