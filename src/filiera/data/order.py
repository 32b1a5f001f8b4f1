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

    Values are gathered in boxes half as wide as the longest gap allowed: no two of one box are too far apart, so that
    the least and the greatest of each box tell all gaps. Memory grows with the boxes that are not empty, not with rows.
    """
    column = check.columns[0]
    dtype = table.schema[column]
    width = _width(check, dtype)
    number = pl.col(column).to_physical() if dtype.is_temporal() else pl.col(column)
    box = (number / (width / 2)).floor().alias("box")
    groups = [pl.col(name).alias(f"{n}") for n, name in enumerate(check.by)]
    names = [f"{n}" for n in range(len(groups))]
    rows = table.frame.select(*groups, pl.col(column).alias("value"), number.alias("at"), box).drop_nulls("at")
    if dtype.is_float():
        rows = rows.filter(pl.col("at").is_finite())
    boxes = rows.group_by(*names, "box").agg(
        pl.col("value").min().alias("first"),
        pl.col("value").max().alias("last"),
        pl.col("at").min().alias("from"),
        pl.col("at").max().alias("to"),
    )
    before = [pl.col(name).shift(1).over(names) if names else pl.col(name).shift(1) for name in ("to", "last")]
    found = table.collect(boxes).sort(*names, "from", nulls_last=True)
    found = found.with_columns(before[0].alias("ended"), before[1].alias("end"))
    found = found.filter(pl.col("from") - pl.col("ended") > width)
    return _told(found, check, names, table.sensitive) if found.height else ""


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
    pairs = list(zip(check.by, names, strict=True))[:_SHOWN_GROUP]
    group = ", ".join(f"{by} = {HIDDEN if by in sensitive else repr(first[name])}" for by, name in pairs)
    many = f"{found.height:,} gap{'' if found.height == 1 else 's'} longer than {check.maximum}"
    if check.columns[0] in sensitive:
        return many
    wide = first["first"] - first["end"]
    return f"{many}, first {wide} from {first['end']} to {first['first']}" + (f" where {group}" if group else "")


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
