"""Parts for cross-validation."""

import datetime as dt
from typing import Any

import polars as pl
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from filiera.errors import UsageError
from filiera.model.folds import folds, time_folds
from filiera.model.split import overlap

VALUES = st.lists(st.integers(0, 9), min_size=2, max_size=50)


@given(values=VALUES, count=st.integers(2, 6), seed=st.integers(0, 9))
def test_each_row_validates_once(values: list[int], count: int, seed: int) -> None:
    """Every row is validated on exactly once, is trained on in all other parts, and equal rows stay together."""
    assume(len(set(values)) >= count)
    frame = pl.DataFrame({"x": values})
    parts = folds(frame, count, seed=seed)
    assert len(parts) == count
    assert sorted(x for _, validation in parts for x in validation["x"]) == sorted(values)
    for train, validation in parts:
        assert validation.height
        assert sorted([*train["x"], *validation["x"]]) == sorted(values)
        assert overlap(train, validation) == 0


@given(groups=VALUES, count=st.integers(2, 6))
def test_groups_stay_together(groups: list[int], count: int) -> None:
    """Whatever their sizes, no group is trained and validated on at once."""
    assume(len(set(groups)) >= count)
    frame = pl.DataFrame({"row": range(len(groups)), "group": groups})
    parts = folds(frame, count, group="group")
    assert sorted(row for _, validation in parts for row in validation["row"]) == list(range(len(groups)))
    for train, validation in parts:
        assert train.height
        assert not set(train["group"]) & set(validation["group"])


def test_parts_are_as_equal_as_can_be() -> None:
    """Without repeated rows sizes differ by one at most, for each value of the column when stratified."""
    frame = pl.DataFrame({"x": range(103), "label": ["a"] * 90 + ["b"] * 13})
    sizes = [validation.height for _, validation in folds(frame, 5)]
    assert sorted(sizes) == [20, 20, 21, 21, 21]
    for _, validation in folds(frame, 5, stratify="label"):
        assert validation["label"].to_list().count("a") == 18
        assert validation["label"].to_list().count("b") in (2, 3)


@given(times=st.lists(st.integers(0, 20), min_size=3, max_size=50), count=st.integers(2, 4))
def test_training_lies_before_validation(times: list[int], count: int) -> None:
    """Periods follow one another, each is validated on with all that was before, and only the first never is."""
    assume(len(set(times)) > count)
    parts = time_folds(pl.DataFrame({"at": times}), "at", count)
    validated: list[int] = []
    for train, validation in parts:
        assert sorted([*train["at"], *validation["at"]]) == sorted(at for at in times if at <= max(validation["at"]))
        assert max(train["at"]) < min(validation["at"])
        validated += validation["at"].to_list()
    assert sorted(validated) == sorted(at for at in times if at > max(parts[0][0]["at"]))


def test_a_gap_lies_before_each_period() -> None:
    """Days within the gap are not trained on."""
    days = pl.date_range(dt.date(2026, 1, 1), dt.date(2026, 1, 30), "1d", eager=True).alias("day")
    for train, validation in time_folds(days.to_frame(), "day", 2, gap=dt.timedelta(days=3)):
        assert validation["day"][0] - train["day"][-1] == dt.timedelta(days=3)


@pytest.mark.parametrize(
    ("divide", "words"),
    [
        (lambda frame: folds(frame, 1), "count is 1"),
        (lambda frame: folds(frame, 5), "4 different rows for 5 parts"),
        (lambda frame: folds(frame, 3, group="label"), "2 different rows for 3 parts"),
        (lambda frame: folds(frame, 2, stratify="label"), "'b' has 1 different"),
        (lambda frame: folds(frame, 2, stratify="label", group="label"), "either stratified or grouped"),
        (lambda frame: folds(frame, 2, group="who"), "no column 'who'"),
        (lambda frame: time_folds(frame, "label", 2), "is of type String"),
        (lambda frame: time_folds(frame, "x", 4), "4 different rows for 5 parts"),
    ],
)
def test_impossible_parts_are_explained(divide: Any, words: str) -> None:
    """What cannot be divided says so in one clear message."""
    with pytest.raises(UsageError) as caught:
        divide(pl.DataFrame({"x": range(4), "label": ["a", "a", "a", "b"]}))
    assert words in str(caught.value)
