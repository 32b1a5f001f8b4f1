"""Missing values replaced by what the training rows say."""

from __future__ import annotations

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
from filiera.transforms.columns import Column, Value, column_type, is_number, polars_type, reader
from filiera.transforms.step import ColumnRecipe, ColumnStep, RowStep, Types, chosen

Strategy = Literal["mean", "median", "most_frequent", "constant"]
STRATEGIES: tuple[Strategy, ...] = ("mean", "median", "most_frequent", "constant")


@open_dataclass(frozen=True, slots=True)
class Impute(ColumnRecipe):
    """Replaces missing values of columns, which are null or NaN.

    ``mean`` and ``median`` are of numbers, which become 64-bit floats; the other two keep the type. Of values that are
    equally frequent the least is taken. Rows whose group is missing, or was not in the training rows, get what is
    learned from all.

    Raises:
        UsageError: From this and from fitting: choices that make no sense, a column without any value to learn from.

    >>> Impute("age", "median").columns
    ('age',)
    """

    column: str | Sequence[str]  #: one column or several
    strategy: Strategy = "median"
    _: KW_ONLY
    value: Value | None = None  #: of "constant"
    by: str = ""  #: learn one value per value of this column
    mask: bool = False  #: add NAME_missing, which is 1 where the value was missing

    def __post_init__(self) -> None:
        chosen(self.strategy, STRATEGIES, "strategy")
        if (self.strategy == "constant") != (self.value is not None):
            raise UsageError(
                "Strategy 'constant' needs a value, and the others learn theirs.",
                do='Impute("age", "constant", value=0) or Impute("age", "median")',
            )
        if self.by and (self.strategy == "constant" or self.by in self.columns):
            raise UsageError(
                f"Impute by {self.by!r} makes no sense here.", why="A group must be told by another column."
            )

    def needs(self, column: str) -> tuple[str, ...]:
        """Return the columns that fitting looks at."""
        return (column, self.by) if self.by else (column,)

    def fit(self, column: str, rows: pl.DataFrame) -> FittedImpute:
        """Return the value to put, per group if there are groups."""
        kind = column_type(column, rows.schema[column])
        if self.strategy in ("mean", "median"):
            if not is_number(kind):
                raise UsageError(
                    f"Column {column!r} is {kind}; it has no {self.strategy}.", do='Use "most_frequent" or "constant".'
                )
            kind = "float64"
        values = rows[column].cast(polars_type(kind))
        groups = self._groups(values, rows[self.by]) if self.by else ()
        return FittedImpute(
            column=column,
            type=kind,
            strategy=self.strategy,
            value=self._learned(values),
            by=self.by,
            groups=groups,
            mask=self.mask,
            missing=values.null_count(),
            rows=len(values),
        )

    def _learned(self, values: pl.Series) -> Value:
        if self.strategy == "constant":
            assert self.value is not None
            kind = column_type(values.name, values.dtype)
            constant: Value | None = reader(Column(name=values.name, type=kind))(self.value)
            if constant is None:
                raise UsageError("NaN is a missing value; it cannot stand for one.")
            return constant
        present = values.drop_nulls()
        if present.is_empty():
            raise UsageError(
                f"Column {values.name!r} has no value in the training rows from which to learn a {self.strategy}.",
                why=f"It has {len(values):,} rows, all missing.",
                do=f'Impute("{values.name}", "constant", value=…), or leave the column out.',
            )
        if self.strategy == "most_frequent":
            return exact.most_frequent(present)  # type: ignore[return-value]
        require_finite(present)
        found = exact.mean(present) if self.strategy == "mean" else present.median()
        return float(found)  # type: ignore[arg-type]

    def _groups(self, values: pl.Series, by: pl.Series) -> tuple[tuple[str | int | bool, Value], ...]:
        if column_type(self.by, by.dtype).startswith(("float", "date", "time")):
            raise UsageError(
                f"Column {self.by!r} is {by.dtype}; groups are told by texts, integers or booleans.",
                do="Make bins of it first.",
            )
        present = pl.DataFrame({"by": by, values.name: values}).drop_nulls()
        parts = present.partition_by("by", as_dict=True, include_key=False)
        return tuple(sorted((key[0], self._learned(part.to_series())) for key, part in parts.items()))


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedImpute(ColumnStep):
    """What stands for missing values of one column."""

    column: str
    type: FieldType  #: of the column after it
    strategy: Strategy
    value: Value  #: for rows of no known group
    by: str
    groups: tuple[tuple[str | int | bool, Value], ...]  #: value of ``by`` and what stands for missing values there
    mask: bool
    missing: int  #: training rows in which the value was missing
    rows: int  #: training rows

    @property
    def share(self) -> float:
        """Return which share of the training rows was missing, 0 to 1."""
        return self.missing / self.rows if self.rows else 0.0

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it looks at."""
        return (self.column, self.by) if self.by else (self.column,)

    @property
    def mask_column(self) -> str:
        """The name of the column that tells where values were missing."""
        return f"{self.column}_missing"

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the column, and its mask if one is kept."""
        return {self.column: self.type, **({self.mask_column: "uint8"} if self.mask else {})}

    def expressions(self) -> list[pl.Expr]:
        """Return the filled column, and its mask."""
        dtype = polars_type(self.type)
        fill: pl.Expr = pl.lit(self.value, dtype=dtype)
        if self.groups:
            keys, values = [key for key, _ in self.groups], pl.Series([value for _, value in self.groups], dtype=dtype)
            fill = pl.col(self.by).replace_strict(keys, values, default=fill, return_dtype=dtype)
        filled = pl.col(self.column).cast(dtype).fill_null(fill)
        mask = [pl.col(self.column).is_null().cast(pl.UInt8).alias(self.mask_column)] if self.mask else []
        return [filled, *mask]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column, by, fill, mask = self.column, self.by, self.value, self.mask_column if self.mask else ""
        values = dict(self.groups)
        convert: Any = float if self.type == "float64" else _same

        def step(row: dict[str, Any]) -> None:
            value = row[column]
            if mask:
                row[mask] = int(value is None)
            if value is None:
                row[column] = values.get(row[by], fill) if values else fill
            else:
                row[column] = convert(value)

        return step

    def takes_missing(self, column: str) -> bool:
        """Tell whether nulls of a column become something: also those of the column that tells groups."""
        return column in self.reads

    def checks(self) -> list[Check]:
        """Return: nothing is missing, and the mask is 0 or 1."""
        masks = [Check.not_null(self.mask_column), Check.in_range(self.mask_column, 0, 1)] if self.mask else []
        return [Check.not_null(self.column), *masks]


def _same(value: Any) -> Any:
    return value


def require_finite(values: pl.Series) -> None:
    """Refuse infinite training values. Raises UsageError."""
    infinite = int(values.is_infinite().sum())
    if infinite:
        raise UsageError(
            f"Column {values.name!r} has {infinite:,} infinite values in the training rows.",
            why="A mean, a spread or a quantile over them says nothing.",
            do=f'Put Clip("{values.name}", …) with limits of your own before, or clean the column.',
        )
