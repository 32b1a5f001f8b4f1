"""End a service without cutting anybody off: let go of its socket first, then of its callers, then of its threads."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Awaitable, Callable
from contextlib import suppress
from typing import Protocol

from filiera.serving.http import Message, Receive, Scope, Send

_SHORT_S = 0.02
_LOOK_S = 0.15
_MOST_LOOKS = 20
"""A service that ends goes when no request has come between two looks; after so many looks it goes all the same."""


class Served(Protocol):
    """An ASGI application that has to be started."""

    in_flight: int  #: requests under way
    requests: int  #: predictions and calls asked for so far

    def start(self) -> None:
        """Load and warm up."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""


class Running:
    """A service that answers: how busy it is, and what ends it. What the server calls in place of the app."""

    def __init__(self, app: Served, on_up: Callable[[], None]) -> None:
        self.is_leaving = asyncio.Event()
        self._app, self._on_up = app, on_up

    @property
    def in_flight(self) -> int:
        """Return how many requests are under way."""
        return self._app.in_flight

    @property
    def requests(self) -> int:
        """Return how many predictions and calls were asked for so far."""
        return self._app.requests

    def stop(self) -> None:
        """Begin to end: requests under way are answered, and connections closed behind them."""
        self.is_leaving.set()

    def __call__(self, scope: Scope, receive: Receive, send: Send) -> Awaitable[None]:
        if scope["type"] == "lifespan":
            return self._app(scope, receive, self._noting(send))
        return self._app(scope, receive, _closing(send) if self.is_leaving.is_set() else send)

    def _noting(self, send: Send) -> Send:
        async def send_and_note(message: Message) -> None:
            await send(message)
            self._on_up()

        return send_and_note


def _closing(send: Send) -> Send:
    """Return what sends an answer that closes its connection, so that the caller's next one goes elsewhere."""

    async def send_closing(message: Message) -> None:
        if message["type"] == "http.response.start":
            message = {**message, "headers": [*message["headers"], (b"connection", b"close")]}
        await send(message)

    return send_closing


async def leave(running: Running, stop: Callable[[], None], inode: int) -> None:
    """When *running* is told to end, take no more connections, see to those there are, and *stop* the server.

    Left to itself the server closes connections that it took a moment ago, whose requests it has not read yet.

    Args:
        running: The service.
        stop: Stops the server.
        inode: Of the socket that it takes connections from.
    """
    await running.is_leaving.wait()
    _let_go(inode)
    requests, looks = -1, 0
    while running.requests != requests and looks < _MOST_LOOKS:
        requests, looks = running.requests, looks + 1
        await asyncio.sleep(_LOOK_S)
    stop()


def _let_go(inode: int) -> None:
    """Put a socket that nobody knows in place of the listener: the server waits on, and others get the callers."""
    with socket.create_server(("127.0.0.1", 0)) as nowhere:
        nowhere.setblocking(False)
        for name in os.listdir("/dev/fd"):  # noqa: PTH208  numbers, not paths
            with suppress(OSError):  # the one that listed the folder
                if os.fstat(int(name)).st_ino == inode:
                    os.dup2(nowhere.fileno(), int(name), inheritable=False)


def native_threads() -> set[int]:
    """Return the threads that libraries have started, where the system lists them."""
    ours = {thread.native_id for thread in threading.enumerate()}
    with suppress(OSError):
        return {int(name) for name in os.listdir("/proc/self/task")} - ours  # noqa: PTH208  numbers, not paths
    return set()


async def threads_have_ended(former: set[int]) -> None:
    """Come back when the server's threads are gone, or soon: one that wants Python while that ends would abort it."""
    for _ in range(_MOST_LOOKS):
        if not native_threads() - former:
            return
        await asyncio.sleep(_SHORT_S)
