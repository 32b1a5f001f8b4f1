"""Tables of any kind, for tests that hold for all of them."""

from __future__ import annotations

import datetime as dt
from collections.abc import Mapping
from typing import Any

import polars as pl
from hypothesis import strategies as st

WHOLE = st.integers(-(2**63), 2**63 - 1)
NUMBERS = {
    "int8": (pl.Int8, st.integers(-128, 127)),
    "int64": (pl.Int64, WHOLE | st.integers(-3, 3)),
    "uint64": (pl.UInt64, st.integers(0, 2**64 - 1)),
    "int128": (pl.Int128, st.integers(-(2**100), 2**100)),
    "float32": (pl.Float32, st.floats(width=32)),
    "float64": (pl.Float64, st.floats() | st.sampled_from([0.0, -0.0, 1e308, -1e308, float("nan"), float("inf")])),
    "decimal": (pl.Decimal(12, 2), st.decimals(-(10**6), 10**6, places=2)),
    "duration": (pl.Duration("us"), st.timedeltas(dt.timedelta(-999), dt.timedelta(999))),
}
TIMES = {
    "date": (pl.Date, st.dates()),
    "datetime": (pl.Datetime("us"), st.datetimes()),
    "zoned": (pl.Datetime("us", "UTC"), st.datetimes(timezones=st.just(dt.UTC))),
    "milliseconds": (pl.Datetime("ms"), st.datetimes()),
    "time": (pl.Time, st.times()),
}
CATEGORIES = {
    "string": (pl.String, st.text(max_size=5) | st.sampled_from(["", "ä", "日本", "x"])),
    "long": (pl.String, st.text(min_size=250, max_size=300)),
    "boolean": (pl.Boolean, st.booleans()),
    "categorical": (pl.Categorical, st.sampled_from(["a", "b", "ü"])),
    "enum": (pl.Enum(["a", "b"]), st.sampled_from(["a", "b"])),
}
OTHERS = {
    "null": (pl.Null, st.none()),
    "binary": (pl.Binary, st.binary(max_size=4)),
    "list": (pl.List(pl.Int64), st.lists(st.none() | st.integers(0, 3), max_size=3)),
    "nested": (pl.List(pl.Struct({"x": pl.String})), st.lists(st.builds(dict, x=st.text(max_size=2)), max_size=2)),
    "array": (pl.Array(pl.Int8, 2), st.lists(st.integers(0, 1), min_size=2, max_size=2)),
    "struct": (pl.Struct({"x": pl.Int64, "y": pl.String}), st.builds(lambda x: {"x": x, "y": "ö"}, st.none() | WHOLE)),
}
KINDS = {**NUMBERS, **TIMES, **CATEGORIES, **OTHERS}


@st.composite
def columns(draw: st.DrawFn, *, max_rows: int = 12, kinds: Mapping[str, Any] = KINDS) -> pl.Series:
    """Draw a column of any type, or of one in *kinds*, with missing values and repeated ones."""
    dtype, values = kinds[draw(st.sampled_from(sorted(kinds)))]
    pool = draw(st.lists(values, min_size=1, max_size=max_rows))
    rows = draw(st.lists(st.none() | st.sampled_from(pool), max_size=max_rows))
    return pl.Series("x", rows, dtype=dtype, strict=False)


@st.composite
def frames(draw: st.DrawFn, *, max_rows: int = 12) -> pl.DataFrame:
    """Draw a table of up to three columns of any type."""
    drawn = draw(st.lists(columns(max_rows=max_rows), max_size=3))
    rows = min((len(column) for column in drawn), default=0)
    return pl.DataFrame([column.head(rows).alias(f"c{i}") for i, column in enumerate(drawn)])
