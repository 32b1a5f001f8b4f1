"""How many rows a table has, beside another one."""

from __future__ import annotations

import polars as pl

from filiera.core.check import Check
from filiera.data.checked_table import CheckedTable


def change(check: Check, table: CheckedTable) -> str:
    """Return how the number of rows differs from that of the other table when it does too much, or ""."""
    other = table.other(check.table)
    if other is None:
        return ""
    before = int(other.select(pl.len()).collect(engine="streaming").item())
    assert check.tolerance is not None
    if abs(table.rows - before) <= check.tolerance * before:
        return ""
    share = f" ({(table.rows - before) / before:+.1%})" if before else ""
    return f"the table has {table.rows:,} rows, {check.table or 'the version before'} {before:,}{share}"
