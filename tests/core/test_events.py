"""Events: what is recorded of a run."""

from __future__ import annotations

import dataclasses
from typing import get_args

import pytest
from hypothesis import given

from filiera.core import plain
from filiera.core.events import Event, RunEvent, StepCancelled, StepEvent
from tests.core.run_events import events


@given(events)
def test_an_event_comes_back(event: Event) -> None:
    """Every event is written as plain text and read again unchanged, bytes of small values included."""
    back = plain.decode(plain.encode(event))
    assert back == event
    assert plain.encode(back) == plain.encode(event)


def test_an_event_is_of_a_run_or_of_a_step() -> None:
    """Events of steps name their step, events of the run none, and there are no others."""
    kinds = set(get_args(Event))
    assert kinds == set(get_args(RunEvent)) | set(get_args(StepEvent))
    named = {kind for kind in kinds if "step" in {field.name for field in dataclasses.fields(kind)}}
    assert named == set(get_args(StepEvent))


def test_what_happened_cannot_change() -> None:
    """An event is history."""
    event = StepCancelled(step="a")
    with pytest.raises(dataclasses.FrozenInstanceError):
        event.step = "b"  # type: ignore[misc]
