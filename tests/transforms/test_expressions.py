"""Expressions are stored only if they look at one row and run nothing but Polars' own functions."""

from __future__ import annotations

import json
from typing import Any

import polars as pl
import pytest

from filiera.errors import UsageError
from filiera.transforms.expressions import read_expression, write_expression

a, b = pl.col("a"), pl.col("b")


@pytest.mark.parametrize(
    "expression",
    [
        a + b * 2,
        a.log1p() - (b**2).sqrt(),
        pl.when(a > b).then(a).otherwise(0),
        a.cast(pl.Float32).round(2),
        a.is_in([1, 2]) & b.is_between(0, 5),
        a.cast(pl.String).str.len_chars(),
        pl.sum_horizontal("a", "b").clip(0, 9),
        pl.coalesce("a", "b").replace({1: 2}),
    ],
    ids=str,
)
def test_what_looks_at_one_row_comes_back(expression: pl.Expr) -> None:
    """It computes the same, and is written the same again."""
    rows = pl.DataFrame({"a": [1, 2, None], "b": [3, 1, 1]})
    text = write_expression(expression)
    again = read_expression(text)
    assert rows.select(x=again).equals(rows.select(x=expression))
    assert write_expression(again) == text


@pytest.mark.parametrize(
    "expression",
    [
        a.sum(),
        a - a.mean(),
        a.shift(),
        a.mean().over("b"),
        a.cum_sum(),
        a.filter(b > 0),
        a.drop_nulls(),
        a.rank(),
        a.is_first_distinct(),
        a.sort(),
        a.reverse(),
        a.any(),
        pl.len() + a,
        pl.all() + 1,
        pl.col("^a.*$") + 1,
        a.map_batches(lambda column: column, return_dtype=pl.Int64),
        a.map_elements(lambda value: value, return_dtype=pl.Int64),
        a + pl.lit(pl.Series([1, 2, 3])),
        a / 0,
        (a + 1).cast(pl.String).str.join(),
    ],
    ids=str,
)
def test_what_looks_at_other_rows_or_calls_python_is_refused(expression: pl.Expr) -> None:
    """However deep inside."""
    for one in (expression, pl.when(b > 0).then(expression + 1)):
        with pytest.raises(UsageError, match="cannot travel with a model"):
            write_expression(one)


@pytest.mark.parametrize(
    "stored",
    [
        "",
        "3",
        '"Len"',
        "{}",
        '{"Column": 3}',
        '{"Column": "a", "Agg": 1}',
        '{"AnonymousFunction": {"input": [{"Column": "a"}], "function": [128, 4, 46]}}',
        '{"Function": {"input": [{"Column": "a"}], "function": {"FfiPlugin": {"lib": "/tmp/x.so"}}}}',
        '{"Function": {"input": [{"Column": "a"}], "function": "Nonsense"}}',
        '{"Function": {"input": [{"Column": "a"}], "function": {"StringExpr": "Nonsense"}}}',
        '{"BinaryExpr": {"left": {"Column": "a"}, "op": "Plus"}}',
        json.dumps({"Literal": {"Series": [1, 2]}}),
    ],
)
def test_nothing_else_is_read(stored: str) -> None:
    """Not what is damaged, nor what would run code that is not Polars' own."""
    with pytest.raises(UsageError):
        read_expression(stored)


def test_python_inside_is_never_called_nor_loaded(monkeypatch: pytest.MonkeyPatch) -> None:
    """The text is refused before Polars sees it."""
    hidden: Any = a.map_batches(print, return_dtype=pl.Int64).meta.serialize(format="json")
    monkeypatch.setattr(pl.Expr, "deserialize", lambda *_, **__: pytest.fail("Polars was asked to load it"))
    with pytest.raises(UsageError, match="it calls Python"):
        read_expression(hidden)
