"""A table that grows: what was read before, and what may be new, by a watermark.

Read again are all rows at or beyond the greatest watermark of before, less what ``late_by`` says, and those without
one; what was read of them before is dropped. So rows with an equal value are neither lost nor there twice, and rows
that come late are seen as long as they are not later than ``late_by``; a row that is later still is seen when all is
read afresh. With a ``key``, a row that is read again replaces the one with the same key, however old.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from filiera.adapters.sql.entry import SqlEntry
from filiera.adapters.sql.statements import beyond, earlier, relation
from filiera.core.value import dataclass
from filiera.errors import SourceError

if TYPE_CHECKING:
    import polars as pl


@dataclass(frozen=True, kw_only=True, slots=True)
class Growth:
    """What stays of a table, and what is to be read."""

    kept: pl.LazyFrame  #: rows of before that are not read again
    rows: str  #: the SELECT of those that are
    schema: pl.Schema  #: of both
    key: tuple[str, ...]

    @classmethod
    def of(cls, before: pl.LazyFrame, asked: SqlEntry, empty: pl.DataFrame) -> Growth | None:
        """Return how a table grows; None when all must be read anew.

        Args:
            before: What was read before.
            asked: The entry.
            empty: The table as it would be read now, without rows.
        """
        import polars as pl

        former = pl.DataFrame(schema=before.collect_schema())
        greatest = before.select(pl.col(asked.watermark).max()).collect().item() if asked.watermark in former else None
        if former.columns != empty.columns or greatest is None:
            return None
        try:
            schema = pl.concat([former, empty], how="vertical_relaxed").schema
        except pl.exceptions.PolarsError:
            return None
        least = earlier(greatest, asked.late_by)
        return cls(
            kept=before.filter(pl.col(asked.watermark) < least),
            rows=f"SELECT * FROM ({relation(asked)}) AS wanted WHERE {beyond(asked.watermark, least)}",
            schema=schema,
            key=asked.key,
        )

    def joined(self, new: Iterator[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        """Yield what stays, then what came; with a key what came is in memory at once. Raises what *new* does."""
        import polars as pl

        kept, came = self.kept, new
        if self.key:
            table = pl.concat(list(new), how="vertical")
            kept = kept.join(
                table.lazy().select(self.key), on=self.key, how="anti", nulls_equal=True, maintain_order="left"
            )
            came = iter([table])
        for batch in kept.collect_batches(maintain_order=True, engine="streaming"):
            yield self._cast(batch)
        for batch in came:
            yield self._cast(batch)

    def _cast(self, batch: pl.DataFrame) -> pl.DataFrame:
        types: Any = self.schema
        return batch if batch.schema == self.schema else batch.cast(types)


def refuse_unordered(schema: pl.Schema, asked: SqlEntry, sorts_text: bool) -> None:
    """Refuse a watermark whose values have no order that both sides agree on. Raises SourceError."""
    import polars as pl

    dtype = schema[asked.watermark]
    if dtype.is_numeric() or dtype in (pl.Date, pl.Time) or isinstance(dtype, pl.Datetime):
        return
    if dtype == pl.String and sorts_text and not asked.late_by:
        return
    raise SourceError(
        f"{asked.place} cannot grow by its column {asked.watermark!r}, which is {dtype}.",
        why="A watermark is a number, a date or a time; with late_by, something it can be taken from.",
        do="Name another column as watermark, or convert it in a query.",
    )
