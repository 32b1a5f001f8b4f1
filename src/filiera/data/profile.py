"""What a table looks like, as values: per column its numbers, its distribution, and what is worth a look."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator, Sequence
from typing import Literal

from filiera.core.value import dataclass

ColumnKind = Literal["number", "category", "time", "other"]

_LEAK = 0.9
_FEW_ROWS = 50
_SHOWN = 6


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar of a distribution: a value, or a range of values."""

    label: str  #: the value, or "low to high"
    count: int  #: rows
    by_class: tuple[int, ...] = ()  #: rows per class of the target, in the order of ``Profile.classes``


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a table."""

    name: str
    type: str  #: our name of the type
    kind: ColumnKind
    nulls: int  #: rows without a value
    not_finite: int = 0  #: rows with NaN or an infinity
    zeros: int = 0  #: rows with the number 0
    distinct: int | None = None  #: different values, null not counted; None: not counted for this type
    minimum: str | float | None = None  #: of the finite values; a text for times
    maximum: str | float | None = None
    mean: float | None = None
    deviation: float | None = None  #: standard deviation, of the sample
    quantiles: tuple[float, ...] = ()  #: at 5, 25, 50, 75 and 95 %
    bars: tuple[Bar, ...] = ()  #: ranges in order; values in order, or the most frequent first
    scale: Literal["linear", "log", "values"] = "values"  #: how ranges were cut; "values": bars are single values
    not_shown: int = 0  #: rows with a value that has no bar
    association: float | None = None  #: with the target: 0 none to 1 complete (corrected Cramér's V)


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One table."""

    title: str
    rows: int
    columns: tuple[Column, ...]
    repeated_rows: int | None = None  #: rows equal to an earlier row; None: not counted
    target: str | None = None  #: the column that other columns are compared with
    classes: tuple[Bar, ...] = ()  #: the target's values, most frequent first; rare ones together in the last

    @property
    def missing_cells(self) -> int:
        """Return how many cells hold null."""
        return sum(column.nulls for column in self.columns)

    @property
    def findings(self) -> tuple[str, ...]:
        """Return what is worth a look, one sentence each, the gravest first."""
        return tuple(_findings(self))


def cramers_v(table: Sequence[Sequence[int]]) -> float | None:
    """Return how strongly rows and columns of a table of counts go together: 0 not at all, 1 completely.

    Args:
        table: Counts, all rows of one length; rows and columns without any count are left out.

    Returns:
        The bias-corrected Cramér's V; None when fewer than two rows or columns have counts.

    Source:
        W. Bergsma, A bias-correction for Cramér's V and Tschuprow's T, J. Korean Stat. Soc. 42 (2013).

    >>> cramers_v([[50, 0], [0, 50]]), cramers_v([[25, 25], [25, 25]]), cramers_v([[1, 2]])
    (1.0, 0.0, None)
    """
    rows = [row for row in table if sum(row)]
    columns = [column for column in zip(*rows, strict=True) if sum(column)]
    n = sum(map(sum, rows))
    if len(rows) < 2 or len(columns) < 2 or n < 2:
        return None
    row_sums, column_sums = [sum(row) for row in zip(*columns, strict=True)], [sum(column) for column in columns]
    phi2 = sum(
        count * count / (row_sum * column_sum)
        for column, column_sum in zip(columns, column_sums, strict=True)
        for count, row_sum in zip(column, row_sums, strict=True)
    ) - 1  # fmt: skip
    r, k = len(rows), len(columns)
    phi2 = max(0.0, phi2 - (r - 1) * (k - 1) / (n - 1))
    least = min(r - (r - 1) ** 2 / (n - 1), k - (k - 1) ** 2 / (n - 1)) - 1
    return min(1.0, math.sqrt(phi2 / least)) if least > 0 else None


def _findings(profile: Profile) -> Iterator[str]:
    others = [column for column in profile.columns if column.name != profile.target]
    leaks = [column for column in others if (column.association or 0) >= _LEAK]
    if leaks:
        names = _names(f"{column.name} ({column.association:.2f})" for column in leaks)
        yield f"Says the answer? {names} goes with {profile.target} almost completely. Would it be known at prediction?"
    broken = [column for column in profile.columns if column.not_finite]
    if broken:
        yield f"NaN or infinite: {_names(f'{column.name} ({column.not_finite:,} rows)' for column in broken)}."
    missing = sorted((c for c in profile.columns if c.nulls), key=lambda c: -c.nulls)
    if missing:
        yield f"Missing values: {_names(f'{c.name} ({100 * c.nulls / profile.rows:.2g} %)' for c in missing)}."
    constant = [column for column in profile.columns if column.distinct == 1 and not column.nulls]
    if constant:
        yield f"Only one value: {_names(column.name for column in constant)}. Nothing can be learned from it."
    rare = [bar for bar in profile.classes if bar.count < _FEW_ROWS]
    if rare:
        yield f"Rare in {profile.target}: {_names(f'{bar.label} ({bar.count:,} rows)' for bar in rare)}."
    if profile.repeated_rows:
        yield f"Repeated rows: {profile.repeated_rows:,} of {profile.rows:,} equal an earlier row."
    keys = [c for c in others if c.distinct == profile.rows > _FEW_ROWS and c.type in ("string", "int64", "uint64")]
    if keys:
        yield f"Different in every row: {_names(column.name for column in keys)}. An identifier says nothing by itself."


def _names(items: Iterable[str]) -> str:
    found = list(items)
    rest = len(found) - _SHOWN
    return ", ".join(found[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
