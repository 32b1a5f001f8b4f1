"""The promises of the MessageSource port: inherit, provide the fixtures, and your adapter is held to them."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from filiera.core.message import Message
from filiera.ports import MessageSource

Put = Callable[[Sequence[bytes]], None]
Pass = Callable[[float], None]
LONG_S = 3600.0
"""Longer than any lease that is held to this contract."""


class MessageSourceContract:
    """What every source of messages promises.

    Provide three fixtures: ``source``, an empty one; ``put``, which puts messages into it; ``pass_time``, which lets so
    many seconds pass for it.
    """

    def test_what_is_put_is_received_in_order_and_unchanged(self, source: MessageSource, put: Put) -> None:
        """Bodies are bytes, come in the order of putting, and are each in the first attempt."""
        bodies = [b'{"a": 1}', b"", "naïve \u2028".encode(), b"\0\xff", *(str(i).encode() for i in range(20))]
        put(bodies)
        found = source.receive(100)
        assert [message.body for message in found] == bodies
        assert {message.attempt for message in found} == {1}
        assert len({message.id for message in found}) == len(bodies)

    def test_no_more_than_asked_for(self, source: MessageSource, put: Put) -> None:
        """A part is handed out, the rest goes on waiting."""
        put([b"1", b"2", b"3"])
        assert [message.body for message in source.receive(2)] == [b"1", b"2"]
        assert [message.body for message in source.receive(2)] == [b"3"]
        assert list(source.receive(2)) == []

    def test_an_acknowledged_message_is_gone(self, source: MessageSource, put: Put, pass_time: Pass) -> None:
        """What was handled never comes again, and cannot be settled twice."""
        put([b"1"])
        (message,) = source.receive(1)
        assert source.acknowledge(message)
        pass_time(LONG_S)
        assert list(source.receive(1)) == []
        assert not source.acknowledge(message)
        assert not source.is_due()

    def test_what_is_never_settled_comes_again(self, source: MessageSource, put: Put, pass_time: Pass) -> None:
        """Whoever received it may have died: when the lease ends, another one gets it, and only that one may settle."""
        assert not source.is_due()
        put([b"1"])
        assert source.is_due()
        (first,) = source.receive(1)
        assert list(source.receive(1)) == []
        assert not source.is_due()
        pass_time(LONG_S)
        assert source.is_due()
        (second,) = source.receive(1)
        assert (second.id, second.body, second.attempt) == (first.id, b"1", 2)
        assert not source.acknowledge(first)
        assert not source.retry(first, after_s=0.0, why="late")
        assert not source.bury(first, why="late")
        assert not source.extend(first)
        assert source.acknowledge(second)

    def test_a_lease_that_is_extended_does_not_end(self, source: MessageSource, put: Put, pass_time: Pass) -> None:
        """Work that takes long keeps its message."""
        put([b"1"])
        (message,) = source.receive(1)
        for _ in range(10):
            pass_time(5.0)
            assert source.extend(message)
            assert list(source.receive(1)) == []
        assert source.acknowledge(message)

    def test_a_retried_message_comes_after_its_delay(self, source: MessageSource, put: Put, pass_time: Pass) -> None:
        """Not sooner, with the next attempt counted; others are not held up by it."""
        put([b"1"])
        (message,) = source.receive(1)
        assert source.retry(message, after_s=100.0, why="it failed")
        put([b"2"])
        assert [other.body for other in source.receive(10)] == [b"2"]
        pass_time(99.0)
        assert b"1" not in [other.body for other in source.receive(10)]
        pass_time(2.0)
        assert (b"1", 2) in [(other.body, other.attempt) for other in source.receive(10)]

    def test_an_attempt_that_was_none_does_not_count(self, source: MessageSource, put: Put, pass_time: Pass) -> None:
        """A message that could not even be tried has not failed."""
        put([b"1"])
        for _ in range(5):
            (message,) = source.receive(1)
            assert message.attempt == 1
            assert source.retry(message, after_s=1.0, why="nobody there", is_tried=False)
            pass_time(1.5)

    def test_a_buried_message_is_not_handed_out(self, source: MessageSource, put: Put, pass_time: Pass) -> None:
        """It is kept among the dead letters, and counted there."""
        put([b"1"])
        (message,) = source.receive(1)
        assert source.bury(message, why="it is wrong")
        pass_time(LONG_S)
        assert list(source.receive(1)) == []
        assert source.standing().dead == 1

    def test_it_says_how_it_stands(self, source: MessageSource, put: Put) -> None:
        """Messages that wait and those that are handled are counted; an empty source has nothing due."""
        assert (source.standing().waiting, source.standing().due_at) == (0, None)
        put([b"1", b"2", b"3"])
        taken: Sequence[Message] = source.receive(1)
        standing = source.standing()
        assert (standing.waiting, standing.handled, standing.dead) == (2, 1, 0)
        assert standing.due_at is not None
        for message in (*taken, *source.receive(10)):
            source.acknowledge(message)
        assert (source.standing().waiting, source.standing().handled) == (0, 0)

    @pytest.mark.parametrize("most", [1, 7])
    def test_two_never_hold_the_same_message(self, source: MessageSource, put: Put, most: int) -> None:
        """Each message is handed out once, however it is asked for."""
        put([str(number).encode() for number in range(30)])
        found: list[str] = []
        while some := source.receive(most):
            found += [message.id for message in some]
        assert len(found) == len(set(found)) == 30
