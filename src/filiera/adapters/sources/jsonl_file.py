"""Tables in JSON-lines files, read as a query: they need not fit into memory.

As with CSV, a file is parsed once before it is stored, so that what is wrong is told with its line.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from filiera.adapters.sources.entries import check_options, is_types, no_rows, reading
from filiera.adapters.sources.found_files import Workspace, find_files, fingerprint_of_files, held, note_files
from filiera.adapters.sources.parts import Part, one_table
from filiera.adapters.sources.unmapped import read_unmapped
from filiera.adapters.sources.unpacking import as_utf8, is_encoding
from filiera.core.collected import Collected
from filiera.core.task import Entry
from filiera.core.value import dataclass
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

_INFERENCE_ROWS = 10_000


class JsonLinesSource:
    """Reads ``type = "jsonl"``: one JSON object per line; a missing key is null.

    Empty lines are skipped. Options: ``path`` and ``encoding``, as for CSV; ``columns`` (a table of types by
    column; the others' are found from all rows).
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(entry, {"columns": is_types, "encoding": is_encoding})

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' bytes and how they are read. Raises SourceError."""
        return fingerprint_of_files(entry, root, reader="jsonl/1")

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.LazyFrame:
        """Return a query over the table, which has at least one row. Raises SourceError naming file and line."""
        read_unmapped()
        found = find_files(entry, root)
        note_files(collected, entry, found, root)
        workspace = Workspace()
        encoding = entry.get("encoding", "utf-8")
        files = [
            _Lines(as_utf8(file.local(workspace), workspace, shown=file.shown, encoding=encoding), file.shown)
            for file in found
        ]
        schema = _sound_schema(files)
        if schema is None:
            raise no_rows(collected.place)
        parts = [Part(one, _scan(file, schema)) for one, file in zip(found, files, strict=True) if not file.is_empty]
        return held(one_table(parts, entry.get("columns", {}), place=collected.place), workspace)


@dataclass(slots=True)
class _Lines:
    """A file, plain and in UTF-8, and what people call it."""

    path: Path
    shown: str
    is_empty: bool = False


def _sound_schema(files: Sequence[_Lines]) -> dict[str, pl.DataType] | None:
    """Return the types of all keys of any file, all of which were parsed with them; None if there are no rows."""
    import polars as pl

    for file in files:
        with reading(Path(file.shown)), file.path.open("rb") as lines:
            file.is_empty = not any(line.strip() for line in lines)
    filled = [file for file in files if not file.is_empty]
    if not filled:
        return None
    for rows in (_INFERENCE_ROWS, None):
        schemas = []
        for file in filled:
            try:
                with reading(Path(file.shown)):
                    schemas.append(pl.scan_ndjson(file.path, infer_schema_length=rows).collect_schema())
            except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
                raise _explain(file, str(error).strip().splitlines()[0]) from error
        schema = _merged(schemas)
        broken = _first_broken(filled, schema)
        if broken is None:
            return schema
    assert broken is not None
    raise _explain(*broken)


def _first_broken(files: Sequence[_Lines], schema: Mapping[str, pl.DataType]) -> tuple[_Lines, str] | None:
    """Parse every value; return the first file that cannot be parsed with these types, and why, or None."""
    import polars as pl

    for file in files:
        try:
            with reading(Path(file.shown)):
                _scan(file, schema).select(pl.all().null_count()).collect(engine="streaming")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            return file, str(error).strip().splitlines()[0]
    return None


def _merged(schemas: Sequence[Mapping[str, pl.DataType]]) -> dict[str, pl.DataType]:
    import polars as pl

    if len(schemas) == 1:
        return dict(schemas[0])
    return dict(pl.concat([pl.DataFrame(schema=schema) for schema in schemas], how="diagonal_relaxed").schema)


def _scan(file: _Lines, schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    # Without the declared types: Polars 2.1 panics on int8 and others here, and prints a Rust backtrace.
    import polars as pl

    return pl.scan_ndjson(file.path, schema=schema)


def _explain(file: _Lines, message: str) -> SourceError:
    with reading(Path(file.shown)), file.path.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            problem = _problem(line)
            if problem:
                return SourceError(
                    f"Cannot read {file.shown}: line {number} is not a JSON object.",
                    why=problem,
                    do="Correct or remove the line.",
                )
    return SourceError(f"Cannot read {file.shown}.", why=message, do="Correct the file.")


def _problem(line: bytes) -> str:
    if not line.strip():
        return ""
    try:
        value = json.loads(line)
    except UnicodeDecodeError as error:
        return f"{error.reason}; the file is not UTF-8 text."
    except ValueError as error:
        return f"{error}."
    return "" if isinstance(value, dict) else f"It holds a {type(value).__name__}."
