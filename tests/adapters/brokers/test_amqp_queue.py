"""A queue of a real RabbitMQ hands out messages as a source of messages has to."""

from __future__ import annotations

from contextlib import closing
from itertools import count

import pytest

from filiera.adapters.brokers.amqp_queue import AmqpQueue
from filiera.core.broker import BrokerAddress
from filiera.errors import ProjectError, SourceError
from filiera.testing.message_source import Connect, MessageSourceContract, Send, received
from tests.brokers import RabbitServer
from tests.servers import free_port

_numbers = count(1)


@pytest.fixture
def name(rabbit_server: RabbitServer) -> str:
    """Return the name of a new queue."""
    name = f"orders-{next(_numbers)}"
    rabbit_server.declare(name)
    return name


@pytest.fixture
def connect(rabbit_server: RabbitServer, name: str) -> Connect:
    return lambda: AmqpQueue(BrokerAddress.parse(rabbit_server.url(name)), "words.count", "here")


class TestAmqpQueue(MessageSourceContract):
    @pytest.fixture
    def connect(self, connect: Connect) -> Connect:
        return connect

    @pytest.fixture
    def send(self, rabbit_server: RabbitServer, name: str) -> Send:
        return lambda bodies: rabbit_server.send(name, bodies)

    @pytest.fixture
    def broken(self) -> AmqpQueue:
        return AmqpQueue(BrokerAddress.parse(f"amqp://127.0.0.1:{free_port()}/orders"), "g", "m")


def test_what_one_gives_up_another_gets(rabbit_server: RabbitServer, name: str, connect: Connect) -> None:
    """Consumers of a queue share it; a message is with one of them until that one confirms it or goes."""
    rabbit_server.send(name, [b"1", b"2"])
    with closing(connect()) as other:
        with closing(connect()) as one:
            assert [message.body for message in received(one, 2)] == [b"1", b"2"]
            assert list(other.receive(10, 0.05)) == []
        assert [message.body for message in received(other, 2)] == [b"1", b"2"]
        other.confirm()


def test_messages_without_an_id_have_no_position(rabbit_server: RabbitServer, name: str, connect: Connect) -> None:
    """Nothing tells whether such a message was there before."""
    with rabbit_server.connection() as connection:
        connection.channel().basic_publish("", name, b"1")
    with closing(connect()) as source:
        assert [(message.body, message.position) for message in received(source, 1)] == [(b"1", "")]
        source.confirm()


def test_a_queue_that_is_missing_or_deleted_is_an_error(
    rabbit_server: RabbitServer, name: str, connect: Connect
) -> None:
    """Whoever sends declares it; when it goes away under us, that is told too."""
    missing = AmqpQueue(BrokerAddress.parse(rabbit_server.url("nowhere")), "g", "m")
    with closing(missing), pytest.raises(SourceError, match="does not hand out") as caught:
        missing.receive(1, 0.01)
    assert "no queue 'nowhere'" in caught.value.why and "Declare the queue" in caught.value.do
    with closing(connect()) as source:
        assert list(source.receive(1, 0.01)) == []
        with rabbit_server.connection() as connection:
            connection.channel().queue_delete(name)
        with pytest.raises(SourceError, match="does not hand out") as caught:
            for _ in range(100):
                source.receive(1, 0.1)
    assert "deleted" in caught.value.why


def test_a_wrong_password_is_told_and_not_shown(rabbit_server: RabbitServer, monkeypatch: pytest.MonkeyPatch) -> None:
    """The broker says only that it refuses."""
    monkeypatch.setenv("BROKER_PASSWORD", "very-wrong")
    address = BrokerAddress.parse("amqp://guest:${BROKER_PASSWORD}@" + f"127.0.0.1:{rabbit_server.port}/a")
    with closing(AmqpQueue(address, "g", "m")) as source, pytest.raises(SourceError) as caught:
        source.receive(1, 0.01)
    assert "very-wrong" not in f"{caught.value} {caught.value.__cause__!r}"
    assert "ACCESS_REFUSED" in caught.value.why


def test_why_nobody_answers_is_told() -> None:
    """In the words of the system, which the library hides two errors deep."""
    source = AmqpQueue(BrokerAddress.parse(f"amqp://127.0.0.1:{free_port()}/orders"), "g", "m")
    with closing(source), pytest.raises(SourceError) as caught:
        source.receive(1, 0.01)
    assert "Connection refused" in caught.value.why


def test_groups_are_refused() -> None:
    """A queue has no groups: who wants all messages binds a queue of its own."""
    with pytest.raises(ProjectError, match="a group"):
        AmqpQueue(BrokerAddress.parse("amqp://localhost/a?group=b"), "g", "m")
