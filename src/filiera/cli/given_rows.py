"""Rows that a command is given: a file, or standard input in one of several forms."""

from __future__ import annotations

import io
import json
import shutil
import sys
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import ExitStack
from itertools import islice
from pathlib import Path
from typing import Any, Literal, TypeAlias

from filiera.errors import SourceError, UsageError
from filiera.project.tables import FILE_TYPES, file_type, read_file

Form: TypeAlias = Literal["csv", "jsonl", "parquet", "arrow"]
FORMS: tuple[Form, ...] = ("csv", "jsonl", "parquet", "arrow")
Table: TypeAlias = Any
"""A query of Polars."""
Given: TypeAlias = Table | Iterator[Mapping[str, Any]]
"""A table, or rows as JSON has them, which may leave columns out."""

_BEGINNINGS: tuple[tuple[bytes, Form], ...] = ((b"\xff\xff\xff\xff", "arrow"), (b"PAR1", "parquet"))
INPUT = "-"


def given_rows(file: str, form: str | None, limit: int | None, held: ExitStack) -> Given:
    """Return what *file* has, read as it is asked for.

    Args:
        file: A path, or ``-`` for standard input.
        form: One of FORMS; None: as the file's ending says, or the first bytes of standard input.
        limit: At most so many rows.
        held: Gets what is to be closed when all is read.

    Raises:
        UsageError: The ending is unknown.
        SourceError: There is no such file, or it is not of its form.
    """
    found = _of_input(form, held) if file == INPUT else _of_file(Path(file), form, held)
    if isinstance(found, Iterator):
        return islice(found, limit)
    return found if limit is None else found.head(limit)


def _of_file(file: Path, form: str | None, held: ExitStack) -> Table:
    kind = form or file_type(file.name)
    if not kind:
        raise UsageError(
            f"{file} has no ending that says what it is.",
            why=f"Known are: {', '.join(FILE_TYPES)}.",
            do=f"say it: --format {'|'.join(FORMS)}",
        )
    if kind != "arrow":
        return read_file(file, kind)
    from filiera.serving.arrow_tables import streamed_table

    try:
        stream = held.enter_context(file.open("rb"))
    except OSError as error:
        raise SourceError(f"{file} cannot be read.", why=str(error.strerror)) from error
    return streamed_table(stream, str(file))


def _of_input(form: str | None, held: ExitStack) -> Given:
    stream: Any = sys.stdin.buffer
    kind = form or form_of(stream.peek(4096))
    if kind == "jsonl":
        return _lines(stream)
    if kind == "arrow":
        from filiera.serving.arrow_tables import streamed_table

        return streamed_table(stream, "standard input")
    # Such a table is read twice, or from its end.
    copy = Path(held.enter_context(tempfile.TemporaryDirectory(prefix="filiera-predict-"))) / f"standard-input.{kind}"
    with copy.open("wb") as file:
        shutil.copyfileobj(stream, file)
    return read_file(copy, kind)


def form_of(beginning: bytes) -> Form:
    """Return in which form rows are that begin so.

    >>> form_of(b"  {"), form_of(b"a,b"), form_of(b"")
    ('jsonl', 'csv', 'jsonl')
    """
    for mark, form in _BEGINNINGS:
        if beginning.startswith(mark):
            return form
    text = beginning.removeprefix(b"\xef\xbb\xbf").lstrip()
    return "jsonl" if not text or text[:1] in b"{[" else "csv"


def _lines(stream: io.BufferedIOBase) -> Iterator[Mapping[str, Any]]:
    for number, line in enumerate(stream, start=1):
        if not line.strip():
            continue
        try:
            row = json.loads(line)
        except (ValueError, RecursionError) as error:
            why = getattr(error, "msg", "") or "it is not UTF-8, or nested too deeply"
            raise SourceError(f"Line {number} of standard input is not JSON: {why}.") from error
        if not isinstance(row, dict):
            raise SourceError(f"Line {number} of standard input is no JSON object.")
        yield row
