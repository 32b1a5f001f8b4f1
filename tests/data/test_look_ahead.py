"""Transformations that look ahead are found."""

from __future__ import annotations

import polars as pl
import pytest

from filiera.data.look_ahead import check_no_look_ahead

FLOWS = pl.DataFrame({"t": [3, 1, 2, 5, 4, None] * 20, "host": ["a", "b"] * 60, "x": [float(n) for n in range(120)]})


@pytest.mark.parametrize(
    "honest",
    [
        pl.col("x") * 2,
        pl.col("x").sort_by("t").cum_sum(),
        pl.col("x").shift(1).over("host", order_by="t"),
        pl.col("x").rolling_mean(3),
    ],
)
def test_looking_back_is_allowed(honest):
    """Rows are put in the order of time; what looks at the row and those before it passes."""
    ordered = FLOWS.drop_nulls().sort("t", maintain_order=True)
    assert check_no_look_ahead(lambda rows: rows.with_columns(f=honest), ordered, time="t").passed


@pytest.mark.parametrize(
    "ahead",
    [
        pl.col("x").shift(-1),
        pl.col("x") - pl.col("x").mean(),
        pl.col("x").rank(),
        pl.col("x").max().over("host"),
        pl.col("x").reverse(),
    ],
)
def test_looking_ahead_is_found(ahead):
    """A later row's value, or a statistic over all rows; the message shows both values."""
    ordered = FLOWS.drop_nulls().sort("t", maintain_order=True)
    result = check_no_look_ahead(lambda rows: rows.with_columns(f=ahead), ordered, time="t")
    assert not result.passed and result.blocks
    assert "without the rows after" in result.reason
    assert result.examples


def test_rows_that_come_and_go():
    """A filter by what comes later changes the number of rows; a table of one time proves nothing."""
    result = check_no_look_ahead(lambda rows: rows.filter(pl.col("x") == pl.col("x").max()), FLOWS, time="t")
    assert "rows up to t" in result.reason
    with pytest.raises(ValueError, match="fewer than two times"):
        check_no_look_ahead(lambda rows: rows, FLOWS.head(1), time="t")
