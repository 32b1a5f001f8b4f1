"""What brokers hand out is kept here before it is let go there, whatever breaks between."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

import pytest

from filiera.adapters.sqlite_records import SqliteRecords
from filiera.core.broker import BrokerAddress
from filiera.core.message import Incoming
from filiera.errors import SourceError, StoreError
from filiera.supervision import intake as intake_module
from filiera.supervision.intake import LEAST_ROOM, Intake
from filiera.supervision.queue import MessageQueue
from filiera.supervision.service import Service, Triggers
from tests.supervision.supervised import wait_for

ADDRESS = BrokerAddress.parse("redis://broker/orders")


class Broker:
    """A broker in memory, with one member, that can be made to break."""

    def __init__(self) -> None:
        self.messages: list[Incoming] = []
        self.handed_out = 0
        self.connections = 0
        self.closed = 0
        self.fails: Exception | None = None
        self.has_news = threading.Condition()

    def send(self, *words: str) -> None:
        with self.has_news:
            self.messages += [Incoming(body=word.encode(), position=word) for word in words]
            self.has_news.notify()

    def connect(self) -> Broker:
        self.connections += 1
        self.handed_out = 0
        return self

    def receive(self, most: int, wait_s: float) -> Sequence[Incoming]:
        with self.has_news:
            if self.fails is not None:
                raise self.fails
            self.has_news.wait_for(lambda: len(self.messages) > self.handed_out, min(wait_s, 0.02))
            found = self.messages[self.handed_out :][:most]
            self.handed_out += len(found)
            return found

    def confirm(self) -> None:
        with self.has_news:
            del self.messages[: self.handed_out]
            self.handed_out = 0

    def close(self) -> None:
        self.closed += 1


@pytest.fixture
def queue(tmp_path: Path) -> Iterator[MessageQueue]:
    records = SqliteRecords(tmp_path / "records.db")
    yield MessageQueue(records, "job", clock=time.time)
    records.close()


@pytest.fixture
def broker() -> Broker:
    return Broker()


@pytest.fixture
def told() -> list[str]:
    return []


@pytest.fixture
def start(
    queue: MessageQueue, broker: Broker, told: list[str], monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], Intake]]:
    """Return what starts an intake; it ends with the test."""
    monkeypatch.setattr(intake_module, "_LONGEST_PAUSE_S", 0.01)
    service = Service(name="job", function="m:f", triggers=Triggers(messages=ADDRESS))
    intake = Intake(service, queue, connect=broker.connect, chance=lambda: 0.0, tell=told.append)

    def begin() -> Intake:
        intake.see_to()
        return intake

    yield begin
    intake.stop()
    intake.join(10.0)
    assert broker.closed == broker.connections


def waiting(queue: MessageQueue) -> list[str]:
    return [letter.body.decode() for letter in queue.letters(dead=False, most=1_000)]


def test_messages_are_carried_over_in_order(
    queue: MessageQueue, broker: Broker, start: Callable[[], Intake], told: list[str]
) -> None:
    """Whoever handles them sees where they come from; the broker is let go of them."""
    woken = threading.Event()
    start().has_come = woken.set
    broker.send("a", "b", "c")
    assert woken.wait(60.0)
    broker.send("d")
    wait_for(lambda: waiting(queue), lambda found: found == ["a", "b", "c", "d"])
    wait_for(lambda: broker.messages, lambda left: left == [])
    assert {letter.origin for letter in queue.letters(dead=False)} == {"redis://broker/orders"}
    assert told == ["takes messages from redis://broker/orders"]


def test_what_the_store_refuses_stays_with_the_broker(
    queue: MessageQueue,
    broker: Broker,
    start: Callable[[], Intake],
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """It is told once, tried again, and nothing is lost or there twice."""
    refusals = iter([True] * 5)
    put = queue._records.write

    def write(*words: object, **more: object) -> object:
        if next(refusals, False):
            raise StoreError("the disk is full")
        return put(*words, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(queue._records, "write", write)
    broker.send("a", "b")
    start()
    wait_for(lambda: waiting(queue), lambda found: found == ["a", "b"])
    assert [line for line in told if "full" in line] == [
        "no messages come from redis://broker/orders at the moment: the disk is full"
    ]


def test_a_broker_that_goes_away_is_called_again(
    queue: MessageQueue, broker: Broker, start: Callable[[], Intake], told: list[str]
) -> None:
    """As often as it takes; that it went and came back is told, not each try."""
    broker.fails = SourceError("redis://broker/orders does not hand out messages.", why="It is away.")
    intake = start()
    wait_for(lambda: broker.connections, lambda count: count > 5)
    assert intake.state == "failing"
    broker.send("a")
    broker.fails = None
    wait_for(lambda: waiting(queue), lambda found: found == ["a"])
    assert intake.state == "receiving"
    assert len(told) == 2 and "It is away." in told[0] and told[1] == "takes messages from redis://broker/orders"


def test_only_what_there_is_room_for_is_taken(
    queue: MessageQueue, broker: Broker, start: Callable[[], Intake], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The rest stays for other members; after a while without room they get what was meant for this one, too."""
    monkeypatch.setattr(intake_module, "FULL_S", 0.05)
    broker.send(*(f"{number:04d}" for number in range(LEAST_ROOM + 50)))
    intake = start()
    wait_for(lambda: broker.closed, lambda count: count > 1)
    assert len(waiting(queue)) == LEAST_ROOM
    assert (len(broker.messages), intake.state) == (50, "full")
    for message in queue.receive(70):
        queue.acknowledge(message)
    wait_for(lambda: broker.messages, lambda left: left == [])
    assert waiting(queue) == [f"{number:04d}" for number in range(70, LEAST_ROOM + 50)]


def test_what_comes_again_is_there_once(queue: MessageQueue) -> None:
    """As long as it is here, dead too; once it was handled it comes under the same id; other content never does."""
    origin = "kafka://broker/orders"
    same = Incoming(body=b"1", position="0/7")
    queue.keep([same, Incoming(body=b"2", position="0/8")], origin=origin)
    queue.keep([same, Incoming(body=b"other", position="0/8")], origin=origin)
    assert waiting(queue) == ["1", "2", "other"]
    first, *_ = queue.receive(1)
    queue.bury(first, why="it is wrong")
    queue.keep([same], origin=origin)
    assert [letter.id for letter in queue.letters(dead=True)] == [first.id]
    assert waiting(queue) == ["2", "other"]
    queue.drop([first.id])
    queue.keep([same], origin=origin)
    assert first.id in {letter.id for letter in queue.letters(dead=False)}
    queue.keep([Incoming(body=b"x"), Incoming(body=b"x")], origin="amqp://broker/orders")
    assert waiting(queue).count("x") == 2


def test_a_thread_that_breaks_begins_again(
    queue: MessageQueue,
    broker: Broker,
    start: Callable[[], Intake],
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """A mistake in an adapter is shown, and does not silence a service for ever."""
    shown: list[type[BaseException]] = []
    monkeypatch.setattr(threading, "excepthook", lambda given: shown.append(given.exc_type))
    broker.fails = ZeroDivisionError()
    intake = start()
    wait_for(lambda: shown, len)
    broker.fails = None
    broker.send("a")
    wait_for(lambda: intake.see_to() or waiting(queue), lambda found: found == ["a"])
    assert shown == [ZeroDivisionError]
    assert "broke" in told[0]
