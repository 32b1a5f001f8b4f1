"""What a table looks like, as values: per column its numbers and its distribution, and what goes with what."""

from __future__ import annotations

import math
from collections.abc import Collection
from dataclasses import asdict, replace
from typing import Any, Literal

from filiera.core.value import dataclass

ColumnKind = Literal["number", "category", "time", "other"]
Measure = Literal["pearson", "spearman", "cramers_v", "correlation_ratio"]


@dataclass(frozen=True, kw_only=True, slots=True)
class Bar:
    """One bar of a distribution: a value, or a range of values."""

    label: str  #: the value, or "low to high"
    count: int  #: rows
    by_class: tuple[int, ...] = ()  #: rows per class of the target, in the order of ``Profile.classes``


@dataclass(frozen=True, kw_only=True, slots=True)
class Lengths:
    """How long the values of a column are: texts in characters, binaries in bytes, lists in items."""

    shortest: int
    longest: int
    mean: float


@dataclass(frozen=True, kw_only=True, slots=True)
class Gaps:
    """How far apart the values of a column of times are once they are in order."""

    typical_s: float | None  #: median distance of neighbours that differ, in seconds; None with fewer than two values
    longest_s: float | None  #: the longest stretch without any value, in seconds
    longest_from: str | None  #: the value before it
    is_ascending: bool  #: no row of the table is before an earlier one


@dataclass(frozen=True, kw_only=True, slots=True)
class Column:
    """One column of a table. All is exact but what *distinct_error* and *is_sampled* say."""

    name: str
    type: str  #: our name of the type
    kind: ColumnKind
    nulls: int  #: rows without a value
    nan: int = 0  #: rows with NaN
    infinite: int = 0  #: rows with an infinity
    zeros: int = 0  #: rows with the number 0
    negative: int = 0  #: rows with a finite number below 0
    empty: int = 0  #: rows with a text, binary or list of length 0
    distinct: int | None = None  #: different values, null not counted; None: not counted for this type
    distinct_error: float = (
        0.0  #: standard error of *distinct* as a share of it; 0.0: exact, or each value sampled once
    )
    minimum: str | float | int | None = None  #: of the finite values; a text for times; durations in seconds
    maximum: str | float | int | None = None
    mean: float | None = None
    deviation: float | None = None  #: standard deviation, of the sample
    quantiles: tuple[str | float, ...] = ()  #: at 5, 25, 50, 75 and 95 %; of numbers, and as texts of times
    lengths: Lengths | None = None
    gaps: Gaps | None = None  #: of dates and timestamps; None also where they are too many and in no order
    bars: tuple[Bar, ...] = ()  #: ranges in order; values in order, or the most frequent first
    scale: Literal["linear", "log", "values"] = "values"  #: how ranges were cut; "values": bars are single values
    not_shown: int = 0  #: rows with a value that has no bar
    is_sampled: bool = False  #: quantiles and bars come from the rows drawn at random, scaled to all
    association: float | None = None  #: with the target: 0 none to 1 complete; see ``Profile.target_measure``
    is_sensitive: bool = False  #: nothing of its values is told: no extremes, mean, quantiles, bars or times
    skill: float | None = None  #: share of wrong guesses of the target that guessing by this column alone avoids

    @property
    def not_finite(self) -> int:
        """Return how many rows hold NaN or an infinity."""
        return self.nan + self.infinite

    def without_values(self) -> Column:
        """Return what may be told of a column whose values may not: its counts and lengths."""
        return replace(
            self, minimum=None, maximum=None, mean=None, deviation=None, quantiles=(), gaps=None, bars=(), not_shown=0,
            scale="values", is_sampled=False, is_sensitive=True,
        )  # fmt: skip

    def filled(self, rows: int) -> int:
        """Return in how many of the table's *rows* there is a value, and a finite one."""
        return rows - self.nulls - self.not_finite

    def is_unique(self, rows: int) -> bool:
        """Tell whether each of the table's *rows* has a value of its own, as far as was seen."""
        return self.distinct == rows and self.distinct_error == 0.0


@dataclass(frozen=True, kw_only=True, slots=True)
class Association:
    """How strongly two columns go together."""

    first: str
    second: str
    measure: Measure
    value: float  #: -1 to 1 for the correlations, else 0 none to 1 complete
    rows: int  #: with both values, of the rows drawn at random


@dataclass(frozen=True, kw_only=True, slots=True)
class Profile:
    """One table."""

    title: str
    rows: int
    columns: tuple[Column, ...]
    sample_rows: int | None = None  #: rows drawn at random; None: nothing is estimated from a sample
    repeated_rows: int | None = None  #: rows equal to an earlier row; None: not counted
    repeated_error: float = 0.0  #: standard error of *repeated_rows*, in rows; 0.0: exact
    target: str | None = None  #: the column that other columns are compared with
    target_measure: Measure | None = None  #: of ``Column.association``; numbers with a numeric target: |Spearman|
    classes: tuple[Bar, ...] = ()  #: the target's values, most frequent first; rare ones together in the last
    associations: tuple[Association, ...] = ()  #: of pairs of columns

    def without_values_of(self, sensitive: Collection[str]) -> Profile:
        """Return the same profile, in which nothing of the values of the columns in *sensitive* is told."""
        columns = (column.without_values() if column.name in sensitive else column for column in self.columns)
        return replace(self, columns=tuple(columns))

    @property
    def missing_cells(self) -> int:
        """Return how many cells hold null."""
        return sum(column.nulls for column in self.columns)

    @property
    def sampling_error(self) -> float:
        """Return how far a share of rows that comes from the sample is off at most, in 99 of 100 tables: 0 to 1.

        This holds for all quantiles and bars of a column at once. A median with an error of 0.004, say, lies between
        the true quantiles at 49.6 and 50.4 %.

        Source:
            P. Massart, The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality, Ann. Probab. 18 (1990).

        >>> round(Profile(title="", rows=10**8, columns=(), sample_rows=262144).sampling_error, 4)
        0.0032
        """
        return math.sqrt(math.log(2 / 0.01) / (2 * self.sample_rows)) if self.sample_rows else 0.0

    @property
    def findings(self) -> tuple[str, ...]:
        """Return what is worth a look, one sentence each, the gravest first."""
        from filiera.data.findings import findings

        return tuple(findings(self))


FORMAT = "filiera-profile/1"
"""Names the fields of ``profile_data``; another number when one is removed or means something else."""


def profile_data(profile: Profile) -> dict[str, Any]:
    """Return *profile* as JSON data: its fields by name, the format, the findings, and what is exact.

    >>> profile_data(Profile(title="t", rows=0, columns=()))["format"]
    'filiera-profile/1'
    """
    return {
        "format": FORMAT,
        **asdict(profile),
        "missing_cells": profile.missing_cells,
        "sampling_error": profile.sampling_error,
        "findings": list(profile.findings),
    }
