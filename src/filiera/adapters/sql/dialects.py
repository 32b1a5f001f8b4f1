"""What databases do each in their own way, and which is whose."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from filiera.adapters.sql.connection import Connection, Target
from filiera.adapters.sql.duckdb import DuckDb
from filiera.adapters.sql.entry import DUCKDB, POSTGRESQL, SQLITE, Address, SqlEntry
from filiera.adapters.sql.postgresql import PostgreSql
from filiera.adapters.sql.sqlite import Sqlite
from filiera.adapters.sql.statements import Column

if TYPE_CHECKING:
    import polars as pl


class Dialect(Protocol):
    """One kind of database."""

    is_snapshot: bool  #: a state of the database never comes back, so what is read later than asked for does no harm
    sorts_text: bool  #: by its bytes, as Polars does

    def target(self, address: Address, place: str, root: Path) -> Target:
        """Return how to connect in order to read. Raises SourceError when it is clear already that it cannot be."""

    def writing_target(self, address: Address, place: str, root: Path) -> Target:
        """Return how to connect in order to write. Raises SourceError when it is clear already that it cannot be."""

    def identity(self, connection: Connection) -> str:
        """Return what tells this database from all others."""

    def state(self, connection: Connection) -> str:
        """Return what names the content of the database."""

    def columns(self, connection: Connection, asked: SqlEntry) -> tuple[Column, ...]:
        """Return all columns that an entry could read, and how to read each. Raises SourceError."""

    def read(
        self, connection: Connection, columns: Sequence[Column], rows: str, order_by: Sequence[str]
    ) -> Iterator[pl.DataFrame]:
        """Yield the rows of a SELECT in batches. Raises SourceError."""

    def write(self, connection: Connection, table: str, rows: pl.LazyFrame, mode: str) -> int:
        """Write *rows* into a table, by the names of their columns; return how many. Raises SourceError.

        *mode* is "create", "append" or "replace".
        """


DIALECTS: Mapping[str, Dialect] = {SQLITE: Sqlite(), DUCKDB: DuckDb(), POSTGRESQL: PostgreSql()}
"""By what an address calls them."""
