"""Dates and times taken apart into whole numbers."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass as open_dataclass
from typing import Any

import polars as pl

from filiera.core.check import Check
from filiera.core.signature import FieldType
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.transforms.columns import column_type
from filiera.transforms.step import ColumnRecipe, ColumnStep, RowStep, Types, chosen


@dataclass(frozen=True, kw_only=True, slots=True)
class _Part:
    """One part of a date, for a column and for one value."""

    of_column: Callable[[pl.Expr], pl.Expr]
    of_value: Callable[[Any], int]
    limits: tuple[int | None, int | None]
    needs_time: bool = False


PARTS: Mapping[str, _Part] = {
    "year": _Part(of_column=lambda e: e.dt.year(), of_value=lambda v: v.year, limits=(None, None)),
    "quarter": _Part(of_column=lambda e: e.dt.quarter(), of_value=lambda v: (v.month + 2) // 3, limits=(1, 4)),
    "month": _Part(of_column=lambda e: e.dt.month(), of_value=lambda v: v.month, limits=(1, 12)),
    "day": _Part(of_column=lambda e: e.dt.day(), of_value=lambda v: v.day, limits=(1, 31)),
    "day_of_year": _Part(
        of_column=lambda e: e.dt.ordinal_day(), of_value=lambda v: v.timetuple().tm_yday, limits=(1, 366)
    ),
    "weekday": _Part(of_column=lambda e: e.dt.weekday(), of_value=lambda v: v.isoweekday(), limits=(1, 7)),
    "hour": _Part(of_column=lambda e: e.dt.hour(), of_value=lambda v: v.hour, limits=(0, 23), needs_time=True),
    "minute": _Part(of_column=lambda e: e.dt.minute(), of_value=lambda v: v.minute, limits=(0, 59), needs_time=True),
}
"""The parts there are: Monday is weekday 1; times are in UTC."""


@open_dataclass(frozen=True, slots=True)
class DateParts(ColumnRecipe):
    """Replaces a column of dates or times by whole numbers, named ``COLUMN_PART``. A missing date has missing parts.

    Raises:
        UsageError: From this and from fitting: an unknown part, a column without dates, the hour of a date.

    >>> DateParts("sold", ["month", "weekday"]).parts
    ['month', 'weekday']
    """

    column: str | Sequence[str]  #: one column or several
    parts: Sequence[str] = ("year", "month", "day", "weekday")  #: of ``PARTS``

    def __post_init__(self) -> None:
        for part in self.parts:
            chosen(part, PARTS, "part of a date")
        if not self.parts or len(set(self.parts)) < len(self.parts):
            raise UsageError(f"DateParts takes parts, each once; got {self.parts!r}.")

    def fit(self, column: str, rows: pl.DataFrame) -> FittedDateParts:
        """Return the parts; there is nothing to learn."""
        kind = column_type(column, rows.schema[column])
        if kind not in ("date", "timestamp"):
            raise UsageError(
                f"Column {column!r} is {kind}; dates or times are needed.", do="Parse it in a step before."
            )
        of_time = [part for part in self.parts if PARTS[part].needs_time]
        if kind == "date" and of_time:
            raise UsageError(f"Column {column!r} is a date, which has no {of_time[0]}.")
        return FittedDateParts(column=column, parts=tuple(self.parts))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedDateParts(ColumnStep):
    """The parts of one column of dates."""

    column: str
    parts: tuple[str, ...]

    @property
    def drops(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return one column per part."""
        return {f"{self.column}_{part}": "int64" for part in self.parts}

    def expressions(self) -> list[pl.Expr]:
        """Return the parts."""
        column = pl.col(self.column)
        return [PARTS[part].of_column(column).cast(pl.Int64).alias(f"{self.column}_{part}") for part in self.parts]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column = self.column
        parts = [(f"{column}_{part}", PARTS[part].of_value) for part in self.parts]

        def step(row: dict[str, Any]) -> None:
            value: dt.date | None = row[column]
            for name, of_value in parts:
                row[name] = None if value is None else of_value(value)

        return step

    def checks(self) -> list[Check]:
        """Return: each part is one that there is."""
        limits = [(part, PARTS[part].limits) for part in self.parts if PARTS[part].limits != (None, None)]
        return [Check.in_range(f"{self.column}_{part}", low, high) for part, (low, high) in limits]
