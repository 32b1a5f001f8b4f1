"""From XML files to a table that need not fit into memory."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl
from polars.io.plugins import register_io_source

from filiera.adapters.sources.found_files import SourceFile, Workspace
from filiera.adapters.sources.parts import is_in_folder, partition_columns
from filiera.adapters.sources.thread_ahead import ahead
from filiera.adapters.sources.unpacking import unpacked
from filiera.adapters.sources.xml_columns import Several, TypeFinder, Unfit, columns_of, dtype_of, typed, values_of
from filiera.adapters.sources.xml_rows import ROW, RowReader
from filiera.adapters.sources.xml_rules import Field, Rules
from filiera.adapters.sources.xml_stream import Element, RecordStream, below, outline
from filiera.core.value import dataclass
from filiera.errors import SourceError

BATCH_ROWS = 1 << 13
_KEPT_ROWS = 1 << 16
"""A source of at most so many rows is parsed once: its texts are kept while their types are found."""


def query(rules: Rules, files: Sequence[SourceFile], workspace: Workspace) -> pl.LazyFrame:
    """Return a query over *files*, in order; what must be fetched of them goes to *workspace*.

    Types that are not declared are found first, in all records, which is a pass of its own when there are many.

    Raises:
        SourceError: A file cannot be read; also when the query is run.
    """
    table = _Table(rules, _files(rules, files, workspace))
    types, kept = table.types()
    schema = {field.name: dtype_of(types[field.name], is_list=field.many == "list") for field in rules.fields}
    schema |= table.folders

    def batches(
        columns: list[str] | None, predicate: pl.Expr | None, row_count: int | None, batch_rows: int | None
    ) -> Iterator[pl.DataFrame]:
        left = row_count
        for batch in table.batches() if kept is None else kept:
            if left is not None and left <= 0:
                return
            frame = table.typed(batch, types).select(columns or pl.all()).head(batch.size if left is None else left)
            left = None if left is None else left - frame.height
            yield frame if predicate is None else frame.filter(predicate)

    return register_io_source(batches, schema=schema)


@dataclass(frozen=True, kw_only=True, slots=True)
class _File:
    """A file to read."""

    path: Path
    shown: str  #: where it lies, for people
    folders: Mapping[str, pl.Series]  #: one value by column: what its folders are called

    def pieces(self) -> Iterator[bytes]:
        return unpacked(self.path, shown=self.shown)


def _files(rules: Rules, files: Sequence[SourceFile], workspace: Workspace) -> list[_File]:
    own = {field.name for field in rules.fields}
    said = {key: column for key, column in partition_columns(files, {}).items() if key not in own}
    return [
        _File(
            path=file.local(workspace),
            shown=file.shown,
            folders={key: column[number : number + 1] for key, column in said.items() if is_in_folder(file, key)},
        )
        for number, file in enumerate(files)
    ]


@dataclass(frozen=True, kw_only=True, slots=True)
class _Batch:
    """Some rows of one file, one after the other."""

    file: _File
    first_row: int  #: number of the first one in the file, from 1
    size: int
    found: Mapping[str, pl.Series]  #: by column: texts, lists of texts, or counts


class _Table:
    def __init__(self, rules: Rules, files: Sequence[_File]) -> None:
        self._rules = rules
        self._files = files

    @property
    def folders(self) -> dict[str, pl.DataType]:
        """Return the types of the columns that folders are called by."""
        return {name: values.dtype for name, values in self._files[0].folders.items()}

    def types(self) -> tuple[dict[str, str], list[_Batch] | None]:
        """Return the type of each column, and all batches where there are few."""
        types = dict(self._rules.types) | {f.name: "int64" for f in self._rules.fields if f.many == "count"}
        types |= {f.name: "string" for f in self._rules.fields if f.many == "join"}
        finders = {f.name: TypeFinder() for f in self._rules.fields if f.name not in types}
        if not finders:
            return types, None
        kept: list[_Batch] | None = []
        left = _KEPT_ROWS
        for batch in self.batches():
            left -= batch.size
            if kept is not None:
                kept = [*kept, batch] if left >= 0 else None
            for name, finder in finders.items():
                finder.look(batch.found[name])
        return types | {name: finder.found for name, finder in finders.items()}, kept

    def batches(self) -> Iterator[_Batch]:
        """Yield all rows of all files as texts. Raises SourceError."""
        fields = self._rules.fields
        seen: set[str] = set()
        rows = 0
        for file in self._files:
            for batch in self._batches_of(file):
                rows += batch.size
                if len(seen) < len(fields):
                    seen |= {name for name, found in batch.found.items() if _has_any(found)}
                yield batch
        if not rows:
            raise _no_rows(self._files, self._rules)
        missing = [field for field in fields if field.name not in seen and not field.is_optional]
        if missing:
            raise _nowhere(self._files, self._rules, missing[0])

    def typed(self, batch: _Batch, types: Mapping[str, str]) -> pl.DataFrame:
        """Return a batch as a table. Raises SourceError with the place of a text that is not of its column's type."""
        columns = []
        for field in self._rules.fields:
            found = batch.found[field.name]
            try:
                columns.append(found if field.many == "count" else typed(found, types[field.name]))
            except Unfit as error:
                where = self._where(batch.file, batch.first_row + error.row, field)
                raise SourceError(
                    f"Cannot read {batch.file.shown}: {where}: {_cut(error.text)!r} is not {types[field.name]}.",
                    why=f"The catalog gives column {field.name!r} that type.",
                    do="Correct the file, or declare another type in 'columns'.",
                ) from None
        return pl.DataFrame([*columns, *(v.new_from_index(0, batch.size) for v in batch.file.folders.values())])

    def _batches_of(self, file: _File) -> Iterator[_Batch]:
        names = [field.name for field in self._rules.fields]
        start = 1
        for rows in ahead(self._rows_of(file)):
            columns = columns_of(rows, names)
            yield self._batch(file, start, columns)
            start += columns.height

    def _rows_of(self, file: _File) -> Iterator[bytes]:
        """Yield the rows of a file as texts, many at a time."""
        reader = RowReader(self._rules)
        made: list[bytes] = []
        rows = 0
        for records in ahead(self._records(file)):
            made.append(reader.read(records))
            rows += made[-1].count(ROW.encode())
            if rows >= BATCH_ROWS:
                yield b"".join(made)
                made, rows = [], 0
        if rows:
            yield b"".join(made)

    def _records(self, file: _File) -> Iterator[list[Element]]:
        """Yield the records of a file, some at a time."""
        stream = RecordStream(file.pieces(), self._rules.records, shown=file.shown, encoding=self._rules.encoding)
        return iter(stream)

    def _batch(self, file: _File, first_row: int, columns: pl.DataFrame) -> _Batch:
        found = {}
        for field in self._rules.fields:
            try:
                found[field.name] = values_of(columns[field.name], field)
            except Several as error:
                where = self._where(file, first_row + error.row, field)
                shown = ", ".join(_cut(value) for value in error.values[:3])
                raise SourceError(
                    f"Cannot read {file.shown}: {where}: "
                    f"there are {len(error.values)} values for column {field.name!r}.",
                    why=f"They are: {shown}{' …' if error.values[3:] else ''}.",
                    do=f'Say what becomes of them: {field.name} = {{path = "{field.path}", many = "list"}}; '
                    "or first, join, count; or make each a row with 'rows'.",
                ) from None
        return _Batch(file=file, first_row=first_row, size=columns.height, found=found)

    def _where(self, file: _File, row: int, field: Field) -> str:
        """Return line and XPath of a row's field; the line by reading the file again up to there."""
        line = 0
        records = (record for whole in self._records(file) for record in whole)
        place = self._rules.rows
        elements = (element for record in records for element in (below(record, place) if place else (record,)))
        for element in itertools.islice(elements, row - 1, row):
            line = element.sourceline
        return f"line {line}, ({self._rules.row_path})[{row}]/{field.path}"


def _no_rows(files: Sequence[_File], rules: Rules) -> SourceError:
    there = outline(files[0].pieces())
    return SourceError(
        f"There is no {rules.row_path} in {_named(files)}.",
        why=f"{files[0].shown} begins with: {', '.join(there) or 'nothing'}.",
        do="Correct 'records' or 'rows' in the catalog; an element of a namespace needs its prefix in 'namespaces'.",
    )


def _nowhere(files: Sequence[_File], rules: Rules, field: Field) -> SourceError:
    return SourceError(
        f"No {rules.row_path} of {_named(files)} has {field.path!r}.",
        why=f"It is the path of column {field.name!r}, which would be empty.",
        do=f'Correct the path, or say that it may be so: {field.name} = {{path = "{field.path}", optional = true}}.',
    )


def _named(files: Sequence[_File]) -> str:
    return files[0].shown if len(files) == 1 else f"{files[0].shown} and {len(files) - 1} further files"


def _has_any(found: pl.Series) -> bool:
    if found.dtype == pl.Int64:
        return bool((found > 0).any())
    if isinstance(found.dtype, pl.List):
        return bool((found.list.len() > 0).any())
    return found.null_count() < len(found)


def _cut(text: str) -> str:
    return text if len(text) <= 60 else f"{text[:59]}…"
