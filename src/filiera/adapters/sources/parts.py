"""Files of one source as one table: columns by name, partitions from the folders' names, declared types."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import TYPE_CHECKING

from filiera.adapters.sources.found_files import SourceFile, partition_of
from filiera.core.check import TYPES
from filiera.core.value import dataclass
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, slots=True)
class Part:
    """One file, and the query that reads it."""

    file: SourceFile
    query: pl.LazyFrame


def one_table(parts: Sequence[Part], declared: Mapping[str, str], *, place: str) -> pl.LazyFrame:
    """Return the rows of all files, one after the other, with the columns of the first and those of the folders.

    Args:
        parts: At least one; their columns may be in another order each.
        declared: Types by column.
        place: Where the files lie, for people.

    Raises:
        SourceError: A file lacks a column, has another one, or one of another type; a declared column is nowhere, or
            a value is not of its type.
    """
    import polars as pl

    tables = _with_partitions(parts, declared)
    schema = tables[0].collect_schema()
    for part, table in zip(parts[1:], tables[1:], strict=True):
        _require_same(parts[0].file, schema, part.file, table.collect_schema())
    missing = [name for name in declared if name not in schema]
    if missing:
        raise SourceError(
            f"{place} has no column {', '.join(map(repr, missing))}.",
            why=f"It has: {', '.join(schema)}.",
            do="Correct 'columns' in the catalog.",
        )
    table = pl.concat([table.select(schema.names()) for table in tables]) if len(tables) > 1 else tables[0]
    casts = {name: cast(name, kind, schema[name]) for name, kind in declared.items()}
    others = [name for name, kind in declared.items() if schema[name] != getattr(pl, TYPES[kind])]
    if others:
        try:
            table.select(casts[name].null_count() for name in others).collect(engine="streaming")
        except (pl.exceptions.PolarsError, pl.exceptions.PanicException) as error:
            raise wrong_type(place, error) from error
    return table.with_columns(casts[name] for name in others)


def cast(name: str, kind: str, dtype: pl.DataType) -> pl.Expr:
    """Return a column as one of our types; a text is read where it is to be a day or a time. Fails on other values."""
    import polars as pl

    column = pl.col(name)
    if dtype == pl.String and kind in ("date", "timestamp", "time"):
        return {"date": column.str.to_date, "timestamp": column.str.to_datetime, "time": column.str.to_time}[kind]()
    return column.cast(getattr(pl, TYPES[kind]))


def _with_partitions(parts: Sequence[Part], declared: Mapping[str, str]) -> list[pl.LazyFrame]:
    """Return each part's query with the columns that its folders stand for; a column of the file itself stays."""
    import polars as pl

    found = partition_columns([part.file for part in parts], declared)
    if not found:
        return [part.query for part in parts]
    tables = []
    for number, part in enumerate(parts):
        schema = part.query.collect_schema()
        literals = [
            pl.lit(column[number], dtype=column.dtype).alias(key)
            for key, column in found.items()
            if key not in schema and is_in_folder(part.file, key)
        ]
        tables.append(part.query.with_columns(literals))
    return tables


def partition_columns(files: Sequence[SourceFile], declared: Mapping[str, str]) -> dict[str, pl.Series]:
    """Return by column what the folders of each file say; null where they do not say it. Raises SourceError."""
    values = [partition_of(file.name) for file in files]
    keys = dict.fromkeys(key for each in values for key in each)
    return {key: _column(key, [each.get(key) for each in values], declared.get(key)) for key in keys}


def is_in_folder(file: SourceFile, key: str) -> bool:
    """Return True: the file's folders say a value for the column *key*. Raises SourceError when they do not."""
    if key not in partition_of(file.name):
        raise SourceError(
            f"{file.shown} lies in no folder {key}=….",
            why="Other files of the source do: their folders say which rows they hold.",
            do="Move it, or correct path in the catalog.",
        )
    return True


def _column(name: str, values: Sequence[str | None], kind: str | None) -> pl.Series:
    """Return what the folders of all files say: of the declared type, else as whole numbers, days, or texts."""
    import polars as pl

    frame = pl.DataFrame({name: values}, schema={name: pl.String})
    texts = frame[name]
    if kind is not None:
        try:
            return frame.select(cast(name, kind, pl.String()))[name]
        except pl.exceptions.PolarsError as error:
            raise wrong_type(f"A folder {name}=…", error) from error
    for dtype in ("int64", "date"):
        with suppress(pl.exceptions.PolarsError):
            read = frame.select(cast(name, dtype, pl.String()))[name]
            if read.cast(pl.String).equals(texts):  # "007" is a text
                return read
    return texts


def _require_same(
    first: SourceFile, wanted: Mapping[str, pl.DataType], file: SourceFile, found: Mapping[str, pl.DataType]
) -> None:
    lacking = [name for name in wanted if name not in found]
    further = [name for name in found if name not in wanted]
    if lacking or further:
        lacks = f"lacks the column {lacking[0]!r}" if lacking else f"has the column {further[0]!r}"
        raise SourceError(
            f"{file.shown} {lacks}, unlike {first.shown}.",
            why=f"Its columns are: {', '.join(found)}. Those of the other: {', '.join(wanted)}.",
            do="Correct the file, or let path in the catalog match files with the same columns only.",
        )
    for name, dtype in wanted.items():
        if found[name] != dtype:
            raise SourceError(
                f"Column {name!r} is {found[name]} in {file.shown}, and {dtype} in {first.shown}.",
                why="The files of a source are one table.",
                do="Write one of them again with the type of the other.",
            )


def wrong_type(place: str, error: BaseException) -> SourceError:
    """Return the error of values that are not of the type that the catalog declares."""
    return SourceError(
        f"{place} holds values that are not of their declared type.",
        why=str(error).strip().partition("\n\nResolved plan")[0].splitlines()[0],
        do="Correct the file, or 'columns' in the catalog.",
    )
