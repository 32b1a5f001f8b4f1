"""The little of HTTP that the service needs, over ASGI: a request, a response, a bounded body."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncGenerator, Awaitable, Callable, Mapping, MutableMapping, Sequence
from contextlib import aclosing
from dataclasses import field, replace
from typing import Any

import msgspec

from filiera.core.value import dataclass
from filiera.serving.patience import Patience
from filiera.serving.problem import MEDIA_TYPE, Problem, RequestRefused
from filiera.serving.trail import UNWATCHED, Trail

KEY_HEADER = "filiera-key"
"""Requests that have the same one are answered by one version while another is being tried."""
Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Headers = Sequence[tuple[bytes, bytes]]
TIMEOUT_HEADER = "request-timeout-ms"
_LONGEST_TIMEOUT = 9  # digits
_BODIES_AT_ONCE = 32
_CLOSE = {"Connection": "close"}


class Intake:
    """What a service takes of bodies: how much of each, how much of all that are on their way, and for how long.

    Else as many callers as there are connections could each send all but the last byte of the largest body.
    """

    def __init__(self, *, max_body_bytes: int, body_s: float) -> None:
        """Let a body have *max_body_bytes* and take *body_s*; as much as 32 of them may be on their way."""
        self.max_body_bytes = max_body_bytes
        self.patience = Patience(body_s)
        self._left = _BODIES_AT_ONCE * max_body_bytes

    async def whole(self, receive: Receive) -> bytes:
        """Return a body. Raises RequestRefused when it is too large, not whole, or there is too much of others."""
        parts, size = [], 0
        try:
            while True:
                message = await receive()
                if message["type"] == "http.disconnect":
                    # A caller may have ended only its own half of the connection, and still listen.
                    raise RequestRefused(Problem(kind="cut-short", detail="Send it whole.", headers=_CLOSE))
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                self._left -= len(parts[-1])
                if size > self.max_body_bytes:
                    raise _too_large(self.max_body_bytes)
                if not message.get("more_body", False):
                    return b"".join(parts)
                if self._left < 0:
                    detail = "Much is sent by others. Try again in 1 s."
                    raise RequestRefused(Problem(kind="busy", detail=detail, headers={"Retry-After": "1", **_CLOSE}))
        finally:
            self._left += size


@dataclass(frozen=True, kw_only=True, slots=True)
class Request:
    """One HTTP request whose body has not been read."""

    method: str
    path: str  #: decoded, without the query and the root
    headers: Mapping[str, str]  #: names in lower case; of repeated ones the first
    receive: Receive
    intake: Intake  #: what is taken of bodies
    trail: Trail = UNWATCHED  #: takes note of how it is answered
    root: str = ""  #: the path that the service is mounted at

    @classmethod
    def from_scope(cls, scope: Scope, receive: Receive, *, intake: Intake, trail: Trail = UNWATCHED) -> Request:
        """Return the request that an ASGI *scope* describes."""
        headers: dict[str, str] = {}
        for name, value in scope["headers"]:
            headers.setdefault(name.decode("latin-1").lower(), value.decode("latin-1"))
        root, path = scope.get("root_path", ""), scope["path"]
        return cls(
            method=scope["method"],
            path=_below(path, root) if root else path,
            headers=headers,
            receive=receive,
            intake=intake,
            trail=trail,
            root=root,
        )

    @property
    def key(self) -> str:
        """Return who asks, or about whom, where the caller said so."""
        return self.headers.get(KEY_HEADER, "")

    @property
    def media_type(self) -> str:
        """Return the type of the body, in lower case, without parameters."""
        return self.headers.get("content-type", "").partition(";")[0].strip().lower()

    @property
    def timeout_s(self) -> float:
        """Return how long the caller waits for an answer, as its header says, or infinity.

        Raises:
            RequestRefused: The header says no whole number of milliseconds.
        """
        given = self.headers.get(TIMEOUT_HEADER)
        if given is None:
            return math.inf
        if not (given.isascii() and given.isdecimal() and len(given) <= _LONGEST_TIMEOUT):
            raise RequestRefused(Problem(kind="timeout", detail=f"The header {TIMEOUT_HEADER} takes milliseconds."))
        return int(given) / 1000

    async def body(self, *media_types: str) -> bytes:
        """Return the whole body.

        The type is also what keeps a web page from posting to a service on its visitor's loopback: browsers ask before
        they send what no form can to a foreign address, and we never say yes. So ``""``, a body without a type, is
        never for requests that have an Origin.

        Raises:
            RequestRefused: It is not of one of *media_types*, too large, told as soon as it is known, too slow, not
                whole, or one of too many on their way.
        """
        if self.media_type not in media_types or (not self.media_type and "origin" in self.headers):
            detail = f"Send the header Content-Type: {' or '.join(filter(None, media_types))}."
            raise RequestRefused(Problem(kind="media-type", detail=detail))
        if self.headers.get("content-encoding", "identity").lower() != "identity":
            # Decoding would let a small body grow without bound before anything looks at it.
            raise RequestRefused(Problem(kind="encoded-body", detail="Send the body as it is, not compressed."))
        announced = self.headers.get("content-length", "")
        intake = self.intake
        if announced.isdecimal() and int(announced) > intake.max_body_bytes:
            raise _too_large(intake.max_body_bytes)
        try:
            return await intake.patience.wait(intake.whole(self.receive))
        except TimeoutError:
            detail = f"It did not come whole within {intake.patience.limit_s:g} s."
            raise RequestRefused(Problem(kind="too-slow", detail=detail, headers=_CLOSE)) from None


@dataclass(frozen=True, kw_only=True, slots=True)
class Response:
    """One whole HTTP response."""

    status: int = 200
    content: bytes
    media_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)
    rows: int = 0  #: rows predicted, for the metrics

    def with_headers(self, more: Mapping[str, str]) -> Response:
        """Return the same response with *more* headers."""
        return replace(self, headers={**self.headers, **more}) if more else self

    @property
    def sent_bytes(self) -> int:
        """Return how long the body is."""
        return len(self.content)

    async def send(self, send: Send, receive: Receive, *, with_body: bool = True, more: Headers = ()) -> None:
        """Send it, with *more* headers; without the body as the answer to HEAD."""
        headers = {"content-type": self.media_type, "content-length": str(len(self.content)), **self.headers}
        encoded = _encoded(headers)
        encoded += more
        await send({"type": "http.response.start", "status": self.status, "headers": encoded})
        await send({"type": "http.response.body", "body": self.content if with_body else b""})


_CALLER_GONE = 499
"""Never sent: what proxies write into their logs when the caller hung up."""


class StreamFailed(Exception):
    """The pieces of a stream have said in their last that it failed: what follows them is its end, as of any other."""


class StreamResponse:
    """An HTTP response with status 200 whose body comes piece by piece, each asked for when the one before is sent."""

    def __init__(
        self, pieces: AsyncGenerator[bytes, None], *, media_type: str, close: Callable[[], Awaitable[None]]
    ) -> None:
        """Send *pieces*, which may end with StreamFailed; *close* is awaited in the end, however that comes."""
        self.status = 200  #: as it is counted: 500 once the stream has failed, 499 when the caller hung up
        self.rows = 1
        self.sent_bytes = 0  #: so far
        self._pieces = pieces
        self._media_type = media_type
        self._close = close

    async def send(self, send: Send, receive: Receive, *, with_body: bool = True, more: Headers = ()) -> None:
        """Send it, with *more* headers, as far as the caller listens."""
        sending = asyncio.ensure_future(self._send(send, more))
        watching = asyncio.ensure_future(_gone(receive))
        try:
            await asyncio.wait((sending, watching), return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                await sending
            else:
                self.status = _CALLER_GONE
        finally:
            for task in (sending, watching):
                task.cancel()
            await asyncio.wait((sending, watching))
            await self._close()

    async def _send(self, send: Send, more: Headers) -> None:
        headers = {"content-type": self._media_type, "cache-control": "no-store", "x-accel-buffering": "no"}
        async with aclosing(self._pieces) as pieces:
            await send({"type": "http.response.start", "status": 200, "headers": [*_encoded(headers), *more]})
            try:
                async for piece in pieces:
                    self.sent_bytes += len(piece)
                    await send({"type": "http.response.body", "body": piece, "more_body": True})
            except StreamFailed:
                self.status = 500
            await send({"type": "http.response.body", "body": b""})


def _below(path: str, root: str) -> str:
    """Return *path* without the *root* that it begins with by ASGI; not every server puts it there.

    >>> _below("/models/health/live", "/models"), _below("/health/live", "/models"), _below("/modelsX", "/models")
    ('/health/live', '/health/live', '/modelsX')
    """
    rest = path.removeprefix(root)
    return rest if rest.startswith("/") else path


def _encoded(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]


async def _gone(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def json_response(document: object) -> Response:
    """Return *document* as a JSON response with status 200."""
    return Response(content=msgspec.json.encode(document))


def problem_response(problem: Problem, *, has_error: bool = False) -> Response:
    """Return *problem* as a response with its status and headers; with *has_error* all of it also as one text."""
    document = problem.as_json()
    if has_error:
        document["error"] = str(RequestRefused(problem))
    content = msgspec.json.encode(document)
    return Response(status=problem.status, content=content, media_type=MEDIA_TYPE, headers=problem.headers)


def _too_large(max_bytes: int) -> RequestRefused:
    detail = f"At most {max_bytes} bytes are taken; send the rows in several requests."
    return RequestRefused(Problem(kind="body-too-large", detail=detail, headers=_CLOSE))
