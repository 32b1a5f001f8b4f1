"""A worker's side of the control connection: it says how busy it is, ends when told to, and outlives a supervisor."""

from __future__ import annotations

import asyncio
import os
import time
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from filiera.supervision.control import Channel, Gone, connect

ORPHAN_S = 60.0
"""A worker that has had no supervisor for so long ends."""
_REPORT_S = 0.1
_HEARTBEAT_S = 2.0


class Busy(Protocol):
    """What tells how busy a service is, and ends it."""

    @property
    def in_flight(self) -> int:
        """Return how many requests are under way."""

    @property
    def requests(self) -> int:
        """Return how many were taken."""

    def stop(self) -> None:
        """Begin to end; what is under way is finished."""


class Tie:
    """The connection of one worker to its supervisor, made anew when there is a new one."""

    def __init__(self, folder: Path, listener: int, *, service: str, address: str) -> None:
        """Say that this process is there.

        Args:
            folder: Where the supervisor listens.
            listener: The socket that it takes requests from, which a new supervisor gets from it.
            service: For which service it works.
            address: What tells whether the service still listens where this worker does.
        """
        self._folder, self._listener = folder, listener
        self._hello = {"hello": service, "pid": os.getpid(), "address": address}
        self._channel: Channel | None = None
        self._reported = (0, 0)  # requests under way and taken, as last said
        self._reported_at = 0.0
        self._connect()

    async def hold(self, running: Busy, paths: Mapping[str, str]) -> None:
        """Say that this worker is ready, then report how busy it is, until cancelled.

        Args:
            running: Tells how busy it is.
            paths: Where it takes messages, by the method that they are for; "" for those that are for the usual one.
        """
        ready = {"ready": True, "paths": dict(paths)}
        self._send(ready)
        alone_since = time.monotonic()
        try:
            while True:
                now = time.monotonic()
                if self._channel is None:
                    self._connect(ready)
                if self._channel is not None:
                    alone_since = now
                if self._is_to_end() or now - alone_since >= ORPHAN_S:
                    running.stop()
                self._report(running, now)
                await asyncio.sleep(_REPORT_S)
        finally:
            self._report(running, time.monotonic())

    def _report(self, running: Busy, now: float) -> None:
        standing = running.in_flight, running.requests
        if standing != self._reported or now - self._reported_at >= _HEARTBEAT_S:
            self._send({"in_flight": running.in_flight, "requests": running.requests})
            self._reported, self._reported_at = standing, now

    def _connect(self, ready: Mapping[str, Any] | None = None) -> None:
        with suppress(OSError):
            self._channel, self._reported_at = connect(self._folder), 0.0
            self._send({**self._hello, **(ready or {})}, [self._listener])

    def _send(self, message: dict[str, Any], descriptors: list[int] | None = None) -> None:
        if self._channel is not None:
            try:
                self._channel.send(message, descriptors or [])
            except Gone:
                self._lose()

    def _is_to_end(self) -> bool:
        if self._channel is None:
            return False
        try:
            return any("drain" in message for message in self._channel.receive())
        except Gone:
            self._lose()
            return False

    def _lose(self) -> None:
        if self._channel is not None:
            self._channel.close()
            self._channel = None
