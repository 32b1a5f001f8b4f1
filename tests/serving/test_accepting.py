"""How many callers come in at once."""

from __future__ import annotations

import asyncio
import errno
import os
import socket
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest

from filiera.serving.accepting import Door
from filiera.serving.connection import Callers
from tests.serving.test_connection import GET, echo, run


class Listener(socket.socket):
    """A socket that may fail."""

    failures = 0

    def accept(self) -> tuple[socket.socket, object]:
        """Fail as often as it is told, and then take a connection."""
        if self.failures:
            self.failures -= 1
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        return super().accept()


@asynccontextmanager
async def entered(callers: Callers, *, most: int) -> AsyncIterator[Listener]:
    """Open a door, and close it in the end; gives the socket that it is in."""
    listener = Listener()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    listener.setblocking(False)
    door = Door(listener, callers, most=most)
    door.open()
    yield listener
    door.close()
    assert listener.fileno() == -1


async def called(listener: socket.socket) -> socket.socket:
    """Return a connection over which a request was sent."""
    near = socket.create_connection(listener.getsockname())
    near.setblocking(False)
    await asyncio.get_running_loop().sock_sendall(near, GET)
    return near


async def answered(near: socket.socket) -> bool:
    """Tell whether the request is answered."""
    return (await asyncio.get_running_loop().sock_recv(near, 65_536)).startswith(b"HTTP/1.1 200")


def test_those_who_are_silent_make_room() -> None:
    """A third caller is let in in place of one that has its answer and says nothing; it hangs up on nobody who asks."""

    async def scene() -> None:
        is_over = asyncio.Event()

        async def waits(scope: object, receive: object, send: object) -> None:
            await is_over.wait()
            await echo(scope, receive, send)  # type: ignore[arg-type]

        callers = Callers(echo)
        async with entered(callers, most=2) as listener:
            silent = await called(listener)
            assert await answered(silent)
            callers.app = waits
            asking = await called(listener)
            third = await called(listener)
            assert await asyncio.get_running_loop().sock_recv(silent, 1) == b""
            fourth = await called(listener)  # nobody is silent: it waits
            is_over.set()
            assert await answered(asking)
            assert await answered(third)
            assert await answered(fourth)
        assert len(callers.open) <= 2
        for each in (silent, asking, third, fourth):
            each.close()

    run(scene())


def test_too_many_open_files_are_waited_out(caplog: pytest.LogCaptureFixture) -> None:
    """The socket is left alone for a while, which is said once, and the caller is answered in the end."""

    async def scene() -> None:
        callers = Callers(echo)
        async with entered(callers, most=9) as listener:
            listener.failures = 3
            near = await called(listener)
            assert await answered(near)
            assert listener.failures == 0
            near.close()

    run(scene())
    assert [record.message for record in caplog.records if record.name == "filiera.serving"] == [
        f"no more connections can be taken for now: {os.strerror(errno.EMFILE)}"
    ]
