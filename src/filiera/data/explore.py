"""Look at a table: one lazy pass for the numbers, one for the distributions."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import polars as pl

from filiera.core.value import dataclass
from filiera.data.column_types import type_name
from filiera.data.profile import Bar, Column, ColumnKind, Profile, cramers_v
from filiera.errors import UsageError

_BINS = 24
_MAX_VALUES = 12  # numbers with at most so many different values are shown value by value
_TOP_VALUES = 10
_MAX_CLASSES = 6
_MAX_COUNTED_VALUES = 2000  # categories with more are not compared with the target: the table would be mostly ones
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
_MISSING = "(missing)"
_OTHER = "(other)"


def explore(frame: pl.DataFrame | pl.LazyFrame, *, title: str, target: str | None = None) -> Profile:
    """Return what *frame* looks like.

    Args:
        frame: The table; a lazy one is streamed and never held whole.
        title: What the table is, for people.
        target: A column whose classes the others are compared with; the rarest are taken together beyond six.

    Raises:
        UsageError: There is no such target column, or its type has no classes.

    >>> explore(pl.DataFrame({"a": [1, 1, 2]}), title="t").columns[0].distinct
    2
    """
    lazy = frame.lazy()
    schema = lazy.collect_schema()
    if target is not None and target not in schema:
        raise UsageError(f"There is no column {target!r} to compare with.", why=f"The table has: {', '.join(schema)}.")
    if target is not None and _kind(schema[target]) == "other":
        raise UsageError(f"Column {target!r} is {type_name(schema[target])} and has no classes to compare with.")
    look = _Look(
        frame=lazy,
        schema=schema,
        engine="streaming" if isinstance(frame, pl.LazyFrame) else "in-memory",
        target=target,
        classes=(),
    )
    numbers = _numbers(look)
    rows = numbers["rows"]
    columns = [_column(name, dtype, i, numbers) for i, (name, dtype) in enumerate(schema.items())]
    classes = _classes(look) if target is not None else ()
    look = replace(look, classes=tuple(bar.label for bar in classes))
    shapes = [_Shape.of(column, schema[column.name]) for column in columns]
    counted = pl.collect_all([_count(look, shape) for shape in shapes], engine=look.engine)
    finished = tuple(_with_bars(look, shape, counts, rows) for shape, counts in zip(shapes, counted, strict=True))
    return Profile(
        title=title, rows=rows, columns=finished, repeated_rows=_repeated(look, rows), target=target, classes=classes
    )


@dataclass(frozen=True, kw_only=True, slots=True)
class _Look:
    frame: pl.LazyFrame
    schema: pl.Schema
    engine: Any
    target: str | None
    classes: tuple[str, ...]  #: labels of the target's classes


def _kind(dtype: pl.DataType) -> ColumnKind:
    if dtype.is_numeric():
        return "number"
    if dtype in (pl.Date, pl.Datetime):
        return "time"
    return "category" if dtype in (pl.String, pl.Boolean, pl.Categorical, pl.Enum) else "other"


def _numbers(look: _Look) -> Mapping[str, Any]:
    expressions = [pl.len().alias("rows")]
    for i, (name, dtype) in enumerate(look.schema.items()):
        column, kind = pl.col(name), _kind(dtype)
        found = {"nulls": column.null_count()}
        if kind != "other":
            found["distinct"] = column.drop_nulls().n_unique()
        if kind in ("number", "time"):
            finite = column.filter(column.is_finite()) if dtype.is_float() else column
            found |= {"minimum": finite.min(), "maximum": finite.max()}
        if kind == "number":
            finite = finite.cast(pl.Float64)
            found |= {
                "finite": finite.count(),
                "mean": finite.mean(),
                "deviation": finite.std(),
                "zeros": (column == 0).sum(),
            }
            found |= {f"q{q}": finite.quantile(q, "nearest") for q in _QUANTILES}
        expressions += [expression.alias(f"{i}.{key}") for key, expression in found.items()]
    return look.frame.select(expressions).collect(engine=look.engine).row(0, named=True)


def _column(name: str, dtype: pl.DataType, i: int, numbers: Mapping[str, Any]) -> Column:
    def get(key: str) -> Any:
        return numbers.get(f"{i}.{key}")

    kind = _kind(dtype)
    low, high = get("minimum"), get("maximum")
    as_shown = float if kind == "number" else str
    return Column(
        name=name,
        type=type_name(dtype),
        kind=kind,
        nulls=get("nulls"),
        not_finite=numbers["rows"] - get("nulls") - get("finite") if kind == "number" else 0,
        zeros=get("zeros") or 0,
        distinct=get("distinct"),
        minimum=None if low is None else as_shown(low),
        maximum=None if high is None else as_shown(high),
        mean=get("mean"),
        deviation=get("deviation"),
        quantiles=tuple(get(f"q{q}") for q in _QUANTILES) if get("q0.5") is not None else (),
    )


def _repeated(look: _Look, rows: int) -> int | None:
    if any(dtype == pl.Object for dtype in look.schema.values()) or not look.schema:
        return None
    return rows - int(look.frame.unique().select(pl.len()).collect(engine=look.engine).item())


def _classes(look: _Look) -> tuple[Bar, ...]:
    assert look.target is not None
    counts = (
        look.frame.group_by(pl.col(look.target).cast(pl.String).fill_null(_MISSING).alias("value"))
        .len("rows")
        .sort("rows", "value", descending=[True, False])
        .collect(engine=look.engine)
    )
    pairs = counts.rows()
    kept = pairs if len(pairs) <= _MAX_CLASSES else pairs[: _MAX_CLASSES - 1]
    rest = sum(count for _, count in pairs[len(kept) :])
    return tuple(Bar(label=label, count=count) for label, count in kept + ([(_OTHER, rest)] if rest else []))


@dataclass(frozen=True, kw_only=True, slots=True)
class _Shape:
    """How the rows of one column are put into groups."""

    column: Column
    group: pl.Expr  #: the group of a row: a value, or the number of its range; null: in none
    edges: tuple[float, ...] = ()  #: of ranges, one more than ranges
    is_time: bool = False

    @classmethod
    def of(cls, column: Column, dtype: pl.DataType) -> _Shape:
        value = pl.col(column.name)
        if column.kind == "other" or (column.minimum is None and column.kind != "category"):
            return cls(column=column, group=pl.lit(None, dtype=pl.String))
        if column.kind == "category":
            return cls(column=column, group=value.cast(pl.String))
        if column.kind == "time":
            return _time_shape(column, value, dtype)
        number = value.cast(pl.Float64)
        if dtype.is_float():
            number = pl.when(number.is_finite()).then(number)
        if (column.distinct or 0) <= _MAX_VALUES:
            return cls(column=column, group=number)
        low, high = float(column.minimum), float(column.maximum)  # type: ignore[arg-type]
        if not math.isfinite(high - low):
            return cls(column=column, group=pl.lit(None, dtype=pl.String))
        if _is_skewed(low, high, column.quantiles[3]):
            bin_number, edges = _ranges(number.log1p(), math.log1p(low), math.log1p(high))
            edges = tuple(math.expm1(edge) for edge in edges)
            return cls(column=replace(column, scale="log"), group=bin_number, edges=edges)
        bin_number, edges = _ranges(number, low, high)
        return cls(column=replace(column, scale="linear"), group=bin_number, edges=edges)


def _is_skewed(low: float, high: float, upper_quartile: float) -> bool:
    return low >= 0 and high >= 100 and high > 20 * max(upper_quartile, 1)


def _time_shape(column: Column, value: pl.Expr, dtype: pl.DataType) -> _Shape:
    instant = (value.cast(pl.Datetime("us")) if dtype == pl.Date else value).dt.epoch("us")
    low, high = _epoch_us(str(column.minimum)), _epoch_us(str(column.maximum))
    if low == high:
        return _Shape(column=column, group=value.cast(pl.String))
    bin_number, edges = _ranges(instant.cast(pl.Float64), low, high)
    return _Shape(column=replace(column, scale="linear"), group=bin_number, edges=edges, is_time=True)


def _epoch_us(text: str) -> float:
    import datetime as dt

    instant = dt.datetime.fromisoformat(text)
    return (instant if instant.tzinfo else instant.replace(tzinfo=dt.UTC)).timestamp() * 1e6


def _ranges(number: pl.Expr, low: float, high: float) -> tuple[pl.Expr, tuple[float, ...]]:
    width = (high - low) / _BINS
    bin_number = ((number - low) / width).floor().clip(0, _BINS - 1)
    return bin_number, tuple(low + i * width for i in range(_BINS + 1))


def _count(look: _Look, shape: _Shape) -> pl.LazyFrame:
    """Return a plan for rows per group and class, with the columns group, class and rows."""
    keys = [shape.group.alias("group"), _class_of(look).alias("class")]
    counts = look.frame.select(keys).group_by("group", "class").len("rows")
    if shape.column.kind == "category" and (shape.column.distinct or 0) > _MAX_COUNTED_VALUES:
        counts = (
            look.frame.select(keys[0])
            .group_by("group")
            .len("rows")
            .with_columns(pl.lit("").alias("class"))
            .sort(pl.col("group").is_null(), "rows", "group", descending=[True, True, False])
            .head(_TOP_VALUES + 1)
            .select("group", "class", "rows")
        )
    return counts


def _class_of(look: _Look) -> pl.Expr:
    if look.target is None:
        return pl.lit("")
    label = pl.col(look.target).cast(pl.String).fill_null(_MISSING)
    return pl.when(label.is_in(look.classes)).then(label).otherwise(pl.lit(_OTHER))


def _with_bars(look: _Look, shape: _Shape, counted: pl.DataFrame, rows: int) -> Column:
    column = shape.column
    is_split = bool(look.classes) and counted["class"].is_in(look.classes).all()
    labels = look.classes if is_split else ("",)
    places = {label: i for i, label in enumerate(labels)}
    by_group: dict[Any, list[int]] = {}
    for group, label, count in counted.rows():
        by_group.setdefault(group, [0] * len(labels))[places[label]] += count
    association = None
    if is_split and column.name != look.target and column.kind != "other":
        association = cramers_v(list(by_group.values()))
    by_group.pop(None, None)
    bars = _bars(shape, by_group, is_split=is_split)
    shown = sum(bar.count for bar in bars)
    filled = rows - column.nulls - column.not_finite
    return replace(column, bars=bars, not_shown=filled - shown if bars else 0, association=association)


def _bars(shape: _Shape, by_group: Mapping[Any, Sequence[int]], *, is_split: bool) -> tuple[Bar, ...]:
    def bar(label: str, counts: Sequence[int]) -> Bar:
        return Bar(label=label, count=sum(counts), by_class=tuple(counts) if is_split else ())

    if shape.edges:
        empty = [0] * len(next(iter(by_group.values()), [0]))
        labels = [_range_label(shape, i) for i in range(len(shape.edges) - 1)]
        return tuple(bar(label, by_group.get(float(i), empty)) for i, label in enumerate(labels))
    if shape.column.kind == "number":
        return tuple(bar(f"{value:g}", by_group[value]) for value in sorted(by_group))
    top = sorted(by_group.items(), key=lambda item: (-sum(item[1]), item[0]))[:_TOP_VALUES]
    return tuple(bar(str(value), counts) for value, counts in top)


def _range_label(shape: _Shape, i: int) -> str:
    low, high = shape.edges[i], shape.edges[i + 1]
    if not shape.is_time:
        return f"{low:.4g} to {high:.4g}"
    import datetime as dt

    start, end = (dt.datetime.fromtimestamp(edge / 1e6, dt.UTC) for edge in (low, high))
    return f"{start:%Y-%m-%d %H:%M} to {end:%Y-%m-%d %H:%M}"
