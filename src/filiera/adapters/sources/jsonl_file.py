"""Tables in JSON-lines files, plain or gzip."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.adapters.sources.entries import (
    check_options,
    file_digest,
    find_file,
    fingerprint,
    is_types,
    no_rows,
    note_file,
    read_bytes,
)
from filiera.core.check import TYPES
from filiera.core.collected import Collected
from filiera.core.task import Entry
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


class JsonLinesSource:
    """Reads ``type = "jsonl"``: one JSON object per line, UTF-8; a missing key is null.

    Empty lines are skipped. Options: ``path``, as for CSV; ``columns`` (a table of types by
    column; the others' are found from all rows).
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {"columns": is_types})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the file's bytes and how they are read. Raises SourceError."""
        return fingerprint(entry, reader="jsonl/1", content=file_digest(find_file(entry, root)))

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.DataFrame:
        """Return the table, at least one row. Raises SourceError naming file and line."""
        import polars as pl

        path = find_file(entry, root)
        note_file(collected, path)
        content = read_bytes(path)
        if not content.strip():
            raise no_rows(path)
        try:
            frame = pl.read_ndjson(io.BytesIO(content), infer_schema_length=None)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise _explain(path, content, str(error).strip().splitlines()[0]) from error
        return _with_types(path, frame, entry.get("columns", {}))


def _with_types(path: Path, frame: pl.DataFrame, columns: Mapping[str, str]) -> pl.DataFrame:
    # Not by schema_overrides: Polars 2.1 panics on int8 and others there, and prints a Rust backtrace.
    import polars as pl

    missing = [name for name in columns if name not in frame.columns]
    if missing:
        raise SourceError(
            f"No line of {path} has the key {', '.join(map(repr, missing))}.",
            why=f"The keys are: {', '.join(frame.columns)}.",
            do="Correct 'columns' in the catalog.",
        )
    try:
        return frame.with_columns(_cast(name, kind, frame.schema[name]) for name, kind in columns.items())
    except pl.exceptions.PolarsError as error:
        raise SourceError(
            f"{path} holds values that are not of their declared type.",
            why=str(error).strip().splitlines()[0],
            do="Correct the file, or 'columns' in the catalog.",
        ) from error


def _cast(name: str, kind: str, dtype: pl.DataType) -> pl.Expr:
    import polars as pl

    column = pl.col(name)
    if dtype == pl.String and kind in ("date", "timestamp", "time"):
        return {"date": column.str.to_date, "timestamp": column.str.to_datetime, "time": column.str.to_time}[kind]()
    return column.cast(getattr(pl, TYPES[kind]))


def _explain(path: Path, content: bytes, message: str) -> SourceError:
    for number, line in enumerate(content.splitlines(), start=1):
        if not line.strip():
            continue
        try:
            value = json.loads(line)
        except UnicodeDecodeError as error:
            why = f"{error.reason}; the file is not UTF-8 text."
        except ValueError as error:
            why = f"{error}."
        else:
            if isinstance(value, dict):
                continue
            why = f"It holds a {type(value).__name__}."
        return SourceError(
            f"Cannot read {path}: line {number} is not a JSON object.", why=why, do="Correct or remove the line."
        )
    return SourceError(f"Cannot read {path}.", why=message, do="Correct the file.")
