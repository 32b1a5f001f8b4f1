"""What strangers write to a service's socket: no second request inside a first, no header of theirs in an answer."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from urllib.parse import urlsplit

import pytest

from filiera.serving.app import App
from tests.serving.offers import GOOD, get, service, talk
from tests.serving.serving import running

BODY = json.dumps({"instances": [GOOD]}).encode()
HEAD = b"POST /v1/models/flows:predict HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\n"
INNER = b"GET /smuggled HTTP/1.1\r\nHost: localhost\r\n\r\n"
SIZE = b"Content-Length: %d\r\n" % len(BODY)
CHUNKED = b"Transfer-Encoding: chunked\r\n"


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """Give the address of a service that only answers to local names."""
    with running(tmp_path_factory.mktemp("log")) as (_, address):
        yield address


def answer(url: str, request: bytes) -> bytes:
    """Return all that comes back until the service hangs up."""
    parts = urlsplit(url)
    with socket.create_connection((parts.hostname or "", parts.port or 0), timeout=60) as connection:
        connection.sendall(request)
        found = b""
        while part := connection.recv(65_536):
            found += part
    return found


TWO_IN_ONE = {
    "two lengths": HEAD + b"Content-Length: 4\r\n" + SIZE + b"\r\n" + BODY + INNER,
    "a list of lengths": HEAD + b"Content-Length: 4, 50\r\n\r\n" + BODY + INNER,
    "a length and pieces": HEAD + b"Content-Length: 52\r\n" + CHUNKED + b"\r\n0\r\n\r\n" + INNER,
    "pieces and a length": HEAD + CHUNKED + b"Content-Length: 4\r\n\r\n2f\r\n" + INNER + b"\r\n0\r\n\r\n",
    "unknown pieces": HEAD + b"Transfer-Encoding: xchunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + INNER,
    "a blank before the colon": HEAD + b"Transfer-Encoding : chunked\r\nContent-Length: 4\r\n\r\n0\r\n\r\n" + INNER,
    "a folded header": HEAD + b"X-A: b\r\n " + CHUNKED + SIZE + b"\r\n" + BODY + INNER,
    "a signed length": HEAD + b"Content-Length: +4\r\n\r\n" + BODY + INNER,
    "a negative length": HEAD + b"Content-Length: -1\r\n\r\n" + BODY + INNER,
    "a negative piece": HEAD + CHUNKED + b"\r\n-1\r\n" + INNER,
    "two hosts": b"GET / HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n" + INNER,
    "a zero in a header": HEAD + b"X-A: a\0b\r\n" + SIZE + b"\r\n" + BODY + INNER,
}


@pytest.mark.parametrize("what", TWO_IN_ONE)
def test_nobody_hides_a_request_in_another(url: str, what: str) -> None:
    """A request about whose length two readers could differ is refused, and the connection with it."""
    found = answer(url, TWO_IN_ONE[what])
    assert found.startswith(b"HTTP/1.1 400 ")
    assert found.count(b"HTTP/1.1 ") == 1
    assert b"smuggled" not in found


TOO_MUCH = [b"X-A: " + b"a" * 1_000_000 + b"\r\n", b"".join(b"X-%d: a\r\n" % number for number in range(5000))]


@pytest.mark.parametrize("more", TOO_MUCH, ids=["one that is long", "many"])
def test_headers_are_bounded(url: str, more: bytes) -> None:
    """One that is too long, and too many."""
    try:
        found = answer(url, HEAD + more + SIZE + b"\r\n" + BODY)
    except ConnectionError:  # it has hung up before all was sent
        return
    assert found.startswith(b"HTTP/1.1 431 ")


@pytest.mark.parametrize("name", ["rebound.example", "localhost.evil.example", "127.0.0.1.evil.example", "a@localhost"])
@pytest.mark.parametrize(
    "line", ["GET /v1/models HTTP/1.1\r\nHost: {}", "GET http://{}/v1/models HTTP/1.1\r\nHost: localhost"]
)
def test_who_was_led_here_by_another_name_is_told_nothing(url: str, line: str, name: str) -> None:
    """A browser is, by a page whose name is made to lead to this machine; wherever a request has its name."""
    found = answer(url, f"{line.format(name)}\r\nConnection: close\r\n\r\n".encode())
    assert found.startswith(b"HTTP/1.1 421 ") and b"flows" not in found


def test_a_path_is_no_header(url: str) -> None:
    """Line ends in an encoded path stay in the path, which is not repeated."""
    path = "/v1/models/x%0d%0aSet-Cookie:%20a=b%0d%0a%0d%0a"
    request = f"GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    found = answer(url, request.encode())
    assert found.startswith(b"HTTP/1.1 404 ") and b"cookie" not in found.lower()


@pytest.mark.parametrize("path", ["/health/live", "/metrics", "/openapi.json", "/v1/models", "/v1/models/flows", "/x"])
def test_pages_of_others_are_told_nothing(path: str) -> None:
    """No answer lets another origin read it, none is a page, and a browser that asks whether it may post hears no."""
    app = service()
    origin = {"origin": "http://evil.example", "access-control-request-method": "POST"}
    for method in ("GET", "OPTIONS"):
        found = get(app, path, method, headers=origin)
        assert [name for name in found.headers if name.lower().startswith("access-control")] == []
        assert found.headers["content-type"].partition(";")[0] in (
            "application/json", "application/problem+json", "text/plain",
        )  # fmt: skip


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
def test_forms_of_others_predict_nothing(kind: str) -> None:
    """What a page may post without asking is not taken."""
    app = service()
    for path in ("/v1/models/flows:predict", "/v1/models/flows:feedback", "/v2/models/flows/infer"):
        headers = {"origin": "http://evil.example", **({"content-type": kind} if kind else {})}
        found = talk(app, lambda client, path=path, headers=headers: client.post(path, content=BODY, headers=headers))
        assert found.status_code in (404, 415)


def test_a_token_is_not_told() -> None:
    """Neither a wrong nor a right token is in an answer, whatever fails."""
    app: App = service(token="t0p-secret")
    for given in ("Bearer wr0ng-secret", "Bearer t0p-secret", "Basic dDBwLXNlY3JldA==", "Bearer ", "t0p-secret"):
        for path in ("/v1/models", "/nowhere", "/openapi.json", "/metrics"):
            assert "secret" not in get(app, path, headers={"authorization": given}).text
