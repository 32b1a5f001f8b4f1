"""What became of predictions: what users did with them, and what turned out true, told later by the prediction's id."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import field
from typing import Any

from filiera.core.value import dataclass

OUTCOME = "outcome"
ACTION = "action"


@dataclass(kw_only=True, slots=True)
class Told:
    """All that was told of one prediction, each thing once."""

    outcome: Any = None  #: what turned out true, as last known; None while nothing is
    outcome_at: float | None = None  #: when it was known, seconds since the epoch, UTC
    actions: list[str] = field(default_factory=list)  #: in the order in which they were done
    _actions: dict[str, tuple[float, str]] = field(default_factory=dict)

    def add(self, record: Mapping[str, Any]) -> None:
        """Take note of one record of a feedback log: again, late, or in any order, the result is the same."""
        known_at, value = record["known_at"], record["value"]
        if record["kind"] == ACTION:
            key = record["key"] or value
            self._actions[key] = min(self._actions.get(key, (known_at, value)), (known_at, value))
            self.actions = [action for _, action in sorted(self._actions.values())]
        elif self.outcome_at is None or (known_at, repr(value)) >= (self.outcome_at, repr(self.outcome)):
            self.outcome, self.outcome_at = value, known_at


def gathered(records: Iterable[Mapping[str, Any]]) -> dict[str, Told]:
    """Return what was told of each prediction, by its id.

    Repeated records count once: an action is the same when it has the same key, or without one the same name; of
    outcomes the one that was known last counts.

    >>> said = {"id": "A", "kind": "outcome", "key": "", "at": 5.0}
    >>> gathered([{**said, "value": 1, "known_at": 2.0}, {**said, "value": 0, "known_at": 1.0}])["A"].outcome
    1
    """
    found: dict[str, Told] = {}
    for record in records:
        found.setdefault(record["id"], Told()).add(record)
    return found


def joined(
    predictions: Iterable[Mapping[str, Any]], told: dict[str, Told]
) -> Iterator[tuple[Mapping[str, Any], Told | None]]:
    """Yield each prediction with what was told of it, or None; what stays in *told* is of unknown ones."""
    for prediction in predictions:
        yield prediction, told.pop(prediction["id"], None)
