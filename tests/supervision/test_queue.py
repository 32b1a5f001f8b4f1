"""Queues know nothing of each other, keep what is dead, and no message is lost, whoever is killed when."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import Bundle, RuleBasedStateMachine, invariant, rule

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.message import Ending, Message
from filiera.supervision.queue import LEASE_S, MessageQueue, reclaim, standings
from tests.supervision.time import HandClock


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def records(tmp_path: Path) -> Iterator[SqliteRecords]:
    records = SqliteRecords(tmp_path / "records.db")
    yield records
    records.close()


@pytest.fixture
def queue(records: SqliteRecords, clock: HandClock) -> MessageQueue:
    return MessageQueue(records, "mail", clock=clock)


def test_queues_know_nothing_of_each_other(records: SqliteRecords, queue: MessageQueue, clock: HandClock) -> None:
    """A message is for the queue of its name only."""
    other = MessageQueue(records, "other", clock=clock)
    queue.put([b"1", b"2"])
    assert list(other.receive(10)) == []
    assert {name: standing.waiting for name, standing in standings(records).items()} == {"mail": 2}


def test_dead_letters_are_read_and_put_back(queue: MessageQueue) -> None:
    """A dead letter says why; put back it is as new; a living one cannot be put back or dropped."""
    kept, alive = queue.put([b"1", b"2"])
    (message,) = queue.receive(1)
    queue.bury(message, why="it is wrong")
    (letter,) = queue.letters(dead=True)
    assert (letter.id, letter.why, letter.attempts, letter.is_handled) == (kept, "it is wrong", 1, False)
    assert queue.revive([kept, alive, "nobody"]) == [kept]
    assert queue.letters(dead=True) == []
    again = queue.receive(10)
    assert {(one.id, one.attempt) for one in again} == {(kept, 1), (alive, 1)}
    assert queue.drop([kept, alive]) == []
    queue.bury(again[0], why="")
    assert queue.drop([again[0].id]) == [again[0].id]
    assert queue.letters(dead=True) == []


def test_whoever_starts_ends_the_leases_of_the_one_before(
    records: SqliteRecords, queue: MessageQueue, clock: HandClock
) -> None:
    """What a killed supervisor held is handed out at once, not when its lease ends."""
    queue.put([b"1", b"2"])
    (lost,) = queue.receive(1)
    assert reclaim(records, clock) == 1
    assert [message.body for message in queue.receive(10)] == [b"2"]
    (again,) = queue.receive_suspect()
    assert (again.body, again.attempt) == (b"1", 1), "it was not alone"
    assert not queue.acknowledge(lost)


def test_marks_are_kept_together_with_messages(queue: MessageQueue) -> None:
    """What a trigger notes is there exactly when its messages are."""
    queue.put([b"{}"], origin="cron", marks={"cron": "60"})
    queue.put([], marks={"a.csv": "7"})
    assert queue.marks() == {"cron": "60", "a.csv": "7"}
    queue.forget(["a.csv", "nothing"])
    assert queue.marks() == {"cron": "60"}
    assert [letter.origin for letter in queue.letters(dead=False)] == ["cron"]


KILLED_WHILE_PUTTING = """
import sys, time
from pathlib import Path
from filiera.adapters.sqlite_records import SqliteRecords
from filiera.supervision.queue import MessageQueue
queue = MessageQueue(SqliteRecords(Path(sys.argv[1])), "mail", clock=time.time)
for number in range(1_000_000):
    print(*queue.put([b"%d" % number, b"%d+" % number]), flush=True)
"""


def test_what_was_accepted_survives_a_kill(tmp_path: Path) -> None:
    """Killed while it puts, a process has put all that it was told of, and nothing by halves."""
    file = tmp_path / "records.db"
    command = [sys.executable, "-c", KILLED_WHILE_PUTTING, str(file)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        told = [next(process.stdout) for _ in range(40)]
        os.kill(process.pid, signal.SIGKILL)
        told += list(process.stdout)
    whole = [line.split() for line in told if line.endswith("\n")]
    records = SqliteRecords(file)
    found = MessageQueue(records, "mail", clock=HandClock(2e9)).receive(1_000_000)
    records.close()
    ids = [message.id for message in found]
    assert ids[: 2 * len(whole)] == [one for line in whole for one in line]
    assert len(ids) % 2 == 0


class Consumers(RuleBasedStateMachine):
    """Messages are put, received, settled and forgotten in any order, while time passes; compared with a plain list."""

    received = Bundle("received")

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory()
        self.records = SqliteRecords(Path(self.folder.name) / "records.db")
        self.clock = HandClock()
        self.queue = MessageQueue(self.records, "mail", clock=self.clock)
        self.due: dict[str, float] = {}  #: living messages, and when each can be handed out
        self.dead: set[str] = set()
        self.held: dict[str, str] = {}  #: by message: the lease that counts
        self.cut_offs: dict[str, int] = {}  #: by living message

    def teardown(self) -> None:
        self.records.close()
        self.folder.cleanup()

    @rule(count=st.integers(0, 3))
    def put(self, count: int) -> None:
        ids = self.queue.put([b"{}"] * count)
        self.due |= dict.fromkeys(ids, self.clock.now)
        self.cut_offs |= dict.fromkeys(ids, 0)

    @rule(seconds=st.sampled_from([0.0, 1.0, 30.0, LEASE_S, 400.0]))
    def wait(self, seconds: float) -> None:
        self.clock.turn(seconds)

    @rule(target=received, most=st.integers(1, 4))
    def receive(self, most: int) -> list[Message]:
        return self.received_as_expected(self.queue.receive(most), most=most, are_suspects=False)

    @rule(target=received)
    def receive_suspect(self) -> list[Message]:
        return self.received_as_expected(self.queue.receive_suspect(), most=1, are_suspects=True)

    def received_as_expected(self, found: Sequence[Message], *, most: int, are_suspects: bool) -> list[Message]:
        due = [(due, one) for one, due in self.due.items() if due <= self.clock.now]
        expected = sorted((due, one) for due, one in due if (self.cut_offs[one] > 0) == are_suspects)[:most]
        assert sorted(message.id for message in found) == sorted(one for _, one in expected)
        for message in found:
            self.due[message.id] = self.clock.now + LEASE_S
            self.held[message.id] = message.lease
            self.cut_offs[message.id] += 1
            assert (message.cut_offs, message.is_suspect) == (self.cut_offs[message.id], are_suspects)
        return list(found)

    def is_ours(self, message: Message) -> bool:
        return self.held.get(message.id) == message.lease

    @rule(messages=received)
    def extend(self, messages: list[Message]) -> None:
        for message in messages:
            assert self.queue.extend(message) == self.is_ours(message)
            if self.is_ours(message):
                self.due[message.id] = self.clock.now + LEASE_S

    @rule(
        messages=received,
        how=st.sampled_from(["acknowledge", "retry", "bury"]),
        after_s=st.sampled_from([0.0, 5.0]),
        ended=st.sampled_from(["failed", "untried", "cut off"]),
    )
    def settle(self, messages: list[Message], how: str, after_s: float, ended: Ending) -> None:
        for message in messages:
            ours = self.is_ours(message)
            if how == "acknowledge":
                assert self.queue.acknowledge(message) == ours
            elif how == "retry":
                assert self.queue.retry(message, after_s=after_s, why="", ended=ended) == ours
            else:
                assert self.queue.bury(message, why="", ended=ended) == ours
            if ours:
                del self.held[message.id], self.due[message.id]
                known = {"failed": 0, "untried": message.cut_offs - 1, "cut off": message.cut_offs}
                self.cut_offs[message.id] = known[ended]
                if how == "retry":
                    self.due[message.id] = self.clock.now + after_s
                if how == "bury":
                    self.dead.add(message.id)

    @rule()
    def start_anew(self) -> None:
        assert reclaim(self.records, self.clock) == len(self.held)
        self.due |= dict.fromkeys(self.held, self.clock.now)
        self.held.clear()

    @rule()
    def revive_all(self) -> None:
        assert set(self.queue.revive(sorted(self.dead | self.due.keys()))) == self.dead
        self.due |= dict.fromkeys(self.dead, self.clock.now)
        self.cut_offs |= {one: min(self.cut_offs[one], 1) for one in self.dead}
        self.dead.clear()

    @invariant()
    def nothing_is_lost(self) -> None:
        standing = self.queue.standing()
        assert (standing.handled, standing.dead) == (len(self.held), len(self.dead))
        assert standing.waiting == len(self.due) - len(self.held)
        assert standing.due_at == min(self.due.values(), default=None)


Consumers.TestCase.settings = settings(max_examples=40, stateful_step_count=30)
TestConsumers = Consumers.TestCase
