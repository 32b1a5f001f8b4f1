"""Messages are brought over real connections, and settled by what comes back."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.message import LONGEST_RETRY_S
from filiera.supervision.couriers import Couriers
from filiera.supervision.queue import MessageQueue
from filiera.supervision.service import Service
from tests.supervision.answering import answering
from tests.supervision.time import START, HandClock

Courier = Callable[..., Couriers]


@pytest.fixture
def clock() -> HandClock:
    return HandClock()


@pytest.fixture
def queue(tmp_path: Path, clock: HandClock) -> Iterator[MessageQueue]:
    records = SqliteRecords(tmp_path / "records.db")
    yield MessageQueue(records, "mail", clock=clock)
    records.close()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def couriers(queue: MessageQueue, told: list[str]) -> Courier:
    def make(address: tuple[str, int], **options: float) -> Couriers:
        service = Service(name="mail", function="m:f", **{"attempts": 3, **options})  # type: ignore[arg-type]
        made = Couriers(service, queue, chance=lambda: 1.0, tell=told.append)
        made.address, made.paths = address, {"": "/v1/functions/f:call", "other": "/v1/functions/f.other:call"}
        return made

    return make


def come_home(couriers: Couriers) -> None:
    """Return when all that was under way is settled."""
    for thread in threading.enumerate():
        if thread.name == "courier":
            thread.join(30.0)
    assert couriers.deliveries.under_way == 0


def test_each_message_is_a_request_and_gone_when_it_is_answered(queue: MessageQueue, couriers: Courier) -> None:
    """With its id and attempt, so that a service can tell that it has seen it."""
    bodies = [b'{"n": %d}' % number for number in range(30)]
    ids = queue.put(bodies)
    with answering(lambda _: 200) as (address, asked):
        made = couriers(address)
        made.token = "secret"
        made.send_out(4)
        asked.wait_for(30)
        come_home(made)
    assert sorted(asked.bodies) == sorted(bodies)
    assert {headers["Filiera-Message"] for headers in asked.headers} == set(ids)
    assert {headers["Filiera-Attempt"] for headers in asked.headers} == {"1"}
    assert {headers["Authorization"] for headers in asked.headers} == {"Bearer secret"}
    assert set(asked.paths) == {"/v1/functions/f:call"}
    assert queue.letters(dead=False) == queue.letters(dead=True) == []


def test_a_message_calls_the_method_that_it_names(queue: MessageQueue, couriers: Courier) -> None:
    """One that is not there is dead at once, with those that are."""
    queue.put([b"{}"], method="other")
    queue.put([b"{}"], method="othr")
    with answering(lambda _: 200) as (address, asked):
        made = couriers(address)
        made.send_out(4)
        asked.wait_for(1)
        come_home(made)
    assert asked.paths == ["/v1/functions/f.other:call"]
    (dead,) = queue.letters(dead=True)
    assert (dead.method, dead.why) == ("othr", "There is no method 'othr' to call. There are: other.")


def test_no_more_are_brought_at_once_than_may_be(queue: MessageQueue, couriers: Courier) -> None:
    """However often it is asked to send out."""
    gate = threading.Semaphore(0)
    queue.put([b"{}"] * 9)

    def answer(_: bytes) -> int:
        assert gate.acquire(timeout=30.0)
        return 200

    with answering(answer) as (address, asked):
        made = couriers(address)
        for _ in range(5):
            made.send_out(3)
        assert made.deliveries.under_way == 3
        assert queue.standing().handled == 3
        gate.release(9)
        asked.wait_for(9)
        come_home(made)
    assert asked.most_at_once <= 3


def test_a_failed_message_is_tried_again_and_then_dead(
    queue: MessageQueue, couriers: Courier, clock: HandClock, told: list[str]
) -> None:
    """After growing delays, as often as its service says; then it is kept with the reason, and told."""
    queue.put([b"{}"])
    with answering(lambda _: 500) as (address, asked):
        made = couriers(address)
        for delay_s in (1.0, 2.0, 4.0):
            made.send_out(1)
            asked.wait_for(1)
            come_home(made)
            clock.turn(delay_s - 0.01)
            made.send_out(1)
            assert made.deliveries.under_way == 0
            clock.turn(0.01)
    assert [headers["Filiera-Attempt"] for headers in asked.headers] == ["1", "2", "3"]
    (letter,) = queue.letters(dead=True)
    assert letter.attempts == 3
    assert letter.why == "HTTP 500: Wrong. See. a is b."
    assert len(told) == 1 and "is dead after 3 attempts" in told[0]


def test_a_wrong_message_is_dead_at_once_and_holds_up_nobody(
    queue: MessageQueue, couriers: Courier, told: list[str]
) -> None:
    """The service refuses it: no other attempt could help."""
    queue.put([b"wrong", b"right"])
    with answering(lambda body: 422 if body == b"wrong" else 200) as (address, asked):
        made = couriers(address)
        made.send_out(1)
        asked.wait_for(2)
        come_home(made)
    (letter,) = queue.letters(dead=True)
    assert (letter.body, letter.attempts, letter.why) == (b"wrong", 1, "HTTP 422: Wrong. See. a is b.")
    assert len(told) == 1


def test_nobody_there_is_no_attempt(queue: MessageQueue, couriers: Courier, clock: HandClock) -> None:
    """A service that is busy or away does not use up the attempts of messages."""
    queue.put([b"{}"])
    with answering(lambda _: 503) as (address, asked):
        made = couriers(address)
        for _ in range(9):
            made.send_out(1)
            asked.wait_for(1)
            come_home(made)
            clock.turn(1.0)
    made.send_out(1)
    come_home(made)
    (letter,) = queue.letters(dead=False)
    assert (letter.attempts, letter.why) == (0, "Nobody takes the call: Connection refused.")


def test_an_answer_that_does_not_come_is_a_failure(queue: MessageQueue, couriers: Courier) -> None:
    """After the time that an attempt may take."""
    queue.put([b"{}"])
    gate = threading.Event()
    with answering(lambda _: 200 if gate.wait(30.0) else None) as (address, _):
        made = couriers(address, timeout_s=0.05)
        made.send_out(1)
        come_home(made)
        gate.set()
    (letter,) = queue.letters(dead=False)
    assert (letter.attempts, letter.why) == (1, "No answer came within 0.05 s.")


def test_a_message_that_was_cut_off_each_time_is_not_tried_for_ever(
    queue: MessageQueue, couriers: Courier, clock: HandClock
) -> None:
    """It may be what kills: after its last attempt it is dead, though nobody has seen how that ended."""
    queue.put([b"{}"])
    assert queue.receive(1)  # beside others, for all that anybody knows: not an attempt of its own
    for _ in range(3):
        clock.turn(100.0)
        assert queue.receive_suspect()
    clock.turn(100.0)
    with answering(lambda _: 200) as (address, asked):
        made = couriers(address)
        made.send_out(1)
        come_home(made)
    assert asked.bodies == []
    (letter,) = queue.letters(dead=True)
    assert (letter.attempts, "cut off" in letter.why) == (3, True)


def test_who_kills_the_service_takes_no_other_message_along(
    queue: MessageQueue, couriers: Courier, clock: HandClock, told: list[str]
) -> None:
    """What was cut off beside it is brought again alone: only what is cut off then, as often as may be, is dead."""
    bodies = [b'{"n": %d}' % number for number in range(20)]
    four = threading.Barrier(4)

    def answer(body: bytes) -> int | None:
        if clock() == START:  # always one that kills is among the four
            four.wait(30.0)
            return None
        return None if body == bodies[3] else 200

    deadly = queue.put(bodies)[3]
    with answering(answer) as (address, asked):
        made = couriers(address)
        made.send_out(4)
        come_home(made)
        assert asked.most_at_once == 4
        asked.most_at_once = 0
        while queue.letters(dead=False):
            clock.turn(LONGEST_RETRY_S)
            made.send_out(4)
            come_home(made)
    (letter,) = queue.letters(dead=True)
    assert (letter.id, letter.attempts, letter.is_suspect) == (deadly, 3, True)
    assert letter.why.startswith("The connection broke")
    assert asked.most_at_once == 1
    assert set(asked.bodies) == set(bodies)
    assert len(told) == 1


def test_long_work_keeps_its_message_and_an_end_gives_it_back(
    queue: MessageQueue, couriers: Courier, clock: HandClock
) -> None:
    """While it is handled nobody else gets it; if this process ends first, another one does at once."""
    queue.put([b"{}"])
    gate = threading.Event()
    with answering(lambda _: 200 if gate.wait(30.0) else None) as (address, _):
        made = couriers(address)
        made.send_out(1)
        for _ in range(10):
            clock.turn(15.0)
            made.deliveries.keep()
        assert not made.deliveries.has_work()
        made.deliveries.stop()
        made.deliveries.give_back()
        (letter,) = queue.letters(dead=False)
        assert (letter.is_handled, letter.attempts) == (False, 0)
        gate.set()
        come_home(made)
    assert len(queue.letters(dead=False)) == 1
    made.send_out(1)
    assert made.deliveries.under_way == 0
