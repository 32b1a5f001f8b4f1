"""Order in time: values that go back, gaps, and how old the newest one is."""

from __future__ import annotations

import datetime as dt
from collections.abc import Collection, Mapping, Sequence
from typing import Any

import polars as pl

from filiera.core.check import HIDDEN, Check
from filiera.data.checked_table import CannotBeChecked, CheckedTable
from filiera.data.column_types import need, type_name

_BATCH_ROWS = 1 << 20
_UNITS_PER_US = {"ns": 1000, "us": 1, "ms": 1 / 1000}
_SHOWN_GROUP = 3


def is_unsorted(schema: Mapping[str, pl.DataType], column: str, by: Sequence[str]) -> pl.Expr:
    """Return an expression that is true in rows whose value is less than the last one before it, in their group."""
    value = _ordered(schema, column)
    before = value.forward_fill().shift(1)
    return value < (before.over(*by) if by else before)


def _ordered(schema: Mapping[str, pl.DataType], column: str) -> pl.Expr:
    """Return the column with null for NaN, which is neither before nor after anything."""
    dtype = schema[column]
    if dtype.is_nested() or dtype in (pl.Categorical, pl.Object):
        raise CannotBeChecked(f"{column} is {type_name(dtype)}, which has no order")
    return pl.col(column).fill_nan(None) if dtype.is_float() else pl.col(column)


def unsorted(table: CheckedTable, column: str, by: Sequence[str]) -> pl.LazyFrame:
    """Return the numbers of the rows that ``is_unsorted`` is true for, of a table of any size.

    Rows come in batches; from one to the next only the last value of each group is kept.
    """
    value = _ordered(table.schema, column).alias("value")
    groups = [pl.col(name).alias(f"{number}") for number, name in enumerate(by)] or [pl.lit(0).alias("0")]
    names = [f"{number}" for number in range(len(groups))]
    last: pl.DataFrame | None = None
    found = []
    query = table.numbered.select(pl.col(table.index).alias("number"), *groups, value).drop_nulls("value")
    for batch in query.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming"):
        joined = batch if last is None else pl.concat([last.select(batch.columns), batch])
        broken = joined.filter(is_unsorted(joined.schema, "value", names))
        found.append(broken.select(pl.col("number").alias(table.index)))
        last = joined.unique(names, keep="last", maintain_order=True)
    empty = table.numbered.select(table.index).head(0).collect()
    return pl.concat([empty, *found]).lazy()


def gaps(check: Check, table: CheckedTable) -> str:
    """Return which gaps are longer than the check allows, or "".

    Rows come in batches, and only stretches without such a gap are kept, with where each begins and ends. Memory grows
    with them, not with the rows: for sorted rows with the gaps found, for others at most with the longest gaps allowed
    that the values span.
    """
    column = check.columns[0]
    dtype = table.schema[column]
    width = _width(check, dtype)
    at = pl.col(column).to_physical() if dtype.is_temporal() else pl.col(column)
    groups = [pl.col(name).alias(f"{n}") for n, name in enumerate(check.by)] or [pl.lit(0).alias("0")]
    names = [f"{n}" for n in range(len(groups))]
    rows = table.frame.select(*groups, at.alias("from"), at.alias("to")).drop_nulls("from")
    if dtype.is_float():
        rows = rows.filter(pl.col("from").is_finite())
    stretches: pl.DataFrame | None = None
    for batch in rows.collect_batches(chunk_size=_BATCH_ROWS, maintain_order=True, engine="streaming"):
        found = _stretches(batch, names, width)
        stretches = found if stretches is None else _stretches(pl.concat([stretches, found]), names, width)
    if stretches is None:
        return ""
    between = stretches.with_columns(ended=pl.col("to").shift(1).over(names)).drop_nulls("ended")
    shown = between.with_columns(pl.col("from").cast(dtype), pl.col("ended").cast(dtype))
    return _told(shown, check, names, table.sensitive) if shown.height else ""


def _stretches(parts: pl.DataFrame, names: Sequence[str], width: float) -> pl.DataFrame:
    """Return stretches "from" "to" put together where they are not more than *width* apart, in order by group."""
    begin, ended = pl.col("from"), pl.col("to").cum_max().shift(1).over(names)
    if parts["from"].dtype.is_integer():
        begin, ended = begin.cast(pl.Int128), ended.cast(pl.Int128)  # of two whole numbers the difference may not fit
    is_first = ended.is_null() | (begin - ended > width)
    numbered = parts.sort(*names, "from", nulls_last=True).with_columns(number=is_first.cum_sum())
    ends = (pl.col(*names, "from").first(), pl.col("to").max())
    return numbered.group_by("number", maintain_order=True).agg(*ends).drop("number")


def _width(check: Check, dtype: pl.DataType) -> float:
    """Return the longest gap in the unit that the column's values are counted in."""
    column, longest = check.columns[0], check.maximum
    if isinstance(longest, dt.timedelta):
        need("date", column, dtype)
        microseconds = longest // dt.timedelta(microseconds=1)
        if isinstance(dtype, pl.Datetime):
            return microseconds * _UNITS_PER_US[dtype.time_unit or "us"]
        return microseconds / 86_400_000_000
    need("number", column, dtype)
    return float(longest)  # type: ignore[arg-type]


def _told(found: pl.DataFrame, check: Check, names: Sequence[str], sensitive: Collection[str]) -> str:
    first = found.row(0, named=True)
    pairs = list(zip(check.by, names, strict=False))[:_SHOWN_GROUP]
    group = ", ".join(f"{by} = {HIDDEN if by in sensitive else repr(first[name])}" for by, name in pairs)
    many = f"{found.height:,} gap{'' if found.height == 1 else 's'} longer than {check.maximum}"
    if check.columns[0] in sensitive:
        return many
    wide = first["from"] - first["ended"]
    return f"{many}, first {wide} from {first['ended']} to {first['from']}" + (f" where {group}" if group else "")


def staleness(check: Check, table: CheckedTable) -> str:
    """Return how old the newest time is when it is too old, or "".

    Raises:
        CannotBeChecked: The column has no times, or nobody said what time it is.
    """
    column, now = check.columns[0], table.beside.now
    need("date", column, table.schema[column])
    if now is None:
        raise CannotBeChecked("nobody said what time it is: Beside(now=datetime.now(UTC))")
    newest: Any = table.collect(table.frame.select(pl.col(column).max())).item()
    if newest is None:
        return f"{column} has no value"
    at = newest if isinstance(newest, dt.datetime) else dt.datetime.combine(newest, dt.time())
    at = at if at.tzinfo else at.replace(tzinfo=dt.UTC)
    assert isinstance(check.maximum, dt.timedelta)
    if now - at <= check.maximum:
        return ""
    if column in table.sensitive:
        return f"the newest {column} is older than {check.maximum}"
    age = dt.timedelta(seconds=round((now - at).total_seconds()))
    return f"the newest {column} is {newest}, {age} before {now:%Y-%m-%d %H:%M:%S %Z}"
