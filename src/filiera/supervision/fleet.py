"""How many workers a service has: events change it, and it decides what is to be done. No clock, no process."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from filiera.supervision.service import WorkerLimits

START_S = 120.0  #: a worker that is not ready after so long is killed
SILENCE_S = 30.0  #: a worker that says nothing for so long is killed
DRAIN_S = 30.0  #: a worker that has not ended so long after it was told to is killed
CROWDED_S = 0.5  #: load must be so long above what the workers should have, before one more is started
SOUND_S = 30.0  #: a worker that was ready for so long was sound: its end is not counted with those before it
MOST_FAILED_STARTS = 5  #: so many workers in a row were never ready, and starting is given up for a while
PAUSE_S = 30.0  #: for so long, or up to half as much more
LONGEST_DELAY_S = 8.0  #: between a worker's end and the next start, as long as workers get ready

Phase = Literal["starting", "ready", "draining"]
State = Literal["asleep", "starting", "ready", "failing", "stopping"]


@dataclass(frozen=True)
class Start:
    """Start a worker."""


@dataclass(frozen=True)
class Drain:
    """Tell a worker to take no more and to end when it has answered."""

    worker: int


@dataclass(frozen=True)
class Kill:
    """End a worker at once."""

    worker: int
    why: str


Action = Start | Drain | Kill


@dataclass
class _Worker:
    phase: Phase
    since: float  #: when it came into this phase
    heard_at: float
    in_flight: int = 0
    requests: int = 0
    is_old: bool = False  #: another one is to take its place


class Fleet:
    """The workers of one service, by numbers that the caller gives.

    Events say what has happened; ``decide``, asked a few times a second, says what is to be done about it. All times
    are seconds of one clock that never goes back.
    """

    def __init__(self, limits: WorkerLimits, *, now: float, chance: Callable[[], float]) -> None:
        self._limits, self._chance = limits, chance
        self._workers: dict[int, _Worker] = {}
        self._is_wanted = False  # somebody waits and no worker listens
        self.is_stopping = False  #: nothing is started any more
        self._needed_at = now  # when it last had work
        self._crowded_since: float | None = None
        self._roomy_since: float | None = None  # since when fewer workers would do
        self._may_start_at = now
        self._pause_until: float | None = None
        self._failures = 0  # ends in a row of workers that were not sound
        self._failed_starts = 0  # in a row
        self._requests_of_gone = 0
        self.restarts = 0  #: workers that ended by themselves
        self.wakes = 0  #: times that a worker was started where there was none, since somebody waited

    # What is there

    @property
    def state(self) -> State:
        """Return how the service stands, in one word."""
        if self.is_stopping:
            return "stopping"
        if any(worker.phase == "ready" for worker in self._workers.values()):
            return "ready"
        if self._pause_until is not None:
            return "failing"
        return "starting" if self._live() or self._is_wanted or self._limits.least else "asleep"

    @property
    def workers(self) -> dict[int, Phase]:
        """Return the phase of each worker."""
        return {number: worker.phase for number, worker in self._workers.items()}

    @property
    def requests(self) -> int:
        """Return how many requests all workers have taken."""
        return self._requests_of_gone + sum(worker.requests for worker in self._workers.values())

    @property
    def in_flight(self) -> int:
        """Return how many requests workers handle at the moment."""
        return sum(worker.in_flight for worker in self._workers.values())

    @property
    def listens(self) -> bool:
        """Tell whether the supervisor must watch for callers: no worker does, and nobody is known to wait."""
        return not self._live() and not self.is_stopping and (not self._is_wanted or self._pause_until is not None)

    def refuses(self, now: float) -> bool:
        """Tell whether callers get an answer that it cannot: starting was given up for a while."""
        return self._pause_until is not None and now < self._pause_until and not self._live()

    # What happens

    def wanted(self) -> None:
        """Somebody waits, and no worker listens."""
        self._is_wanted = True

    def started(self, worker: int, now: float) -> None:
        """A process for a worker has begun."""
        self.wakes += self._is_wanted and not self._live()
        self._workers[worker] = _Worker(phase="starting", since=now, heard_at=now)

    def adopted(self, worker: int, now: float) -> None:
        """A ready worker of a former supervisor is ours; a new one is to take its place."""
        self._workers[worker] = _Worker(phase="ready", since=now, heard_at=now, is_old=True)
        self._needed_at = now

    def ready(self, worker: int, now: float) -> None:
        """A worker answers requests."""
        known = self._workers[worker]
        if known.phase == "starting":
            known.phase, known.since, known.heard_at = "ready", now, now
            self._is_wanted, self._needed_at = False, now
            self._pause_until, self._failed_starts = None, 0

    def reported(self, worker: int, now: float, *, in_flight: int, requests: int) -> None:
        """A worker says how many requests it handles, and how many it has taken so far."""
        known = self._workers[worker]
        if in_flight or requests != known.requests:
            self._needed_at = now
        known.heard_at, known.in_flight, known.requests = now, in_flight, requests

    def ended(self, worker: int, now: float) -> float | None:
        """A worker is gone. Return None if it was told to, else after how many seconds another may be started."""
        gone = self._workers.pop(worker)
        self._requests_of_gone += gone.requests
        if gone.phase == "draining" or self.is_stopping:
            return None
        self.restarts += 1
        if gone.phase == "ready" and now - gone.since >= SOUND_S:
            self._failures = 0
        self._failures += 1
        self._failed_starts += gone.phase == "starting"
        delay_s = self._delay_s()
        self._may_start_at = now + delay_s
        self._pause_until = self._may_start_at if self._failed_starts >= MOST_FAILED_STARTS else None
        if gone.in_flight or gone.phase == "starting":
            self._is_wanted = True
        return delay_s

    def renew(self) -> None:
        """All workers are to be replaced by new ones, without a gap."""
        for worker in self._workers.values():
            worker.is_old = True
        self._failures, self._failed_starts, self._pause_until, self._may_start_at = 0, 0, None, -math.inf

    def stop(self) -> None:
        """All workers are to end, and none is started any more."""
        self.is_stopping = True

    # What is to be done

    def decide(self, now: float) -> list[Action]:
        """Return what is to be done now. Whoever asks does it: workers told to drain or killed count as such."""
        actions: list[Action] = list(self._overdue(now))
        if self.is_stopping:
            return actions + [self._drain(number, now) for number in self._live()]
        wanted = self._wanted_count(now)
        fresh = [number for number in self._live() if not self._workers[number].is_old]
        if len(fresh) < wanted and now >= self._may_start_at and not self._is_starting():
            if self._pause_until is not None:
                self._pause_until = now + START_S  # one more try; callers wait for what comes of it
            return [*actions, Start()]
        are_ready = [number for number in fresh if self._workers[number].phase == "ready"]
        surplus = fresh[: max(len(fresh) - wanted, 0)]
        if wanted == 0 or are_ready:
            surplus += [number for number in self._live() if self._workers[number].is_old]
        return actions + [self._drain(number, now) for number in surplus]

    def _live(self) -> list[int]:
        """Return the workers that take requests or will, the oldest last."""
        return [number for number, worker in reversed(self._workers.items()) if worker.phase != "draining"]

    def _is_starting(self) -> bool:
        return any(worker.phase == "starting" for worker in self._workers.values())

    def _wanted_count(self, now: float) -> int:
        """Return how many workers there should be."""
        live, limits = len(self._live()), self._limits
        if not live:
            return max(limits.least, int(self._is_wanted))
        if now - self._needed_at >= limits.idle_s and not self._is_wanted and not self.in_flight:
            self._crowded_since = self._roomy_since = None
            return limits.least
        fresh = sum(not self._workers[number].is_old for number in self._live()) or live
        enough = max(min(math.ceil(self.in_flight / limits.in_flight), limits.most), limits.least, 1)
        self._crowded_since = self._since(self._crowded_since, enough > fresh, now)
        self._roomy_since = self._since(self._roomy_since, enough < fresh, now)
        if self._crowded_since is not None and now - self._crowded_since >= CROWDED_S:
            return fresh + 1
        if self._roomy_since is not None and now - self._roomy_since >= limits.idle_s:
            self._roomy_since = now
            return fresh - 1
        return max(fresh, limits.least)

    @staticmethod
    def _since(former: float | None, is_so: bool, now: float) -> float | None:
        if not is_so:
            return None
        return now if former is None else former

    def _overdue(self, now: float) -> list[Kill]:
        limits = {"starting": START_S, "draining": DRAIN_S}
        found = []
        for number, worker in self._workers.items():
            longest = limits.get(worker.phase, math.inf)
            if now - worker.since >= longest:
                what = "was not ready" if worker.phase == "starting" else "had not ended"
                found.append(Kill(number, f"it {what} after {longest:g} s"))
            elif worker.phase == "ready" and now - worker.heard_at >= SILENCE_S:
                found.append(Kill(number, f"it had said nothing for {SILENCE_S:g} s"))
        return found

    def _drain(self, number: int, now: float) -> Drain:
        worker = self._workers[number]
        worker.phase, worker.since = "draining", now
        return Drain(number)

    def _delay_s(self) -> float:
        if self._failed_starts >= MOST_FAILED_STARTS:
            return PAUSE_S * (1.0 + 0.5 * self._chance())
        if self._failures == 1:
            return 0.0
        return min(0.25 * 2.0 ** min(self._failures - 1, 30), LONGEST_DELAY_S) * (0.5 + 0.5 * self._chance())
