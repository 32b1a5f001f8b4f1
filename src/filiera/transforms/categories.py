"""Categories as columns of 0 and 1, or as numbers. What was not in the training rows is "other", or refused."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY
from dataclasses import dataclass as open_dataclass
from functools import partial
from typing import Any, Literal

import polars as pl

from filiera.core.check import Check
from filiera.core.signature import FieldType
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.transforms.columns import column_type, polars_type
from filiera.transforms.step import ColumnRecipe, ColumnStep, RowStep, Types, chosen

Category = str | int | bool
Unknown = Literal["other", "error"]
MAX_CATEGORIES = 1000
OTHER_CODE = -1
"""The number of what ``Ordinal`` does not know."""


@open_dataclass(frozen=True, slots=True)
class OneHot(ColumnRecipe):
    """Replaces a column by one of 0 and 1 per category of the training rows, named ``COLUMN_CATEGORY``.

    With ``unknown="other"`` there is one more, ``COLUMN_other``, for values that were not in the training rows and for
    missing ones: in each row exactly one column of the group is 1. With ``unknown="error"`` such a row is refused; a
    service says so before it predicts.

    Raises:
        UsageError: From this and from fitting: a column of floats or times, more than 1,000 categories, missing values
            with ``unknown="error"``, a column that exists already.
    """

    column: str | Sequence[str]  #: one column or several
    _: KW_ONLY
    unknown: Unknown = "other"  #: what to do with a value that was not in the training rows

    def __post_init__(self) -> None:
        chosen(self.unknown, ("other", "error"), "way to treat the unknown:")

    def fit(self, column: str, rows: pl.DataFrame) -> FittedOneHot:
        """Return the categories, in order."""
        kind, found = _categories(rows[column], self.unknown)
        names = {f"{column}_{_spelled(category)}" for category in found}
        other = ""
        if self.unknown == "other":
            other = f"{column}_other"
            while other in names:
                other += "_"
        return FittedOneHot(column=column, type=kind, categories=found, other=other)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedOneHot(ColumnStep):
    """The categories of one column."""

    column: str
    type: FieldType
    categories: tuple[Category, ...]
    other: str  #: name of the column for all else; "": all else is refused

    @property
    def drops(self) -> tuple[str, ...]:
        """The column."""
        return (self.column,)

    @property
    def group(self) -> tuple[str, ...]:
        """The columns of which exactly one is 1 in each row."""
        names = [f"{self.column}_{_spelled(category)}" for category in self.categories]
        return (*names, self.other) if self.other else tuple(names)

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the columns of the group."""
        return dict.fromkeys(self.group, "uint8")

    def expressions(self) -> list[pl.Expr]:
        """Return one column per category, and the one for all else."""
        column = pl.col(self.column) if self.other else _known(self.column, self.type, self.categories)
        found = [
            (column == pl.lit(category, dtype=polars_type(self.type))).fill_null(False) for category in self.categories
        ]
        if self.other:
            found.append(~pl.any_horizontal(found) if found else pl.col(self.column).is_null().or_(True))
        return [is_it.cast(pl.UInt8).alias(name) for is_it, name in zip(found, self.group, strict=True)]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column, group = self.column, self.group
        places: Mapping[Any, int] = {category: place for place, category in enumerate(self.categories)}
        other = len(places) if self.other else None

        def step(row: dict[str, Any]) -> None:
            value = row[column]
            place = places.get(value, other)
            if place is None:
                raise unknown_value(column, value)
            row.update(dict.fromkeys(group, 0))
            row[group[place]] = 1

        return step

    def takes_missing(self, column: str) -> bool:
        """Tell whether a missing value counts as other."""
        return bool(self.other)

    def known_values(self) -> tuple[Category, ...] | None:
        """Return the categories, unless there is a column for all else."""
        return None if self.other else self.categories

    def checks(self) -> list[Check]:
        """Return: exactly one column of the group is 1."""
        return [Check.one_hot(*self.group)]


@open_dataclass(frozen=True, slots=True)
class Ordinal(ColumnRecipe):
    """Replaces the values of a column by numbers from 0, in the order given, or in their own.

    With ``unknown="other"`` missing values and those that were not in the training rows become -1, with ``"error"``
    such a row is refused.

    Raises:
        UsageError: From this and from fitting: a column of floats or times, more than 1,000 categories, missing values
            with ``unknown="error"``, training values that *order* lacks.
    """

    column: str | Sequence[str]  #: one column or several
    order: Sequence[Category] | None = None  #: such as ("low", "medium", "high")
    _: KW_ONLY
    unknown: Unknown = "other"  #: what to do with a value that was not in the training rows

    def __post_init__(self) -> None:
        chosen(self.unknown, ("other", "error"), "way to treat the unknown:")
        if self.order is not None and len(set(self.order)) < len(self.order):
            raise UsageError(f"The order {list(self.order)!r} names a value twice.")

    def fit(self, column: str, rows: pl.DataFrame) -> FittedOrdinal:
        """Return the categories, in order."""
        kind, found = _categories(rows[column], self.unknown)
        if self.order is not None:
            strangers = [category for category in found if category not in self.order]
            if strangers:
                raise UsageError(
                    f"Column {column!r} has values that the order lacks: {', '.join(map(repr, strangers[:10]))}.",
                    do="Add them to the order, or clean the column before.",
                )
            found = tuple(self.order)
        return FittedOrdinal(column=column, type=kind, categories=found, refuses=self.unknown == "error")


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedOrdinal(ColumnStep):
    """The categories of one column, numbered from 0."""

    column: str
    type: FieldType
    categories: tuple[Category, ...]
    refuses: bool  #: all else is refused; otherwise it is -1

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the column."""
        return {self.column: "int64"}

    def expressions(self) -> list[pl.Expr]:
        """Return the numbers."""
        column = _known(self.column, self.type, self.categories) if self.refuses else pl.col(self.column)
        keys = pl.Series(list(self.categories), dtype=polars_type(self.type))
        codes = pl.Series(range(len(keys)), dtype=pl.Int64)
        found = column.replace_strict(keys, codes, default=OTHER_CODE, return_dtype=pl.Int64)
        return [found.fill_null(OTHER_CODE).alias(self.column)]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column, other = self.column, None if self.refuses else OTHER_CODE
        codes: Mapping[Any, int] = {category: code for code, category in enumerate(self.categories)}

        def step(row: dict[str, Any]) -> None:
            code = codes.get(row[column], other)
            if code is None:
                raise unknown_value(column, row[column])
            row[column] = code

        return step

    def takes_missing(self, column: str) -> bool:
        """Tell whether a missing value becomes -1."""
        return not self.refuses

    def known_values(self) -> tuple[Category, ...] | None:
        """Return the categories, if all else is refused."""
        return self.categories if self.refuses else None

    def checks(self) -> list[Check]:
        """Return: there is no other number."""
        return [Check.in_range(self.column, 0 if self.refuses else OTHER_CODE, len(self.categories) - 1)]


def unknown_value(column: str, value: object) -> UsageError:
    """Return the refusal of a value that was not in the training rows."""
    return UsageError(
        f"Column {column!r} has {'a missing value' if value is None else repr(value)}, which it had not in training.",
        why='Its transform was told to refuse that: unknown="error".',
        do='Clean the rows, or fit it again with unknown="other".',
    )


def _categories(column: pl.Series, unknown: Unknown) -> tuple[FieldType, tuple[Category, ...]]:
    kind = column_type(column.name, column.dtype)
    if kind.startswith(("float", "date", "time")):
        raise UsageError(
            f"Column {column.name!r} is {kind}; categories are texts, integers or booleans.",
            do="Make bins of it first.",
        )
    if unknown == "error" and column.null_count():
        raise UsageError(
            f"Column {column.name!r} has {column.null_count():,} missing values in the training rows.",
            why='Its transform is told to refuse what is unknown: unknown="error".',
            do=f'Put Impute("{column.name}", "most_frequent") before it, or say unknown="other".',
        )
    found = column.drop_nulls().unique().sort().to_list()
    if len(found) > MAX_CATEGORIES:
        raise UsageError(
            f"Column {column.name!r} has {len(found):,} categories; at most {MAX_CATEGORIES:,} are taken.",
            do="Group them in a step before, or leave the column out.",
        )
    return kind, tuple(found)


def _spelled(category: Category) -> str:
    return str(category).lower() if isinstance(category, bool) else str(category)


def _known(column: str, kind: FieldType, categories: Sequence[Category]) -> pl.Expr:
    """Return a column that raises when it meets another value: in a query nothing else can."""
    dtype = polars_type(kind)
    look = partial(_require_known, known=pl.Series(list(categories), dtype=dtype))
    return pl.col(column).map_batches(look, return_dtype=dtype, is_elementwise=True)


def _require_known(column: pl.Series, known: pl.Series) -> pl.Series:
    strangers = column.filter(~column.is_in(known.implode()).fill_null(False))
    if len(strangers):
        raise unknown_value(column.name, strangers[0])
    return column
