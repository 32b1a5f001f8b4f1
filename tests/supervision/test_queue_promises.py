"""What every queue promises its couriers: messages are handed out at least once, and settled once."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.message import Message
from filiera.supervision.queue import MessageQueue
from tests.supervision.time import HandClock

LONG_S = 3600.0
"""Longer than any lease."""


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def queue(tmp_path: Path, clock: HandClock) -> Iterator[MessageQueue]:
    records = SqliteRecords(tmp_path / "records.db")
    yield MessageQueue(records, "mail", clock=clock)
    records.close()


def test_what_is_put_is_received_in_order_and_unchanged(queue: MessageQueue) -> None:
    """Bodies are bytes, come in the order of putting, and are each in the first attempt."""
    bodies = [b'{"a": 1}', b"", "naïve \u2028".encode(), b"\0\xff", *(str(i).encode() for i in range(20))]
    queue.put(bodies)
    found = queue.receive(100)
    assert [message.body for message in found] == bodies
    assert {message.attempt for message in found} == {1}
    assert len({message.id for message in found}) == len(bodies)


def test_no_more_than_asked_for(queue: MessageQueue) -> None:
    """A part is handed out, the rest goes on waiting."""
    queue.put([b"1", b"2", b"3"])
    assert [message.body for message in queue.receive(2)] == [b"1", b"2"]
    assert [message.body for message in queue.receive(2)] == [b"3"]
    assert list(queue.receive(2)) == []


def test_an_acknowledged_message_is_gone(queue: MessageQueue, clock: HandClock) -> None:
    """What was handled never comes again, and cannot be settled twice."""
    queue.put([b"1"])
    (message,) = queue.receive(1)
    assert queue.acknowledge(message)
    clock.turn(LONG_S)
    assert list(queue.receive(1)) == []
    assert not queue.acknowledge(message)
    assert queue.due() == "nothing"


def test_what_is_never_settled_comes_again(queue: MessageQueue, clock: HandClock) -> None:
    """Whoever received it may have died: when the lease ends, another one gets it, and only that one may settle."""
    assert queue.due() == "nothing"
    queue.put([b"1"])
    assert queue.due() == "messages"
    (first,) = queue.receive(1)
    assert not first.is_suspect
    assert list(queue.receive(1)) == list(queue.receive_suspect()) == []
    assert queue.due() == "nothing"
    clock.turn(LONG_S)
    assert queue.due() == "suspects"
    assert list(queue.receive(1)) == []
    (second,) = queue.receive_suspect()
    assert (second.id, second.body, second.is_suspect) == (first.id, b"1", True)
    assert not queue.acknowledge(first)
    assert not queue.retry(first, after_s=0.0, why="late")
    assert not queue.bury(first, why="late")
    assert not queue.extend(first)
    assert queue.acknowledge(second)


def test_a_lease_that_is_extended_does_not_end(queue: MessageQueue, clock: HandClock) -> None:
    """Work that takes long keeps its message."""
    queue.put([b"1"])
    (message,) = queue.receive(1)
    for _ in range(10):
        clock.turn(5.0)
        assert queue.extend(message)
        assert list(queue.receive(1)) == []
    assert queue.acknowledge(message)


def test_a_retried_message_comes_after_its_delay(queue: MessageQueue, clock: HandClock) -> None:
    """Not sooner, with the next attempt counted; others are not held up by it."""
    queue.put([b"1"])
    (message,) = queue.receive(1)
    assert queue.retry(message, after_s=100.0, why="it failed")
    queue.put([b"2"])
    assert [other.body for other in queue.receive(10)] == [b"2"]
    clock.turn(99.0)
    assert b"1" not in [other.body for other in queue.receive(10)]
    clock.turn(2.0)
    assert (b"1", 2) in [(other.body, other.attempt) for other in queue.receive(10)]


def test_an_attempt_that_was_none_does_not_count(queue: MessageQueue, clock: HandClock) -> None:
    """A message that could not even be tried has not failed."""
    queue.put([b"1"])
    for _ in range(5):
        (message,) = queue.receive(1)
        assert message.attempt == 1
        assert queue.retry(message, after_s=1.0, why="nobody there", ended="untried")
        clock.turn(1.5)


def test_suspects_come_one_by_one(queue: MessageQueue, clock: HandClock) -> None:
    """What was cut off beside others is handed out by itself, and counts from then on; a failure clears it."""
    queue.put([b"1", b"2", b"3"])
    for message in queue.receive(2):
        assert queue.retry(message, after_s=10.0, why="cut off", ended="cut off")
    assert queue.due() == "messages", "neither is due yet"
    clock.turn(10.0)
    assert [(letter.is_suspect, letter.attempts) for letter in queue.letters(dead=False)] == [
        (False, 0),
        (True, 0),
        (True, 0),
    ]
    assert [message.body for message in queue.receive(9)] == [b"3"]
    (one,), (two,) = queue.receive_suspect(), queue.receive_suspect()
    assert [(one.body, one.attempt), (two.body, two.attempt)] == [(b"1", 1), (b"2", 1)]
    assert queue.retry(one, after_s=0.0, why="cut off", ended="cut off")
    assert queue.retry(two, after_s=0.0, why="failed")
    assert [(message.body, message.attempt) for message in queue.receive(9)] == [(b"2", 2)]
    (one,) = queue.receive_suspect()
    assert (one.body, one.attempt) == (b"1", 2)
    assert queue.retry(one, after_s=0.0, why="nobody there", ended="untried")
    (one,) = queue.receive_suspect()
    assert one.attempt == 2


def test_what_killed_is_a_suspect_when_it_comes_back(queue: MessageQueue, clock: HandClock) -> None:
    """A dead letter that is put back has all its attempts again, and is brought alone if that was why it died."""
    queue.put([b"1", b"2"])
    one, two = queue.receive(2)
    assert queue.retry(one, after_s=0.0, why="cut off", ended="cut off")
    (one,) = queue.receive_suspect()
    assert queue.bury(one, why="cut off", ended="cut off")
    assert queue.bury(two, why="failed")
    assert [letter.attempts for letter in queue.letters(dead=True)] == [1, 1]
    queue.revive([one.id, two.id])
    assert [(message.body, message.attempt) for message in queue.receive(9)] == [(b"2", 1)]
    assert [(message.body, message.attempt) for message in queue.receive_suspect()] == [(b"1", 1)]


def test_a_buried_message_is_not_handed_out(queue: MessageQueue, clock: HandClock) -> None:
    """It is kept among the dead letters, and counted there."""
    queue.put([b"1"])
    (message,) = queue.receive(1)
    assert queue.bury(message, why="it is wrong")
    clock.turn(LONG_S)
    assert list(queue.receive(1)) == []
    assert queue.standing().dead == 1


def test_it_says_how_it_stands(queue: MessageQueue) -> None:
    """Messages that wait and those that are handled are counted; an empty source has nothing due."""
    assert (queue.standing().waiting, queue.standing().due_at) == (0, None)
    queue.put([b"1", b"2", b"3"])
    taken: Sequence[Message] = queue.receive(1)
    standing = queue.standing()
    assert (standing.waiting, standing.handled, standing.dead) == (2, 1, 0)
    assert standing.due_at is not None
    for message in (*taken, *queue.receive(10)):
        queue.acknowledge(message)
    assert (queue.standing().waiting, queue.standing().handled) == (0, 0)


@pytest.mark.parametrize("most", [1, 7])
def test_two_never_hold_the_same_message(queue: MessageQueue, most: int) -> None:
    """Each message is handed out once, however it is asked for."""
    queue.put([str(number).encode() for number in range(30)])
    found: list[str] = []
    while some := queue.receive(most):
        found += [message.id for message in some]
    assert len(found) == len(set(found)) == 30
