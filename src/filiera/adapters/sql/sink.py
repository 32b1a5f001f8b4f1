"""Writes a table into a database, all or nothing."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filiera.adapters.sql.connection import Connection
from filiera.adapters.sql.dialects import DIALECTS
from filiera.adapters.sql.entry import address, read_entry
from filiera.core.task import Entry
from filiera.errors import ProjectError, UsageError

if TYPE_CHECKING:
    import polars as pl

_MODES = ("create", "append", "replace")


def write_table(entry: Entry, root: Path, table: pl.LazyFrame, *, mode: str = "create") -> int:
    """Write *table*, batch by batch, into the table that a catalog entry names; return how many rows it has.

    One transaction: whoever reads meanwhile sees the table as it was, and after a failure it is as it was.

    Args:
        entry: With ``type = "sql"``, ``uri`` and ``table``.
        root: Paths are relative to it.
        table: What to write; it need not fit into memory.
        mode: "create" a table that is not there yet, "append" to one, or "replace" one.

    Raises:
        ProjectError: The entry names no table.
        SourceError: The database refuses: no such user, no permission, a table that is there already, other columns.
    """
    asked = read_entry(entry)
    if mode not in _MODES:
        raise UsageError(f"A table cannot be written by {mode!r}.", do=f"Say one of: {', '.join(_MODES)}.")
    if not asked.table:
        raise ProjectError("An sql entry that is written to needs the option 'table'.", do='Write table = "NAME".')
    where = address(asked)
    dialect = DIALECTS[where.database]
    with Connection(dialect.writing_target(where, asked.place, root)) as connection:
        rows = dialect.write(connection, asked.table, table, mode)
        connection.commit()
    return rows
