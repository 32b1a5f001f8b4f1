"""Keys: which rows repeat a key, and which name one that another table does not have."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence

import polars as pl

from filiera.core.check import Check
from filiera.data.checked_table import CannotBeChecked, CheckedTable
from filiera.data.column_types import type_name

_HASH = "hash"


def repeated(table: CheckedTable, columns: Sequence[str]) -> pl.LazyFrame:
    """Return the numbers of the rows that repeat an earlier row's values in *columns*, a null among them apart.

    For tables of any size: hashes are counted, in parts so small that the distinct ones of a part fit into memory.
    Where as many are distinct as there are rows no key is repeated. Only else are the rows of the hashes that occur
    twice looked at, whose number is that of repeated keys, and decided by their values.
    """
    keyed = table.numbered.drop_nulls(columns).select(table.index, *columns)
    key = pl.col(columns[0]) if len(columns) == 1 else pl.struct(*columns)
    hashed = keyed.select(table.index, key.hash().alias(_HASH))
    parts = math.ceil(table.rows / table.rows_at_once)
    found = [_repeated_in(table, keyed, hashed.filter(pl.col(_HASH) % parts == part)) for part in range(parts)]
    return pl.concat(found).sort(table.index).lazy()


def _repeated_in(table: CheckedTable, keyed: pl.LazyFrame, hashed: pl.LazyFrame) -> pl.DataFrame:
    counts = table.collect(hashed.select(pl.len().alias("rows"), pl.col(_HASH).n_unique().alias("distinct")))
    rows, distinct = counts.row(0)
    if rows == distinct:
        return pl.DataFrame(schema={table.index: table.numbered.collect_schema()[table.index]})
    again = hashed.group_by(_HASH).len("times").filter(pl.col("times") > 1).select(_HASH)
    twice = hashed.join(again, on=_HASH, how="semi")
    suspects = table.collect(keyed.join(twice.select(table.index), on=table.index, how="semi")).sort(table.index)
    key = pl.struct(pl.exclude(table.index))
    return suspects.filter(~key.is_first_distinct()).select(table.index)


def strangers(table: CheckedTable, check: Check) -> pl.LazyFrame:
    """Return the numbers of the rows whose key another table does not have.

    Raises:
        CannotBeChecked: The other table does not have the columns, or values of another kind in them.
    """
    other = table.other(check.table)
    assert other is not None  # a check without a table is refused at birth
    schema = other.collect_schema()
    missing = [name for name in check.key if name not in schema]
    if missing:
        raise CannotBeChecked(f"{check.table} has no column {', '.join(map(repr, missing))}; it has: {_some(schema)}")
    mine, theirs = [], []
    for number, (column, key) in enumerate(zip(check.columns, check.key, strict=True)):
        common = _common_type(table.schema[column], schema[key])
        if common is None:
            types = type_name(table.schema[column]), type_name(schema[key])
            raise CannotBeChecked(f"{column} is {types[0]}, but {key} of {check.table} is {types[1]}")
        mine.append(pl.col(column).cast(common).alias(f"{number}"))
        theirs.append(pl.col(key).cast(common).alias(f"{number}"))
    names = [f"{number}" for number in range(len(mine))]
    keys = other.select(theirs).drop_nulls().unique()
    keyed = table.numbered.select(pl.col(table.index).alias("number"), *mine).drop_nulls()
    return keyed.join(keys, on=names, how="anti").select(pl.col("number").alias(table.index))


def _some(names: Iterable[str]) -> str:
    return ", ".join(list(names)[:20])


def _common_type(one: pl.DataType, other: pl.DataType) -> pl.DataType | type[pl.DataType] | None:
    """Return a type that holds the values of both without a loss; None when no value of one is of the other."""
    texts = (pl.String, pl.Categorical, pl.Enum)
    if one in texts and other in texts:
        return pl.String
    if one.is_integer() and other.is_integer() and one != other:
        return pl.Int128
    if one.is_float() and other.is_float():
        return pl.Float64
    if pl.Null in (one, other):
        return other if one == pl.Null else one
    return one if one == other else None
