"""From the values of a column, each with its number of rows, to quantiles and bars."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import polars as pl

from filiera.core.value import dataclass
from filiera.data.profile import ColumnKind
from filiera.data.sketch import ones
from filiera.data.tally import as_number

BINS = 24
LONGEST_TEXT = 256
"""Of longer texts the beginning is looked at."""
TOP_VALUES = 10
_MAX_VALUES = 12  # numbers with at most so many different values are shown value by value
_MAX_WHOLE_BINS = 64
_LEAST_INEXACT = 2.0**52
_LEAST_SAMPLED = 25
_QUANTILES = (0.05, 0.25, 0.5, 0.75, 0.95)
Group = float | str | None
"""A value, or the number of a range; None: in neither."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Values:
    """The values of a column, ascending, and the rows that hold each."""

    kind: ColumnKind
    dtype: pl.DataType
    counts: pl.DataFrame  #: ``value``: text, or a finite float (times and durations in seconds); ``rows``

    @classmethod
    def of(cls, counts: pl.DataFrame, kind: ColumnKind) -> Values:
        """Return the values of *counts*, in whose column ``rows`` is how many rows hold each ``value``."""
        dtype = counts.schema["value"]
        value = comparable(pl.col("value"), dtype, kind)
        found = counts.select(value, "rows").drop_nulls("value")
        # Different values may be the same float, or begin with the same text.
        found = found.group_by("value").agg(pl.col("rows").sum())
        return cls(kind=kind, dtype=dtype, counts=found.sort("value"))

    @classmethod
    def of_rows(cls, values: pl.Series, kind: ColumnKind) -> Values:
        """Return the values of rows; numbers and times that are equal are not put together."""
        if kind == "category":
            return cls.of(values.drop_nulls().alias("value").value_counts(name="rows"), kind)
        value = comparable(pl.col("value"), values.dtype, kind)
        found = values.alias("value").to_frame().select(value).drop_nulls().to_series().sort()
        return cls(kind=kind, dtype=values.dtype, counts=pl.DataFrame({"value": found, "rows": ones(len(found))}))

    @property
    def total(self) -> int:
        """Return how many rows hold a value."""
        return int(self.counts["rows"].sum())

    def quantiles(self) -> tuple[float, ...]:
        """Return the values at 5, 25, 50, 75 and 95 %: that in place ``round(q * (n - 1))``, from 0, of n in order.

        >>> Values.of(pl.DataFrame({"value": [1, 3], "rows": [9, 1]}), "number").quantiles()
        (1.0, 1.0, 1.0, 1.0, 3.0)
        """
        ends = self.counts["rows"].cum_sum()
        if not len(ends):
            return ()
        places = [math.floor(q * (self.total - 1) + 0.5) for q in _QUANTILES]
        found = ends.search_sorted(pl.Series(places, dtype=ends.dtype), side="right")
        return tuple(self.counts["value"].gather(found).to_list())


def comparable(value: pl.Expr, dtype: pl.DataType, kind: ColumnKind) -> pl.Expr:
    """Return values as the beginning of texts or finite floats; all else is null."""
    if kind == "category":
        return value.cast(pl.String).str.slice(0, LONGEST_TEXT)
    number = as_number(value, dtype)
    return pl.when(number.is_finite()).then(number) if dtype.is_float() else number


@dataclass(frozen=True, kw_only=True, slots=True)
class Shape:
    """How the rows of one column are put into groups."""

    group: pl.Expr  #: the group of a row by its column ``value``, which is as in ``Values``
    scale: Literal["linear", "log", "values"] = "values"
    edges: tuple[float, ...] = ()  #: of ranges, one more than ranges
    is_whole: bool = False  #: ranges of whole numbers, each from its edge to before the next


def shape_of(values: Values, quantiles: Sequence[float], *, low: float, high: float) -> Shape:
    """Return how to draw a column whose finite values lie between *low* and *high*."""
    value = pl.col("value")
    few = values.kind == "number" and values.counts["value"].n_unique() <= _MAX_VALUES
    if values.kind == "category" or few or low == high or not math.isfinite(high - low):
        return Shape(group=value)
    if values.kind == "number" and _is_skewed(low, high, quantiles[3]):
        group, edges = _ranges(value.log1p(), math.log1p(low), math.log1p(high))
        return Shape(group=group, scale="log", edges=tuple(math.expm1(edge) for edge in edges))
    if values.dtype.is_integer() and high < _LEAST_INEXACT and low > -_LEAST_INEXACT:
        return _whole_ranges(int(low), int(high))
    group, edges = _ranges(value, low, high)
    return Shape(group=group, scale="linear", edges=edges)


def _is_skewed(low: float, high: float, upper_quartile: float) -> bool:
    return low >= 0 and high >= 100 and high > 20 * max(upper_quartile, 1)


def _ranges(number: pl.Expr, low: float, high: float) -> tuple[pl.Expr, tuple[float, ...]]:
    width = (high - low) / BINS
    return ((number - low) / width).floor().clip(0, BINS - 1), tuple(low + i * width for i in range(BINS + 1))


def _whole_ranges(low: int, high: int) -> Shape:
    """Return ranges that hold equally many whole numbers, but for the last: else even ones would look uneven."""
    numbers = high - low + 1
    width = 1 if numbers <= _MAX_WHOLE_BINS else numbers // BINS
    count = -(-numbers // width)
    group = ((pl.col("value") - low) / width).floor()
    edges = tuple(float(low + i * width) for i in range(count + 1))
    return Shape(group=group, scale="linear", edges=edges, is_whole=True)


def rows_by_group(values: Values, shape: Shape, *, is_exact: bool) -> dict[Group, int]:
    """Return how many rows are in each group that gets a bar, empty ranges too, in the order of the bars.

    All ranges and values of numbers get one, and the most frequent categories; of a sample, only those in 25 of its
    rows, since how many rows of the table hold the others would be off by a fifth and more.
    """
    if values.kind == "category":
        counts = values.counts if is_exact else values.counts.filter(pl.col("rows") >= _LEAST_SAMPLED)
        if counts.height > TOP_VALUES:
            least = counts["rows"].top_k(TOP_VALUES).min()
            counts = counts.filter(pl.col("rows") >= least)
        found = counts.sort("rows", "value", descending=[True, False]).head(TOP_VALUES).rows()
        return {group: int(rows) for group, rows in found}
    if not shape.edges and values.counts["value"].n_unique() > _MAX_VALUES:
        return {}  # too far apart for ranges
    grouped = values.counts.select(shape.group.alias("group"), "rows").group_by("group").agg(pl.col("rows").sum())
    ranges = {float(i): 0 for i in range(len(shape.edges) - 1)}
    return ranges | {group: int(rows) for group, rows in grouped.sort("group").rows()}


def scaled(counts: Sequence[int], total: int) -> list[int]:
    """Return whole numbers in the proportion of *counts* that sum to *total*, each less than one off.

    Source:
        The method of largest remainders (A. Hamilton, 1792).

    >>> scaled([1, 1, 1], 10), scaled([0, 0], 5)
    ([4, 3, 3], [0, 0])
    """
    whole = sum(counts)
    if not whole:
        return [0] * len(counts)
    parts = [divmod(count * total, whole) for count in counts]
    found = [part for part, _ in parts]
    places = sorted(range(len(counts)), key=lambda i: (-parts[i][1], i))
    for i in places[: total - sum(found)]:
        found[i] += 1
    return found


def labels(groups: Sequence[Group], values: Values, shape: Shape) -> list[str]:
    """Return the label of each group."""
    if values.kind == "category":
        return [str(group) for group in groups]
    if shape.edges:
        if shape.is_whole:
            return [_whole_label(low, high - 1) for low, high in pairwise(shape.edges)]
        ends = _edge_labels(shape.edges, values)
        return [f"{ends[i]} to {ends[i + 1]}" for i in range(len(shape.edges) - 1)]
    if values.kind == "time":
        return _edge_labels([float(group or 0) for group in groups], values)
    return [f"{group:.15g}" for group in groups]


def _whole_label(first: float, last: float) -> str:
    return f"{first:.10g}" if first == last else f"{first:.10g} to {last:.10g}"


def _edge_labels(edges: Sequence[float], values: Values) -> list[str]:
    if values.kind == "number":
        return [f"{edge:.4g}" for edge in edges]
    if values.dtype == pl.Time:
        return [time_text(edge * 1e9, values.dtype)[:8] for edge in edges]
    return [time_text(edge * 1e6, pl.Datetime("us"))[:16] for edge in edges]


def time_text(stored: float, dtype: pl.DataType) -> str:
    """Return a time of which the stored number is known, as text.

    >>> time_text(0, pl.Date()), time_text(1_500_000, pl.Datetime("us"))
    ('1970-01-01', '1970-01-01 00:00:01.500000')
    """
    text = pl.Series([int(stored)], dtype=pl.Int64).cast(_physical(dtype)).cast(dtype).cast(pl.String)[0]
    return str(text).replace(".000000000", "").replace(".000000", "").replace(".000", "")


def _physical(dtype: pl.DataType) -> type[pl.DataType]:
    return pl.Int32 if dtype == pl.Date else pl.Int64
