"""Takes connections from a socket: as many as the process can hold, and none that it cannot."""

from __future__ import annotations

import asyncio
import logging
import resource
import socket
from heapq import nsmallest

from filiera.serving.connection import Callers, Connection

_log = logging.getLogger("filiera.serving")
_AT_ONCE = 64
"""So many are taken before other work goes on, and so many are let go of to make room."""
_KEPT_FREE = 128
"""File descriptors that connections leave to everything else: the log, models that are loaded, other sockets."""
_PAUSE_S = 0.1
_TOLD_EVERY_S = 60.0


class Door:
    """Where callers come in.

    While the service holds as many as it can, others wait in the socket, from which other processes may take them;
    connections that nothing comes over make room. The loop's own server would take them, fail for want of
    descriptors, and say so a thousand times a second.
    """

    def __init__(self, listener: socket.socket, callers: Callers, *, most: int | None = None) -> None:
        """Prepare to take connections.

        Args:
            listener: Listens, and does not block; closed by ``close``.
            callers: Get them.
            most: How many are held at once; as many as there may be file descriptors but a few, if that is not said.
        """
        self._listener = listener
        self._callers = callers
        self._most = most or _most()
        self._loop = asyncio.get_running_loop()
        self._coming = 0  #: taken, and not yet among the callers
        self._pause: asyncio.TimerHandle | None = None
        self._told_s = -_TOLD_EVERY_S

    def open(self) -> None:
        """Begin to take connections, or go on."""
        self._pause = None
        self._loop.add_reader(self._listener, self._take)

    def close(self) -> None:
        """Take no more."""
        if self._pause is not None:
            self._pause.cancel()
        self._loop.remove_reader(self._listener)
        self._listener.close()

    def _take(self) -> None:
        for _ in range(_AT_ONCE):
            if len(self._callers.open) + self._coming >= self._most:
                self._make_room()
                self._wait(f"it has {self._most}")
                return
            try:
                taken, _ = self._listener.accept()
            except (BlockingIOError, InterruptedError, ConnectionAbortedError):
                return
            except OSError as error:
                self._make_room()
                self._wait(error.strerror)
                return
            self._coming += 1
            self._loop.create_task(self._welcome(taken))

    async def _welcome(self, taken: socket.socket) -> None:
        try:
            taken.setblocking(False)
            await self._loop.connect_accepted_socket(lambda: Connection(self._callers), taken)
        except OSError:  # gone already
            taken.close()
        finally:
            self._coming -= 1

    def _make_room(self) -> None:
        silent = [each for each in self._callers.open if each.exchange is None and not each.is_expected]
        for each in nsmallest(_AT_ONCE, silent, key=lambda each: each.since_s):
            each.transport.abort()

    def _wait(self, why: str | None) -> None:
        self._loop.remove_reader(self._listener)
        self._pause = self._loop.call_later(_PAUSE_S, self.open)
        if self._loop.time() - self._told_s >= _TOLD_EVERY_S:
            self._told_s = self._loop.time()
            _log.warning("no more connections can be taken for now: %s", why)


def _most() -> int:
    """Return how many connections the limit of open files leaves room for."""
    limit = resource.getrlimit(resource.RLIMIT_NOFILE)[0]
    return 1_000_000 if limit == resource.RLIM_INFINITY else max(limit - _KEPT_FREE, limit // 2)
