"""Messages of a stream of Redis, for a group of consumers."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from filiera.adapters.brokers.access import TIMEOUT_S, access
from filiera.core.broker import BrokerAddress
from filiera.core.message import Incoming
from filiera.errors import ProjectError

BODY = b"body"
"""The field that has the message; of an entry without it, the message is an object of all fields."""
_LOST_S = 60.0
"""What another member got so long ago and has not confirmed is taken over: that one is gone."""
_LOOK_S = 15.0
_EXISTS = "BUSYGROUP"


class RedisStream:
    """A MessageSource. The group is made with the first connection, and gets what is in the stream already."""

    def __init__(self, address: BrokerAddress, group: str, member: str) -> None:
        """Connect to nothing yet.

        Args:
            address: ``redis://[user:password@]host[:port]/[database/]stream``; ``rediss`` encrypts.
            group: Among whose members each entry goes to one.
            member: Names this one, the same after a restart, so that it gets what it has not confirmed.

        Raises:
            ProjectError: The address cannot be used, or the library is missing.
        """
        try:
            import redis
            import redis.backoff
            import redis.retry
        except ImportError as error:
            raise ProjectError(
                "Messages of Redis need the package redis.", do="pip install 'filiera[redis]'"
            ) from error
        self._redis, self._group, self._member = redis, group, member
        self._access = access(address, port=6379, tls_port=6379, options=("space",))
        if len(self._access.hosts) > 1 or not (address.space or "0").isdecimal():
            raise ProjectError(f"{address.shown} must have one host, and a number as database, if any.")
        self._stream = address.name
        self._client: Any = None
        self._after = "0"  # what this member got and did not confirm comes first; ">": then new entries
        self._received: list[bytes] = []
        self._look_at = 0.0

    def receive(self, most: int, wait_s: float) -> Sequence[Incoming]:
        """Return up to *most* messages in their order: those that are there, else the first to come within *wait_s*."""
        try:
            self._client = self._client or self._connected()
            return self._messages(self._own(most) or self._left_by_others(most) or self._new(most, wait_s))
        except (self._redis.RedisError, OSError) as error:
            raise self._access.error(error) from error

    def confirm(self) -> None:
        """Say that all that was received is kept elsewhere: it is not handed out again."""
        try:
            if self._received:
                self._client.xack(self._stream, self._group, *self._received)
            self._received = []
        except (self._redis.RedisError, OSError) as error:
            raise self._access.error(error) from error

    def close(self) -> None:
        """Disconnect; what is not confirmed is for others, after a minute."""
        if self._client is not None:
            with suppress(self._redis.RedisError, OSError):
                self._client.close()

    def _connected(self) -> Any:
        (host, port), found = self._access.hosts[0], self._access
        tls: dict[str, Any] = {"ssl": True, "ssl_ca_certs": found.address.ca or None} if found.is_encrypted else {}
        client = self._redis.Redis(
            host=host,
            port=port,
            db=int(found.address.space or 0),
            username=found.user or None,
            password=found.password or None,
            socket_timeout=TIMEOUT_S,
            socket_connect_timeout=TIMEOUT_S,
            protocol=2,
            # An answer that was lost may have had messages: they come again on a new connection only.
            retry=self._redis.retry.Retry(self._redis.backoff.NoBackoff(), 0),
            **tls,
        )
        try:
            client.xgroup_create(self._stream, self._group, id="0", mkstream=True)
        except self._redis.ResponseError as error:
            if not str(error).startswith(_EXISTS):
                raise
        return client

    def _own(self, most: int) -> list[tuple[bytes, Mapping[bytes, bytes] | None]]:
        """Return what this member got before it was started again, and has not confirmed."""
        if self._after == ">":
            return []
        found = self._read(most, self._after, None)
        self._after = found[-1][0].decode() if found else ">"
        return found

    def _left_by_others(self, most: int) -> list[tuple[bytes, Mapping[bytes, bytes] | None]]:
        now = time.monotonic()
        if now < self._look_at:
            return []
        answer = self._client.xautoclaim(
            self._stream, self._group, self._member, min_idle_time=int(_LOST_S * 1000), count=most
        )
        found: list[tuple[bytes, Mapping[bytes, bytes] | None]] = answer[1]
        if not found:
            self._look_at = now + _LOOK_S
        return found

    def _new(self, most: int, wait_s: float) -> list[tuple[bytes, Mapping[bytes, bytes] | None]]:
        return self._read(most, ">", max(int(wait_s * 1000), 1))

    def _read(self, most: int, after: str, block_ms: int | None) -> list[tuple[bytes, Mapping[bytes, bytes] | None]]:
        answer = self._client.xreadgroup(self._group, self._member, {self._stream: after}, count=most, block=block_ms)
        found: list[tuple[bytes, Mapping[bytes, bytes] | None]] = answer[0][1] if answer else []
        return found

    def _messages(self, entries: Sequence[tuple[bytes, Mapping[bytes, bytes] | None]]) -> list[Incoming]:
        self._received += [name for name, _ in entries]
        # Entries that were deleted after they had been handed out are names only: nothing is left to handle.
        return [Incoming(body=_body(fields), position=name.decode()) for name, fields in entries if fields]


def _body(fields: Mapping[bytes, bytes]) -> bytes:
    """Return the message of an entry.

    >>> _body({b"body": b'{"n": 1}'}), _body({b"path": b"in/a.csv"})
    (b'{"n": 1}', b'{"path": "in/a.csv"}')
    """
    if BODY in fields:
        return fields[BODY]
    return json.dumps(
        {name.decode(errors="replace"): value.decode(errors="replace") for name, value in fields.items()}
    ).encode()
