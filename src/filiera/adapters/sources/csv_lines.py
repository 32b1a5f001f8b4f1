"""CSV files line by line, by Python's csv module: slower than Polars, but it knows where something is wrong."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import field
from pathlib import Path
from typing import NamedTuple

from filiera.adapters.sources.entries import reading
from filiera.core.value import dataclass
from filiera.errors import SourceError

_MAX_FIELD = 2**31 - 1  # characters; the csv module's own limit of 131,072 is no limit of the format
_PARSE_ERROR = re.compile(
    r"could not parse `(.*?)` as dtype `(.*?)` at column '(.*?)' \(column number (\d+)\)", re.DOTALL
)


@dataclass(kw_only=True, slots=True)
class CsvFile:
    """A file, plain and in UTF-8, and how it is to be read."""

    path: Path
    shown: str  #: what people call it
    separator: str
    has_header: bool
    null_values: list[str]
    columns: Mapping[str, str]
    no_rows: list[int] = field(default_factory=list)  #: of the rows Polars sees, those that are empty lines

    def error(self, what: str, *, why: str = "", do: str) -> SourceError:
        """Return the error that the file cannot be read."""
        return SourceError(f"Cannot read {self.shown}: {what}.", why=why, do=do)


class Record(NamedTuple):
    """One record of a file."""

    line: int  #: where it begins, from 1
    fields: list[str]


def first_record(file: CsvFile) -> Record | None:
    """Return the first record, or None of an empty file. Raises SourceError."""
    return next(_records(file), None)


def _records(file: CsvFile) -> Iterator[Record]:
    limit_before = csv.field_size_limit(_MAX_FIELD)
    line = 1
    try:
        with reading(Path(file.shown)), file.path.open(encoding="utf-8-sig", newline="") as text:
            reader = csv.reader(text, delimiter=file.separator, strict=True)
            for fields in reader:
                yield Record(line, fields)
                line = reader.line_num + 1
    except UnicodeDecodeError as error:
        raise _not_utf8(file, error) from error
    except csv.Error as error:
        raise file.error(
            f"line {line} is not CSV", why=f"{error}.", do="Correct its quotes, or the separator in the catalog."
        ) from error
    finally:
        csv.field_size_limit(limit_before)


def _not_utf8(file: CsvFile, error: UnicodeDecodeError) -> SourceError:
    with reading(Path(file.shown)), file.path.open("rb") as lines:
        number = next(number for number, line in enumerate(lines, start=1) if not _is_utf8(line))
    return file.error(
        f"line {number} is not UTF-8 text",
        why=f"{error.reason}; the file may be in another encoding, or not be text at all.",
        do='Name the encoding in the catalog, such as encoding = "latin-1".',
    )


def _is_utf8(line: bytes) -> bool:
    try:
        line.decode("utf-8")
    except UnicodeDecodeError:
        return False
    return True


def explain(file: CsvFile, names: Sequence[str], message: str) -> SourceError:
    """Return the error for a file Polars refused, with the line at fault where it can be found."""
    unparsed = _PARSE_ERROR.search(message)
    value = _unquoted(unparsed[1]) if unparsed else ""
    for number, record in enumerate(_records(file)):
        if record.fields and len(record.fields) != len(names):
            return _ragged(file, record, len(names))
        if unparsed and (number or not file.has_header):
            column = int(unparsed[4]) - 1
            if record.fields and record.fields[column] == value:
                kind = file.columns.get(names[column], unparsed[2])
                return file.error(
                    f"line {record.line}, column {names[column]!r}: {value!r} is not {kind}",
                    do="Correct the line, declare another type in 'columns', or list the text in 'null_values'.",
                )
    return file.error("Polars refuses it", why=message.strip().splitlines()[0], do="Correct the file.")


def _unquoted(text: str) -> str:
    """Return a field as the csv module gives it; Polars shows it as it stands in the file."""
    is_quoted = len(text) > 1 and text[0] == text[-1] == '"'
    return text[1:-1].replace('""', '"') if is_quoted else text


def _ragged(file: CsvFile, record: Record, width: int) -> SourceError:
    return file.error(
        f"line {record.line} has {len(record.fields)} fields, the first line has {width}",
        why="The line is cut off, a text with the separator is not quoted, or the separator is another.",
        do="Correct the line, or the separator in the catalog.",
    )


def lines_that_are_no_rows(file: CsvFile, width: int, rows: int) -> list[int]:
    """Return the numbers of those of a file's *rows*, from 0, that are empty lines.

    Raises:
        SourceError: A line has less than *width* fields, or it cannot be told which rows are empty lines.
    """
    if _is_regular(file, width):
        return []
    empty, total = [], -file.has_header
    for record in _records(file):
        if record.fields and len(record.fields) != width:
            raise _ragged(file, record, width)
        if not record.fields:
            empty.append(total)
        total += 1
    if empty and total != rows:
        raise file.error(
            "it has empty lines inside records or quotes that can be read in two ways", do="Remove the empty lines."
        )
    return empty


def _is_regular(file: CsvFile, width: int) -> bool:
    """Tell whether no line has a quote and each has as many separators as it should: 10 times as fast as looking."""
    import polars as pl

    line = pl.col("line")
    is_other = (line.str.count_matches(file.separator, literal=True) != width - 1) | line.str.contains(
        '"', literal=True
    )
    query = pl.scan_lines(file.path, name="line").select(is_other.any())
    try:
        return not query.collect(engine="streaming").item()
    except pl.exceptions.PolarsError:
        return False  # whoever looks line by line says why
