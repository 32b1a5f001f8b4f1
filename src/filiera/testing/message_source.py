"""The promises of the MessageSource port: inherit, provide the fixtures, and your adapter is held to them."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from contextlib import closing

import pytest

from filiera.core.message import Incoming
from filiera.errors import SourceError
from filiera.ports import MessageSource

Send = Callable[[Sequence[bytes]], None]
Connect = Callable[[], MessageSource]
LIMIT_S = 60.0
"""What does not come within so long does not come."""
_WAIT_S = 0.5


class MessageSourceContract:
    """What every source of messages promises.

    Provide three fixtures: ``connect``, which returns a new source of one empty queue, stream or topic, always for the
    same member of the same group; ``send``, which sends messages there as others do; ``broken``, which returns a source
    whose broker is not there. The times of brokers are theirs, so some of these tests wait for seconds.
    """

    def test_what_is_sent_comes_in_order_and_unchanged(self, connect: Connect, send: Send) -> None:
        """Bodies are bytes; no more come than asked for; each position is another one, or none."""
        bodies = [b'{"a": 1}', "naïve \u2028".encode(), b"\0\xff", *(str(i).encode() for i in range(60))]
        send(bodies)
        with closing(connect()) as source:
            (first,) = received(source, 1)
            found = [first, *received(source, len(bodies) - 1)]
            assert [one.body for one in found] == bodies
            positions = [one.position for one in found if one.position]
            assert len(set(positions)) == len(positions)
            assert source.receive(10, 0.0) == []
            source.confirm()

    def test_it_waits_for_what_comes(self, connect: Connect, send: Send) -> None:
        """Nothing there: it comes back with nothing, and later with what was sent meanwhile."""
        with closing(connect()) as source:
            assert list(source.receive(10, 0.1)) == []
            source.confirm()
            send([b"1"])
            assert [one.body for one in received(source, 1)] == [b"1"]
            send([b"2"])
            assert [one.body for one in received(source, 1)] == [b"2"]

    def test_what_is_not_confirmed_comes_again(self, connect: Connect, send: Send) -> None:
        """Also after what was confirmed, which does not; under the same position, if it has one."""
        send([b"1", b"2", b"3", b"4"])
        with closing(connect()) as source:
            received(source, 2)
            source.confirm()
            lost = received(source, 2)
        send([b"5"])
        with closing(connect()) as source:
            again = received(source, 3)
            assert sorted(one.body for one in again) == [b"3", b"4", b"5"]
            assert {one.position for one in lost} <= {one.position for one in again}
            source.confirm()

    def test_closing_twice_is_once(self, connect: Connect) -> None:
        """Also of one that was never connected."""
        source = connect()
        source.close()
        source.close()

    def test_who_is_not_there_is_an_error(self, broken: MessageSource) -> None:
        """It says which address and why, soon enough, and closes without a word."""
        until = time.monotonic() + LIMIT_S
        with closing(broken), pytest.raises(SourceError, match="does not hand out messages") as caught:
            while time.monotonic() < until:
                broken.receive(1, _WAIT_S)
        assert caught.value.why


def received(source: MessageSource, count: int) -> list[Incoming]:
    """Return the next *count* messages."""
    found: list[Incoming] = []
    until = time.monotonic() + LIMIT_S
    while len(found) < count:
        assert time.monotonic() < until, f"only {len(found)} of {count} messages came"
        found += source.receive(count - len(found), _WAIT_S)
    return found
