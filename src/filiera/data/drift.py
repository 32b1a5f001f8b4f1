"""Columns that are distributed otherwise than in another version."""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from typing import NamedTuple

import polars as pl

from filiera.core.check import Check
from filiera.core.evidence import benjamini_hochberg, chi_square_tail, kolmogorov_tail, two_proportions
from filiera.data.checked_table import CannotBeChecked, CheckedTable
from filiera.data.column_types import type_name
from filiera.data.difference import Shift, total_variation
from filiera.data.shifts import shifts_between

LEAST_ROWS = 50
"""With fewer rows on a side the limit laws do not hold, and nothing is said."""

FALSE_DISCOVERIES = 0.01
_LEAST_EXPECTED = 5.0


class _Test(NamedTuple):
    column: str
    measure: str  #: what the effect is
    effect: float
    p_value: float


def drifted(check: Check, table: CheckedTable) -> str:
    """Return which columns are distributed otherwise than in the other table, or "".

    Integers are compared with integers of another width, and floats with floats.

    Raises:
        CannotBeChecked: A column is not there, or of another type, or of one that has no distribution.
    """
    other = table.other(check.table)
    if other is None:
        return ""
    _require_same_columns(check, table, other)
    schema = other.collect_schema()
    resized = pl.col([column for column in check.columns if schema[column] != table.schema[column]]).cast(pl.Float64)
    before, after = (frame.select(check.columns).with_columns(resized) for frame in (other, table.frame))
    rows = int(other.select(pl.len()).collect(engine="streaming").item())
    if min(rows, table.rows) < LEAST_ROWS:
        return ""
    tests = [
        test
        for shift in shifts_between(before, after, heights=(rows, table.rows))
        for test in _tests(shift, rows, table.rows)
    ]
    assert check.tolerance is not None
    adjusted = benjamini_hochberg([test.p_value for test in tests])
    found = [
        f"{test.column}: {test.measure} {test.effect:.2g} (p = {p:.1g})"
        for test, p in zip(tests, adjusted, strict=True)
        if p <= FALSE_DISCOVERIES and test.effect >= check.tolerance
    ]
    return f"{'; '.join(found)}; least effect that counts: {check.tolerance:g}" if found else ""


def _require_same_columns(check: Check, table: CheckedTable, other: pl.LazyFrame) -> None:
    schema, name = other.collect_schema(), check.table or "the version before"
    for column in check.columns:
        dtype = table.schema[column]
        if column not in schema:
            raise CannotBeChecked(f"{name} has no column {column!r}")
        if not _are_alike(schema[column], dtype):
            raise CannotBeChecked(f"{column} is {type_name(dtype)}, but {type_name(schema[column])} in {name}")
        if dtype.is_temporal():
            raise CannotBeChecked(f"{column} is {type_name(dtype)}: time always moves on; check an age or a lag")
        if dtype.is_nested() or dtype == pl.Binary:
            raise CannotBeChecked(f"{column} is {type_name(dtype)}, which has no distribution")


def _are_alike(one: pl.DataType, other: pl.DataType) -> bool:
    """Tell whether two types differ by no more than the width of their numbers."""
    return one == other or (one.is_integer() and other.is_integer()) or (one.is_float() and other.is_float())


def _tests(shift: Shift, rows_before: int, rows_after: int) -> list[_Test]:
    missing_before, missing_after = shift.missing
    gap = abs(missing_after / rows_after - missing_before / rows_before)
    p_value = two_proportions(missing_before, rows_before, missing_after, rows_after)
    found = [_Test(shift.name, "share of nulls changed by", gap, p_value)] if missing_before + missing_after else []
    before, after = [cell.before for cell in shift.cells], [cell.after for cell in shift.cells]
    if min(sum(before), sum(after)) >= LEAST_ROWS:
        is_number = shift.mean[0] is not None
        found.append(_of_numbers(shift.name, before, after) if is_number else _of_values(shift.name, before, after))
    return found


def _of_numbers(name: str, before: Sequence[int], after: Sequence[int]) -> _Test:
    """Return the test of Kolmogorov and Smirnov at the edges of the cells: its p-value never is too small."""
    n, m = sum(before), sum(after)
    pairs = zip(itertools.accumulate(before), itertools.accumulate(after), strict=True)
    distance = max(abs(a / n - b / m) for a, b in pairs)
    p_value = kolmogorov_tail(math.sqrt(n * m / (n + m)) * distance)
    return _Test(name, "distribution functions apart by", distance, p_value)


def _of_values(name: str, before: Sequence[int], after: Sequence[int]) -> _Test:
    """Return Pearson's test of the contingency table; values of which few rows are expected are taken together."""
    n, m = sum(before), sum(after)
    least = _LEAST_EXPECTED * (n + m) / min(n, m)
    often = [(a, b) for a, b in zip(before, after, strict=True) if a + b >= least]
    rest = (n - sum(a for a, _ in often), m - sum(b for _, b in often))
    cells = [*often, rest] if sum(rest) else often
    statistic = 0.0
    for a, b in cells:
        for count, size in ((a, n), (b, m)):
            expected = (a + b) * size / (n + m)
            statistic += (count - expected) ** 2 / expected
    distance = total_variation([a for a, _ in cells], [b for _, b in cells]) or 0.0
    return _Test(name, "values of rows changed by", distance, chi_square_tail(statistic, len(cells) - 1))
