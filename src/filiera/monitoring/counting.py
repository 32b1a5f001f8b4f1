"""Turns one column of live data into counts over the cells that its reference froze."""

from __future__ import annotations

import math
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.reference import CategoricalReference, NumericReference
from filiera.core.value import dataclass
from filiera.monitoring.statistics import Counts

COARSE_CELLS = 10
"""Cells of the coarse histogram: PSI and drawings."""

_LONGEST_WHOLE = 1e9
_NEXT_TO_ZERO = 1e-300
_INTEGERS = frozenset({"int8", "int16", "int32", "int64", "uint8", "uint16", "uint32", "uint64"})


class WrongKind(ValueError):
    """A column holds things that cannot be counted in the cells of its reference, such as lists in place of numbers."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Binned:
    """A numeric column of the window in the bins of its reference."""

    counts: Counts  #: rows per bin, shape ``(bins,)``
    missing: int  #: rows with null, NaN, an infinity, or text that is no number
    mean: float | None  #: of the values
    outside: int  #: values below the least or above the greatest of the training data


@dataclass(frozen=True, kw_only=True, slots=True)
class Categories:
    """A categorical column on both sides, over the union of the values."""

    labels: tuple[str, ...]  #: listed values, then "other" or, where training listed all, the most frequent new ones
    reference: Counts  #: training rows per cell, shape ``(cells,)``
    current: Counts  #: rows of the window per cell; like the labels
    missing: int  #: rows of the window without a value
    unlisted: int  #: rows of the window whose value training does not list
    news: tuple[str, ...]  #: the most frequent values never seen in training; () where training did not list all


def count_missing(column: pl.Series) -> int:
    """Return how many rows are null, NaN or infinite."""
    missing = column.null_count()
    if column.dtype.is_float():
        missing += int((~column.is_finite()).sum())
    return missing


def bin_numbers(column: pl.Series, reference: NumericReference) -> Binned:
    """Return the rows per bin of *reference*.

    Raises:
        WrongKind: The column holds neither numbers, booleans nor text.
    """
    values = _sorted_numbers(column, reference)
    edges = np.asarray(reference.edges[1:-1], dtype=np.float64)
    # Searching the few edges in the sorted values costs a tenth of searching every value among the edges.
    below = np.concatenate([[0], np.searchsorted(values, edges, side="right"), [values.size]])
    inside = values.size
    if reference.minimum is not None and reference.maximum is not None:
        inside = int(np.searchsorted(values, reference.maximum, "right"))
        inside -= int(np.searchsorted(values, reference.minimum, "left"))
    return Binned(
        counts=np.diff(below).astype(np.float64),
        missing=len(column) - values.size,
        mean=_mean(values),
        outside=values.size - inside,
    )


def coarse_cells(reference: NumericReference) -> NDArray[np.intp]:
    """Return for each bin the number of its coarse cell, ascending; every cell has about a tenth of the training rows.

    A value more frequent than that has a cell to itself. Bins empty in training go with the next one that is not.
    Shape ``(bins,)``.
    """
    counts = np.asarray(reference.counts, dtype=np.float64)
    filled = np.flatnonzero(counts)
    if not filled.size:
        return np.zeros(counts.size, dtype=np.intp)
    middle = (np.cumsum(counts) - counts / 2) / counts.sum()
    tenth = np.minimum((middle * COARSE_CELLS).astype(np.intp), COARSE_CELLS - 1)
    stand_in = filled[np.searchsorted(filled, np.arange(counts.size)).clip(max=filled.size - 1)]
    return np.unique(tenth[stand_in], return_inverse=True)[1].astype(np.intp)


def coarse_labels(reference: NumericReference, cells: NDArray[np.intp]) -> tuple[str, ...]:
    """Return the range of each coarse cell in words, such as ``"3 to 7"``, or its only value."""
    is_whole = not reference.type.startswith("float")
    lasts = np.searchsorted(cells, np.arange(cells[-1] + 1), side="right")
    uppers = [reference.edges[last] for last in lasts]
    if len(uppers) == 1:
        return ("all",)
    labels = [f"up to {_number(uppers[0], is_whole)}"]
    for low, high in pairwise(uppers):
        start = low + 1 if is_whole else math.nextafter(low, math.inf)
        only = _number(start, is_whole)
        labels.append(only if start == high else f"{only} to {_number(high, is_whole)}")
    last = uppers[-2]
    begins = last + 1 if is_whole else math.nextafter(last, math.inf)
    is_value = is_whole or begins in reference.edges
    labels[-1] = f"from {_number(begins, is_whole)}" if is_value else f"above {_number(last, is_whole)}"
    return tuple(labels)


def _number(value: float, is_whole: bool) -> str:
    if is_whole and abs(value) < _LONGEST_WHOLE:
        return f"{value:,.0f}"
    return f"{value if abs(value) > _NEXT_TO_ZERO else 0:.4g}"


def count_categories(column: pl.Series, reference: CategoricalReference) -> Categories:
    """Return rows per category on both sides: one cell per value that either side has.

    Where training did not list all its values, those that it lists owe their place to a high count in training, and
    the rarer ones seem fewer in every window. So they count as "other" too, unless both sides together leave no doubt
    that the value belongs on the list, whichever rows were drawn.

    Raises:
        WrongKind: The column holds lists, structures or objects.
    """
    found = _tally(column, reference)
    rows = sum(found.values())
    cut = listing_cut(reference)
    listed = [(_spell(v, reference), n) for v, n in zip(reference.values, reference.counts, strict=True) if n > cut]
    cells = [(value, count, found.pop(value, 0)) for value, count in listed]
    unlisted = sum(found.values())
    if reference.other:
        least = (cut + 3 * math.sqrt(cut)) * (reference.total + rows) / reference.total
        cells = [cell for cell in cells if cell[1] + cell[2] >= least]
        seen = [sum(counts) for counts in zip(*(cell[1:] for cell in cells), strict=True)] or [0, 0]
        cells.append(("other", reference.total - seen[0], rows - seen[1]))
        news: tuple[str, ...] = ()
    else:
        strangers = sorted(found.items(), key=lambda pair: -pair[1])
        cells += [(value, 0, count) for value, count in strangers]
        news = tuple(value for value, _ in strangers[:COARSE_CELLS])
    return Categories(
        labels=tuple(value for value, _, _ in cells),
        reference=np.array([count for _, count, _ in cells], dtype=np.float64),
        current=np.array([count for _, _, count in cells], dtype=np.float64),
        missing=len(column) - rows,
        unlisted=unlisted,
        news=news,
    )


def listing_cut(reference: CategoricalReference) -> int:
    """Return the count above which every value of the training data is listed: 0 where all are."""
    return min(reference.counts, default=0) if reference.other else 0


def would_be_unlisted(reference: CategoricalReference) -> tuple[int, int]:
    """Return how many of how many training rows stand for the share of unlisted values to be expected in new rows.

    A row left out of training, one at a time, has an unlisted value if its value was not listed, or occurs just often
    enough to be: for a full list, once. The number of such rows varies more than a binomial one; fewer rows than there
    were, with the same share, make up for that.

    Source:
        Good (1953) for the values that occur once, and Esty (1983) for the variance; with S rows in values of up to k
        rows and N values of k + 1, the same steps for Poisson counts give a variance of S + k·(k + 1)·N.
    """
    k = listing_cut(reference) + 1
    expected = reference.total - sum(count for count in reference.counts if count > k)
    following = reference.counts.count(k + 1)
    worth = expected / (expected + k * (k + 1) * following) if expected else 1.0
    return round(expected * worth), max(1, round(reference.total * worth))


def _mean(values: NDArray[np.float64]) -> float | None:
    """Return the mean of ascending values, without overflow on the way."""
    if not values.size:
        return None
    scale = max(abs(float(values[0])), abs(float(values[-1])), 1.0)
    return float((values / scale).mean()) * scale


def _sorted_numbers(column: pl.Series, reference: NumericReference) -> NDArray[np.float64]:
    column = _flat(column)
    if column.dtype.is_temporal():
        raise WrongKind(f"holds {column.dtype}, not numbers")
    if reference.type == "float32":
        # The edges were rounded to 32 bits; a 64-bit 0.7 lies above the 32-bit 0.7 and would change its bin.
        column = column.cast(pl.Float32, strict=False)
    numbers = column.cast(pl.Float64, strict=False)
    return numbers.filter(numbers.is_finite()).sort().to_numpy()


def _tally(column: pl.Series, reference: CategoricalReference) -> dict[str, int]:
    """Return rows per value, the values spelled as in the reference and in ascending order, missing ones left out."""
    column = _flat(column).alias("value")
    if column.dtype.is_float():
        column = column.filter(column.is_finite())
    counted = column.drop_nulls().value_counts(name="rows").sort("value")
    tally: dict[str, int] = {}
    for value, rows in zip(counted["value"].to_list(), counted["rows"].to_list(), strict=True):
        spelled = value if type(value) is str else _spell(value, reference)
        tally[spelled] = tally.get(spelled, 0) + rows
    return tally


def _spell(value: object, reference: CategoricalReference) -> str:
    """Return *value* as text, so that 1, 1.0 and True meet where the reference means them to."""
    if reference.type == "bool" and value in (0, 1):
        value = bool(value)
    elif reference.type in _INTEGERS and isinstance(value, bool | float) and value == int(value):
        value = int(value)
    return str(value).lower() if isinstance(value, bool) else str(value)


def _flat(column: pl.Series) -> pl.Series:
    dtype = column.dtype
    if dtype.is_nested() or dtype in (pl.Object, pl.Binary):
        raise WrongKind(f"holds {dtype}, not single values")
    return column.cast(pl.String) if dtype in (pl.Categorical, pl.Enum) else column
