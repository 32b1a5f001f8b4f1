"""Tables in Parquet and Arrow files, read as a query: they need not fit into memory."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.adapters.sources.entries import check_options, is_types, no_rows, reading
from filiera.adapters.sources.found_files import (
    SourceFile,
    Workspace,
    find_files,
    fingerprint_of_files,
    held,
    note_files,
)
from filiera.adapters.sources.parts import Part, one_table
from filiera.adapters.sources.unmapped import read_unmapped
from filiera.core.collected import Collected
from filiera.core.task import Entry
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


class ParquetSource:
    """Reads ``type = "parquet"``. Options: ``path``, as for CSV; ``columns`` (types by column, else the file's)."""

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {"columns": is_types})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' bytes. Raises SourceError."""
        return fingerprint_of_files(entry, root, reader="parquet/1")

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.LazyFrame:
        """Return a query over the table, which has at least one row. Raises SourceError."""
        import polars as pl

        def scan(path: Path) -> pl.LazyFrame:
            return pl.scan_parquet(path, glob=False, hive_partitioning=False)

        return _table(entry, root, collected, scan=scan, name="Parquet")


class ArrowSource:
    """Reads ``type = "arrow"``: Arrow IPC files, also known as Feather. Options: as for Parquet."""

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {"columns": is_types})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' bytes. Raises SourceError."""
        return fingerprint_of_files(entry, root, reader="arrow/1")

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.LazyFrame:
        """Return a query over the table, which has at least one row. Raises SourceError."""
        import polars as pl

        def scan(path: Path) -> pl.LazyFrame:
            return pl.scan_ipc(path, glob=False, hive_partitioning=False)

        read_unmapped()
        return _table(entry, root, collected, scan=scan, name="Arrow")


def _table(
    entry: Entry, root: Path, collected: Collected, *, scan: Callable[[Path], pl.LazyFrame], name: str
) -> pl.LazyFrame:
    files = find_files(entry, root)
    note_files(collected, entry, files, root)
    workspace = Workspace()
    parts, rows = [], 0
    for file in files:
        query, count = _opened(file, scan(file.local(workspace)), name)
        parts.append(Part(file, query))
        rows += count
    if not rows:
        raise no_rows(collected.place)
    return held(one_table(parts, entry.get("columns", {}), place=collected.place), workspace)


def _opened(file: SourceFile, query: pl.LazyFrame, name: str) -> tuple[pl.LazyFrame, int]:
    """Return the query and its number of rows, both from the file's footer. Raises SourceError."""
    import polars as pl

    try:
        with reading(Path(file.shown)):
            query.collect_schema()
            return query, query.select(pl.len()).collect().item()
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise SourceError(
            f"{file.shown} is not a readable {name} file.",
            why=str(error).strip().splitlines()[0],
            do="Write or copy it again, or correct type in the catalog.",
        ) from error
