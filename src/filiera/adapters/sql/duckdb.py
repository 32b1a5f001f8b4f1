"""What is DuckDB's own: a file that one process writes or several read, and types that go deep."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.sql.connection import Connection, Target
from filiera.adapters.sql.endless import refuse_endless
from filiera.adapters.sql.entry import Address, SqlEntry
from filiera.adapters.sql.files import database_file, is_open_here, state_of_files, writable_file
from filiera.adapters.sql.statements import Column, column_name, name, relation, select, table_name
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl
    import pyarrow

_DRIVER, _EXTRA = "adbc_driver_duckdb", "duckdb"
_ARRIVED = "filiera: rows to append"
_NAMES = {
    "bool": "BOOLEAN", "int8": "TINYINT", "int16": "SMALLINT", "int32": "INTEGER", "int64": "BIGINT",
    "uint8": "UTINYINT", "uint16": "USMALLINT", "uint32": "UINTEGER", "uint64": "UBIGINT", "float": "FLOAT",
    "double": "DOUBLE", "string": "VARCHAR", "binary": "BLOB", "date32[day]": "DATE", "time64[us]": "TIME",
    "time64[ns]": "TIME_NS", "timestamp[ms]": "TIMESTAMP_MS", "timestamp[us]": "TIMESTAMP",
    "timestamp[ns]": "TIMESTAMP_NS", "timestamp[s]": "TIMESTAMP", "timestamp[us, tz=UTC]": "TIMESTAMPTZ",
    "extension<arrow.bool8>": "BOOLEAN",
}  # fmt: skip
"""What types of Arrow are called. Those that are nowhere come as text: uuid, json, enum, interval, union, …"""
_WHOLE = "DECIMAL(38, 0)"  #: Arrow has no larger whole number; the driver would give another one without a word

_ENDS = {"Date": (1 - 2**31, 2**31 - 1), "Datetime": (1 - 2**63, 2**63 - 1)}
"""What infinity is."""


class DuckDb:
    """DuckDB. A file is opened to be read only, so that it and its fingerprint stay as they are.

    A query sees the file alone: no other files, extensions or servers, of which a fingerprint would not know.
    """

    is_snapshot = False
    sorts_text = False  # by a collation; and enumerations, which are read as texts, by their place

    def target(self, address: Address, place: str, root: Path) -> Target:
        path = database_file(address, root)
        if is_open_here(path, to_write=True):
            raise _in_use(f"Cannot read {place}.", "to write")
        return _target(path, address, place, access_mode="READ_ONLY")

    def writing_target(self, address: Address, place: str, root: Path) -> Target:
        """Return how to connect in order to write; the file may be new."""
        path = writable_file(address, place, root)
        if is_open_here(path, to_write=False):
            raise _in_use(f"Cannot write {place}.", "")
        return _target(path, address, place, access_mode="READ_WRITE")

    def state(self, connection: Connection) -> str:
        """Return the digest of the file, and of what was written and is not in it yet."""
        return state_of_files(Path(self.identity(connection)), ".wal")

    def identity(self, connection: Connection) -> str:
        """Return the path of the database's file."""
        [[found]] = connection.rows("SELECT path FROM duckdb_databases() WHERE database_name = current_database()")
        return str(found)

    def columns(self, connection: Connection, asked: SqlEntry) -> tuple[Column, ...]:
        connection.run("SET arrow_lossless_conversion = true")  # else a hugeint, say, looks like a decimal
        found = connection.schema(relation(asked))
        # A query around another one gives new names to columns that have the same.
        names = connection.schema(asked.query).names if asked.query else found.names
        connection.run("RESET arrow_lossless_conversion")
        return tuple(
            Column(name=called, expression=f"CAST({column_name(field.name)} AS {_sql_type(field)})")
            for called, field in zip(names, found, strict=True)
        )

    def read(
        self, connection: Connection, columns: Sequence[Column], rows: str, order_by: Sequence[str]
    ) -> Iterator[pl.DataFrame]:
        for batch in connection.batches(select(columns, rows, order_by)):
            refuse_endless(batch, _ENDS, "DuckDB")
            yield batch

    def write(self, connection: Connection, table: str, rows: pl.LazyFrame, mode: str) -> int:
        if mode != "append":
            return connection.ingest(table, rows, mode=mode)
        # The driver appends by place, not by name: two columns of one type could change places.
        count = connection.ingest(_ARRIVED, rows, mode="create", is_temporary=True)
        connection.run(f"INSERT INTO {table_name(table)} BY NAME SELECT * FROM temp.{name(_ARRIVED)}")
        return count


def _target(path: Path, address: Address, place: str, *, access_mode: str) -> Target:
    return Target(
        driver=_DRIVER,
        extra=_EXTRA,
        options={
            "entrypoint": "duckdb_adbc_init", "path": str(path), "access_mode": access_mode,
            "enable_external_access": "false",
        },
        address=address,
        place=place,
        statements=("SET TimeZone = 'UTC'",),
        is_written=access_mode == "READ_WRITE",
    )  # fmt: skip


def _in_use(what: str, how: str) -> SourceError:
    return SourceError(
        what,
        why=f"This process itself has the file open{f' {how}' if how else ''}, which DuckDB would not notice.",
        do="Close that connection first.",
    )


def _sql_type(field: pyarrow.Field) -> str:
    """Return the type that a column is read as: its own, or one that Arrow and Polars have, at any depth."""
    import pyarrow.types as kinds

    if b"ARROW:extension:name" in (field.metadata or {}):  # geometry, variant
        return "VARCHAR"
    kind: Any = field.type
    if kinds.is_decimal(kind):
        return f"DECIMAL({kind.precision}, {kind.scale})"
    if getattr(kind, "type_name", "") in ("hugeint", "uhugeint"):
        return _WHOLE
    if kinds.is_list(kind):
        return f"{_sql_type(kind.value_field)}[]"
    if kinds.is_fixed_size_list(kind):
        return f"{_sql_type(kind.value_field)}[{kind.list_size}]"
    if kinds.is_map(kind):
        return f"MAP({_sql_type(kind.key_field)}, {_sql_type(kind.item_field)})"
    if kinds.is_struct(kind) and all(part.name for part in kind):
        return f"STRUCT({', '.join(f'{name(part.name)} {_sql_type(part)}' for part in kind)})"
    return _NAMES.get(str(kind), "VARCHAR")
