"""What is SQLite's own: values have types, columns have not; a database is a file."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

from filiera.adapters.sql.connection import Connection, Target
from filiera.adapters.sql.entry import Address, SqlEntry
from filiera.adapters.sql.files import database_file, state_of_files, writable_file
from filiera.adapters.sql.statements import Column, column_name, literal, name, relation
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

_DRIVER = "adbc_driver_sqlite"
_BUSY_MS = 10_000
_MARK = "filiera: number of the part"
_FIRST = {"INTEGER": "0", "REAL": "0.0", "TEXT": "''", "BLOB": "x''"}


class Sqlite:
    """SQLite. A file is opened to be read only, so that it and its fingerprint stay as they are."""

    is_snapshot = False
    sorts_text = True

    def target(self, address: Address, place: str, root: Path) -> Target:
        path = database_file(address, root)
        return Target(
            driver=_DRIVER,
            options={"uri": f"file:{quote(str(path))}?mode=ro"},
            address=address,
            place=place,
            statements=(f"PRAGMA busy_timeout = {_BUSY_MS}",),
        )

    def writing_target(self, address: Address, place: str, root: Path) -> Target:
        """Return how to connect in order to write; the file may be new."""
        return Target(
            driver=_DRIVER,
            options={"uri": f"file:{quote(str(writable_file(address, place, root)))}"},
            address=address,
            place=place,
            statements=(f"PRAGMA busy_timeout = {_BUSY_MS}",),
            is_written=True,
        )

    def state(self, connection: Connection) -> str:
        """Return the digest of the file, and of what was written and is not in it yet."""
        return state_of_files(Path(self.identity(connection)), "-wal")

    def identity(self, connection: Connection) -> str:
        """Return the path of the database's file."""
        [found] = [row[2] for row in connection.rows("PRAGMA database_list") if row[1] == "main"]
        return str(found)

    def columns(self, connection: Connection, asked: SqlEntry) -> tuple[Column, ...]:
        """Return the columns with types found from all values: SQLite's columns promise nothing."""
        rows, table = relation(asked), asked.table
        names = [field.name for field in connection.schema(f"SELECT * FROM ({rows}) AS wanted LIMIT 0")]
        declared = dict(connection.rows(f"SELECT name, type FROM pragma_table_info({literal(table)})")) if table else {}
        kinds = ", ".join(f"group_concat(DISTINCT typeof({column_name(column)}))" for column in names)
        [found] = connection.rows(f"SELECT {kinds} FROM ({rows}) AS wanted")
        return tuple(
            replace(
                _column(column, set((kinds or "null").split(",")), declared.get(column, "")),
                name=column if table else _asked_for(column, names),
            )
            for column, kinds in zip(names, found, strict=True)
        )

    def read(
        self, connection: Connection, columns: Sequence[Column], rows: str, order_by: Sequence[str]
    ) -> Iterator[pl.DataFrame]:
        # The driver takes a column's type from the first thousand rows and fails when a later one has another, or those
        # were empty: so a row that is dropped again comes first, with a value of each type.
        first = ", ".join(f"{_FIRST[_kind(column)]} AS {name(column.name)}" for column in columns)
        wanted = [column.name for column in columns]
        order = ", ".join(["1", *(str(wanted.index(column) + 2) for column in order_by)])
        query = (
            f"SELECT 0 AS {name(_MARK)}, {first} UNION ALL"
            f" SELECT 1, {', '.join(column.expression for column in columns)} FROM ({rows}) AS wanted"
            + (f" ORDER BY {order}" if order_by else "")
        )
        for number, batch in enumerate(connection.batches(query)):
            yield batch.slice(0 if number else 1).drop(_MARK)

    def write(self, connection: Connection, table: str, rows: pl.LazyFrame, mode: str) -> int:
        return connection.ingest(table, rows, mode=mode)


def _column(column: str, kinds: set[str], declared: str) -> Column:
    kinds.discard("null")
    if "blob" in kinds and len(kinds) > 1:
        raise SourceError(
            f"Column {column!r} holds bytes in some rows and {' and '.join(sorted(kinds - {'blob'}))} in others.",
            why="A column of a table has one type.",
            do=f'Say in a query which it shall be: query = "SELECT …, CAST({name(column)} AS TEXT) …".',
        )
    return Column(name=column, expression=f"CAST({column_name(column)} AS {_affinity(kinds, declared.upper())})")


def _asked_for(column: str, names: Sequence[str]) -> str:
    """Return what a query calls a column: of two that are called ``id``, SQLite makes ``id`` and ``id:1``.

    >>> _asked_for("id:1", ["id", "id:1"]), _asked_for("id:1", ["id:1"])
    ('id', 'id:1')
    """
    called, _, number = column.rpartition(":")
    return called if number.isdigit() and called in names else column


def _affinity(kinds: set[str], declared: str) -> str:
    """Return the type that all values of a column fit into; of a column without values, what was declared."""
    if "text" in kinds:
        return "TEXT"
    if "blob" in kinds:
        return "BLOB"
    if "real" in kinds or re.search(r"REAL|FLOA|DOUB|, *[1-9]", declared):
        return "REAL"
    return "INTEGER" if "integer" in kinds or "INT" in declared else "TEXT"


def _kind(column: Column) -> str:
    return column.expression.rstrip(")").rpartition(" ")[2]
