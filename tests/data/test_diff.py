"""A diff says exactly what differs: compared with a naive one over Python rows."""

from __future__ import annotations

import math
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.data.diff import Table, diff_tables
from filiera.data.difference import Difference
from filiera.errors import UsageError

NUMBERS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, math.nan, math.inf, -1e300]), st.floats())
CELLS = {
    "whole": (pl.Int64(), st.one_of(st.none(), st.integers(-3, 3), st.integers(-(2**63), 2**63 - 1))),
    "float": (pl.Float64(), NUMBERS),
    "text": (pl.String(), st.one_of(st.none(), st.sampled_from(["", "a", "ä", "a\0", "(others)"]))),
    "flag": (pl.Boolean(), st.one_of(st.none(), st.booleans())),
    "list": (pl.List(pl.Int64()), st.one_of(st.none(), st.lists(st.one_of(st.none(), st.integers(0, 1)), max_size=2))),
}
COLUMNS = st.lists(st.sampled_from(sorted(CELLS)), min_size=1, unique=True)


@st.composite
def tables(draw: st.DrawFn, *, keyed: bool) -> tuple[pl.DataFrame, pl.DataFrame]:
    """Draw two tables with the same columns and many equal rows; *keyed*: with unique keys in a column k."""
    columns = draw(COLUMNS)
    pool = draw(st.lists(st.tuples(*(CELLS[name][1] for name in columns)), min_size=1, max_size=4))
    frames = []
    for _ in range(2):
        rows = draw(st.lists(st.sampled_from(pool), max_size=8))
        data = {name: [row[i] for row in rows] for i, name in enumerate(columns)}
        frame = pl.DataFrame(data, schema={name: CELLS[name][0] for name in columns}, strict=False)
        if keyed:
            size = len(rows)
            keys = draw(st.lists(st.one_of(st.none(), st.integers(0, 9)), min_size=size, max_size=size, unique=True))
            frame = frame.with_columns(k=pl.Series(keys, dtype=pl.Int64))
        frames.append(frame)
    return frames[0], frames[1]


def compared(one: pl.DataFrame, two: pl.DataFrame, **options: Any) -> Difference:
    return diff_tables(Table(name="one", frame=one.lazy()), Table(name="two", frame=two.lazy()), **options)


def hashable(value: Any) -> Any:
    """Return a value that is equal where Polars finds values equal."""
    if isinstance(value, float):
        return "nan" if math.isnan(value) else value + 0.0
    return tuple(value) if isinstance(value, list) else value


def rows_of(frame: pl.DataFrame) -> list[tuple[Any, ...]]:
    return [tuple(map(hashable, row)) for row in frame.rows()]


@settings(max_examples=60, deadline=None)
@given(pair=tables(keyed=False), memory_bytes=st.sampled_from([1 << 30, 100]))
def test_rows_without_keys_are_a_multiset(pair: tuple[pl.DataFrame, pl.DataFrame], memory_bytes: int) -> None:
    """What is added and removed is what is left when equal rows cancel, also when parts are compared by themselves."""
    one, two = Counter(rows_of(pair[0])), Counter(rows_of(pair[1]))
    found = compared(*pair, memory_bytes=memory_bytes)
    assert (found.rows.added, found.rows.removed) == ((two - one).total(), (one - two).total())
    assert found.is_equal == (one == two)
    assert len(found.rows.added_examples) == min(5, len(two - one))


@settings(max_examples=60, deadline=None)
@given(pair=tables(keyed=True), memory_bytes=st.sampled_from([1 << 30, 100]))
def test_rows_with_keys_are_matched(pair: tuple[pl.DataFrame, pl.DataFrame], memory_bytes: int) -> None:
    """Rows are added, removed or changed by their keys; each column counts the rows in which it changed."""
    columns = [name for name in pair[0].columns if name != "k"]
    one, two = ({row[-1]: row[:-1] for row in rows_of(frame)} for frame in pair)
    both = one.keys() & two.keys()
    changed = {name: {k for k in both if one[k][i] != two[k][i]} for i, name in enumerate(columns)}
    found = compared(*pair, keys=["k"], memory_bytes=memory_bytes)
    assert (found.rows.added, found.rows.removed) == (len(two.keys() - both), len(one.keys() - both))
    assert found.rows.changed == len(set().union(*changed.values()))
    assert {c.name: c.rows for c in found.rows.columns} == {name: len(keys) for name, keys in changed.items() if keys}
    for column in found.rows.columns:
        assert {example.key["k"] for example in column.examples} <= changed[column.name]
        assert len(column.examples) == min(5, column.rows)


@settings(max_examples=30, deadline=None)
@given(pair=tables(keyed=False))
def test_cells_hold_every_row_with_a_value(pair: tuple[pl.DataFrame, pl.DataFrame]) -> None:
    """Of each side, missing rows and those in cells are all rows; equal tables are nowhere apart."""
    for shift in compared(*pair).shifts:
        for side, frame in enumerate(pair):
            values = [value for value in frame[shift.name] if value is not None]
            present = [value for value in values if not isinstance(value, float) or math.isfinite(value)]
            assert shift.missing[side] == frame.height - len(present)
            assert sum((cell.before, cell.after)[side] for cell in shift.cells) == len(present)
    assert all(shift.distance in (0, None) for shift in compared(pair[0], pair[0]).shifts)


def test_columns_that_differ_are_named() -> None:
    """Columns added, removed, of other types and in another order; those of types without a common one stay apart."""
    one = pl.DataFrame({"a": [1], "b": ["x"], "c": [1.0], "d": [1], "e": [True]}, schema_overrides={"d": pl.Int8})
    two = pl.DataFrame({"d": [1], "a": [1], "c": ["1"], "f": [1], "e": [True]})
    found = compared(one, two)
    assert (dict(found.schema.added), dict(found.schema.removed)) == ({"f": "int64"}, {"b": "string"})
    assert found.schema.retyped == {"c": ("float64", "string"), "d": ("int8", "int64")}
    assert (found.schema.is_reordered, found.schema.not_compared) == (True, ("c",))
    assert (found.rows.added, found.rows.removed, found.is_equal) == (0, 0, False)


@pytest.mark.parametrize("kind", [pl.Categorical(), pl.Enum(["b", "a"])])
def test_categories_are_compared_by_their_text(kind: pl.DataType) -> None:
    """How a table numbers its categories is no difference."""
    one, two = pl.DataFrame({"x": ["a", "b"]}), pl.DataFrame({"x": ["b", "a"]}, schema={"x": kind})
    found = compared(one, two)
    assert (found.rows.added, found.rows.removed) == (0, 0)


def test_keys_must_name_one_row() -> None:
    """A key that two rows have, that is missing, or that has no common type is refused, with an example."""
    one, two = pl.DataFrame({"k": [1, 2, 2], "x": [1, 1, 1]}), pl.DataFrame({"k": ["1"], "x": [1]})
    with pytest.raises(UsageError, match="2 rows have k = 2"):
        compared(one, one, keys=["k"])
    with pytest.raises(UsageError, match="one has no column 'y'"):
        compared(one, two, keys=["y"])
    with pytest.raises(UsageError, match="cannot tell rows apart"):
        compared(one, two, keys=["k"])


def test_tables_without_rows_or_common_columns_are_compared_too() -> None:
    """Nothing is nothing."""
    empty = pl.DataFrame({"k": [], "x": []}, schema={"k": pl.Int64, "x": pl.Float64})
    assert compared(empty, empty, keys=["k"]).is_equal
    assert compared(empty, empty).is_equal
    assert compared(pl.DataFrame({"a": [1]}), pl.DataFrame({"b": [1, 2]})).rows.added == 0
