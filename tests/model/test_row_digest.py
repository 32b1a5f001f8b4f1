"""A row is known again by what is in it."""

from __future__ import annotations

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.model.row_digest import row_digests

MIXED: dict[str, Any] = {
    "number": [1, 2, None],
    "share": [0.5, float("nan"), None],
    "text": ["a", "", None],
    "is_old": [True, False, None],
    "day": [dt.date(2024, 2, 29), dt.date(1970, 1, 1), None],
    "bytes": [b"a", b"", None],
    "list": [[1, 2], [], None],
    "struct": [{"a": 1}, {"a": None}, None],
}
GOLDEN = [4089547916786765495, 5635901048383472292, 9381382691824176907]


def test_digests_are_these() -> None:
    """Digests are stored and compared with those that other machines and later versions make."""
    assert row_digests(pl.DataFrame(MIXED)).to_list() == GOLDEN
    assert row_digests(pl.DataFrame({"x": [1, 1, 1]})).n_unique() == 3
    assert row_digests(pl.DataFrame({"x": []})).to_list() == []


@given(st.lists(st.tuples(st.integers(-2, 2), st.sampled_from("ab")), min_size=1, max_size=20), st.randoms())
def test_a_row_keeps_its_digest_in_any_company(rows: list[tuple[int, str]], source: Any) -> None:
    """The set of digests is that of the rows, whatever their order: equal rows are numbered."""
    frame = pl.DataFrame(rows, schema=["n", "s"], orient="row")
    shuffled = rows[:]
    source.shuffle(shuffled)
    again = pl.DataFrame(shuffled, schema=["n", "s"], orient="row")
    digests = row_digests(frame)
    assert digests.n_unique() == len(rows)
    assert set(digests) == set(row_digests(again))


@pytest.mark.parametrize("name", MIXED)
def test_different_values_have_different_digests(name: str) -> None:
    """Null is a value of its own in every type."""
    assert row_digests(pl.DataFrame({name: MIXED[name]})).n_unique() == 3


def test_what_does_not_count() -> None:
    """The order of the columns, the width of numbers, the sign of zero and how text is kept leave digests alone."""
    frame = pl.DataFrame({"n": [1, 2], "f": [0.0, 1.5], "s": ["a", "b"]})
    same = frame.select("s", "f", "n").with_columns(
        pl.col("n").cast(pl.UInt8), f=pl.Series([-0.0, 1.5], dtype=pl.Float32), s=pl.col("s").cast(pl.Categorical)
    )
    assert row_digests(same).equals(row_digests(frame))
    assert not row_digests(frame.rename({"n": "m"})).equals(row_digests(frame))
