"""One pass over a table, batch by batch: what its profile is made of, in memory that does not grow with the rows."""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from filiera.data.distribution import LONGEST_TEXT, Values
from filiera.data.sketch import SEED, Distinct, DistinctSketch, RowSample, ValueCounter
from filiera.data.tally import Tally

BATCH_ROWS = 1 << 17
SAMPLE_ROWS = 1 << 17
SAMPLE_BYTES = 1 << 28
COUNTED_VALUES = 1 << 12
"""Of columns with at most so many different values, each is counted."""
_SAMPLE_CELLS = 1 << 23
_HASHES = 1 << 14
_ROW_HASH = "\x00hash"


class Survey:
    """What was seen of a table so far."""

    def __init__(self, schema: pl.Schema) -> None:
        self.rows = 0
        self.columns = [ColumnSurvey(name, dtype) for name, dtype in schema.items()]
        self._texts = [name for name, dtype in schema.items() if dtype in (pl.Categorical, pl.Enum)]
        self._has_objects = any(dtype == pl.Object for dtype in schema.values())
        self._rows_seen = DistinctSketch(size=_HASHES)
        sampled = max(1, len([column for column in self.columns if column.is_sampled]))
        self._sample = RowSample(rows=min(SAMPLE_ROWS, max(1, _SAMPLE_CELLS // sampled)), size_bytes=SAMPLE_BYTES)
        self._sample.add(self._sampled(pl.DataFrame(schema=schema).with_columns(self._as_texts()), None))

    def add(self, batch: pl.DataFrame) -> None:
        """Look at the next rows."""
        self.rows += batch.height
        if self._texts:
            batch = batch.with_columns(self._as_texts())
        asked = [
            expression.alias(f"{i}.{key}")
            for i, column in enumerate(self.columns)
            for key, expression in column.tally.expressions()
        ]
        found = batch.select(asked).row(0, named=True) if asked else {}
        for i, column in enumerate(self.columns):
            column.tally.add(batch, {key: found[f"{i}.{key}"] for key, _ in column.tally.expressions()})
            column.add(batch.get_column(column.tally.name))
        hashes = batch.hash_rows(SEED) if batch.width and not self._has_objects else None
        if hashes is not None:
            self._rows_seen.add(hashes)
        self._sample.add(self._sampled(batch, hashes))

    def repeated_rows(self) -> tuple[int | None, float]:
        """Return how many rows equal an earlier one, None when it cannot be told, and the standard error in rows."""
        if self._has_objects or not self.columns:
            return None, 0.0
        if self._sample.is_whole:
            return self.rows - self._sample.frame()[_ROW_HASH].n_unique(), 0.0
        share, error = self._rows_seen.repeated_share()
        return round(self.rows * share), self.rows * error

    def sample(self) -> tuple[pl.DataFrame, bool]:
        """Return rows drawn at random, of the columns of numbers, times and categories, and whether these are all."""
        return self._sample.frame().drop(_ROW_HASH), self._sample.is_whole

    def _as_texts(self) -> list[pl.Expr]:
        return [pl.col(name).cast(pl.String) for name in self._texts]

    def _sampled(self, batch: pl.DataFrame, hashes: pl.Series | None) -> pl.DataFrame:
        kept = [
            pl.col(column.tally.name).str.slice(0, LONGEST_TEXT) if column.has_long_texts else pl.col(column.tally.name)
            for column in self.columns
            if column.is_sampled
        ]
        if hashes is None:
            hashes = pl.Series([None], dtype=pl.UInt64).new_from_index(0, batch.height)
        return hashes.alias(_ROW_HASH).to_frame().hstack(batch.select(kept))


class ColumnSurvey:
    """What was seen of one column so far."""

    def __init__(self, name: str, dtype: pl.DataType) -> None:
        self.tally = Tally(name, dtype)
        self.is_sampled = self.tally.kind != "other"
        self._counter = ValueCounter(most=COUNTED_VALUES) if self.is_sampled else None
        self._hashes = DistinctSketch(size=_HASHES) if dtype != pl.Object else None

    @property
    def has_long_texts(self) -> bool:
        """Tell whether the sample has the beginning only of some texts."""
        lengths = self.tally.lengths
        return self.tally.kind == "category" and lengths is not None and lengths.longest > LONGEST_TEXT

    @property
    def counts(self) -> pl.DataFrame | None:
        """Return the columns ``value`` and ``rows`` with each value; None when there are too many, or none."""
        return None if self._counter is None else self._counter.counts

    def add(self, values: pl.Series) -> None:
        """Look at further values."""
        if self._hashes is None:
            return
        values = values.drop_nulls()
        if self._counter is not None:
            if self._counter.add(values):
                return
            counts, self._counter = self._counter.counts, None
            if counts is not None:
                self._hashes.add(counts["value"].hash(SEED), counts["rows"])
        self._hashes.add(values.hash(SEED))

    def distinct(self, sample: pl.DataFrame, *, is_whole: bool) -> Distinct | None:
        """Return how many different values there are; None for Python objects."""
        if self._counter is not None:
            counts = self._counter.counts
            return Distinct(0 if counts is None else counts.height, 0.0)
        if is_whole and self.is_sampled and not self.has_long_texts:
            return Distinct(sample.get_column(self.tally.name).drop_nulls().n_unique(), 0.0)
        return None if self._hashes is None else self._hashes.estimate()

    def values(self, sample: pl.DataFrame) -> tuple[Values, bool]:
        """Return the values of a column that is in the sample, and whether these are all, not those of the sample."""
        name, kind = self.tally.name, self.tally.kind
        if (counts := self.counts) is not None:
            return Values.of(counts, kind), True
        return Values.of_rows(sample.get_column(name), kind), False


def survey(frame: pl.DataFrame | pl.LazyFrame) -> Survey:
    """Return what one pass over *frame* saw; a lazy one is streamed and never held whole."""
    found = Survey(frame.collect_schema())
    for batch in _batches(frame):
        found.add(batch)
    return found


def _batches(frame: pl.DataFrame | pl.LazyFrame) -> Iterator[pl.DataFrame]:
    if isinstance(frame, pl.DataFrame):
        yield from frame.iter_slices(BATCH_ROWS)
    else:
        yield from frame.collect_batches(chunk_size=BATCH_ROWS, maintain_order=True, engine="streaming")
