"""What is kept of a table of any size: exact while it is small, then as near as is said."""

from __future__ import annotations

import math
import random

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.data.sketch import DistinctSketch, RowSample, ValueCounter


def hashed(values: list[int]) -> pl.Series:
    return pl.Series(values, dtype=pl.Int64).hash(1)


@settings(max_examples=60, deadline=None)
@given(values=st.lists(st.integers(0, 60)), cut=st.integers(0, 40), size=st.integers(16, 64))
def test_different_values_are_counted_in_any_order_and_batches(values: list[int], cut: int, size: int) -> None:
    """Up to the size the count is exact, and however rows come, the estimate is the same."""
    whole, parts = DistinctSketch(size=size), DistinctSketch(size=size)
    whole.add(hashed(values))
    for part in (values[cut:], values[:cut]):
        parts.add(hashed(part))
    assert whole.estimate() == parts.estimate()
    if len(set(values)) <= size:
        assert (whole.estimate().count, whole.estimate().error) == (len(set(values)), 0.0)
        repeated = whole.repeated_share()[0] * len(values)
        assert repeated == pytest.approx(len(values) - len(set(values)), abs=1e-9)


def test_estimates_are_as_near_as_they_say() -> None:
    """Of 24 tables, estimates are off by more than four standard errors in none, and by one in about a third."""
    chance, beyond = random.Random(5), 0
    for trial in range(24):
        different, size = chance.randrange(2000, 20_000), 1024
        times = [1, 1 + chance.randrange(3)] if trial % 2 else [1, 40]
        values = [value + trial * 10**6 for value in range(different) for _ in range(chance.choice(times))]
        sketch = DistinctSketch(size=size)
        sketch.add(hashed(values))
        found = sketch.estimate()
        off = abs(found.count - different) / different
        assert off <= 4 * found.error + 1 / different
        beyond += off > found.error
        share, error = sketch.repeated_share()
        assert abs(share - (1 - different / len(values))) <= 4 * error + 1e-9
    assert beyond <= 14


def test_a_key_is_seen_to_be_one() -> None:
    """When no value of the sample of values repeats, the count is the number of rows, and one repetition shows."""
    sketch = DistinctSketch(size=1024)
    sketch.add(hashed(list(range(50_000))))
    assert (sketch.estimate().count, sketch.estimate().error) == (50_000, 0.0)
    assert sketch.repeated_share() == (0.0, 0.0)


@settings(max_examples=40, deadline=None)
@given(rows=st.integers(0, 300), cut=st.integers(1, 90), keep=st.integers(1, 100))
def test_the_same_rows_are_drawn_in_any_batches(rows: int, cut: int, keep: int) -> None:
    """The sample has so many rows as it should, in order, and depends on the table alone."""
    table = pl.DataFrame({"a": range(rows)}, schema={"a": pl.Int64})
    whole, parts = (RowSample(rows=keep, size_bytes=1 << 20) for _ in range(2))
    whole.add(table)
    for batch in table.iter_slices(cut):
        parts.add(batch)
    if rows:
        assert whole.frame().equals(parts.frame())
    drawn = whole.frame()["a"].to_list()
    assert drawn == sorted(set(drawn))
    assert len(drawn) == min(rows, keep)
    assert whole.is_whole == (rows <= keep)


def test_each_row_is_as_likely_as_any_other() -> None:
    """Drawn rows spread evenly over the table: χ² of tenths is within what chance does."""
    sample = RowSample(rows=5000, size_bytes=1 << 24)
    for batch in pl.DataFrame({"a": range(200_000)}).iter_slices(7000):
        sample.add(batch)
    tenths = sample.frame().select((pl.col("a") // 20_000).alias("t")).group_by("t").len()["len"].to_list()
    assert sum((count - 500) ** 2 / 500 for count in tenths) < 27.9  # 0.1 % of samples are beyond


def test_a_sample_of_long_rows_is_halved() -> None:
    """Memory is bounded in bytes too; what is left is a sample still."""
    sample = RowSample(rows=1000, size_bytes=20_000)
    for _ in range(20):
        sample.add(pl.DataFrame({"a": ["x" * 100] * 100}))
    assert sample.frame().estimated_size() <= 20_000
    assert 50 < sample.frame().height < 200
    assert not sample.is_whole


@given(values=st.lists(st.integers(0, 8)), most=st.integers(1, 6))
def test_few_values_are_counted_each(values: list[int], most: int) -> None:
    """Counts are exact until there are too many different values, and what came too late is forgotten."""
    counter = ValueCounter(most=most)
    taken: list[int] = []
    for value in values:
        if counter.add(pl.Series([value])):
            taken.append(value)
    counts = {} if counter.counts is None else dict(counter.counts.rows())
    assert counts == {value: taken.count(value) for value in taken}
    assert len(counts) <= most
    assert math.isclose(sum(counts.values()), len(taken))


def test_a_sample_holds_no_texts_of_rows_that_are_not_in_it() -> None:
    """Rows that were picked from a batch do not keep the batch: memory does not grow with the table."""
    pytest.importorskip("pyarrow")
    sample = RowSample(rows=100, size_bytes=1 << 24)
    for start in range(0, 50_000, 1000):
        sample.add(pl.DataFrame({"a": [f"{row:050}" for row in range(start, start + 1000)]}))
    chunks = [chunk.to_arrow(compat_level=pl.CompatLevel.newest()) for chunk in sample.frame()["a"].get_chunks()]
    assert sum(map(len, chunks)) == 100
    assert sum(buffer.size for chunk in chunks for buffer in chunk.buffers() if buffer is not None) < 100 * 1000
