"""Order in time."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.check import Check
from filiera.data import order
from filiera.data.checked_table import Beside, CheckedTable
from filiera.data.checks import check_table, run_checks
from tests.data import oracles

NUMBERS = st.one_of(st.none(), st.integers(-5, 5), st.sampled_from([float("nan"), 0.5, float("inf")]))
ROWS = st.lists(st.fixed_dictionaries({"t": NUMBERS, "g": st.one_of(st.none(), st.sampled_from("ab"))}), max_size=30)
SCHEMA = {"t": pl.Float64, "g": pl.String}
AGED = "the newest at is 2026-03-09 01:00:00, 1 day, 11:00:00 before 2026-03-10 12:00:00 UTC"
NOW = datetime(2026, 3, 10, 12, tzinfo=UTC)


def one(frame, check, *, now=None):
    return run_checks(frame, [check], beside=Beside(now=now)).results[0]


@given(rows=ROWS, by=st.sampled_from([(), ("g",)]), batch=st.integers(1, 9))
def test_rows_that_go_back_are_found(rows, by, batch):
    """In memory and in batches, exactly the rows whose value is less than the last one of their group are counted."""
    frame = pl.DataFrame(rows, schema=SCHEMA)
    expected = oracles.unsorted(rows, "t", by)
    large = CheckedTable(frame.lazy(), rows_at_once=1)
    former, order._BATCH_ROWS = order._BATCH_ROWS, batch
    try:
        assert order.unsorted(large, "t", by).collect()[large.index].to_list() == expected
    finally:
        order._BATCH_ROWS = former
    for table in (CheckedTable(frame), CheckedTable(frame.lazy()), large):
        found = check_table(table, [Check.sorted("t", by=by)]).results[0]
        assert (found.rows_failed, [example.row for example in found.examples]) == (len(expected), expected[:5])


WHOLE = st.sampled_from([-(2**63), -(2**63) + 2, -3, 0, 1, 2, 7, 2**63 - 1])
GAPPED = st.lists(
    st.fixed_dictionaries({"t": st.none() | WHOLE, "g": st.one_of(st.none(), st.sampled_from("ab"))}), max_size=12
)


@given(
    rows=st.tuples(ROWS, st.just(pl.Float64)) | st.tuples(GAPPED, st.just(pl.Int64)),
    by=st.sampled_from([(), ("g",)]),
    longest=st.sampled_from([0.25, 1, 3.5]),
    batch=st.integers(1, 9),
    is_sorted=st.booleans(),
)
def test_gaps_are_counted(rows, by, longest, batch, is_sorted):
    """Neighbours in order that are too far apart are counted, however the rows lie and whatever the batches."""
    rows, kind = rows
    frame = pl.DataFrame(rows, schema=SCHEMA | {"t": kind})
    frame = frame.sort("t") if is_sorted else frame
    expected = oracles.gaps(rows, "t", by, longest)
    former, order._BATCH_ROWS = order._BATCH_ROWS, batch
    try:
        found = one(frame.lazy(), Check.no_gaps("t", longest, by=by))
    finally:
        order._BATCH_ROWS = former
    assert found.passed is (expected == 0)
    assert found.reason.startswith(f"{expected} gap" if expected else "")


def test_of_sorted_rows_only_gaps_are_kept(monkeypatch):
    """Rows in order, however many, leave one stretch for each gap between them and one more."""
    monkeypatch.setattr(order, "_BATCH_ROWS", 1000)
    kept, stretches = [], order._stretches
    monkeypatch.setattr(order, "_stretches", lambda *given: kept.append(stretches(*given)) or kept[-1])
    rows = pl.LazyFrame({"t": range(20_000)}).with_columns(pl.col("t") + pl.col("t") // 5000 * 100)
    assert one(rows, Check.no_gaps("t", 1)).reason.startswith("3 gaps longer than 1, first 101 from 4999 to 5100")
    assert max(found.height for found in kept) == 4


def test_a_gap_is_shown():
    """How many, how long the first one is, and where."""
    at = [datetime(2026, 1, 1) + timedelta(minutes=m) for m in (0, 5, 30, 10, 31)]
    frame = pl.DataFrame({"at": at, "host": ["a", "a", "a", "a", "b"]})
    check = Check.no_gaps("at", timedelta(minutes=5), by="host")
    expected = (
        "1 gap longer than 0:05:00, first 0:20:00 from 2026-01-01 00:10:00 to 2026-01-01 00:30:00 where host = 'a'"
    )
    assert one(frame, check).reason == expected
    for unit in ("ms", "ns"):
        assert one(frame.cast({"at": pl.Datetime(unit)}), check).reason == expected
    assert one(frame, Check.no_gaps("at", timedelta(minutes=20), by="host")).passed
    days = pl.DataFrame({"day": [date(2026, 1, 1), date(2026, 1, 4), date(2026, 1, 2)]})
    assert one(days, Check.no_gaps("day", timedelta(days=2))).passed
    assert one(days, Check.no_gaps("day", timedelta(hours=36))).reason.startswith("1 gap longer than 1 day, 12:00:00")
    assert one(frame, Check.no_gaps("at", 5)).reason == "at is timestamp; this check needs a number column"


@pytest.mark.parametrize(
    ("newest", "reason"),
    [
        (datetime(2026, 3, 9, 12), ""),
        (
            datetime(2026, 3, 9, 11),
            "the newest at is 2026-03-09 11:00:00, 1 day, 1:00:00 before 2026-03-10 12:00:00 UTC",
        ),
        (datetime(2026, 3, 10, 11, tzinfo=UTC), ""),
        (date(2026, 3, 10), ""),
        (date(2026, 3, 9), "the newest at is 2026-03-09, 1 day, 12:00:00 before 2026-03-10 12:00:00 UTC"),
    ],
)
def test_freshness_is_judged_by_the_clock_given(newest, reason):
    """The newest value counts, not the last; times without a zone are UTC."""
    frame = pl.DataFrame({"at": [newest, newest - timedelta(days=9), None]})
    assert one(frame, Check.fresh("at", timedelta(days=1)), now=NOW).reason == reason


def test_freshness_that_cannot_be_judged():
    """Without a value, a time, or a clock the check fails with its reason."""
    check = Check.fresh("at", timedelta(days=1))
    assert one(pl.DataFrame({"at": [None]}, schema={"at": pl.Date}), check, now=NOW).reason == "at has no value"
    assert one(pl.DataFrame({"at": [1]}), check, now=NOW).reason == "at is int64; this check needs a date column"
    assert one(pl.DataFrame({"at": [NOW]}), check).reason.startswith("nobody said what time it is")
    assert one(pl.DataFrame({"at": [["x"]]}), Check.sorted("at")).reason == "at is list(string), which has no order"
