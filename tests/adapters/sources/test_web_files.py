"""Files on web servers, read from a real server on this machine."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from filiera.core.collected import Collected
from filiera.errors import SourceError
from filiera.project.plugins import source_reader

ROOT = Path("/")


class Shop(ThreadingHTTPServer):
    """A server whose files, headers and manners a test decides."""

    content = b"a\n1\n"
    headers: dict[str, str]
    promised = 0  #: bytes that are announced and never sent
    asked: list[str]


class Handler(BaseHTTPRequestHandler):
    """Answers every request."""

    server: Shop

    def do_GET(self) -> None:
        """Send the file to who has the key."""
        self.server.asked.append(self.path)
        if self.path.startswith("/none"):
            self.send_error(404)
            return
        if "key=k%2F1" not in self.path and self.path.startswith("/locked"):
            self.send_error(403)
            return
        self.send_response(200)
        self.send_header("Content-Length", str(len(self.server.content) + self.server.promised))
        for name, value in self.server.headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(self.server.content)

    def log_message(self, *words: Any) -> None:
        """Say nothing."""


@pytest.fixture
def shop() -> Iterator[Shop]:
    """Start the server."""
    with Shop(("127.0.0.1", 0), Handler) as server:
        server.headers, server.asked = {"ETag": '"1"'}, []
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def address(shop: Shop, path: str) -> str:
    return f"http://127.0.0.1:{shop.server_port}/{path}"


def read(path: str) -> tuple[list[tuple[Any, ...]], Collected]:
    entry = {"type": "csv", "path": path}
    collected = Collected(entry=entry)
    return source_reader("csv").read(entry, ROOT, collected).collect().rows(), collected  # type: ignore[no-any-return]


def fingerprint(path: str) -> str:
    return source_reader("csv").fingerprint({"type": "csv", "path": path}, ROOT)


def test_a_file_is_read_by_its_address(shop: Shop) -> None:
    """It is fetched and read like a file; the address is recorded."""
    path = address(shop, "orders.csv?year=2026&shop=north")
    rows, collected = read(path)
    assert rows == [(1,)]
    assert (collected.place, collected.files, collected.size_bytes) == (path, 1, 4)
    assert set(shop.asked) == {"/orders.csv?year=2026&shop=north"}


def test_a_key_in_the_address_is_never_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """A reference is filled in when the file is read; records and messages have the reference."""
    monkeypatch.setenv("KEY_OF_SHOP", "k%2F1")
    path = address(shop, "locked.csv?key=${KEY_OF_SHOP}")
    rows, collected = read(path)
    assert rows == [(1,)]
    assert collected.place == path
    monkeypatch.setenv("KEY_OF_SHOP", "wrong-key")
    for broken in (path, path.replace("http://127.0.0.1", "http://${KEY_OF_SHOP}.invalid")):
        with pytest.raises(SourceError) as caught:
            read(broken)
        assert "wrong-key" not in str(caught.value)


@pytest.mark.parametrize("headers", [{"ETag": '"1"'}, {"Last-Modified": "Mon, 02 Nov 2026 10:00:00 GMT"}, {}])
def test_the_fingerprint_follows_what_the_server_says(shop: Shop, headers: dict[str, str]) -> None:
    """A tag or a time of change stands for the content; without them it is fetched to find out."""
    shop.headers = dict(headers)
    path = address(shop, "a.csv")
    before = fingerprint(path)
    assert fingerprint(path) == before
    shop.content = b"a\n2\n"
    for name in shop.headers:
        shop.headers[name] = shop.headers[name].replace("1", "3")
    assert fingerprint(path) != before


@pytest.mark.parametrize(
    ("path", "promised", "said"),
    [("none.csv", 0, "There is no"), ("locked.csv", 0, "Cannot read .*locked"), ("a.csv", 7, "broke off|Cannot read")],
)
def test_what_servers_refuse_is_one_clear_error(shop: Shop, path: str, promised: int, said: str) -> None:
    """A file that is not there, not ours to read, or not all there, is told."""
    shop.promised = promised
    with pytest.raises(SourceError, match=said) as caught:
        read(address(shop, path))
    assert caught.value.do
