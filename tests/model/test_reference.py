import datetime as dt
import math
import sys
from decimal import Decimal

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from filiera.core import plain
from filiera.core.reference import CategoricalReference, NumericReference
from filiera.errors import UsageError
from filiera.model.reference import MAX_BINS, column_reference, numeric_reference, reference_profile

numbers = st.one_of(st.floats(), st.integers(-3, 3).map(float), st.none())


@settings(deadline=None, max_examples=150)
@given(st.lists(numbers, max_size=200))
def test_every_row_is_counted_once(values: list[float | None]) -> None:
    """Whatever the numbers, each row is a null, not finite, or in the bin that its value falls into."""
    reference = numeric_reference(pl.Series("x", values, dtype=pl.Float64))
    finite = [value for value in values if value is not None and math.isfinite(value)]
    assert reference.nulls == values.count(None)
    assert reference.non_finite == len(values) - reference.nulls - len(finite)
    counts = [0] * len(reference.counts)
    for value in finite:
        counts[reference.bin_of(value)] += 1
    assert tuple(counts) == reference.counts
    assert plain.decode(plain.encode(reference)) == reference


@pytest.mark.parametrize(
    "values",
    [
        np.random.default_rng(0).normal(size=50_000),
        np.random.default_rng(0).normal(size=50_000).round(2),
        np.random.default_rng(0).geometric(0.01, size=50_000).astype(float),
        np.where(np.arange(50_000) % 2, 0.0, np.random.default_rng(0).exponential(size=50_000)),
    ],
    ids=["continuous", "rounded", "counts", "half zero"],
)
def test_a_bin_is_small_or_one_value(values: NDArray[np.float64]) -> None:
    """There are at most 1,024 bins, and one that holds more than its share of the rows holds a single value."""
    reference = numeric_reference(pl.Series("x", values))
    assert len(reference.counts) <= MAX_BINS
    share = math.ceil(len(values) / (MAX_BINS // 2 - 1))
    for low, high, count in zip(reference.edges, reference.edges[1:], reference.counts, strict=False):
        inside = np.unique(values[(values > low) & (values <= high)])
        assert count <= 2 * share or len(inside) == 1


def test_frequent_values_have_bins_of_their_own() -> None:
    """A live value just beside a frequent one is told from it."""
    reference = numeric_reference(pl.Series("x", [0.0] * 60 + [1.0] * 30 + [0.5] * 10))
    assert [reference.bin_of(x) for x in (-0.1, 0.0, 1e-9, 0.5, 0.7, 1.0, 1.1)] == list(range(7))
    assert reference.counts == (0, 60, 0, 10, 0, 30, 0)


def test_moments_are_exact() -> None:
    """Mean and deviation do not lose a small spread on a large mean, nor overflow on huge values."""
    reference = numeric_reference(pl.Series("x", [1e9 + 1, 1e9 + 2, 1e9 + 3]))
    assert (reference.mean, reference.sd) == (1e9 + 2, math.sqrt(2 / 3))
    huge = numeric_reference(pl.Series("x", [1e200, 3e200]))
    assert (huge.mean, huge.sd) == pytest.approx((2e200, 1e200))


def test_few_integers_strings_and_booleans_are_categories() -> None:
    """What has few values is counted per value, the most frequent first, equal counts by value."""
    expected = {
        "flag": (pl.Series("flag", [1, 0, 0, None], dtype=pl.Int8), (0, 1), (2, 1)),
        "service": (pl.Series("service", ["b", "a", "c", "c"], dtype=pl.Categorical), ("c", "a", "b"), (2, 1, 1)),
        "land": (pl.Series("land", [True, False, None]), (False, True), (1, 1)),
    }
    for column, values, counts in expected.values():
        reference = column_reference(column)
        assert isinstance(reference, CategoricalReference)
        assert (reference.values, reference.counts) == (values, counts)
        assert reference.nulls == column.null_count()


def test_rare_values_are_pooled() -> None:
    """At most 200 values are listed; the rest is counted as other."""
    reference = column_reference(pl.Series("id", [f"{i:03}" for i in range(300)] + ["000"]))
    assert isinstance(reference, CategoricalReference)
    assert len(reference.values) == 200
    assert (reference.values[0], reference.counts[0], reference.other) == ("000", 2, 100)


def test_many_integers_are_numeric() -> None:
    """From 21 distinct values on integers have bins."""
    assert isinstance(column_reference(pl.Series("n", range(20))), CategoricalReference)
    assert isinstance(column_reference(pl.Series("n", range(21))), NumericReference)


def test_dates_are_days_and_timestamps_seconds() -> None:
    """Times are numbers since 1970-01-01 UTC, whatever their unit and zone."""
    day = numeric_reference(pl.Series("d", [dt.date(1970, 1, 3)]))
    assert (day.type, day.mean) == ("date", 2.0)
    noon = dt.datetime(1970, 1, 1, 12, tzinfo=dt.timezone(dt.timedelta(hours=1)))
    for unit in ("ms", "ns"):
        series = pl.Series("t", [noon], dtype=pl.Datetime(unit, "UTC"))
        assert (column_reference(series).type, numeric_reference(series).mean) == ("timestamp", 39_600.0)


def test_columns_without_values_have_empty_bins() -> None:
    """A column of nulls is described, not refused."""
    reference = numeric_reference(pl.Series("x", [None, math.nan], dtype=pl.Float32))
    assert (reference.counts, reference.nulls, reference.non_finite, reference.mean) == ((0,), 1, 1, None)
    assert column_reference(pl.Series("s", [None], dtype=pl.String)).total == 0


def test_profile_follows_the_order_of_the_inputs() -> None:
    """Columns come in the order of the model, and others are left out."""
    frame = pl.DataFrame({"a": [1.5, 2.5], "b": ["x", "y"], "label": [0, 1]})
    profile = reference_profile(frame, inputs=["b", "a"])
    assert [column.name for column in profile.columns] == ["b", "a"]
    assert profile.rows == 2


def test_types_that_no_signature_can_say_are_refused() -> None:
    """A column that cannot be described is named, with what to do."""
    with pytest.raises(UsageError, match="'price' has type Decimal"):
        column_reference(pl.Series("price", [Decimal("1.5")]))


@pytest.mark.parametrize("value", [sys.float_info.max, -sys.float_info.max])
def test_the_greatest_floats_have_a_bin(value: float) -> None:
    """Beside the least and the greatest float there is no other to put an edge at."""
    reference = numeric_reference(pl.Series("x", [value] * 3))
    assert sum(reference.counts) == 3
