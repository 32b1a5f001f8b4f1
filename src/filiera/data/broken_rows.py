"""Turn one check into Polars expressions that are true in the rows that break it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import field
from typing import Any

import polars as pl

from filiera.core.check import Check, value_kind
from filiera.core.value import dataclass
from filiera.data.column_types import type_name


@dataclass(frozen=True, kw_only=True, slots=True)
class Broken:
    """A check as expressions over one schema; null in an expression counts as "not broken"."""

    parts: Mapping[str, pl.Expr] = field(default_factory=dict)  #: by column, or one under the check's name
    total: pl.Expr | None = None  #: how many rows are broken, where that is cheaper than to find which
    columns: tuple[str, ...] = ()  #: columns worth showing beside an offending row
    problem: str = ""  #: why the check fails or cannot be evaluated whatever the rows are


def broken_rows(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    """Return the expressions of *check* for a table with this *schema*."""
    missing = [name for name in check.columns if name not in schema]
    if missing:
        there = ", ".join(list(schema)[:20]) + (" …" if len(schema) > 20 else "")
        return Broken(problem=f"no column {', '.join(map(repr, missing))}; the table has: {there or 'none'}")
    try:
        return _COMPILERS[check.kind](check, schema)
    except _Unfit as error:
        return Broken(problem=str(error))


class _Unfit(Exception):
    """A check that does not fit the types of the columns."""


def _not_null(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    return Broken(parts={name: pl.col(name).is_null() for name in check.columns}, columns=check.columns)


def _finite(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    for name in check.columns:
        _need("number", name, schema[name])
    parts = {name: ~pl.col(name).is_finite() if schema[name].is_float() else pl.lit(False) for name in check.columns}
    return Broken(parts=parts, columns=check.columns)


def _in_range(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    name = check.columns[0]
    bounds = [bound for bound in (check.minimum, check.maximum) if bound is not None]
    _need(value_kind(bounds[0]), name, schema[name])
    column = pl.col(name)
    broken = column.is_nan() if schema[name].is_float() else pl.lit(False)
    if check.minimum is not None:
        broken |= column < check.minimum
    if check.maximum is not None:
        broken |= column > check.maximum
    return Broken(parts={name: broken}, columns=check.columns)


def _in_set(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    name = check.columns[0]
    dtype = schema[name]
    _need(value_kind(check.values[0]), name, dtype)
    column, values = pl.col(name), list(check.values)
    if dtype in (pl.Categorical, pl.Enum):
        column = column.cast(pl.String)
    elif dtype.is_integer():
        values = [int(value) for value in values if value == int(value)]  # type: ignore[arg-type]
    elif dtype.is_numeric():
        column, values = column.cast(pl.Float64), [float(value) for value in values]  # type: ignore[arg-type]
    return Broken(parts={name: ~column.is_in(values)}, columns=check.columns)


def _matches(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    name = check.columns[0]
    _need("text", name, schema[name])
    return Broken(parts={name: ~pl.col(name).cast(pl.String).str.contains(check.pattern)}, columns=check.columns)


def _unique(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    has_null = pl.any_horizontal(*(pl.col(name).is_null() for name in check.columns))
    if len(check.columns) > 1:
        return Broken(
            parts={check.name: ~(pl.struct(*check.columns).is_first_distinct() | has_null)}, columns=check.columns
        )
    key = pl.col(check.columns[0])
    # Processor time for 1 M random integers: 38 ms, against 185 ms to mark the rows.
    total = key.drop_nulls().len() - key.drop_nulls().n_unique()
    return Broken(parts={check.name: ~(key.is_first_distinct() | has_null)}, total=total, columns=check.columns)


def _types(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    wrong = [
        f"{name} is {type_name(schema[name])}, not {wanted}"
        for name, wanted in zip(check.columns, check.type_names, strict=True)
        if type_name(schema[name]) != wanted
    ]
    return Broken(problem="; ".join(wrong))


def _rows(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    return Broken()


def _one_hot(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    ones, zeros = [], []
    for name in check.columns:
        if schema[name] != pl.Boolean:
            _need("number", name, schema[name])
        is_one = pl.col(name) if schema[name] == pl.Boolean else pl.col(name) == 1
        is_zero = ~pl.col(name) if schema[name] == pl.Boolean else pl.col(name) == 0
        ones.append(is_one.fill_null(False).cast(pl.UInt32))
        zeros.append(is_zero.fill_null(False).cast(pl.UInt32))
    is_good = (pl.sum_horizontal(ones) == 1) & (pl.sum_horizontal(zeros) == len(zeros) - 1)
    return Broken(parts={check.name: ~is_good}, columns=check.columns)


def _rule(check: Check, schema: Mapping[str, pl.DataType]) -> Broken:
    assert check.function is not None
    try:
        holds = check.function(pl.col)
    except Exception as error:  # noqa: BLE001 the user's function may raise anything; it becomes the check's reason
        return Broken(problem=f"the rule raised {first_line(error)}")
    if not isinstance(holds, pl.Expr):
        return Broken(problem=f"the rule returned a {type(holds).__name__}, not a polars expression")
    try:
        output = pl.LazyFrame(schema=schema).select(holds.alias(check.name)).collect_schema()[check.name]
    except pl.exceptions.PolarsError as error:
        return Broken(problem=f"the rule does not fit the table: {first_line(error)}")
    if output != pl.Boolean:
        return Broken(problem=f"the rule gives {type_name(output)}, not bool")
    columns = tuple(name for name in holds.meta.root_names() if name in schema)
    return Broken(parts={check.name: ~holds}, columns=tuple(dict.fromkeys(columns)))


_Compiler = Callable[[Check, Mapping[str, pl.DataType]], Broken]
_COMPILERS: Mapping[str, _Compiler] = {
    "not_null": _not_null,
    "finite": _finite,
    "in_range": _in_range,
    "in_set": _in_set,
    "matches": _matches,
    "unique": _unique,
    "types": _types,
    "rows": _rows,
    "one_hot": _one_hot,
    "rule": _rule,
}

_FITS: Mapping[str, Callable[[Any], bool]] = {
    "number": lambda dtype: dtype.is_numeric(),
    "truth": lambda dtype: dtype == pl.Boolean,
    "text": lambda dtype: dtype in (pl.String, pl.Categorical, pl.Enum),
    "date": lambda dtype: dtype in (pl.Date, pl.Datetime),
    "timestamp": lambda dtype: dtype == pl.Datetime,
    "duration": lambda dtype: dtype == pl.Duration,
}


def _need(kind: str, column: str, dtype: pl.DataType) -> None:
    if dtype != pl.Null and not _FITS[kind](dtype):
        raise _Unfit(f"{column} is {type_name(dtype)}; this check needs a {kind} column")


def first_line(error: BaseException) -> str:
    """Return the class and the first line of an error's text."""
    text = str(error).strip().splitlines()
    return f"{type(error).__name__}: {text[0]}" if text else type(error).__name__
