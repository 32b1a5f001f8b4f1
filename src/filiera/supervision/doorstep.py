"""Callers of a service that cannot be had: each is told so at once, and let go without being cut off."""

from __future__ import annotations

import socket
from contextlib import suppress

_LINGER_S = 1.0
_MOST = 256
_BODY = b'{"type": "urn:filiera:problem:not-ready", "title": "The service is not ready", "status": 503}'
_ANSWER = b"\r\n".join(
    (
        b"HTTP/1.1 503 Service Unavailable",
        b"Content-Type: application/problem+json",
        b"Content-Length: %d" % len(_BODY),
        b"Retry-After: 10",
        b"Connection: close",
        b"",
        _BODY,
    )
)


class Doorstep:
    """Answers 503 to whoever calls.

    A connection that is closed with something unread on it is reset, and the caller may never see the answer: what
    still comes is read for a second.
    """

    def __init__(self) -> None:
        self._leaving: list[tuple[socket.socket, float]] = []

    def turn_away(self, listener: socket.socket, now: float) -> None:
        """Answer one caller of *listener*, if there is one."""
        with suppress(OSError):
            caller, _ = listener.accept()
            caller.setblocking(False)
            self._leaving.append((caller, now + _LINGER_S))
            caller.send(_ANSWER)
            caller.shutdown(socket.SHUT_WR)
        if len(self._leaving) > _MOST:
            self._leaving.pop(0)[0].close()

    def sweep(self, now: float) -> None:
        """Let those go who have hung up, or had their second."""
        staying = []
        for caller, until in self._leaving:
            if now >= until or _has_hung_up(caller):
                caller.close()
            else:
                staying.append((caller, until))
        self._leaving = staying

    def close(self) -> None:
        """Let all go."""
        self.sweep(float("inf"))


def _has_hung_up(caller: socket.socket) -> bool:
    try:
        while caller.recv(65_536):
            pass
        return True
    except BlockingIOError:
        return False
    except OSError:
        return True
