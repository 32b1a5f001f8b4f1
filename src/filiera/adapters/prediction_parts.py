"""Predictions of one version and day as a Parquet table, and back as the records that they were.

Columns are ``id``, ``at`` and what else stands beside them, then ``inputs.NAME`` and ``outputs.NAME``. Numbers, texts
and truth values are columns of their type, probabilities a struct of numbers; what else JSON can hold is kept as text.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import msgspec
import polars as pl

from filiera.core.value import dataclass

_GROUPS = ("inputs", "outputs")
_PREFIXES = ("inputs.", "outputs.")
_LEFT_OUT = object()
_EXACT = 2**53
_INT64 = range(-(2**63), 2**63)


@dataclass(frozen=True, kw_only=True, slots=True)
class Spelling:
    """What a table's types do not say."""

    texts: tuple[str, ...] = ()  #: columns of JSON
    gaps: tuple[str, ...] = ()  #: columns in which null means that the record has no such value, not even null


def encoded(records: Sequence[Mapping[str, Any]]) -> tuple[bytes, Spelling]:
    """Return some records, at least one, as a Parquet file."""
    flat = [dict(_flat(record)) for record in records]
    columns, texts, gaps = [], [], []
    for name in dict.fromkeys(name for row in flat for name in row):
        values = [row.get(name, _LEFT_OUT) for row in flat]
        has_gaps, has_nulls = any(value is _LEFT_OUT for value in values), None in values
        found = None if has_gaps and has_nulls else _typed(name, values)
        if found is None:
            texts.append(name)
            found = pl.Series(name, [_text(value) for value in values], dtype=pl.String)
        elif has_gaps:
            gaps.append(name)
        columns.append(found)
    stream = io.BytesIO()
    pl.DataFrame(columns).write_parquet(stream, compression="zstd")
    return stream.getvalue(), Spelling(texts=tuple(texts), gaps=tuple(gaps))


def scanned(file: Path, *, since: float = 0.0, until: float | None = None) -> pl.LazyFrame:
    """Return the rows of a table with ``since <= at < until`` as a query."""
    query = pl.scan_parquet(file)
    if since > 0:
        query = query.filter(pl.col("at") >= since)
    return query if until is None else query.filter(pl.col("at") < until)


def together(files: Sequence[Path]) -> pl.LazyFrame | None:
    """Return all tables as one query; columns that one does not have are null."""
    tables = [pl.scan_parquet(file) for file in files]
    return pl.concat(tables, how="diagonal_relaxed") if tables else None


def decoded(
    file: Path, spelling: Spelling, *, since: float = 0.0, until: float | None = None
) -> Iterator[dict[str, Any]]:
    """Yield the records of a table with ``since <= at < until``, in their order."""
    table = scanned(file, since=since, until=until).collect()
    groups = [
        _rows(table, {name.removeprefix(prefix): name for name in table.columns if name.startswith(prefix)}, spelling)
        for prefix in _PREFIXES
    ]
    heads = _rows(table, {name: name for name in table.columns if not name.startswith(_PREFIXES)}, spelling)
    for head, inputs, outputs in zip(heads, *groups, strict=True):
        yield {**head, "inputs": inputs, "outputs": outputs}


def _rows(table: pl.DataFrame, names: Mapping[str, str], spelling: Spelling) -> list[dict[str, Any]]:
    """Return some columns as rows by other names."""
    if not names:
        return [{} for _ in range(table.height)]
    rows = [dict(zip(names, row, strict=True)) for row in table.select(names.values()).rows()]
    for key, name in names.items():
        if name in spelling.texts or name in spelling.gaps:
            for row in rows:
                if row[key] is None:
                    del row[key]
                elif name in spelling.texts:
                    row[key] = msgspec.json.decode(row[key])
    return rows


def _flat(record: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for name, value in record.items():
        if name in _GROUPS:
            yield from ((f"{name}.{key}", each) for key, each in value.items())
        else:
            yield name, value


def _typed(name: str, values: Sequence[Any]) -> pl.Series | None:
    """Return a column of a type that holds all *values* as they are, or None."""
    known = [value for value in values if value is not _LEFT_OUT and value is not None]
    kinds = {type(value) for value in known}
    dtype: pl.DataType | None = None
    if not kinds:
        dtype = pl.Null()
    elif kinds == {str}:
        dtype = pl.String()
    elif kinds == {bool}:
        dtype = pl.Boolean()
    elif kinds == {int}:
        dtype = pl.Int64() if all(value in _INT64 for value in known) else None
    elif kinds <= {int, float}:
        dtype = pl.Float64() if all(type(value) is float or abs(value) <= _EXACT for value in known) else None
    elif kinds == {dict}:
        dtype = _struct(known)
    if dtype is None:
        return None
    return pl.Series(name, [None if value is _LEFT_OUT else value for value in values], dtype=dtype)


def _struct(known: Sequence[Mapping[str, Any]]) -> pl.DataType | None:
    names = list(known[0])
    if not names or not all(list(each) == names for each in known):
        return None
    if not all(type(number) is float for each in known for number in each.values()):
        return None
    return pl.Struct({name: pl.Float64() for name in names})


def _text(value: Any) -> str | None:
    return None if value is _LEFT_OUT else msgspec.json.encode(value).decode()
