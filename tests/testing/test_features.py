"""The laws of features hold for what obeys them, and say what broke them."""

from __future__ import annotations

from typing import Any

import polars as pl
import pytest

from filiera.testing.features import assert_idempotent, assert_order_is_kept_out, assert_row_by_row, assert_scales

ROWS = pl.DataFrame({"bytes": [10, 4, 7, None], "packets": [4, 1, 3, 2], "text": ["a ", "b", "c", "c"]})


def ratio(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(ratio=pl.col("bytes") / pl.col("packets"))


def rank(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(rank=pl.col("packets").rank())


def above_before(rows: pl.DataFrame) -> pl.DataFrame:
    return rows.with_columns(change=pl.col("packets").diff())


def test_what_looks_at_one_row_is_told_from_what_looks_at_others() -> None:
    """By order, and by leaving rows out."""
    assert_row_by_row(ratio, ROWS)
    with pytest.raises(AssertionError, match="without half of the others: row"):
        assert_row_by_row(rank, ROWS)
    with pytest.raises(AssertionError, match="in another order"):
        assert_row_by_row(above_before, ROWS)
    assert_order_is_kept_out(rank, ROWS)
    with pytest.raises(AssertionError, match="in another order"):
        assert_order_is_kept_out(above_before, ROWS)


def test_ratios_and_sums_scale_as_they_must() -> None:
    """Of both sides a ratio stays, of one it doubles."""
    assert_scales(ratio, ROWS, ["bytes", "packets"], feature="ratio", power=0)
    assert_scales(ratio, ROWS, ["bytes"], feature="ratio", power=1)
    with pytest.raises(AssertionError, match=r"with bytes doubled: row 0 is 5\.0 instead of 2\.5"):
        assert_scales(ratio, ROWS, ["bytes"], feature="ratio", power=0)


@pytest.mark.parametrize(
    ("clean", "is_idempotent"),
    [
        (lambda rows: rows.with_columns(pl.col("text").str.strip_chars()), True),
        (lambda rows: rows.unique("text", maintain_order=True), True),
        (lambda rows: rows.with_columns(pl.col("text") + "!"), False),
        (lambda rows: rows[1:], False),
    ],
    ids=["strip", "unique", "append", "cut"],
)
def test_cleaning_twice_is_cleaning_once(clean: Any, is_idempotent: bool) -> None:
    """Else what is clean depends on how often one looks."""
    if is_idempotent:
        assert_idempotent(clean, ROWS)
    else:
        with pytest.raises(AssertionError, match="cleaned twice"):
            assert_idempotent(clean, ROWS)
