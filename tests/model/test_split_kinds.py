"""Splits by group, time and key."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.model.split import split_by_group, split_by_key, split_by_time

DAY = dt.datetime(2026, 1, 1)
SHARES = st.floats(0.05, 0.95)


@given(groups=st.lists(st.sampled_from(["a", "b", "c", "d", None]), min_size=2, max_size=40), share=SHARES)
def test_no_group_is_on_both_sides(groups: list[str | None], share: float) -> None:
    """Whatever the sizes of the groups, each is whole on one side, both sides have one, and no row is lost."""
    assume(len(set(groups)) > 1)
    frame = pl.DataFrame({"group": groups, "row": range(len(groups))}, schema_overrides={"group": pl.String})
    train, test = split_by_group(frame, "group", test_share=share)
    assert not set(train["group"]) & set(test["group"])
    assert train.height
    assert test.height
    assert sorted([*train["row"], *test["row"]]) == list(range(len(groups)))


@given(times=st.lists(st.integers(0, 12), min_size=2, max_size=40), share=SHARES, gap=st.integers(0, 4))
def test_all_training_lies_before_all_testing(times: list[int], share: float, gap: int) -> None:
    """The test rows are the latest, whole times of them; the gap takes away training rows only."""
    assume(max(times) - min(times) > gap)
    frame = pl.DataFrame({"at": times, "row": range(len(times))})
    try:
        train, test = split_by_time(frame, "at", test_share=share, gap=gap)
    except UsageError as error:
        assert "to train on" in str(error)
        return
    first = test["at"].min()
    assert test["row"].to_list() == [row for row, at in enumerate(times) if at >= first]
    assert train["row"].to_list() == [row for row, at in enumerate(times) if at < first and at <= first - gap]
    reachable = [sum(at >= time for at in times) for time in sorted(set(times))[1:]]
    assert test.height == min(reachable, key=lambda rows: (abs(rows - share * len(times)), rows))


@pytest.mark.parametrize(
    ("column", "since"),
    [
        (pl.datetime_range(DAY, DAY + dt.timedelta(days=9), "1d", eager=True), DAY + dt.timedelta(days=7)),
        (pl.date_range(DAY, DAY + dt.timedelta(days=9), "1d", eager=True), dt.date(2026, 1, 8)),
        (pl.Series(range(10)), 7),
        (pl.Series([i / 2 for i in range(10)]), 3.5),
    ],
    ids=["datetime", "date", "whole", "float"],
)
def test_a_test_begins_when_it_is_told_to(column: pl.Series, since: Any) -> None:
    """The first time that is tested on can be given, and what is within the gap before it is left out."""
    frame = pl.DataFrame({"at": column})
    train, test = split_by_time(frame, "at", since=since)
    assert (train.height, test.height) == (7, 3)
    gap = dt.timedelta(days=2) if column.dtype.is_temporal() else column[2] - column[0]
    train, test = split_by_time(frame, "at", since=since, gap=gap)
    assert (train.height, test.height) == (6, 3)


@given(
    old=st.sets(st.integers(0, 500), min_size=30, max_size=60), new=st.sets(st.integers(0, 500)), seed=st.integers(0, 9)
)
def test_a_key_keeps_its_side(old: set[int], new: set[int], seed: int) -> None:
    """Rows that are added, dropped or put in another order move no other row, nor does the type of the key."""
    before = split_by_key(pl.DataFrame({"id": sorted(old)}), "id", test_share=0.5, seed=seed)
    frame = pl.DataFrame({"id": sorted(old | new, reverse=True)}, schema={"id": pl.Int16})
    after = split_by_key(frame, "id", test_share=0.5, seed=seed)
    for side in (0, 1):
        assert set(after[side]["id"]) & old == set(before[side]["id"])


def test_sides_of_keys_are_the_same_everywhere() -> None:
    """These numbers, days and texts are tested on, on any machine and with any Polars."""
    days = pl.date_range(dt.date(2026, 1, 1), dt.date(2026, 1, 20), "1d", eager=True)
    frame = pl.DataFrame({"id": range(20), "day": days, "name": [f"n{i}" for i in range(20)]})
    found = {key: split_by_key(frame, key)[1]["id"].to_list() for key in frame.columns}
    assert found == GOLDEN
    both = split_by_key(frame, ["id", "name"])[1]["id"].to_list()
    assert both == BOTH


GOLDEN = {"id": [1, 2, 10, 19], "day": [0], "name": [3, 14, 17, 19]}
BOTH = [2, 12, 16]


def test_the_share_of_keys_is_met_by_chance() -> None:
    """Of 20,000 keys a fifth are tested on, give or take five standard deviations."""
    _, test = split_by_key(pl.DataFrame({"id": range(20_000)}), "id")
    assert abs(test.height - 4000) < 5 * (20_000 * 0.2 * 0.8) ** 0.5


FRAME = pl.DataFrame(
    {"id": [1, 2, 3, 4], "x": [0.5, 1.5, None, 2.0], "one": "a", "text": list("abcd"), "at": [DAY] * 3 + [None]}
)


@pytest.mark.parametrize(
    ("divide", "words"),
    [
        (lambda: split_by_group(FRAME, "one"), "one value only"),
        (lambda: split_by_group(FRAME, "who"), "no column 'who'"),
        (lambda: split_by_group(FRAME, "id", test_share=1.5), "test_share"),
        (lambda: split_by_time(FRAME, "text"), "is of type String"),
        (lambda: split_by_time(FRAME, "at"), "1 rows have no 'at'"),
        (lambda: split_by_time(FRAME, "x"), "1 rows have no 'x'"),
        (lambda: split_by_time(FRAME.head(3), "at"), "the same 'at'"),
        (lambda: split_by_time(FRAME, "id", since=9), "No rows are left to test on"),
        (lambda: split_by_time(FRAME, "id", since=1), "No rows are left to train on"),
        (lambda: split_by_time(FRAME, "id", gap=9), "No rows are left to train on"),
        (lambda: split_by_time(FRAME, "id", gap=-1), "0 or more"),
        (lambda: split_by_time(FRAME, "id", gap=dt.timedelta(1)), "a number, 0 or more"),
        (lambda: split_by_time(FRAME, "id", since=DAY), "cannot be compared"),
        (lambda: split_by_key(FRAME, "x"), "which is no key"),
        (lambda: split_by_key(FRAME, "at"), "1 rows have no 'at'"),
        (lambda: split_by_key(FRAME, "one"), "on one side"),
        (lambda: split_by_key(FRAME, "id", seed=-1), "seed"),
    ],
)
def test_impossible_splits_are_explained(divide: Any, words: str) -> None:
    """What cannot be split by says so in one clear message."""
    with pytest.raises(UsageError) as caught:
        divide()
    assert words in str(caught.value)
