"""Rows set aside are kept with the rule they broke, counted, and given back to the checks."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.check import Check
from filiera.data.quarantine import validate
from filiera.data.set_aside import broken_by, census, readmit, set_aside
from filiera.errors import UsageError

frames = st.lists(st.tuples(st.none() | st.integers(-5, 5), st.none() | st.integers(-5, 5)), max_size=12).map(
    lambda rows: pl.DataFrame(rows, schema={"a": pl.Int64, "b": pl.Int64}, orient="row")
)


@given(rows=frames)
def test_no_row_is_lost_or_changed(rows: pl.DataFrame) -> None:
    """Kept and set aside are all rows, each in one part, in order; null passes, as in checks."""
    kept, aside = set_aside(rows, pl.col("a") > pl.col("b"), "a above b")
    assert kept.rows() == [(a, b) for a, b in rows.rows() if a is None or b is None or a > b]
    assert aside.rows() == [(a, b, "a above b") for a, b in rows.rows() if not (a is None or b is None or a > b)]


@given(rows=frames, old=st.integers(-5, 5), new=st.integers(-5, 5))
def test_a_changed_rule_judges_all_rows_anew(rows: pl.DataFrame, old: int, new: int) -> None:
    """Checking what was kept together with what was set aside is checking all rows with the new rule."""
    first = validate(rows, [Check.in_range("a", old, severity="quarantine")])
    checks = [Check.in_range("a", new, severity="quarantine")]
    again = validate(readmit(first.kept, first.rejected), checks)
    at_once = validate(rows, checks)
    key = repr
    assert sorted(again.kept.rows(), key=key) == sorted(at_once.kept.rows(), key=key)
    assert sorted(again.rejected.rows(), key=key) == sorted(at_once.rejected.rows(), key=key)


@given(rows=frames)
def test_rows_are_counted_by_rule(rows: pl.DataFrame) -> None:
    """A row that broke two rules counts for both, and once in all."""
    checks = [Check.in_range("a", 0, severity="quarantine"), Check.not_null("b", severity="quarantine")]
    aside = validate(rows, checks).rejected
    found = census(aside.lazy())
    negative = sum(a is not None and a < 0 for a, _ in rows.rows())
    missing = sum(b is None for _, b in rows.rows())
    assert found.rows == aside.height
    assert dict(found.by_rule) == {k: n for k, n in (("a in 0..", negative), ("b not null", missing)) if n}
    assert broken_by(aside.lazy(), "b not null").collect().height == missing


@pytest.mark.parametrize(
    ("rule", "message"),
    [(pl.col("c") > 0, "does not fit"), (pl.col("a") + 1, "type Int64"), (pl.col("a").max() > 0, "1 values")],
    ids=["no column", "no truth", "one for all"],
)
def test_a_rule_that_judges_no_rows_is_refused(rule: pl.Expr, message: str) -> None:
    """Nothing is set aside by accident."""
    with pytest.raises(UsageError, match=message):
        set_aside(pl.DataFrame({"a": [1, 2]}), rule, "odd")


@pytest.mark.parametrize("aside", [{"a": ["x"]}, {"b": [1]}, {"a": [1], "b": [2]}], ids=str)
def test_rows_of_another_form_are_not_given_back(aside: dict[str, Any]) -> None:
    """The columns that differ are named."""
    with pytest.raises(UsageError, match=r"a|b"):
        readmit(pl.DataFrame({"a": [1]}), pl.DataFrame(aside))


def test_a_table_without_reasons_is_counted_whole() -> None:
    """Files that could not be read have reasons of their own."""
    assert census(pl.LazyFrame({"a": [1, 2]})).rows == 2
