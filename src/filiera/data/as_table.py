"""Values that are tables, as Polars queries."""

from __future__ import annotations

from typing import Any

import polars as pl


def as_query(value: Any) -> pl.LazyFrame | None:
    """Return a query over a table, whichever library it is of; None when *value* is no table.

    >>> as_query(pl.DataFrame({"a": [1]})).collect().item(), as_query(3)
    (1, None)
    """
    if isinstance(value, pl.DataFrame | pl.LazyFrame):
        return value.lazy()
    if isinstance(value, pl.Series):
        return value.to_frame().lazy()
    if type(value).__name__ not in ("DataFrame", "Table"):
        return None
    found = pl.DataFrame(value)
    return found.lazy()
