"""Tables and queries of relational databases, through ADBC."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import fields
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.sources.entries import fingerprint
from filiera.adapters.sql.connection import Connection
from filiera.adapters.sql.dialects import DIALECTS, Dialect
from filiera.adapters.sql.entry import SqlEntry, address, read_entry
from filiera.adapters.sql.growth import Growth, refuse_unordered
from filiera.adapters.sql.statements import Column, column_name, earlier, literal, name, relation
from filiera.core.collected import Collected
from filiera.core.digest import digest
from filiera.core.task import Entry
from filiera.errors import SourceError, did_you_mean

if TYPE_CHECKING:
    import polars as pl

_READER = "sql/1"
_DATABASE, _READ = "database", "rows_read"  # kept with what is recorded of a collection


class SqlSource:
    """Reads ``type = "sql"``: a table or a query of SQLite, DuckDB or PostgreSQL, in batches.

    Options: ``uri``; ``table`` or ``query``; ``columns`` (the ones to read) and ``filter`` (a condition in SQL), which
    the server applies; ``order_by`` (columns); ``watermark``, ``late_by`` and ``key``, to read only what is new.
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options, and a password that is written down. Raises ProjectError."""
        read_entry(entry)

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest that changes when the database does; with a watermark, when that grows. Raises SourceError.

        It costs no look at rows that have no index: of a database that is a file it is of the file's bytes, of
        PostgreSQL of the snapshot, which other tables change too. With a watermark it is of its greatest value and how
        many rows have that.
        """
        asked = read_entry(entry)
        with _connected(asked, root) as (connection, dialect):
            return _fingerprint(connection, dialect, asked)

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.LazyFrame:
        """Return a query that reads the rows when it is run. Raises SourceError."""
        return self._read(read_entry(entry), root, collected, None)

    def grows(self, entry: Entry) -> bool:
        """Tell whether an entry has a watermark."""
        return bool(read_entry(entry).watermark)

    def read_more(
        self, entry: Entry, root: Path, collected: Collected, before: tuple[pl.LazyFrame, Collected]
    ) -> pl.LazyFrame:
        """Return a query that gives the rows that were read before, and reads those that may be new.

        All is read anew when what was read before is of another database, or has other columns. Raises SourceError.
        """
        asked = read_entry(entry)
        table, told = before
        with _connected(asked, root) as (connection, dialect):
            is_same = told.more.get(_DATABASE) == dialect.identity(connection)
        return self._read(asked, root, collected, table if is_same else None)

    def _read(self, asked: SqlEntry, root: Path, collected: Collected, before: pl.LazyFrame | None) -> pl.LazyFrame:
        from polars.io.plugins import register_io_source

        collected.place = asked.place
        with _connected(asked, root) as (connection, dialect):
            columns = _columns(connection, dialect, asked)
            nothing = f"SELECT * FROM ({relation(asked)}) AS wanted LIMIT 0"
            empty = next(iter(dialect.read(connection, columns, nothing, ())))
            if asked.watermark:
                collected.more[_DATABASE] = dialect.identity(connection)
                refuse_unordered(empty.schema, asked, dialect.sorts_text)
        growth = None if before is None else Growth.of(before, asked, empty)
        schema = empty.schema if growth is None else growth.schema

        def batches(
            wanted: list[str] | None, predicate: object, row_count: int | None, batch_rows: int | None
        ) -> Iterator[pl.DataFrame]:
            collected.size_bytes = 0
            with _connected(asked, root) as (connection, dialect):
                if dialect.is_snapshot:
                    collected.is_snapshot = True
                    collected.fingerprint = _fingerprint(connection, dialect, asked)
                rows = relation(asked) if growth is None else growth.rows
                came = _counted(dialect.read(connection, columns, rows, asked.order_by), collected)
                yield from came if growth is None else growth.joined(came)

        return register_io_source(batches, schema=schema)


def _counted(batches: Iterator[pl.DataFrame], collected: Collected) -> Iterator[pl.DataFrame]:
    collected.more[_READ] = 0
    for batch in batches:
        collected.size_bytes += int(batch.estimated_size())
        collected.more[_READ] += batch.height
        yield batch


@contextmanager
def _connected(asked: SqlEntry, root: Path) -> Iterator[tuple[Connection, Dialect]]:
    where = address(asked)
    dialect = DIALECTS[where.database]
    with Connection(dialect.target(where, asked.place, root)) as connection:
        yield connection, dialect


def _columns(connection: Connection, dialect: Dialect, asked: SqlEntry) -> tuple[Column, ...]:
    """Return the columns to read, all that the entry names among them. Raises SourceError."""
    found = dialect.columns(connection, asked)
    names = [column.name for column in found]
    twice = next((column for column, count in Counter(names).items() if count > 1), None)
    if twice is not None:
        raise SourceError(
            f"{asked.place} has two columns {twice!r}.",
            why="A column of a table has a name of its own.",
            do=f"Rename one in the query: SELECT … AS {twice}_2.",
        )
    _require(asked, "columns", asked.columns, names)
    chosen = asked.columns or names
    _require(asked, "order_by", asked.order_by, chosen)
    _require(asked, "watermark", [asked.watermark] if asked.watermark else [], chosen)
    _require(asked, "key", asked.key, chosen)
    by_name = {column.name: column for column in found}
    return tuple(by_name[column] for column in chosen)


def _require(asked: SqlEntry, option: str, wanted: Sequence[str], names: Sequence[str]) -> None:
    for column in wanted:
        if column not in names:
            raise SourceError(
                f"{asked.place} has no column {column!r}.",
                why=f"It has: {', '.join(names)}.{did_you_mean(column, names)}",
                do=f"Correct {option!r} in the catalog of filiera.toml.",
            )


def _fingerprint(connection: Connection, dialect: Dialect, asked: SqlEntry) -> str:
    state = _watermark_state(connection, dialect, asked) if asked.watermark else dialect.state(connection)
    options = {item.name: getattr(asked, item.name) for item in fields(asked) if item.name not in ("uri", "database")}
    return fingerprint(options, reader=_READER, content=digest("sql/1", state.encode()))


def _watermark_state(connection: Connection, dialect: Dialect, asked: SqlEntry) -> str:
    """Return the greatest value of the watermark, and how many rows are so new, or have none."""
    greatest = _greatest(connection, dialect, asked)
    new = f"SELECT count(*) FROM ({relation(asked)}) AS wanted WHERE "
    counts = [
        connection.rows(f"{new}{column_name(asked.watermark)} >= {literal(earlier(greatest, asked.late_by))}"),
        connection.rows(f"{new}{column_name(asked.watermark)} IS NULL"),
    ]
    return f"{dialect.identity(connection)} {greatest!r} {counts!r}"


def _greatest(connection: Connection, dialect: Dialect, asked: SqlEntry) -> Any:
    """Return the greatest value of the watermark; None when no row has one. Raises SourceError."""
    [column] = [each for each in _columns(connection, dialect, asked) if each.name == asked.watermark]
    rows = f"SELECT max({column_name(column.name)}) AS {name(column.name)} FROM ({relation(asked)}) AS wanted"
    found = next(iter(dialect.read(connection, [column], rows, ())))
    refuse_unordered(found.schema, asked, dialect.sorts_text)
    return found.item()
