"""One connection after another over a pair of sockets, with small applications behind them."""

from __future__ import annotations

import asyncio
import http.client
import io
import socket
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from contextlib import suppress
from typing import Any, TypeVar

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from filiera.serving.connection import Callers, Connection
from filiera.serving.http import Receive, Scope, Send

T = TypeVar("T")


App = Callable[[Scope, Receive, Send], Awaitable[None]]
GET = b"GET /a?b HTTP/1.1\r\nHost: h\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer method, path and body."""
    body, is_whole = b"", False
    while not is_whole:
        message = await receive()
        if message["type"] == "http.disconnect":
            body += b" and gone"
            break
        body, is_whole = body + message["body"], not message["more_body"]
    content = f"{scope['method']} {scope['path']} ".encode() + body
    fields = [(b"content-length", b"%d" % len(content))]
    await send({"type": "http.response.start", "status": 200, "headers": fields})
    await send({"type": "http.response.body", "body": content})


async def deaf(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer without a look at the body."""
    await send({"type": "http.response.start", "status": 413, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"no"})


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer in three parts, one of them empty."""
    await send({"type": "http.response.start", "status": 200, "headers": []})
    for part in (b"one ", b"", b"two"):
        await send({"type": "http.response.body", "body": part, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


async def _exchange(app: App, pieces: Sequence[bytes], *, hangs_up: bool) -> bytes:
    loop, callers = asyncio.get_running_loop(), Callers(app)
    near, far = socket.socketpair()
    near.setblocking(False)
    with near, far:
        await loop.connect_accepted_socket(lambda: Connection(callers), far)

        async def say() -> None:
            with suppress(ConnectionError):
                for piece in pieces:
                    await loop.sock_sendall(near, piece)
                    await asyncio.sleep(0)
            if hangs_up:
                near.shutdown(socket.SHUT_WR)

        saying = asyncio.create_task(say())
        found = b""
        while part := await loop.sock_recv(near, 65536):
            found += part
        await saying
        near.close()
        while callers.open:
            await asyncio.sleep(0)
    return found


def said(app: App, *pieces: bytes, hangs_up: bool = False) -> bytes:
    """Return all that comes back, up to the end of the connection."""
    return run(_exchange(app, pieces, hangs_up=hangs_up))


def run(scene: Coroutine[Any, Any, T]) -> T:
    """Return what *scene* does."""
    return asyncio.run(asyncio.wait_for(scene, 30))


def answers(content: bytes, *methods: str) -> list[tuple[int, bytes]]:
    """Return status and body of each answer, as the standard library reads them."""
    file = io.BytesIO(content)

    class Source:
        def makefile(self, mode: str) -> Any:
            return file

    found = []
    for method in methods:
        answer = http.client.HTTPResponse(Source(), method=method)  # type: ignore[arg-type]
        file.close = lambda: None  # type: ignore[method-assign]
        answer.begin()
        found.append((answer.status, answer.read()))
    assert file.read() == b""
    return found


CHUNKED = b"POST /c HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n2\r\nhe\r\n3\r\nllo\r\n0\r\n\r\n"
POST = b"POST /p HTTP/1.1\r\nHost: h\r\nContent-Length: 5\r\n\r\nhello"


@settings(max_examples=40)
@given(st.lists(st.integers(1, 40), min_size=1, max_size=8))
def test_requests_are_answered_in_order_however_they_are_cut(sizes: list[int]) -> None:
    """What comes behind a request is the next one, be it in one piece or in many."""
    content, pieces, at, number = POST + b"\r\n" + GET + CHUNKED + LAST, [], 0, 0
    while at < len(content):
        size = sizes[number % len(sizes)]
        pieces.append(content[at : at + size])
        at, number = at + size, number + 1
    assert answers(said(echo, *pieces), "POST", "GET", "POST", "GET") == [
        (200, b"POST /p hello"),
        (200, b"GET /a "),
        (200, b"POST /c hello"),
        (200, b"GET /last "),
    ]


def test_a_body_larger_than_what_is_taken_ahead_comes_whole() -> None:
    """Reading pauses while nobody asks, and goes on."""
    body = bytes(range(256)) * 8192
    head = b"POST / HTTP/1.1\r\nHost: h\r\nConnection: close\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert answers(said(echo, head + body), "POST") == [(200, b"POST / " + body)]


def test_requests_wait_with_their_caller() -> None:
    """Of those who send many requests at once no more is read than can be answered soon, however many were answered."""

    async def scene() -> list[int]:
        loop, callers, ahead = asyncio.get_running_loop(), Callers(echo), []
        near, far = socket.socketpair()
        near.setblocking(False)
        await loop.connect_accepted_socket(lambda: Connection(callers), far)
        sent = heard = 0
        with near:
            while heard < 300 * len(GET):
                with suppress(BlockingIOError):
                    while sent < 10_000_000:
                        sent += near.send(GET * 1000)
                heard += (await loop.sock_recv(near, 1000)).count(b"GET /a ") * len(GET)
                ahead.append(sent - heard)
        while callers.open:
            await asyncio.sleep(0)
        return ahead

    assert max(run(scene())) < 2_000_000


def test_who_is_refused_while_speaking_hears_why() -> None:
    """An answer before the body has come reaches the caller, who is then hung up on."""
    head = b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9000000\r\n\r\n"
    found = said(deaf, head, *[b"x" * 300_000] * 30)
    assert answers(found, "POST") == [(413, b"no")]
    assert b"connection: close" in found


def test_a_caller_who_waits_to_be_told_is_told() -> None:
    """``Expect: 100-continue`` is answered when the body is wanted, and not when it is not."""
    head = b"POST /p HTTP/1.1\r\nHost: h\r\nConnection: close\r\nExpect: 100-continue\r\nContent-Length: 2\r\n\r\n"
    interim, _, rest = said(echo, head, b"", b"ab").partition(b"\r\n\r\n")
    assert interim == b"HTTP/1.1 100 Continue"
    assert answers(rest, "POST") == [(200, b"POST /p ab")]
    assert answers(said(deaf, head), "POST") == [(413, b"no")]


def test_a_stream_is_chunked_or_ends_with_the_connection() -> None:
    """HTTP/1.1 gets chunks, HTTP/1.0 the bytes."""
    assert answers(said(stream, GET + LAST), "GET", "GET") == [(200, b"one two")] * 2
    old = said(stream, b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n")
    assert answers(old, "GET") == [(200, b"one two")]
    assert b"chunked" not in old


def test_head_is_answered_without_a_body() -> None:
    """The next answer follows at once."""
    assert answers(said(echo, GET.replace(b"GET", b"HEAD") + LAST), "HEAD", "GET")[1] == (200, b"GET /last ")


def test_an_old_caller_may_keep_the_connection() -> None:
    """Told so, as it asked for."""
    old = b"GET /%d HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"
    found = said(echo, old % 1 + old % 2, b"GET /3 HTTP/1.0\r\n\r\n")
    assert answers(found, "GET", "GET", "GET") == [(200, b"GET /%d " % number) for number in (1, 2, 3)]
    assert found.count(b"connection: keep-alive") == 2


def test_another_protocol_is_not_taken_up() -> None:
    """Who offers HTTP/2, as Java does with a first request, is answered in HTTP/1.1, body and all."""
    offer = (
        b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAEAAEAAAAIAAAAB\r\nContent-Length:"
    )
    assert answers(said(echo, POST.replace(b"Content-Length:", offer) + LAST), "POST", "GET") == [
        (200, b"POST /p hello"),
        (200, b"GET /last "),
    ]


@pytest.mark.parametrize(
    ("content", "status"),
    [
        (b"GET / HTTP/1.1\r\n\r\n", 400),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET /" + b"x" * 40_000, 431),
        (b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\nno\r\n", 400),
    ],
    ids=["no host", "TLS", "endless", "no chunks"],
)
def test_what_is_no_request_ends_the_connection(content: bytes, status: int) -> None:
    """Told what is wrong; whatever stands behind it is not looked at. Requests before it have their answers."""
    assert answers(said(echo, GET + content + GET), "GET", "GET") == [(200, b"GET /a "), (status, b"")]


def test_a_body_that_stops_making_sense_ends_the_connection() -> None:
    """The application learns that nothing more comes."""
    begun = b"POST / HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n"
    assert answers(said(echo, begun, b"", b"", b"zz\r\n"), "POST") == [(200, b"POST / a and gone")]


def test_who_has_said_all_still_hears_the_answer() -> None:
    """A caller that ends its half of the connection is answered: the whole request, or what was cut short."""
    assert answers(said(echo, GET, hangs_up=True), "GET") == [(200, b"GET /a ")]
    assert answers(said(echo, POST[:-2], hangs_up=True), "POST") == [(200, b"POST /p hel and gone")]
    assert said(echo, b"GET / HT", hangs_up=True) == b""


@pytest.mark.parametrize("field", [(b"a", b"b\r\nc: d"), (b"a\r\nb", b"c"), (b"a", b"b\nc")])
def test_a_line_end_in_a_header_is_never_sent(field: tuple[bytes, bytes]) -> None:
    """Else whoever chose the value would choose the rest of the answer."""

    async def splits(scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": [field]})
        await send({"type": "http.response.body", "body": b""})

    assert answers(said(splits, GET), "GET") == [(500, b"")]


def test_an_application_that_fails_is_answered_for(caplog: pytest.LogCaptureFixture) -> None:
    """Before its answer began with 500; within it the connection breaks, so that nobody takes a part for the whole."""

    async def fails(scope: Scope, receive: Receive, send: Send) -> None:
        if scope["path"] == "/last":
            await send({"type": "http.response.start", "status": 200, "headers": []})
            await send({"type": "http.response.body", "body": b"par", "more_body": True})
        raise RuntimeError("on purpose")

    assert answers(said(fails, GET), "GET") == [(500, b"")]
    assert not said(fails, LAST).endswith(b"0\r\n\r\n")
    assert "on purpose" in caplog.text


def test_who_is_slow_or_silent_is_hung_up_on() -> None:
    """A head that does not end, and a connection that nothing comes over; not one whose answer takes long."""

    async def scene() -> list[bool]:
        loop, is_over = asyncio.get_running_loop(), asyncio.Event()

        async def waits(scope: Scope, receive: Receive, send: Send) -> None:
            await is_over.wait()
            await echo(scope, receive, send)

        callers = Callers(waits)
        pairs = [socket.socketpair() for _ in range(3)]
        for (near, far), content in zip(pairs, (b"GET / HT", GET, b""), strict=True):
            near.setblocking(False)
            await loop.connect_accepted_socket(lambda: Connection(callers), far)
            await loop.sock_sendall(near, content)
        while not any(each.exchange for each in callers.open):
            await asyncio.sleep(0)
        callers.look(loop.time())
        assert len(callers.open) == 3
        callers.look(loop.time() + 31)
        while len(callers.open) > 1:
            await asyncio.sleep(0)
        is_over.set()
        while next(iter(callers.open)).exchange is not None:
            await asyncio.sleep(0)
        callers.look(loop.time() + 31)
        is_kept = not next(iter(callers.open)).transport.is_closing()
        callers.look(loop.time() + 121)
        while callers.open:
            await asyncio.sleep(0)
        for near, far in pairs:
            near.close()
            far.close()
        return [is_kept]

    assert run(scene()) == [True]


def test_who_reads_nothing_of_an_answer_is_hung_up_on() -> None:
    """An answer that is not taken waits for a minute, and so does the application; one that is taken slowly goes on."""

    async def scene() -> list[int]:
        loop, ended = asyncio.get_running_loop(), asyncio.Event()

        async def floods(scope: Scope, receive: Receive, send: Send) -> None:
            await send({"type": "http.response.start", "status": 200, "headers": []})
            for _ in range(64):
                await send({"type": "http.response.body", "body": b"x" * 100_000, "more_body": True})
            ended.set()

        callers, (near, far) = Callers(floods), socket.socketpair()
        near.setblocking(False)
        await loop.connect_accepted_socket(lambda: Connection(callers), far)
        await loop.sock_sendall(near, GET)
        (connection,) = callers.open
        while connection.exchange is None:
            await asyncio.sleep(0)
        open_at, now_s = [], loop.time()
        for _ in range(3):
            while connection.transport.get_write_buffer_size() < 100_000:
                await asyncio.sleep(0)
            callers.look(now_s)
            callers.look(now_s := now_s + 59)
            open_at.append(len(callers.open))
            before = connection.transport.get_write_buffer_size()
            while connection.transport.get_write_buffer_size() == before:
                await loop.sock_recv(near, 50_000)
        callers.look(now_s)
        callers.look(now_s + 61)
        await ended.wait()
        near.close()
        return [*open_at, len(callers.open)]

    assert run(scene()) == [1, 1, 1, 0]
