"""What checks look at: a table, in memory or not, and what lies beside it."""

from __future__ import annotations

import datetime as dt
import functools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import field
from typing import Any

import polars as pl

from filiera.core.value import dataclass

ROWS_AT_ONCE = 1 << 23
"""Rows of which a few columns are kept in memory to compare them with each other: 0.2 to 0.5 GB. A table with more is
looked at in parts."""


class CannotBeChecked(Exception):
    """A check that does not fit the table, or what lies beside it; the text says why."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Beside:
    """What some checks need beside the table that they judge."""

    tables: Mapping[str, pl.LazyFrame] = field(default_factory=dict)  #: by reference; "" is the version before
    now: dt.datetime | None = None  #: with a time zone; what freshness is judged by


class CheckedTable:
    """A table that is checked. A lazy one is read in batches, and so need not fit into memory."""

    def __init__(
        self,
        frame: pl.DataFrame | pl.LazyFrame,
        *,
        beside: Beside | None = None,
        sensitive: Collection[str] = (),
        rows_at_once: int = ROWS_AT_ONCE,
    ) -> None:
        self.frame = frame.lazy()
        self.schema: Mapping[str, pl.DataType] = self.frame.collect_schema()
        self.beside = beside or Beside()
        self.sensitive = frozenset(sensitive)
        self.rows_at_once = rows_at_once
        self._engine: Any = "streaming" if isinstance(frame, pl.LazyFrame) else "in-memory"

    def narrowed(self, frame: pl.LazyFrame) -> CheckedTable:
        """Return some rows of this table as one, to be checked in the same way."""
        if frame is self.frame:
            return self
        found = CheckedTable(frame, beside=self.beside, sensitive=self.sensitive, rows_at_once=self.rows_at_once)
        found._engine = self._engine
        return found

    @functools.cached_property
    def rows(self) -> int:
        """Return the number of rows, which a file says without being read."""
        return int(self.collect(self.frame.select(pl.len())).item())

    @functools.cached_property
    def is_large(self) -> bool:
        """Tell whether the rows are compared with each other in parts."""
        return self.rows > self.rows_at_once

    @functools.cached_property
    def index(self) -> str:
        """Return a name for the column of row numbers that no column of the table has."""
        name = "row"
        while name in self.schema:
            name += "_"
        return name

    @property
    def numbered(self) -> pl.LazyFrame:
        """Return the table with the number of each row, from 0, before its columns."""
        return self.frame.with_row_index(self.index)

    def collect(self, query: pl.LazyFrame) -> pl.DataFrame:
        """Return the result of a query over the table."""
        return query.collect(engine=self._engine)

    def collect_all(self, queries: Sequence[pl.LazyFrame]) -> list[pl.DataFrame]:
        """Return the results of queries over the table, which is read once for all of them."""
        return pl.collect_all(queries, engine=self._engine)

    def other(self, reference: str) -> pl.LazyFrame | None:
        """Return another table by its reference; None for the version before the first one.

        Raises:
            CannotBeChecked: Nobody gave it.
        """
        found = self.beside.tables.get(reference)
        if found is None and reference:
            raise CannotBeChecked(f"{reference} was not given: Beside(tables={{{reference!r}: frame}})")
        return found
