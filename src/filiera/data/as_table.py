"""Values that are tables, as Polars queries."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import polars as pl

from filiera.errors import CodecError


def as_query(value: Any) -> pl.LazyFrame | None:
    """Return a query over a table, whichever library it is of; None when *value* is no table.

    >>> as_query(pl.DataFrame({"a": [1]})).collect().item(), as_query(3)
    (1, None)
    """
    if isinstance(value, pl.DataFrame | pl.LazyFrame):
        return value.lazy()
    if isinstance(value, pl.Series):
        return value.to_frame().lazy()
    if type(value).__name__ not in ("DataFrame", "Table"):
        return None
    found = pl.DataFrame(value)
    return found.lazy()


def as_one(tables: Iterable[Any]) -> pl.LazyFrame:
    """Return the rows of several tables as one query, in their order.

    Raises:
        CodecError: There is none, one is no table, or its columns are not those of the first.
    """
    queries: list[pl.LazyFrame] = []
    schema = pl.Schema()
    for number, table in enumerate(tables):
        query = as_query(table)
        if query is None:
            raise CodecError(
                f"Part {number} is no table.",
                why=f"It is a {type(table).__name__}.",
                do="Return a table for each partition, if need be one without rows.",
            )
        found = query.collect_schema()
        schema = schema or found
        if found != schema:
            raise CodecError(
                f"Part {number} has other columns than those before it.",
                why=_difference(schema, found),
                do="Let the step that makes the parts select and cast its columns.",
            )
        queries.append(query)
    if not queries:
        raise CodecError("There is no part.", why="A table needs at least one.", do="Name a partition.")
    return pl.concat(queries, how="vertical")


def _difference(one: pl.Schema, two: pl.Schema) -> str:
    for name in (*one, *two):
        if one.get(name) != two.get(name):
            return f"Column {name!r} is {two.get(name, 'missing')} instead of {one.get(name, 'missing')}."
    return "They stand in another order."
