"""What is PostgreSQL's own: its types, its snapshots."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.sql.connection import Connection, Target
from filiera.adapters.sql.endless import refuse_endless
from filiera.adapters.sql.entry import Address, SqlEntry
from filiera.adapters.sql.statements import Column, column_name, relation, select
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

_DRIVER = "adbc_driver_postgresql"
_SAME = {
    "bool", "int2", "int4", "int8", "float4", "float8", "text", "varchar", "name", "bytea", "date", "time", "timestamp",
    "timestamptz",
}  # fmt: skip
"""Types that come as they are."""
_CASTS = {"numeric": "float8", "oid": "int8", "money": "numeric(19,2)"}
"""What others are read as; those that are nowhere come as text: uuid, json, enumerations, intervals, ranges, …"""
_TYPE, _MODIFIER = b"POSTGRESQL:type", b"POSTGRESQL:typmod"
_MOST_DIGITS = 38

# Infinity comes as any number before the oldest day that PostgreSQL has, which is in 4713 BC.
_OLDEST_DAY, _DAY_US = -2_440_588, 86_400_000_000
_ENDS = {"Date": (_OLDEST_DAY - 1, 2**31), "Datetime": (_OLDEST_DAY * _DAY_US - 1, 2**63)}


class PostgreSql:
    """PostgreSQL, by libpq: its variables (PGPASSWORD, PGSSLMODE, …) and its file of passwords count too."""

    is_snapshot = True
    sorts_text = False  # by a language's rules, which are not those of Polars

    def target(self, address: Address, place: str, root: Path) -> Target:
        return Target(
            driver=_DRIVER,
            options={"uri": address.uri},
            address=address,
            place=place,
            statements=(
                # One state of the database for all that is asked, whatever others write meanwhile.
                "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY",
                # A scan that starts where another one is would give the rows in another order each time.
                "SET synchronize_seqscans = off",
                "SET intervalstyle = iso_8601",
                "SET standard_conforming_strings = on",
            ),
        )

    def writing_target(self, address: Address, place: str, root: Path) -> Target:
        """Return how to connect in order to write."""
        return Target(driver=_DRIVER, options={"uri": address.uri}, address=address, place=place, is_written=True)

    def state(self, connection: Connection) -> str:
        """Return what names the state of all databases of the server, which never comes back.

        Two equal snapshots see the same rows: every change is made by a transaction with a number, and a snapshot says
        which of those count. Vacuuming and reading have no number.
        """
        [found] = connection.rows(
            "SELECT (SELECT timeline_id::text FROM pg_control_checkpoint()) || '/' || pg_current_snapshot()::text"
        )
        return f"{self.identity(connection)}/{found[0]}"

    def identity(self, connection: Connection) -> str:
        """Return what tells this database from all others."""
        [found] = connection.rows("SELECT system_identifier::text, current_database()::text FROM pg_control_system()")
        return "/".join(found)

    def columns(self, connection: Connection, asked: SqlEntry) -> tuple[Column, ...]:
        return tuple(_column(field.name, field.metadata or {}) for field in connection.schema(relation(asked)))

    def read(
        self, connection: Connection, columns: Sequence[Column], rows: str, order_by: Sequence[str]
    ) -> Iterator[pl.DataFrame]:
        import polars as pl

        converted: Any = {column.name: column.dtype for column in columns if column.dtype is not None}
        for batch in connection.batches(select(columns, rows, order_by)):
            refuse_endless(batch, _ENDS, "PostgreSQL")
            try:
                yield batch.cast(converted) if converted else batch
            except pl.exceptions.PolarsError as error:
                raise _no_number(batch, converted) from error

    def write(self, connection: Connection, table: str, rows: pl.LazyFrame, mode: str) -> int:
        return connection.ingest(table, rows, mode=mode)


def _column(column: str, facts: Mapping[bytes, bytes]) -> Column:
    import polars as pl

    kind = facts.get(_TYPE, b"").decode()
    if kind in _SAME:
        return Column(name=column, expression=column_name(column))
    if kind == "numeric" and (digits := _digits(facts)):
        return Column(name=column, expression=f"{column_name(column)}::text", dtype=pl.Decimal(*digits))
    if kind == "money":
        return Column(name=column, expression=f"{column_name(column)}::numeric(19,2)::text", dtype=pl.Decimal(19, 2))
    if kind.startswith("_"):
        return Column(name=column, expression=_array(column, kind.removeprefix("_")))
    return Column(name=column, expression=f"{column_name(column)}::{_CASTS.get(kind, 'text')}")


def _array(column: str, item: str) -> str:
    """Return an array of one dimension. The driver would make one of several flat, so such a value is made an error."""
    kind = item if item in _SAME else _CASTS.get(item, "text")
    value = column_name(column)
    flat = f"array_to_json({value})::text::{kind}[]"
    return f"CASE WHEN array_ndims({value}) > 1 THEN {flat} ELSE {value}::{kind}[] END"


def _digits(facts: Mapping[bytes, bytes]) -> tuple[int, int] | None:
    """Return precision and scale of a numeric column that declares them as Polars can have them."""
    modifier = int(facts.get(_MODIFIER, b"-1")) - 4
    precision, scale = modifier >> 16 & 0xFFFF, modifier & 0x7FF
    return (precision, scale) if modifier >= 0 and scale <= precision <= _MOST_DIGITS else None


def _no_number(batch: pl.DataFrame, converted: Mapping[str, pl.DataType]) -> SourceError:
    bad = next(
        column
        for column, dtype in converted.items()
        if batch[column].cast(dtype, strict=False).null_count() > batch[column].null_count()
    )
    return SourceError(
        f"Column {bad!r} holds a value that is no decimal number: NaN or infinity.",
        why="A numeric column may hold them, a decimal of Arrow and Parquet may not.",
        do=f'Read it as a float: query = "SELECT …, {bad}::float8 …".',
    )
