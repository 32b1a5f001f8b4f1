"""Features computed again: by a second definition, or where a value stands in for one that was missing."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import polars as pl

from filiera.core.check import Check
from filiera.core.check_terms import value_kind
from filiera.core.value import dataclass
from filiera.data.checked_table import CannotBeChecked, CheckedTable
from filiera.data.column_types import need, type_name

_STRATEGIES = ("mean", "median", "most_frequent", "min", "max")
_SPREAD = 2_654_435_761
"""A prime near 2³² divided by the golden ratio: its multiples lie evenly in 0..2³², however few of them one takes."""

_ROUNDING = 1e-9
"""A mean is a sum whose last digits depend on the order of the rows."""


@dataclass(frozen=True, kw_only=True, slots=True)
class SecondDefinition:
    """A feature beside what it should be."""

    differs: pl.Expr  #: true in rows where the two are not the same
    columns: tuple[str, ...]  #: the feature, and what the second definition reads
    is_rowwise: bool  #: whether it looks at nothing but the row


def expression_of(check: Check, schema: Mapping[str, pl.DataType]) -> tuple[pl.Expr, pl.DataType]:
    """Return what the check's function gives, and its type in a table of this schema.

    Raises:
        CannotBeChecked: The function raises, gives no expression, or one that does not fit the table.
    """
    from filiera.data.broken_rows import first_line

    assert check.function is not None
    try:
        found = check.function(pl.col)
    except Exception as error:
        raise CannotBeChecked(f"the rule raised {first_line(error)}") from error
    if not isinstance(found, pl.Expr):
        raise CannotBeChecked(f"the rule returned a {type(found).__name__}, not a polars expression")
    try:
        name = "it"
        return found, pl.LazyFrame(schema=schema).select(found.alias(name)).collect_schema()[name]
    except pl.exceptions.PolarsError as error:
        raise CannotBeChecked(f"the rule does not fit the table: {first_line(error)}") from error


def second_definition(check: Check, schema: Mapping[str, pl.DataType]) -> SecondDefinition:
    """Return where a feature differs from its second definition. Raises CannotBeChecked."""
    column, again = check.columns[0], expression_of(check, schema)
    assert check.tolerance is not None
    read = (name for name in again[0].meta.root_names() if name in schema)
    return SecondDefinition(
        differs=_differs(pl.col(column), schema[column], again, tolerance=check.tolerance, name=column),
        columns=tuple(dict.fromkeys((column, *read))),
        is_rowwise=_is_rowwise(again[0]),
    )


def _is_rowwise(expression: pl.Expr) -> bool:
    """Tell whether an expression looks at nothing but the row. Polars says so of the outermost part only (2.1)."""
    try:
        return expression.meta.is_row_separable() and all(map(_is_rowwise, expression.meta.pop()))
    except pl.exceptions.PolarsError:  # of a Python function it does not know
        return False


def _differs(
    one: pl.Expr, dtype: pl.DataType, other: tuple[pl.Expr, pl.DataType], *, tolerance: float, name: str
) -> pl.Expr:
    again, output = other
    if dtype.is_float() or output.is_float():
        if not (dtype.is_numeric() and output.is_numeric()):
            raise CannotBeChecked(f"{name} is {type_name(dtype)}, but its second definition gives {type_name(output)}")
        a, b = one.cast(pl.Float64), again.cast(pl.Float64)
        is_near = (a - b).abs() <= tolerance * pl.max_horizontal(a.abs(), b.abs())
        return ~(a.eq_missing(b) | (is_near & a.is_finite() & b.is_finite()).fill_null(False))
    if output not in (dtype, pl.Null) and not (dtype.is_integer() and output.is_integer()):
        raise CannotBeChecked(f"{name} is {type_name(dtype)}, but its second definition gives {type_name(output)}")
    return one.ne_missing(again)


def sampled(check: Check, table: CheckedTable, again: SecondDefinition) -> pl.LazyFrame:
    """Return the numbers of the rows, of a sample and all boundary rows, where a feature is not as defined again."""
    assert check.sample is not None
    read = [name for name in again.columns[1:] if table.schema[name].is_numeric() or table.schema[name].is_temporal()]
    ends = [end for number, name in enumerate(read) for end in _ends(number, pl.col(name), table.schema[name])]
    bounds = table.collect(table.frame.select(ends)).row(0) if ends else ()
    place = (pl.col(table.index).cast(pl.UInt64) * _SPREAD) % 2**32
    chosen = [place * table.rows < check.sample * 2**32 if table.rows > check.sample else pl.lit(True)]
    for number, name in enumerate(read):
        column = pl.col(name)
        least, greatest = bounds[2 * number : 2 * number + 2]
        if least != greatest:
            chosen += [column == pl.lit(least), column == pl.lit(greatest)]
        if table.schema[name].is_float():
            chosen.append(~column.is_finite())
    chosen += [pl.col(name).is_null() for name in again.columns[1:]]
    rows = table.numbered
    if again.is_rowwise:
        return rows.filter(pl.any_horizontal(chosen)).filter(again.differs).select(table.index)
    return rows.filter(pl.any_horizontal(chosen) & again.differs).select(table.index)


def _ends(number: int, column: pl.Expr, dtype: pl.DataType) -> tuple[pl.Expr, pl.Expr]:
    values = column.filter(column.is_finite()) if dtype.is_float() else column
    return values.min().alias(f"{number}.least"), values.max().alias(f"{number}.greatest")


def is_imputed_wrongly(check: Check, table: CheckedTable) -> tuple[pl.Expr, tuple[str, ...]]:
    """Return an expression true where a value was changed, or null got another one than the strategy's.

    Raises:
        CannotBeChecked: The strategy does not fit the column, or has nothing to learn from.
    """
    column, raw = check.columns
    kept, given = table.schema[column], table.schema[raw]
    if given != kept and not (given.is_numeric() and kept.is_numeric()):
        raise CannotBeChecked(f"{column} is {type_name(kept)}, but {raw} is {type_name(given)}")
    unchanged = pl.col(column).eq_missing(pl.col(raw))
    if kept.is_float():
        # Zero equals minus zero, but not their inverses: so every bit counts.
        before = pl.col(raw).cast(kept)
        unchanged = pl.col(column).eq_missing(before) & (1 / pl.col(column)).eq_missing(1 / before)
    filled = pl.any_horizontal(_equals(pl.col(column), kept, value) for value in _learned(check, table))
    is_good = pl.when(pl.col(raw).is_null()).then(filled.fill_null(False)).otherwise(unchanged)
    return ~is_good, (column, raw)


def _learned(check: Check, table: CheckedTable) -> list[Any]:
    """Return what may stand in for null: one value, or several that are equally frequent."""
    raw, strategy = check.columns[1], check.strategy
    if strategy not in _STRATEGIES:
        need(value_kind(strategy), raw, table.schema[raw])
        return [strategy]
    if strategy in ("mean", "median"):
        need("number", raw, table.schema[raw])
    rows = table.frame
    if check.training:
        need("truth", check.training, table.schema[check.training])
        rows = rows.filter(pl.col(check.training))
    value = pl.col(raw).drop_nulls()
    learn: Mapping[Any, pl.Expr] = {
        "mean": value.mean(),
        "median": value.median(),
        "min": value.min(),
        "max": value.max(),
        "most_frequent": value.mode(),
    }
    found = table.collect(rows.select(learn[strategy].alias("it")))["it"].drop_nulls().to_list()
    if not found:
        raise CannotBeChecked(f"{raw} has no value to learn the {strategy} from")
    return found


def _equals(column: pl.Expr, dtype: pl.DataType, value: Any) -> pl.Expr:
    if dtype.is_float():
        return (column - pl.lit(value)).abs().le(_ROUNDING * abs(value))
    if dtype.is_integer() and isinstance(value, float):
        return column.eq(round(value))
    return column.eq(pl.lit(value))
