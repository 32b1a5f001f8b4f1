"""Rows set aside, in memory and from tables that need not fit into it."""

from __future__ import annotations

import polars as pl
from hypothesis import given
from hypothesis import strategies as st
from polars.testing import assert_frame_equal

from filiera.core.check import Check
from filiera.data.checked_table import Beside, CheckedTable
from filiera.data.quarantine import _validate, validate
from tests.data import oracles

ROWS = st.lists(
    st.fixed_dictionaries({"k": st.integers(0, 9), "t": st.one_of(st.none(), st.integers(0, 9))}), max_size=25
)
SCHEMA = {"k": pl.Int64, "t": pl.Int64}
CHECKS = [
    Check.unique("k", severity="quarantine"),
    Check.foreign_key("k", "others@1", severity="quarantine"),
    Check.sorted("t", severity="quarantine"),
    Check.in_range("t", 2, severity="quarantine"),
    Check.unique("k"),
]


@given(rows=ROWS, rows_at_once=st.sampled_from([1, 1000]))
def test_rows_are_set_aside_with_all_rules_they_broke(rows, rows_at_once):
    """Whatever way a check finds its rows, each goes where it belongs, in order, with the names of the rules."""
    others = [{"k": key} for key in range(6)]
    broke = {
        CHECKS[0].name: oracles.repeated(rows, ("k",)),
        CHECKS[1].name: oracles.strangers(rows, ("k",), others, ("k",)),
        CHECKS[2].name: oracles.unsorted(rows, "t", ()),
        CHECKS[3].name: [n for n, row in enumerate(rows) if row["t"] is not None and row["t"] < 2],
    }
    rules = ["; ".join(name for name, numbers in broke.items() if n in numbers) for n in range(len(rows))]
    frame = pl.DataFrame(rows, schema=SCHEMA)
    beside = Beside(tables={"others@1": pl.LazyFrame(others)})
    kept, rejected, report = _validate(CheckedTable(frame.lazy(), beside=beside, rows_at_once=rows_at_once), CHECKS)
    expected = frame.with_columns(pl.Series("_rule", rules, dtype=pl.String))
    assert_frame_equal(kept.collect(), expected.filter(pl.col("_rule") == "").drop("_rule"))
    assert_frame_equal(rejected.collect(), expected.filter(pl.col("_rule") != ""))
    assert (report.blocks, report.rows) == (False, rules.count(""))
    in_memory = validate(frame, CHECKS, beside=beside)
    assert_frame_equal(in_memory.kept, kept.collect())
    assert_frame_equal(in_memory.rejected, rejected.collect())
    assert in_memory.report == report


def test_a_column_called_like_ours_is_kept():
    """A table that has ``row`` and ``_rule`` columns of its own keeps them."""
    frame = pl.DataFrame({"row": [7, 7], "_rule": ["x", "y"]})
    beside = Beside(tables={"others@1": pl.LazyFrame({"row": [1]})})
    kept, rejected, _ = validate(frame, [Check.unique("row", severity="quarantine")], beside=beside)
    assert kept.rows() == [(7, "x")]
    assert rejected.rows() == [(7, "row unique")]
