from __future__ import annotations

import math

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.reference import CategoricalReference, NumericReference
from filiera.monitoring.counting import (
    COARSE_CELLS,
    WrongKind,
    bin_numbers,
    coarse_cells,
    coarse_labels,
    count_categories,
    count_missing,
    would_be_unlisted,
)
from filiera.monitoring.statistics import grouped
from tests.monitoring.freezing import freeze_column


def numeric(values: object, dtype: pl.DataType | type[pl.DataType] = pl.Float64) -> NumericReference:
    """Return the reference of a column of numbers."""
    found = freeze_column(pl.Series("x", values, dtype=dtype))
    assert isinstance(found, NumericReference)
    return found


def categorical(values: list[object], *, listed: int = 100) -> CategoricalReference:
    """Return the reference of a column of categories."""
    found = freeze_column(pl.Series("x", values), listed=listed)
    assert isinstance(found, CategoricalReference)
    return found


@given(values=st.lists(st.floats(-1e9, 1e9) | st.integers(-3, 3).map(float), min_size=1, max_size=30))
def test_every_value_is_counted_in_its_bin(values: list[float]) -> None:
    """The bins are those of the reference: bin i holds ``edges[i] < x <= edges[i + 1]``, whatever the order of rows."""
    reference = numeric(values)
    live = bin_numbers(pl.Series("x", values[::-1]), reference)
    assert live.counts.tolist() == list(reference.counts)
    assert live.outside == live.missing == 0
    assert all(reference.edges[i] < x <= reference.edges[i + 1] for x in values for i in [reference.bin_of(x)])


def test_missing_numbers_are_counted_not_binned() -> None:
    """Null, NaN, infinities and text that is no number are missing; the rest has a bin each."""
    reference = numeric(range(100))
    live = bin_numbers(pl.Series("x", [1.0, None, math.nan, math.inf, -math.inf, 500.0, -1.0]), reference)
    assert (live.counts.sum(), live.missing, live.outside) == (3, 4, 2)
    assert bin_numbers(pl.Series("x", ["1", "x", None]), reference).missing == 2


def test_a_32_bit_reference_sees_32_bit_values() -> None:
    """0.7 logged in 64 bits falls into the bin of the 32-bit 0.7 that the model was trained on."""
    reference = numeric([0.1, 0.7] * 100, pl.Float32)
    live = bin_numbers(pl.Series("x", [0.1, 0.7] * 100), reference)
    assert live.counts.tolist() == list(reference.counts)


@pytest.mark.parametrize(
    "column",
    [
        pl.Series("x", [[1.0], [2.0]]),
        pl.Series("x", [{"a": 1}]),
        pl.Series("x", [b"a"]),
        pl.Series("x", [object()], dtype=pl.Object),
    ],
)
def test_what_cannot_be_counted_is_said(column: pl.Series) -> None:
    """Lists, structures, bytes and objects are neither numbers nor categories."""
    with pytest.raises(WrongKind, match="holds"):
        bin_numbers(column, numeric(range(100)))
    with pytest.raises(WrongKind, match="holds"):
        count_categories(column, categorical(["a", "b"]))


def test_coarse_cells_have_about_a_tenth_each() -> None:
    """Ten cells of a tenth for a smooth column; their labels touch."""
    reference = numeric(np.random.default_rng(0).normal(size=10_000))
    cells = coarse_cells(reference)
    shares = grouped(reference.counts, cells) / reference.total
    assert len(shares) == COARSE_CELLS
    assert shares == pytest.approx(np.full(10, 0.1), abs=0.01)
    labels = coarse_labels(reference, cells)
    assert labels[0].removeprefix("up to ") == labels[1].split(" to ")[0]
    assert labels[-2].split(" to ")[1] == labels[-1].removeprefix("above ")


@pytest.mark.parametrize(
    ("values", "dtype", "labels"),
    [
        ([0] * 90 + list(range(1, 31)), pl.Int64, ("up to 0", "1 to 6", "7 to 18", "from 19")),
        ([0.0] * 60 + [0.5] * 40 + [1.0] * 60, pl.Float64, ("up to 0", "0 to 0.5", "above 0.5")),
        (
            [0.0] * 60 + [0.25, 0.5, 0.5] * 30 + [1.0] * 60,
            pl.Float64,
            ("up to 0", "0 to 0.25", "0.25 to 0.5", "above 0.5"),
        ),
        ([5.0] * 60, pl.Float64, ("all",)),
        ([], pl.Float64, ("all",)),
    ],
)
def test_coarse_labels_read_well(values: list[float], dtype: type[pl.DataType], labels: tuple[str, ...]) -> None:
    """Frequent values stand alone, whole numbers do not overlap, and the edge just below a value is not told."""
    reference = numeric(values, dtype)
    assert coarse_labels(reference, coarse_cells(reference)) == labels


def test_the_edge_just_below_a_frequent_value_is_told_as_that_value() -> None:
    """No label spells out 0.9999999999999999."""
    reference = NumericReference(
        name="x",
        type="float64",
        rows=160,
        nulls=0,
        edges=(-math.inf, 0.0, 0.5, math.nextafter(1, 0), 1.0, math.inf),
        counts=(60, 20, 20, 60, 0),
        mean=0.5,
        sd=0.4,
        minimum=0.0,
        maximum=1.0,
    )
    assert coarse_labels(reference, coarse_cells(reference)) == ("up to 0", "0 to 0.5", "0.5 to 1", "from 1")


def test_categories_meet_over_the_union() -> None:
    """Every value of either side has a cell; those the reference does not list come last, the most frequent first."""
    live = count_categories(pl.Series("x", ["b", "z", "z", "y", None]), categorical(["a", "a", "b"]))
    assert live.labels == ("a", "b", "z", "y")
    assert live.reference.tolist() == [2, 1, 0, 0]
    assert live.current.tolist() == [0, 1, 2, 1]
    assert (live.missing, live.unlisted) == (1, 3)


def test_unlisted_values_are_other_where_the_reference_has_some() -> None:
    """What training did not list cannot be told from what it never saw."""
    live = count_categories(pl.Series("x", ["a", "b", "z"]), categorical(["a"] * 9 + ["b", "c"], listed=2))
    assert live.labels == ("a", "other")
    assert (live.reference.tolist(), live.current.tolist(), live.unlisted) == ([9, 2], [1, 2], 2)


def test_a_doubtful_place_on_the_list_counts_as_other() -> None:
    """A value barely frequent enough to be listed would be rarer in every window: its rows go to "other"."""
    reference = categorical(["a"] * 90 + ["b"] * 12 + ["c"] * 9 + ["d"] * 8, listed=3)
    assert count_categories(pl.Series("x", ["a"] * 30 + ["b"] * 3), reference).labels == ("a", "other")
    assert count_categories(pl.Series("x", ["a"] * 30 + ["b"] * 30), reference).labels == ("a", "b", "other")


@pytest.mark.parametrize(
    ("counts", "listed", "expected"),
    [
        ((90, 5, 5), 100, (0, 100)),
        ((90, 5, 2, 1, 1, 1), 100, (2, 60)),
        ((1,) * 50, 100, (50, 50)),
        ((1,) * 50, 20, (50, 50)),
        ((60, 20, 10, 5, 5), 3, (20, 100)),
        ((60, 20, 11, 5, 4), 4, (9, 100)),
        ((60, 20, 6, 5, 4), 4, (15, 95)),
    ],
)
def test_rows_that_would_be_unlisted(counts: tuple[int, ...], listed: int, expected: tuple[int, int]) -> None:
    """Rows that would have an unlisted value if left out, among as many rows as make up for their variance."""
    rows = [str(value) for value, count in enumerate(counts) for _ in range(count)]
    assert would_be_unlisted(categorical(rows, listed=listed)) == expected


@pytest.mark.parametrize(
    ("trained", "live"),
    [
        ([True, False, True], [1, 0, 1]),
        ([True, False, True], [1.0, 0.0, 1.0]),
        ([1, 0, 1], [True, False, True]),
        ([1, 0, 1], [1.0, 0.0, 1.0]),
        (["a", "b", "a"], pl.Series(["a", "b", "a"], dtype=pl.Categorical)),
    ],
)
def test_equal_values_of_other_types_meet(trained: list[object], live: object) -> None:
    """JSON writes 1, 1.0 or true as the client likes; the reference decides what it means."""
    reference = categorical(trained)
    found = count_categories(pl.Series("x", live), reference)
    assert found.current.tolist() == list(reference.counts)
    assert found.unlisted == 0


def test_fractions_are_not_whole_numbers() -> None:
    """1.5 is an unseen value of a column of whole numbers, not 1; NaN is missing."""
    found = count_categories(pl.Series("x", [1.5, 1.0, math.nan]), categorical([0, 1]))
    assert (found.labels[-1], found.unlisted, found.missing) == ("1.5", 1, 1)


@pytest.mark.parametrize(
    ("values", "missing"),
    [([1, None], 1), ([1.0, math.nan, math.inf], 2), (["a", None], 1), ([None, None], 2), ([], 0)],
)
def test_count_missing(values: list[object], missing: int) -> None:
    """Null, NaN and infinities are missing, in whatever type."""
    assert count_missing(pl.Series("x", values)) == missing
