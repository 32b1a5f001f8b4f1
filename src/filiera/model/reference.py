"""Reference profiles from training rows: one sort per column, the same numbers on any machine."""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.reference import CategoricalReference, NumericReference, Reference, ReferenceProfile
from filiera.core.signature import FIELD_TYPES, FieldType
from filiera.errors import UsageError
from filiera.model.answers import Floats

MAX_BINS = 1024
MAX_VALUES = 200
MAX_DISTINCT_INTEGERS = 20
_HUGE, _SCALE = 2.0**400, 2.0**600

_TYPES: Mapping[type[pl.DataType], FieldType] = {getattr(pl, name): kind for name, kind in FIELD_TYPES.items()}


def reference_profile(
    training: pl.DataFrame, *, inputs: Sequence[str], outputs: Sequence[Reference] = ()
) -> ReferenceProfile:
    """Return the profile of the columns *inputs* of *training*, in that order, and of what the model answered.

    Raises:
        UsageError: A column has a type that a model's signature cannot describe.
    """
    columns = tuple(column_reference(training[name]) for name in inputs)
    return ReferenceProfile(rows=training.height, columns=columns, outputs=tuple(outputs))


def column_reference(column: pl.Series) -> Reference:
    """Return the frozen counts of *column*: per value, or per bin if numeric with many values.

    Strings, booleans and integers of at most 20 distinct values are counted per value (the 200 most frequent). Other
    numbers, dates (as days) and timestamps (as seconds) are counted in at most 1,024 bins of nearly equal counts; a
    value that alone would fill a bin gets one of its own.

    Raises:
        UsageError: The column has a type that a model's signature cannot describe.

    >>> column_reference(pl.Series("p", ["tcp", "udp", None, "tcp"])).counts
    (2, 1)
    """
    kind = field_type(column)
    is_few = kind.startswith(("int", "uint")) and column.drop_nulls().n_unique() <= MAX_DISTINCT_INTEGERS
    if kind in ("string", "bool") or is_few:
        return categorical_reference(column)
    return numeric_reference(column)


def field_type(column: pl.Series) -> FieldType:
    """Return Arrow's name of the type of *column*. Raises UsageError for types a signature cannot describe."""
    kind = _TYPES.get(column.dtype.base_type())
    if kind is None:
        raise UsageError(
            f"Column {column.name!r} has type {column.dtype}, which a model's signature cannot describe.",
            why="Known are booleans, integers up to 64 bits, 32- and 64-bit floats, strings, dates and timestamps.",
            do="Cast the column in a transform step, before training.",
        )
    return kind


def categorical_reference(column: pl.Series) -> CategoricalReference:
    """Return the counts of the most frequent values of *column*, at most 200, and how many rows have another."""
    kind, present = field_type(column), column.drop_nulls()
    if kind == "string":
        present = present.cast(pl.String)
    pairs = zip(*present.value_counts(name="rows").to_dict(as_series=False).values(), strict=True)
    ranked = sorted(pairs, key=lambda pair: (-pair[1], pair[0]))
    return CategoricalReference(
        name=column.name,
        type=kind,
        rows=len(column),
        nulls=column.null_count(),
        values=tuple(value for value, _ in ranked[:MAX_VALUES]),
        counts=tuple(count for _, count in ranked[:MAX_VALUES]),
        other=sum(count for _, count in ranked[MAX_VALUES:]),
    )


def numeric_reference(column: pl.Series) -> NumericReference:
    """Return the counts of *column* in bins of nearly equal counts, and its moments, exact to the last digits."""
    kind, numbers = field_type(column), as_numbers(column.drop_nulls())
    finite = numbers[np.isfinite(numbers)]
    values, counts = np.unique(finite, return_counts=True)
    is_whole = not kind.startswith("float") and kind != "timestamp"
    inner = _inner_edges(values, counts, is_whole=is_whole) if len(values) else []
    inner = [edge for edge in inner if math.isfinite(edge)]  # beside the least or greatest float there is no other
    bins = np.searchsorted(inner, values, side="left")
    mean, sd = _moments(values, counts)
    return NumericReference(
        name=column.name,
        type=kind,
        rows=len(column),
        nulls=column.null_count(),
        non_finite=len(numbers) - len(finite),
        edges=(-math.inf, *inner, math.inf),
        counts=tuple(np.bincount(bins, weights=counts, minlength=len(inner) + 1).astype(np.int64).tolist()),
        mean=mean,
        sd=sd,
        minimum=float(values[0]) if len(values) else None,
        maximum=float(values[-1]) if len(values) else None,
    )


def as_numbers(column: pl.Series) -> Floats:
    """Return a column without nulls as floats: dates as days and timestamps as seconds since 1970-01-01 UTC."""
    if column.dtype == pl.Datetime:
        return column.dt.timestamp("us").cast(pl.Float64).to_numpy() / 1e6
    if column.dtype == pl.Date:
        column = column.to_physical()
    return column.cast(pl.Float64).to_numpy()


def _inner_edges(values: Floats, counts: NDArray[np.int64], *, is_whole: bool) -> list[float]:
    """Return the edges between bins; with many frequent values the bins are made coarser to keep to the limit."""
    edges = _edges_of(values, counts, MAX_BINS, is_whole=is_whole)
    if len(edges) >= MAX_BINS:
        edges = _edges_of(values, counts, MAX_BINS // 2 - 1, is_whole=is_whole)
    return edges


def _edges_of(values: Floats, counts: NDArray[np.int64], shares: int, *, is_whole: bool) -> list[float]:
    """Return ascending inner edges such that a bin is one frequent value, or just reaches a share of all rows.

    *values* ascend and are distinct; a value is frequent that alone has 1/*shares* of the rows. There are at most
    2 * shares + 1 bins: up to *shares* are full, and each frequent value may cut short the bin before it.
    """
    upto = counts.cumsum()
    full = math.ceil(upto[-1] / shares)
    frequent = np.flatnonzero(counts >= full)
    edges: list[float] = []
    at = 0
    while at < len(values):
        done = int(upto[at - 1]) if at else 0
        end = int(np.searchsorted(upto, done + full))
        ahead = np.searchsorted(frequent, at)
        atom = int(frequent[ahead]) if ahead < len(frequent) else len(values)
        if atom <= end and atom < len(values):
            value = float(values[atom])
            below = value - 1 if is_whole else _just_below(value)
            edges.extend(edge for edge in (below, value) if not edges or edge > edges[-1])
            at = atom + 1
        elif end >= len(values) - 1:
            break
        else:
            edges.append(float(values[end]))
            at = end + 1
    return edges


def _just_below(value: float) -> float:
    """Return the next smaller float; below 0 the next that is normal, as some hardware modes take others for 0."""
    return math.nextafter(value, -math.inf) if value else -sys.float_info.min


def _moments(values: Floats, counts: NDArray[np.int64]) -> tuple[float | None, float | None]:
    """Return mean and population standard deviation; sums are exact, so that no machine's order of adding shows."""
    total = int(counts.sum())
    if not total:
        return None, None
    scale = _SCALE if np.abs(values).max() > _HUGE else 1.0
    scaled = values / scale
    mean = math.fsum((scaled * counts).tolist()) / total
    variance = math.fsum((np.square(scaled - mean) * counts).tolist()) / total
    return mean * scale, min(math.sqrt(variance) * scale, sys.float_info.max)
