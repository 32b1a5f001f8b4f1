"""Tables in Parquet files."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from filiera.adapters.sources.entries import (
    check_options,
    file_digest,
    find_file,
    fingerprint,
    no_rows,
    note_file,
    reading,
)
from filiera.core.collected import Collected
from filiera.core.task import Entry
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


class ParquetSource:
    """Reads ``type = "parquet"``: one file. Option: ``path``, as for CSV."""

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the file's bytes. Raises SourceError."""
        return fingerprint(entry, reader="parquet/1", content=file_digest(find_file(entry, root)))

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.DataFrame:
        """Return the table, at least one row. Raises SourceError."""
        import polars as pl

        path = find_file(entry, root)
        note_file(collected, path)
        try:
            with reading(path):
                frame = pl.read_parquet(path, glob=False)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise SourceError(
                f"{path} is not a readable Parquet file.",
                why=str(error).strip().splitlines()[0],
                do="Write or copy it again, or correct type in the catalog.",
            ) from error
        if not frame.height:
            raise no_rows(path)
        return frame
