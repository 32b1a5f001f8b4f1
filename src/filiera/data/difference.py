"""What differs between two tables, as values."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

from filiera.core.check import HIDDEN
from filiera.core.value import dataclass

_LONGEST_TEXT = 80


@dataclass(frozen=True, kw_only=True, slots=True)
class SchemaDifference:
    """How the columns differ."""

    added: Mapping[str, str]  #: columns that are only in the table after, with their types
    removed: Mapping[str, str]  #: columns that are only in the table before
    retyped: Mapping[str, tuple[str, str]]  #: columns whose type changed: before, after
    is_reordered: bool  #: columns that are in both stand in another order
    not_compared: tuple[str, ...]  #: columns in both whose values cannot be compared exactly

    @property
    def is_equal(self) -> bool:
        """Tell whether both tables have the same columns with the same types in the same order."""
        return not (self.added or self.removed or self.retyped or self.is_reordered)


@dataclass(frozen=True, kw_only=True, slots=True)
class CellChange:
    """One cell that changed."""

    key: Mapping[str, Any]  #: the values of the key columns, as they are shown
    before: Any
    after: Any


@dataclass(frozen=True, kw_only=True, slots=True)
class ColumnChange:
    """In how many rows of both tables a column has another value."""

    name: str
    rows: int
    examples: tuple[CellChange, ...]  #: those with the least keys


@dataclass(frozen=True, kw_only=True, slots=True)
class RowDifference:
    """Which rows differ: by their keys, or, without keys, as a multiset in which the order of rows does not count."""

    keys: tuple[str, ...]  #: columns that name a row; () when rows have no names
    added: int  #: rows that are only in the table after
    removed: int  #: rows that are only in the table before
    changed: int  #: rows of both, by their keys, with another value in some column; 0 without keys
    columns: tuple[ColumnChange, ...]  #: those with changes, most rows first
    added_examples: tuple[Mapping[str, Any], ...]
    removed_examples: tuple[Mapping[str, Any], ...]


@dataclass(frozen=True, kw_only=True, slots=True)
class Cell:
    """A value, a range of values, or all others: rows of each table with a value in it."""

    label: str
    before: int
    after: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Shift:
    """How the distribution of one column moved."""

    name: str
    missing: tuple[int, int]  #: rows with null, NaN or an infinity, before and after
    mean: tuple[float | None, float | None]  #: of the finite numbers; None for other columns
    cells: tuple[Cell, ...]  #: of the rows that have a value
    distance: float | None  #: total variation of the cells, 0 equal to 1 apart; None when a side has no value


@dataclass(frozen=True, kw_only=True, slots=True)
class Difference:
    """What differs between two tables."""

    before: str  #: name of the first table
    after: str  #: name of the second
    rows_before: int
    rows_after: int
    schema: SchemaDifference
    rows: RowDifference
    shifts: tuple[Shift, ...]  #: of the columns that can be compared, in their order

    def without_values_of(self, sensitive: Collection[str]) -> Difference:
        """Return the same difference, in which values of the columns in *sensitive* are hidden."""
        rows = replace(
            self.rows,
            columns=tuple(_change_without(change, sensitive) for change in self.rows.columns),
            added_examples=tuple(_without(example, sensitive) for example in self.rows.added_examples),
            removed_examples=tuple(_without(example, sensitive) for example in self.rows.removed_examples),
        )
        shifts = (
            replace(shift, mean=(None, None), cells=()) if shift.name in sensitive else shift for shift in self.shifts
        )
        return replace(self, rows=rows, shifts=tuple(shifts))

    @property
    def is_equal(self) -> bool:
        """Tell whether both have the same columns and, as far as they can be compared, the same rows."""
        return self.schema.is_equal and not (self.rows.added or self.rows.removed or self.rows.changed)


def _change_without(change: ColumnChange, sensitive: Collection[str]) -> ColumnChange:
    values = {"before": HIDDEN, "after": HIDDEN} if change.name in sensitive else {}
    examples = (replace(one, key=_without(one.key, sensitive), **values) for one in change.examples)
    return replace(change, examples=tuple(examples))


def _without(values: Mapping[str, Any], sensitive: Collection[str]) -> Mapping[str, Any]:
    return {name: HIDDEN if name in sensitive else value for name, value in values.items()}


def total_variation(before: Sequence[int], after: Sequence[int]) -> float | None:
    """Return ½·Σ|p - q|: the share of rows that would have to change cells to undo the difference, 0 to 1.

    Args:
        before: Rows per cell, all 0 or above.
        after: The same cells.

    Returns:
        None when one of them has no rows.

    >>> total_variation([5, 3, 2], [40, 40, 20]), total_variation([1], [0])
    (0.1, None)
    """
    n, m = sum(before), sum(after)
    if not (n and m):
        return None
    # In whole numbers: equal shares are exactly 0 apart.
    return sum(abs(b * m - a * n) for b, a in zip(before, after, strict=True)) / (2 * n * m)


def shown(value: Any) -> Any:
    """Return a cell's value as JSON has it: numbers, texts, true, false and null as they are, anything else as text.

    >>> shown(1.5), shown(b"a"), shown("x" * 100)[-2:]
    (1.5, "b'a'", 'x…')
    """
    if value is None or isinstance(value, bool | int | float):
        return value
    text = value if isinstance(value, str) else str(value)
    return text if len(text) <= _LONGEST_TEXT else text[: _LONGEST_TEXT - 1] + "…"
