"""Texts brought into one form."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import KW_ONLY
from dataclasses import dataclass as open_dataclass
from typing import Any

import polars as pl

from filiera.core.signature import FieldType
from filiera.core.value import dataclass
from filiera.errors import UsageError
from filiera.transforms.columns import column_type
from filiera.transforms.step import ColumnRecipe, ColumnStep, RowStep, Types

_SPACES = " \t\n\x0b\x0c\r"
_ASCII_SPACES = re.compile(f"[{_SPACES}]+")


@open_dataclass(frozen=True, slots=True)
class Text(ColumnRecipe):
    """Brings texts into one form: composed as Unicode's NFKC says, lower case, single blanks, none at the ends.

    Raises:
        UsageError: From fitting: a column that is no text.

    >>> Text("city").columns
    ('city',)
    """

    column: str | Sequence[str]  #: one column or several
    _: KW_ONLY
    lower: bool = True  #: make letters small
    empty_is_missing: bool = True  #: a text of nothing, or of blanks only, becomes null

    def fit(self, column: str, rows: pl.DataFrame) -> FittedText:
        """Return what is to be done; there is nothing to learn."""
        kind = column_type(column, rows.schema[column])
        if kind != "string":
            raise UsageError(f"Column {column!r} is {kind}; a text is needed.")
        return FittedText(column=column, lower=self.lower, empty_is_missing=self.empty_is_missing)


@dataclass(frozen=True, kw_only=True, slots=True)
class FittedText(ColumnStep):
    """How texts of one column are brought into one form."""

    column: str
    lower: bool
    empty_is_missing: bool

    def writes(self, types: Types) -> dict[str, FieldType]:
        """Return the column."""
        return {self.column: "string"}

    def expressions(self) -> list[pl.Expr]:
        """Return the texts in their one form."""
        text = pl.col(self.column).str.normalize("NFKC")
        text = text.str.replace_all(r"\s+", " ").str.strip_chars(" ")
        if self.lower:
            text = text.str.to_lowercase()
        if self.empty_is_missing:
            text = pl.when(text != "").then(text)
        return [text.alias(self.column)]

    def row_step(self) -> RowStep:
        """Return the same for one row."""
        column, lower, empty_is_missing = self.column, self.lower, self.empty_is_missing
        expressions = self.expressions()

        def step(row: dict[str, Any]) -> None:
            text = row[column]
            if text is None:
                return
            if text.isascii():
                text = _ASCII_SPACES.sub(" ", text).strip(" ")
                text = text.lower() if lower else text
                row[column] = None if empty_is_missing and not text else text
            else:
                # Python's tables of Unicode are not those of Polars: one of the two must do it in both places.
                row[column] = pl.DataFrame({column: [text]}).select(expressions).item()

        return step
