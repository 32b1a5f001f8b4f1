"""Partitions are named one by one or from the first to the last."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from filiera.core.partitions import all_partitions, partitions_between
from filiera.errors import UsageError


@given(first=st.dates(dt.date(1990, 1, 1), dt.date(2100, 1, 1)), days=st.integers(0, 800))
def test_days_as_text_are_days(first: dt.date, days: int) -> None:
    """Both ends are in it, and every day between; as text it is the same days."""
    last = first + dt.timedelta(days)
    found = partitions_between(first, last)
    assert found == [first + dt.timedelta(day) for day in range(days + 1)]
    assert partitions_between(first.isoformat(), last.isoformat()) == [day.isoformat() for day in found]
    months = partitions_between(f"{first:%Y-%m}", f"{last:%Y-%m}")
    assert months == sorted({f"{day:%Y-%m}" for day in found})


@pytest.mark.parametrize(
    ("first", "last", "said"),
    [
        ("a", "b", "no way"),
        ("2026-01", "2026-01-31", "no way"),
        ("20260101", "20260102", "no way"),
        (1.0, 2.0, "no way"),
        (dt.datetime(2026, 1, 1), dt.datetime(2026, 1, 2), "no way"),
        ("2026-02", "2026-01", "comes behind"),
        (0, 10**9, "more than"),
    ],
)
def test_what_has_no_values_between_is_refused(first: Any, last: Any, said: str) -> None:
    """Kinds without an order of single values, the wrong order, and far too many."""
    with pytest.raises(UsageError, match=said):
        partitions_between(first, last)


@given(known=st.lists(st.integers()), asked=st.lists(st.integers()))
def test_partitions_are_named_once_in_order(known: list[int], asked: list[int]) -> None:
    """Which run made which does not matter."""
    found = all_partitions(known, asked)
    assert found == sorted(set(known) | set(asked))
