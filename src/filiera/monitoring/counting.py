"""Turns one column of live data into counts over the cells that its reference froze."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import polars as pl
from numpy.typing import NDArray

from filiera.core.reference import CategoricalReference, NumericReference
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

    labels: tuple[str, ...]  #: the reference's values, then "other" if it has any, then the most frequent unlisted ones
    reference: Counts  #: training rows per cell, shape ``(cells,)``
    current: Counts  #: rows of the window per cell; unlisted values beyond the named ones have cells without a name
    missing: int  #: rows of the window without a value
    unlisted: int  #: rows of the window whose value the reference does not list


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
        mean=float(values.mean()) if values.size else None,
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
    labels[-1] = f"from {_number(uppers[-2] + 1 if is_whole else uppers[-2], is_whole)}"
    return tuple(labels)


def _number(value: float, is_whole: bool) -> str:
    if is_whole and abs(value) < _LONGEST_WHOLE:
        return f"{value:,.0f}"
    return f"{value if abs(value) > _NEXT_TO_ZERO else 0:.4g}"


def count_categories(column: pl.Series, reference: CategoricalReference) -> Categories:
    """Return rows per category on both sides: one cell per value that either side has.

    When the reference did not list all its values, every unlisted value counts as "other".

    Raises:
        WrongKind: The column holds lists, structures or objects.
    """
    found = _tally(column, reference)
    rows = sum(found.values())
    listed = [_spell(value, reference) for value in reference.values]
    known = [found.pop(value, 0) for value in listed]
    strange = np.fromiter(found.values(), dtype=np.float64, count=len(found))
    unlisted = int(strange.sum())
    if reference.other:
        labels, extra_reference, extra_current = ["other"], [float(reference.other)], [float(unlisted)]
    else:
        names = list(found)
        order = np.argsort(-strange, kind="stable")
        labels = [names[place] for place in order[:COARSE_CELLS]]
        extra_reference, extra_current = [0.0] * len(strange), strange[order].tolist()
    return Categories(
        labels=(*listed, *labels),
        reference=np.asarray([*reference.counts, *extra_reference], dtype=np.float64),
        current=np.asarray([*known, *extra_current], dtype=np.float64),
        missing=len(column) - rows,
        unlisted=unlisted,
    )


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
