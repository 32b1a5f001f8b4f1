"""How many workers there are: each rule by itself, then all of them under any course of events."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from filiera.supervision import fleet as rules
from filiera.supervision.fleet import Drain, Fleet, Kill, Start
from filiera.supervision.service import WorkerLimits


class Course:
    """A fleet, its clock and its processes, which do what is decided."""

    def __init__(self, least: int = 0, most: int = 4, in_flight: int = 10, idle_s: float = 60.0) -> None:
        self.now = 1000.0
        limits = WorkerLimits(least=least, most=most, in_flight=in_flight, idle_s=idle_s)
        self.fleet = Fleet(limits, now=self.now, chance=lambda: 1.0)
        self.starts = 0
        self.killed: list[str] = []
        self.processes: set[int] = set()
        self.requests: dict[int, int] = {}

    def turn(self, seconds: float = 0.0) -> None:
        """Let time pass in small steps, doing what is decided in each."""
        end = self.now + seconds
        while True:
            for action in self.fleet.decide(self.now):
                match action:
                    case Start():
                        self.starts += 1
                        self.processes.add(self.starts)
                        self.fleet.started(self.starts, self.now)
                    case Kill(worker, why):
                        self.killed.append(why)
                        self.end(worker)
                    case Drain(worker):
                        assert self.fleet.workers[worker] == "draining"
            if self.now >= end:
                return
            self.now = min(self.now + 0.25, end)

    def end(self, worker: int) -> float | None:
        """Let a process end."""
        self.processes.remove(worker)
        return self.fleet.ended(worker, self.now)

    def get_ready(self) -> None:
        """Let all processes that start be ready, and those that drain end."""
        for worker, phase in self.fleet.workers.items():
            if phase == "starting":
                self.fleet.ready(worker, self.now)
            elif phase == "draining":
                self.end(worker)

    def load(self, *in_flight: int) -> None:
        """Let each worker report."""
        for worker, count in zip(self.fleet.workers, in_flight, strict=True):
            self.requests[worker] = self.requests.get(worker, 0) + count
            self.fleet.reported(worker, self.now, in_flight=count, requests=self.requests[worker])

    def phases(self) -> list[str]:
        return list(self.fleet.workers.values())


def awake(**limits: int) -> Course:
    """Return a course with one ready worker."""
    course = Course(**limits)
    course.fleet.wanted()
    course.turn()
    course.get_ready()
    return course


def test_nobody_works_until_somebody_calls() -> None:
    """Asleep, it watches for callers; the first one wakes one worker, and while that starts nobody else is watched."""
    course = Course()
    course.turn(10_000.0)
    assert (course.phases(), course.fleet.state, course.fleet.listens) == ([], "asleep", True)
    course.fleet.wanted()
    assert not course.fleet.listens
    course.turn()
    course.fleet.wanted()
    course.turn(1.0)
    assert (course.phases(), course.fleet.state) == (["starting"], "starting")
    course.get_ready()
    assert (course.fleet.state, course.fleet.listens, course.fleet.wakes) == ("ready", False, 1)


def test_it_sleeps_when_nobody_has_called_for_long() -> None:
    """Not while a request is under way, however long it takes; a new caller while it falls asleep wakes another one."""
    course = awake()
    course.load(1)
    for _ in range(40):
        course.turn(5.0)
        course.load(1)
    assert course.phases() == ["ready"]
    for _ in range(3):
        course.load(0)
        course.turn(19.75)
    assert course.phases() == ["ready"]
    course.load(0)
    course.turn(1.0)
    assert (course.phases(), course.fleet.listens) == (["draining"], True)
    course.fleet.wanted()
    course.turn()
    assert course.phases() == ["draining", "starting"]
    course.get_ready()
    assert (course.phases(), course.fleet.restarts) == (["ready"], 0)


def test_workers_come_with_load_and_go_without() -> None:
    """One more after each half second of too much load, up to the limit; one less after each idle time."""
    course = awake(most=3)
    course.load(11)
    course.turn(0.25)
    course.load(5)  # a peak that passes
    course.turn(5.0)
    assert course.phases() == ["ready"]
    course.load(35)
    course.turn(0.75)
    assert course.phases() == ["ready", "starting"]
    course.turn(10.0)
    assert course.phases() == ["ready", "starting"], "one starts at a time"
    course.get_ready()
    course.load(20, 15)
    course.turn(1.0)
    course.get_ready()
    course.load(15, 15, 15)
    course.turn(10.0)
    assert course.phases() == ["ready"] * 3
    for _ in range(13):
        course.load(2, 1, 1)
        course.turn(5.0)
    assert sorted(course.phases()) == ["draining", "ready", "ready"]
    assert course.fleet.workers[3] == "draining", "the youngest goes first"


def test_as_many_as_must_be_are_always_there() -> None:
    """From the start, without load, and again after one has ended."""
    course = Course(least=2)
    for _ in range(3):
        course.turn(0.25)
        course.get_ready()
    assert course.phases() == ["ready", "ready"]
    for _ in range(1000):
        course.load(0, 0)
        course.turn(1.0)
    assert course.phases() == ["ready", "ready"]
    course.end(1)
    course.turn(0.25)
    assert course.phases() == ["ready", "starting"]


def test_a_crashed_worker_is_replaced_when_it_is_needed() -> None:
    """At once the first time, since somebody may wait; later ever more slowly; not at all when nobody waits."""
    course = awake()
    course.load(1)
    assert course.end(1) == 0.0
    course.turn()
    assert (course.phases(), course.fleet.restarts) == (["starting"], 1)
    course.get_ready()
    course.load(0)
    assert course.end(2) == 0.5
    course.turn(100.0)
    assert (course.phases(), course.fleet.listens) == ([], True)
    delays = []
    for _ in range(7):
        course.fleet.wanted()
        course.turn(10.0)
        course.get_ready()
        delays.append(course.end(course.starts))
    assert delays == [1.0, 2.0, 4.0, 8.0, 8.0, 8.0, 8.0]
    assert course.fleet.state != "failing", "it does get ready each time"


def test_a_worker_that_was_sound_for_long_begins_anew() -> None:
    """Crashes that are far apart do not slow down the next start."""
    course = awake()
    for _ in range(20):
        for _ in range(7):
            course.turn(5.0)
            course.load(1)
        assert course.end(course.starts) == 0.0
        course.turn()
        course.get_ready()


def test_workers_that_never_get_ready_are_given_up_for_a_while() -> None:
    """Callers are told at once; then it tries once more by itself, and a success forgets the failures."""
    course = Course()
    course.fleet.wanted()
    for _ in range(rules.MOST_FAILED_STARTS):
        assert not course.fleet.refuses(course.now)
        course.turn(10.0)
        delay_s = course.end(course.starts)
    assert delay_s == 1.5 * rules.PAUSE_S
    assert (course.fleet.state, course.fleet.refuses(course.now), course.fleet.listens) == ("failing", True, True)
    before = course.starts
    course.turn(delay_s - 1.0)
    assert course.starts == before
    course.turn(2.0)
    assert course.starts == before + 1
    assert not course.fleet.refuses(course.now) and not course.fleet.listens
    course.end(course.starts)
    assert course.fleet.refuses(course.now)
    course.turn(100.0)
    course.get_ready()
    assert course.fleet.state == "ready"
    course.load(1)
    assert course.end(course.starts) is not None
    assert not course.fleet.refuses(course.now)


def test_a_worker_that_hangs_is_killed() -> None:
    """In its start, in silence, and at its end."""
    course = Course()
    course.fleet.wanted()
    course.turn(rules.START_S)
    course.turn(rules.SILENCE_S + 10.0)
    course.get_ready()
    course.load(1)
    course.turn(rules.SILENCE_S)
    course.turn(1.0)
    course.get_ready()
    course.fleet.stop()
    course.turn(rules.DRAIN_S)
    assert course.killed == [
        "it was not ready after 120 s",
        "it had said nothing for 30 s",
        "it had not ended after 30 s",
    ]


def test_workers_are_renewed_without_a_gap() -> None:
    """The old one goes when the new one is ready, not before; so does one of a former supervisor."""
    course = awake()
    course.fleet.renew()
    course.turn(1.0)
    assert course.phases() == ["ready", "starting"]
    course.get_ready()
    course.turn()
    assert course.fleet.workers == {1: "draining", 2: "ready"}
    adopting = Course()
    adopting.processes.add(77)
    adopting.fleet.adopted(77, adopting.now)
    adopting.turn(1.0)
    adopting.get_ready()
    adopting.turn()
    assert adopting.fleet.workers == {77: "draining", 1: "ready"}


def test_ending_is_waited_for() -> None:
    """Told to stop, all drain, also those that start, and no other comes, whoever calls."""
    course = Course(least=2)
    course.turn(1.0)
    course.get_ready()
    course.turn(1.0)
    course.fleet.stop()
    course.fleet.wanted()
    course.turn(1.0)
    assert course.phases() == ["draining", "draining"]
    course.get_ready()
    course.turn(1000.0)
    assert (course.phases(), course.fleet.state, course.fleet.restarts) == ([], "stopping", 0)


class Life(RuleBasedStateMachine):
    """Callers, loads, crashes, hangs and renewals, in any order."""

    def __init__(self) -> None:
        super().__init__()
        self.course = Course(most=3, idle_s=20.0)
        self.waits_since: float | None = None

    @rule(seconds=st.sampled_from([0.25, 1.0, 10.0, 70.0]))
    def turn(self, seconds: float) -> None:
        self.course.turn(seconds)

    @precondition(lambda self: self.course.fleet.listens)
    @rule()
    def call(self) -> None:
        self.course.fleet.wanted()

    @rule()
    def get_ready(self) -> None:
        self.course.get_ready()

    @rule(counts=st.lists(st.integers(0, 40), min_size=9, max_size=9))
    def load(self, counts: list[int]) -> None:
        self.course.load(*counts[: len(self.course.fleet.workers)])

    @precondition(lambda self: self.course.processes)
    @rule(data=st.data())
    def crash(self, data: st.DataObject) -> None:
        self.course.end(data.draw(st.sampled_from(sorted(self.course.processes))))

    @rule()
    def renew(self) -> None:
        self.course.fleet.renew()

    @invariant()
    def never_too_many(self) -> None:
        live = [phase for phase in self.course.phases() if phase != "draining"]
        assert live.count("starting") <= 1
        assert len(live) <= 3 + 3, "old ones and those that take their places"

    @invariant()
    def somebody_listens(self) -> None:
        """Asleep, the supervisor watches for callers; in any other state somebody is known to wait."""
        fleet = self.course.fleet
        live = [phase for phase in self.course.phases() if phase != "draining"]
        assert live or fleet.listens or fleet.state == "starting"

    def teardown(self) -> None:
        """Whatever has happened, a caller is served in the end."""
        self.course.fleet.wanted()
        for _ in range(200):
            self.course.turn(1.0)
            self.course.get_ready()
            if self.course.fleet.state == "ready":
                return
        pytest.fail(f"never ready: {self.course.fleet.state}")


Life.TestCase.settings = settings(max_examples=60, stateful_step_count=40)
TestLife = Life.TestCase
