"""Tables in CSV files, plain or gzip."""

from __future__ import annotations

import csv
import io
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from filiera.adapters.sources.entries import (
    check_options,
    file_digest,
    find_file,
    fingerprint,
    is_gzip,
    is_texts,
    is_truth,
    is_types,
    no_rows,
    note_file,
    read_bytes,
    reading,
)
from filiera.core.check import TYPES
from filiera.core.collected import Collected
from filiera.core.task import Entry
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl

_INFERENCE_ROWS = 10_000
_MAX_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is no limit of the format
_PARSE_ERROR = re.compile(
    r"could not parse `(.*?)` as dtype `(.*?)` at column '(.*?)' \(column number (\d+)\)", re.DOTALL
)


class CsvSource:
    """Reads ``type = "csv"``: a header and one record per line, UTF-8, quotes as in RFC 4180, an empty field is null.

    Options: ``path``; ``separator`` (","), ``has_header`` (true), ``null_values`` (further texts that mean null),
    ``columns`` (a table of types by column; the types of the others are found from all rows). Without a header,
    ``columns`` names all columns in order. ``path`` is relative to ``filiera.toml``; it may be absolute or lead out of
    the project with ``..``, because the catalog is the user's own.
    """

    def check(self, entry: Entry) -> None:
        """Refuse missing, unknown or mistyped options. Raises ProjectError."""
        check_options(
            entry,
            {"separator": _is_separator, "has_header": is_truth, "columns": is_types, "null_values": is_texts},
        )

    def fingerprint(self, entry: Entry, root: Path) -> str:
        """Return a digest of the file's bytes and how they are read. Raises SourceError."""
        return fingerprint(entry, reader="csv/1", content=file_digest(find_file(entry, root)))

    def read(self, entry: Entry, root: Path, collected: Collected) -> pl.DataFrame:
        """Return the table, at least one row. Raises SourceError naming file and line."""
        path = find_file(entry, root)
        note_file(collected, path)
        file = _CsvFile(
            path=path,
            content=read_bytes(path) if is_gzip(path) else None,
            separator=entry.get("separator", ","),
            has_header=entry.get("has_header", True),
            null_values=list(entry.get("null_values", ())),
            columns=entry.get("columns", {}),
        )
        names = _column_names(file)
        frame = _infer_and_read(file, names)
        if not frame.height:
            raise no_rows(path)
        return _without_short_rows(file, frame)


class _CsvFile(NamedTuple):
    path: Path
    content: bytes | None  #: decompressed bytes; None: read the file itself
    separator: str
    has_header: bool
    null_values: list[str]
    columns: Mapping[str, str]

    def error(self, what: str, *, why: str = "", do: str) -> SourceError:
        return SourceError(f"Cannot read {self.path}: {what}.", why=why, do=do)


def _is_separator(value: Any) -> str:
    is_good = isinstance(value, str) and len(value.encode()) == 1 and value not in '"\r\n\0'
    return "" if is_good else "needs one ASCII character that is not a quote or a line break"


def _infer_and_read(file: _CsvFile, names: Sequence[str]) -> pl.DataFrame:
    """Read with types found in the first rows; where later rows disagree or those were empty, find them in all rows.

    Finding types in all rows takes 13 times as long as reading (2.8 s against 0.2 s for 1 M x 10), hence the first try.
    """
    import polars as pl

    try:
        frame = _read(file, names, inference_rows=_INFERENCE_ROWS)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException):
        return _read_or_explain(file, names)
    head = frame.head(_INFERENCE_ROWS)
    is_unknown = any(
        head[name].null_count() == head.height for name, dtype in frame.schema.items() if dtype == pl.String
    )
    return _read_or_explain(file, names) if is_unknown and frame.height > head.height else frame


def _read_or_explain(file: _CsvFile, names: Sequence[str]) -> pl.DataFrame:
    import polars as pl

    try:
        return _read(file, names, inference_rows=None)
    except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
        raise _explain(file, names, str(error)) from error


def _read(file: _CsvFile, names: Sequence[str], *, inference_rows: int | None) -> pl.DataFrame:
    import polars as pl

    with reading(file.path):
        return pl.read_csv(
            file.path if file.content is None else file.content,
            separator=file.separator,
            has_header=file.has_header,
            new_columns=None if file.has_header else list(names),
            schema_overrides={name: getattr(pl, TYPES[kind]) for name, kind in file.columns.items()},
            null_values=file.null_values or None,
            infer_schema_length=inference_rows,
            glob=False,
        )


def _column_names(file: _CsvFile) -> list[str]:
    """Return the columns' names, after the header, or the first record, was found sound."""
    first = next(_records(file), None)
    if first is None:
        raise no_rows(file.path)
    if not first.fields:
        raise file.error("its first line is empty", do="Remove the line.")
    if not file.has_header:
        return _declared_names(file, width=len(first.fields))
    repeated = [name for name, count in Counter(first.fields).items() if count > 1]
    if repeated:
        why = f"The header is: {', '.join(first.fields)}."
        raise file.error(f"column {repeated[0]!r} is there twice", why=why, do="Rename one of them in the header.")
    missing = [name for name in file.columns if name not in first.fields]
    if missing:
        why = f"The header is: {', '.join(first.fields)}."
        raise file.error(
            f"it has no column {', '.join(map(repr, missing))}", why=why, do="Correct 'columns' in the catalog."
        )
    return first.fields


def _declared_names(file: _CsvFile, *, width: int) -> list[str]:
    if file.columns and len(file.columns) != width:
        raise file.error(
            f"its first line has {width} fields, the catalog names {len(file.columns)} columns",
            do="Name every column, in order, in 'columns' of the catalog.",
        )
    return list(file.columns) or [f"column_{number}" for number in range(1, width + 1)]


class _Record(NamedTuple):
    line: int  #: where it begins, from 1
    fields: list[str]


def _records(file: _CsvFile) -> Iterator[_Record]:
    """Yield the records as Python's csv module sees them: slower, but it knows lines. Raises SourceError."""
    limit_before = csv.field_size_limit(_MAX_FIELD)
    line = 1
    try:
        with reading(file.path), file.path.open("rb") if file.content is None else io.BytesIO(file.content) as raw:
            text = io.TextIOWrapper(raw, encoding="utf-8-sig", newline="")
            reader = csv.reader(text, delimiter=file.separator, strict=True)
            for fields in reader:
                yield _Record(line, fields)
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise _not_utf8(file, error) from error
    except csv.Error as error:
        raise file.error(
            f"line {line} is not CSV", why=f"{error}.", do="Correct its quotes, or the separator in the catalog."
        ) from error
    finally:
        csv.field_size_limit(limit_before)


def _not_utf8(file: _CsvFile, error: UnicodeDecodeError) -> SourceError:
    content = read_bytes(file.path)
    try:
        content.decode("utf-8")
        line = 0
    except UnicodeDecodeError as exact:
        line = content.count(b"\n", 0, exact.start) + 1
    return file.error(
        f"line {line} is not UTF-8 text",
        why=f"{error.reason}; the file may be in another encoding, or not be text at all.",
        do=f"Convert it: iconv -f latin1 -t utf-8 {file.path.name} > converted.csv",
    )


def _explain(file: _CsvFile, names: Sequence[str], message: str) -> SourceError:
    """Return the error for a file Polars refused, with the line at fault where it can be found."""
    unparsed = _PARSE_ERROR.search(message)
    for number, record in enumerate(_records(file)):
        if record.fields and len(record.fields) != len(names):
            return _ragged(file, record, len(names))
        if unparsed and (number or not file.has_header):
            column = int(unparsed[4]) - 1
            if record.fields and record.fields[column] == unparsed[1]:
                kind = file.columns.get(names[column], unparsed[2])
                return file.error(
                    f"line {record.line}, column {names[column]!r}: {unparsed[1]!r} is not {kind}",
                    do="Correct the line, declare another type in 'columns', or list the text in 'null_values'.",
                )
    return file.error("Polars refuses it", why=message.strip().splitlines()[0], do="Correct the file.")


def _ragged(file: _CsvFile, record: _Record, width: int) -> SourceError:
    return file.error(
        f"line {record.line} has {len(record.fields)} fields, the first line has {width}",
        why="The line is cut off, a text with the separator is not quoted, or the separator is another.",
        do="Correct the line, or the separator in the catalog.",
    )


def _without_short_rows(file: _CsvFile, frame: pl.DataFrame) -> pl.DataFrame:
    """Refuse lines that are too short, and drop empty lines: Polars fills both with null.

    Such a line always leaves null in the last column; only a table with a null there is looked through again.
    """
    width = frame.width
    if width == 1 or not frame[:, -1].null_count():
        return frame
    is_empty = []
    for record in _records(file):
        if record.fields and len(record.fields) != width:
            raise _ragged(file, record, width)
        is_empty.append(not record.fields)
    is_empty = is_empty[1:] if file.has_header else is_empty
    if not any(is_empty):
        return frame
    if len(is_empty) != frame.height:
        raise file.error(
            "it has empty lines inside records or quotes that can be read in two ways", do="Remove the empty lines."
        )
    kept = frame.filter(~_truths(is_empty))
    if not kept.height:
        raise no_rows(file.path)
    return kept


def _truths(values: list[bool]) -> pl.Series:
    import polars as pl

    return pl.Series(values, dtype=pl.Boolean)
