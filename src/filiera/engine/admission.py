"""Who must wait: of calls with one key one computes, and named limits say how many run at once."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import field
from time import monotonic
from typing import Protocol

from filiera.core.value import dataclass
from filiera.engine.course import Course
from filiera.engine.planner import Call

ASKED_AGAIN_AFTER_S = 0.05
"""So long a call waits that another process computes, or that a limit holds back, before it is tried again."""

Waiting = tuple[Course, str]
"""A run, and the step of it that waits."""


class Flights(Protocol):
    """Who computes what at the moment, among all processes that use the store."""

    def try_take(self, key: str) -> bool:
        """Take *key*; False when somebody has it."""

    def release(self, key: str) -> None:
        """Let others take *key*; not taken is fine."""


class Limits(Protocol):
    """How many steps that name a limit run at once, among all processes that use the store."""

    def try_take(self, name: str) -> str | None:
        """Return a token for one of the places of *name*, None when all are taken. Raises UsageError."""

    def release(self, token: str) -> None:
        """Give a place back."""


@dataclass(kw_only=True)
class Admission:
    """Lets calls begin, or keeps them until they may."""

    flights: Flights | None
    limits: Limits | None
    _computed: dict[str, list[Waiting]] = field(default_factory=dict)  #: by key: who waits for the result
    _held: list[Waiting] = field(default_factory=list)  #: for another process, or for a limit
    _asked_at: float = 0.0

    def admit(self, course: Course, call: Call) -> tuple[str, ...] | None:
        """Return the tokens of the limits that a call has taken, or None when it waits."""
        key = call.parts.key if self._is_shared(course, call) else ""
        if key in self._computed:
            self._computed[key].append((course, call.node.name))
            return None
        if key and self.flights is not None and not self._took(self.flights, course, call):
            self._hold(course, call)
            return None
        tokens = self._take(call.node.step.options.limits)
        if tokens is None:
            if key and self.flights is not None:
                self.flights.release(key)
            self._hold(course, call)
            return None
        if key:
            self._computed[key] = []
        return tokens

    def begun(self, course: Course, call: Call) -> None:
        """Note that a worker has begun a call by itself."""
        if self._is_shared(course, call):
            self._computed.setdefault(call.parts.key, [])

    def dropped(self, call: Call) -> None:
        """Let others take a key that a worker may have taken for a call which it has not begun, or not told of."""
        if self.flights is not None and call.parts.key not in self._computed:
            self.flights.release(call.parts.key)

    def ended(self, call: Call, tokens: Sequence[str], *, is_kept: bool) -> list[Waiting]:
        """Return who can try again now that a call has ended; *is_kept*: its result is in the journal."""
        for token in tokens:
            if self.limits is not None:
                self.limits.release(token)
        key = call.parts.key
        if not is_kept and self.flights is not None and key in self._computed:
            self.flights.release(key)
        return self._computed.pop(key, [])

    def written(self, keys: Iterable[str]) -> None:
        """Let others have results that they can read now."""
        if self.flights is not None:
            for key in keys:
                self.flights.release(key)

    def again(self) -> list[Waiting]:
        """Return who should try again because some time has passed."""
        if not self._held or self.due_in_s > 0:
            return []
        held, self._held = self._held, []
        return held

    @property
    def due_in_s(self) -> float:
        """Return when to call ``again``; far away when nobody is held."""
        return self._asked_at + ASKED_AGAIN_AFTER_S - monotonic() if self._held else 1e9

    def forget(self, courses: Set[Course]) -> list[Waiting]:
        """Keep no call of these runs any longer; return those that were kept."""
        found = [waiting for waiting in self._held if waiting[0] in courses]
        self._held = [waiting for waiting in self._held if waiting[0] not in courses]
        for key, waiting in self._computed.items():
            if waiting:
                found += [one for one in waiting if one[0] in courses]
                self._computed[key] = [one for one in waiting if one[0] not in courses]
        return found

    def _took(self, flights: Flights, course: Course, call: Call) -> bool:
        """Take a call's key, unless somebody has it, or had it and recorded the result before letting go of it."""
        key = call.parts.key
        if not flights.try_take(key):
            return False
        if not course.planner.has_appeared(call):
            return True
        flights.release(key)
        return False

    def _hold(self, course: Course, call: Call) -> None:
        if not self._held:
            self._asked_at = monotonic()
        self._held.append((course, call.node.name))

    def _is_shared(self, course: Course, call: Call) -> bool:
        return call.node.step.options.is_cached and not course.planner.must_run(call.node.name)

    def _take(self, names: Sequence[str]) -> tuple[str, ...] | None:
        tokens: list[str] = []
        if self.limits is not None:
            for name in names:
                token = self.limits.try_take(name)
                if token is None:
                    for taken in tokens:
                        self.limits.release(taken)
                    return None
                tokens.append(token)
        return tuple(tokens)
