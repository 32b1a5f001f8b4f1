"""Tables in CSV files, read as a query: they need not fit into memory.

A file is parsed twice: once to find its types and to see that all of it is sound, so that what is wrong is told with
its line before anything is stored, and once while it is stored.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from filiera.adapters.sources.csv_lines import CsvFile, explain, first_record, lines_that_are_no_rows
from filiera.adapters.sources.entries import check_options, is_texts, is_truth, is_types, no_rows, reading
from filiera.adapters.sources.found_files import (
    SourceFile,
    Workspace,
    find_files,
    fingerprint_of_files,
    held,
    note_files,
)
from filiera.adapters.sources.parts import Part, one_table
from filiera.adapters.sources.unpacking import as_utf8, is_encoding
from filiera.core.check import TYPES
from filiera.core.collected import Collected
from filiera.core.task import Entry

if TYPE_CHECKING:
    import polars as pl

_INFERENCE_ROWS = 10_000


class CsvSource:
    """Reads ``type = "csv"``: a header and one record per line, quotes as in RFC 4180, an empty field is null.

    Options: ``path``, a file or a pattern; ``separator`` (","), ``has_header`` (true), ``null_values`` (further texts
    that mean null), ``columns`` (a table of types by column; the types of the others are found from all rows),
    ``encoding`` ("utf-8"). Without a header, ``columns`` names all columns in order. ``path`` is relative to
    ``filiera.toml``; it may be absolute or lead out of the project with ``..``, because the catalog is the user's own.
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(
            entry,
            {
                "separator": _is_separator,
                "has_header": is_truth,
                "columns": is_types,
                "null_values": is_texts,
                "encoding": is_encoding,
            },
        )

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the files' bytes and how they are read. Raises SourceError."""
        return fingerprint_of_files(entry, root, reader="csv/1")

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.LazyFrame:
        """Return a query over the table, which has at least one row. Raises SourceError naming file and line."""
        found = find_files(entry, root)
        note_files(collected, entry, found, root)
        workspace = Workspace()
        files = [_file(entry, one, workspace) for one in found]
        names = [_column_names(file) for file in files]
        schema = _sound_schema(files, names)
        if schema is None:
            raise no_rows(collected.place)
        parts = [Part(one, _query(file, own, schema)) for one, file, own in zip(found, files, names, strict=True)]
        return held(one_table(parts, entry.get("columns", {}), place=collected.place), workspace)


def _is_separator(value: Any) -> str:
    is_good = isinstance(value, str) and len(value.encode()) == 1 and value not in '"\r\n\0'
    return "" if is_good else "needs one ASCII character that is not a quote or a line break"


def _file(entry: Entry, file: SourceFile, workspace: Workspace) -> CsvFile:
    path = as_utf8(file.local(workspace), workspace, shown=file.shown, encoding=entry.get("encoding", "utf-8"))
    return CsvFile(
        path=path,
        shown=file.shown,
        separator=entry.get("separator", ","),
        has_header=entry.get("has_header", True),
        null_values=list(entry.get("null_values", ())),
        columns=entry.get("columns", {}),
    )


def _column_names(file: CsvFile) -> list[str]:
    """Return the columns' names, after the header, or the first record, was found sound."""
    first = first_record(file)
    if first is None:
        raise no_rows(file.shown)
    if not first.fields:
        raise file.error("its first line is empty", do="Remove the line.")
    if not file.has_header:
        return _declared_names(file, width=len(first.fields))
    why = f"The header is: {', '.join(first.fields)}."
    if "" in first.fields:
        number = first.fields.index("") + 1
        raise file.error(f"column {number} has no name", why=why, do="Give it one in the header.")
    repeated = [name for name, count in Counter(first.fields).items() if count > 1]
    if repeated:
        raise file.error(f"column {repeated[0]!r} is there twice", why=why, do="Rename one of them in the header.")
    return first.fields


def _declared_names(file: CsvFile, *, width: int) -> list[str]:
    if file.columns and len(file.columns) != width:
        raise file.error(
            f"its first line has {width} fields, the catalog names {len(file.columns)} columns",
            do="Name every column, in order, in 'columns' of the catalog.",
        )
    return list(file.columns) or [f"column_{number}" for number in range(1, width + 1)]


def _sound_schema(files: Sequence[CsvFile], names: Sequence[list[str]]) -> dict[str, pl.DataType] | None:
    """Return the type of each column of any file, all of which were parsed with it; None if there are no rows.

    Types are found in the first rows; where later rows disagree or those were empty, they are found in all rows. That
    takes 13 times as long as reading (2.8 s against 0.2 s for 1 M x 10), hence the first try.
    """
    import polars as pl

    schema = _types(files, names, rows=_INFERENCE_ROWS)
    if schema is not None:
        try:
            return schema if _row_count(files, names, schema) else None
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
            pass  # a later row is of another type, or broken: the second look says
    schema = _types(files, names, rows=None)
    assert schema is not None
    total = 0
    for file, own in zip(files, names, strict=True):
        try:
            total += _row_count([file], [own], schema)
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise explain(file, own, str(error)) from error
    return schema if total else None


def _row_count(files: Sequence[CsvFile], names: Sequence[list[str]], schema: Mapping[str, pl.DataType]) -> int:
    """Parse every value and return how many rows there are. Raises what Polars does, or SourceError."""
    import polars as pl

    total = 0
    for file, own in zip(files, names, strict=True):
        query = _scan(file, own, schema)
        with reading(Path(file.shown)):
            counts = query.select(pl.len().alias("rows"), pl.struct(pl.all().null_count()).alias("nulls"))
            found = counts.collect(engine="streaming").row(0, named=True)
        if (
            len(own) > 1 and found["nulls"][own[-1]]
        ):  # Polars fills lines that are too short, even empty ones, with null
            file.no_rows = lines_that_are_no_rows(file, len(own), found["rows"])
        total += found["rows"] - len(file.no_rows)
    return total


def _types(files: Sequence[CsvFile], names: Sequence[list[str]], *, rows: int | None) -> dict[str, pl.DataType] | None:
    """Return the types of all columns, found in so many rows of each file; None when those are too few to tell."""
    import polars as pl

    found: dict[str, pl.DataType] = {}
    unknown: set[str] = set()
    for file, own in zip(files, names, strict=True):
        try:
            with reading(Path(file.shown)):
                query = _scan(file, own, None, rows=rows)
                schema = query.collect_schema()
                texts = [name for name, dtype in schema.items() if dtype == pl.String]
                head = query.select(texts).head(_INFERENCE_ROWS if rows else 1).collect() if texts else None
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            if rows is None:
                raise explain(file, own, str(error)) from error
            return None
        for name, dtype in schema.items():
            is_empty = (
                rows is not None and head is not None and name in texts and head[name].null_count() == head.height
            )
            if is_empty:
                unknown |= {name} if head is not None and head.height == rows else set()
            else:
                found[name] = _common(found.get(name, dtype), dtype)
    if unknown:
        return None
    return {name: found.get(name, pl.String()) for own in names for name in own}


def _common(one: pl.DataType, other: pl.DataType) -> pl.DataType:
    import polars as pl

    if one == other:
        return one
    return pl.Float64() if one.is_numeric() and other.is_numeric() else pl.String()


def _scan(
    file: CsvFile, names: list[str], schema: Mapping[str, pl.DataType] | None, *, rows: int | None = None
) -> pl.LazyFrame:
    import polars as pl

    declared = {name: getattr(pl, TYPES[kind]) for name, kind in file.columns.items() if name in names}
    return pl.scan_csv(
        file.path,
        separator=file.separator,
        has_header=file.has_header,
        new_columns=None if file.has_header else names,
        schema=None if schema is None else {name: schema[name] for name in names},
        schema_overrides=declared,
        null_values=file.null_values or None,
        infer_schema_length=rows,
        glob=False,
    )


def _query(file: CsvFile, names: list[str], schema: Mapping[str, pl.DataType]) -> pl.LazyFrame:
    """Return the rows of one file."""
    import polars as pl

    query = _scan(file, names, schema)
    if not file.no_rows:
        return query
    number = "row" + "_" * max(map(len, names))  # no column is called so
    return query.with_row_index(number).filter(~pl.col(number).is_in(file.no_rows)).drop(number)
