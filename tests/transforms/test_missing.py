"""Missing values get what the training rows say, and nothing else changes."""

from __future__ import annotations

import datetime as dt
import statistics
from typing import Any

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.transforms import Impute, fit_transforms

cells = st.lists(st.tuples(st.none() | st.integers(-50, 50), st.sampled_from(["a", "b", None])), max_size=20)


@given(
    cells=cells.filter(lambda cells: any(x is not None for x, _ in cells)), strategy=st.sampled_from(["mean", "median"])
)
def test_learned_as_the_standard_library_says(cells: list[Any], strategy: Any) -> None:
    """Mean and median, of all and of each group: the second definition is Python's."""
    of = statistics.fmean if strategy == "mean" else statistics.median
    rows = pl.DataFrame(cells, schema={"x": pl.Int64, "group": pl.String}, orient="row")
    fitted = fit_transforms([Impute("x", strategy, by="group")], rows)
    for group in ("a", "b", "c", None):
        inside = [x for x, g in cells if x is not None and g == group and g is not None]
        expected = of(inside or [x for x, _ in cells if x is not None])
        assert fitted.apply({"x": None, "group": group})["x"] == pytest.approx(expected, rel=1e-12)
        assert fitted.apply({"x": 7, "group": group})["x"] == 7


@pytest.mark.parametrize(
    ("values", "expected"), [(["b", "a", "b", "a"], "a"), ([True, False, True], True), ([3, 1, None, 3], 3)]
)
def test_the_most_frequent_value_is_taken(values: list[Any], expected: Any) -> None:
    """Of those that are equally frequent the least, so that no order of rows decides; the type stays."""
    rows = pl.DataFrame({"x": values})
    fitted = fit_transforms([Impute("x", "most_frequent")], rows)
    assert fitted.apply({"x": None}) == {"x": expected}
    assert fitted.apply(rows).schema == rows.schema


def test_the_mask_and_the_share_tell_what_was_filled() -> None:
    """NaN counts as missing; the share is that of the training rows."""
    fitted = fit_transforms([Impute("x", "mean", mask=True)], pl.DataFrame({"x": [1.0, None, float("nan"), 3.0]}))
    assert fitted.imputed == {"x": 0.5}
    assert fitted.apply(pl.DataFrame({"x": [float("nan"), 5.0]})).rows() == [(2.0, 1), (5.0, 0)]


@pytest.mark.parametrize("value", ["none", 0, 1.5, True, dt.date(2020, 1, 1), dt.datetime(2020, 1, 1)], ids=str)
def test_a_constant_of_the_columns_type(value: Any) -> None:
    """Any type; nothing needs to be learned."""
    rows = pl.DataFrame({"x": pl.Series([None], dtype=pl.Series([value]).dtype)})
    fitted = fit_transforms([Impute("x", "constant", value=value)], rows)
    assert fitted.apply(rows)["x"].to_list() == [value]
    with pytest.raises(UsageError, match="Column 'x'"):
        fit_transforms([Impute("x", "constant", value="y" if value != "none" else 3)], rows)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: Impute("x", "mode"), "no strategy 'mode'"),  # type: ignore[arg-type]
        (lambda: Impute("x", "constant"), "needs a value"),
        (lambda: Impute("x", "mean", value=3), "needs a value"),
        (lambda: Impute("x", by="x"), "makes no sense"),
        (lambda: fit_transforms([Impute("x")], pl.DataFrame({"x": ["a"]})), "has no median"),
        (lambda: fit_transforms([Impute("x")], pl.DataFrame({"x": [None]}, schema={"x": pl.Int8})), "has no value"),
        (lambda: fit_transforms([Impute("x", by="y")], pl.DataFrame({"x": [1], "y": [0.5]})), "groups are told by"),
        (lambda: fit_transforms([Impute("x", "mean")], pl.DataFrame({"x": [float("inf")]})), "infinite"),
    ],
)
def test_what_makes_no_sense_is_refused(make: Any, message: str) -> None:
    """With the column, and what to do."""
    with pytest.raises(UsageError, match=message):
        make()
