"""Parts of the rows of an evaluation: one for each value of a column, or for each range of its numbers."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import polars as pl

from filiera.core.evaluation import Value
from filiera.errors import UsageError
from filiera.model.answers import Codes

RANGES = 4
"""Numbers of more different values than ``MOST_VALUES`` are cut at their quartiles."""
MOST_VALUES = 20
"""Of other columns the values with most rows; the rest is one slice together."""
OTHERS = "all others"


class Part(NamedTuple):
    """Some rows of a table."""

    value: Value  #: that they have in common, or how to say it
    rows: Codes  #: their places


def parts_of(column: pl.Series) -> Iterator[Part]:
    """Yield the rows of each value of *column*, the most frequent first; numbers and times of many values by ranges.

    Ranges are cut at the quartiles, each with its upper end; null (and NaN) is a part of its own.

    Raises:
        UsageError: The column holds lists or structures.

    >>> [(part.value, part.rows.tolist()) for part in parts_of(pl.Series(["a", "b", "a"]))]
    [('a', [0, 2]), ('b', [1])]
    """
    if column.dtype.is_nested() or column.dtype in (pl.Binary, pl.Object):
        raise UsageError(f"Column {column.name!r} cannot be sliced: it holds {column.dtype}.", do="Choose another one.")
    if column.dtype.is_float():
        column = column.fill_nan(None)
    is_ordered = column.dtype.is_numeric() or column.dtype.is_temporal()
    missing = column.is_null().to_numpy()
    if is_ordered and column.drop_nulls().n_unique() > MOST_VALUES:
        yield from _ranges(column, ~missing)
    else:
        yield from _values(column)
    if missing.any():
        yield Part(None, np.flatnonzero(missing))


def _ranges(column: pl.Series, known: np.ndarray[tuple[int], np.dtype[np.bool_]]) -> Iterator[Part]:
    rows, ordered = np.flatnonzero(known), column.drop_nulls().sort()
    places = [(len(ordered) - 1) * i // RANGES for i in range(1, RANGES)]
    edges = list(dict.fromkeys(ordered[place] for place in places))
    values = column.drop_nulls()
    above = np.zeros(len(values), dtype=np.int64)
    for edge in edges:
        above += (values > edge).to_numpy()
    for i in range(len(edges) + 1):
        chosen = rows[above == i]
        if len(chosen):
            yield Part(_said(edges, i, ordered), chosen)


def _said(edges: list[object], i: int, ordered: pl.Series) -> str:
    if i == 0:
        return f"{_short(ordered[0])} to {_short(edges[0])}"
    last = edges[i] if i < len(edges) else ordered[-1]
    return f"above {_short(edges[i - 1])} to {_short(last)}"


def _short(value: object) -> str:
    return f"{value:.6g}" if isinstance(value, float) else str(value)


def _values(column: pl.Series) -> Iterator[Part]:
    if column.dtype in (pl.Categorical, pl.Enum) or not (column.dtype.is_numeric() or column.dtype == pl.Boolean):
        column = column.cast(pl.String)
    counted = column.drop_nulls().value_counts(name="rows").sort(["rows", column.name], descending=[True, False])
    named = counted[column.name].head(MOST_VALUES).to_list()
    for value in named:
        yield Part(value, np.flatnonzero((column == value).fill_null(False).to_numpy()))
    if len(counted) > MOST_VALUES:
        rest = (~column.is_in(named)).fill_null(False)
        yield Part(OTHERS, np.flatnonzero(rest.to_numpy()))
