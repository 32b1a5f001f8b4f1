"""What a run would do with each step."""

from __future__ import annotations

import dataclasses

import pytest

from filiera.core.plan import Decision


def test_a_decision_is_a_value() -> None:
    """Decisions compare by content and cannot change; a step that is not known yet has no key."""
    one, other = (Decision(step="a", stage="clean", status="after", reason="decided after b") for _ in range(2))
    assert one == other
    assert (one.parts, one.outputs, one.blocked) == (None, (), "")
    with pytest.raises(dataclasses.FrozenInstanceError):
        one.status = "hit"  # type: ignore[misc]
