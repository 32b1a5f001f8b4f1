"""Names of column types."""

from __future__ import annotations

import polars as pl

from filiera.core.check import TYPES

_OURS = {polars: ours for ours, polars in TYPES.items()}


def type_name(dtype: pl.DataType) -> str:
    """Return our name of a column's type, or Polars' own in lower case where we have none.

    >>> type_name(pl.Int64()), type_name(pl.List(pl.Int8))
    ('int64', 'list(int8)')
    """
    return _OURS.get(dtype.base_type().__name__, str(dtype).lower())
