"""Prediction ids: unique and sorted by time."""

from __future__ import annotations

import pytest

from filiera.serving import prediction_ids
from filiera.serving.prediction_ids import PredictionIds


def test_ids_ascend_and_never_repeat() -> None:
    """Thousands in one millisecond are still in order."""
    ids = PredictionIds()
    made = [ids.next() for _ in range(5000)]
    assert made == sorted(set(made))


def test_ids_ascend_when_the_clock_steps_back(monkeypatch: pytest.MonkeyPatch) -> None:
    """A corrected clock does not disturb the order."""
    times = iter([2_000_000_000_000_000_000, 1_000_000_000_000_000_000])
    monkeypatch.setattr(prediction_ids.time, "time_ns", lambda: next(times))
    ids = PredictionIds()
    assert ids.next() < ids.next()


def test_the_time_can_be_read_from_an_id(monkeypatch: pytest.MonkeyPatch) -> None:
    """The first ten characters are milliseconds since the epoch, as ULIDs have them."""
    monkeypatch.setattr(prediction_ids.time, "time_ns", lambda: 1_469_918_176_385_000_000)
    assert PredictionIds().next().startswith("01ARYZ6S41")


def test_more_than_a_million_in_one_millisecond_are_still_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    """When the count is used up the next millisecond begins early."""
    monkeypatch.setattr(prediction_ids.time, "time_ns", lambda: 1_469_918_176_385_000_000)
    ids = PredictionIds()
    first = ids.next()
    ids._count = 2**20 - 2
    made = [first, *ids.take(5), ids.next()]
    assert made == sorted(set(made))
    assert {len(each) for each in made} == {26}
