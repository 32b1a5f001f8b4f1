"""Names and families of column types."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import polars as pl

from filiera.core.check import TYPES
from filiera.data.checked_table import CannotBeChecked

_OURS = {polars: ours for ours, polars in TYPES.items()}

_FITS: Mapping[str, Callable[[Any], bool]] = {
    "number": lambda dtype: dtype.is_numeric(),
    "truth": lambda dtype: dtype == pl.Boolean,
    "text": lambda dtype: dtype in (pl.String, pl.Categorical, pl.Enum),
    "date": lambda dtype: dtype in (pl.Date, pl.Datetime),
    "timestamp": lambda dtype: dtype == pl.Datetime,
    "duration": lambda dtype: dtype == pl.Duration,
}


def type_name(dtype: pl.DataType) -> str:
    """Return our name of a column's type, or Polars' own in lower case where we have none.

    >>> type_name(pl.Int64()), type_name(pl.List(pl.Int8))
    ('int64', 'list(int8)')
    """
    return _OURS.get(dtype.base_type().__name__, str(dtype).lower())


def need(kind: str, column: str, dtype: pl.DataType) -> None:
    """Refuse a column that is not of the family *kind*; one without a type, where all is null, is of every family.

    Raises:
        CannotBeChecked: It is of another one.
    """
    if dtype != pl.Null and not _FITS[kind](dtype):
        raise CannotBeChecked(f"{column} is {type_name(dtype)}; this check needs a {kind} column")
