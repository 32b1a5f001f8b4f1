"""Rows are cut by the values of a column."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.model.slices import OTHERS, parts_of

columns = st.one_of(
    st.lists(st.one_of(st.none(), st.floats(allow_nan=True)), max_size=60).map(lambda v: pl.Series("x", v, pl.Float64)),
    st.lists(st.one_of(st.none(), st.integers(-30, 30)), max_size=60).map(lambda v: pl.Series("x", v, pl.Int64)),
    st.lists(st.one_of(st.none(), st.text(max_size=2)), max_size=60).map(lambda v: pl.Series("x", v, pl.String)),
    st.lists(st.one_of(st.none(), st.booleans()), max_size=20).map(lambda v: pl.Series("x", v, pl.Boolean)),
)


@given(columns)
def test_each_row_is_in_one_part(column: pl.Series) -> None:
    """Parts are not empty, have different names, and together are all rows."""
    found = list(parts_of(column))
    assert all(len(part.rows) for part in found)
    assert len({repr(part.value) for part in found}) == len(found)
    assert sorted(np.concatenate([part.rows for part in found]).tolist() if found else []) == list(range(len(column)))


def test_values_are_parts_by_their_rows() -> None:
    """The most frequent comes first; of many values the rest is one part."""
    column = pl.Series("x", ["b", "a", "b", None])
    assert [(part.value, part.rows.tolist()) for part in parts_of(column)] == [("b", [0, 2]), ("a", [1]), (None, [3])]
    many = pl.Series("x", [f"{i:02}" for i in range(25)] + ["24"])
    found = list(parts_of(many))
    assert (len(found), found[0].value, found[-1].value, len(found[-1].rows)) == (21, "24", OTHERS, 5)


def test_numbers_are_cut_at_quartiles() -> None:
    """Each range says its ends and holds a quarter of the rows."""
    found = list(parts_of(pl.Series("x", [float(i) for i in range(100)])))
    assert [part.value for part in found] == ["0 to 24", "above 24 to 49", "above 49 to 74", "above 74 to 99"]
    assert [len(part.rows) for part in found] == [25, 25, 25, 25]
    days = list(parts_of(pl.Series("x", [dt.date(2024, 1, 1) + dt.timedelta(days=i) for i in range(40)])))
    assert days[0].value == "2024-01-01 to 2024-01-10"


@pytest.mark.parametrize("values", [[[1], [2]], [b"a"], [{"a": 1}]], ids=["list", "bytes", "struct"])
def test_what_cannot_be_sliced_is_refused(values: list[Any]) -> None:
    """Values without a name or an order make no slices."""
    with pytest.raises(UsageError, match="cannot be sliced"):
        list(parts_of(pl.Series("x", values)))
