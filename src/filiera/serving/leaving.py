"""End a service without cutting anybody off: let go of its socket first, then of its callers."""

from __future__ import annotations

import asyncio
from typing import Protocol

from filiera.serving.accepting import Door
from filiera.serving.connection import Callers
from filiera.serving.http import Receive, Scope, Send

_LOOK_S = 0.15
_MOST_LOOKS = 20
"""A service that ends goes when no request has come between two looks, and no connection is left that was made for one
that has not come yet; after so many looks it goes all the same."""
_FLUSH_S = 1.0
"""So long may callers take to hang up in the end."""


class Served(Protocol):
    """An ASGI application that has to be started and stopped."""

    in_flight: int  #: requests under way
    requests: int  #: predictions and calls asked for so far

    def start(self) -> None:
        """Load and warm up."""

    async def stop(self) -> None:
        """Wait for requests under way, and let go of all it holds."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer."""


class Running:
    """A service that answers: how busy it is, and what ends it."""

    def __init__(self, app: Served) -> None:
        self.is_leaving = asyncio.Event()
        self._app = app

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


async def leave(running: Running, app: Served, door: Door, callers: Callers) -> None:
    """When *running* is told to end, take no more connections, see to those there are, and stop *app*."""
    await running.is_leaving.wait()
    callers.is_leaving = True
    door.close()
    requests, looks = -1, 0
    while looks < _MOST_LOOKS and (running.requests != requests or any(each.is_expected for each in callers.open)):
        requests, looks = running.requests, looks + 1
        await asyncio.sleep(_LOOK_S)
    for each in list(callers.open):
        if each.exchange is None:
            each.close()
    await app.stop()
    until_s = asyncio.get_running_loop().time() + _FLUSH_S
    while callers.open and asyncio.get_running_loop().time() < until_s:
        await asyncio.sleep(_LOOK_S / 10)
