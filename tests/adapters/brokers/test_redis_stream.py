"""A stream of a real Redis hands out messages as a source of messages has to."""

from __future__ import annotations

from contextlib import closing
from itertools import count

import pytest

from filiera.adapters.brokers.redis_stream import RedisStream
from filiera.core.broker import BrokerAddress
from filiera.errors import ProjectError, SourceError
from filiera.testing.message_source import Connect, MessageSourceContract, Send, received
from tests.brokers import PASSWORD, RedisServer
from tests.servers import free_port

_numbers = count(1)


@pytest.fixture
def name(redis_server: RedisServer, monkeypatch: pytest.MonkeyPatch) -> str:
    """Return the name of a stream that nobody has used."""
    monkeypatch.setenv("BROKER_PASSWORD", PASSWORD)
    return f"orders-{next(_numbers)}"


@pytest.fixture
def connect(redis_server: RedisServer, name: str) -> Connect:
    return lambda: RedisStream(BrokerAddress.parse(redis_server.url(name)), "words.count", "here")


class TestRedisStream(MessageSourceContract):
    @pytest.fixture
    def connect(self, connect: Connect) -> Connect:
        return connect

    @pytest.fixture
    def send(self, redis_server: RedisServer, name: str) -> Send:
        return lambda bodies: redis_server.send(name, bodies)

    @pytest.fixture
    def broken(self) -> RedisStream:
        return RedisStream(BrokerAddress.parse(f"redis://127.0.0.1:{free_port()}/orders"), "g", "m")


def test_members_share_and_take_over(redis_server: RedisServer, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each entry goes to one of them; what one has left behind goes to another when that one is long gone."""
    address = BrokerAddress.parse(redis_server.url(name))
    with closing(RedisStream(address, "g", "a")) as one, closing(RedisStream(address, "g", "b")) as other:
        redis_server.send(name, [b"1", b"2", b"3"])
        assert [message.body for message in received(one, 2)] == [b"1", b"2"]
        assert [message.body for message in received(other, 1)] == [b"3"]
        other.confirm()
        assert list(other.receive(10, 0.05)) == []
    monkeypatch.setattr("filiera.adapters.brokers.redis_stream._LOST_S", 0.0)
    with closing(RedisStream(address, "g", "c")) as third:
        assert [message.body for message in received(third, 2)] == [b"1", b"2"]
        third.confirm()


def test_groups_know_nothing_of_each_other(redis_server: RedisServer, name: str) -> None:
    """Two services that read one stream each get all of it, also what was there before them."""
    address = BrokerAddress.parse(redis_server.url(name))
    redis_server.send(name, [b"1", b"2"])
    for group in ("a", "b"):
        with closing(RedisStream(address, group, "here")) as source:
            assert [message.body for message in received(source, 2)] == [b"1", b"2"]
            source.confirm()


def test_entries_without_a_body_are_objects(redis_server: RedisServer, name: str, connect: Connect) -> None:
    """So that ``XADD orders * path in/a.csv`` is a call; one that was deleted meanwhile is nothing."""
    with redis_server.client() as client, closing(connect()) as source:
        client.xadd(name, {"path": "in/a.csv", "who": "Ann"})
        gone = client.xadd(name, {"body": b"gone"})
        assert len(received(source, 2)) == 2
        client.xdel(name, gone)
    with closing(connect()) as source:
        assert [message.body for message in received(source, 1)] == [b'{"path": "in/a.csv", "who": "Ann"}']
        source.confirm()
        assert list(source.receive(10, 0.05)) == []
        source.confirm()
    with redis_server.client() as client:
        assert client.xpending(name, "words.count")["pending"] == 0


def test_a_stream_that_was_deleted_is_made_again(redis_server: RedisServer, name: str, connect: Connect) -> None:
    """It is an error once; who connects again finds it empty and goes on."""
    with closing(connect()) as source:
        assert list(source.receive(1, 0.01)) == []
        with redis_server.client() as client:
            client.delete(name)
        with pytest.raises(SourceError, match="does not hand out"):
            source.receive(1, 0.01)
    with closing(connect()) as source:
        redis_server.send(name, [b"1"])
        assert [message.body for message in received(source, 1)] == [b"1"]


def test_a_wrong_password_is_told_and_not_shown(
    redis_server: RedisServer, name: str, connect: Connect, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Neither the message nor what is inside it has the secret."""
    monkeypatch.setenv("BROKER_PASSWORD", "very-wrong")
    with closing(connect()) as source, pytest.raises(SourceError) as caught:
        source.receive(1, 0.01)
    assert "very-wrong" not in f"{caught.value} {caught.value.__cause__!r}"
    assert "password" in caught.value.why


def test_what_cannot_be_an_address_is_refused_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """A variable that is not set, two hosts, a database that is no number, options of others."""
    monkeypatch.delenv("BROKER_PASSWORD", raising=False)
    for text, word in (
        ("redis://:${BROKER_PASSWORD}@localhost/a", "BROKER_PASSWORD is not set"),
        ("redis://one,two/a", "one host"),
        ("redis://one/x/a", "a number as database"),
        ("redis://one:0/a", "a port that is none"),
        ("redis://one/a?mechanism=PLAIN", "'mechanism'"),
        ("redis://one/a?ca=my.pem", "not encrypted"),
        ("rediss://one/a?ca=nowhere.pem", "are not there: nowhere.pem"),
    ):
        with pytest.raises(ProjectError, match=word):
            RedisStream(BrokerAddress.parse(text), "g", "m")
