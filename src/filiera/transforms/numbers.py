"""Numbers scaled, kept within limits, and put into bins, all in 64-bit floats; a missing value stays missing."""

from __future__ import annotations

import math
import sys
from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import KW_ONLY
from dataclasses import dataclass as open_dataclass
from typing import Any, Literal

import polars as pl

from filiera.core.check import Check
from filiera.core.signature import FieldType
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.transforms import exact
from filiera.transforms.columns import column_type, is_number
from filiera.transforms.missing import require_finite
from filiera.transforms.step import ColumnRecipe, ColumnStep, RowStep, Types, chosen

ScaleMethod = Literal["standard", "min_max", "robust"]
SCALE_METHODS: tuple[ScaleMethod, ...] = ("standard", "min_max", "robust")


@open_dataclass(frozen=True, slots=True)
class Scale(ColumnRecipe):
    """Scales numbers: ``(x - center) / spread``.

    ``standard`` has mean and population standard deviation, ``min_max`` the least value and the range, ``robust`` the
    median and the distance of the quartiles. A column without spread is only centered.

    Raises:
        UsageError: From this and from fitting: an unknown method, a column that is no number, has no value, or an
            infinite one.
    """

    column: str | Sequence[str]  #: one column or several
    method: ScaleMethod = "standard"

    def __post_init__(self) -> None:
        chosen(self.method, SCALE_METHODS, "method")

    def fit(self, column: str, rows: pl.DataFrame) -> FittedScale:
        """Return center and factor."""
        values = learnable(rows[column])
        require_finite(values)
        if self.method == "standard":
            center = exact.mean(values)
            spread = exact.deviation(values, center)
        elif self.method == "min_max":
            center, greatest = quantiles(values, (0.0, 1.0))
            spread = greatest - center
        else:
            low, center, high = quantiles(values, (0.25, 0.5, 0.75))
            spread = high - low
        # A spread of nothing, or beyond what floats can invert, would make NaN and infinities of good values.
        is_sound = sys.float_info.min < spread < sys.float_info.max
        return FittedScale(column=column, method=self.method, center=center, factor=1 / spread if is_sound else 1.0)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedScale(ColumnStep):
    """Center and factor of one column."""

    column: str
    method: ScaleMethod
    center: float
    factor: float  #: 1 / spread: Polars multiplies by it when it is told to divide by a number, which rounds otherwise

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the column."""
        return {self.column: "float64"}

    def expressions(self) -> list[pl.Expr]:
        """Return the scaled column."""
        return [(pl.col(self.column).cast(pl.Float64) - self.center) * self.factor]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column, center, factor = self.column, self.center, self.factor

        def step(row: dict[str, Any]) -> None:
            value = row[column]
            if value is not None:
                row[column] = (float(value) - center) * factor

        return step


@open_dataclass(frozen=True, slots=True)
class Clip(ColumnRecipe):
    """Keeps numbers within limits: those given, or quantiles of the training rows (winsorising).

    Infinite values are clipped like others, and count as greatest or least where quantiles are learned.

    Raises:
        UsageError: From this and from fitting: no limit, both kinds of limits, wrong order, a column without values.
    """

    column: str | Sequence[str]  #: one column or several
    quantiles: tuple[float, float] | None = None  #: such as (0.01, 0.99), learned
    _: KW_ONLY
    low: float | None = None  #: given limit
    high: float | None = None  #: given limit

    def __post_init__(self) -> None:
        given = [limit for limit in (self.low, self.high) if limit is not None]
        if (self.quantiles is None) == (not given) or any(math.isnan(limit) for limit in given):
            raise UsageError(
                "Clip takes limits or quantiles, not both.", do='Clip("bytes", (0.01, 0.99)) or Clip("bytes", low=0)'
            )
        low, high = self.quantiles or _open(self.low, self.high)
        if not low <= high or (self.quantiles and not (low >= 0 and high <= 1)):
            raise UsageError(f"Clip takes a lower and a higher limit; got {low} and {high}.")

    def fit(self, column: str, rows: pl.DataFrame) -> FittedClip:
        """Return the limits."""
        if self.quantiles is not None:
            low, high = quantiles(learnable(rows[column]), self.quantiles)
        else:
            _numbers(rows[column])
            low, high = _open(self.low, self.high)
        return FittedClip(column=column, low=float(low), high=float(high))


def _open(low: float | None, high: float | None) -> tuple[float, float]:
    return -math.inf if low is None else low, math.inf if high is None else high


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedClip(ColumnStep):
    """The limits of one column, themselves allowed."""

    column: str
    low: float
    high: float

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the column."""
        return {self.column: "float64"}

    def expressions(self) -> list[pl.Expr]:
        """Return the clipped column."""
        value = pl.col(self.column).cast(pl.Float64)
        clipped = pl.when(value < self.low).then(self.low).when(value > self.high).then(self.high).otherwise(value)
        return [clipped.alias(self.column)]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column, low, high = self.column, self.low, self.high

        def step(row: dict[str, Any]) -> None:
            value = row[column]
            if value is not None:
                number = float(value)
                row[column] = low if number < low else high if number > high else number

        return step

    def checks(self) -> list[Check]:
        """Return: the limits hold."""
        low, high = (limit if math.isfinite(limit) else None for limit in (self.low, self.high))
        return [Check.in_range(self.column, low, high)] if (low, high) != (None, None) else []


@open_dataclass(frozen=True, slots=True)
class Bins(ColumnRecipe):
    """Puts numbers into bins of nearly equal counts of training rows, numbered from 0.

    A value that lies on an edge is in the upper bin. Where many values are equal, there are fewer bins.

    Raises:
        UsageError: From this and from fitting: fewer than 2 or more than 100 bins, a column without values.
    """

    column: str | Sequence[str]  #: one column or several
    bins: int = 10  #: how many, 2 to 100

    def __post_init__(self) -> None:
        if not 2 <= self.bins <= 100:
            raise UsageError(f"Bins takes 2 to 100 bins, not {self.bins}.")

    def fit(self, column: str, rows: pl.DataFrame) -> FittedBins:
        """Return the edges."""
        values = learnable(rows[column])
        require_finite(values)
        inner = quantiles(values, tuple(number / self.bins for number in range(1, self.bins)))
        least = values.min()
        return FittedBins(column=column, edges=tuple(sorted({edge for edge in inner if edge > least})))  # type: ignore[operator]


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedBins(ColumnStep):
    """The inner edges of one column's bins, ascending."""

    column: str
    edges: tuple[float, ...]

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the column."""
        return {self.column: "int64"}

    def expressions(self) -> list[pl.Expr]:
        """Return the number of the bin."""
        value = pl.col(self.column).cast(pl.Float64)
        reached = [(value >= edge).cast(pl.Int64) for edge in self.edges] or [pl.lit(0, dtype=pl.Int64)]
        found = pl.when(value.is_null()).then(None).otherwise(pl.sum_horizontal(reached))
        return [found.cast(pl.Int64).alias(self.column)]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column, edges = self.column, self.edges

        def step(row: dict[str, Any]) -> None:
            value = row[column]
            if value is not None:
                row[column] = bisect_right(edges, float(value))

        return step

    def checks(self) -> list[Check]:
        """Return: there is no other bin."""
        return [Check.in_range(self.column, 0, len(self.edges))]


def _numbers(column: pl.Series) -> pl.Series:
    kind = column_type(column.name, column.dtype)
    if not is_number(kind):
        raise UsageError(f"Column {column.name!r} is {kind}; a number is needed.")
    return column.cast(pl.Float64)


def learnable(column: pl.Series) -> pl.Series:
    """Return the values that are there, as floats. Raises UsageError when the column is no number or has none."""
    values = _numbers(column).drop_nulls()
    if values.is_empty():
        raise UsageError(
            f"Column {column.name!r} has no value in the training rows to learn from.",
            why=f"It has {len(column):,} rows, all missing." if len(column) else "There are no rows.",
            do="Leave the column out, or fit on more rows.",
        )
    return values


def quantiles(values: pl.Series, shares: Sequence[float]) -> tuple[float, ...]:
    """Return the quantiles of values at *shares* of 0 to 1; between two values the lower one, which was seen.

    >>> quantiles(pl.Series([4.0, 1.0, 2.0, 3.0]), (0.0, 0.5, 1.0))
    (1.0, 2.0, 4.0)
    """
    ordered = values.sort()
    last = len(ordered) - 1
    return tuple(float(ordered[math.floor(share * last)]) for share in shares)
