"""One connection of a caller: HTTP/1.1 requests in, one after another, answers of an ASGI application out.

All of it happens on the event loop that predicts. A server whose own threads read the network must hand each request
over to that loop and its answer back, which took longer than parsing and predicting together.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from http import HTTPStatus
from typing import Any, Protocol

from filiera.serving.heads import MAX_HEAD_BYTES, BadHead, Chunks, Head, read_head
from filiera.serving.http import Message, Receive, Scope, Send

_log = logging.getLogger("filiera.serving")
_MAX_AHEAD_BYTES = 256 * 1024
"""So much of a body is taken before somebody asks for it; of requests behind the one at hand, what a head may have."""
_HEAD_S = 30.0
"""So long may the head of a request take to come, once it has begun; and the first one in any case."""
_IDLE_S = 120.0
"""So long is a connection kept that nothing comes over."""
_READ_S = 60.0
"""So long is waited for a caller who reads nothing of an answer that does not fit into the buffers of the systems."""
_LINGER_S = 2.0
"""So long is waited, behind the last answer, for the caller to hang up first."""
_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"
_STATUS_LINES = {each.value: b"HTTP/1.1 %d %b\r\n" % (each.value, each.phrase.encode()) for each in HTTPStatus}
_BODILESS = (204, 304)
_GONE: Message = {"type": "http.disconnect"}
_DAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class Application(Protocol):
    """What answers."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request."""


class Callers:
    """What all connections of a service share."""

    def __init__(self, app: Application) -> None:
        self.app = app
        self.open: set[Connection] = set()
        self.is_leaving = False  #: answers close their connections
        self._second, self._date = 0, b""

    def look(self, now_s: float) -> None:
        """Hang up on who sends a head too slowly, was silent for long, or does not read the answer or hang up."""
        for each in list(self.open):
            if each.is_stuck(now_s):
                each.transport.abort()
            elif each.is_overdue(now_s):
                each.transport.close()

    def date(self) -> bytes:
        """Return the line that tells the time, made once in a second."""
        now = int(time.time())
        if now != self._second:
            at = time.gmtime(now)
            day = f"{_DAYS[at.tm_wday]}, {at.tm_mday:02} {_MONTHS[at.tm_mon - 1]} {at.tm_year}"
            self._second, self._date = now, f"date: {day} {time.strftime('%H:%M:%S', at)} GMT\r\n".encode()
        return self._date


class Connection(asyncio.Protocol):
    """Reads requests and has each answered before the next is looked at."""

    def __init__(self, callers: Callers) -> None:
        self.exchange: Exchange | None = None  #: what is being answered
        self.since_s = 0.0  #: when it began to wait for the caller
        self._patience_s = _HEAD_S
        self._callers = callers
        self._buffer = b""
        self._ended = False  #: the caller sends nothing more
        self._is_lost = False
        self._is_last = False
        self._waiting_to_write: asyncio.Future[None] | None = None
        self._unsent = 0, 0.0  #: bytes that wait for the caller to read, and since when they are so many

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        assert isinstance(transport, asyncio.Transport)
        self.transport = transport
        self.loop = asyncio.get_running_loop()
        self._wait(_HEAD_S)
        self._callers.open.add(self)
        self._about = {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.3"},
            "scheme": "http",
            "root_path": "",
            "server": _place(transport.get_extra_info("sockname")),
            "client": _place(transport.get_extra_info("peername")),
        }

    def data_received(self, data: bytes) -> None:
        """Take what came."""
        if self._is_last:
            return
        if self.exchange is not None and not self.exchange.is_whole:
            self._feed(data)
            return
        self._buffer = self._buffer + data if self._buffer else data
        if self.exchange is None:
            self._next()
        elif len(self._buffer) > MAX_HEAD_BYTES:
            self.transport.pause_reading()

    def eof_received(self) -> bool:
        """Note that nothing more comes; tell whether answers can still go out."""
        self._ended = True
        if self.exchange is None or self._is_last:
            return False
        self.exchange.hang_up()
        return True

    def connection_lost(self, error: Exception | None) -> None:
        """Note that nothing goes in or out any more."""
        self._is_lost = True
        self._callers.open.discard(self)
        if self.exchange is not None:
            self.exchange.hang_up()
        self.resume_writing()

    def pause_writing(self) -> None:
        """Let those who send wait."""
        self._waiting_to_write = self.loop.create_future()

    def resume_writing(self) -> None:
        """Let them go on."""
        waiting, self._waiting_to_write = self._waiting_to_write, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)

    async def write(self, content: bytes) -> None:
        """Send *content*; come back when not too much of what was sent waits for the caller to read it."""
        if not self._is_lost:
            self.transport.write(content)
        if self._waiting_to_write is not None:
            await asyncio.shield(self._waiting_to_write)

    def tell_to_continue(self) -> None:
        """Tell a caller who waits for it that the body is wanted."""
        self.transport.write(_CONTINUE)

    def close(self) -> None:
        """Close it once all is sent; what still comes is thrown away meanwhile."""
        self._is_last = True
        self._buffer = b""
        if self._is_lost or self._ended or not self.transport.can_write_eof():
            self.transport.close()
            return
        # To close it while something comes would have the caller's system forget the answer.
        self._wait(_LINGER_S)
        self.transport.resume_reading()
        self.transport.write_eof()

    @property
    def is_expected(self) -> bool:
        """Tell whether the caller has made it, or begun a request, for what has not come yet."""
        return self.exchange is None and self._patience_s == _HEAD_S

    def is_overdue(self, now_s: float) -> bool:
        """Tell whether it has waited too long for what the caller is to do."""
        return self.exchange is None and now_s - self.since_s > self._patience_s

    def is_stuck(self, now_s: float) -> bool:
        """Tell whether its caller has long taken nothing of what is to be sent; asked about once a second."""
        unsent = self.transport.get_write_buffer_size()
        if not unsent or unsent != self._unsent[0]:
            self._unsent = unsent, now_s
        return now_s - self._unsent[1] > _READ_S

    def done(self, exchange: Exchange) -> None:
        """Go on behind the answer to *exchange*."""
        self.exchange = None
        if not exchange.is_kept or not exchange.is_whole:
            self.close()
            return
        self._wait(_HEAD_S if self._buffer else _IDLE_S)
        if len(self._buffer) <= MAX_HEAD_BYTES:
            self.transport.resume_reading()
        if self._buffer:
            self._next()
        if self._ended and self.exchange is None:
            self.close()

    def _next(self) -> None:
        """Begin with the next request, if its head is there."""
        self._buffer = self._buffer.lstrip(b"\r\n") if self._buffer[:1] in b"\r\n" else self._buffer
        end = self._buffer.find(b"\r\n\r\n", 0, MAX_HEAD_BYTES)
        try:
            if end < 0:
                if self._patience_s != _HEAD_S:
                    self._wait(_HEAD_S)
                if len(self._buffer) >= MAX_HEAD_BYTES:
                    raise BadHead(431, f"Its head has more than {MAX_HEAD_BYTES} bytes.")
                return
            head, rest = read_head(self._buffer[: end + 4]), self._buffer[end + 4 :]
        except BadHead as bad:
            self._refuse(bad)
            return
        self._buffer = b""
        self.exchange = Exchange(self, head, self._callers)
        if rest or head.length == 0:
            self._feed(rest)
        if self.exchange is not None:
            self.exchange.begin(self._callers.app, self._about)

    def _wait(self, patience_s: float) -> None:
        self.since_s, self._patience_s = self.loop.time(), patience_s

    def _feed(self, data: bytes) -> None:
        assert self.exchange is not None
        try:
            self._buffer = self.exchange.feed(data)
        except BadHead as bad:
            self.exchange.spoil()
            if not self.exchange.has_begun:
                self.exchange = None
                self._refuse(bad)

    def _refuse(self, bad: BadHead) -> None:
        self.transport.write(b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % _STATUS_LINES[bad.status])
        self.close()


class Exchange:
    """One request and its answer."""

    __slots__ = (
        "_ahead_bytes", "_body", "_callers", "_chunks", "_connection", "_framing", "_head", "_is_answered",
        "_is_chunked", "_is_gone", "_is_told", "_left", "_start", "_task", "_waiting", "_waits", "has_begun",
        "is_kept", "is_whole",
    )  # fmt: skip

    def __init__(self, connection: Connection, head: Head, callers: Callers) -> None:
        self.is_whole = False  #: the whole body is here
        self.is_kept = head.is_kept  #: another request may follow
        self.has_begun = False  #: the application knows of it
        self._connection = connection
        self._head = head
        self._callers = callers
        self._left = head.length or 0
        self._chunks = Chunks() if head.length is None else None
        self._body: deque[bytes] = deque()
        self._ahead_bytes = 0
        self._is_told = False  #: the application has the end of the body
        self._is_gone = False
        self._waits = head.waits
        self._waiting: asyncio.Future[None] | None = None
        self._start: Message | None = None
        self._framing = b""
        self._is_chunked = self._is_answered = False

    def begin(self, app: Application, about: dict[str, Any]) -> None:
        """Have *app* answer."""
        head = self._head
        scope = {
            **about,
            "http_version": f"1.{head.minor}",
            "method": head.method,
            "path": head.path,
            "raw_path": head.target.partition(b"?")[0],
            "query_string": head.query,
            "headers": head.fields,
        }
        self.has_begun = True
        self._task = self._connection.loop.create_task(self._answer(app, scope))

    def feed(self, data: bytes) -> bytes:
        """Take what comes of the body; return what came behind it. Raises BadHead for chunks that are none."""
        rest = b""
        if self._chunks is not None:
            part = self._chunks.feed(data)
            self.is_whole, rest = self._chunks.is_over, self._chunks.rest
        else:
            part = data[: self._left] if len(data) > self._left else data
            rest = data[self._left :]
            self._left -= len(part)
            self.is_whole = not self._left
        if part:
            self._body.append(part)
            self._ahead_bytes += len(part)
            if self._ahead_bytes > _MAX_AHEAD_BYTES and not self.is_whole:
                self._connection.transport.pause_reading()
        self._wake()
        return rest

    def hang_up(self) -> None:
        """Note that nothing more comes from the caller."""
        self._is_gone = True
        self.is_kept = False
        self._wake()

    def spoil(self) -> None:
        """Note that the body is not to be understood from here on."""
        self.hang_up()
        self._connection.transport.pause_reading()

    async def _answer(self, app: Application, scope: Scope) -> None:
        try:
            await app(scope, self.receive, self.send)
        except Exception:  # noqa: BLE001 - the caller gets an answer, the operator the traceback
            _log.exception("request failed: %s", self._head.method)
        if self._is_answered:
            return
        self.is_kept = False
        if self._start is None or self._framing == b"":
            status = _STATUS_LINES[500]
            await self._connection.write(b"%bcontent-length: 0\r\nconnection: close\r\n\r\n" % status)
            self._connection.done(self)
        else:
            self._connection.transport.abort()  # its end would look like that of an answer

    async def receive(self) -> Message:
        """Return the next part of the body, or that the caller is gone."""
        while True:
            if self._body or (self.is_whole and not self._is_told):
                part = self._body[0] if len(self._body) == 1 else b"".join(self._body)
                self._body.clear()
                self._ahead_bytes, self._is_told = 0, self.is_whole
                return {"type": "http.request", "body": part, "more_body": not self.is_whole}
            if self._is_gone or self._is_answered:
                return _GONE
            if self._waits and not self.is_whole:
                self._waits = False
                self._connection.tell_to_continue()
            if not self.is_whole:
                self._connection.transport.resume_reading()
            self._waiting = self._connection.loop.create_future()
            await self._waiting

    async def send(self, message: Message) -> None:
        """Send the next part of the answer."""
        if message["type"] == "http.response.start":
            self._start = message
            return
        body, is_more = message.get("body", b""), message.get("more_body", False)
        if self._is_answered or self._start is None:
            return
        head = b""
        if not self._framing:
            head = self._answer_head(None if is_more else len(body))
        if self._head.method == "HEAD" or self._start["status"] in _BODILESS:
            body = b""
        elif self._is_chunked:
            body = (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + (b"" if is_more else b"0\r\n\r\n")
        if is_more:
            await self._connection.write(head + body)
            return
        self._is_answered = True
        self._wake()
        writing = self._connection.write(head + body)
        try:
            await writing
        finally:
            self._connection.done(self)

    def _answer_head(self, length: int | None) -> bytes:
        assert self._start is not None
        status, fields = self._start["status"], self._start["headers"]
        names = {name for name, _ in fields}
        lines = [b"%b: %b\r\n" % field for field in fields]
        if b"content-length" not in names and status not in _BODILESS:
            if length is not None:
                lines.append(b"content-length: %d\r\n" % length)
            elif self._head.minor:
                self._is_chunked = True
                lines.append(b"transfer-encoding: chunked\r\n")
            else:
                self.is_kept = False  # the end of the connection is the end of the answer
        if (b"connection", b"close") in fields:
            self.is_kept = False
        elif not self.is_kept or self._callers.is_leaving or not self.is_whole:
            self.is_kept = False
            lines.append(b"connection: close\r\n")
        elif not self._head.minor:
            lines.append(b"connection: keep-alive\r\n")
        content = b"".join(lines)
        if content.count(b"\n") != len(lines) or content.count(b"\r") != len(lines):
            raise ValueError("a header of an answer has a line end in it")
        self._framing = content
        return b"%b%b%b\r\n" % (_STATUS_LINES[status], self._callers.date(), content)

    def _wake(self) -> None:
        waiting, self._waiting = self._waiting, None
        if waiting is not None and not waiting.done():
            waiting.set_result(None)


def _place(address: Any) -> tuple[str, int] | None:
    return (address[0], address[1]) if isinstance(address, tuple) else None
