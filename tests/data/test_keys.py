"""Keys that are repeated, and keys that another table does not have."""

from __future__ import annotations

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.check import Check
from filiera.data import keys
from filiera.data.checked_table import Beside, CheckedTable
from filiera.data.checks import check_table, run_checks
from tests.data import oracles

FEW = st.one_of(st.none(), st.integers(0, 4))
TEXTS = st.one_of(st.none(), st.sampled_from(["", "a", "ab"]))
NUMBERS = st.one_of(st.none(), st.sampled_from([0.0, -0.0, 1.5, float("nan")]))
ROWS = st.lists(st.fixed_dictionaries({"k": FEW, "t": TEXTS, "x": NUMBERS}), max_size=30)
SCHEMA = {"k": pl.Int64, "t": pl.String, "x": pl.Float64}


@given(rows=ROWS, columns=st.sampled_from([("k",), ("t",), ("x",), ("k", "t"), ("t", "k", "x")]))
def test_repeated_keys_are_found_in_parts(rows, columns):
    """A table too large to be looked at as a whole has the same repeated keys, row for row."""
    frame = pl.DataFrame(rows, schema=SCHEMA)
    expected = oracles.repeated(rows, columns)
    parted = CheckedTable(frame.lazy(), rows_at_once=7)
    whole = CheckedTable(frame.lazy(), rows_at_once=1000)
    if parted.is_large:
        assert keys.repeated(parted, columns).collect()[parted.index].to_list() == expected
    found = [check_table(table, [Check.unique(*columns)]).results[0] for table in (parted, whole)]
    assert [one.rows_failed for one in found] == [len(expected)] * 2
    assert [example.row for example in found[0].examples] == [example.row for example in found[1].examples]
    assert found[0] == found[1]


@given(rows=ROWS, others=ROWS, columns=st.sampled_from([("k",), ("t",), ("k", "t")]))
def test_strangers_are_found(rows, others, columns):
    """Exactly the rows whose key is in no row of the other table are counted; a key with a null passes."""
    frame, other = pl.DataFrame(rows, schema=SCHEMA), pl.DataFrame(others, schema=SCHEMA)
    expected = oracles.strangers(rows, columns, others, columns)
    beside = Beside(tables={"others@1": other.lazy()})
    found = run_checks(frame.lazy(), [Check.foreign_key(columns, "others@1")], beside=beside).results[0]
    assert (found.rows_failed, [example.row for example in found.examples]) == (len(expected), expected[:5])


def test_the_message_shows_the_stranger():
    """It says how many, and the first ones; key columns of other names and other integer types are taken."""
    albums = pl.DataFrame({"artist": [1, 2, None, 300, 2]})
    artists = pl.DataFrame({"id": [1, 2]}, schema={"id": pl.UInt8})
    check = Check.foreign_key("artist", "artists@latest", "id")
    assert check.name == "artist among those of artists@latest (id)"
    found = run_checks(albums, [check], beside=Beside(tables={"artists@latest": artists.lazy()})).results[0]
    assert found.reason == "1 of 5 rows, first row 3: artist = 300"


@pytest.mark.parametrize(
    ("check", "reason"),
    [
        (Check.foreign_key("a", "other@1", "b"), "other@1 has no column 'b'; it has: a, t"),
        (Check.foreign_key("a", "other@1", "t"), "a is int64, but t of other@1 is string"),
        (Check.foreign_key("a", "third@1"), "third@1 was not given: Beside(tables={'third@1': frame})"),
        (
            Check.foreign_key("a", "third@1", severity="warn"),
            "third@1 was not given: Beside(tables={'third@1': frame})",
        ),
        (Check.foreign_key("z", "other@1"), "no column 'z'; the table has: a"),
    ],
)
def test_keys_that_cannot_be_compared(check, reason):
    """One clear message, and it blocks whatever the severity is."""
    other = pl.LazyFrame({"a": [1], "t": ["x"]})
    report = run_checks(pl.DataFrame({"a": [1]}), [check], beside=Beside(tables={"other@1": other}))
    assert (report.results[0].reason, report.blocks) == (reason, True)
