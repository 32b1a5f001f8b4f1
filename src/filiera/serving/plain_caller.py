"""Asks a service over connections that stay open, with the standard library alone: generated clients contain it."""

from __future__ import annotations

import contextlib
import http.client
import threading
import time
import urllib.parse
from collections.abc import Callable, Mapping
from typing import NamedTuple


class Reply(NamedTuple):
    """What a service answered."""

    status: int
    headers: Mapping[str, str]  # names in lower case
    body: bytes


class Caller:
    """Asks the service at one address; any number of threads may use it, each over a connection of its own."""

    def __init__(
        self,
        url: str,
        *,
        token: str | None = None,
        timeout_s: float = 30.0,
        patience_s: float = 10.0,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        """Remember where the service is; nothing is sent yet.

        Args:
            url: Such as ``http://127.0.0.1:8000``.
            token: Sent as Bearer token.
            timeout_s: How long each wait for the service may take.
            patience_s: How long, in all, to wait for a service that is busy or starting, as its Retry-After asks.
            sleep: Waits so many seconds.

        Raises:
            ValueError: That is no address of HTTP.
        """
        parts = urllib.parse.urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError(f"{url!r} is not the address of a service, such as http://127.0.0.1:8000")
        self._class = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
        self._host, self._path = parts.netloc, parts.path.rstrip("/")
        self._headers = {"Authorization": f"Bearer {token}"} if token else {}
        self._timeout_s, self._patience_s, self._sleep = timeout_s, patience_s, sleep
        self._idle: list[http.client.HTTPConnection] = []
        self._lock = threading.Lock()

    def ask(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        """Return the answer to a request. Raises OSError, HTTPException when there is none."""
        left_s = self._patience_s
        while True:
            reply = self._once(method, path, body, headers)
            asked = reply.headers.get("retry-after", "")
            wait_s = int(asked) if asked.isascii() and asked.isdecimal() and len(asked) < 6 else None
            if reply.status != 503 or wait_s is None or wait_s > left_s:
                return reply
            self._sleep(max(wait_s, 0.05))
            left_s -= max(wait_s, 0.05)

    def close(self) -> None:
        """Close the connections that nobody uses."""
        with self._lock:
            idle, self._idle = self._idle, []
        for connection in idle:
            connection.close()

    def _once(self, method: str, path: str, body: bytes, headers: Mapping[str, str]) -> Reply:
        with self._lock:
            connection = self._idle.pop() if self._idle else None
        if connection is not None:
            try:
                return self._sent(connection, method, path, body, headers)
            except (ConnectionError, http.client.RemoteDisconnected, http.client.BadStatusLine):
                pass  # closed by the service while it lay idle: a fresh one tells whether there still is a service
        return self._sent(self._class(self._host, timeout=self._timeout_s), method, path, body, headers)

    def _sent(
        self, connection: http.client.HTTPConnection, method: str, path: str, body: bytes, headers: Mapping[str, str]
    ) -> Reply:
        place = urllib.parse.quote(self._path + path, safe="/:")
        try:
            # A service that refuses a large body answers and hangs up before it has read all of it.
            with contextlib.suppress(BrokenPipeError, ConnectionResetError):
                connection.request(method, place, body, {**self._headers, **headers})
            response = connection.getresponse()
            reply = Reply(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        except BaseException:
            connection.close()
            raise
        if response.will_close:
            connection.close()
        else:
            with self._lock:
                self._idle.append(connection)
        return reply
