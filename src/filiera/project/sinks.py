"""Where a table is exported to: a file, a folder, or an entry of the catalog, which may be a table of a database."""

from __future__ import annotations

from pathlib import Path

from filiera.adapters.credentials import filled_in
from filiera.core.task import Entry
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.project.builtin import checked_entry
from filiera.project.project import Project
from filiera.project.tables import NamedTable

KINDS = ("csv", "jsonl", "parquet", "arrow")
"""Types of entries whose one file can be written."""
_PLAIN_FILE, _PLAIN_SQL = {"type", "path", "columns"}, {"type", "uri", "table"}
_ENDINGS = {
    ".csv": "csv", ".jsonl": "jsonl", ".ndjson": "jsonl", ".parquet": "parquet", ".arrow": "arrow", ".delta": "delta",
}  # fmt: skip


@dataclass(frozen=True, kw_only=True, slots=True)
class FileSink:
    """A file or folder."""

    path: Path
    kind: str  #: "csv", "jsonl", "parquet", "arrow", "folder" or "delta"
    by: str = ""  #: a column by whose values a folder is divided

    def write(self, table: NamedTable, *, replace: bool = False) -> tuple[int, str]:
        """Write all of *table* or nothing; return how much, and of what.

        Raises:
            UsageError: Something is there and is not to be replaced, or a column has a type that this kind has not.
            StoreError, StoreFull: It cannot be written.
        """
        from filiera.data.writing import write_table

        write_table(table.frame, self.path, kind=self.kind, by=self.by, replace=replace)
        files = self.path.rglob("*") if self.path.is_dir() else [self.path]
        return sum(file.stat().st_size for file in files), "bytes"


@dataclass(frozen=True, kw_only=True, slots=True)
class SqlSink:
    """A table of a database."""

    entry: Entry
    root: Path  #: that paths are relative to

    def write(self, table: NamedTable, *, replace: bool = False) -> tuple[int, str]:
        """Write all of *table* or nothing, in one transaction; return how much, and of what.

        Raises:
            ProjectError: The driver is not installed, or a reference in the address leads nowhere.
            SourceError: The database refuses, such as since the table is there and is not to be replaced.
        """
        from filiera.adapters.sql.sink import write_table

        return write_table(self.entry, self.root, table.frame, mode="replace" if replace else "create"), "rows"


def sink(project: Project, target: str, *, by: str = "") -> FileSink | SqlSink:
    """Return what *target* means: the entry of the catalog of that name, else a file or, with ``/``, a folder.

    What is written to an entry is what it reads: one that reads in a way that we do not write is refused.

    Raises:
        ProjectError: The entry is malformed, or names an environment variable that is not set.
        UsageError: Nothing can be written to it, or the file's ending says not how.
    """
    if target not in project.config.catalog:
        return FileSink(path=Path(target), kind=_kind(target), by=by)
    root = project.config.root
    entry = checked_entry(project.config.entry(target))
    kind, path = entry["type"], str(entry.get("path", ""))
    if by:
        raise UsageError(
            f"The catalog's {target} cannot be divided by {by!r}.", why="Only a folder can, named FOLDER/."
        )
    if kind == "sql" and entry.keys() == _PLAIN_SQL:
        return SqlSink(entry=entry, root=root)
    if kind in KINDS and entry.keys() <= _PLAIN_FILE and "://" not in path and not any(c in path for c in "*?["):
        return FileSink(path=root / filled_in(path), kind=kind)
    raise UsageError(
        f"Nothing can be written to the catalog's {target}.",
        why=f"Only one local file can, of type {', '.join(KINDS)}, or a table of a database, of type sql; both without "
        "options that choose what is read.",
        do="Name a file, or write another entry.",
    )


def _kind(target: str) -> str:
    if target.endswith("/"):
        return "folder"
    kind = _ENDINGS.get(Path(target).suffix)
    if kind is None:
        raise UsageError(
            f"{target} is no entry of the catalog, and has no ending that says what to write.",
            why=f"Known are: {', '.join(_ENDINGS)}; with a / at the end it is a folder of Parquet files.",
        )
    return kind
