"""Columns into batches: the same verdicts, in the same words, as rows get."""

from __future__ import annotations

import datetime as dt
import json
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.signature import Field, Signature
from filiera.serving.batch import Batch
from filiera.serving.columns import ColumnDecoder, Given
from filiera.serving.problem import Problem, RequestRefused
from filiera.serving.records import RowDecoder
from filiera.serving.served_model import request_body
from tests.serving.signatures import OUTPUT, rows_of, signatures

Values = list[Any]
STRANGE: st.SearchStrategy[st.SearchStrategy[Any]] = st.sampled_from(
    [
        st.booleans(),
        st.integers(-(2**63), 2**63 - 1),
        st.integers(0, 2**64 - 1),
        st.floats(allow_infinity=False),
        st.text(max_size=4),
    ]
)


def signature_of(*inputs: Field, max_rows: int = 40) -> Signature:
    return Signature(task="regression", inputs=inputs, outputs=(OUTPUT,), max_rows=max_rows)


def as_given(values: Values) -> Given:
    """Return values of one type, and None, as a surface would bring them."""
    there = [value for value in values if value is not None]
    kinds = {type(value) for value in there}
    if len(kinds) != 1 or kinds == {str}:
        return Given(values=values)
    missing = np.array([value is None for value in values])
    filled = np.array([there[0] if value is None else value for value in values])
    return Given(values=filled, missing=missing if missing.any() else None)


def verdict(act: Any) -> dict[str, list[Any]] | Problem:
    try:
        batch: Batch = act()
    except RequestRefused as refused:
        return refused.problem
    return batch.frame().to_dict(as_series=False)


@given(data=st.data())
def test_columns_and_rows_get_the_same_verdict(data: st.DataObject) -> None:
    """For any signature and any table, the same columns come out, or the same rules are broken at the same places."""
    signature = data.draw(signatures())
    height = data.draw(st.integers(1, signature.max_rows + 1))
    rows = data.draw(st.lists(rows_of(signature), min_size=height, max_size=height))
    columns: dict[str, Values] = {
        field.name: [row.get(field.name) for row in rows]
        for field in signature.inputs
        if all(field.name in row for row in rows)
    }
    if data.draw(st.booleans()):
        name = data.draw(st.sampled_from(signature.inputs)).name
        kind = data.draw(STRANGE)
        columns[name] = data.draw(st.lists(st.none() | kind, min_size=height, max_size=height))
    if data.draw(st.integers(0, 5)) == 0:
        columns["not a field"] = [1] * height
    body = request_body([{name: values[row] for name, values in columns.items()} for row in range(height)])
    by_rows = verdict(lambda: RowDecoder(signature).decode(body))
    given_columns = {name: as_given(values) for name, values in columns.items()}
    assert verdict(lambda: ColumnDecoder(signature).batch(given_columns, height)) == by_rows


NUMBERS = signature_of(*(Field(name=f"f{i}", type="float64", minimum=0, maximum=1) for i in range(3)))


@pytest.mark.parametrize("wrong", [2.0, -0.1, float("nan"), float("inf"), None])
def test_a_matrix_is_judged_like_its_columns(wrong: float | None) -> None:
    """All values at once, or column by column: what is taken and what is said are the same."""
    matrix = np.linspace(0, 1, 12).reshape(4, 3)
    if wrong is not None:
        matrix[2, 1] = wrong
    decoder = ColumnDecoder(NUMBERS)
    columns = {f"f{i}": Given(values=matrix[:, i]) for i in range(3)}
    found = verdict(lambda: decoder.of_matrix(matrix))
    assert found == verdict(lambda: decoder.batch(columns, 4)) == verdict(lambda: decoder._judged(columns, 4))
    if isinstance(found, Problem):
        assert [error.at for error in found.errors] == ["instances[2].f1"]
    else:
        assert wrong is None


def test_what_is_missing_becomes_null() -> None:
    """NaN, and what is told to be missing, of every type; what stands in its place is not looked at."""
    signature = signature_of(
        Field(name="a", type="float32", nullable=True, minimum=0),
        Field(name="b", type="int8", nullable=True),
        Field(name="c", type="date", nullable=True),
    )
    columns = {
        "a": Given(values=np.array([0.5, np.nan, -1.0]), missing=np.array([False, False, True])),
        "b": Given(values=np.array([1, 2, 999]), missing=np.array([False, False, True])),
        "c": Given(values=[dt.date(2026, 1, 31), "2026-02-01", None]),
    }
    assert ColumnDecoder(signature).batch(columns, 3).frame().rows() == [
        (0.5, 1, dt.date(2026, 1, 31)),
        (None, 2, dt.date(2026, 2, 1)),
        (None, None, None),
    ]


def test_a_limit_of_float32_is_not_rounded() -> None:
    """0.1 as float32 is more than 0.1."""
    signature = signature_of(Field(name="a", type="float32", maximum=0.1), Field(name="b", type="float32"))
    decoder = ColumnDecoder(signature)
    for value, is_taken in ((0.1, False), (0.09, True)):
        columns = {name: Given(values=np.array([value], dtype=np.float32)) for name in "ab"}
        assert isinstance(verdict(lambda given=columns: decoder.batch(given, 1)), dict) is is_taken  # type: ignore[misc]


@pytest.mark.parametrize(("height", "status"), [(0, 422), (41, 413)])
def test_heights_have_limits(height: int, status: int) -> None:
    """No rows, or more than the signature takes, are refused before anything is looked at."""
    with pytest.raises(RequestRefused) as refused:
        ColumnDecoder(signature_of(Field(name="a", type="int8"))).check_height(height)
    assert refused.value.problem.status == status


def test_an_absent_optional_column_has_its_default() -> None:
    """As in rows that leave it out."""
    signature = signature_of(
        Field(name="a", type="int8"), Field(name="b", type="timestamp", optional=True, default="2026-01-31T12:00:00Z")
    )
    batch = ColumnDecoder(signature).batch({"a": Given(values=np.array([1, 2]))}, 2)
    rows = RowDecoder(signature).decode(json.dumps({"instances": [{"a": 1}, {"a": 2}]}).encode())
    assert batch.frame().equals(rows.frame())
