"""What every kind of transform is: a recipe that learns from training rows, and what it has learned."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol

import polars as pl

from filiera.core.check import Check
from filiera.core.signature import FieldType
from filiera.errors import UsageError

Types = Mapping[str, FieldType]
"""The columns that are there when a transform is applied, with their types."""
RowStep = Callable[[dict[str, Any]], None]
"""Changes a row in place."""


class Recipe(Protocol):
    """A transform before it has seen rows. Its fields are what the user chose."""

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is for."""

    def needs(self, column: str) -> tuple[str, ...]:
        """Return the columns that fitting it to one of them looks at."""

    def fit(self, column: str, rows: pl.DataFrame) -> FittedStep:
        """Return what it learns for one of its columns from rows in their one form. Raises UsageError."""


class FittedStep(Protocol):
    """A transform of one column with what it has learned. Plain data: stored as JSON."""

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it looks at."""

    @property
    def drops(self) -> tuple[str, ...]:
        """The columns that are gone after it."""

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the columns that it adds or replaces, with their types, given those before it."""

    def expressions(self) -> Sequence[pl.Expr]:
        """Return one expression per written column; none looks at another row."""

    def row_step(self) -> RowStep:
        """Return the same as a function of one row; it writes, and drops nothing."""

    def takes_missing(self, column: str) -> bool:
        """Tell whether nulls of a column it reads are made into something."""

    def known_values(self) -> tuple[str | int | bool, ...] | None:
        """Return the values that are taken, if it refuses others."""

    def checks(self) -> Sequence[Check]:
        """Return what must hold for what it writes."""


class ColumnRecipe:
    """What recipes have in common, where they do not say otherwise: each of their columns is learned by itself."""

    __slots__ = ()
    column: str | Sequence[str]

    @property
    def columns(self) -> tuple[str, ...]:
        """The columns it is for."""
        return column_names(self.column, type(self).__name__)

    def needs(self, column: str) -> tuple[str, ...]:
        """Return the columns that fitting it to one of them looks at."""
        return (column,)


class ColumnStep:
    """What fitted steps have in common, where they do not say otherwise.

    They look at their own column and keep it, take all values, leave what is missing, and promise nothing.
    """

    __slots__ = ()
    column: str

    @property
    def reads(self) -> tuple[str, ...]:
        """The columns that it looks at."""
        return (self.column,)

    @property
    def drops(self) -> tuple[str, ...]:
        """The columns that are gone after it."""
        return ()

    def takes_missing(self, column: str) -> bool:
        """Tell whether nulls of a column it reads are made into something."""
        return False

    def known_values(self) -> tuple[str | int | bool, ...] | None:
        """Return the values that are taken, if it refuses others."""
        return None

    def checks(self) -> Sequence[Check]:
        """Return what must hold for what it writes."""
        return ()


def column_names(given: str | Sequence[str], kind: str) -> tuple[str, ...]:
    """Return the columns that a recipe is for. Raises UsageError when there are none, or one is named twice."""
    names = (given,) if isinstance(given, str) else tuple(given)
    if not names or len(set(names)) < len(names) or not all(isinstance(name, str) for name in names):
        raise UsageError(
            f"{kind} takes a column, or several, each once; got {given!r}.",
            do=f'{kind}("age") or {kind}(["age", "fare"])',
        )
    return names


def chosen(value: str, options: Iterable[str], what: str) -> None:
    """Refuse a choice that there is not. Raises UsageError."""
    known = tuple(options)
    if value not in known:
        raise UsageError(f"There is no {what} {value!r}.", why=f"There are: {', '.join(known)}.")
