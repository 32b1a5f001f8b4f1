"""Features that are computed again, and values that stand in for missing ones."""

from __future__ import annotations

import math

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.check import Check
from filiera.data.checks import run_checks
from tests.data import oracles

NUMBERS = st.one_of(st.none(), st.integers(-3, 3).map(float), st.sampled_from([math.nan, math.inf, 1 + 1e-12]))
ROWS = st.lists(st.fixed_dictionaries({"f": NUMBERS, "a": NUMBERS}), max_size=30)
FRACTIONS = {"f": pl.Float64, "a": pl.Float64}


def same(col):
    return col.a


def ratio(col):
    return col.a / col.b


def running(col):
    return col.a.cum_sum()


def raises(col):
    raise KeyError("no such thing")


def one(frame, check):
    return run_checks(frame, [check]).results[0]


@given(rows=ROWS)
def test_a_feature_is_compared_with_its_second_definition(rows):
    """Null equals null, NaN NaN and infinity infinity; fractions up to the tolerance."""
    frame = pl.DataFrame(rows, schema=FRACTIONS)
    expected = [n for n, row in enumerate(rows) if oracles.differs(row["f"], row["a"], 1e-9)]
    for check in (Check.recomputed("f", same), Check.recomputed("f", same, sample=1000)):
        found = one(frame.lazy(), check)
        assert (found.rows_failed, [example.row for example in found.examples]) == (len(expected), expected[:5])


def test_integers_and_texts_are_equal_to_the_last_digit():
    """No tolerance applies to them; unlike types cannot be compared."""
    frame = pl.DataFrame({"f": [2**60, 1], "a": [2**60 + 1, 1]})
    assert one(frame, Check.recomputed("f", same)).reason == (f"1 of 2 rows, first row 0: f = {2**60}, a = {2**60 + 1}")
    assert one(frame.cast(pl.String), Check.recomputed("f", same)).rows_failed == 1
    mixed = frame.with_columns(pl.col("a").cast(pl.String))
    assert one(mixed, Check.recomputed("f", same)).reason == "f is int64, but its second definition gives string"
    assert one(frame, Check.recomputed("f", raises)).reason == "the rule raised KeyError: 'no such thing'"
    assert one(frame, Check.recomputed("f", ratio)).reason.startswith("the rule does not fit the table: ColumnNotFound")


def test_a_sample_holds_all_boundary_rows():
    """Least, greatest, null and infinite inputs are always among the rows that are judged."""
    a = [float(n) for n in range(1000)]
    a[500], a[501], a[502] = math.inf, math.nan, None
    frame = pl.DataFrame({"a": a, "b": [2.0] * 1000}).with_columns(f=pl.col("a") / pl.col("b"))
    check = Check.recomputed("f", ratio, sample=20)
    assert one(frame, check).passed
    for row in (0, 999, 500, 501, 502):
        values = frame["f"].to_list()
        values[row] = -1.0
        assert one(frame.with_columns(f=pl.Series(values)), check).examples[0].row == row
    wrong = one(frame.with_columns(f=pl.lit(-1.0)), check)
    assert 20 <= wrong.rows_failed <= 30
    assert wrong == one(frame.with_columns(f=pl.lit(-1.0)), check)


def test_a_sample_does_not_change_what_looks_at_other_rows():
    """A second definition over several rows is computed on all of them, and judged on the sample."""
    frame = pl.DataFrame({"a": range(1000)}).with_columns(f=pl.col("a").cum_sum())
    assert one(frame, Check.recomputed("f", running, sample=5)).passed


def less_mean(col):
    return col.a - col.a.mean()


def by_python(col):
    return col.a.map_batches(lambda column: column * 2, return_dtype=pl.Float64)


@pytest.mark.parametrize("again", [less_mean, by_python])
def test_a_sample_is_judged_though_other_rows_count_deep_inside(again):
    """Polars takes only the outermost part of an expression for what it is."""
    frame = pl.DataFrame({"a": [float(number * number) for number in range(200)]})
    frame = frame.with_columns(f=again(pl.col))
    assert one(frame, Check.recomputed("f", again, sample=5)).passed


TABLE = pl.DataFrame(
    {
        "raw": [1.0, None, 3.0, 8.0, None, 100.0],
        "kind": ["x", "y", "y", None, "x", "y"],
        "is_training": [True, True, True, True, False, False],
    }
)


@pytest.mark.parametrize(
    ("strategy", "value"),
    [("mean", 4.0), ("median", 3.0), ("min", 1.0), ("max", 8.0), (-1, -1.0), ("most_frequent", 3.0)],
)
def test_imputed_values_come_from_the_training_part(strategy, value):
    """Null cells have the strategy's value in the training rows, the others what they had."""
    frame = TABLE.with_columns(a=pl.col("raw").fill_null(value))
    check = Check.imputed("a", "raw", strategy=strategy, training="is_training")
    assert one(frame.lazy(), check).passed
    leaked = frame.with_columns(a=pl.col("raw").fill_null(pl.col("raw").mean()))
    assert one(leaked, check).reason == "2 of 6 rows, first row 1: a = 28.0, raw = None"
    changed = frame.with_columns(a=pl.when(pl.col("raw") == 100).then(8.0).otherwise("a"))
    assert [example.row for example in one(changed, check).examples] == [5]
    left = frame.with_columns(a=pl.col("raw"))
    assert one(left, check).rows_failed == 2


def test_imputed_texts_and_signs():
    """Texts take the most frequent value or a constant; minus zero is not zero."""
    check = Check.imputed("kind", "raw_kind", strategy="most_frequent")
    frame = TABLE.select(raw_kind="kind", kind=pl.col("kind").fill_null("y"))
    assert one(frame, check).passed
    assert not one(frame, Check.imputed("kind", "raw_kind", strategy="unknown")).passed
    mean = one(frame, Check.imputed("kind", "raw_kind", strategy="mean"))
    assert mean.reason == "raw_kind is string; this check needs a number column"
    signs = pl.DataFrame({"a": [0.0], "raw": [-0.0]})
    assert one(signs, Check.imputed("a", "raw", strategy=0)).rows_failed == 1
    empty = pl.DataFrame({"a": [0.0], "raw": [None]}, schema={"a": pl.Float64, "raw": pl.Float64})
    assert one(empty, Check.imputed("a", "raw", strategy="mean")).reason == "raw has no value to learn the mean from"
