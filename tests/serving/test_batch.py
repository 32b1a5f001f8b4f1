"""Batches hold rows or columns, and nobody can tell which."""

from __future__ import annotations

from typing import Any

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Field
from filiera.serving.batch import Batch

FIELDS = (Field(name="x", type="float64", nullable=True), Field(name="n", type="int32"), Field(name="w", type="string"))
ROWS = st.lists(
    st.tuples(st.none() | st.floats(allow_nan=False), st.integers(-99, 99), st.text(max_size=3)), min_size=1, max_size=6
)


def batches(rows: list[tuple[Any, ...]]) -> list[Batch]:
    """Return the same rows in each form."""
    columns = [list(column) for column in zip(*rows, strict=True)]
    arrays = [np.array(columns[0], dtype=np.float64), np.array(columns[1], dtype=np.int32), columns[2]]
    return [
        Batch.of_rows(FIELDS, rows),
        Batch(fields=FIELDS, columns=columns, height=len(rows)),
        Batch(fields=FIELDS, columns=arrays, height=len(rows)),
    ]


@given(rows=ROWS, cut=st.integers(0, 6))
def test_rows_and_columns_say_the_same(rows: list[tuple[Any, ...]], cut: int) -> None:
    """Frames, matrices, columns and parts of a batch are the same whatever it was made of."""
    first, *others = batches(rows)
    cut = min(cut, len(rows) - 1)
    for other in others:
        assert other.frame().equals(first.frame())
        assert np.array_equal(other.matrix([1, 0]), first.matrix([1, 0]), equal_nan=True)
        assert list(other.column(2)) == list(first.column(2))
        assert other.part(cut, len(rows)).frame().equals(first.frame()[cut:])


@given(parts=st.lists(st.tuples(ROWS, st.integers(0, 2)), min_size=1, max_size=4))
def test_joined_batches_have_all_rows_in_order(parts: list[tuple[list[tuple[Any, ...]], int]]) -> None:
    """Batches of any form can be joined."""
    joined = Batch.joined([batches(rows)[form] for rows, form in parts])
    whole = Batch.of_rows(FIELDS, [row for rows, _ in parts for row in rows])
    assert joined.height == whole.height
    assert joined.frame().equals(whole.frame())
