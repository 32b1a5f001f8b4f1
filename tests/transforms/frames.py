"""Frames of all that can come, and transforms for them."""

from __future__ import annotations

import datetime as dt
import math
from typing import Any

import polars as pl
from hypothesis import strategies as st

from filiera.transforms import Bins, Clip, DateParts, Impute, OneHot, Ordinal, Scale, Text
from filiera.transforms.step import Recipe

SCHEMA = {
    "fare": pl.Float64,
    "rate": pl.Float32,
    "age": pl.Int16,
    "id": pl.UInt64,
    "land": pl.String,
    "class": pl.Int8,
    "paid": pl.Boolean,
    "city": pl.String,
    "sold": pl.Date,
    "seen": pl.Datetime("us"),
    "label": pl.String,
}

lands = st.sampled_from(["it", "at", "de", "other", ""])
finite = st.floats(-1e9, 1e9)
good: dict[str, st.SearchStrategy[Any]] = {
    "fare": finite,
    "rate": st.floats(-1e6, 1e6, width=32),
    "age": st.integers(-100, 100),
    "id": st.integers(0, 2**64 - 1),
    "land": lands,
    "class": st.integers(1, 3),
    "paid": st.booleans(),
    "city": st.text(max_size=6),
    "sold": st.dates(),
    "seen": st.datetimes(),
    "label": st.sampled_from(["yes", "no"]),
}
wild: dict[str, st.SearchStrategy[Any]] = {
    **good,
    "fare": st.floats(),
    "rate": st.floats(width=32),
    "age": st.integers(-(2**15), 2**15 - 1),
    "land": lands | st.text(max_size=3),
    "class": st.integers(-128, 127),
}


def _frames(cells: dict[str, st.SearchStrategy[Any]], *, min_size: int, max_size: int) -> st.SearchStrategy[Any]:
    row = st.fixed_dictionaries({name: cell | st.none() for name, cell in cells.items()})
    return st.lists(row, min_size=min_size, max_size=max_size).map(lambda rows: pl.DataFrame(rows, schema=SCHEMA))


training = st.tuples(
    _frames(good, min_size=0, max_size=12),
    st.fixed_dictionaries(good).map(lambda row: pl.DataFrame([row], schema=SCHEMA)),
).map(pl.concat)
"""Rows to learn from: nulls anywhere, but one value at least in each column."""
any_frames = _frames(wild, min_size=0, max_size=12)
"""Rows as they may come later: nulls, NaN, infinities, values that were not in training, no rows at all."""

RECIPES: list[Recipe] = [
    Impute("fare", "mean", by="land", mask=True),
    Impute("rate", "median", mask=True),
    Impute("age", "median", by="paid"),
    Impute("id", "mean"),
    Impute(["land", "paid"], "most_frequent"),
    Impute("sold", "constant", value=dt.date(2000, 2, 29)),
    Clip("fare", (0.05, 0.95)),
    Clip("age", low=-10),
    Clip("rate", low=-math.inf, high=7),
    Scale(["fare", "id"], "standard"),
    Scale("age", "robust"),
    Bins("rate", 4),
    Text("city"),
    Ordinal("city"),
    OneHot(["land", "class"]),
    Ordinal("paid", [True, False]),
    DateParts("sold"),
    DateParts("seen", ["hour", "minute", "quarter", "day_of_year", "weekday"]),
]
"""An order in which all of them work; any part of it does too."""

recipes = st.lists(st.booleans(), min_size=len(RECIPES), max_size=len(RECIPES)).map(
    lambda chosen: [recipe for recipe, is_chosen in zip(RECIPES, chosen, strict=True) if is_chosen]
)


def exact(rows: pl.DataFrame) -> str:
    """Return all of a frame as text in which only equal frames are equal: NaN is NaN, and -0.0 is not 0.0."""
    return f"{rows.schema}\n{rows.rows()!r}"
